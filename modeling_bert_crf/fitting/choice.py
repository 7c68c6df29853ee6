"""What of a fit is worth keeping: what gains on sentences that it was not made of.

A chain fitted by likelihood has the better probabilities, and often the worse path: it opens too few entities, since a
doubtful one is more often wrong than right. And the more freely its scores may move, the more it learns of these
sentences alone: how frequent each type is among them, say, which is another matter in another text. So there are
several candidates, from the most cautious on: the chain as it is, and fits with smaller and smaller penalties, each
without and with a bias on opening an entity. Of these the most cautious is kept whose F1 on held-out folds is not
clearly worse than that of the best. All of its scores are then divided by the temperature that suits best the
probabilities of the entities that are found in the held-out folds.

References:
    L. Breiman, J. Friedman, R. Olshen, C. Stone, "Classification and regression trees", 1984, sec. 3.4.3: the rule of
    one standard error.
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from .. import BiLSTMCRFForTokenClassification
from ..crf import LinearChainCRF
from ..scores.calibration import best_temperature
from .likelihood import ChainFit, Chains, fit_chain, nll_of, scaled, unfitted
from .paths import Counts, Reader, add

FOLDS = 5
PENALTIES = (math.inf, 300.0, 100.0, 30.0, 10.0)
"""Of `fit_chain`: what is tried. With the first the chain is as it is."""
BIASES = tuple(step / 2 for step in range(-2, 5))
"""Of opening an entity, in nats: what is tried."""
LOOSE = 1e-2
"""How exactly, in nats, a chain is fitted to all folds but one."""


class Candidate(NamedTuple):
    """A way to fit a chain, judged on sentences that it was not fitted to."""

    penalty: float
    bias: float  # of opening an entity; 0 in those without, else chosen on all folds
    nll: float  # nats for each known tag
    counts: list[Counts]  # of each sentence; with a bias that was chosen on the other folds

    @property
    def f1(self) -> float:
        """Of the best paths."""
        return add(self.counts).f1

    @property
    def name(self) -> str:
        """What is fitted, in words."""
        scores = "as it is" if self.penalty == math.inf else f"fitted with a penalty of {self.penalty:g}"
        return f"{scores}, with a bias on opening an entity" if self.bias else scores


class Choice(NamedTuple):
    """What is kept of a fit."""

    fit: ChainFit
    biases: dict[str, float]  # of the paths
    candidates: list[Candidate]
    chosen: Candidate
    confidences: list[tuple[float, bool]]  # of the entities found in the held-out folds


def opening(bias: float) -> dict[str, float]:
    """Return the biases of a bias on opening an entity, wherever it opens."""
    return dict.fromkeys(("background_to_start", "end_to_start", "start_to_start"), bias) if bias else {}


def choose(
    chains: Chains,
    crf: LinearChainCRF,
    labels: Sequence[str],
    scheme: str | None,
    penalties: Sequence[float] = PENALTIES,
    seed: int = 0,
) -> Choice:
    """Fit a chain, and keep what gains on held-out folds, as the head of this file says.

    Args:
        chains: labelled; at least two.
        crf: with its rules, and its scores before the fit.
        labels: the model's tags.
        scheme: by which they are read, `config.span_scheme`.
        penalties: of `fit_chain`, the most cautious first.
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
    start, candidates, fits = unfitted(crf), [], {}
    for penalty in penalties:
        fits[penalty] = start = fit_chain(chains, crf, penalty, start)
        own = [fit_chain(rest, crf, penalty, start, LOOSE) for rest, _ in parts]
        candidates += _judge(reader, penalty, [held for _, held in parts], own, chains.known)
    best = max(candidates, key=lambda one: one.f1)
    chosen = next(one for one in candidates if one.f1 >= best.f1 - difference_error(one.counts, best.counts))
    own = [fit_chain(rest, crf, chosen.penalty, fits[chosen.penalty], LOOSE) for rest, _ in parts]
    found = [
        (held, fit, reader.paths(held, fit, opening(chosen.bias))) for (_, held), fit in zip(parts, own, strict=True)
    ]

    def confidences(temperature: float) -> list[tuple[float, bool]]:
        return [one for held, fit, paths in found for one in reader.confidences(held, scaled(fit, temperature), paths)]

    temperature = best_temperature(confidences)
    fit = scaled(fits[chosen.penalty], temperature)
    return Choice(fit, opening(chosen.bias / temperature), candidates, chosen, confidences(temperature))


