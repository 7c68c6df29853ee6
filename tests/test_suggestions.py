"""What to label next, and what is labelled wrong."""

import itertools
import math
import random
from types import SimpleNamespace

import oracle
import pytest
import torch
from test_known_spans import LABELS, crf_of, score_of

from modeling_bert_crf.readers.conversion import first_violation
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.schemes import tags_to_spans
from modeling_bert_crf.suggestions.doubts import Doubt, doubts_of, gravest, improbability
from modeling_bert_crf.suggestions.folds import folds_of
from modeling_bert_crf.suggestions.reading import Chain
from modeling_bert_crf.suggestions.uncertainty import entities_of, uncertainty
from modeling_bert_crf.suggestions.variety import varied


def model_of(scheme, crf):
    return SimpleNamespace(config=SimpleNamespace(labels=LABELS[scheme], span_scheme=scheme), crf=crf)


def taggings(length, scheme, crf):
    """Every legal tagging of a chain with random scores, with its probability, by enumeration; and the scores."""
    emissions = torch.randn(length, len(LABELS[scheme]), dtype=torch.float64)
    scores = {}
    for path in itertools.product(range(len(LABELS[scheme])), repeat=length):
        tags = [LABELS[scheme][tag] for tag in path]
        if first_violation(tags, scheme) is None:
            scores[path] = score_of(path, emissions.tolist(), crf)
    total = oracle.log_sum(scores.values())
    return emissions, {path: math.exp(score - total) for path, score in scores.items()}


def doubts_by_enumeration(gold, probabilities, scheme, paths=5):
    """The definition at the top of doubts.py, by lists of taggings."""
    labels = LABELS[scheme]
    read = {path: set(tags_to_spans([labels[tag] for tag in path], scheme)) for path in probabilities}

    def probability(holds):
        return math.fsum(p for path, p in probabilities.items() if holds(path))

    def empty(span):
        return probability(lambda path: all(labels[path[word]] == "O" for word in range(span[0], span[1])))

    def meets(one, other):
        return bool({*range(*one[:2])} & {*range(*other[:2])})

    best = sorted(probabilities, key=probabilities.get, reverse=True)[:paths]
    found = {span: probability(lambda path, own=span: own in read[path]) for path in best for span in read[path]}
    expected, taken = [], []
    for span in gold:
        there = {one: p for one, p in found.items() if one not in gold and meets(one, span)} | {None: empty(span)}
        other = max(there, key=there.get)
        expected.append((span, probability(lambda path, own=span: own in read[path]), other, there[other]))
    for span in sorted(found, key=found.get, reverse=True):
        if not any(meets(span, one) for one in [*gold, *taken]):
            taken.append(span)
            expected.append((None, empty(span), span, found[span]))
    return sorted(expected, key=lambda one: one[1])


@pytest.mark.parametrize("scheme", ["IO", "IOB2", "BIOES"])
def test_the_doubts_of_a_sentence_are_those_that_enumeration_finds(scheme):
    labels, rng = LABELS[scheme], random.Random(3)
    crf = crf_of(scheme)
    chains, expected = [], []
    for length in [1, 2, 3, 4, 5] * 4:
        emissions, probabilities = taggings(length, scheme, crf)
        gold = rng.choice(list(probabilities))
        tags = [labels[tag] for tag in gold]
        sentence = Sentence(["w"] * length, tags, "file", list(range(length)))
        chains.append(Chain(sentence, list(range(length)), tags, emissions, torch.tensor(gold)))
        expected.append(doubts_by_enumeration(tags_to_spans(tags, scheme), probabilities, scheme))

    found = doubts_of(model_of(scheme, crf), chains)

    assert sum(map(len, found)) > 20
    for own, other in zip(found, expected, strict=True):
        assert [(one.gold, one.other) for one in own] == [(gold, rival) for gold, _, rival, _ in other]
        figures = [figure for one in own for figure in (one.probability, one.other_probability)]
        assert figures == pytest.approx([p for _, one, _, two in other for p in (one, two)], abs=1e-9)
        assert improbability(own) == pytest.approx(max([1 - one for _, one, _, _ in other], default=0), abs=1e-9)


def test_an_entity_of_a_type_that_the_tagger_does_not_know_is_impossible():
    crf = crf_of("IOB2")
    tags = ["B-X", "B-NEW", "I-NEW"]
    sentence = Sentence(["a", "b", "c"], tags, "file", [1, 2, 3])
    chain = Chain(sentence, [0, 1, 2], tags, torch.zeros(3, 5).double(), torch.tensor([1, -100, -100]))

    found = doubts_of(
        SimpleNamespace(config=SimpleNamespace(labels=LABELS["IOB2"], span_scheme="IOB2"), crf=crf), [chain]
    )[0]

    assert (found[0].gold, found[0].probability) == ((1, 3, "NEW"), 0.0)
    assert {one.gold for one in found} >= {(0, 1, "X")}


