"""Texts with spans for the verbs that have a finished tagger: they are split as the tagger splits texts."""

import pytest
from exports import brat, lines
from transformers import BertForTokenClassification
from typer.testing import CliRunner

from bert_crf_command.app import app
from bert_crf_command.labelled import Asked, read_labelled
from modeling_bert_crf.readers.sentences import DataError

TEXT = "Oslo-based Ann. So it is."


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "dev.jsonl"
    path.write_text(lines({"text": TEXT, "entities": [[0, 4, "LOC"], [11, 14, "PER"]]}))
    return path


def test_texts_are_split_as_the_tagger_has_learnt(make_model, tokenizer, data, tmp_path, capsys):
    config = make_model(word_splitter="blanks", text_unit="text").config

    capsys.readouterr()  # what the host says of loading
    read = read_labelled(data, Asked(), tokenizer, config)
    assert [one.words for one in read.sentences] == [["Oslo", "-based", "Ann", ".", "So", "it", "is."]]
    assert capsys.readouterr().err.splitlines()[:2] == [
        "type  spans  kept  moved  split  dropped",
        "LOC       1     0      0      1        0",
    ]
    read = read_labelled(data, Asked(on_misaligned="expand"), tokenizer, config)
    assert [one.tags for one in read.sentences] == [["B-LOC", "B-PER", "O", "O", "O"]]
    folder = brat(tmp_path / "brat", [(TEXT, [(0, 4, "LOC"), (2, 6, "PER")])])
    with pytest.raises(
        DataError, match=r"must not overlap, .* got PER 'lo-b' at .*brat:0.txt, characters 2 to 6 with"
    ):
        read_labelled(folder, Asked(), tokenizer, config)
    assert read_labelled(folder, Asked(on_overlap="first"), tokenizer, config).scheme == "IOB2"


@pytest.mark.parametrize("verb", ["wrap", "threshold", "export", "evaluate", "errors", "compare"])
def test_each_verb_passes_its_options_on(verb, make_model, tokenizer, encoder_folder, data, tmp_path):
    data.write_text(lines({"text": "Osloward Ann.", "entities": [[0, 4, "LOC"], [2, 12, "PER"]]}))
    folder = tmp_path / "model"
    if verb == "wrap":
        labels = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
        BertForTokenClassification.from_pretrained(encoder_folder, id2label=labels).save_pretrained(folder)
    else:
        make_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    arguments = {
        "wrap": [folder, tmp_path / "out", "--fit", data],
        "threshold": [folder, "--data", data, "--recall", "0.5"],
        "export": [folder, tmp_path / "out", "--sentences", data],
        "evaluate": [folder, data],
        "errors": [folder, data],
        "compare": [folder, folder, data],
    }[verb]

    def said(*options):
        result = CliRunner().invoke(app, [verb, *map(str, arguments), *options])
        assert result.exit_code == 1
        return " ".join(result.output.split())

    assert "--data_format must be one of conll, conllu, jsonl, doccano" in said("--data_format", "words")
    assert "annotations must not overlap, since a word has one tag, got PER 'loward Ann'" in said()
    kept = said("--on_overlap", "first", "--on_misaligned", "error")
    assert "annotations must end where words do, got LOC 'Oslo' at" in kept
