"""Calibration: whether of the entities with a probability of, say, 0.8, four in five are right.

C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017, sec. 2.
"""

import math
from collections.abc import Callable, Sequence

from scipy.optimize import minimize_scalar

__all__ = ["BINS", "best_temperature", "calibration_error", "reliability_bins"]

BINS = 10
TINY = 1e-6
"""The smallest probability that the loss reckons with. With 0 the loss of one entity would outweigh all others."""


def reliability_bins(confidences: Sequence[tuple[float, bool]]) -> list[dict[str, float]]:
    """Sort entities into ten equal ranges of their probability.

    Args:
        confidences: of each entity its probability, and whether it is right.

    Returns:
        For each range that is not empty, in ascending order: `count`, the number of its entities; `probability`, the
        mean of theirs; and `right`, the share of them that is right.
    """
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for score, right in confidences:
        bins[min(int(score * BINS), BINS - 1)].append((score, right))
    return [
        {
            "count": len(one),
            "probability": math.fsum(score for score, _ in one) / len(one),
            "right": sum(right for _, right in one) / len(one),
        }
        for one in bins
        if one
    ]


def calibration_error(confidences: Sequence[tuple[float, bool]]) -> float:
    """Return the expected calibration error of entities; 0 if there are none.

    In each of the `reliability_bins` there is a distance between the mean probability and the share of right entities.
    The error is the mean of these distances, weighted by the numbers of entities.
    """
    distances = (one["count"] * abs(one["probability"] - one["right"]) for one in reliability_bins(confidences))
    return sum(distances) / max(1, len(confidences))


def best_temperature(confidences: Callable[[float], Sequence[tuple[float, bool]]]) -> float:
    """Find the temperature at which the probabilities of the found entities fit best with which of them are right.

    What is minimised is the log loss of "this entity is right", over the entities that the model finds. The likelihood
    of the gold paths would not do: it also counts entities that the model misses, and to make those more probable it
    would flatten the probabilities of the entities that are found.

    Args:
        confidences: returns of each found entity its probability at a temperature, and whether it is right.

    Returns:
        A number from 0.1 to 10; 1 if no entity is found.
    """
    if not confidences(1.0):
        return 1.0

    def loss(log_temperature: float) -> float:
        found = confidences(math.exp(log_temperature))
        chances = [min(max(score if right else 1 - score, TINY), 1.0) for score, right in found]
        return -math.fsum(map(math.log, chances)) / len(chances)

    return math.exp(minimize_scalar(loss, bounds=(-math.log(10), math.log(10)), method="bounded").x)
