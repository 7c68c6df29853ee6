"""brat's folders: a text in a `.txt`, its annotations beside it in an `.ann`."""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from .columns import check_encoding, number_lines, read_bytes
from .documents import Document
from .marks import Ask, Mark, annotations_of, checked_text
from .sentences import DataError

__all__ = ["is_ann", "read_brat", "texts_of"]

_LINE = re.compile(r"[TREAMN*#][^\t]*\t")
_ONE_PART = re.compile(r"T[^\t]*\t(\S+) (\d+) (\d+)(?:\t(.*))?", re.S)
_SPANS = re.compile(r"(\S+) (\d+ \d+(?:;\d+ \d+)*)")


def is_ann(line: str) -> bool:
    """Say whether a line is an annotation of an `.ann` file. The other lines of one might be columns, too."""
    return bool(re.match(r"T\d+\t\S+ \d+ \d+(;\d+ \d+)*\t", line))


def texts_of(folder: Path) -> list[Path]:
    """Return the texts of a folder, and of those in it, that have annotations, sorted by names and numbers.

    Raises:
        DataError: if there are annotations without their text, or no annotations at all.
    """
    annotated = sorted(folder.rglob("*.ann"), key=_with_numbers)
    if not annotated:
        raise DataError(f"{folder}: must be a file, or a folder with pairs of .txt and .ann, got no .ann")
    texts = [path.with_suffix(".txt") for path in annotated]
    if lonely := next((path for path in texts if not path.is_file()), None):
        raise DataError(f"{lonely.with_suffix('.ann')}: must have its text beside it, got no {lonely.name}")
    return texts


def _with_numbers(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts `9.ann` before `10.ann`."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d{1,18})", str(path))]


def read_brat(path: Path, ask: Ask) -> Iterator[Document]:
    """Yield the documents of a folder, or of one `.ann` or `.txt`, while they are asked for.

    Relations, events, attributes and notes are ignored; annotations of several parts are left out, since a word's tag
    cannot say that an entity goes on after a gap. The account says so.

    Raises:
        DataError: if a file is missing or is not what it should be.
    """
    if path.is_dir() and ask.texts_only:
        folder, texts = path, sorted(path.rglob("*.txt"), key=_with_numbers)
    elif path.is_dir():
        folder, texts = path, texts_of(path)
        if bare := len(list(folder.rglob("*.txt"))) - len(texts):
            ask.account.notes["texts without .ann left out"] += bare
    else:
        folder, texts = path.parent, [path.with_suffix(".txt")]
        for file in (path.with_suffix(".ann"), *texts):
            if not file.is_file():
                raise DataError(f"{path}: must be a pair of .txt and .ann, got no {file.name}")
    for file in texts:
        yield _read_pair(file, folder, ask)


def _read_pair(file: Path, folder: Path, ask: Ask) -> Document:
    raw = read_bytes(file)
    check_encoding(raw, str(file))
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: must be UTF-8, got byte 0x{raw[error.start]:02x}") from None
    place = file.relative_to(folder).as_posix()
    checked_text(text, str(file))
    name = place.removesuffix(".txt")
    if ask.texts_only:
        return Document(text, [], str(folder), place, name)
    source = file.with_suffix(".ann")
    with source.open("rb") as lines:
        numbered = [(number, line) for number, line in number_lines(lines, str(source)) if line.strip()]
    marks = list(_marks(numbered, text, str(source), ask))
    return Document(text, annotations_of(text, marks, str(source), ask), str(folder), place, name)


def _marks(lines: Iterable[tuple[int, str]], text: str, source: str, ask: Ask) -> Iterator[Mark]:
    for number, line in lines:
        if match := _ONE_PART.fullmatch(line):  # nearly all lines
            yield Mark(int(match[2]), int(match[3]), match[1], match[4])
            continue
        where = f"{source}:{number}"
        if not _LINE.match(line):
            raise DataError(f"{where}: must be like T1, tab, PER 0 3, tab, Ada, got {line!r:.60}")
        if not line.startswith("T"):
            ask.account.notes[_other(line)] += 1
            continue
        _, said, *covered = line.split("\t", 2)
        if not (match := _SPANS.fullmatch(said)):
            raise DataError(f"{where}: must have a type, a start and an end, as PER 0 3, got {said!r:.60}")
        parts = [tuple(map(int, part.split())) for part in match[2].split(";")]
        if any(text[before[1] : after[0]].strip() for before, after in pairwise(parts)):
            shown = covered[0] if covered else match[2]
            ask.account.add("dropped", match[1], where, shown, "in several parts")
        else:  # parts of several lines, which brat writes for what goes on over a line break
            yield Mark(parts[0][0], parts[-1][1], match[1], covered[0] if covered else None)


def _other(line: str) -> str:
    kinds = {"R": "relations", "*": "relations", "E": "events", "A": "attributes", "M": "attributes", "#": "notes"}
    return f"{kinds.get(line[0], 'normalizations')} of brat ignored"
