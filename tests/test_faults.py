"""What goes wrong while training: a killed run, a half-written checkpoint, a full disk, a loss that is no number."""

import errno
import json
import mmap
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from kills import MOMENTS, TRAINED, leftovers
from transformers import TrainerCallback

import run_ner
from bert_crf_command import program
from modeling_bert_crf.training.checkpoints import (
    begin_checkpoint,
    find_damage,
    find_fault,
    last_whole,
    seal_checkpoint,
)
from modeling_bert_crf.training.output_folder import OutputFolder, is_trained
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


@pytest.mark.process
def test_a_killed_run_ends_as_if_nothing_had_happened(drawn, folder, short, monkeypatch):
    run_ner.main(short(output_dir=str(folder / "whole" / "out")))
    expected = leftovers(folder / "whole")
    result = kills(folder, timeout=240)
    assert result.stdout.split()[1::2] == ["-9"] * len(MOMENTS), result.stderr

    steps, step = [], CRFTrainer.training_step
    monkeypatch.setattr(CRFTrainer, "training_step", lambda *a, **k: (steps.append(1), step(*a, **k))[1])
    for number, moment in enumerate(MOMENTS):
        out = folder / str(number) / "out"
        assert is_trained(out) == (moment in TRAINED)
        steps.clear()
        again = None if last_whole(out) is None else "True"
        assert (again is None) == (moment == "before the first checkpoint")
        run_ner.main(short(output_dir=str(out), resume_from_checkpoint=again))
        assert leftovers(folder / str(number)) == expected, moment
        assert len(steps) == {"before the first checkpoint": 23, **dict.fromkeys(TRAINED, 0)}.get(moment, len(steps))


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
    "config.json is cut off": lambda folder: (folder / "config.json").write_bytes(b""),
    "run.json is cut off, or the last files were not written": lambda folder: cut(folder / "run.json"),
    "it lacks tokenizer.json": lambda folder: (folder / "tokenizer.json").unlink(),
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


