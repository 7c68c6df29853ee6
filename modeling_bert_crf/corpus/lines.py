"""Files of lines as rows: JSON lines, texts, and CSV; also compressed. No more than a few rows are in memory."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from ..readers.sentences import DataError
from .places import Place
from .rows import BLOCK_BYTES, BLOCK_ROWS, Bad, Rows, checked

__all__ = ["COMPRESSIONS", "LINE_BYTES", "count_rows", "first_rows", "header_of", "read_lines"]

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
LINE_BYTES = 2**26
"""How long a line may be. A longer one is never in memory as a whole."""
_CHUNK = 2**20

Row = tuple[int, dict[str, Any] | Bad | None, int]
"""A row's number from 0; what it says, `Bad` if that cannot be read, None if nothing stands there; its bytes."""


@contextmanager
def _opened(place: Place, offset: int = 0) -> Iterator[BinaryIO]:
    compression = next((kind for ending, kind in COMPRESSIONS.items() if place.path.lower().endswith(ending)), None)
    if offset:
        with place.system.open_input_file(place.path) as file:
            file.seek(offset)
            yield io.BufferedReader(file, _CHUNK)
        return
    with place.system.open_input_stream(place.path, compression=compression) as file:
        yield io.BufferedReader(file, _CHUNK)


def count_rows(place: Place, kind: str, every: int) -> tuple[int, list[int]]:
    """Count the rows of a file.

    Args:
        place: the file.
        kind: `"jsonl"`, `"txt"` or `"csv"`.
        every: rows of a shard.

    Returns:
        The number of rows; and at which byte each shard begins, if reading can begin there.
    """
    with _opened(place) as file:
        if kind == "csv":
            return sum(1 for _ in _csv_rows(file)), []
        rows, offsets, at, whole = 0, [], 0, True
        while piece := file.readline(_CHUNK):
            if whole and rows % every == 0:
                offsets.append(at)
            at, whole = at + len(piece), piece.endswith(b"\n")
            rows += whole
    return rows + (not whole), [] if place.path.lower().endswith((*COMPRESSIONS,)) else offsets


def read_lines(
    place: Place, kind: str, column: str, longest: int, every: int, first: int, offset: int
) -> Iterator[Rows]:
    """Read the rows of a file, some at a time. None of these are of two shards.

    Args:
        place: the file.
        kind: `"jsonl"`, `"txt"` or `"csv"`.
        column: what is to be tagged.
        longest: most characters of a text.
        every: rows of a shard.
        first, offset: number of the row to begin with, and its byte; or 0.
    """
    block: list[Row] = []
    size = 0
    with _opened(place, offset) as file:
        for row in _ROWS[kind](file, place.name, first):
            full = size + row[2] > BLOCK_BYTES or len(block) == BLOCK_ROWS
            if block and (full or row[0] % every == 0):
                yield _rows(block, column, longest)
                block, size = [], 0
            if row[1] is not None:
                block.append(row)
                size += row[2]
    if block:
        yield _rows(block, column, longest)


def _rows(block: Sequence[Row], column: str, longest: int) -> Rows:
    said = [row for _, row, _ in block]
    values = [row if isinstance(row, Bad) else checked(_value(row, column), column, longest) for row in said]
    return Rows([number for number, _, _ in block], values, [None if isinstance(one, Bad) else one for one in said])


def _value(row: dict[str, Any] | None, column: str) -> Any:
    row = row or {}
    return row[column] if column in row else Bad(f"must have a column {column!r}, got {', '.join(row) or 'none'}")


def first_rows(place: Place, kind: str, count: int) -> list[dict[str, Any]]:
    """Return the first rows of a file, without those that cannot be read."""
    rows, size = [], 0
    with _opened(place) as file:
        if cast(io.BufferedReader, file).peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(f"{place.name}: must be UTF-8, got UTF-16: convert it, as with iconv -f UTF-16 -t UTF-8")
        for number, row, length in _ROWS[kind](file, place.name, 0):
            if isinstance(row, dict):
                rows.append(row)
            size += length
            if number + 1 >= count or size > BLOCK_BYTES:
                break
    return rows


