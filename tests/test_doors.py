"""The doors to the outside: what foreign text passes on its way to a terminal, and files that appear whole or not."""

import io
import logging
import os
import random
import re
import subprocess
import sys
import unicodedata
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import modeling_bert_crf
import run_ner
from modeling_bert_crf.doors.files import whole
from modeling_bert_crf.doors.terminal import show, show_traceback, visible, visible_logs
from modeling_bert_crf.training.example import write_example
from modeling_bert_crf.training.output_folder import OutputFolder

CLIPBOARD = "\x1b]52;c;cm0gLXJm\x07"
DIRECTIONS = [*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)), "\u200e", "\u200f", "\u061c"]
FSI, PDI = "\u2068", "\u2069"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ada \x1b[31mred", "Ada \u241b[31mred"),
        (f"Ada{CLIPBOARD}", "Ada\u241b]52;c;cm0gLXJm\u2407"),
        ("\x1b]0;title\x9c", "\u241b]0;title\ufffd"),
        ("a\r\x00\x7f\x9b2J", "a\u240d\u2400\u2421\ufffd2J"),
        ("a\nrun_ner.py: done\tb", "a\u240arun_ner.py: done\u2409b"),
        ("a\x85b\u2028c\u2029d", "a\u2424b\u2424c\u2424d"),
        ("half \ud83d and \udce9", "half \ufffd and \ufffd"),
        ("\u202eadA\u202c", "\ufffdadA\ufffd"),
        ("na\u00efve \u6771\u4eac \U0001f469\u200d\U0001f52c e\u0301", None),
    ],
)
def test_what_steers_a_terminal_is_shown_and_the_rest_kept(text, shown):
    assert visible(text) == (text if shown is None else shown)


def test_no_direction_is_left_open_and_no_control_passes():
    rng = random.Random(0)
    letters = ["a", "1", " ", "[", ".", "\u05d0", "\u0628", "\n", "\t", "\r", "\x1b", "\x9b", "\ud800", *DIRECTIONS]
    for _ in range(3_000):
        text = "".join(rng.choices(letters, k=rng.randint(1, 9)))
        for breaks in (False, True):
            shown = visible(text, breaks=breaks)
            assert visible(shown, breaks=True) == shown
            for result in (shown, visible(text, breaks=breaks, alone=True)):
                assert result.encode()
                assert not [
                    one for one in result if unicodedata.category(one) == "Cc" and (one not in "\t\n" or not breaks)
                ]
                for line in result.split("\n"):
                    outside = [part.partition(PDI) for part in line.split(FSI)]
                    assert PDI not in outside[0][0]  # each isolate begins and ends in the line
                    assert not {*outside[0][0]} & {*DIRECTIONS}
                    for inner, closed, rest in outside[1:]:
                        assert closed
                        assert not {*inner} & {*DIRECTIONS[:9]}
                        assert not {*rest} & {*DIRECTIONS}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[\u05de\u05e9\u05d4 \u05d0\u05d3\u05dd 0.98]", f"[{FSI}\u05de\u05e9\u05d4 \u05d0\u05d3\u05dd{PDI} 0.98]"),
        ("\u05d0\u05d3\u05dd   97.10  98", f"{FSI}\u05d0\u05d3\u05dd{PDI}   97.10  98"),
        (
            "B-\u0634\u062e\u0635 -> I-\u0634\u062e\u0635 +1.23",
            f"B-{FSI}\u0634\u062e\u0635{PDI} -> I-{FSI}\u0634\u062e\u0635{PDI} +1.23",
        ),
        (
            "\u05d1\u05e9\u05e0\u05ea 1948 \u05d4\u05d5\u05e7\u05de\u05d4, x",
            f"{FSI}\u05d1\u05e9\u05e0\u05ea 1948 \u05d4\u05d5\u05e7\u05de\u05d4{PDI}, x",
        ),
        ("\u05e9\u05dc\u05d5\u05dd!\u200f 3", f"{FSI}\u05e9\u05dc\u05d5\u05dd!\u200f{PDI} 3"),
    ],
)
def test_what_is_written_from_right_to_left_does_not_move_its_neighbours(text, shown):
    assert visible(text) == shown


def test_a_text_alone_keeps_its_own_order_line_by_line():
    text = " \u05e0\u05d5\u05dc\u05d3 \u05d1\u05e9\u05e0\u05ea 1948 \nin Paris\n\u05d1\u05d7\u05d9\u05e4\u05d4\u202e."
    first, second, third = visible(text, breaks=True, alone=True).split("\n")
    assert first == f" {FSI}\u05e0\u05d5\u05dc\u05d3 \u05d1\u05e9\u05e0\u05ea 1948{PDI} "
    assert (second, third) == ("in Paris", f"{FSI}\u05d1\u05d7\u05d9\u05e4\u05d4\ufffd.{PDI}")


@pytest.mark.parametrize(
    "text", ["\u05d0" + "\u200f." * 40_000 + "x", "\u2068\u05d0" + "\u200f" * 40_000, "\u200e" * 80_000]
)
def test_a_long_text_is_read_once(text):
    """A pattern that tried its ways again and again would take years."""
    assert len(visible(text)) <= len(text) + 2