def flip(path):
    """Change one byte in the middle of a file, as a bad disk does."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_a_file_that_is_not_as_it_was_written_is_noticed(run, short, caplog):
    last, before = run / "checkpoint-23", run / "checkpoint-21"
    names = {path.name for path in last.iterdir()} - {"run.json", "training_args.bin"}  # nobody reads the latter
    assert names >= {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"}
    for name in sorted(names):
        whole = (last / name).read_bytes()
        flip(last / name)
        assert find_fault(last) in (f"{name} is damaged", f"{name} is cut off", f"{name} is missing or cut off")
        (last / name).write_bytes(whole)
    assert find_fault(last) is None

    flip(last / "model.safetensors")
    run_ner.main(short(resume_from_checkpoint="True"))
    told = f"{last} is not whole (model.safetensors is damaged); training goes on from {before}"
    assert told in [record.message for record in caplog.records]


def test_sharded_checkpoints_are_sealed_too(tmp_path):
    """Their weights lie in a folder in the folder, a hidden file among them."""
    folder = tmp_path / "checkpoint-3"
    begin_checkpoint(folder, {"--seed": 7})
    shards = folder / "pytorch_model_fsdp_0"
    shards.mkdir()
    for name in ("__0_0.distcp", "__1_0.distcp", ".metadata"):
        (shards / name).write_bytes(name.encode())
    assert find_damage(folder) == "run.json is cut off, or the last files were not written"
    seal_checkpoint(folder)
    assert find_damage(folder) is None
    for name in ("__1_0.distcp", ".metadata"):
        flip(shards / name)
        assert find_damage(folder) == f"pytorch_model_fsdp_0/{name} is damaged"
        flip(shards / name)
    (shards / "__0_0.distcp").unlink()
    assert find_damage(folder) == "it lacks pytorch_model_fsdp_0/__0_0.distcp"
    shutil.rmtree(folder)
    assert find_damage(folder) == "it is gone"


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_another_run_is_not_resumed(run, files, short, error_of):
    before = contents(run)
    other = (files / "train.conll").read_text().replace("PER", "ORG").replace("LOC", "MISC")
    for split in ("train", "validation"):
        (files / f"{split}-2.conll").write_text(other)
    types = {f"{split}_file": str(files / f"{split}-2.conll") for split in ("train", "validation")}
    for changes, told in (
        (types, "the labels (O, B-LOC, I-LOC, B-PER, I-PER there, O, B-MISC, I-MISC, B-ORG, I-ORG here)"),
        ({"seed": 7}, "--seed (42 there, 7 here)"),
        ({"lstm_hidden_size": 7}, "lstm_hidden_size in the configuration (None there, 7 here)"),
        ({"tag_scheme": "BIOES"}, "the labels (O, B-LOC, I-LOC, B-PER, I-PER there, O, B-LOC, I-LOC, E-LOC"),
        ({"optim": "sgd"}, "--optim (adamw_torch_fused there, sgd here)"),
        ({"per_device_train_batch_size": 2}, "--per_device_train_batch_size (4 there, 2 here)"),
    ):
        error = error_of(short(**changes, resume_from_checkpoint="True"))
        start = f"--resume_from_checkpoint: {run / 'checkpoint-23'} is of another run, which differs in "
        assert error.startswith(f"run_ner.py: error: {start}")
        assert told in error
        assert error.endswith("go on as that run was begun, or leave the option away and choose another --output_dir")
        assert "\n" not in error
    assert contents(run) == before


def test_a_shorter_run_is_the_beginning_of_a_longer_one(run, short, steps):
    steps.clear()
    run_ner.main(short(max_steps=26, resume_from_checkpoint="True", logging_steps=1, save_total_limit=8))
    assert len(steps) == 3
    curve = json.loads((run / "metrics.json").read_text())["learning_curve"]["training"]
    assert [point["step"] for point in curve][-4:] == [23, 24, 25, 26]


def test_checkpoints_of_the_first_version_go_on_with_a_warning(run, files, short, error_of, caplog):
    """They hold no record and no digests; what they say of labels and shapes is compared."""
    for folder in run.glob("checkpoint-*"):
        (folder / "run.json").unlink()
    last = run / "checkpoint-23"
    assert last_whole(run) == last
    with pytest.MonkeyPatch.context() as patch:  # no damage that a digest would show, and yet not what is needed
        patch.setattr(torch, "load", lambda path, **_: {})
        error = error_of(short(resume_from_checkpoint="True"))
    assert (
        f"{last}: the state of the optimiser or of its schedule cannot be read, or is that of another run: " in error
    )
    flat = error_of(short(resume_from_checkpoint="True", lstm_hidden_size=7))
    assert "is of another run, which differs in lstm_hidden_size in the configuration (None there, 7 here)" in flat

    torch.save({"python": 1}, last / "rng_state.pth")
    error = error_of(short(resume_from_checkpoint=str(last), max_steps=25))
    assert f"{last}: the random state cannot be read, or is that of another run: " in error
    run_ner.main(short(resume_from_checkpoint=str(run / "checkpoint-21")))
    assert any("checkpoint-21 holds no record of its run" in record.message for record in caplog.records)


FIRST_IS_BEST = {"greater_is_better": True, "save_total_limit": 8}  # of the loss


@pytest.fixture
def kept(files, short):
    """A run that ended with the weights of its first evaluation, at step 3."""
    run_ner.main(short(**FIRST_IS_BEST))
    assert json.loads((files / "out" / "metrics.json").read_text())["best_step"] == 3
    (files / "out" / "config.json").unlink()
    return files / "out"


def best_step(folder):
    return json.loads((folder / "metrics.json").read_text())["best_step"]


def test_the_best_weights_are_found_where_the_folder_was_moved_to(kept, files, short, caplog):
    kept.rename(files / "moved")
    run_ner.main(short(**FIRST_IS_BEST, output_dir=str(files / "moved"), resume_from_checkpoint="True"))
    assert best_step(files / "moved") == 3


def test_damaged_best_weights_are_not_used(kept, short, caplog):
    flip(kept / "checkpoint-3" / "model.safetensors")
    run_ner.main(short(**FIRST_IS_BEST, resume_from_checkpoint="True"))
    assert best_step(kept) is None
    told = f"the best weights so far, in {kept / 'checkpoint-3'}, are not whole (model.safetensors is damaged): "
    assert any(record.message.startswith(told) for record in caplog.records)


def test_best_weights_that_are_damaged_while_a_run_goes_on(files, short, error_of, at_step):
    out = files / "out"
    at_step(20, lambda: flip(out / "checkpoint-3" / "model.safetensors"))
    error = error_of(short(**FIRST_IS_BEST))
    assert f"the best weights, in {out / 'checkpoint-3'}, are not whole (model.safetensors is damaged); go on" in error
    run_ner.main(short(**FIRST_IS_BEST, resume_from_checkpoint="True"))
    assert is_trained(out)


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
def at_step(monkeypatch):
    """Let a run do something before one of its steps, once."""
    planned = {}

    class Act(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            planned.pop(state.global_step, lambda: None)()

    make = CRFTrainer.__init__
    monkeypatch.setattr(CRFTrainer, "__init__", lambda *a, **k: (make(*a, **k), a[0].add_callback(Act()))[0])
    return planned.__setitem__


@pytest.fixture
def steps(monkeypatch):
    """One entry for each training step of the test."""
    steps, step = [], CRFTrainer.training_step
    monkeypatch.setattr(CRFTrainer, "training_step", lambda *a, **k: (steps.append(1), step(*a, **k))[1])
    return steps


def test_a_run_that_had_stopped_early_is_not_trained_on(files, command, monkeypatch, steps):
    """Killed after the evaluation that ended its training; a resumed run must remember how long it had waited."""
    options = {"num_train_epochs": 30, "early_stopping_patience": 3, "learning_rate": 0.0, "head_learning_rate": 0.0}
    options |= {"crf_learning_rate": 0.0, "save_total_limit": 9}
    argv = command(**options)
    with monkeypatch.context() as patch:
        patch.setattr(OutputFolder, "save_model", lambda *_: (_ for _ in ()).throw(Stop()))
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
    """Makes a weight NaN at a step."""

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


@pytest.fixture
def heard():
    """Let Ctrl-C be heard, also where the tests are started in the background, which makes processes deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_in_one_sentence(files, short, at_step, capsys, heard):
    at_step(10, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(SystemExit) as info:
        run_ner.main(short())

    assert info.value.code == 130
    way_on = f"go on with --resume_from_checkpoint {files / 'out' / 'checkpoint-9'}"
    assert capsys.readouterr().err.splitlines()[-1] == f"run_ner.py: stopped: {way_on}"


def test_ctrl_c_after_training(files, command, monkeypatch, capsys, heard):
    monkeypatch.setattr(program, "evaluate", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(SystemExit) as info:
        run_ner.main(command())
    assert info.value.code == 130
    way_on = f"the model in {files / 'out'} is whole, and the same command goes on with what is left"
    assert capsys.readouterr().err.splitlines()[-1] == f"run_ner.py: stopped: {way_on}"


def test_ctrl_c_where_nothing_is_trained(files, command, monkeypatch, capsys, heard):
    run_ner.main(command(do_eval=None, do_predict=None, max_steps=1))
    monkeypatch.setattr(program, "evaluate", lambda *_: signal.raise_signal(signal.SIGINT))
    again = {"do_train": None, "train_file": None, "model_name_or_path": str(files / "out")}
    with pytest.raises(SystemExit):
        run_ner.main(command(**again, output_dir=str(files / "two")))
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "run_ner.py: stopped: the same command does it from the beginning"


def kill_workers():
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    time.sleep(1)  # torch raises when it hears of it


def fail_as_onednn():
    raise RuntimeError("could not create a primitive")


NO_MEMORY = "the memory did not suffice ({}"
FAULTS_OF_THE_MACHINE = {
    "a process that reads the data died (DataLoader worker (pid": kill_workers,
    NO_MEMORY.format("[enforce fail at alloc_cpu"): lambda: torch.empty(2**46, dtype=torch.uint8),
    NO_MEMORY.format("MemoryError"): lambda: bytearray(2**62),
    NO_MEMORY.format("[Errno 12] Cannot allocate memory"): lambda: mmap.mmap(-1, 2**46),
    NO_MEMORY.format("could not create a primitive)"): fail_as_onednn,
    "No space left on device: make room": lambda: os.write(os.open("/dev/full", os.O_WRONLY), b"1"),
}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # where workers are forked
@pytest.mark.parametrize("told", FAULTS_OF_THE_MACHINE)
def test_what_the_machine_does_to_a_run_ends_in_one_sentence(files, short, at_step, error_of, told):
    at_step(10, FAULTS_OF_THE_MACHINE[told])
    workers = {"dataloader_num_workers": 1, "per_device_train_batch_size": 1} if "died" in told else {}
    error = error_of(short(**workers))

    assert error.startswith(f"run_ner.py: error: {told}")
    assert error.endswith(f"; go on with --resume_from_checkpoint {files / 'out' / 'checkpoint-9'}")
    assert "\n" not in error


def test_an_error_of_the_program_keeps_its_traceback(short, at_step):
    at_step(1, lambda: {}["nothing"])
    with pytest.raises(KeyError):
        run_ner.main(short())
    at_step(1, lambda: torch.zeros(2) + torch.zeros(3))
    with pytest.raises(RuntimeError, match="must match the size"):
        run_ner.main(short())


def test_an_output_folder_that_is_removed_meanwhile(files, short, at_step, error_of):
    out = files / "out"
    at_step(10, lambda: shutil.rmtree(out))
    error = error_of(short(**FIRST_IS_BEST))
    assert f"the best weights, in {out / 'checkpoint-3'}, are not whole (it is gone); go on with" in error
    at_step(10, lambda: shutil.rmtree(out, ignore_errors=True))
    run_ner.main(short(output_dir=str(files / "two"), load_best_model_at_end=False))
    assert is_trained(files / "two")


def test_a_clock_that_stands_still(files, command, monkeypatch):
    for name in ("time", "perf_counter", "monotonic"):
        monkeypatch.setattr(time, name, lambda: 5.0)
    run_ner.main(command())
    monkeypatch.undo()
    assert json.loads((files / "out" / "metrics.json").read_text())["speed"] == {}
    assert "words per second" not in (files / "out" / "README.md").read_text()
