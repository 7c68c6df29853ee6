"""PubTator's files: lines `id|t|title` and `id|a|abstract`, then a line for each annotation, an empty line between."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from .columns import number_lines
from .documents import Document
from .marks import Ask, Mark, annotations_of, checked_text
from .sentences import DataError

__all__ = ["is_pubtator", "read_pubtator"]

_TEXT = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)


def is_pubtator(text: str) -> bool:
    """Say whether a text begins as PubTator does: with a title, and behind it what may follow one.

    A title with a tab in it might be a line of columns, so an abstract must follow it.
    """
    text = text.replace("\r\n", "\n")
    follows = r"\1\|a\||\1\t\d+\t|\n|[^|\t\s]+\|t\||\Z"
    return bool(re.match(rf"([^|\t\s]+)\|t\|([^\n]*\n\1\|a\||[^\t\n]*(\Z|\n({follows})))", text))


def _begins(line: str) -> bool:
    return bool(re.match(r"[^|\t\s]+\|t\|", line))


def read_pubtator(path: Path, ask: Ask) -> Iterator[Document]:
    """Yield the documents of a file while they are asked for. Relations are ignored, and the account says so.

    Raises:
        DataError: if a line is not what it should be.
    """
    with path.open("rb") as file:
        group: list[tuple[int, str]] = []
        for number, line in number_lines(file, str(path)):
            # A title begins a document, too, since some files have no empty lines.
            if group and (not line.strip() or _begins(line)):
                yield _document(group, str(path), ask)
                group = []
            if line.strip():
                group.append((number, line))
        if group:
            yield _document(group, str(path), ask)


def _document(lines: Iterable[tuple[int, str]], source: str, ask: Ask) -> Document:
    parts: dict[str, str] = {}
    marks, name, first = [], "", 0
    for number, line in lines:
        where, first = f"{source}:{number}", first or number
        if (match := _TEXT.fullmatch(line)) and not marks:
            if match[2] in parts or (parts and match[1] != name):
                raise DataError(f"{where}: a document must have one title and one abstract, got {line!r:.60}")
            name, parts[match[2]] = match[1], match[3]
            continue
        cells = line.split("\t")
        if not parts or cells[0] != name:
            raise DataError(f"{where}: must be a line of the document {name or 'id|t|title'}, got {line!r:.60}")
        if len(cells) >= 5 and re.fullmatch(r"\d+", cells[1]) and re.fullmatch(r"\d+", cells[2]):
            marks.append(Mark(int(cells[1]), int(cells[2]), cells[4], cells[3]))
        elif len(cells) >= 3 and re.fullmatch(r"[A-Za-z][\w-]*", cells[1]):
            ask.account.notes["relations ignored"] += 1
        else:
            raise DataError(f"{where}: must be id, start, end, text and type, separated by tabs, got {line!r:.60}")
    # Between title and abstract offsets count one character.
    text = "\n".join(parts[part] for part in "ta" if part in parts)
    where = f"{source}:{first}"
    return Document(checked_text(text, where), annotations_of(text, marks, where, ask), source, str(first), name)
