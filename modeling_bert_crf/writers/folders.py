"""A brat folder: a text and its annotations in two files for each document, and the types in a third file."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..readers.documents import Document
from ..readers.sentences import DataError

__all__ = ["write_brat"]


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
            shown = " ".join(re.split(r"[\n\r\t]", document.text[one.start : one.end]))
            lines.append(f"T{index}\t{one.kind} {one.start} {one.end}\t{shown}\n")
        _write(folder / f"{name}.txt", document.text)
        _write(folder / f"{name}.ann", "".join(lines))
    kinds = "".join(f"{kind}\n" for kind in options.kinds)
    _write(folder / "annotation.conf", f"[entities]\n{kinds}\n[relations]\n\n[events]\n\n[attributes]\n")


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
