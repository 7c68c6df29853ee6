"""The program, from the command line to the folder that it leaves."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import run_ner
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification
from modeling_bert_crf.schemes import first_violation
from modeling_bert_crf.training.data import read_conll
from modeling_bert_crf.training.demo import demo_arguments, write_demo

ROOT = Path(run_ner.__file__).parent
TRAIN = "Ada\tB-PER\nLovelace\tI-PER\nvisited\tO\nParis\tB-LOC\n\nthe\tO\nrain\tO\n\n"


@pytest.fixture
def files(tmp_path):
    """Small files of each split; the test part has a type that training never saw."""
    texts = {"train": TRAIN * 4, "validation": TRAIN, "test": TRAIN + "Ada\tB-WORK\nin\tO\nParis\tB-LOC\n\n"}
    for split, text in texts.items():
        (tmp_path / f"{split}.conll").write_text(text)
    return tmp_path


@pytest.fixture
def command(files, encoder_folder):
    """A whole run's options; None removes one."""

    def make(**changes):
        options = {
            "model_name_or_path": str(encoder_folder),
            **{f"{split}_file": str(files / f"{split}.conll") for split in ("train", "validation", "test")},
            "output_dir": str(files / "out"),
            "do_train": True,
            "do_eval": True,
            "do_predict": True,
            "num_train_epochs": 1,
            "use_cpu": True,
            "disable_tqdm": True,
            **changes,
        }
        command = []
        for name, value in options.items():
            values = value if isinstance(value, list) else [value]
            command += [] if value is None else [f"--{name}", *map(str, values)]
        return command

    return make


def error_of(argv):
    with pytest.raises(SystemExit) as info:
        run_ner.main(argv)
    return info.value.code


def test_a_run_leaves_a_whole_folder(files, command, capsys, caplog):
    run_ner.main(command())

    out = files / "out"
    said = capsys.readouterr().out
    assert (
        said.splitlines()[-1]
        == f"test F1 (strict): {json.loads((out / 'metrics.json').read_text())['scores']['test']['strict']['f1']:.2f}"
    )
    assert "crf, no decay" in said
    assert "train: 8 sentences, 24 words, tags in IOB2" in said
    assert re.search(r"WORK +0\.00 +0\.00 +0\.00 +1\n", said)
    assert any(
        "the model has no tag for type 'WORK': its 1 words cannot be found" in r.message for r in caplog.records
    )
    gold, predicted = read_conll(files / "test.conll"), read_conll(out / "predictions.conll")
    assert [one.words for one in predicted] == [one.words for one in gold]
    assert all(first_violation(one.tags, "IOB2") is None for one in predicted)
    names = {path.name for path in out.iterdir() if path.is_file()}
    shipped = {path.name for path in (ROOT / "modeling_bert_crf").glob("*.py")} - {"__init__.py"}
    assert names == shipped | {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "metrics.json",
        "predictions.conll",
        "README.md",
    }
    card = (out / "README.md").read_text()
    assert "| WORK | 0.0000 | 0.0000 | 0.0000 | 1 |" in card
    assert str(files) not in card + (out / "metrics.json").read_text()
    model = BertBiLSTMCRFForTokenClassification.from_pretrained(out)
    assert model.config.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def test_a_finished_model_is_scored_again_without_training(files, command, capsys):
    run_ner.main(command())
    first = json.loads((files / "out" / "metrics.json").read_text())

    run_ner.main(
        command(
            model_name_or_path=str(files / "out"),
            output_dir=str(files / "again"),
            do_train=None,
            train_file=None,
            do_eval=None,
            validation_file=None,
        )
    )

    again = json.loads((files / "again" / "metrics.json").read_text())
    assert again["scores"]["test"] == first["scores"]["test"]
    assert (files / "again" / "predictions.conll").read_text() == (files / "out" / "predictions.conll").read_text()


def test_a_configuration_file_does_what_options_do(files, command):
    options = dict(zip(*[iter(command())] * 2, strict=True))
    config = files / "config.json"
    config.write_text(
        json.dumps({name[2:]: json.loads(v.lower()) if v in ("True", "1") else v for name, v in options.items()})
    )

    run_ner.main([str(config)])

    assert (files / "out" / "config.json").exists()


