"""A row of a data set, or the JSON object of a line, as a sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..words import unicode_fault
from .sentences import DataError, Sentence

WORD_COLUMNS = ("tokens", "words")
TAG_COLUMNS = ("ner_tags", "tags", "labels", "ner")


def find_columns(
    source: str, row: Mapping[str, Any], words: str | None = None, tags: str | None = None
) -> tuple[str, str]:
    """Name the columns of words and tags of a row: those asked for, else those of a known name, which hold lists.

    Raises:
        DataError: if one is not there, or there are several.
    """
    found = []
    for what, asked, known in (("words", words, WORD_COLUMNS), ("tags", tags, TAG_COLUMNS)):
        option = "--text_column_name" if what == "words" else "--label_column_name"
        names = [name for name in (known if asked is None else (asked,)) if name in row]
        if not names:
            raise DataError(
                f"{source}: must have a column of {what} named {' or '.join(known if asked is None else (asked,))}, "
                f"got {', '.join(row)}; name it with {option}"
            )
        lists = [name for name in names if isinstance(row[name], list)]
        if len(lists) > 1:
            raise DataError(
                f"{source}: must have one column of {what}, got {' and '.join(lists)}; name it with {option}"
            )
        found.append((lists or names)[0])
    return found[0], found[1]


def sentence_of(
    row: dict[str, Any],
    columns: tuple[str, str],
    source: str,
    number: int,
    names: Sequence[str] | None,
    document: str | None,
) -> Sentence:
    """Check one row of a data set; `names` are the tags that integers stand for."""
    words, tags = row[columns[0]], row[columns[1]]
    where = f"{source}:{number}"
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError(f"{where}: {columns[0]!r} must be a list of words, got {str(words)[:60]!r}")
    if not isinstance(tags, list) or len(tags) != len(words):
        got = f"{len(tags)}" if isinstance(tags, list) else repr(str(tags)[:60])
        raise DataError(f"{where}: {columns[1]!r} must hold {len(words)} tags, one per word, got {got}")
    if "" in words:
        raise DataError(f"{where}: a word must not be empty, got {words}")
    if all(type(tag) is int for tag in tags) and tags:
        if names is None:
            raise DataError(f"{where}: integer tags need their names: give them, in order, with --label_list")
        tags = [_name_of(tag, names, where) for tag in tags]
    if not all(isinstance(tag, str) and tag for tag in tags):
        raise DataError(f"{where}: {columns[1]!r} must hold tags or their ids, got {tags}")
    if fault := next(filter(None, map(unicode_fault, [*words, *tags])), ""):
        raise DataError(f"{where}: {fault}")
    if document is not None and document not in row:
        raise DataError(f"{where}: must have a column of documents named {document}, got {', '.join(row)}")
    document = "" if document is None else str(row[document])
    return with_names(Sentence(words, tags, source, [number] * len(words), document), names)


def with_names(sentence: Sentence, names: Sequence[str] | None) -> Sentence:
    """Give a sentence's tags their names if they are numbers, and no names themselves."""
    if names is None or not all(tag.isdecimal() and tag not in names for tag in sentence.tags):
        return sentence
    tags = [_name_of(int(tag[:4000]), names, sentence.where(index)) for index, tag in enumerate(sentence.tags)]
    return replace(sentence, tags=tags)


def _name_of(number: int, names: Sequence[str], where: str) -> str:
    if not 0 <= number < len(names):
        raise DataError(f"{where}: a tag must be in [0, {len(names)}), the labels' ids, got {number}")
    return names[number]