def _numbered(file: BinaryIO, first: int) -> Iterator[tuple[int, bytes | Bad]]:
    """Yield lines with their numbers."""
    for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES + 1), b""), first):
        if len(line) <= LINE_BYTES:
            yield number, line
            continue
        while not line.endswith(b"\n") and (line := file.readline(_CHUNK)):
            pass
        yield number, Bad(f"must be a line of at most {LINE_BYTES:,} bytes")


def _read(line: bytes | Bad, number: int, read: Callable[[str], Any]) -> Any:
    if isinstance(line, Bad):
        return line
    try:
        text = line.decode("utf-8-sig" if number == 0 else "utf-8")
        return read(text) if text.strip() else None
    except UnicodeDecodeError as error:
        return Bad(f"must be UTF-8, got byte 0x{error.object[error.start]:02x}")
    except (ValueError, RecursionError) as error:
        return Bad(f"must hold one JSON object a line, got {getattr(error, 'msg', error)}")


def _json_rows(file: BinaryIO, name: str, first: int) -> Iterator[Row]:
    for number, line in _numbered(file, first):
        row = _read(line, number, json.loads)
        if row is not None and not isinstance(row, dict | Bad):
            row = Bad(f"must hold one JSON object a line, got {str(row)[:40]!r}")
        yield number, row, 0 if isinstance(line, Bad) else len(line)


def _text_rows(file: BinaryIO, name: str, first: int) -> Iterator[Row]:
    for number, line in _numbered(file, first):
        text = _read(line, number, lambda text: text.removesuffix("\n").removesuffix("\r"))
        row = {"file": name, "line": number + 1, "text": text} if isinstance(text, str) else text
        yield number, row, 0 if isinstance(line, Bad) else len(line)


def header_of(place: Place) -> list[str]:
    """Return the names of a CSV file's columns; none of an empty file."""
    with _opened(place) as file:
        return next(csv.reader(_Lines(file)), [])


def _csv_rows(file: BinaryIO, name: str = "", first: int = 0) -> Iterator[Row]:
    """Yield the records after the first one, which names the columns. All are texts, as they stand there."""
    csv.field_size_limit(LINE_BYTES)
    lines = _Lines(file)
    reader = csv.reader(lines)
    header = next(reader, [])
    number = -1
    while True:
        try:
            record = next(reader, None)
        except csv.Error as error:  # such as a quotation mark that nothing closes
            number += 1
            yield number, Bad(f"must be a record of CSV, got {error}"), 0
            reader = csv.reader(lines)
            continue
        if record is None:
            return
        number += 1
        if not record:
            yield number, None, 0
            continue
        size = sum(map(len, record))
        if len(record) != len(header):
            yield number, Bad(f"must have {len(header)} columns as the first line, got {len(record)}"), size
        elif halves := [letter for cell in record for letter in cell if 0xDC80 <= ord(letter) <= 0xDCFF]:
            yield number, Bad(f"must be UTF-8, got byte 0x{ord(halves[0]) - 0xDC00:02x}"), size
        else:
            yield number, dict(zip(header, record, strict=True)), size


class _Lines:
    """Lines of a CSV file; bytes that are not UTF-8 become halves of characters. Can go on after an error."""

    def __init__(self, file: BinaryIO):
        self._text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LINE_BYTES + 1)
        if not line:
            raise StopIteration
        if len(line) > LINE_BYTES:
            while not line.endswith("\n") and (line := self._text.readline(_CHUNK)):
                pass
            raise csv.Error(f"a line of more than {LINE_BYTES:,} characters")
        return line


_ROWS = {"jsonl": _json_rows, "txt": _text_rows, "csv": _csv_rows}
