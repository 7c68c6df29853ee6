"""Confidence intervals: how much a score would change with another sample of sentences from the same source.

B. Efron, R. Tibshirani, "An introduction to the bootstrap", 1993, sec. 13.3 (the percentile interval).
T. Berg-Kirkpatrick, D. Burkett, D. Klein, "An empirical investigation of statistical significance in NLP", EMNLP 2012,
sec. 2 (the paired bootstrap of two systems).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["LEVEL", "PAIRED_RESAMPLES", "RESAMPLES", "bootstrap_f1", "f1", "paired_bootstrap"]

LEVEL = 0.95
RESAMPLES = 1000
PAIRED_RESAMPLES = 10_000
_ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


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
    low, high = np.quantile(scores, _ENDS) if len(table) else (0.0, 0.0)
    return {"low": float(low), "high": float(high), "level": LEVEL, "resamples": RESAMPLES}


def paired_bootstrap(
    counts: Sequence[Sequence[int]], others: Sequence[Sequence[int]], seed: int = 0
) -> dict[str, Any]:
    """Compare the F1s of two systems on the same sentences, both on the same resamples of these.

    Args:
        counts, others: of each sentence the numbers of correct, predicted and gold entities, of the one system and of
            the other.
        seed: equal seeds give equal results.

    Returns:
        `difference`, the F1 of the one less that of the other; `low` and `high`, between which the middle 95 % of the
        resamples' differences lie; `p_value`, of the hypothesis that the system with the larger F1 is no better: how
        often the difference of a resample is at least twice that of the sentences (one-sided); `level`; `resamples`.
    """
    table = np.hstack([np.asarray(one, dtype=np.int64).reshape(-1, 3) for one in (counts, others)])  # (N, 6)
    rng = np.random.default_rng(seed)

    def difference(sums: Any) -> float:
        return f1(*sums[:3]) - f1(*sums[3:])

    found, size = difference(table.sum(axis=0)), len(table)
    draws = (np.bincount(rng.integers(0, size, size), minlength=size) @ table for _ in range(PAIRED_RESAMPLES))
    drawn = np.array([difference(sums) for sums in draws]) if size else np.zeros(1)
    low, high = np.quantile(drawn, _ENDS)
    better = drawn if found >= 0 else -drawn
    p_value = float((better >= 2 * abs(found)).mean())
    spread = {"difference": found, "low": float(low), "high": float(high), "p_value": p_value}
    return {**spread, "level": LEVEL, "resamples": PAIRED_RESAMPLES}


def f1(correct: int, predicted: int, gold: int) -> float:
    """Return the harmonic mean of precision and recall; 0 if there are no entities.

    >>> f1(1, 2, 2), f1(0, 0, 0)
    (0.5, 0.0)
    """
    return 2 * float(correct) / max(1, float(predicted) + float(gold))