def test_a_doubt_over_sub_tokens_is_told_in_words():
    crf = crf_of(None)
    sentence = Sentence(["Oslo", "is"], ["X", "O"], "file", [1, 2])
    emissions = torch.tensor([[0.0, 9, 0], [0, 9, 0], [9, 0, 0], [9, 0, 0]]).double()
    chain = Chain(sentence, [0, 0, None, 1], ["X", "X", "O", "O"], emissions, torch.tensor([1, 1, 0, 0]))
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.zero_()

    found = doubts_of(
        SimpleNamespace(config=SimpleNamespace(labels=LABELS[None], span_scheme=None), crf=crf), [chain]
    )[0]

    assert (0, 1, "X") in [one.gold for one in found]


def test_doubts_are_written_for_people_and_for_programs():
    words, places = ["in", "New", "York"], [(0, 2), (3, 6), (7, 11)]
    longer = Doubt((2, 3, "LOC"), 0.125, (1, 3, "LOC"), 0.75)
    missing = Doubt(None, 0.25, (1, 3, "LOC"), 0.5)

    assert longer.described(words) == "'York' is labelled LOC (0.12), rather 'New York' LOC (0.75)"
    assert missing.described(words) == "'New York' is not labelled (0.25), rather LOC (0.50)"
    assert missing.as_row(places) == {
        "labelled": None,
        "probability": 0.25,
        "rather": {"entity_group": "LOC", "start": 3, "end": 11},
        "rather_probability": 0.5,
    }
    agreed = Doubt((1, 2, "LOC"), 0.75, None, 0.25)
    assert gravest([agreed, agreed, longer]) == [agreed, longer]


def test_the_uncertainty_of_a_text_is_that_of_all_taggings_of_its_chains():
    crf = crf_of("IOB2")
    chains = [taggings(length, "IOB2", crf)[1] for length in (2, 3)]
    together = sorted((one * other for one in chains[0].values() for other in chains[1].values()), reverse=True)
    rankings = []
    for probabilities in chains:
        best = sorted(probabilities.values(), reverse=True)[:2]
        entropy = -math.fsum(p * math.log(p) for p in probabilities.values())
        rankings.append({"entropy": entropy, "paths": [{"probability": p, "entities": []} for p in best]})

    assert uncertainty(rankings, "entropy") == pytest.approx(-math.fsum(p * math.log(p) for p in together))
    assert uncertainty(rankings, "probability") == pytest.approx(1 - together[0])
    assert uncertainty(rankings, "margin") == pytest.approx(1 - together[0] + together[1])


def test_a_text_without_words_is_certain_and_one_without_a_likely_tagging_is_not():
    alone = [{"entropy": 0.0, "paths": [{"probability": 1.0, "entities": ["found"]}]}]
    lost = [{"entropy": 900.0, "paths": []}, *alone]

    for by in ("entropy", "probability", "margin"):
        assert uncertainty([], by) == uncertainty(alone, by) == 0
    assert [uncertainty(lost, by) for by in ("entropy", "probability", "margin")] == [900, 1, 1]
    assert entities_of(lost) == ["found"]


def test_near_copies_stand_behind_what_is_new():
    texts = [
        ["the", "rain", "in", "Oslo", "today"],
        ["page", "12", "of", "the", "report"],
        ["The", "Rain", "in", "Oslo"],  # 4 of 5 words are those of the first
        ["Page", "9", "of", "the", "report"],
        ["the", "snow", "on", "the", "mountain"],  # 1 of 9
        [],
    ]

    assert varied(texts, [2, 1, 0, 3, 4, 5]) == [2, 1, 4, 5, 0, 3]
    assert varied(texts, [0, 5, 2]) == [0, 5, 2]


def test_near_copies_are_those_that_a_comparison_of_all_pairs_finds():
    rng = random.Random(5)
    texts = [rng.choices("abcdefghijklmnopqrst", weights=range(20, 0, -1), k=rng.randint(1, 8)) for _ in range(200)]
    order = rng.sample(range(200), 200)
    first, copies = [], []
    for number in order:
        own = {*texts[number]}
        near = any(len(own & {*texts[other]}) >= 0.5 * len(own | {*texts[other]}) for other in first)
        (copies if near else first).append(number)

    assert 20 < len(first) < 180
    assert varied(texts, order) == first + copies


def test_documents_and_copies_stay_in_one_fold():
    def sentence(text, document="0", source="a"):
        words = text.split()
        return Sentence(words, ["O"] * len(words), source, [1] * len(words), document)

    by_document = [sentence(f"{word} {number}", str(number), "b") for number in range(6) for word in ("x", "y")]
    alone = [sentence("It rained ."), sentence("it RAINED ."), *(sentence(f"Line {number}") for number in range(7))]

    folds = folds_of(by_document + alone, 3)

    assert sorted(itertools.chain.from_iterable(folds)) == list(range(21))
    assert {len(fold) for fold in folds} <= {6, 7, 8}
    fold_of = {number: index for index, fold in enumerate(folds) for number in fold}
    assert all(fold_of[number] == fold_of[number + 1] for number in (0, 2, 4, 6, 8, 10, 12))
    assert folds == folds_of(by_document + alone, 3)
    with pytest.raises(ValueError, match=r"must be a document, or a sentence of its own, for each of 9 folds, got 8"):
        folds_of(alone, 9)
