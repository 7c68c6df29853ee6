"""Tags in another spelling than `B-PER`.

If all tags of the data are spelt in one of these ways, they are read as if they were spelt as usual. If only some of
them are, the data are refused, since nobody can tell what the others mean.

    B_PER  B:PER  B/PER  B.PER     another character between prefix and type
    PER-B  PER_B  ...              the prefix at the end
    b-per  b_per  per-b  b  o      a prefix in lower case; so may be the tag outside of entities
    B-  B_                         no type: the same as a bare `B`
    name=B-PER|SpaceAfter=No       an item among others, as in CoNLL-U's MISC

Tags are left as they are, as free labels, unless each of them can be read in this way, with the prefixes of one
scheme. Tags that are known in part only, as in `partial.py`, are spelt as the others are.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from ..schemes import NAMELESS, OUTSIDE, SCHEMES, has_type, scheme_of, split_tag
from .conversion import join_tag
from .partial import PartialTag, find_partial, has_items, is_known, mentioned
from .sentences import DataError, Sentence

__all__ = ["check_spelling", "describe", "find_spelling", "respell"]

_PREFIX = "[" + "".join(sorted({prefix for scheme in SCHEMES.values() for prefix in scheme})) + "]"
_BARE = [re.compile(f"(?P<prefix>{prefix})([-_]_?)?") for prefix in (_PREFIX, _PREFIX.lower())]
_MARKS = [re.escape(mark) for mark in "-_:/."]
_PLAIN = [re.compile(f"(?P<prefix>{_PREFIX}){mark}(?P<kind>.+)") for mark in _MARKS]
_TYPED = [
    *_PLAIN,
    *(re.compile(f"(?P<prefix>{_PREFIX.lower()}){mark}(?P<kind>.+)") for mark in _MARKS),
    *(re.compile(f"(?P<kind>.+){mark}(?P<prefix>{_PREFIX})") for mark in _MARKS),
    *(re.compile(f"(?P<kind>.+){mark}(?P<prefix>{_PREFIX.lower()})") for mark in _MARKS),
]
_BRACKETS = re.compile(r"(\([^()*]+)*\*\)*|[-_O]")

Pair = tuple[str, str]
"""A prefix, in upper case, and a type."""


def find_spelling(places: Mapping[str, str], named: Collection[str] = ()) -> dict[str, str]:
    """Find out how the tags of a data set are spelt.

    Args:
        places: all its tags, each with the place that it stands at.
        named: tags of a label list, which are tags even if they look like what is known in part.

    Returns:
        The usual spelling of each tag that is spelt otherwise, and a `PartialTag` for each that is known in part;
        empty if all are spelt as usual, or are free labels.

    Raises:
        DataError: if only some of the tags are spelt in another way, if the tags can be read in two ways, or if they
            are the brackets of CoNLL-2012.

    >>> find_spelling({"B_PER": "a.conll:1", "I_PER": "a.conll:2", "o": "a.conll:3"})
    {'B_PER': 'B-PER', 'I_PER': 'I-PER', 'o': 'O'}
    >>> find_spelling({"NOUN_S": "a.conll:1", "VERB": "a.conll:2"})
    {}
    """
    if all(_is_usual(tag) and "|" not in tag for tag in places):
        return {}
    if has_items(places):
        return _find_item(places)
    return _with_partial(places, named)


def _with_partial(places: Mapping[str, str], named: Collection[str] = ()) -> dict[str, str]:
    """Find the spelling of tags that are no items; those that are known in part are spelt as the others."""
    partial = find_partial(places, named)
    parts = {tag: places[cell] for cell, one in partial.items() for tag in one.named}
    known = parts | {tag: place for tag, place in places.items() if tag not in partial}
    spelling = {} if all(map(_is_usual, known)) else _find_known(known)
    return {**spelling, **{cell: one.respelt(spelling) for cell, one in partial.items()}}


def _is_usual(tag: str) -> bool:
    return tag == OUTSIDE or (has_type(tag) and join_tag(*split_tag(tag)) == tag)


def _find_known(places: Mapping[str, str]) -> dict[str, str]:
    """Find the spelling of tags that are known."""
    bracket = next((tag for tag in places if tag.startswith("(")), None)
    if bracket is not None and all(map(_BRACKETS.fullmatch, places)):
        raise DataError(
            f"{places[bracket]}: the tags must be like 'B-PER', got {bracket!r}, a bracket as in CoNLL-2012"
        )
    return _find_affix(places)


def respell(sentence: Sentence, spelling: Mapping[str, str]) -> Sentence:
    """Write a sentence's tags in the usual spelling, as `find_spelling` has found it."""
    if not spelling:
        return sentence
    return replace(
        sentence,
        tags=[
            tag.respelt(spelling) if isinstance(tag, PartialTag) else spelling.get(tag, tag) for tag in sentence.tags
        ],
    )


def describe(spelling: Mapping[str, str]) -> str:
    """Describe by an example what a spelling changes; "" if it changes no tag that is known."""
    spelling = {old: new for old, new in spelling.items() if is_known(new)}
    if not spelling:
        return ""
    old, new = max(spelling.items(), key=lambda change: (change[1] != OUTSIDE, -len(change[0])))
    return f"tags such as {old!r} are read as {new!r}"


def check_spelling(places: Mapping[str, str]) -> None:
    """Refuse tags that are not spelt as usual.

    Raises:
        DataError: naming the first.
    """
    for tag, usual in find_spelling(places).items():
        raise DataError(f"{places[tag]}: the tags must be spelt like {usual!r}, got {tag!r}: `respell` them first")