def test_illegal_gold_is_offered_a_repair(files, command, caplog):
    (files / "train.conll").write_text(TRAIN + "in\tO\nParis\tI-LOC\n\n")

    error = error_of(command())
    assert error.startswith("run_ner.py: error: ")
    assert "train.conll:10: the tags must obey IOB2, got 'I-LOC' after 'O'; --repair_tags" in error
    assert not (files / "out").exists()

    run_ner.main(command(repair_tags=True))
    assert any("train: 1 tags repaired: I-LOC -> B-LOC (1)" in record.message for record in caplog.records)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_file": "nowhere.conll"}, "nowhere.conll: no such file"),
        ({"train_file": None}, "--do_train needs --train_file (or --dataset_name)"),
        ({"do_train": None, "do_eval": None, "do_predict": None}, "nothing to do: pass --do_train"),
        ({"model_name_or_path": None}, "--model_name_or_path must name a BERT encoder or a finished tagger"),
        ({"model_name_or_path": "no/such-model"}, "--model_name_or_path: "),
        ({"label_smoothing_factor": 0.1}, "label_smoothing_factor must be 0"),
        ({"max_seq_length": 600}, "--max_seq_length must be from 3 to the encoder's 48, got 600"),
        ({"do_train": None}, "must be a finished tagger when there is no --do_train, got a bert model"),
        ({"resume_from_checkpoint": "nowhere"}, "--resume_from_checkpoint: nowhere is no checkpoint's folder"),
    ],
)
def test_mistakes_end_in_one_line_and_leave_nothing(files, command, changes, message):
    error = error_of(command(**changes))

    assert error.startswith("run_ner.py: error: ")
    assert message in error
    assert "\n" not in error
    assert not (files / "out").exists()


def test_a_file_with_one_column_is_refused(files, command):
    (files / "test.conll").write_text("Ada\n")
    assert "test.conll:1: must have a word and a tag column" in error_of(command())


def test_a_finished_model_is_not_overwritten(files, command):
    (files / "out").mkdir()
    (files / "out" / "config.json").write_text("{}")
    assert f"--output_dir {files / 'out'} holds a finished model" in error_of(command())
    assert (files / "out" / "config.json").read_text() == "{}"


def test_an_unfinished_run_is_resumed_when_asked(files, command):
    run_ner.main(command())
    (files / "out" / "config.json").unlink()

    error = error_of(command())
    assert "holds an unfinished run: go on with --resume_from_checkpoint" in error

    run_ner.main(command(resume_from_checkpoint=error.split("--resume_from_checkpoint ")[1].split(",")[0]))
    assert (files / "out" / "config.json").exists()


def test_errors_show_no_traceback(tmp_path):
    """The real program in a real process."""
    result = subprocess.run(
        [sys.executable, ROOT / "run_ner.py", "--do_train", "--train_file", "nowhere", "--model_name_or_path", "x"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert result.returncode != 0
    assert result.stderr.strip() == "run_ner.py: error: nowhere: no such file"
    assert list(tmp_path.iterdir()) == []


def test_the_demo_keeps_names_apart_and_is_the_same_each_time(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        write_demo(folder)

    names = {
        split: {
            word
            for sentence in read_conll(first / f"{split}.conll")
            for word, tag in zip(sentence.words, sentence.tags, strict=True)
            if tag != "O" and word[0].isupper()
        }
        for split in ("train", "test")
    }
    shared = names["train"] & names["test"]
    assert shared <= {"Port", "Group", "Holding", "Bank", "Sons", "Airlines", "Labs"}
    assert len(names["test"]) > 200
    for path in sorted(first.rglob("*")):
        assert path.is_dir() or path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path.name


def test_the_demo_replaces_only_its_own_folder(tmp_path, capsys):
    demo_arguments(tmp_path / "demo")
    demo_arguments(tmp_path / "demo")

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(ValueError, match="the demo's folder exists and the demo did not make it"):
        demo_arguments(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"
