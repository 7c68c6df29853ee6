"""Entities and regions that are known: paths and probabilities given them."""

import itertools
import math
import random
from types import SimpleNamespace

import pytest
import torch

from modeling_bert_crf import BertBiLSTMCRFPipeline, LinearChainCRF
from modeling_bert_crf.entities import read_entities
from modeling_bert_crf.known_spans import Rules, allowed_tags
from modeling_bert_crf.readers.conversion import first_violation
from modeling_bert_crf.schemes import constraints, tags_to_spans
from modeling_bert_crf.text_layout import Text
from modeling_bert_crf.words import Window

LABELS = {
    "IO": ["O", "I-X", "I-Y"],
    "IOB2": ["O", "B-X", "I-X", "B-Y", "I-Y"],
    "BIOES": ["O", "B-X", "I-X", "E-X", "S-X", "S-Y"],
    None: ["O", "X", "Y"],
}


def crf_of(scheme):
    crf = LinearChainCRF(len(LABELS[scheme])).double()
    for buffer, rule in zip(
        (crf.allowed_starts, crf.allowed_ends, crf.allowed_transitions),
        constraints(LABELS[scheme], scheme),
        strict=True,
    ):
        buffer.copy_(torch.tensor(rule))
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.normal_()
    return crf


def score_of(tags, emissions, crf):
    start, end, moves = (getattr(crf, f"{name}transitions").tolist() for name in ("start_", "end_", ""))
    score = start[tags[0]] + end[tags[-1]] + sum(moves[one][two] for one, two in itertools.pairwise(tags))
    return score + sum(row[tag] for row, tag in zip(emissions, tags, strict=True))


def text_of(count):
    """Words of two letters, joined by blanks, as one chain."""
    spans = [(3 * index, 3 * index + 2) for index in range(count)]
    return Text(" ".join(["ab"] * count), spans, [[Window([], [], [], range(count))]])


def agrees(tags, known, scheme):
    """Say whether a tagging agrees with what is known in words: (first, end, kinds)."""
    spans = set(tags_to_spans(tags, scheme))
    return all(
        any((first, end, kind) in spans for kind in kinds) if kinds else set(tags[first:end]) == {"O"}
        for first, end, kinds in known
    )


def drawn(rng, count, scheme):
    known, start = [], 0
    while start < count:
        end = rng.randint(start + 1, count)
        kinds = rng.choice(
            [("X",), ("Y",), (), None, None] if scheme != "BIOES" or end - start == 1 else [("X",), (), None]
        )
        if scheme == "IOB2" and rng.random() < 0.3:
            kinds = ("X", "Y")
        if kinds is not None:
            known.append((start, end, kinds))
        start = end + rng.randint(0, 1)
    return known


@pytest.mark.parametrize("scheme", LABELS)
@pytest.mark.parametrize("cases", [50, pytest.param(2_500, marks=pytest.mark.slow)])
def test_paths_and_probabilities_are_those_of_the_taggings_that_agree(scheme, cases):
    labels, crf, rng = LABELS[scheme], crf_of(scheme), random.Random(3)
    rules = Rules(*(rule.tolist() for rule in (crf.allowed_starts, crf.allowed_ends, crf.allowed_transitions)))
    model = SimpleNamespace(config=SimpleNamespace(labels=labels, span_scheme=scheme), crf=crf)
    tested = 0
    while tested < cases:
        count = rng.randint(1, 5)
        known = drawn(rng, count, scheme)
        emissions = torch.randn(count, len(labels), dtype=torch.float64)
        scores = {
            tags: score_of(tags, emissions.tolist(), crf)
            for tags in itertools.product(range(len(labels)), repeat=count)
            if (scheme is None or first_violation([labels[tag] for tag in tags], scheme) is None)
            and agrees([labels[tag] for tag in tags], known, scheme)
        }
        given = [
            (3 * first, 3 * end - 1, list(kinds) if len(kinds) > 1 else kinds[0] if kinds else "O")
            for first, end, kinds in known
        ]
        if not scores:
            with pytest.raises(ValueError, match=r"^text 7: what is known must (agree|leave a tagging)"):
                allowed_tags(text_of(count), given, labels, scheme, rules, "text 7")
            continue
        tested += 1

        (allowed,) = allowed_tags(text_of(count), given, labels, scheme, rules, "text 7")
        restricted = emissions.masked_fill(~torch.tensor(allowed), -torch.inf)

        mask = torch.ones(1, count, dtype=torch.bool)
        paths, best = crf.decode(restricted[None], mask)
        total = math.fsum(map(math.exp, scores.values()))
        assert best.item() == pytest.approx(max(scores.values()), abs=1e-9)
        assert tuple(paths[0].tolist()) == max(scores, key=scores.get)
        marginals = crf.marginals(restricted[None], mask)[0]
        for word, tag in itertools.product(range(count), range(len(labels))):
            wanted = math.fsum(math.exp(score) for tags, score in scores.items() if tags[word] == tag) / total
            assert marginals[word, tag].item() == pytest.approx(wanted, abs=1e-9)
        for _, start, end, kind, score in read_entities(model, restricted[None], mask, paths):
            wanted = math.fsum(
                math.exp(one)
                for tags, one in scores.items()
                if (start, end, kind) in tags_to_spans([labels[tag] for tag in tags], scheme)
                and tags[start:end] == tuple(paths[0, start:end].tolist())
            )
            assert score == pytest.approx(wanted / total, abs=1e-9)


