"""Entities apart from their text, a line each: a brat folder, PubTator."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..doors.terminal import Writable
from ..readers.documents import Annotation, Document
from ..readers.sentences import DataError

__all__ = ["write_brat", "write_pubtator"]


def write_brat(documents: Iterable[Document], folder: Path, options: Any) -> None:
    """Write a new folder: of each document NAME.txt and NAME.ann, and `annotation.conf` with `options.kinds`.

    NAME is the document's id where that can name a file and no document before had it, else a number. brat has a line
    for an entity, so line breaks in the copy of its text become blanks there, as brat itself writes them; offsets
    count characters of the text as it is.

    Raises:
        DataError: if a type holds a blank, which ends a type in a .ann file.
    """
    folder.mkdir()
    used: set[str] = set()
    for number, document in enumerate(documents, start=1):
        name = _file_name(document.name, number, used)
        used.add(name.lower())
        lines = []
        for index, one in enumerate(document.annotations, start=1):
            if not re.fullmatch(r"[^\s;]+", one.kind):
                raise DataError(f"{document.where}: a type in brat must not hold blanks, got {one.kind!r}")
            lines.append(f"T{index}\t{one.kind} {one.start} {one.end}\t{_on_a_line(document, one)}\n")
        _write(folder / f"{name}.txt", document.text)
        _write(folder / f"{name}.ann", "".join(lines))
    kinds = "".join(f"{kind}\n" for kind in options.kinds)
    _write(folder / "annotation.conf", f"[entities]\n{kinds}\n[relations]\n\n[events]\n\n[attributes]\n")


def write_pubtator(documents: Iterable[Document], file: Writable, options: Any = None) -> None:
    """Write a title and an abstract, which are the two lines of a text, and a line for each entity.

    Raises:
        DataError: if a text has more lines, or a line break other than a line feed.
    """
    for number, document in enumerate(documents, start=1):
        name = document.name if re.fullmatch(r"[^\s|]+", document.name) else str(number)
        parts = document.text.split("\n")
        if len(parts) > 2 or "\r" in document.text or "\x1a" in document.text:
            raise DataError(
                f"{document.where}: a text in PubTator must be a title and an abstract, each a line, got "
                f"{document.text[:60]!r}"
            )
        file.writelines(f"{name}|{part}|{text}\n" for part, text in zip("ta", parts, strict=False))
        for one in document.annotations:
            kind = " ".join(one.kind.split())
            file.write(f"{name}\t{one.start}\t{one.end}\t{_on_a_line(document, one)}\t{kind}\n")
        file.write("\n")


def _on_a_line(document: Document, one: Annotation) -> str:
    return re.sub(r"[\n\r\t]", " ", document.text[one.start : one.end])


def _file_name(name: str, number: int, used: set[str]) -> str:
    """Name a document's files; a disk may take two names for one that differ in capitals only."""
    if re.fullmatch(r"\w[\w.-]{0,99}", name) and name.lower() not in used:
        return name
    wanted = f"{number:06}"
    while wanted in used:
        wanted += "_"
    return wanted


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8"))
