"""Confidence intervals: how much a score would change with another sample of sentences from the same source.

B. Efron, R. Tibshirani, "An introduction to the bootstrap", 1993, sec. 13.3 (the percentile interval).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["LEVEL", "RESAMPLES", "bootstrap_f1", "f1"]

LEVEL = 0.95
RESAMPLES = 1000


def bootstrap_f1(counts: Sequence[Sequence[int]], seed: int = 0) -> dict[str, Any]:
    """Return the interval that holds the middle 95 % of the F1s of resampled sentences.

    The interval says nothing of the chance in training. To see how much another seed changes, train with several
    seeds.

    Args:
        counts: of each sentence the numbers of correct, predicted and gold entities; or of words, and then the F1 is
            the accuracy.
        seed: equal seeds give equal intervals.

    Returns:
        `low` and `high`, from 0 to 1, `level` and `resamples`.
    """
    table = np.asarray(counts, dtype=np.int64).reshape(-1, 3)
    rng = np.random.default_rng(seed)
    scores = [f1(*table[rng.integers(0, len(table), len(table))].sum(axis=0)) for _ in range(RESAMPLES)]
    low, high = np.quantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(table) else (0.0, 0.0)
    return {"low": float(low), "high": float(high), "level": LEVEL, "resamples": RESAMPLES}


def f1(correct: int, predicted: int, gold: int) -> float:
    """Return the harmonic mean of precision and recall; 0 if there are no entities.

    >>> f1(1, 2, 2), f1(0, 0, 0)
    (0.5, 0.0)
    """
    return 2 * float(correct) / max(1, float(predicted) + float(gold))
