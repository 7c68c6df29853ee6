"""Annotations as files write them, checked and brought to characters: some tools count UTF-16 units, or bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any, NamedTuple

from ..words import unicode_fault
from .account import Account
from .documents import Annotation
from .sentences import DataError, shown_name, shown_names

__all__ = ["Ask", "Mark", "annotations_of", "checked_text", "one_annotator"]


@dataclass
class Ask:
    """How a file is to be read, and what was found in it.

    Attributes:
        text_column, label_column: names of the fields of a text and of its annotations; None looks for the usual ones.
        annotator: whose annotations count if several people have annotated a text differently: `"error"` refuses the
            data, `"first"` and `"last"` take those that stand first or last, and anything else is a name.
        account: counts what becomes of annotations.
        texts_only: whether annotations do not count, so that texts without any are read, too.
    """

    text_column: str | None = None
    label_column: str | None = None
    annotator: str = "error"
    account: Account = field(default_factory=Account)
    texts_only: bool = False


class Mark(NamedTuple):
    """An annotation as it stands in a file."""

    start: Any
    end: Any
    kind: Any
    text: Any = None  # what it covers, where the file says so


def checked_text(text: Any, where: str, what: str = "the text") -> str:
    """Return a value of a file if it is a text that can be read.

    Raises:
        DataError: if it is none, or holds half a character.
    """
    if not isinstance(text, str):
        raise DataError(f"{where}: {what} must be a text, got {text!r:.60}")
    if not text.isascii() and (fault := unicode_fault(text)):
        raise DataError(f"{where}: {what} {fault}")
    return text


def annotations_of(text: str, marks: Sequence[Mark], where: str, ask: Ask) -> list[Annotation]:
    """Check annotations, and write them with offsets in characters.

    Offsets are characters of Unicode. Where a file says what its annotations cover, and that is found only if the
    offsets count UTF-16 units, bytes of UTF-8, or a line break of two characters as one, they are read as such, and
    the account says so.

    Raises:
        DataError: if an annotation is empty, reversed, outside of the text, nothing but blanks, there twice, has no
            type, or does not cover what it says.
    """
    if not marks or ask.texts_only:
        return []
    for mark in marks:
        start, end, kind = mark[:3]
        if type(start) is not int or type(end) is not int or start >= end or not isinstance(kind, str) or not kind:
            _refuse(mark, where)
        if not kind.isascii() or kind.isspace():
            _refuse(mark, where)
    unit, place_of = _find_unit(text, marks, where)
    if unit != _CHARACTERS:
        ask.account.notes[f"texts whose offsets count {unit}"] += 1
    found = []
    for mark in marks:
        start, end = place_of(mark.start), place_of(mark.end)
        if start is None or end is None:
            more = "" if text.isascii() else "; does the tool count in UTF-16 units or bytes?"
            raise DataError(
                f"{where}: an annotation must lie in the text, which has {len(text):,} characters, got {_shown(mark)}"
                + more
            )
        if not text[start:end].strip():
            raise DataError(f"{where}: an annotation must not cover blanks alone, got {_shown(mark)}")
        found.append(Annotation(start, end, mark.kind))
    _refuse_twice(found, where)
    return found


Place = Callable[[int], int | None]
"""An offset of a file to the character there; None if there is none."""
_CHARACTERS = "characters"


def _find_unit(text: str, marks: Sequence[Mark], where: str) -> tuple[str, Place]:
    """Find out what offsets count: that in which all annotations cover what they say, blanks aside if need be."""
    in_characters = _in_characters(text)
    given = [mark for mark in marks if isinstance(mark.text, str)]
    length = len(text)
    if all(one.start >= 0 and one.end <= length and text[one.start : one.end] == one.text for one in given):
        return _CHARACTERS, in_characters
    units = {_CHARACTERS: in_characters, **{name: _counting(text, width) for name, width in _WIDTHS.items()}}
    for spelling, (name, place_of) in product((str, _without_any_blanks), units.items()):
        if all(_covers(text, mark, place_of, spelling) for mark in given):
            return name, place_of
    odd = next(mark for mark in given if not _covers(text, mark, in_characters, _without_any_blanks))
    raise DataError(
        f"{where}: an annotation must cover {odd.text!r:.60} as it says, got {text[odd.start : odd.end]!r:.60} for "
        f"{_shown(odd)}"
    )


def _covers(text: str, mark: Mark, place_of: Place, spelling: Callable[[str], str]) -> bool:
    start, end = place_of(mark.start), place_of(mark.end)
    return start is not None and end is not None and spelling(text[start:end]) == spelling(mark.text)


def _without_any_blanks(text: str) -> str:
    """Leave out all blanks, also line breaks that stand as `\\n`: tools write them in several ways."""
    return "".join(text.replace("\\n", " ").split())


def _in_characters(text: str) -> Place:
    length = len(text)
    return lambda place: place if 0 <= place <= length else None


def _counting(text: str, width: Callable[[str, str], int]) -> Place:
    """Count a text in other units; `width` says how many a character has before another one."""
    places, total = {0: 0}, 0
    for number, (one, following) in enumerate(pairwise([*text, ""]), start=1):
        total += width(one, following)
        places.setdefault(total, number)
    return places.get


_WIDTHS: dict[str, Callable[[str, str], int]] = {
    "UTF-16 units": lambda one, _: 1 + (one > "\uffff"),
    "bytes of UTF-8": lambda one, _: len(one.encode()),
    "a line break of two characters as one": lambda one, following: one + following != "\r\n",
}


def _refuse(mark: Mark, where: str) -> None:
    """Refuse an annotation that is none whatever the text is."""
    for name, place in (("start", mark.start), ("end", mark.end)):
        if type(place) is not int:
            raise DataError(f"{where}: the {name} of an annotation must be a whole number, got {place!r:.60}")
    if mark.start >= mark.end:
        fault = "be empty" if mark.start == mark.end else "end before it starts"
        raise DataError(f"{where}: an annotation must not {fault}, got {_shown(mark)}")
    if not isinstance(mark.kind, str) or not mark.kind.strip():
        raise DataError(f"{where}: an annotation must have a type, got {mark.kind!r:.60} for {_shown(mark)}")
    checked_text(mark.kind, where, "the type")


def _shown(mark: Mark | Annotation) -> str:
    return f"{shown_name(mark.kind)} at [{mark.start}, {mark.end})"


def _refuse_twice(found: Sequence[Annotation], where: str) -> None:
    if len(set(found)) < len(found):
        twice = next(one for number, one in enumerate(found) if one in found[:number])
        raise DataError(f"{where}: an annotation must stand there once, got {_shown(twice)} twice")


def one_annotator(
    given: Sequence[tuple[str, Sequence[Annotation]]], where: str, ask: Ask
) -> Sequence[Annotation] | None:
    """Choose one of several people's annotations of a text.

    Args:
        given: names of annotators, each with all annotations of theirs.
        where: the place of the text.
        ask: which annotator is wanted.

    Returns:
        The annotations; None if there are none, or none by the one that is asked for by name.

    Raises:
        DataError: if the annotations differ, and nobody is asked for.
    """
    if ask.texts_only:
        return []
    if not given:
        return None
    if ask.annotator in ("first", "last"):
        return given[0 if ask.annotator == "first" else -1][1]
    if ask.annotator != "error":
        return next((annotations for name, annotations in given if name == ask.annotator), None)
    if any(set(annotations) != set(given[0][1]) for _, annotations in given):
        names = shown_names(dict.fromkeys(name for name, _ in given))
        raise DataError(
            f"{where}: must be annotated by one, got {len(given)} annotations that differ, by {names}: choose with "
            "--annotator first, last, or a name"
        )
    return given[0][1]
