"""Real labelled sentences as texts with spans, in each format, and back: those of the folder LABELLED_DATA."""

import os
from functools import partial
from pathlib import Path

import pytest
from exports import brat, exports_of

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
