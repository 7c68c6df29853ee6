"""Options that people copy from the example script of Transformers, and the files that it leaves."""

import json
import shutil
from pathlib import Path

import pytest

import run_ner
from bert_crf_command.frame import CommandError
from bert_crf_command.options import read_command_line
from bert_crf_command.train import RUN_NER
from modeling_bert_crf.training.arguments import given_options, parse_arguments
from modeling_bert_crf.training.errors import UserError
from modeling_bert_crf.training.splits import read_splits
from modeling_bert_crf.training.starting_model import load_model

OTHER = "Ada\tB-WORK\nin\tI-WORK\nParis\tB-CITY\n.\tI-CITY\nthe\tO\n\n"


@pytest.fixture
def tagger_folder(model, tokenizer, tmp_path):
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "tagger")
    return tmp_path / "tagger"


def loaded(argv):
    """Return the splits, and the model that a run with these options would start from."""
    arguments = parse_arguments(argv)
    splits = read_splits(arguments[1], arguments[2], arguments[0])
    return splits, load_model(arguments[0], arguments[1], splits, given_options(argv))[0]


def test_a_run_takes_the_first_sentences_and_writes_the_scripts_results(files, command):
    run_ner.main(command(max_train_samples=3, max_eval_samples=1, max_predict_samples=2))

    out = files / "out"
    results = {path.name.split("_")[0]: json.loads(path.read_text()) for path in out.glob("*_results.json")}
    assert results.keys() == {"train", "eval", "predict", "all"}
    assert results["all"] == results["train"] | results["eval"] | results["predict"]
    counts = [results["all"][f"{step}_samples"] for step in ("train", "eval", "predict")]
    assert counts == [3, 1, 2]
    assert results["train"].keys() > {"epoch", "train_loss", "train_runtime", "total_flos"}
    metrics = json.loads((out / "metrics.json").read_text())["scores"]["test"]
    expected = {f"predict_{name}": metrics["strict"][name] for name in ("precision", "recall", "f1")}
    assert results["predict"] == expected | {"predict_accuracy": metrics["accuracy"], "predict_samples": 2}
    assert (out / "predictions.conll").read_text().count("\n\n") == 2


def test_an_evaluation_of_a_tagger_writes_the_scores_of_each_type_if_asked(files, command, tagger_folder):
    options = {"do_train": None, "do_eval": None, "train_file": None, "validation_file": None}
    run_ner.main(command(model_name_or_path=tagger_folder, return_entity_level_metrics=True, **options))

    found = json.loads((files / "out" / "all_results.json").read_text())
    types = json.loads((files / "out" / "metrics.json").read_text())["scores"]["test"]["strict"]["types"]
    assert types.keys() >= {"LOC", "PER", "WORK"}
    for kind, row in types.items():
        assert [found[f"predict_{kind}_{name}"] for name in ("precision", "recall", "f1", "number")] == [*row.values()]
    assert found["predict_LOC_number"] == 2
    assert not (files / "out" / "train_results.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trust_remote_code": True}, "--trust_remote_code must be left away: models are opened with the classes of"),
        ({"max_train_samples": 0}, "--max_train_samples must be at least 1, got 0"),
        ({"max_eval_samples": -2}, "--max_eval_samples must be at least 1, got -2"),
    ],
    ids=str,
)
def test_what_cannot_be_followed_is_refused_with_a_reason(options, message, command, error_of):
    assert message in error_of(command(**options))


def test_an_option_without_effect_says_so(command, error_of, caplog):
    error_of(command(preprocessing_num_workers=4, trust_remote_code=False, train_file="no/such/file"))

    assert "--preprocessing_num_workers has no effect: one process lays out all sentences" in caplog.text


def test_a_model_is_found_by_the_scripts_names_for_where_it_is(command, encoder_folder, tmp_path):
    """An encoder in a cache of one's own, as the host lays it out, at a branch."""
    repository = tmp_path / "cache" / "models--me--encoder"
    shutil.copytree(encoder_folder, repository / "snapshots" / "0123456789abcdef")
    (repository / "refs").mkdir()
    (repository / "refs" / "later").write_text("0123456789abcdef")
    argv = command(model_name_or_path="me/encoder", cache_dir=tmp_path / "cache")

    with pytest.raises(UserError, match="me/encoder"):
        loaded(argv)
    splits, model = loaded([*argv, "--model_revision", "later", "--token", "hf_x"])

    assert model.config.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert len(splits["train"].sentences) == 8
    arguments = parse_arguments([*argv, "--token", "hf_x"])[0]
    assert arguments.hub == {"cache_dir": str(tmp_path / "cache"), "token": "hf_x"}
    assert "hf_x" not in repr(arguments)


@pytest.mark.parametrize("kinds", ["as many", "more"])
def test_a_finished_tagger_gets_a_new_head_for_other_types_if_asked(kinds, command, tagger_folder, files, model):
    text = OTHER if kinds == "as many" else OTHER + "Ada\tB-LOC\n\n"
    (files / "train.conll").write_text(text)
    argv = command(model_name_or_path=tagger_folder)
    _, kept = loaded(argv)
    assert kept.config.labels == model.config.labels

    _, new = loaded([*argv, "--ignore_mismatched_sizes"])

    types = ["CITY", "WORK"] if kinds == "as many" else ["CITY", "LOC", "WORK"]
    assert new.config.labels == ["O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI")]
    assert not any(parameter.any() for parameter in new.crf.parameters())
    rows = new.classifier.weight.shape[0]
    assert not new.classifier.weight[: min(rows, 5)].equal(model.classifier.weight[: min(rows, 5)])
    for name, value in new.named_parameters():
        if name.split(".")[0] in ("bert", "lstm"):
            assert value.equal(model.get_parameter(name)), name


def test_a_finished_tagger_keeps_its_head_for_types_that_it_knows(command, tagger_folder, files, model):
    (files / "train.conll").write_text("Ada\tB-PER\nin\tO\n\n")

    _, same = loaded(command(model_name_or_path=tagger_folder, ignore_mismatched_sizes=True))

    assert same.config.labels == model.config.labels
    assert same.classifier.weight.equal(model.classifier.weight)


def test_options_after_a_file_take_the_place_of_those_in_it(tmp_path, command):
    file = tmp_path / "o.yaml"
    file.write_text("seed: 3\nlearning_rate: 0.5\ntrain_file: [a, b]\ndo_train: true\n")

    line = read_command_line([str(file), "--seed", "7", "--train_file", "c", "--do_train", "no"], RUN_NER)

    assert line.file == Path(file)
    assert given_options(line.words) == {"seed": 7, "learning_rate": 0.5, "train_file": ["c"], "do_train": False}
    with pytest.raises(CommandError, match=r"^--zeed is no option; did you mean --seed\?$"):
        read_command_line([str(file), "--zeed", "7"], RUN_NER)
    file.write_text("zeed: 3\n")
    with pytest.raises(CommandError, match=r"o\.yaml: --zeed is no option; did you mean --seed\?$"):
        read_command_line([str(file), "--seed", "7"], RUN_NER)
