"""Calibration: whether of the entities with a probability of, say, 0.8, four in five are right.

C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017, sec. 2.
"""

import math
from collections.abc import Sequence

__all__ = ["BINS", "calibration_error", "reliability_bins"]

BINS = 10


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
