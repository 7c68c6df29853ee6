"""Tags that are known in part only: from every door to the loss, and what of them is scored."""

import itertools
import json
import math
import pickle

import oracle
import pytest
import torch
from conftest import LABELS

from modeling_bert_crf.readers.datasets import read_dataset
from modeling_bert_crf.readers.files import read_file
from modeling_bert_crf.readers.labelled import understand
from modeling_bert_crf.readers.partial import PartialTag, part_of, project
from modeling_bert_crf.readers.sentences import DataError
from modeling_bert_crf.readers.units import Units
from modeling_bert_crf.schemes import constraints, tags_to_spans
from modeling_bert_crf.scores.metrics import score_tags
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset

KINDS = ["LOC", "PER"]


@pytest.fixture
def write(tmp_path):
    def make(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return make


def known_tags_of(path, **options):
    return [sentence.tags for sentence in understand(read_file(path, **options)).sentences]


def loss_of(model, tokenizer, sentences):
    """The model's loss of sentences, in nats for all of them, and its scores, through the program's own batches."""
    dataset = TaggingDataset(sentences, tokenizer, model.config.labels)
    batch = TaggingCollator(0)([dataset[row] for row in range(len(dataset))])
    output = model(**batch, num_items_in_batch=1)
    rows = [scores[mask.bool()] for scores, mask in zip(output.emissions, batch["word_mask"], strict=True)]
    return float(output.loss), rows


def expected_loss(model, emissions, sets):
    """By the definition: the paths that obey the rules, and those of them that agree with each word's set."""
    crf, labels = model.crf, model.config.labels
    rules = constraints(labels, "IOB2")
    scores = [crf.start_transitions, crf.end_transitions, crf.transitions]
    chain = oracle.Chain(emissions.tolist(), *(one.tolist() for one in scores), *rules)
    paths = {path: score for path, score in chain.paths().items() if score > -math.inf}
    agreeing = [s for path, s in paths.items() if all(labels[tag] in own for tag, own in zip(path, sets, strict=True))]
    return oracle.log_sum(paths.values()) - oracle.log_sum(agreeing)


ALL = set(LABELS)
OTHERS = ALL - {"B-LOC", "I-LOC"}
SETS = [[{"B-PER"}, ALL, {"O", "B-PER"}, {"B-LOC"}], [ALL, {"I-PER"}, ALL - {"I-PER", "B-LOC"}]]
TEXT = "Ada\tB-PER\nLovelace\t_\nvisited\tB-PER|O\nParis\tB-LOC\n\nAda\t?\nLovelace\tI-PER\nin\t!I-PER|B-LOC\n"


@torch.no_grad()
def test_the_loss_of_a_file_is_that_of_all_taggings_that_agree_with_it(make_model, tokenizer, write):
    model = make_model().double()
    model.crf.double()

    loss, rows = loss_of(model, tokenizer, understand(read_file(write("a.conll", TEXT))).sentences)

    expected = sum(expected_loss(model, scores, sets) for scores, sets in zip(rows, SETS, strict=True))
    assert loss == pytest.approx(expected, abs=1e-9)
