"""Runs of the program that are killed: forked from a process that has already imported everything.

    python tests/kills.py FOLDER COUNT      kill a short run COUNT times at random moments, and resume it each time

Reads the options of a run from FOLDER/options.json; the runs stand in FOLDER/0/out, FOLDER/1/out, ...
"""

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import run_ner
from modeling_bert_crf.doors.lock import LOCK
from modeling_bert_crf.training import restartable_trainer
from modeling_bert_crf.training.checkpoints import last_whole
from modeling_bert_crf.training.output_folder import OutputFolder, is_finished, is_trained
from modeling_bert_crf.training.trainer import CRFTrainer


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before_call(owner, name, number):
    """Die before the call of a function that has this number."""
    original, calls = getattr(owner, name), []

    def counted(*args, **kwargs):
        calls.append(name)
        if len(calls) == number:
            die()
        return original(*args, **kwargs)

    setattr(owner, name, counted)


def in_deletion():
    """Die when the first file of a checkpoint has been deleted."""
    original = shutil.rmtree

    def delete(folder, *args, **kwargs):
        if Path(folder).name.startswith("checkpoint-"):
            (Path(folder) / "model.safetensors").unlink()
            die()
        original(folder, *args, **kwargs)

    shutil.rmtree = delete


MOMENTS = {
    "before the first checkpoint": lambda: before_call(CRFTrainer, "training_step", 2),
    "between two steps": lambda: before_call(CRFTrainer, "training_step", 12),
    "between weights and optimiser": lambda: before_call(CRFTrainer, "_save_optimizer_and_scheduler", 2),
    "between optimiser and random state": lambda: before_call(CRFTrainer, "_save_rng_state", 2),
    "before a checkpoint is sealed": lambda: before_call(restartable_trainer, "seal_checkpoint", 3),
    "while a checkpoint is deleted": in_deletion,
    "after training": lambda: before_call(OutputFolder, "save_model", 1),
    "while the model is put in place": lambda: before_call(os, "replace", 10),
    "in the last evaluation": lambda: before_call(CRFTrainer, "tag", 2),
    "before the end is noted": lambda: before_call(OutputFolder, "finish", 1),
}
TRAINED = list(MOMENTS)[-2:]
"""Those at which the model stands in its folder."""


def start(options, folder, moment=None, **changes):
    """Start a run in FOLDER/out in a process of its own; it may die at a moment."""
    options = options | {"output_dir": str(folder / "out")} | changes
    pid = os.fork()
    if pid == 0:
        status = 1
        folder.mkdir(exist_ok=True)
        with (
            (folder / "said.txt").open("a") as said,
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            os.dup2(said.fileno(), 2)
            try:
                if moment is not None:
                    MOMENTS[moment]()
                run_ner.main([word for name, value in options.items() for word in (f"--{name}", str(value))])
                status = 0
            except BaseException:
                traceback.print_exc()
        os._exit(status)
    return pid


def end(pid):
    """Wait for a run's end; return its exit code, negative if a signal killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def resume(options, folder):
    """Go on with a run that was killed, as a user would."""
    if is_finished(folder / "out"):
        return 0
    again = {} if last_whole(folder / "out") is None else {"resume_from_checkpoint": "True"}
    return end(start(options, folder, **again))


def leftovers(folder):
    """Return what a run left: every file of the output folder but those of the checkpoints, and without its speed."""
    files = [path for pattern in ("*", "plots/*") for path in (folder / "out").glob(pattern) if path.is_file()]
    left = {path.name: path.read_bytes() for path in files if path.name != LOCK}
    metrics = json.loads(left["metrics.json"])
    shown = f"{metrics.pop('speed')['test']:,.0f} words per second".encode()
    left["metrics.json"] = json.dumps(metrics)
    for name in [name for name in left if name.endswith("_results.json")]:
        results = json.loads(left[name])
        own = ("_runtime", "_per_second", "train_loss")  # the host's mean loss is that since the run went on
        left[name] = json.dumps({key: value for key, value in results.items() if not key.endswith(own)})
    left["README.md"] = left["README.md"].replace(shown, b"")
    return left


def kill_at_random(folder, count):
    """Kill a run at random moments and resume it; tell where each stood, and whether it left what it should."""
    options = json.loads((folder / "options.json").read_text())
    began = time.perf_counter()
    if end(start(options, folder / "whole")):
        sys.exit((folder / "whole" / "said.txt").read_text())
    duration = time.perf_counter() - began
    expected = leftovers(folder / "whole")
    for index in itertools.count():
        run = folder / str(index)
        moment = random.Random(index).uniform(0.45, 1.0) * duration  # before, it loads
        pid = start(options, run)
        time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        if end(pid) != -signal.SIGKILL:
            continue  # it was faster this time
        last, trained = last_whole(run / "out"), is_trained(run / "out")
        found = len(list((run / "out").glob("checkpoint-*")))
        equal = resume(options, run) == 0 and leftovers(run) == expected
        yield {
            "seconds": round(moment, 2),
            "checkpoints": found,
            "last whole": None if last is None else last.name,
            "trained": trained,
            "equal": equal,
        }
        count -= 1
        if not count:
            return


def main():
    folder = Path(sys.argv[1])
    if len(sys.argv) == 2:  # a run for each moment
        options = json.loads((folder / "options.json").read_text())
        for number, moment in enumerate(MOMENTS):
            print(number, end(start(options, folder / str(number), moment)), flush=True)
        return
    results = []
    for result in kill_at_random(folder, int(sys.argv[2])):
        results.append(result)
        print(json.dumps(result), flush=True)
    equal = sum(result["equal"] for result in results)
    print(f"{len(results)} killed, {equal} of them ended with equal files")
    sys.exit(equal < len(results))


if __name__ == "__main__":
    main()
