"""The configuration files for many GPUs: nothing here can run them, but they can be read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").iterdir())
ACCELERATE = {"one_gpu": ("NO", 1), "eight_gpus": ("MULTI_GPU", 8), "eight_gpus_fsdp2": ("FSDP", 8)}
ACCELERATE |= {"two_nodes": ("MULTI_GPU", 16)}


@pytest.mark.parametrize("name", ACCELERATE)
def test_accelerate_reads_its_files(name, model):
    config = load_config_from_file(str(ROOT / "configs" / f"{name}.yaml"))

    assert (config.distributed_type.value, config.num_processes) == ACCELERATE[name]
    options = vars(launch_command_parser().parse_args(["run_ner.py"]))
    assert config.fsdp_config.keys() <= options.keys()
    if config.fsdp_config:
        layer = model.bert.encoder.layer[0]
        assert config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"] == type(layer).__name__


@pytest.mark.process
def test_accelerate_starts_the_program(files, command):
    """In one process: on CPUs `accelerate launch` starts no more."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    result = subprocess.run(
        [*launch, str(ROOT / "run_ner.py"), *command()],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert (files / "out" / "metrics.json").exists()


def test_the_deepspeed_file_leaves_to_the_trainer_what_the_trainer_knows():
    config = json.loads((ROOT / "configs" / "deepspeed_zero2.json").read_text())

    assert config["zero_optimization"]["stage"] == 2
    assert {"optimizer", "scheduler"}.isdisjoint(config)  # one learning rate would take the place of three
    sizes = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping")
    assert {config[size] for size in sizes} == {"auto"}


def test_the_docs_name_every_file():
    assert {path.stem for path in CONFIGS} == {*ACCELERATE, "deepspeed_zero2"}
    page = (ROOT / "docs" / "gpus.md").read_text()
    for path in CONFIGS:
        assert f"configs/{path.name}" in page
