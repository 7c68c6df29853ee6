"""One run at a time in an output folder."""

import errno
import os
import subprocess
import sys

import pytest

import run_ner
from modeling_bert_crf.doors import lock
from modeling_bert_crf.doors.lock import LOCK, FolderInUseError, locked
from modeling_bert_crf.training.example import example_arguments


def test_a_second_run_in_a_folder_is_refused(files, command, error_of):
    out = files / "out"
    again = command(do_train=None, train_file=None, model_name_or_path=str(out))
    with locked(out):
        for argv in (command(), again, ["--output_dir", str(out), "--hub_dry_run", "True"]):
            error = error_of(argv)
            told = f"--output_dir {out} is in use by another run, process {os.getpid()}: "
            assert error == f"run_ner.py: error: {told}wait for its end, or choose another folder"
        assert [path.name for path in out.iterdir()] == [LOCK]
    assert not out.exists()

    run_ner.main(command(do_eval=None, do_predict=None, max_steps=1))
    assert (out / "config.json").exists()
    assert not (out / LOCK).exists()


def test_what_would_be_pushed_is_listed_without_the_lock(files, command, capsys):
    run_ner.main(command(do_eval=None, do_predict=None, max_steps=1))
    run_ner.main(["--output_dir", str(files / "out"), "--hub_dry_run", "True"])
    assert LOCK not in capsys.readouterr().out


HOLD = """
import fcntl, os, sys, time
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(file, fcntl.LOCK_EX)
os.write(file, str(os.getpid()).encode())
print(flush=True)
time.sleep(60)
"""


def test_a_killed_run_lets_go(tmp_path):
    file = tmp_path / LOCK
    with subprocess.Popen([sys.executable, "-c", HOLD, file], stdout=subprocess.PIPE) as run:
        run.stdout.readline()
        with pytest.raises(FolderInUseError, match=f"in use by another run, process {run.pid}: "), locked(tmp_path):
            pass
        run.kill()
    assert file.exists()

    with locked(tmp_path):
        assert file.read_text() == str(os.getpid())
    assert not file.exists()


def test_other_processes_of_the_run_share_the_lock_of_the_first(tmp_path):
    with locked(tmp_path / "out"), locked(tmp_path / "out", is_first=False):
        pass
    with locked(tmp_path / "other", is_first=False):
        assert not (tmp_path / "other").exists()


def test_a_file_system_that_cannot_lock_is_said(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with locked(tmp_path / "out"):
        (tmp_path / "out" / "kept").touch()
    told = f"{tmp_path / 'out'} cannot be locked ([Errno 37] No locks available): see to it that no other run writes"
    assert [record.message for record in caplog.records] == [f"{told} there"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["kept"]

    monkeypatch.setattr(lock, "fcntl", None)
    with locked(tmp_path / "two"):
        pass
    assert "this system has no fcntl" in caplog.records[-1].message


def test_a_lock_whose_file_goes_away_meanwhile_is_taken_again(tmp_path, monkeypatch):
    """Its owner comes to its end between our opening and our locking the file."""
    flock, calls = lock.fcntl.flock, []

    def late(file, how):
        if not calls:
            (tmp_path / LOCK).unlink()
        calls.append(file)
        flock(file, how)

    monkeypatch.setattr(lock.fcntl, "flock", late)
    with locked(tmp_path):
        assert len(calls) == 2
        assert (tmp_path / LOCK).exists()


def test_a_folder_that_was_removed_and_is_anothers_by_now(tmp_path):
    with locked(tmp_path / "out"):
        (tmp_path / "out" / LOCK).unlink()
        (tmp_path / "out" / LOCK).write_text("another's")
    assert (tmp_path / "out" / LOCK).read_text() == "another's"


def test_folders_that_were_made_for_the_lock_alone_go_with_it(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "a" / "b"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_runs_is_not_replaced(tmp_path):
    example_arguments(tmp_path / "demo", "bert-crf train")
    with locked(tmp_path / "demo"), pytest.raises(FolderInUseError, match="is in use by another run"):
        example_arguments(tmp_path / "demo", "bert-crf train")
    assert (tmp_path / "demo" / "input" / "train.conll").exists()
