"""A ranking in which near-copies do not lead together.

A tagger is unsure of twenty copies of a sentence as of one, and an annotator who labels the first has said what there
is to say of all. So the ranking is gone through from its top, and a text that shares too many of its words with one
that was kept further up is put behind all those that do not. No text is lost, and nothing is left to chance.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

__all__ = ["LIKE", "varied"]

LIKE = 0.5
"""Texts are near-copies if at least this share of their different words is common to both (Jaccard's index)."""


def varied(texts: Sequence[Sequence[str]], ranking: Sequence[int]) -> list[int]:
    """Put near-copies of texts that stand further up behind all others.

    Words count in lower case, and digits are all the same: "page 7" and "Page 8" are copies.

    Args:
        texts: the words of each.
        ranking: their numbers, the most important first.

    Returns:
        The numbers in another order: first those that are no near-copies of any before them, then those that are, both
        in the order of the ranking.
    """
    forms = [frozenset(map(_form, text)) for text in texts]
    counts = Counter(form for own in forms for form in own)
    first: list[int] = []
    copies: list[int] = []
    holding: dict[str, list[int]] = defaultdict(list)  # of each word the texts in `first` that have it among their key
    for number in ranking:
        own = forms[number]
        # If two texts have so many words in common, one of these is among the rarest of each: so only texts that share
        # a rare word are compared, and not all that have a "the".
        rarest = sorted(own, key=lambda form: (counts[form], form))
        key = rarest[: len(own) - math.ceil(LIKE * len(own)) + 1]
        if any(_alike(own, forms[other]) for other in {other for form in key for other in holding[form]}):
            copies.append(number)
            continue
        first.append(number)
        for form in key:
            holding[form].append(number)
    return first + copies


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    shared = len(one & other)
    return shared >= LIKE * (len(one) + len(other) - shared)


def _form(word: str) -> str:
    return "".join("0" if letter.isdecimal() else letter for letter in word.casefold())
