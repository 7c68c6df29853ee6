"""What goes wrong while training: a killed run, a half-written checkpoint, a full disk, a loss that is no number."""

import errno
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kills import MOMENTS, leftovers
from transformers import TrainerCallback

import run_ner
from modeling_bert_crf.training.checkpoints import find_fault, last_whole
from modeling_bert_crf.training.trainer import CRFTrainer

KILLS = Path(__file__).parent / "kills.py"


@pytest.fixture(autouse=True)
def one_thread():
    """As in `kills`: sums over another number of threads round in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def short(files, command):
    """The options of a run of 23 steps, two an epoch, with all that a kill may upset."""

    def make(**changes):
        options = {"per_device_train_batch_size": 4, "max_steps": 23, "logging_steps": 2}
        options |= {"eval_strategy": "steps", "eval_steps": 3, "save_strategy": "steps", "save_steps": 3}
        options |= {
            "frozen_steps": 3,
            "learning_rate": 3e-3,
            "head_learning_rate": 1e-2,
            "load_best_model_at_end": True,
            "metric_for_best_model": "loss",
        }
        return command(**(options | changes))

    return make


@pytest.fixture
def folder(files, short):
    """A folder for `kills.py`."""
    argv = short(output_dir=None)
    (files / "options.json").write_text(json.dumps(dict(zip([w[2:] for w in argv[::2]], argv[1::2], strict=True))))
    return files


def kills(*arguments, timeout):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(KILLS), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)


def test_a_killed_run_ends_as_if_nothing_had_happened(drawn, folder, short):
    run_ner.main(short(output_dir=str(folder / "whole" / "out")))
    expected = leftovers(folder / "whole")
    result = kills(folder, timeout=240)
    assert result.stdout.split()[1::2] == ["-9"] * len(MOMENTS), result.stderr

    for number, moment in enumerate(MOMENTS):
        out = folder / str(number) / "out"
        again = None if last_whole(out) is None else "True"
        assert (again is None) == (moment == "before the first checkpoint")
        run_ner.main(short(output_dir=str(out), resume_from_checkpoint=again))
        assert leftovers(folder / str(number)) == expected, moment


@pytest.mark.slow
def test_twenty_kills_and_resumes(folder):
    result = kills(folder, 20, timeout=1200)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "20 killed, 20 of them ended with equal files" in result.stdout


@pytest.fixture
def run(short, files):
    """A run that came to its end, with all its checkpoints; its last, 23, and the one before, 21."""
    run_ner.main(short(save_total_limit=8))
    (files / "out" / "config.json").unlink()
    return files / "out"


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


FAULTS = {
    "trainer_state.json is missing or cut off": lambda folder: cut(folder / "trainer_state.json"),
    "it lacks the weights": lambda folder: (folder / "model.safetensors").unlink(),
    "it lacks the optimiser": lambda folder: (folder / "optimizer.pt").unlink(),
    "it lacks the schedule": lambda folder: (folder / "scheduler.pt").unlink(),
    "it lacks the random state": lambda folder: (folder / "rng_state.pth").unlink(),
    "model.safetensors is cut off": lambda folder: cut(folder / "model.safetensors"),
    "optimizer.pt is cut off": lambda folder: cut(folder / "optimizer.pt"),
    "it lacks model-2.safetensors": lambda folder: (folder / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}'
    ),
    "model.safetensors.index.json is cut off": lambda folder: (folder / "model.safetensors.index.json").write_text(
        "{"
    ),
    "rng_state.pth is cut off": lambda folder: (folder / "rng_state.pth").write_bytes(b""),
}


def test_a_half_written_checkpoint_is_recognised_and_skipped(run, files, short, error_of):
    last, before = run / "checkpoint-23", run / "checkpoint-21"
    assert find_fault(last) is None
    for fault, spoil in FAULTS.items():
        shutil.copytree(last, files / "copy")
        spoil(last)
        assert find_fault(last) == fault
        assert last_whole(run) == before
        named = error_of(short(resume_from_checkpoint=str(last)))
        assert f"{last} is not whole ({fault}); the last whole one is {before}" in named
        assert f"go on with --resume_from_checkpoint {before}, or choose" in error_of(short())
        shutil.rmtree(last)
        (files / "copy").rename(last)

    for folder in run.glob("checkpoint-*"):
        cut(folder / "model.safetensors")
    assert "there is no whole one beside it: leave the option away" in error_of(
        short(resume_from_checkpoint=str(last))
    )
    assert "holds no whole checkpoint: leave the option away" in error_of(short(resume_from_checkpoint="True"))
    run_ner.main(short())  # there is nothing to lose
    assert (run / "config.json").exists()


class Stop(Exception):
    pass


def test_a_checkpoint_that_is_written_again_is_not_whole_before_its_end(run, short, monkeypatch):
    """A run that goes on from 21 writes over what it left at 23."""

    def stop(self, output_dir):
        raise Stop

    monkeypatch.setattr(CRFTrainer, "_save_scaler", stop)
    with pytest.raises(Stop):
        run_ner.main(short(resume_from_checkpoint=str(run / "checkpoint-21")))

    assert last_whole(run) == run / "checkpoint-21"


@pytest.fixture
def steps(monkeypatch):
    """One entry for each training step of the test."""
    steps, step = [], CRFTrainer.training_step
    monkeypatch.setattr(CRFTrainer, "training_step", lambda *a, **k: (steps.append(1), step(*a, **k))[1])
    return steps


def test_a_run_that_had_stopped_early_is_not_trained_on(files, command, monkeypatch, steps):
    """Killed after the evaluation that ended it; a resumed run must remember how long it had waited."""
    options = {"num_train_epochs": 30, "early_stopping_patience": 3, "learning_rate": 0.0, "head_learning_rate": 0.0}
    options |= {"crf_learning_rate": 0.0, "save_total_limit": 9}
    argv = command(**options)
    with monkeypatch.context() as patch:
        patch.setattr(run_ner.CRFTrainer, "tag", lambda *_: (_ for _ in ()).throw(Stop()))
        with pytest.raises(Stop):
            run_ner.main(argv)
    checkpoints = sorted(path.name for path in (files / "out").glob("checkpoint-*"))
    assert len(checkpoints) == 4

    for epoch in (3, 4):
        steps.clear()
        run_ner.main([*argv, "--resume_from_checkpoint", str(files / "out" / f"checkpoint-{epoch}")])
        assert len(steps) == 4 - epoch
        (files / "out" / "config.json").unlink()


def test_a_run_that_had_come_to_its_end_is_not_trained_on(run, short, steps):
    """Its last step is not the last of an epoch; the host would go on."""
    steps.clear()
    run_ner.main(short(resume_from_checkpoint=str(run / "checkpoint-23")))
    assert steps == []


def test_a_full_disk_leaves_the_checkpoint_before(files, short, error_of, monkeypatch):
    save, calls = torch.save, []

    def full(values, path):
        calls.append(Path(path).name)
        if calls.count("optimizer.pt") == 3:
            Path(path).write_bytes(b"PK")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(values, path)

    monkeypatch.setattr(torch, "save", full)
    error = error_of(short())

    out = files / "out"
    assert re.fullmatch(
        f"run_ner.py: error: {out}/checkpoint-9 could not be written: No space left on device "
        r"\([0-9,]+ MB are free there\); "
        f"make room, or mend what else is wrong, then go on with --resume_from_checkpoint {out}/checkpoint-6",
        error,
    )
    assert not (out / "checkpoint-9").exists()
    monkeypatch.undo()
    run_ner.main(short(resume_from_checkpoint="True"))


@pytest.mark.parametrize(("size", "step"), [(20, 3), (100, 3), (300, 6)], ids=["code", "weights", "optimiser"])
def test_files_that_cannot_grow_end_in_one_sentence(files, short, error_of, size, step):
    """Real failures to write, one for each writer: they raise errors of different kinds."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size * 1024, limits[1]))
    try:
        error = error_of(short())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert f"out/checkpoint-{step} could not be written: " in error
    assert "\n" not in error
    way = "there is no checkpoint to go on from" if step == 3 else f"{files / 'out' / 'checkpoint-3'}"
    assert error.endswith(way)
    assert not (files / "out" / f"checkpoint-{step}").exists()


