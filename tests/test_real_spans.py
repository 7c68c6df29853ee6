"""Real labelled sentences as texts with spans, in each format, and back: those of the folder LABELLED_DATA."""

import os
from functools import partial
from pathlib import Path

import pytest
from exports import brat, exports_of
from typer.testing import CliRunner

import run_ner
from bert_crf_command.app import app
from modeling_bert_crf.readers.files import read_file
from modeling_bert_crf.readers.spans import SpanRules
from modeling_bert_crf.schemes import tags_to_spans
from modeling_bert_crf.splitters import split_texts

FOLDER = os.environ.get("LABELLED_DATA")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(FOLDER is None, reason="LABELLED_DATA names no folder")]
AT_BLANKS = SpanRules(partial(split_texts, None, splitter="blanks"), by_sentence=False)


def as_text(sentence):
    """Write a sentence as a text with a blank after each word, and its entities as spans."""
    starts, text = [], ""
    for word in sentence.words:
        starts.append(len(text))
        text += word + " "
    ends = [start + len(word) for start, word in zip(starts, sentence.words, strict=True)]
    return text[:-1], [(starts[a], ends[b - 1], kind) for a, b, kind in tags_to_spans(sentence.tags, "IOB2")]


@pytest.mark.parametrize("path", sorted(Path(FOLDER or ".").glob("*/dev.conll")), ids=lambda path: path.parent.name)
def test_sentences_come_back_from_every_format(path, tmp_path):
    sentences = [one for one in read_file(path) if not any(any(map(str.isspace, word)) for word in one.words)]
    data = [as_text(one) for one in sentences]
    expected = [(one.words, one.tags) for one in sentences]
    paths = {"brat": brat(tmp_path / "brat", data)}
    for name, (file, text) in exports_of(data).items():
        paths[name] = tmp_path / f"{name} {file}"
        paths[name].write_text(text, encoding="utf-8")

    for name, written in paths.items():
        assert [(one.words, one.tags) for one in read_file(written, rules=AT_BLANKS)] == expected, name


def test_a_run_on_a_converted_set_is_the_run_on_the_set(command, tmp_path):
    """Prodigy's records say what the words are, so that nothing is left to a splitter."""
    path = Path(FOLDER) / "uner_danish_ddt" / "dev.conll"
    converted = tmp_path / "dev.jsonl"
    done = CliRunner().invoke(app, ["convert", str(path), str(converted), "--format", "prodigy"])
    assert done.exit_code == 0, done.output
    weights = []
    for name, file in (("columns", path), ("records", converted)):
        out = tmp_path / name
        run_ner.main(
            command(
                train_file=file,
                validation_file=file,
                test_file=None,
                output_dir=out,
                do_predict=None,
                text_unit="text",
            )
        )
        weights.append((out / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
