"""Tags that are not known, or not all of them: what files say of such a word, and what that leaves possible.

    _  ?  -100     nothing is known of the word; in JSON and data sets also null
    B-PER|O        one of these tags
    !I-PER|B-LOC   none of these tags

The chain learns from all taggings that agree with such tags, and no score counts what they leave open.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from ..schemes import OUTSIDE, SCHEMES, Span, constraints, continues, split_tag, tags_to_spans
from .conversion import join_tag

__all__ = [
    "UNKNOWN_TAG",
    "PartialTag",
    "allows",
    "are_known",
    "find_dead_end",
    "find_partial",
    "has_items",
    "is_known",
    "is_possible",
    "known_spans",
    "known_tags",
    "mentioned",
    "part_of",
    "project",
]

MARKS = ("_", "?", "-100")
"""How files spell a tag that is unknown."""
_OTHER = "\0"
"""Stands for all types that a sentence does not name."""


class PartialTag(str):
    """A tag of which something is left open. As a text it is spelt as this module's head says.

    Attributes:
        named: tags.
        excluded: whether the word has none of these, rather than one of them.
    """

    named: frozenset[str]
    excluded: bool

    def __new__(cls, named: Iterable[str] = (), excluded: bool = True) -> "PartialTag":
        names = frozenset(named)
        text = ("!" if excluded else "") + "|".join(sorted(names)) if names or not excluded else MARKS[0]
        made = super().__new__(cls, text)
        made.named, made.excluded = names, excluded
        return made

    def __getnewargs__(self) -> tuple[frozenset[str], bool]:  # type: ignore[override]
        return self.named, self.excluded

    def allows(self, tag: str) -> bool:
        """Say whether the word may have a tag."""
        return (tag in self.named) != self.excluded

    def respelt(self, spelling: Mapping[str, str]) -> "PartialTag":
        """Return the same with its tags in another spelling."""
        return PartialTag((spelling.get(tag, tag) for tag in self.named), self.excluded)


UNKNOWN_TAG = PartialTag()


def is_known(tag: str) -> bool:
    """Say whether a word's tag is one tag."""
    return type(tag) is not PartialTag


def are_known(tags: Iterable[str]) -> bool:
    """Say whether each of the tags is one tag."""
    return all(map(is_known, tags))


def allows(cell: str, tag: str) -> bool:
    """Say whether a word whose tag is given, as one tag or in part, may have a tag."""
    return cell.allows(tag) if isinstance(cell, PartialTag) else cell == tag


def mentioned(tag: str) -> Iterable[str]:
    """Return the tags that a word may have by what is given of it: one, or several; none if all but some."""
    if isinstance(tag, PartialTag):
        return () if tag.excluded else sorted(tag.named)
    return (tag,)


def find_partial(cells: Collection[str], named: Collection[str] = ()) -> dict[str, PartialTag]:
    """Find the cells of a column of tags that say less than one tag.

    Args:
        cells: all different ones of the data.
        named: tags of a label list, which are tags however they look.

    Returns:
        What each such cell says, its tags as they are spelt there.

    >>> find_partial(["_", "B-PER|O", "!I-PER", "A|B", "O"]), find_partial(["_", "name=B-PER|SpaceAfter=No"])
    ({'_': '_', 'B-PER|O': 'B-PER|O', '!I-PER': '!I-PER'}, {})
    """
    if has_items(cells):
        return {}
    found = {}
    for cell in cells:
        if cell in named or isinstance(cell, PartialTag):
            continue
        if cell in MARKS:
            found[cell] = UNKNOWN_TAG
        elif "|" in cell or (cell.startswith("!") and len(cell) > 1):
            parts = cell.removeprefix("!").split("|")
            if "=" not in cell and all(_is_tag(part, cells, named) for part in parts):
                found[cell] = PartialTag(parts, cell.startswith("!"))
    return found


def has_items(cells: Collection[str]) -> bool:
    """Say whether tags are items among others, as in CoNLL-U's MISC, where `_` means that a word has none."""
    return any("=" in cell for cell in cells) and all("=" in cell or cell in ("_", OUTSIDE) for cell in cells)


def _is_tag(part: str, cells: Collection[str], named: Collection[str]) -> bool:
    return part == OUTSIDE or split_tag(part)[0] != "" or part in cells or part in named


class _Rules(NamedTuple):
    """The rules of a scheme for some tags; sets of tags are the bits of a number."""

    starts: int
    ends: int
    after: list[int]  # of each tag those that may follow it
    before: list[int]  # of each tag those that it may follow


