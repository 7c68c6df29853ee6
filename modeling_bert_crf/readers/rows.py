"""A row of a data set, or the JSON object of a line, as a sentence."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from ..words import unicode_fault
from .partial import MARKS, UNKNOWN_TAG, PartialTag
from .sentences import DataError, Sentence, shown_names

__all__ = [
    "KNOWN",
    "TAG_COLUMNS",
    "WORD_COLUMNS",
    "content_fault",
    "find_columns",
    "sentence_of",
    "text_column",
    "with_names",
]

WORD_COLUMNS = ("tokens", "words")
TAG_COLUMNS = ("ner_tags", "tags", "labels", "ner")
KNOWN = "known"
"""The column of texts to tag that says what is known of them."""


def text_column(names: Collection[str], column: str | None, place: str) -> str:
    """Name the column that is to be tagged, of a text or of its words: the one asked for, else one that is called so.

    Raises:
        DataError: if there is no such column at `place`.
    """
    candidates = ("text", *WORD_COLUMNS) if column is None else (column,)
    found = next((one for one in candidates if one in names), None)
    if found is None:
        raise DataError(
            f"{place}: must have a column named {' or '.join(candidates)}, got {shown_names(names)}; "
            "name it with --column"
        )
    return found


def content_fault(value: Any, column: str) -> str | None:
    """Say why what stands in a column cannot be tagged; None if it is a text, or a list of words."""
    is_words = isinstance(value, list) and all(isinstance(word, str) and word for word in value)
    if not is_words and not isinstance(value, str):
        shown = "null" if value is None else repr(str(value)[:60])
        return f"{column!r} must be a text or a list of words, got {shown}"
    fault = unicode_fault(value if isinstance(value, str) else " ".join(value))
    return f"{column!r} {fault}" if fault else None


def find_columns(
    source: str, row: Mapping[str, Any], word_column: str | None = None, tag_column: str | None = None
) -> tuple[str, str]:
    """Name the columns of words and of tags in a row: those asked for, else those that have one of the usual names.

    Raises:
        DataError: if there is no such column, or several with a list in it.
    """
    return (
        _find_column(source, row, "words", WORD_COLUMNS if word_column is None else (word_column,)),
        _find_column(source, row, "tags", TAG_COLUMNS if tag_column is None else (tag_column,)),
    )


def _find_column(source: str, row: Mapping[str, Any], what: str, known: Sequence[str]) -> str:
    """Name the column of words, or of tags, among those known."""
    option = "--text_column_name" if what == "words" else "--label_column_name"
    names = [name for name in known if name in row]
    if not names:
        raise DataError(
            f"{source}: must have a column of {what} named {' or '.join(known)}, got {shown_names(row)}; name it with "
            f"{option}"
        )
    lists = [name for name in names if isinstance(row[name], list)]
    if len(lists) > 1:
        raise DataError(f"{source}: must have one column of {what}, got {' and '.join(lists)}; name it with {option}")
    return (lists or names)[0]


def sentence_of(
    row: Mapping[str, Any],
    columns: tuple[str, str],
    source: str,
    number: int,
    names: Sequence[str] | None,
    document_column: str | None,
) -> Sentence:
    """Check a row of a data set, and return its sentence.

    Args:
        row: the values of its columns.
        columns: names of those of words and of tags.
        source: what to call the data set.
        number: of the row.
        names: the tags that integers stand for.
        document_column: the one that says which document the sentence is from, if there is one.

    Raises:
        DataError: if the row does not hold what it should.
    """
    where = f"{source}:{number}"
    words, tags = _words_and_tags(row, columns, where)
    if not all(map(_is_tag, tags)) or {int, str} <= {type(tag) for tag in tags if str(tag) not in MARKS}:
        raise DataError(f"{where}: {columns[1]!r} must hold tags or their ids, got {tags}")
    tags = [_tag_of(tag, names, where) for tag in tags]
    if fault := next(filter(None, map(unicode_fault, [*words, *tags])), ""):
        raise DataError(f"{where}: {fault}")
    if document_column is not None and document_column not in row:
        raise DataError(f"{where}: must have a column of documents named {document_column}, got {shown_names(row)}")
    document = "" if document_column is None else str(row[document_column])
    return with_names(Sentence(words, tags, source, [number] * len(words), document), names)


def _words_and_tags(row: Mapping[str, Any], columns: tuple[str, str], where: str) -> tuple[list[str], list[Any]]:
    """Return the words of a row, and its tags, as many as words."""
    words, tags = row[columns[0]], row[columns[1]]
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError(f"{where}: {columns[0]!r} must be a list of words, got {str(words)[:60]!r}")
    if not isinstance(tags, list) or len(tags) != len(words):
        got = f"{len(tags)}" if isinstance(tags, list) else repr(str(tags)[:60])
        raise DataError(f"{where}: {columns[1]!r} must hold {len(words)} tags, one per word, got {got}")
    if "" in words:
        raise DataError(f"{where}: a word must not be empty, got {words}")
    return words, tags


def _is_tag(value: Any) -> bool:
    """Say whether a value is a tag or an id, several of these of which one is right, or None, which is unknown."""
    if isinstance(value, list):
        return len({*map(type, value)}) == 1 and all(map(_is_tag, value)) and not isinstance(value[0], list)
    return value is None or type(value) is int or (isinstance(value, str) and value != "")


def _tag_of(value: Any, names: Sequence[str] | None, where: str) -> str:
    """Return what a row says of a word's tag, with the names that ids stand for; -100 is unknown, as None is."""
    if value is None or (type(value) is int and str(value) in MARKS):
        return UNKNOWN_TAG
    if isinstance(value, list):
        tags = {_tag_of(one, names, where) for one in value}
        return next(iter(tags)) if len(tags) == 1 else PartialTag(tags, excluded=False)
    if type(value) is int:
        if names is None:
            raise DataError(f"{where}: integer tags need their names: give them, in order, with --label_list")
        return _name_of(value, names, where)
    return cast(str, value)


def with_names(sentence: Sentence, names: Sequence[str] | None) -> Sentence:
    """Return a sentence whose tags have their names, if they are numbers of names and are not names themselves."""
    if names is None:
        return sentence
    unknown = {mark for mark in MARKS if mark not in names}
    if not all(
        tag in unknown or (number.isdecimal() and number not in names)
        for tag in sentence.tags
        for number in tag.removeprefix("!").split("|")
    ):
        return sentence
    tags = [
        tag if tag in unknown else _named(tag, names, sentence.where(index)) for index, tag in enumerate(sentence.tags)
    ]
    return replace(sentence, tags=tags)


def _named(tag: str, names: Sequence[str], where: str) -> str:
    """Return the names of a tag's numbers: `3`, or `3|0` where it is one of several."""
    return re.sub("[0-9]+", lambda number: _name_of(int(number[0][:4000]), names, where), tag)


def _name_of(number: int, names: Sequence[str], where: str) -> str:
    if not 0 <= number < len(names):
        raise DataError(
            f"{where}: a tag must be in [0, {len(names)}), the labels' ids, got {number}; -100 or null if unknown"
        )
    return names[number]
