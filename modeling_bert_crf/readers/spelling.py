"""Tags that are spelt otherwise than `B-PER`: read as that where all of the data agree, refused where they do not.

    B_PER  B:PER  B/PER  B.PER     another character between prefix and type
    PER-B  PER_B  ...              the prefix at the end
    b-per  b_per  per-b  b  o      a prefix in lower case; so may be the tag outside of entities
    B-  B_                         no type: the same as a bare `B`
    name=B-PER|SpaceAfter=No       an item among others, as in CoNLL-U's MISC

A tag set is free labels, and left alone, unless each of its tags can be read so, with the prefixes of one scheme.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..schemes import NAMELESS, OUTSIDE, SCHEMES, has_type, join_tag, scheme_of, split_tag
from .sentences import DataError, Sentence

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


def find_spelling(places: Mapping[str, str]) -> dict[str, str]:
    """Find out how the tags of a data set are spelt.

    Args:
        places: all its tags, each with the place that it stands at.

    Returns:
        The usual spelling of each tag that has another one; nothing for usual tags and for free labels.

    Raises:
        DataError: if some tags of a type are spelt in one way, but not all tags are; if they can be read in two ways;
            or if they are the brackets of CoNLL-2012.

    >>> find_spelling({"B_PER": "a.conll:1", "I_PER": "a.conll:2", "o": "a.conll:3"})
    {'B_PER': 'B-PER', 'I_PER': 'I-PER', 'o': 'O'}
    >>> find_spelling({"NOUN_S": "a.conll:1", "VERB": "a.conll:2"})
    {}
    """
    if all(tag == OUTSIDE or (has_type(tag) and join_tag(*split_tag(tag)) == tag) for tag in places):
        return {}
    bracket = next((tag for tag in places if tag.startswith("(")), None)
    if bracket is not None and all(map(_BRACKETS.fullmatch, places)):
        raise DataError(
            f"{places[bracket]}: the tags must be like 'B-PER', got {bracket!r}, a bracket as in CoNLL-2012"
        )
    if any("=" in tag for tag in places) and all("=" in tag or tag in ("_", OUTSIDE) for tag in places):
        return _find_item(places)
    return _find_affix(places)


def respell(sentence: Sentence, spelling: Mapping[str, str]) -> Sentence:
    """Write a sentence's tags as `find_spelling` says."""
    if not spelling:
        return sentence
    return replace(sentence, tags=[spelling.get(tag, tag) for tag in sentence.tags])


def describe(spelling: Mapping[str, str]) -> str:
    """Say by an example what a spelling changes."""
    old, new = max(spelling.items(), key=lambda change: (change[1] != OUTSIDE, -len(change[0])))
    return f"tags such as {old!r} are read as {new!r}"


def check_spelling(places: Mapping[str, str]) -> None:
    """Refuse tags in another spelling where they should be in the usual one.

    Raises:
        DataError: naming the first.
    """
    for tag, usual in find_spelling(places).items():
        raise DataError(f"{places[tag]}: the tags must be spelt like {usual!r}, got {tag!r}: `respell` them first")


def _find_affix(places: Mapping[str, str]) -> dict[str, str]:
    outside = places.keys() & {OUTSIDE, OUTSIDE.lower()}
    inside = [tag for tag in places if tag not in outside]
    found: list[dict[str, Pair]] = []
    for pattern in (*_BARE, *_TYPED):
        matches = {tag: match for tag in inside if (match := pattern.fullmatch(tag))}
        pairs = {
            tag: (match["prefix"].upper(), match.groupdict().get("kind", NAMELESS)) for tag, match in matches.items()
        }
        if len(pairs) == len(inside):
            if _is_paired(pairs.values()) or (outside and _can_open(pairs.values(), pattern)):
                found += [pairs] if pairs not in found else []
        elif _is_paired(pair for tag, pair in pairs.items() if len(tag) > 1) and pattern is not _TYPED[0]:
            odd = next(tag for tag in inside if tag not in pairs)
            raise DataError(
                f"{places[odd]}: the tags must be like 'B-PER', 'I-PER' and 'O'; some are spelt as "
                f"{max(pairs, key=len)!r}, but {odd!r} is not"
            )
    found = [pairs for pairs in found if _is_paired(pairs.values())] or found
    if len(found) > 1:
        tag = inside[0]
        ways = " or ".join(repr(join_tag(*pairs[tag])) for pairs in found)
        raise DataError(f"{places[tag]}: the tags must be like 'B-PER', got {tag!r}, which could mean {ways}")
    spelling = {tag: join_tag(*pair) for pairs in found for tag, pair in pairs.items()}
    if found or not inside:
        spelling |= dict.fromkeys(outside, OUTSIDE)
    return {tag: spelling[tag] for tag in places if spelling.get(tag, tag) != tag}


def _is_paired(pairs: Iterable[Pair]) -> bool:
    """Say whether a type has the prefix B and another: what free labels hardly ever look like."""
    pairs = set(pairs)
    return any(prefix != "B" and ("B", kind) in pairs for prefix, kind in pairs)


def _can_open(pairs: Iterable[Pair], pattern: re.Pattern[str]) -> bool:
    """Say whether tags beside an O are of one scheme, and one may open an entity: in the odder spellings a B."""
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
    items = {tag: dict(item.split("=", 1) for item in reversed(tag.split("|")) if "=" in item) for tag in places}
    readings: dict[str, dict[str, str]] = {}
    for key in sorted({key for found in items.values() for key in found}):
        values = {tag: found.get(key, OUTSIDE) for tag, found in items.items()}
        try:
            spelling = _find_affix({value: places[tag] for tag, value in values.items()})
            tags = {tag: spelling.get(value, value) for tag, value in values.items()}
            scheme = scheme_of(tags.values())
        except ValueError:
            continue
        # A letter alone says little among other items: it must be a B.
        if set(tags.values()) == {OUTSIDE} or (
            scheme and ("B" in values.values() or any(map(has_type, tags.values())))
        ):
            readings[key] = tags
    readings = {key: tags for key, tags in readings.items() if set(tags.values()) != {OUTSIDE}} or readings
    if len(readings) > 1:
        item = next(item for item in places if "=" in item)
        raise DataError(
            f"{places[item]}: one item at most must hold tags, as in name=B-PER, got {', '.join(readings)}: leave one "
            "in the file"
        )
    return next(iter(readings.values()), {})