@lru_cache(maxsize=256)
def _rules(tags: tuple[str, ...], scheme: str | None) -> _Rules:
    starts, ends, moves = constraints(tags, scheme)
    return _Rules(_bits(starts), _bits(ends), list(map(_bits, moves)), list(map(_bits, zip(*moves, strict=True))))


def _bits(flags: Iterable[bool]) -> int:
    return sum(flag << index for index, flag in enumerate(flags))


def _each(bits: int) -> Iterator[int]:
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


def _joined(masks: Sequence[int], bits: int) -> int:
    union = 0
    for index in _each(bits):
        union |= masks[index]
    return union


def _tags_of(cells: Sequence[str], scheme: str, target: str = "") -> tuple[str, ...]:
    """List O and the tags of all types that the cells name, and of one that stands for all others.

    Args:
        cells: of a sentence, in a scheme.
        scheme: which is theirs.
        target: the scheme of the listed tags; by default the cells'.
    """
    named = {tag for cell in cells for tag in (cell.named if isinstance(cell, PartialTag) else (cell,))}
    kinds = sorted({split_tag(tag)[1] for tag in named - {OUTSIDE}} | {_OTHER})
    return (OUTSIDE, *(join_tag(prefix, kind) for kind in kinds for prefix in SCHEMES[target or scheme]))


def find_dead_end(cells: Sequence[str], scheme: str) -> int | None:
    """Return the first word at which no tagging that obeys the scheme agrees with the cells so far; None if one does.

    Where only the sentence's end makes it impossible, that is `len(cells)`.

    >>> find_dead_end(["O", UNKNOWN_TAG, "I-X"], "IOB2"), find_dead_end([PartialTag(["B-X"]), "O", "I-X"], "IOB2")
    (None, 2)
    """
    tags = _tags_of(cells, scheme)
    rules, reached = _rules(tags, scheme), 0
    for index, cell in enumerate(cells):
        possible = _bits(allows(cell, tag) for tag in tags)
        reached = possible & (_joined(rules.after, reached) if index else rules.starts)
        if not reached:
            return index
    return None if not cells or reached & rules.ends else len(cells)


def project(cells: Sequence[str], source: str, target: str, ruled: bool = True) -> list[str]:
    """Write what is known of a sentence's tags in another scheme.

    A word may have the tags that it has on some path that agrees with the cells. Paths that the target's rules forbid
    aside, that is all there is to say, unless whether one of several tags stands at a word depends on its neighbours.

    Args:
        cells: of each word, in the scheme `source`. Some path agrees with them.
        source, target: schemes; `source` may be `"IOB1"`.
        ruled: whether the paths obey the source's rules; else a tag that continues nothing opens an entity.

    >>> project(["B-X", UNKNOWN_TAG, "O"], "IOB2", "BIOES")
    ['B-X|S-X', '!B-X|I-X', 'O']
    """
    read = "IOB2" if source == "IOB1" else source
    tags = _tags_of(cells, read)
    rules = _rules(tags, read if ruled and read == source else None)
    sets, goes_on, last = _pruned(cells, tags, rules), _continuations(tags, read), len(cells) - 1
    written = []
    for index, possible in enumerate(sets):
        found: set[str] = set()
        for one in _each(possible):
            opens = closes = {True}
            if index:
                opens = {not goes_on[other] >> one & 1 for other in _each(sets[index - 1] & rules.before[one])}
            if index < last:
                closes = {not goes_on[one] >> other & 1 for other in _each(sets[index + 1] & rules.after[one])}
            found.update(_tag_at(tags[one], first, final, target) for first, final in product(opens, closes))
        written.append(_as_cell(found, _tags_of(cells, read, target)))
    return written


def _pruned(cells: Sequence[str], tags: Sequence[str], rules: _Rules) -> list[int]:
    """Return of each word the tags that it has on some path that agrees with the cells and obeys the rules."""
    sets = [_bits(allows(cell, tag) for tag in tags) for cell in cells]
    for index in range(len(sets)):
        sets[index] &= _joined(rules.after, sets[index - 1]) if index else rules.starts
    for index in reversed(range(len(sets))):
        sets[index] &= _joined(rules.before, sets[index + 1]) if index + 1 < len(sets) else rules.ends
    return sets


@lru_cache(maxsize=256)
def _continuations(tags: tuple[str, ...], scheme: str) -> list[int]:
    """Return for each tag those at which its entity goes on."""
    return [_bits(continues(tag, following, scheme) for following in tags) for tag in tags]


