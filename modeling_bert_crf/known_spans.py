"""Entities and regions of a text that are known: what they leave possible for each word.

Somebody may have confirmed an entity, a dictionary may have found one, or a stretch of text may be known to hold none.
Given that, the best path and all probabilities are those of the taggings that agree with it: an emission of minus
infinity forbids every other tag, and all that is computed from emissions follows.

Ships with every checkpoint and every export: standard library only.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from .schemes import OUTSIDE, SCHEMES, continues, entity_types, split_tag
from .splitters import without_blanks
from .text_layout import Text


class Known(NamedTuple):
    """What is known of a stretch of a text's words."""

    first: int  # word
    end: int  # the word after the last
    kinds: tuple[str, ...]  # the types that an entity of exactly these words may have; none where no entity is
    said: str  # as it was given, for errors


class Rules(NamedTuple):
    """What the CRF of a model allows."""

    starts: Sequence[bool]  # of each tag, whether it may be the first one
    ends: Sequence[bool]
    moves: Sequence[Sequence[bool]]  # [from][to]


def allowed_tags(
    text: Text, known: Sequence[Any], labels: Sequence[str], scheme: str | None, rules: Rules, place: str
) -> list[list[list[bool]]]:
    """Say for each word of a text which tags agree with what is known of it.

    Args:
        text: laid out.
        known: `(start, end, type)` of each entity or region, in characters of the text: one type, a list of types of
            which one is right, or `"O"` where no entity is.
        labels, scheme: of the model; the scheme by which its paths are read, `config.span_scheme`.
        rules: those of the model's CRF.
        place: what an error calls the text.

    Returns:
        For each chain (n, K); every other emission is to be -inf.

    Raises:
        ValueError: if something known is not as described, does not begin and end where words do, contradicts
            something else that is known, or leaves no tagging that obeys the scheme.
    """
    borders = text.borders()
    allowed = [[True] * len(labels) for _ in range(borders[-1])]
    said_of: dict[int, str] = {}
    for given in known:
        one = _read(given, text, borders, entity_types(labels, scheme), place)
        if len(one.kinds) > 1 and one.end - one.first > 1 and all(map(all, rules.moves)):
            raise ValueError(
                f"{place}: one type must be named where no rule of a scheme keeps the words of an entity together, "
                f"got {one.said}"
            )
        for word, tags in _tags(one, borders, labels, scheme):
            allowed[word] = [both and fits for both, fits in zip(allowed[word], tags, strict=True)]
            if not any(allowed[word]):
                before = said_of.get(word, "the labels of the model")
                raise ValueError(f"{place}: what is known must agree, got {one.said} and {before}")
            said_of[word] = one.said
    chains = [allowed[first:end] for first, end in pairwise(borders)]
    for chain in chains:
        if not all(map(all, chain)) and not _has_path(chain, rules):
            raise ValueError(f"{place}: what is known must leave a tagging that obeys the scheme, got {known!r:.200}")
    return chains


def _read(given: Any, text: Text, borders: Sequence[int], types: Sequence[str], place: str) -> Known:
    """Check something known, and find its words."""
    said = repr(given)[:80]
    rule = f"{place}: something known must be (start, end, type), with a type or several of {', '.join(types)}, or 'O'"
    if not isinstance(given, Sequence) or len(given) != 3 or isinstance(given, str):
        raise ValueError(f"{rule}, got {said}")
    start, end, kind = given
    kinds = () if kind == OUTSIDE else (kind,) if isinstance(kind, str) else tuple(kind)
    if not all(type(one) is int for one in (start, end)) or set(kinds) - set(types) or (not kinds and kind != OUTSIDE):
        raise ValueError(f"{rule}, got {said}")
    if not 0 <= start < end <= len(text.text):
        raise ValueError(f"{place}: something known must lie in the text of {len(text.text)} characters, got {said}")
    first = bisect_right(text.words, start, key=itemgetter(1))
    after = bisect_left(text.words, end, key=itemgetter(0))
    if first >= after:
        raise ValueError(f"{place}: something known must have a word, got {said}")
    if kinds:
        left, right = without_blanks(text.text, text.words[first][0], text.words[after - 1][1])
        if (left, right) != without_blanks(text.text, start, end):
            raise ValueError(
                f"{place}: a known entity must begin and end where words do, as ({left}, {right}) does, got {said}"
            )
        if not any(one <= first and after <= other for one, other in pairwise(borders)):
            raise ValueError(f"{place}: a known entity must lie in one sentence, got {said}")
    return Known(first, after, kinds, said)


def _tags(
    one: Known, borders: Sequence[int], labels: Sequence[str], scheme: str | None
) -> Iterator[tuple[int, list[bool]]]:
    """Say of each word that something known is about which labels it may have."""
    if not one.kinds:
        for word in range(one.first, one.end):
            yield word, [label == OUTSIDE for label in labels]
        return
    inside = [
        [_fits(label, one.kinds, scheme, word == one.first, word == one.end - 1) for label in labels]
        for word in range(one.first, one.end)
    ]
    yield from enumerate(inside, start=one.first)
    # No word beside the entity may make it longer.
    firsts, lasts = (
        [label for label, fits in zip(labels, tags, strict=True) if fits] for tags in (inside[0], inside[-1])
    )
    if one.first not in borders:
        yield one.first - 1, [not any(continues(label, first, scheme) for first in firsts) for label in labels]
    if one.end not in borders:
        yield one.end, [not any(continues(last, label, scheme) for last in lasts) for label in labels]


def _fits(label: str, kinds: Sequence[str], scheme: str | None, first: bool, last: bool) -> bool:
    """Say whether a label may stand at a place of an entity of one of these types."""
    if scheme is None or label == OUTSIDE:
        return label in kinds
    prefix, kind = split_tag(label)
    rule = SCHEMES[scheme][prefix]
    return kind in kinds and (rule.opens if first else rule.extends) and (rule.closes if last else rule.continues)


def _has_path(allowed: Sequence[Sequence[bool]], rules: Rules) -> bool:
    """Say whether a path that obeys the rules goes through the allowed tags of each word, (n, K)."""
    reached = [tag for tag, fits in enumerate(allowed[0]) if fits and rules.starts[tag]]
    for tags in allowed[1:]:
        reached = [tag for tag, fits in enumerate(tags) if fits and any(rules.moves[one][tag] for one in reached)]
    return any(rules.ends[tag] for tag in reached)


__all__ = ["Known", "Rules", "allowed_tags"]
