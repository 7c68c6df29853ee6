"""What `bert-crf tag` reads: texts of the command line, and files of texts, JSON lines or columns, item by item."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from modeling_bert_crf.readers.columns import number_lines, read_columns
from modeling_bert_crf.readers.files import read_objects
from modeling_bert_crf.readers.formats import find_format, read_documents
from modeling_bert_crf.readers.json_files import read_values
from modeling_bert_crf.readers.marks import Ask
from modeling_bert_crf.readers.rows import KNOWN, content_fault, text_column
from modeling_bert_crf.readers.sentences import DataError
from modeling_bert_crf.words import unicode_fault

from .frame import CommandError, reason

__all__ = ["STDIN", "Item", "check_readable", "opened", "read_items"]

STDIN = "-"


@dataclass(frozen=True)
class Item:
    """One text, or one sentence that is split into words already.

    Attributes:
        content: the text, or the words.
        place: file and line that it stands at; empty for a text of the command line.
        columns: what a JSON line says beside text and entities.
        gold: the last column of a column file that has more than one, for each word; else empty.
        document: the number of the file, and the number of the document in it; number 0 is what stands before the
            first border.
    """

    content: str | list[str]
    place: str = ""
    columns: dict[str, Any] | None = None
    gold: Sequence[str] = ()
    document: tuple[int, int] = (0, 0)

    @property
    def known(self) -> list[Any]:
        """What a JSON line says is known of the text, as the pipeline's `known` takes it."""
        return (self.columns or {}).get(KNOWN) or []

    @property
    def is_split(self) -> bool:
        """Whether the content is a list of words."""
        return not isinstance(self.content, str)

    @property
    def text(self) -> str:
        """The text that offsets count in."""
        return self.content if isinstance(self.content, str) else " ".join(self.content)


def read_items(
    texts: Sequence[str],
    files: Sequence[tuple[str, str]],
    column: str | None = None,
    skip: Callable[[DataError], None] | None = None,
) -> Iterator[Item]:
    """Read texts, then files, one item at a time as items are asked for.

    Args:
        texts: each an item.
        files: paths, or `"-"` for standard input, each with its format: `"txt"`, `"jsonl"`, `"conll"`, one of
            `formats.FORMATS`, or `""` for what its content shows.
        column: the name of the column in JSON lines, or its number, from 0, in a column file. If it is None,
            JSON lines are searched for `text`, then for words, and of a column file the first column is taken.
        skip: is told of each row of JSON that cannot be tagged, which is left out; None raises the error.

    Raises:
        CommandError, DataError: if a file cannot be read, or a line does not hold what it should.
    """
    for number, text in enumerate(texts, start=1):
        yield Item(_checked(text, f"text {number}"))
    for number, (path, form) in enumerate(files):
        form, name = _format(path, form, column), _name(path)
        if form not in _LINES:
            yield from _read_annotated(Path(path), form, number, column)
            continue
        with opened(path) as file:
            lines = number_lines(file, name)
            if form == "txt":
                yield from _read_texts(lines, name, number)
            elif form == "jsonl":
                rows = read_objects(lines, name) if path == STDIN else _objects(Path(path), name)
                yield from _read_rows(rows, name, number, column, skip)
            else:
                yield from _read_sentences(lines, name, number, column)


_LINES = ("txt", "jsonl", "conll", "conllu")
_WITH_TEXT = ("doccano", "spans", "prodigy")
"""Formats whose records have their text as JSON lines have it, so that all that they say is written again."""


def _format(path: str, form: str, column: str | None) -> str:
    """Name what a file is to be read as: what was asked for, or else what its content shows."""
    if form or path == STDIN:
        return form or "txt"
    found = find_format(Path(path), None, Ask(column))
    return "jsonl" if found in _WITH_TEXT else found


def _read_annotated(path: Path, form: str, file: int, column: str | None) -> Iterator[Item]:
    """Read texts whose annotations do not count: they are found anew."""
    ask = Ask(column, texts_only=True)
    for number, document in enumerate(read_documents(path, form, ask)):
        words = [document.text[slice(*word)] for word in document.words or []]
        columns = {**document.meta, "id": document.name} if document.name else dict(document.meta)
        content = words if form == "gliner" else document.text
        yield Item(content, document.where, columns, document=(file, number))


def check_readable(paths: Iterable[str]) -> None:
    """Find out before the work begins whether files can be read."""
    for path in paths:
        if path != STDIN and not Path(path).is_dir():
            with opened(path):
                pass


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Open a file, or standard input, to read it.

    Raises:
        CommandError: if it cannot be opened.
    """
    if path == STDIN:
        yield sys.stdin.buffer
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115  (closed below: an error of the caller is none of opening)
    except OSError as error:
        raise CommandError(f"{_name(path)}: cannot be read: {reason(error)}") from None
    with file:
        yield file


def _name(path: str) -> str:
    """Return a name for messages that can be printed, since a file's name may hold any bytes."""
    return "standard input" if path == STDIN else os.fsencode(path).decode("utf-8", "replace")


def _read_texts(lines: Iterable[tuple[int, str]], name: str, file: int) -> Iterator[Item]:
    for line, text in lines:
        if text.strip():
            yield Item(text, f"{name}:{line}", {"file": name, "line": line}, document=(file, 0))


def _objects(path: Path, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, value in read_values(path, name):
        if not isinstance(value, dict):
            raise DataError(f"{name}:{number}: must hold one JSON object a line, got {str(value)[:40]!r}")
        yield number, value


def _read_rows(
    rows: Iterable[tuple[int, dict[str, Any]]],
    name: str,
    file: int,
    column: str | None,
    skip: Callable[[DataError], None] | None,
) -> Iterator[Item]:
    for line, row in rows:
        place = f"{name}:{line}"
        try:
            if not isinstance(row.get(KNOWN) or [], list):
                raise DataError(f"{place}: {KNOWN!r} must be a list of [start, end, type], got {row[KNOWN]!r:.60}")
            yield Item(_content(row, column, place), place, row, document=(file, 0))
        except DataError as error:
            if skip is None:
                raise
            skip(error)


def _content(row: dict[str, Any], column: str | None, place: str) -> str | list[str]:
    """Return the text of a row, or its words."""
    content = row[found := text_column(row, column, place)]
    if fault := content_fault(content, found):
        raise DataError(f"{place}: {fault}; --on_error skip leaves it out")
    return content


def _read_sentences(lines: Iterable[tuple[int, str]], name: str, file: int, column: str | None) -> Iterator[Item]:
    for sentence in read_columns(lines, name, column, tagged=False, conllu=name.lower().endswith(".conllu")):
        words, line = sentence.words, sentence.lines[0]
        columns = {"file": name, "line": line, "tokens": words}
        gold = sentence.tags if any(sentence.tags) else ()
        yield Item(words, sentence.where(0), columns, gold, (file, int(sentence.document)))


def _checked(text: str, place: str) -> str:
    """Refuse a text with half a character, which UTF-8 cannot write."""
    if fault := unicode_fault(text):
        raise DataError(f"{place}: {fault}")
    return text