@torch.no_grad()
def store(model: BiLSTMCRFForTokenClassification, choice: Choice) -> None:
    """Store what is kept of a fit in a model: its temperature in the classifier's weights, biases as the operating
    point `f1`."""
    for parameter in model.classifier.parameters():
        parameter.div_(choice.fit.temperature)
    for name in ("start_transitions", "end_transitions", "transitions"):
        getattr(model.crf, name).copy_(getattr(choice.fit, name))
    if choice.biases:
        model.config.operating_points = {**(model.config.operating_points or {}), "f1": {"biases": choice.biases}}
        model.config.operating_point = "f1"


def difference_error(counts: Sequence[Counts], others: Sequence[Counts]) -> float:
    """Return the standard error of the difference of two F1s on the same sentences, to first order."""
    sums = add(counts), add(others)

    def share(one: Counts, whole: Counts) -> float:  # of a sentence in how far the F1 is off
        return (2 * one.correct - whole.f1 * (one.predicted + one.gold)) / max(1, whole.predicted + whole.gold)

    pairs = zip(counts, others, strict=True)
    return math.sqrt(math.fsum((share(one, sums[0]) - share(other, sums[1])) ** 2 for one, other in pairs))


def _folds(chains: Chains, seed: int) -> list[tuple[Chains, Chains]]:
    """Return for each fold the chains outside of it and those in it."""
    count = len(chains.tags)
    fold_of = [index % min(FOLDS, count) for index in range(count)]
    random.Random(seed).shuffle(fold_of)
    groups = [[index for index in range(count) if fold_of[index] == fold] for fold in range(min(FOLDS, count))]
    return [(chains.of(sorted({*range(count)} - {*held})), chains.of(held)) for held in groups]


def _judge(
    reader: Reader, penalty: float, parts: Sequence[Chains], fits: Sequence[ChainFit], known: int
) -> list[Candidate]:
    """Judge a way to fit, without a bias and with one, by what its fits do on the folds that they do not know."""

    def count(held: Chains, fit: ChainFit) -> dict[float, list[Counts]]:
        gold = reader.gold(held)
        return {bias: reader.count(reader.paths(held, fit, opening(bias)), gold) for bias in BIASES}

    pairs = list(zip(parts, fits, strict=True))
    counts = [count(held, fit) for held, fit in pairs]
    nll = math.fsum(nll_of(held, reader.rules, fit) * held.known for held, fit in pairs if held.known) / known
    nested = [one[_best_bias(counts[:index] + counts[index + 1 :])] for index, one in enumerate(counts)]
    plain = Candidate(penalty, 0.0, nll, [one for part in counts for one in part[0.0]])
    biased = Candidate(penalty, _best_bias(counts), nll, [one for part in nested for one in part])
    return [plain, biased] if biased.bias else [plain]


def _best_bias(parts: Sequence[Mapping[float, list[Counts]]]) -> float:
    """Choose a bias by F1, by the rule of one standard error as well: the smallest that is not clearly worse."""
    counts = {bias: [one for part in parts for one in part[bias]] for bias in BIASES}
    f1 = {bias: add(some).f1 for bias, some in counts.items()}
    best = max(BIASES, key=lambda bias: (f1[bias], -abs(bias)))
    good = [bias for bias in BIASES if f1[bias] >= f1[best] - difference_error(counts[bias], counts[best])]
    return min(good, key=lambda bias: (abs(bias), -f1[bias]))


__all__ = ["BIASES", "PENALTIES", "Candidate", "Choice", "choose", "difference_error", "opening", "store"]
