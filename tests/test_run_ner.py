"""The program, from the command line to the folder that it leaves."""

import json
import re
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from conftest import TRAIN
from test_remote_code import WITH_BERT
from transformers import AutoTokenizer, BertModel

import run_ner
from bert_crf_command import program
from bert_crf_command.frame import CommandError
from bert_crf_command.options import read_command_line
from bert_crf_command.train import RUN_NER
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification
from modeling_bert_crf.readers.conversion import first_violation
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.training.arguments import given_options, parse_arguments
from modeling_bert_crf.training.checks import check_arguments
from modeling_bert_crf.training.example import example_arguments, write_example
from modeling_bert_crf.training.push_step import only_push_is_left
from modeling_bert_crf.training.split_datasets import make_datasets

ROOT = Path(run_ner.__file__).parent


@pytest.mark.parametrize(
    ("options", "evaluations", "checkpoints", "metric"),
    [
        ({}, "epoch", "epoch", "f1"),
        ({"eval_strategy": "epoch"}, "epoch", "epoch", "f1"),
        ({"eval_strategy": "steps", "eval_steps": 3}, ("steps", 3), ("steps", 3), "f1"),
        (
            {"eval_strategy": "steps", "eval_steps": 3, "save_strategy": "steps", "save_steps": 3},
            ("steps", 3),
            ("steps", 3),
            "f1",
        ),
        (
            {"eval_strategy": "steps", "eval_steps": 4, "save_strategy": "steps", "save_steps": 6},
            ("steps", 4),
            ("steps", 6),
            None,
        ),
        ({"save_strategy": "steps", "save_steps": 5}, "epoch", ("steps", 5), None),
        ({"save_strategy": "no"}, "epoch", "no", None),
        ({"metric_for_best_model": "loss", "eval_strategy": "epoch"}, "epoch", "epoch", "loss"),
        ({"eval_strategy": "epoch", "load_best_model_at_end": True}, "epoch", "epoch", "f1"),
        ({"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "epoch"}, "epoch", "epoch", "f1"),
        ({"do_eval": None}, "no", "epoch", None),
        ({"streaming": True, "max_steps": 4, "label_list": ["O", "B-PER"]}, "no", "epoch", None),
        (
            {
                "streaming": True,
                "max_steps": 4,
                "label_list": ["O", "B-PER"],
                "eval_strategy": "steps",
                "eval_steps": 2,
            },
            ("steps", 2),
            ("steps", 2),
            "f1",
        ),
        ({"eval_steps": 3}, ("steps", 3), ("steps", 3), "f1"),
        ({"eval_steps": 3, "save_steps": 6}, ("steps", 3), ("steps", 6), None),
        ({"eval_strategy": "steps", "logging_steps": 7}, ("steps", 7), ("steps", 7), "f1"),
        ({"save_steps": 5}, "epoch", ("steps", 5), None),
        ({"load_best_model_at_end": True}, "epoch", "epoch", "f1"),
    ],
)
def test_the_best_weights_are_kept_where_evaluations_and_checkpoints_meet(
    options, evaluations, checkpoints, metric, command
):
    arguments = parse_arguments(command(**options))
    check_arguments(*arguments)
    training = arguments[2]
    steps = (training.eval_strategy.value, training.eval_steps)
    saves = (training.save_strategy.value, training.save_steps)
    assert evaluations in (steps, steps[0])
    assert checkpoints in (saves, saves[0])
    assert training.metric_for_best_model == metric
    assert training.load_best_model_at_end == (metric is not None)
    assert training.greater_is_better == {"f1": True, "loss": False, None: None}[metric]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"load_best_model_at_end": False}, {"eval_strategy": "epoch", "metric_for_best_model": None}),
        (
            {"load_best_model_at_end": False, "early_stopping_patience": 2},
            {"metric_for_best_model": "f1", "greater_is_better": True},
        ),
        ({"eval_strategy": "no"}, {"load_best_model_at_end": False, "save_strategy": "epoch"}),
        ({"eval_strategy": "steps", "eval_steps": 3, "save_strategy": "epoch"}, {"load_best_model_at_end": False}),
        ({"greater_is_better": False}, {"metric_for_best_model": "f1"}),
        ({"metric_for_best_model": "recall", "greater_is_better": False}, {"load_best_model_at_end": True}),
        ({"dataloader_pin_memory": True}, {}),
        ({"dataloader_pin_memory": False}, {}),
        ({"save_total_limit": 0}, {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("way", ["options", "yaml"])
def test_what_the_user_says_holds(options, expected, way, command, files):
    argv = command(**options)
    if way == "yaml":
        given = {name[2:]: value for name, value in zip(argv[::2], argv[1::2], strict=True)}
        (files / "c.yaml").write_text(json.dumps(given | options))  # JSON is YAML
        argv = read_command_line([str(files / "c.yaml")], RUN_NER).words

    arguments = parse_arguments(argv)
    check_arguments(*arguments)

    found = {name: getattr(arguments[2], name) for name in options | expected}
    assert found == options | expected


def test_no_value_is_not_taken_for_the_default(files):
    (files / "c.yaml").write_text("save_total_limit:\nlstm_hidden_size:\n")
    with pytest.raises(
        CommandError, match="save_total_limit must have a value, got none: leave it away for its default, 1"
    ):
        read_command_line([str(files / "c.yaml")], RUN_NER)
    (files / "c.yaml").write_text("lstm_hidden_size:\n")
    assert read_command_line([str(files / "c.yaml")], RUN_NER).words == []


def test_without_a_log_there_is_none_at_the_checkpoints_either(files, command):
    run_ner.main(command(logging_strategy="no"))
    assert json.loads((files / "out" / "metrics.json").read_text())["learning_curve"]["training"] == []


def test_a_run_leaves_a_whole_folder(drawn, files, command, capsys, caplog):
    run_ner.main(command())

    out = files / "out"
    said = capsys.readouterr().out
    f1 = json.loads((out / "metrics.json").read_text())["scores"]["test"]["strict"]["f1"]
    assert said.splitlines()[-1] == f"test F1 (strict): {100 * f1:.1f}"
    assert "crf, no decay" not in said
    assert re.search(
        r"^epoch 1: loss [0-9.]+, validation loss [0-9.]+, F1 [0-9.]+, the best so far$", said, flags=re.M
    )
    assert re.search(
        r"^tagger\('[A-Z].*'\)\n# \[{'entity_group': '\w+', 'score': [0-9.]+, 'word': '", said, flags=re.M
    )
    assert "\r" not in said
    assert "grad_norm" not in said
    assert "train: 8 sentences, 24 words, tags in IOB2" in said
    place = f"{files / 'test.conll'}:9"
    assert f"\nerror: test: type WORK is missing in train: 1 entity cannot be found ({place})\n" in said
    assert re.search(r"WORK +0\.0 +0\.0 +0\.0 +1\n", said)
    assert any(
        "the model has no tag for type 'WORK': its 1 words cannot be found" in r.message for r in caplog.records
    )
    gold, predicted = read_conll(files / "test.conll"), read_conll(out / "predictions.conll")
    assert [one.words for one in predicted] == [one.words for one in gold]
    assert all(first_violation(one.tags, "IOB2") is None for one in predicted)
    names = {path.name for path in out.iterdir() if path.is_file()}
    assert names == {*WITH_BERT} | {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "metrics.json",
        *(f"{step}_results.json" for step in ("train", "eval", "predict", "all")),
        "predictions.conll",
        "entities.jsonl",
        "README.md",
    }
    card = (out / "README.md").read_text()
    assert "| WORK | 0.0 | 0.0 | 0.0 | 1 |" in card
    plots = {f"plots/{path.name}" for path in (out / "plots").iterdir()}
    assert plots == set(re.findall(r"\]\((.*?\.png)\)", card))
    assert {"plots/errors.png", "plots/learning.png", "plots/transitions.png"} <= plots
    assert str(files) not in card + (out / "metrics.json").read_text()
    model = BertBiLSTMCRFForTokenClassification.from_pretrained(out)
    assert model.config.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


@pytest.mark.parametrize("trains", [True, False], ids=["after training", "without training"])
def test_all_that_is_measured_of_a_split_is_read_off_one_pass_of_the_encoder(files, command, monkeypatch, trains):
    """Temperature, tags, confidences and report: counted in sub-tokens, without padding."""
    read, train, forward, splits = [], program.CRFTrainer.train, BertModel.forward, []

    def noted(self, *args, attention_mask, **kwargs):
        read.append(int(attention_mask.sum()))
        return forward(self, *args, attention_mask=attention_mask, **kwargs)

    def trained(self, *args, **kwargs):
        train(self, *args, **kwargs)
        read.clear()

    def made(*args):
        splits.append(make_datasets(*args))
        return splits[-1]

    monkeypatch.setattr(BertModel, "forward", noted)
    monkeypatch.setattr(program.CRFTrainer, "train", trained)
    monkeypatch.setattr(program, "make_datasets", made)

    if trains:
        run_ner.main(command())
    else:
        run_ner.main(command(output_dir=str(files / "model")))
        read.clear()
        model = str(files / "model")
        run_ner.main(command(do_train=None, train_file=None, model_name_or_path=model))

    assert sum(read) == sum(sum(splits[-1][split].lengths) for split in ("validation", "test"))


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
    assert first["scores"]["test"].pop("forms")["seen"]["gold"] == 3  # what training saw is not known the second time
    calibrations = [run["scores"]["test"]["calibration"] for run in (first, again)]
    assert first["temperature"] != 1.0
    assert again["temperature"] == 1.0  # it is in the weights
    assert calibrations[1].pop("error_at_1") == calibrations[1]["error"] != calibrations[0].pop("error_at_1")
    assert again["scores"]["test"] == first["scores"]["test"]
    assert (files / "again" / "predictions.conll").read_text() == (files / "out" / "predictions.conll").read_text()


def test_a_run_whose_evaluation_breaks_off_is_not_trained_again(files, command, error_of, monkeypatch, capsys):
    run_ner.main(command(output_dir=str(files / "whole")))
    with monkeypatch.context() as patch:
        patch.setattr(program, "evaluate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError) as info:
            run_ner.main(command())
    out = files / "out"
    way_on = f"the model in {out} is whole, and the same command goes on with what is left"
    assert info.value.__notes__ == [way_on]
    BertBiLSTMCRFForTokenClassification.from_pretrained(out)

    nothing = error_of(["--output_dir", str(out), "--hub_dry_run", "True"])
    assert f"needs --do_train or a finished model, got one that is trained and not evaluated in {out}" in nothing
    other = error_of(command(seed=7))
    assert f"--output_dir {out} holds the model of another run, which is not evaluated yet and differs in " in other
    assert "--seed (42 there, 7 here): choose another folder" in other
    monkeypatch.setattr(program.CRFTrainer, "train", lambda *_, **__: pytest.fail("trained again"))
    run_ner.main(command(per_device_eval_batch_size=1))  # as if it had been the memory

    assert f"{out} holds the trained model: it is not trained again" in capsys.readouterr().out
    whole, again = (json.loads((folder / "metrics.json").read_text()) for folder in (files / "whole", out))
    assert again["learning_curve"]["validation"]
    # The temperatures of its halves are searched for, on emissions that another batch size rounds otherwise.
    calibrations = [run["scores"]["validation"].pop("calibration") for run in (whole, again)]
    rounded = [json.loads(json.dumps(one), parse_float=lambda text: round(float(text), 3)) for one in calibrations]
    assert rounded[0] == rounded[1]
    for name in ("scores", "learning_curve", "best_step", "temperature", "base_model", "transitions"):
        assert again[name] == whole[name], name
    assert {path.name for path in out.iterdir()} == {path.name for path in (files / "whole").iterdir()}
    assert f"--output_dir {out} holds a finished model: choose another folder" in error_of(command())


def test_what_a_broken_off_run_left_must_be_readable(files, command, error_of, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(program, "evaluate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_ner.main(command())
    (files / "out" / ".run.json").write_text("{")
    assert ".run.json cannot be read: delete it; then --do_eval and --do_predict with " in error_of(command())
    (files / "out" / ".run.json").unlink()
    assert "holds a finished model" in error_of(command())


def test_incomplete_batches_are_dropped_in_training_alone(files, command, error_of):
    drops = {"dataloader_drop_last": True, "per_device_train_batch_size": 3, "per_device_eval_batch_size": 2}
    run_ner.main(command(**drops))

    out = files / "out"
    assert json.loads((out / "metrics.json").read_text())["learning_curve"]["validation"][-1]["step"] == 2  # of 8 rows
    predicted = read_conll(out / "predictions.conll")
    assert [one.words for one in predicted] == [one.words for one in read_conll(files / "test.conll")]
    none = error_of(command(**drops | {"per_device_train_batch_size": 9, "output_dir": str(files / "none")}))
    assert "dataloader_drop_last must be False, or the batches smaller: 8 rows of training data do not fill" in none
    assert not (files / "none").exists()


def test_a_configuration_file_does_what_options_do(files, command):
    options = dict(zip(*[iter(command())] * 2, strict=True))
    config = files / "config.json"
    config.write_text(
        json.dumps({name[2:]: json.loads(v.lower()) if v in ("True", "1") else v for name, v in options.items()})
    )

    run_ner.main([str(config)])

    assert (files / "out" / "config.json").exists()


def as_rows(*paths):
    return [{"tokens": one.words, "ner_tags": one.tags} for path in paths for one in read_conll(path)]


def score_of(folder):
    return json.loads((folder / "metrics.json").read_text())["scores"]["test"]


@pytest.fixture
def expected(files, command):
    """The test score of a run on the column files."""
    run_ner.main(command(output_dir=str(files / "expected")))
    return score_of(files / "expected")


def test_several_files_are_one_split(files, command, expected):
    half = files / "half.conll"
    half.write_text(TRAIN * 2)
    run_ner.main(command(train_file=[str(half), str(half)]))
    assert score_of(files / "out") == expected


def test_json_lines_are_read(files, command, expected):
    paths = {}
    for split in ("train", "validation", "test"):
        path = files / f"{split}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in as_rows(files / f"{split}.conll")))
        paths[f"{split}_file"] = str(path)
    run_ner.main(command(**paths))
    assert score_of(files / "out") == expected


@pytest.mark.parametrize("kind", ["saved", "folder"])
@pytest.mark.parametrize("tags", ["names", "ClassLabel"])
def test_data_sets_are_read(files, command, expected, kind, tags):
    """What `save_to_disk` wrote, and a folder as the Hub has them; under column names of their own."""
    labels = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER", "B-WORK"]
    splits = datasets.DatasetDict(
        {
            split: datasets.Dataset.from_list(as_rows(files / f"{split}.conll"))
            for split in ("train", "validation", "test")
        }
    )
    if tags == "ClassLabel":
        splits = splits.cast_column("ner_tags", datasets.List(datasets.ClassLabel(names=labels)))
    splits = splits.rename_columns({"tokens": "text", "ner_tags": "gold"})
    if kind == "saved":
        splits.save_to_disk(files / "data")
    else:
        (files / "data").mkdir()
        for split, rows in splits.items():
            rows.to_parquet(files / "data" / f"{split}-00000-of-00001.parquet")

    run_ner.main(
        command(
            train_file=None,
            validation_file=None,
            test_file=None,
            dataset_name=str(files / "data"),
            text_column_name="text",
            label_column_name="gold",
        )
    )

    model = BertBiLSTMCRFForTokenClassification.from_pretrained(files / "out")
    if tags == "ClassLabel":  # the data set names its tags, those that training never sees among them
        assert model.config.labels == labels
    else:
        assert score_of(files / "out") == expected


def test_the_saved_pipeline_reads_windows_of_the_training(files, command):
    run_ner.main(command(max_seq_length=9))
    assert AutoTokenizer.from_pretrained(files / "out").model_max_length == 9


def test_streamed_training_data(files, command, capsys):
    (files / "labels.txt").write_text("O\nB-PER\nI-PER\nB-LOC\nI-LOC\n")
    run_ner.main(command(streaming=True, max_steps=3, label_list=str(files / "labels.txt")))

    assert BertBiLSTMCRFForTokenClassification.from_pretrained(files / "out").config.labels == [
        "O",
        "B-PER",
        "I-PER",
        "B-LOC",
        "I-LOC",
    ]
    assert (files / "out" / "predictions.conll").exists()
    assert "train: streamed" in capsys.readouterr().out


def test_iob1_is_trained_in_bioes_and_scored_in_entities(files, command, capsys):
    text = "Ada\tI-PER\nLovelace\tI-PER\nAda\tB-PER\nin\tO\nParis\tI-LOC\n\n"
    for split in ("train", "validation", "test"):
        (files / f"{split}.conll").write_text(text * 8)
    run_ner.main(command(tag_scheme="BIOES", num_train_epochs=60, head_learning_rate=1e-2, do_eval=None))

    assert "train: 8 sentences, 40 words, tags in IOB1" in capsys.readouterr().out
    assert score_of(files / "out")["strict"]["f1"] == 1.0
    model = BertBiLSTMCRFForTokenClassification.from_pretrained(files / "out")
    assert model.config.labels[:5] == ["O", "B-LOC", "I-LOC", "E-LOC", "S-LOC"]
    assert read_conll(files / "out" / "predictions.conll")[0].tags == ["B-PER", "E-PER", "S-PER", "O", "S-LOC"]


def test_illegal_gold_is_offered_a_repair(files, command, error_of, caplog):
    (files / "train.conll").write_text(TRAIN + "in\tO\nParis\tI-LOC\n\n")

    error = error_of(command())
    assert error.startswith("run_ner.py: error: ")
    assert "train.conll:10: the tags must obey IOB2, got 'I-LOC' after 'O'; --repair_tags" in error
    assert not (files / "out").exists()

    run_ner.main(command(repair_tags=True))
    assert any("train: 1 tags repaired: I-LOC -> B-LOC (1)" in record.message for record in caplog.records)


def test_a_finished_model_is_not_overwritten(files, command, error_of):
    (files / "out").mkdir()
    (files / "out" / "config.json").write_text("{}")
    assert f"--output_dir {files / 'out'} holds a finished model" in error_of(command())
    assert (files / "out" / "config.json").read_text() == "{}"


def test_the_facts_of_a_run_are_those_of_a_tagger_trained_further(files, command):
    run_ner.main(command(context_size=5, num_lstm_layers=2, output_dir=str(files / "first"), do_predict=None))
    further = {"model_name_or_path": str(files / "first"), "frozen_steps": 0, "num_lstm_layers": 2}
    run_ner.main(command(**further))

    facts = json.loads((files / "out" / "metrics.json").read_text())
    assert (facts["settings"]["context_size"], facts["settings"]["num_lstm_layers"]) == (5, 2)
    pushed = {**further, "push_to_hub": True, "hub_model_id": "me/mine"}
    for changed, is_left in (({}, True), ({"context_size": 5}, False), ({"train_file": "other.conll"}, False)):
        argv = command(**pushed | changed)
        assert only_push_is_left(parse_arguments(argv), given_options(argv)) == is_left


def test_an_unfinished_run_is_resumed_when_asked(files, command, error_of):
    run_ner.main(command())
    (files / "out" / "config.json").unlink()

    error = error_of(command())
    assert "holds an unfinished run: go on with --resume_from_checkpoint" in error

    run_ner.main(command(resume_from_checkpoint=error.split("--resume_from_checkpoint ")[1].split(",")[0]))
    assert (files / "out" / "config.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--do_train", "--train_file", "nowhere", "--model_name_or_path", "x"], "nowhere: no such file"),
        (["--do_train", "--deepspeed", "nowhere.json"], "deepspeed"),  # the host keeps what it read of this one
    ],
)
def test_errors_show_no_traceback(tmp_path, options, message):
    """The real program in a real process."""
    result = subprocess.run(
        [sys.executable, ROOT / "run_ner.py", *options], capture_output=True, text=True, cwd=tmp_path
    )

    assert result.returncode != 0
    assert re.fullmatch(f"run_ner.py: error: [^\n]*{message}[^\n]*\n", result.stderr)
    assert list(tmp_path.iterdir()) == []


def test_the_demo_keeps_names_apart_and_is_the_same_each_time(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        write_example(folder)

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
    example_arguments(tmp_path / "demo", "bert-crf train")
    example_arguments(tmp_path / "demo", "bert-crf train")

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(ValueError, match="the demo's folder exists and the demo did not make it"):
        example_arguments(tmp_path / "mine", "bert-crf train")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"