def _tag_at(tag: str, first: bool, last: bool, scheme: str) -> str:
    """Write a tag in a scheme, for a word that is the first or the last of its entity, or both, or neither."""
    if tag == OUTSIDE:
        return OUTSIDE
    rules = SCHEMES[scheme].items()
    prefix = next(
        name
        for name, rule in rules
        if (rule.opens if first else rule.extends) and (rule.closes if last else rule.continues)
    )
    return join_tag(prefix, split_tag(tag)[1])


def _as_cell(found: Collection[str], tags: Collection[str]) -> str:
    """Write tags that are possible: by those that are not, where tags of types that nobody names are possible.

    Args:
        found: the tags.
        tags: all that might have been found.
    """
    if any(split_tag(tag)[1] == _OTHER for tag in found):
        return PartialTag((tag for tag in tags if tag not in found and split_tag(tag)[1] != _OTHER), True)
    return next(iter(found)) if len(found) == 1 else PartialTag(found, False)


def part_of(tag: str, scheme: str | None, first: bool, last: bool) -> str:
    """Return what is known of a part of a word, by what is known of the word.

    Args:
        tag: of the word.
        scheme: of the tag.
        first, last: whether the part is the word's first, and its last.
    """
    if scheme is None or (first and last):
        return tag
    found = set()
    for one in (tags := _tags_of([tag], scheme)):
        if allows(tag, one):
            rule = SCHEMES[scheme].get(split_tag(one)[0])
            found.add(OUTSIDE if rule is None else _tag_at(one, first and rule.opens, last and rule.closes, scheme))
    return _as_cell(found, tags)


def is_possible(span: Span, cells: Sequence[str], scheme: str | None) -> bool:
    """Say whether an entity may be there, by what is known of its words and of those beside it, each by itself."""
    start, end, kind = span
    tags = []
    for index in range(start, end):
        fitting = [
            tag for tag in _tags_inside(kind, scheme, index == start, index == end - 1) if allows(cells[index], tag)
        ]
        if not fitting:
            return False
        tags.append(fitting)
    if start and not _may_part(cells[start - 1], lambda tag: not any(continues(tag, one, scheme) for one in tags[0])):
        return False
    after = cells[end : end + 1]
    return not after or _may_part(after[0], lambda tag: not any(continues(one, tag, scheme) for one in tags[-1]))


def _may_part(cell: str, parts: Callable[[str], bool]) -> bool:
    """Say whether a word beside an entity may have a tag that parts it from the entity."""
    return (isinstance(cell, PartialTag) and cell.excluded) or any(map(parts, mentioned(cell)))


def _tags_inside(kind: str, scheme: str | None, first: bool, last: bool) -> list[str]:
    """List the tags that a word of an entity may have, which is its first or last one, or both, or neither."""
    if scheme is None:
        return [kind]
    return [
        join_tag(name, kind)
        for name, rule in SCHEMES[scheme].items()
        if (rule.opens if first else rule.extends) and (rule.closes if last else rule.continues)
    ]


def known_spans(cells: Sequence[str], scheme: str | None) -> list[Span]:
    """Return the entities that are there whatever the tags are that are known in part only.

    >>> known_spans(["B-X", "I-X", PartialTag(["I-X"]), UNKNOWN_TAG, "B-Y", UNKNOWN_TAG], "IOB2")
    [(0, 2, 'X')]
    """
    plain = [cell if is_known(cell) else OUTSIDE for cell in cells]
    spans = tags_to_spans(plain, scheme)
    return spans if are_known(cells) else [span for span in spans if _is_closed(span, cells, scheme)]


def _is_closed(span: Span, cells: Sequence[str], scheme: str | None) -> bool:
    """Say whether no word beside an entity, of whose words all is known, can be part of it."""
    start, end, kind = span
    every = [kind] if scheme is None else [join_tag(prefix, kind) for prefix in SCHEMES[scheme]]
    before, after = (cells[start - 1] if start else OUTSIDE), (cells[end] if end < len(cells) else OUTSIDE)
    return not any(
        (allows(before, tag) and continues(tag, cells[start], scheme))
        or (allows(after, tag) and continues(cells[end - 1], tag, scheme))
        for tag in every
    )


def known_tags(cells: Sequence[str], scheme: str | None) -> list[str]:
    """Return the tags of `known_spans`, and O for all other words."""
    if are_known(cells):
        return list(cells)
    tags = [OUTSIDE] * len(cells)
    for start, end, _ in known_spans(cells, scheme):
        tags[start:end] = cells[start:end]
    return tags
