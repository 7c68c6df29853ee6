"""Entities that are found in part: the four ways to count of SemEval-2013, computed by nervaluate.

    strict   right are the same words of the same type
    exact    right are the same words, of whatever type
    partial  right are the same words, of whatever type; words in common are half right
    type     right are words in common of the same type

I. Segura-Bedmar, P. Martínez, M. Herrero-Zazo, "SemEval-2013 task 9: extraction of drug-drug interactions from
biomedical texts", 2013, sec. 5.
"""

from collections.abc import Iterable, Sequence

from nervaluate import Evaluator

from ..schemes import Span

__all__ = ["OVERLAPS", "overlap_scores"]

OVERLAPS = ("strict", "exact", "partial", "type")
_NAMES = {"type": "ent_type"}  # as nervaluate calls them


def overlap_scores(gold: Iterable[Sequence[Span]], predicted: Iterable[Sequence[Span]]) -> dict[str, dict[str, float]]:
    """Score entities by each of the ways to count.

    Args:
        gold, predicted: of the same sentences.

    Returns:
        `precision`, `recall` and `f1` of each of `OVERLAPS`, from 0 to 1.

    >>> overlap_scores([[(0, 2, "PER")]], [[(0, 1, "PER")]])["partial"]
    {'precision': 0.5, 'recall': 0.5, 'f1': 0.5}
    """
    pairs = [(one, other) for one, other in zip(gold, predicted, strict=True) if one or other]
    if not pairs:
        return {name: {"precision": 0.0, "recall": 0.0, "f1": 0.0} for name in OVERLAPS}
    kinds = sorted({kind for pair in pairs for spans in pair for *_, kind in spans})
    sides = [[[_entity(span) for span in pair[side]] for pair in pairs] for side in (0, 1)]
    found = Evaluator(*sides, tags=kinds, loader="dict").evaluate()["overall"]
    rows = {name: found[_NAMES.get(name, name)] for name in OVERLAPS}
    return {
        name: {one: float(getattr(row, one)) for one in ("precision", "recall", "f1")} for name, row in rows.items()
    }


def _entity(span: Span) -> dict[str, int | str]:
    start, end, kind = span
    return {"label": kind, "start": start, "end": end - 1}
