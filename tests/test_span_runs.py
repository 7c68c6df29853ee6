"""Runs on texts with spans: whatever tool they come from, and however they are read, the run is one and the same."""

import json
import logging
import re

import datasets
import pytest
import torch
from exports import brat, exports_of, lines, project

import run_ner
from modeling_bert_crf.opening.tagger import open_tagger
from modeling_bert_crf.readers.documents import Annotation, Document
from modeling_bert_crf.training.arguments import given_options, parse_arguments
from modeling_bert_crf.training.dataset import TaggingCollator
from modeling_bert_crf.training.overview import overview
from modeling_bert_crf.training.split_datasets import make_datasets
from modeling_bert_crf.training.splits import read_splits
from modeling_bert_crf.training.splitter_choice import choose_text_splitter
from modeling_bert_crf.training.starting_model import load_model

TEXTS = [("Ada visited Paris. It rained.", [(0, 3, "PER"), (12, 17, "LOC")]), ("Oslo-based Ann!", [(0, 4, "LOC")])]


@pytest.fixture
def start(command):
    """Do what a run does before it trains; return its splits, its model and its data sets."""

    def begin(**options):
        argv = command(**options)
        arguments = parse_arguments(argv)
        splits = read_splits(arguments[1], arguments[2], arguments[0])
        model, tokenizer = load_model(arguments[0], arguments[1], splits, given_options(argv))
        return splits, model, make_datasets(splits, tokenizer, model, arguments[1])

    return begin


def batches(dataset):
    collate = TaggingCollator(0)
    rows = [dataset[index] for index in range(len(dataset))]
    return [collate(rows[first : first + 7]) for first in range(0, len(rows), 7)]


def test_five_exports_of_one_project_are_one_data_set(start, tmp_path):
    data = project(60)
    exports = exports_of(data)
    paths = [brat(tmp_path / "brat", data)]
    for name in ("doccano", "label-studio", "prodigy", "plain"):
        file, text = exports[name]
        paths.append(tmp_path / f"{name}-{file}")
        paths[-1].write_bytes(text.encode())
    read = []
    for path in paths:
        splits, model, found = start(train_file=path, do_eval=None, do_predict=None)
        read.append((model.config.labels, model.config.word_splitter, batches(found["train"])))
        assert splits["train"].account.total("dropped") == 0

    first_labels, first_splitter, first = read[0]
    assert len(first) > 20
    assert any((batch["labels"] > 0).any() for batch in first)
    for labels, splitter, other in read[1:]:
        assert (labels, splitter) == (first_labels, first_splitter)
        assert [batch.keys() for batch in other] == [batch.keys() for batch in first]
        for one, another in zip(first, other, strict=True):
            assert all(torch.equal(one[name], another[name]) for name in one)


def test_a_run_says_what_became_of_the_spans(start, tmp_path, caplog):
    path = tmp_path / "train.jsonl"
    path.write_text(lines(*({"text": text, "label": spans} for text, spans in TEXTS)))
    with caplog.at_level(logging.WARNING):
        splits, model, found = start(train_file=path, do_predict=None)
        said = overview(found, splits)

    assert said.splitlines()[:4] == [
        "train: type  spans  kept  moved  split  dropped",
        "train: LOC       2     2      0      0        0",
        "train: PER       1     1      0      0        0",
        "train: all       3     3      0      0        0",
    ]
    assert f"{path}: read as doccano: texts with spans" in caplog.text
    assert "texts are split into words by 'tokenizer': 100 % of the ends of annotations are" in caplog.text
    assert splits["validation"].splitter == "tokenizer" == model.config.word_splitter