def test_what_is_printed_can_be_written_on_any_stream(monkeypatch):
    for encoding in ("ascii", "cp1252", "utf-8"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
        monkeypatch.setattr(sys, "stdout", stream)
        show("na\u00efve", "\u05d0\x1b\ud800\n", 3)
        stream.flush()
        written = stream.buffer.getvalue().decode(encoding)
        assert written.endswith("\n 3\n")
        assert "\x1b" not in written
    assert written == f"na\u00efve {FSI}\u05d0{PDI}\u241b\ufffd\n 3\n"


def test_lines_of_the_log_and_warnings_are_shown_while_a_program_runs(caplog):
    own, other = logging.getLogger("modeling_bert_crf.some"), logging.getLogger("transformers.some")
    with visible_logs(), caplog.at_level("WARNING"), warnings.catch_warnings():
        own.warning("type %r of %s", "\x1b", f"x{CLIPBOARD}\nforged line")
        other.warning(f"two\nlines {CLIPBOARD}")
        shown = warnings.formatwarning(UserWarning("\u202e\x9b"), UserWarning, "file.py", 3, "")
    assert [record.getMessage() for record in caplog.records] == [
        r"type '\x1b' of x␛]52;c;cm0gLXJm␇␊forged line",
        "two\nlines ␛]52;c;cm0gLXJm␇",
    ]
    assert shown == "file.py:3: UserWarning: \ufffd\ufffd\n"

    own.warning("\x1b")
    assert caplog.messages[-1] == "\x1b"  # a library does not decide for the process that uses it


def test_a_traceback_does_not_steer_the_terminal(capsys):
    try:
        raise ValueError(f"got {CLIPBOARD}")
    except ValueError as error:
        show_traceback(type(error), error, error.__traceback__)
    said = capsys.readouterr().err
    assert said.startswith("Traceback (most recent call last):\n")
    assert said.endswith("\nValueError: got ␛]52;c;cm0gLXJm␇\n")


def test_a_file_or_a_folder_appears_whole_or_not_at_all(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "file") as place:  # noqa: PT012
        place.write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "file").read_text() == "old"
    with whole(tmp_path / "file") as place:
        place.write_text("new")
    (tmp_path / "folder").mkdir()
    with whole(tmp_path / "folder") as place:
        place.mkdir()
        (place / "in").write_text("it")
        assert os.listdir(tmp_path / "folder") == []
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "folder" / "in").read_text() == "it"
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]

    with pytest.raises(OSError, match="not empty"), whole(tmp_path / "folder") as place:
        place.mkdir()
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.fixture
def umask():
    """Lets the group read, and nobody else."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def modes(folder):
    """The permissions of all files in a folder, those of each once."""
    return {oct(path.stat().st_mode & 0o777) for path in folder.rglob("*") if path.is_file()}


def test_what_appears_can_be_read_by_whom_the_umask_lets(tmp_path, umask):
    """Safetensors writes files for their owner alone."""
    with whole(tmp_path / "one.safetensors") as place:
        save_file({"a": torch.zeros(2)}, place)
    with whole(tmp_path / "folder") as place:
        (place / "inner").mkdir(parents=True)
        save_file({"a": torch.zeros(2)}, place / "inner" / "model.safetensors")
        os.symlink(tmp_path / "nowhere", place / "link")
    assert modes(tmp_path) == {"0o640"}


def test_all_files_of_a_run_can_be_read_by_whom_the_umask_lets(command, files, umask):
    run_ner.main(command(max_steps=2, save_steps=1, save_strategy="steps", do_predict=None))
    assert (files / "out" / "checkpoint-2" / "model.safetensors").is_file()
    assert modes(files / "out") == {"0o640"}


def test_the_encoder_of_the_example_can_be_read_by_whom_the_umask_lets(tmp_path, umask):
    write_example(tmp_path)
    assert modes(tmp_path) == {"0o640"}


def test_only_one_file_moves_things_into_place():
    package = Path(modeling_bert_crf.__file__).parent
    moving = [
        path.relative_to(package).as_posix()
        for path in [*package.rglob("*.py"), *(package.parent / "bert_crf_command").rglob("*.py")]
        if re.search(r"\b(os\.(replace|rename|renames)|shutil\.move)\(|\.rename\(", path.read_text(encoding="utf-8"))
    ]

    assert moving == ["doors/files.py"]


def test_a_model_is_saved_without_what_a_killed_saving_of_another_left(tmp_path):
    class Trainer:
        def save_model(self, folder, _internal_call):
            for name in ("config.json", "model.safetensors", "training_args.bin"):
                (Path(folder) / name).parent.mkdir(exist_ok=True)
                (Path(folder) / name).write_text("new")

    (tmp_path / ".saving-model").mkdir()
    (tmp_path / ".saving-model" / "model-00001-of-00002.safetensors").write_text("old")

    OutputFolder(tmp_path).save_model(Trainer())

    assert sorted(os.listdir(tmp_path)) == ["config.json", "model.safetensors"]


def test_what_a_killed_process_left_is_removed_and_what_another_one_writes_is_not(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".saving-{dead.pid}-out.html").write_text("half")
    (tmp_path / f".saving-{dead.pid}-out").mkdir()
    (tmp_path / f".saving-{dead.pid}-out" / "in").write_text("half")
    (tmp_path / f".saving-{'9' * 30}-out.html").write_text("no process has such a number")
    others = {f".saving-{os.getppid()}-out.html", f".saving-{dead.pid}-b-out.html", ".saving-model"}
    for name in others:
        (tmp_path / name).write_text("another's")

    for name in ("out.html", "out"):
        with whole(tmp_path / name) as place:
            place.write_text("whole")

    assert {*os.listdir(tmp_path)} == {"out.html", "out", *others}
