"""Operating points that keep a promise, and `bert-crf threshold`, which finds and stores them."""

import math

import numpy as np
import pytest

from modeling_bert_crf.fitting.evidence import Evidence, Found, Gold
from modeling_bert_crf.fitting.promises import Promise, choose


def drawn(rng, sentences, hardness=1.0):
    """Draw sentences of two types, with what a tagger finds in them without a bias, and with an eager one.

    The probabilities of the first are too large by `hardness`; the eager bias finds more of what is there, and more of
    what is not. Sentences are easy or hard as a whole, so that entities of one are not independent.
    """
    ease = rng.normal(0, 0.7, sentences)
    units = np.repeat(np.arange(sentences), rng.poisson(1.3, sentences))
    kinds = (rng.random(len(units)) < 0.3).astype(int)
    lengths = rng.integers(3, 20, len(units))
    doubt = rng.random(len(units))  # how hard an entity is to find
    plausible = 1 / (1 + np.exp(-ease[units] - 2.2 + 1.1 * kinds))
    gold = Gold(units, kinds, lengths)
    found = []
    for eager in (0.0, 0.12):
        hit = doubt < plausible + eager
        wrong = np.repeat(np.arange(sentences), rng.poisson(0.18 * (1 + 4 * eager) * np.exp(-0.4 * ease)))
        right = np.concatenate([np.ones(hit.sum(), bool), np.zeros(len(wrong), bool)])
        odds = np.concatenate([rng.normal(2.5, 1.2, hit.sum()), rng.normal(0.6, 1.2, len(wrong))])
        own = np.concatenate([kinds[hit], (rng.random(len(wrong)) < 0.5).astype(int)])
        size = np.concatenate([lengths[hit], rng.integers(3, 20, len(wrong))])
        covered = np.zeros((len(own), 2), int)
        covered[np.arange(len(own)), own] = size * right
        scores = 1 / (1 + np.exp(-odds * hardness))
        found.append(Found(np.concatenate([units[hit], wrong]), own, size, scores, right, covered))
    return Evidence(["X", "Y"], sentences, gold, found)


def kept_by(other, setting, promise):
    kinds = [[0], [1]] if promise.by_type else [None]
    found = setting.found(other)
    return all(other.share(found, promise.figure, promise.in_characters, one).value >= promise.target for one in kinds)


@pytest.mark.parametrize(
    ("promise", "sentences", "often"),
    [
        (Promise("precision", 0.9), 400, 0.8),
        (Promise("precision", 0.9), 150, 0.2),
        (Promise("recall", 0.85), 400, 0.8),
        (Promise("recall", 0.85, in_characters=True), 250, 0.5),
    ],
    ids=["precision", "few", "recall", "characters"],
)
def test_a_promise_is_broken_by_a_second_sample_no_more_often_than_the_confidence_says(promise, sentences, often):
    rng, draws = np.random.default_rng(11), 600
    made = broken = 0
    for _ in range(draws):
        choice = choose(drawn(rng, sentences), promise)
        if choice.setting is not None:
            made += 1
            broken += not kept_by(drawn(rng, sentences), choice.setting, promise)

    print(made, broken)
    assert made >= often * draws
    # Three standard errors above one in ten, of what is counted.
    assert broken <= draws * (0.1 + 3 * math.sqrt(0.09 / draws))
