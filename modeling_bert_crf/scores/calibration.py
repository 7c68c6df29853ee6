"""How far probabilities can be believed: figures of the probabilities of entities, and which of these are right.

C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017, sec. 2.
"""

import math
from collections.abc import Sequence

BINS = 10


def reliability_bins(confidences: Sequence[tuple[float, bool]]) -> list[dict[str, float]]:
    """Sort entities into ten equal ranges of their probability.

    Returns:
        For each range that holds some, in ascending order: `count`, their mean `probability`, and `right`, the share
        of them that is right.
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
    """Return the expected calibration error: the mean distance, over the `reliability_bins`, weighted by their
    entities, between the mean probability and the share of right entities. 0 for no entities."""
    distances = (one["count"] * abs(one["probability"] - one["right"]) for one in reliability_bins(confidences))
    return sum(distances) / max(1, len(confidences))
