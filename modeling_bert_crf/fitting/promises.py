"""Operating points that keep a promise: a precision or a recall that other sentences of the kind will show, too.

What is chosen on labelled sentences looks better there than it is. So a quarter of them says which settings are worth
trying, and in which order; the rest says which of them hold. A setting is only taken if, by an interval for what
another sample as large as all of them would show, the promise is kept with a given confidence. Settings are tried from
the surest on, up to the first that fails, so that trying many costs no confidence. What the confidence means: of many
samples, those that lead to a promise which a second sample then breaks are no more than one in ten.

References:
    A. Angelopoulos, S. Bates, E. Candès, M. Jordan, L. Lei, "Learn then test: calibrating predictive algorithms to
    achieve risk control", 2021, sec. 3 (fixed sequence testing, and its order from a part of the data).
    W. Cochran, "Sampling techniques", 1977, sec. 6.3 (the standard error of a ratio).
    C. Clopper, E. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", 1934.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm

from .choice import opening
from .evidence import FEWEST, Evidence, Found, Share

CONFIDENCE = 0.9
PROPOSING = 1 / 4
"""The share of the sentences that says which settings are worth trying."""
SURE = 0.99
"""With this confidence the settings are put in order: with a small one, those that find next to nothing, and all of it
right, would come first."""
STEPS = (0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 4.0, -4.0, 6.0, -6.0)
"""Of a bias, in nats: what is tried."""
LEAST = 0.2
"""What a setting must leave of the other figure: to mask all, or to find next to nothing, would keep any promise."""
WORTH = 0.01
"""How much of the other figure larger biases must save to be taken in the place of smaller ones."""
THRESHOLDS = np.arange(100) / 100
"""The least probability of an entity: what is tried."""
AIMS = 31
"""How many figures, above and below what is promised, settings are proposed for."""


def biases_to_try() -> list[dict[str, float]]:
    """Return the biases that are tried, small ones first: on opening an entity, on going on in one, on closing it, on
    staying outside, on the last two, and on all of them."""
    on_opening, going_on = opening(1.0), {"inside_to_continue": 1.0, "inside_to_end": 1.0}
    closing, outside = {"end_to_background": -1.0}, {"background_stay": -1.0}
    all_inwards = going_on | {name: value / 2 for name, value in (on_opening | closing | outside).items()}
    ways = [on_opening, going_on, closing, outside, closing | outside, all_inwards]
    return [{}, *({name: step * value for name, value in way.items()} for step in STEPS for way in ways)]


class Promise(NamedTuple):
    """What is promised.

    Attributes:
        figure: `"precision"` or `"recall"`.
        target: what it shall be at least, above 0 and below 1.
        in_characters: whether it counts characters rather than entities. A character is found if any entity covers it,
            of whatever type: so redaction counts.
        by_type: whether it is promised of each type by itself. Not in characters, where an entity of one type covers
            what is of another.
        confidence: with which, from 0.5 to 1.
    """

    figure: str
    target: float
    in_characters: bool = False
    by_type: bool = False
    confidence: float = CONFIDENCE

    @property
    def other(self) -> str:
        """The figure that pays for it."""
        return "recall" if self.figure == "precision" else "precision"


class Setting(NamedTuple):
    """Biases, by their number in the evidence, and the least probability of each type, (T,)."""

    biases: int
    thresholds: NDArray[np.float64]

    def found(self, evidence: Evidence) -> Found:
        """Return what is found by this setting."""
        found = evidence.found[self.biases]
        return found.of(found.scores >= self.thresholds[found.kinds])


@dataclass
class Choice:
    """What came of looking for a setting that keeps a promise.

    Attributes:
        setting: None if there is none.
        bounds: for each type with a promise (`"all"` if it is not by type) what the setting keeps by the interval.
        best: for each type without one (or `"all"`) what can be promised at most.
        too_few: the types with too few entities for a promise of their own.
    """

    setting: Setting | None = None
    bounds: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    too_few: list[str] = field(default_factory=list)


def lower_bound(share: Share, confidence: float = CONFIDENCE, factor: float = math.sqrt(2)) -> float:
    """Return what the share of a second sample will not fall below, with a confidence.

    The smaller of two: the share less a multiple of its standard error, where sentences vary as a whole; and the bound
    of Clopper and Pearson for as many entities that are independent, which is the lower one where nearly all are
    right.

    Args:
        share: of the first sample.
        confidence: from 0.5 to 1.
        factor: how many times as large as the first sample's error that of the difference of both is: the square root
            of 1 plus the first one's size divided by the second one's.

    Returns:
        From 0 to 1; 0 where there are fewer than `FEWEST` entities.
    """
    return _bound(share, confidence, factor) if share.entities >= FEWEST else 0.0


def _bound(share: Share, confidence: float, factor: float) -> float:
    value, size = share.value, share.entities
    by_sentence = value - factor * float(norm.ppf(confidence)) * share.error
    exact = float(beta.ppf(1 - confidence, value * size, size - value * size + 1)) if value and size else 0.0
    return max(0.0, min(by_sentence, value - factor * (value - exact)))


def choose(evidence: Evidence, promise: Promise, seed: int = 0) -> Choice:
    """Find the setting that keeps a promise and costs the least of the other figure.

    Args:
        evidence: with what was found by each of some biases; those that are tried first come first.
        promise: what is wanted.
        seed: of the parts that propose settings and test them.
    """
    order = np.random.default_rng(seed).permutation(evidence.count)
    border = round(evidence.count * PROPOSING)
    parts = evidence.of(order[:border]), evidence.of(order[border:])
    groups = {"all": [*range(len(evidence.types))]}
    choice = Choice()
    if promise.by_type:
        counts = np.bincount(parts[1].gold.kinds, minlength=len(evidence.types))
        groups = {kind: [index] for index, kind in enumerate(evidence.types) if counts[index] >= FEWEST}
        choice.too_few = [kind for kind in evidence.types if kind not in groups]
    settings = _proposals(parts[0], promise, list(groups.values())) if groups else []
    accepted: dict[str, dict[int, float]] = {}
    for name, kinds in groups.items():
        holding, choice.best[name] = _test(parts, settings, promise, kinds)
        if holding:
            accepted[name] = holding
    common = sorted(set.intersection(*map(set, accepted.values()))) if accepted else []
    if not common:
        return choice
    figures = [evidence.share(one.found(evidence), promise.other, promise.in_characters).value for one in settings]
    chosen = max(common, key=lambda number: _worth(figures[number], settings[number].biases))
    promised = [kind for name in accepted for kind in groups[name]]
    thresholds = np.where(np.isin(np.arange(len(evidence.types)), promised), settings[chosen].thresholds, 0.0)
    choice.setting = settings[chosen]._replace(thresholds=thresholds)
    choice.bounds = {name: bounds[chosen] for name, bounds in accepted.items()}
    choice.best = {name: best for name, best in choice.best.items() if name not in accepted}
    return choice


def _test(
    parts: tuple[Evidence, Evidence], settings: Sequence[Setting], promise: Promise, kinds: Sequence[int]
) -> tuple[dict[int, float], float]:
    """Try settings from the surest on, up to the first that fails.

    Args:
        parts: the one that says how sure a setting is, and the one to try them on.

    Returns:
        By their numbers, the settings that hold, with what they keep; and what could be promised at most.
    """
    proposing, testing = parts
    factor = math.sqrt(1 + testing.count / (proposing.count + testing.count))

    def share(part: Evidence, number: int) -> Share:
        return part.share(settings[number].found(part), promise.figure, promise.in_characters, kinds)

    sureness = [_bound(share(proposing, number), SURE, factor) for number in range(len(settings))]
    holding: dict[int, float] = {}
    best = 0.0
    for number in sorted(range(len(settings)), key=sureness.__getitem__, reverse=True):
        kept = lower_bound(share(testing, number), promise.confidence, factor)
        best = best or kept
        if kept < promise.target:
            break
        holding[number] = kept
    return holding, best


def _proposals(evidence: Evidence, promise: Promise, groups: Sequence[Sequence[int]]) -> list[Setting]:
    """For each of some aims, above and below what is promised, return the cheapest setting that reaches it."""
    tables = [_tables(evidence, found, promise.in_characters, groups) for found in evidence.found]
    figures = {name: np.stack([table[name] for table in tables]) for name in tables[0]}  # (biases, 2, groups, steps)
    shares = {name: _divide(*np.moveaxis(table, 1, 0)) for name, table in figures.items()}
    other = shares[promise.other]
    own = np.where(other >= LEAST, shares[promise.figure], 0.0)
    settings: dict[tuple[int, tuple[int, ...]], None] = {}
    for aim in np.linspace(1.0, promise.target - (1 - promise.target) / 2, AIMS):
        reached = own >= aim
        steps = np.where(reached.any(2), np.where(reached, other, -1.0).argmax(2), own.argmax(2))  # (biases, groups)
        missing = np.maximum(0.0, aim - np.take_along_axis(own, steps[..., None], 2)).sum((1, 2))
        costs = np.take_along_axis(figures[promise.other], steps[:, None, :, None], 3).sum((2, 3))
        left = _divide(costs[:, 0], costs[:, 1])
        best = max(
            range(len(tables)), key=lambda number: (-round(float(missing[number]), 9), *_worth(left[number], number))
        )
        settings[best, tuple(steps[best].tolist())] = None
    return [_setting(evidence, biases, steps, groups) for biases, steps in settings]


def _worth(left: float, biases: int) -> tuple[int, int, float]:
    """Return what ranks a setting by what it leaves of the other figure, and of nearly equal ones by its biases."""
    return round(left / WORTH), -biases, left


def _setting(evidence: Evidence, biases: int, steps: Sequence[int], groups: Sequence[Sequence[int]]) -> Setting:
    thresholds = np.zeros(len(evidence.types))
    for step, kinds in zip(steps, groups, strict=True):
        thresholds[kinds] = THRESHOLDS[step]
    return Setting(biases, thresholds)


def _divide(parts: NDArray[Any], wholes: NDArray[Any]) -> NDArray[np.float64]:
    """Divide; nothing of nothing is 0, since it is no evidence."""
    return parts / np.maximum(wholes, 1)


def _tables(
    evidence: Evidence, found: Found, in_characters: bool, groups: Sequence[Sequence[int]]
) -> dict[str, NDArray[np.float64]]:
    """Count, for each threshold, the parts and wholes of precision and of recall, (2, groups, thresholds)."""
    types, steps = len(evidence.types), len(THRESHOLDS)
    cells = found.kinds * steps + np.searchsorted(THRESHOLDS, found.scores, side="right") - 1

    def above(weights: NDArray[Any]) -> NDArray[np.float64]:
        by_kind = np.bincount(cells, weights, types * steps).reshape(types, steps)
        by_group = np.stack([by_kind[kinds].sum(0) for kinds in groups])
        return by_group[:, ::-1].cumsum(1)[:, ::-1]

    gold = np.bincount(evidence.gold.kinds, evidence.gold.characters if in_characters else None, types)
    there = np.stack([np.full(steps, float(gold[kinds].sum())) for kinds in groups])
    hits = above(found.covered.sum(1) if in_characters else found.right)
    sizes = above(found.characters if in_characters else np.ones(len(found.kinds)))
    return {"precision": np.stack([hits, sizes]), "recall": np.stack([hits, there])}


def operating_point(
    evidence: Evidence, setting: Setting, biases: Sequence[Mapping[str, float]], known: Sequence[str]
) -> dict[str, Any]:
    """Write a setting as `config.operating_points` holds it.

    Args:
        evidence: which the setting was chosen on.
        setting: what was chosen.
        biases: in the order of what was found by them.
        known: the types that the tagger knows; the evidence may be of more.
    """
    pairs = zip(evidence.types, setting.thresholds.tolist(), strict=True)
    thresholds = {kind: value for kind, value in pairs if value and kind in known}
    named = {"biases": dict(biases[setting.biases]), "thresholds": thresholds}
    return {name: values for name, values in named.items() if values}


__all__ = ["CONFIDENCE", "Choice", "Promise", "Setting", "biases_to_try", "choose", "lower_bound", "operating_point"]
