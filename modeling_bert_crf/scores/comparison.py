"""Two taggers on the same labelled sentences: which is better, and what one finds and the other does not."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..schemes import Span
from .intervals import bootstrap_f1, f1, paired_bootstrap
from .judged import Judged
from .measures import counts_of
from .mistakes import compare

__all__ = ["Only", "compare_taggers", "found_by_one"]


class Only(NamedTuple):
    """An entity that one of two taggers finds, and the other does not.

    Attributes:
        sentence: its number.
        span: the entity.
        finder: which tagger finds it, 0 or 1.
        right: whether it is there.
    """

    sentence: int
    span: Span
    finder: int
    right: bool


def found_by_one(one: Sequence[Judged], other: Sequence[Judged]) -> Iterator[Only]:
    """Yield the entities that one of two taggers finds, sentence by sentence.

    Args:
        one, other: what they find in the same sentences.
    """
    for number, pair in enumerate(zip(one, other, strict=True)):
        first, second = (set(judged.predicted) for judged in pair)
        for span in sorted(first ^ second):
            yield Only(number, span, int(span in second), span in pair[0].gold)


def compare_taggers(one: Sequence[Judged], other: Sequence[Judged]) -> dict[str, Any]:
    """Compare what two taggers find.

    Args:
        one, other: what they find in the same sentences, which have the same words and gold entities.

    Returns:
        `f1` and `interval`, of each tagger; what `paired_bootstrap` says of the difference of the first less the
        second; and `types`, for each type and for all (`""`), how many gold entities `both` find, the first only
        (`first`), the second only (`second`), or `neither`, and how many entities that are not there the first alone
        finds (`first_wrong`) and the second alone (`second_wrong`).

    Raises:
        ValueError: if the sentences are not the same.
    """
    _check_same(one, other)
    counts = [counts_of([compare(judged.gold, judged.predicted) for judged in side]) for side in (one, other)]
    types: dict[str, Counter[str]] = {"": Counter()}
    for first, second in zip(one, other, strict=True):
        found = [set(judged.predicted) for judged in (first, second)]
        for span in {*first.gold} | found[0] ^ found[1]:
            by = (span in found[0], span in found[1])
            if span in first.gold:
                fate = {(True, True): "both", (True, False): "first", (False, True): "second"}.get(by, "neither")
            else:
                fate = "first_wrong" if by[0] else "second_wrong"
            for kind in ("", span[2]):
                types.setdefault(kind, Counter())[fate] += 1
    fates = ("both", "first", "second", "neither", "first_wrong", "second_wrong")
    return {
        "f1": [f1(*map(sum, zip(*side, strict=True))) if side else 0.0 for side in counts],
        "interval": [bootstrap_f1(side) for side in counts],
        **paired_bootstrap(counts[0], counts[1]),
        "types": {kind: {fate: types[kind][fate] for fate in fates} for kind in sorted(types)},
    }


def _check_same(one: Sequence[Judged], other: Sequence[Judged]) -> None:
    """Refuse sentences that are not the same."""
    if len(one) != len(other):
        raise ValueError(f"both must be of the same sentences, got {len(one):,} and {len(other):,}")
    for first, second in zip(one, other, strict=True):
        words, gold = (list(first.words), list(second.words)), (sorted(first.gold), sorted(second.gold))
        for what, (mine, yours) in (("words", words), ("gold entities", gold)):
            if mine != yours:
                raise ValueError(
                    f"both must have the same {what}, got {str(mine)[:60]} at {first.place} and {str(yours)[:60]} at "
                    f"{second.place}"
                )
