"""Break the package in one place after another, and see whether the tests that should notice do.

    python tests/mutants.py [PART ...] [--jobs N] [--unmutated]

tries all mutants, or those whose file or new text contains a PART; with `--unmutated` all the tests without a mutant
first.

The table is in `mutant_table.py`: each mutant is a file of the package, a piece of its text, what stands there
instead, and the few tests that should fail then. One that they do not notice is a rule without a test: write the test,
or say in the table why nobody can tell the two apart. Exits with 1 if a mutant survives that has no such reason, or if
a selection of tests does not work.

Why no library of mutations: those make their mutants themselves, thousands of them, and find the tests by coverage or
run them all. Here a person says which line holds a promise, and which test keeps it. And importing torch and
Transformers takes longer than the tests do. So one process imports all but the package, and forks a child for each
mutant, with a copy of the tree: that takes seconds.
"""

import argparse
import atexit
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from mutant_table import MUTANTS, Mutant

os.environ.setdefault("TRITON_INTERPRET", "1")  # as conftest.py does, before anything imports Triton
TOP = Path(__file__).resolve().parent.parent
COPIED = ("modeling_bert_crf", "bert_crf_command", "tests", "benchmarks", "run_ner.py", "pyproject.toml")
IMPORTED = (
    *("torch", "transformers.trainer", "transformers.pipelines.token_classification", "transformers.hf_argparser"),
    *("transformers.models.bert.modeling_bert", "transformers.models.bert_japanese.tokenization_bert_japanese"),
    *("accelerate", "datasets", "evaluate", "hypothesis", "matplotlib.pyplot", "numpy", "rich", "scipy.optimize"),
    *("seqeval.metrics", "sklearn.metrics", "typer", "pytest"),
)
"""What the package and its tests import, and takes long. The package itself must not be among it."""
SECONDS = 240
"""A mutant whose tests take longer has been noticed: it hangs."""
KILLED, BROKEN = 1, 3  # exit codes of pytest: a test failed; something else did


def fault_of(mutant: Mutant) -> str | None:
    """Say why a mutant cannot be made, None if it can."""
    text = (TOP / "modeling_bert_crf" / mutant.file).read_text()
    if (count := text.count(mutant.old)) != 1:
        return f"its old text must stand once in {mutant.file}, got {count} times"
    try:
        compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")
    except SyntaxError as error:
        return f"{mutant.file} must still be Python, got {error}"
    return None


def _run(tree: Path, mutant: Mutant | None, tests: str) -> None:
    """Run tests on a copy of the tree, with a mutant in it, and end the process with pytest's exit code."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(KILLED))
    signal.alarm(SECONDS)
    folder, stdout, code = Path(tempfile.mkdtemp(prefix="mutant-")), os.dup(1), BROKEN
    try:
        with open(folder / "log", "w") as log:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
        code = _pytest(tree, folder, mutant, tests)
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        if code not in (0, KILLED if mutant else 0):
            os.write(stdout, (folder / "log").read_bytes()[-4000:])
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(code)


def _copy(tree: Path, folder: Path) -> None:
    for name in COPIED:
        copy = shutil.copytree if (tree / name).is_dir() else shutil.copy
        copy(tree / name, folder / name)


def _pytest(tree: Path, folder: Path, mutant: Mutant | None, tests: str) -> int:
    """Copy the tree into a folder, with a mutant in it, and run tests there; return the exit code."""
    _copy(tree, folder)
    if mutant is not None:
        file = folder / "modeling_bert_crf" / mutant.file
        file.write_text(file.read_text().replace(mutant.old, mutant.new))
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder)  # for processes that a test starts
    sys.path.insert(0, str(folder))
    words = [f"tests/{word}" if ".py" in word else word for word in shlex.split(tests)]
    options = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(import_module("pytest").main([*options, *words]))


def _codes(tree: Path, tasks: Sequence[tuple[Any, str]], jobs: int) -> Iterator[tuple[Any, str, int, float]]:
    """Run each task in a child, and yield it with pytest's exit code and the seconds that it took."""
    waiting, running = list(tasks), {}
    while waiting or running:
        if waiting and len(running) < jobs:
            task = waiting.pop(0)
            if child := os.fork():
                running[child] = (*task, time.monotonic())
            else:
                _run(tree, *task)
            continue
        child, status = os.wait()
        mutant, tests, began = running.pop(child)
        yield mutant, tests, os.waitstatus_to_exitcode(status), time.monotonic() - began


def _warm_up() -> None:
    """Import what takes long, in the surroundings that the tests make for themselves."""
    os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="mutants-home-")
    atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True  # a mutant may be as long as the original, and as young
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in IMPORTED:
        import_module(name)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="only mutants whose file or new text contains it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time")
    parser.add_argument("--unmutated", action="store_true", help="first run all the tests without a mutant")
    options = parser.parse_args(arguments)
    parts = options.parts or [""]
    mutants = [one for one in MUTANTS if any(part in one.file or part in one.new for part in parts)]
    for mutant in mutants:
        if fault := fault_of(mutant):
            parser.error(f"{mutant}: {fault}")
    _warm_up()
    with tempfile.TemporaryDirectory(prefix="mutants-tree-") as folder:  # so that the tree may be edited meanwhile
        _copy(TOP, Path(folder))
        selections = dict.fromkeys(one.tests for one in mutants) if options.unmutated else ()
        faults = [
            f"{tests}: must pass without a mutant, got exit code {code}"
            for _, tests, code, _ in _codes(Path(folder), [(None, tests) for tests in selections], options.jobs)
            if code
        ]
        tried = _codes(Path(folder), [(one, one.tests) for one in mutants], options.jobs)
        for number, (mutant, _, code, seconds) in enumerate(tried, start=1):
            said = {0: "survived", KILLED: "killed"}.get(code, f"exit code {code}")
            if code != (0 if mutant.equivalent else KILLED):
                faults.append(f"{said}: {mutant}")
            said = "equivalent" if mutant.equivalent and not code else said
            print(f"{number:3}/{len(mutants)} {seconds:5.1f} s  {said:10}  {mutant}", flush=True)
    print(*faults, sep="\n")
    print(f"{len(mutants)} mutants, {sum(bool(one.equivalent) for one in mutants)} equivalent, {len(faults)} faults")
    return min(1, len(faults))


if __name__ == "__main__":
    sys.exit(main())