def test_the_model_that_cannot_be_saved(files, short, error_of, monkeypatch):
    def full(self, folder):
        Path(folder).mkdir(parents=True)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(CRFTrainer, "save_model", lambda self, folder, _internal_call=False: full(self, folder))
    error = error_of(short(save_strategy="no", load_best_model_at_end=None))
    assert f"the model in {files / 'out'} could not be written: No space left on device" in error
    assert not (files / "out" / ".saving-model").exists()


class Poison(TrainerCallback):
    """Makes the weights something else than numbers at a step."""

    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, model, **kwargs):
        if state.global_step == self.step:
            model.classifier.bias.data[0] = torch.nan


@pytest.mark.parametrize(
    ("step", "save", "good"),
    [
        (10, {}, "checkpoint-9"),
        (
            22,
            {
                "save_strategy": "no",
                "eval_strategy": "no",
                "do_eval": None,
                "load_best_model_at_end": None,
                "logging_steps": 100,
            },
            None,
        ),
    ],
    ids=["before a checkpoint", "at the end"],
)
def test_a_loss_that_is_no_number_stops_the_run(files, short, error_of, monkeypatch, step, save, good):
    make = CRFTrainer.__init__
    monkeypatch.setattr(CRFTrainer, "__init__", lambda *a, **k: (make(*a, **k), a[0].add_callback(Poison(step)))[0])

    error = error_of(short(**save))

    assert "the loss is no longer a number, after step" in error
    assert "lower --learning_rate" in error
    out = files / "out"
    if good is None:
        assert error.endswith("there is no checkpoint to go on from")
    else:
        assert error.endswith(f"go on with --resume_from_checkpoint {out / good}")
        assert sorted(path.name for path in out.glob("checkpoint-*")) == [good]
    assert not (out / "config.json").exists()
