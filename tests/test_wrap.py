"""`bert-crf wrap`: a stock token classifier in, a tagger out."""

import pytest
import torch
from families import FAMILIES
from kinds import tokenizer_of
from typer.testing import CliRunner

from bert_crf_command.app import app
from modeling_bert_crf.opening.tagger import open_tagger

LABELS = ["O", "B-PER", "I-PER"]
SENTENCES = [["Ada", "Lovelace", "wrote"], ["the", "rain"], ["Charles", "visited", "Ada"], ["in", "Paris"]] * 12
STRATEGIES = ("simple", "first", "average", "max")
TAGS = [["B-PER", "I-PER", "O"], ["O", "O"], ["B-PER", "O", "B-PER"], ["O", "O"]] * 12


@pytest.fixture
def stock(tmp_path):
    tokenizer = tokenizer_of(FAMILIES["bert"].kind)
    config = FAMILIES["bert"].config(tokenizer)
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {label: index for index, label in enumerate(LABELS)}
    torch.manual_seed(5)
    FAMILIES["bert"].host("ForTokenClassification")(config).save_pretrained(tmp_path / "stock")
    tokenizer.save_pretrained(tmp_path / "stock")
    return tmp_path / "stock"


@pytest.fixture
def dev(tmp_path):
    path = tmp_path / "dev.conll"
    pairs = zip(SENTENCES, TAGS, strict=True)
    path.write_text("\n".join("".join(f"{w}\t{t}\n" for w, t in zip(*pair, strict=True)) for pair in pairs))
    return path


def run(*words):
    return CliRunner().invoke(app, ["wrap", *map(str, words)])


def test_a_stock_classifier_becomes_a_tagger(stock, tmp_path):
    result = run(stock, tmp_path / "out")

    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'out'} is a tagger" in result.output
    tagger = open_tagger(str(tmp_path / "out"))
    assert tagger.model.config.scheme == "IOB2"
    assert tagger.model.config.operating_points is None


def test_the_ways_to_decode_are_compared_and_the_fit_is_stored(stock, dev, tmp_path):
    result = run(stock, tmp_path / "out", "--fit", dev)

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "3 labels, in IOB2"
    ways = ["argmax, strict", "argmax, as conlleval reads it", *(f"stock pipeline, {one}" for one in STRATEGIES)]
    assert [line[:34].strip() for line in lines[2:9]] == [*ways, "chain, not fitted"]
    assert any(line.startswith("stored: all scores") for line in lines)
    assert open_tagger(str(tmp_path / "out")).model.crf.transitions.any()


def test_a_folder_that_is_not_empty_is_left_alone(stock, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()

    result = run(stock, tmp_path / "out")

    assert result.exit_code == 1
    assert "must not exist, or be an empty folder" in result.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_what_is_no_classifier_is_refused_in_one_sentence(tmp_path):
    result = run(tmp_path / "nothing", tmp_path / "out")

    assert result.exit_code == 1
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