def test_the_splitter_is_the_one_that_keeps_most_ends(tokenizer):
    def document(text, *words):
        marks = [Annotation(text.index(word), text.index(word) + len(word), "X") for word in words]
        return Document(text, marks, "data.jsonl", "1")

    # The tokenizer's words end at each apostrophe and hyphen; the others' end where these do, or not at all.
    assert choose_text_splitter([document("Ada's Jean-Paul", "Ada", "Jean")], tokenizer) == ("tokenizer", 1.0)
    assert choose_text_splitter([document("Ada doesn't", "Ada", "n't")], tokenizer) == ("unicode_clitics", 1.0)
    assert choose_text_splitter([document("Ada doesn't x", "Ada", "n't", "oesn")], tokenizer)[1] == 4 / 6


def test_a_finished_tagger_splits_texts_as_it_has_learnt(start, make_model, tokenizer, tmp_path):
    folder = tmp_path / "tagger"
    make_model(word_splitter="blanks", text_unit="text").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = tmp_path / "test.jsonl"
    path.write_text(lines({"text": "Oslo-based Ann. So it is.", "entities": [[0, 4, "LOC"]]}))
    options = {"model_name_or_path": folder, "test_file": path, "do_train": None, "do_eval": None}

    splits, _, _ = start(**options)
    assert [one.words for one in splits["test"].sentences] == [["Oslo", "-based", "Ann.", "So", "it", "is."]]
    splits, _, _ = start(**options, on_misaligned="expand")
    assert [one.tags for one in splits["test"].sentences] == [["B-LOC", "O", "O", "O", "O"]]


def test_a_data_set_of_texts_with_spans_is_read_like_a_file(start, tmp_path):
    rows = [
        {"text": text, "spans": [{"start": start, "end": end, "label": kind} for start, end, kind in spans]}
        for text, spans in TEXTS
    ]
    folder = tmp_path / "dataset"
    datasets.DatasetDict({name: datasets.Dataset.from_list(rows) for name in ("train", "test")}).save_to_disk(folder)
    path = tmp_path / "train.jsonl"
    path.write_text(lines(*rows))
    files = {f"{name}_file": None for name in ("train", "validation", "test")}

    splits, _, _ = start(dataset_name=folder, **files, do_eval=None)
    (same, _, _) = start(train_file=path, do_eval=None, do_predict=None)
    read = [[(one.words, one.tags) for one in part.sentences] for part in (splits["train"], same["train"])]
    assert read[0] == read[1] == [(one.words, one.tags) for one in splits["test"].sentences]
    assert splits["train"].splitter == "tokenizer"


def test_texts_with_spans_may_be_streamed(start, tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps([{"text": text, "entities": spans} for text, spans in TEXTS]))
    labels = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    options = {"train_file": path, "streaming": True, "max_steps": 2, "label_list": labels, "do_eval": None}

    splits, _, found = start(**options, do_predict=None)
    for _ in range(2):  # epochs
        assert [one.words[0] for one in found["train"].read()] == ["Ada", "It", "Oslo"]
    assert splits["train"].account.total("kept") == 3


def test_a_tagger_is_trained_on_texts_with_spans(command, tmp_path, capsys, encoder_folder):
    path = tmp_path / "train.jsonl"
    path.write_text(lines(*({"text": text, "entities": spans} for text, spans in TEXTS * 3)))
    run_ner.main(command(train_file=path, validation_file=path, test_file=path))

    assert "train: PER       3     3      0      0        0" in capsys.readouterr().out
    assert open_tagger(str(tmp_path / "out"))("Ada visited Paris.") is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data_format": "ConLL"}, "--data_format must be one of conll, conllu, jsonl, doccano, .*, got 'ConLL'"),
        ({"model_name_or_path": "no/such"}, "--model_name_or_path"),
        ({"data_format": "gliner"}, "train.jsonl:1: 'tokenized_text' must be a list of words, got None"),
    ],
)
def test_what_cannot_be_read_is_refused(command, error_of, tmp_path, options, message):
    path = tmp_path / "train.jsonl"
    path.write_text(lines(*({"text": text, "entities": spans} for text, spans in TEXTS)))

    assert re.search(message, error_of(command(train_file=path, **options)))
