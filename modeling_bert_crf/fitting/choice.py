"""What of a fit is worth keeping: what gains on sentences that it was not made of.

A chain fitted by likelihood has the better probabilities, and often the worse path: it opens too few entities, since a
doubtful one is more often wrong than right. So the scores are chosen by likelihood, and then one bias on opening an
entity by F1; both are judged on folds of the data that they were not fitted to.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..crf import LinearChainCRF
from .likelihood import PENALTY, ChainFit, Chains, fit_chain, fit_temperature, nll_of, unfitted
from .paths import Counts, Reader, add

FOLDS = 5
BIASES = tuple(step / 4 for step in range(-8, 9))
"""Of opening an entity, in nats: what is tried."""


class Candidate(NamedTuple):
    """A way to fit a chain, on sentences that it was not fitted to."""

    name: str
    nll: float  # nats for each known tag
    f1: float  # of the best paths, without a bias
    biased_f1: float  # with a bias that was chosen on the other folds
    bias: float  # chosen on all folds


class Choice(NamedTuple):
    """What is kept of a fit."""

    fit: ChainFit
    biases: dict[str, float]  # of the paths
    candidates: list[Candidate]
    chosen: str


def opening(bias: float) -> dict[str, float]:
    """Return the biases of a bias on opening an entity, wherever it opens."""
    return dict.fromkeys(("background_to_start", "end_to_start", "start_to_start"), bias) if bias else {}


def choose(
    chains: Chains,
    crf: LinearChainCRF,
    labels: Sequence[str],
    scheme: str | None,
    penalty: float = PENALTY,
    seed: int = 0,
) -> Choice:
    """Fit a chain, and keep what gains on held-out folds.

    Three candidates are compared: the chain as it is, its temperature alone (which changes no path where all scores
    are 0), and all its scores. Chosen is the one with the best likelihood among those whose paths, with a bias on
    opening an entity where that gains, are no worse than those of the chain as it is.

    Args:
        chains: labelled; at least two.
        crf: with its rules, and its scores before the fit.
        labels: the model's tags.
        scheme: by which they are read, `config.span_scheme`.
        penalty: of `fit_chain`.
        seed: of the folds.

    Raises:
        ValueError: if there are fewer than two chains; or as by `fit_chain`.
    """
    if len(chains.tags) < 2:
        raise ValueError(
            f"at least two sentences are needed to fit on one part and judge on another, got {len(chains.tags)}"
        )
    reader = Reader(labels, scheme, crf)
    parts = _folds(chains, seed)
    ways: dict[str, Callable[[Chains, ChainFit], ChainFit]] = {
        "as it is": lambda some, start: start,
        "temperature": lambda some, start: fit_temperature(some, crf, start),
        "all scores": lambda some, start: fit_chain(some, crf, penalty, start),
    }
    candidates, fits = [], {}
    for name, fit in ways.items():
        fits[name] = fit(chains, unfitted(crf))
        biases = BIASES if name != "as it is" else (0.0,)  # with a temperature, its paths are the same
        judged = []
        for rest, held in parts:
            own = fit(rest, fits[name])
            counts = {bias: add(reader.count(held, own, opening(bias))) for bias in biases}
            judged.append((nll_of(held, crf, own) * held.known, counts))
        candidates.append(_judge(name, judged, chains.known))
    as_it_is = candidates[0]
    able = [one for one in candidates if max(one.f1, one.biased_f1) >= as_it_is.f1]
    best = min(able, key=lambda one: one.nll)
    biases = opening(best.bias) if best.biased_f1 > best.f1 else {}
    return Choice(fits[best.name], biases, candidates, best.name)


def _folds(chains: Chains, seed: int) -> list[tuple[Chains, Chains]]:
    """Return for each fold the chains outside of it and those in it."""
    count = len(chains.tags)
    fold_of = [index % min(FOLDS, count) for index in range(count)]
    random.Random(seed).shuffle(fold_of)
    groups = [[index for index in range(count) if fold_of[index] == fold] for fold in range(min(FOLDS, count))]
    return [(chains.of(sorted({*range(count)} - {*held})), chains.of(held)) for held in groups]


def _judge(name: str, parts: Sequence[tuple[float, Mapping[float, Counts]]], known: int) -> Candidate:
    """Judge a way to fit by what it did on each fold: negative log likelihood in nats, and counts by bias."""

    def f1(bias: float, without: int | None = None) -> float:
        return add([counts[bias] for index, (_, counts) in enumerate(parts) if index != without]).f1

    def best(without: int | None = None) -> float:  # of equally good ones the smallest
        return max(parts[0][1], key=lambda bias: (f1(bias, without), -abs(bias)))

    nested = add([counts[best(without=index)] for index, (_, counts) in enumerate(parts)]).f1
    return Candidate(name, sum(nll for nll, _ in parts) / known, f1(0.0), nested, best())


__all__ = ["BIASES", "Candidate", "Choice", "choose", "opening"]