@pytest.fixture
def pipe(make_model, tokenizer):
    return BertBiLSTMCRFPipeline(model=make_model(), tokenizer=tokenizer)


TEXT = "Ada Lovelace visited Paris in the rain"


def test_a_known_entity_is_found_with_certainty_and_a_known_gap_stays_empty(pipe):
    known = [(4, 12, "LOC"), (13, 26, "O")]

    (found,) = [one for one in pipe(TEXT, known=known) if one["start"] < 26 and one["end"] > 4]

    assert {**found, "score": None} == {
        "entity_group": "LOC",
        "score": None,
        "word": "Lovelace",
        "start": 4,
        "end": 12,
    }
    assert found["score"] == pytest.approx(1.0)


def test_lists_of_texts_and_of_words_take_what_is_known_of_each(pipe):
    words = TEXT.split()
    alone = pipe(TEXT, known=[(0, 12, ["PER", "LOC"])])

    together = pipe([TEXT, "the rain", TEXT], known=[[(0, 12, ["PER", "LOC"])], [], []])

    assert together[0] == alone
    assert together[2] == pipe(TEXT)
    assert pipe(words, is_split_into_words=True, known=[(0, 12, "PER")])[0][0]["word"] == "Ada Lovelace"


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (
            [(0, 3)],
            r"^text 1: something known must be \(start, end, type\), with a type or several of LOC, PER, or 'O'",
        ),
        ([(0, 3, "ORG")], r"or 'O', got \(0, 3, 'ORG'\)"),
        ([(0, 3, [])], r"or 'O', got \(0, 3, \[\]\)"),
        ([("0", 3, "PER")], r"or 'O', got \('0', 3, 'PER'\)"),
        ([(0, 39, "PER")], r"must lie in the text of 38 characters, got \(0, 39, 'PER'\)"),
        ([(3, 4, "PER")], r"something known must have a word, got \(3, 4, 'PER'\)"),
        ([(0, 6, "PER")], r"must begin and end where words do, as \(0, 12\) does, got \(0, 6, 'PER'\)"),
        ([(0, 3, "PER"), (0, 12, "O")], r"must agree, got \(0, 12, 'O'\) and \(0, 3, 'PER'\)"),
        ([(0, 3, "PER"), (0, 12, "PER")], r"must agree, got \(0, 12, 'PER'\) and \(0, 3, 'PER'\)"),
    ],
)
def test_what_cannot_be_true_is_refused(pipe, known, message):
    with pytest.raises(ValueError, match=message):
        pipe(TEXT, known=known)


def test_what_is_known_must_fit_the_inputs(pipe):
    with pytest.raises(ValueError, match="known must say something of each of 2 texts, got 1"):
        pipe([TEXT, TEXT], known=[[]])
    with pytest.raises(ValueError, match="known needs a text or a list of them, got generator"):
        pipe((text for text in [TEXT]), known=[[]])


def test_several_types_need_a_scheme_that_keeps_words_together(make_model, tokenizer):
    pipe = BertBiLSTMCRFPipeline(model=make_model(tag_scheme=None), tokenizer=tokenizer)

    assert pipe(TEXT, known=[(0, 3, ["PER", "LOC"])])[0]["word"] == "Ada"
    with pytest.raises(ValueError, match="one type must be named where no rule of a scheme keeps the words"):
        pipe(TEXT, known=[(0, 12, ["PER", "LOC"])])


def test_an_entity_over_two_sentences_is_refused(pipe):
    with pytest.raises(ValueError, match="a known entity must lie in one sentence"):
        pipe("Ada sang. Paris", known=[(4, 15, "PER")])
