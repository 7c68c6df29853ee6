"""Corpus jobs in processes of their own: killed at random moments, shared among several, and measured."""

import contextlib
import multiprocessing
import os
import random
import re
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from test_corpus import content, corpus, errors, jsonl, written

from modeling_bert_crf.corpus.job import Order, run_job
from modeling_bert_crf.opening.tagger import open_tagger
from modeling_bert_crf.readers.sentences import DataError

pytestmark = pytest.mark.slow


@pytest.fixture
def tagger(make_model, tokenizer, tmp_path, monkeypatch):
    """An open tagger, and a folder `mine` that it was opened from."""
    make_model().save_pretrained(tmp_path / "mine")
    tokenizer.save_pretrained(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    return open_tagger("mine")


def order(*names, output="out/", **asked):
    options = {"threshold": 0.0, "decoding": "viterbi"}
    return Order("mine", None, "cpu", names, output, options=options, **{"shard_rows": 4} | asked)


def fork(work):
    """Begin to work in a process of its own."""
    pid = os.fork()
    if pid == 0:
        with contextlib.redirect_stderr(open(os.devnull, "w")):
            try:
                work()
            finally:
                os._exit(0)
    return pid


def test_twenty_kills_at_random_moments_leave_the_bytes_of_a_job_that_was_not_disturbed(tagger, tmp_path):
    names = corpus(tmp_path)
    began = time.perf_counter()
    run_job(order(*names), tagger)
    took = time.perf_counter() - began
    expected, kills, seed = content(), 0, 0
    states = set()
    while kills < 20:
        seed += 1
        pid = fork(lambda seed=seed: run_job(order(*names, output=f"{seed}/"), tagger))
        time.sleep(random.Random(seed).uniform(0, took))
        os.kill(pid, signal.SIGKILL)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL:
            kills += 1
            states.add(len(list(Path(str(seed)).glob("part-*"))))
        run_job(order(*names, output=f"{seed}/"), tagger)
        assert content(str(seed)) == expected, seed
    assert len(states) > 2  # the kills came at different moments


def test_several_processes_find_what_one_finds_and_one_of_them_may_be_killed(tagger, tmp_path, capfd):
    names = corpus(tmp_path)
    run_job(order(*names), tagger)
    run_job(order(*names, output="two/"), tagger, processes=2)
    assert written("two") == written()
    assert errors("two") == errors()
    assert content("two") == content()

    def kill():
        while not list(Path("killed").glob("part-*")):
            time.sleep(0.01)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    (tmp_path / "many.jsonl").write_text(jsonl(*[{"text": "Ada visited Paris in the rain"}] * 4000))
    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(DataError, match="a process of the job was ended from outside"):
        run_job(order("many.jsonl", output="killed/", shard_rows=40), tagger, processes=2)
    killer.join()
    left = len(list(Path("killed").glob("part-*")))
    assert 0 < left < 100
    run_job(order("many.jsonl", output="killed/", shard_rows=40), tagger)
    assert len(written("killed")) == 4000


def test_processes_end_when_the_one_that_began_them_is_killed(tagger, tmp_path):
    (tmp_path / "many.jsonl").write_text(jsonl(*[{"text": "Ada visited Paris in the rain"}] * 20000))
    pid = fork(lambda: run_job(order("many.jsonl", shard_rows=40), tagger, processes=2))
    while not list(Path("out").glob("part-*")):
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for _ in range(600):
        if not [one for one in Path("/proc").glob("[0-9]*") if _works_in(one, tmp_path)]:
            return
        time.sleep(0.1)
    pytest.fail("a process is still there")


def _works_in(process, folder):
    if process.name == str(os.getpid()):
        return False
    try:
        return os.readlink(process / "cwd") == str(folder)
    except OSError:
        return False


ROWS = int(os.environ.get("CORPUS_ROWS", "100000"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_corpus(tagger, tmp_path):
    """With CORPUS_ROWS=1000000 as the documentation reports it; then it takes an hour."""
    with (tmp_path / "many.jsonl").open("w") as file:
        for number in range(ROWS):
            file.write(f'{{"id": {number}, "text": "Ada visited Paris in the rain"}}\n')
    (tmp_path / "few.jsonl").write_text(jsonl(*[{"text": "Ada visited Paris in the rain"}] * 10_000))

    def peak(name):
        read, write = os.pipe()
        began = time.perf_counter()

        def work():
            Path("/proc/self/clear_refs").write_text("5")
            run_job(order(name, output=f"{name}-out/", shard_rows=10_000), tagger)
            os.write(write, re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1].encode())

        os.waitpid(fork(work), 0)
        os.close(write)
        kib = int(os.read(read, 20))
        print(f"{name}: peak {kib / 1024:,.0f} MiB, {time.perf_counter() - began:,.0f} s")
        return kib

    few, many = peak("few.jsonl"), peak("many.jsonl")
    assert many < few + 64 * 1024
    assert len(list(Path("many.jsonl-out").glob("part-*"))) == -(-ROWS // 10_000)