def _find_affix(places: Mapping[str, str]) -> dict[str, str]:
    """Find the usual spelling of tags that have their prefix at the beginning or at the end."""
    outside = places.keys() & {OUTSIDE, OUTSIDE.lower()}
    inside = {tag: place for tag, place in places.items() if tag not in outside}
    readings = _readings(inside, bool(outside))
    readings = [pairs for pairs in readings if _is_paired(pairs.values())] or readings
    if len(readings) > 1:
        tag, place = next(iter(inside.items()))
        ways = " or ".join(repr(join_tag(*pairs[tag])) for pairs in readings)
        raise DataError(f"{place}: the tags must be like 'B-PER', got {tag!r}, which could mean {ways}")
    spelling = {tag: join_tag(*pair) for pairs in readings for tag, pair in pairs.items()}
    if readings or not inside:
        spelling |= dict.fromkeys(outside, OUTSIDE)
    return {tag: spelling[tag] for tag in places if spelling.get(tag, tag) != tag}


def _readings(inside: Mapping[str, str], has_outside: bool) -> list[dict[str, Pair]]:
    """List the ways in which all tags can be read as a prefix and a type.

    Args:
        inside: the tags and their places, without the tag outside of entities.
        has_outside: whether that tag is among the data's.

    Raises:
        DataError: if some of the tags are clearly spelt in one of the ways, and others are not.
    """
    found: list[dict[str, Pair]] = []
    for pattern in (*_BARE, *_TYPED):
        pairs = _pairs(inside, pattern)
        if len(pairs) == len(inside):
            is_reading = _is_paired(pairs.values()) or (has_outside and _can_open(pairs.values(), pattern))
            if is_reading and pairs not in found:
                found.append(pairs)
        elif pattern is not _TYPED[0] and _is_paired(pair for tag, pair in pairs.items() if len(tag) > 1):
            odd = next(tag for tag in inside if tag not in pairs)
            raise DataError(
                f"{inside[odd]}: the tags must be like 'B-PER', 'I-PER' and 'O'; some are spelt as "
                f"{max(pairs, key=len)!r}, but {odd!r} is not"
            )
    return found


def _pairs(tags: Iterable[str], pattern: re.Pattern[str]) -> dict[str, Pair]:
    """Read those tags that a pattern fits as a prefix and a type."""
    matches = {tag: match for tag in tags if (match := pattern.fullmatch(tag))}
    return {tag: (match["prefix"].upper(), match.groupdict().get("kind", NAMELESS)) for tag, match in matches.items()}


def _is_paired(pairs: Iterable[Pair]) -> bool:
    """Say whether some type has both the prefix B and another one, which free labels hardly ever have."""
    pairs = set(pairs)
    return any(prefix != "B" and ("B", kind) in pairs for prefix, kind in pairs)


def _can_open(pairs: Iterable[Pair], pattern: re.Pattern[str]) -> bool:
    """Say whether tags beside an O are of one scheme, and one of them may open an entity.

    In a spelling that is far from the usual one it has to be a B.
    """
    try:
        scheme = scheme_of([*(join_tag(*pair) for pair in pairs), OUTSIDE])
    except ValueError:
        return False
    prefixes = {prefix for prefix, _ in pairs}
    return scheme is not None and (
        "B" in prefixes or (pattern in _PLAIN and any(SCHEMES[scheme][prefix].opens for prefix in prefixes))
    )


def _find_item(places: Mapping[str, str]) -> dict[str, str]:
    """Read tags that are an item among others, as in `name=B-PER|SpaceAfter=No`; without it a word has the tag O."""
    items = {tag: _items(tag) for tag in places}
    readings: dict[str, dict[str, str]] = {}
    for key in sorted({key for found in items.values() for key in found}):
        tags = _tags_of_item({tag: found.get(key, OUTSIDE) for tag, found in items.items()}, places)
        if tags is not None:
            readings[key] = tags
    readings = {key: tags for key, tags in readings.items() if set(tags.values()) != {OUTSIDE}} or readings
    if len(readings) > 1:
        item = next(item for item in places if "=" in item)
        raise DataError(
            f"{places[item]}: one item at most must hold tags, as in name=B-PER, got {', '.join(readings)}: leave one "
            "in the file"
        )
    return next(iter(readings.values()), {})


def _items(tag: str) -> dict[str, str]:
    """Read items such as `name=B-PER|SpaceAfter=No`; of several with one name the first counts."""
    return dict(item.split("=", 1) for item in reversed(tag.split("|")) if "=" in item)


def _tags_of_item(values: Mapping[str, str], places: Mapping[str, str]) -> dict[str, str] | None:
    """Read the values of one item as tags in their usual spelling; None if they are no tags.

    Args:
        values: of each tag in the file, the value of the item.
        places: where each tag in the file stands.
    """
    try:
        spelling = _with_partial({value: places[tag] for tag, value in values.items()})
        tags = {tag: spelling.get(value, value) for tag, value in values.items()}
        known = {tag for one in tags.values() for tag in mentioned(one)}
        scheme = scheme_of(known)
    except ValueError:
        return None
    # Among other items, a single letter that could be a prefix is often something else; only a B is believed.
    has_tags = scheme and ("B" in values.values() or any(map(has_type, known)))
    return tags if has_tags or known == {OUTSIDE} else None
