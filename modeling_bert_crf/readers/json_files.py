"""JSON values one by one: of JSON lines, of an array, or of the array in an object, however large the file is.

A row of a parquet file is such a value, too.
"""

import codecs
import json
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from .columns import check_encoding, number_lines, read_bytes
from .sentences import DataError

__all__ = ["PARQUET", "read_values"]

PARQUET = b"PAR1\x15"
"""What a parquet file begins with: its mark, which might be a word of a column file, and the first page's header."""

_CHUNK = 1 << 20
_BLANKS = re.compile(r"[ \t\r\n\ufeff]*")
_BETWEEN = re.compile(r"[ \t\r\n]*([,\]])[ \t\r\n]*")
WRAPPERS = ("documents", "annotations", "data", "examples", "tasks", "PubTator3")
"""What an object calls the array that it wraps."""
_ARRAY = re.compile(rf'"({"|".join(WRAPPERS)})"\s*:\s*\[')
_OF_RECORDS = {"text", "tokens", "words", "tokenized_text", "fields", "passages"}


def read_values(path: Path, source: str = "") -> Iterator[tuple[int, Any]]:
    """Yield the JSON values of a file, each with its number, while they are asked for.

    Args:
        path: a file with a value a line, of which the number is that of the line; with an array of values, or an
            object that holds the array as one of `WRAPPERS`; with one object; or a parquet file, whose rows are
            numbered from 1.
        source: what to call the file; by default its path.

    Raises:
        DataError: if the file is not UTF-8, or not JSON.
    """
    source = source or str(path)
    head = read_bytes(path, _CHUNK)
    if head.startswith(PARQUET):
        yield from _rows(path, source)
        return
    check_encoding(head, source)
    start = _array_start(codecs.getincrementaldecoder("utf-8")("replace").decode(head), len(head) < _CHUNK)
    with path.open("rb") as file:
        if start is not None:
            yield from _Array(file, source).values(start)
        else:
            yield from _lines(file, source)


def _rows(path: Path, source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    from pyarrow import ArrowException, parquet  # here, since it takes its time and few files need it

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{source}: must be a parquet file that is whole, got: {reason:.100}") from None


def _array_start(text: str, is_all: bool) -> int | None:
    """Return the place of a file's first value, as the beginning of the file shows; None if it holds lines.

    Args:
        text: the beginning of the file.
        is_all: whether that is all of it.
    """
    start = _after_blanks(text, 0)
    line, _, rest = text[start:].partition("\n")
    value, is_alone = _loaded(line), is_all and not rest.strip()
    if text.startswith("[", start):
        several = isinstance(value, list) and (rest.strip() or _is_pair(value))
        return None if several else start + 1
    if value is not None and not is_alone:
        return None
    for match in _ARRAY.finditer(text, start):
        before = _loaded(text[start : match.end()] + "]}")
        if before is not None and not _is_record(before):
            after = _loaded(text[start:]) if is_all else None
            return None if after is not None and _is_record(after) else match.end()
    return None


def _is_record(value: dict[str, Any]) -> bool:
    """Say whether an object is a record, such as a task of Label Studio, rather than a wrapper around an array."""
    return bool(value.keys() & _OF_RECORDS) or isinstance(value.get("data"), dict)


def _is_pair(value: list[Any]) -> bool:
    """Say whether an array is a text and what is known of it, rather than an array of such."""
    return len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _after_blanks(text: str, place: int) -> int:
    blanks = _BLANKS.match(text, place)
    return place if blanks is None else blanks.end()


def _fault(error: Exception) -> str:
    return getattr(error, "msg", str(error))


def _lines(file: BinaryIO, source: str) -> Iterator[tuple[int, Any]]:
    loads = json.JSONDecoder().decode
    numbered = ((number, line) for number, line in number_lines(file, source) if line.strip())
    for number, line in numbered:
        try:
            value = loads(line)
        except (ValueError, RecursionError) as error:
            whole = None
            if number == 1 and line.startswith("{"):  # perhaps one object over several lines
                whole = _loaded("\n".join([line, *(more for _, more in numbered)]))
            if whole is None:
                raise DataError(f"{source}:{number}: must hold one JSON object a line, got {_fault(error)}") from None
            value = whole
        yield number, value


class _Array:
    """The array in a file, of which no more is in memory than the value that is read."""

    def __init__(self, file: BinaryIO, source: str):
        self.source = source
        self.chunks = self._decoded(file)
        self.text, self.place = "", 0

    def _decoded(self, file: BinaryIO) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for chunk in chain(iter(lambda: file.read(_CHUNK), b""), [b""]):
                yield decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            raise DataError(f"{self.source}: must be UTF-8, got byte 0x{error.object[error.start]:02x}") from None
        except OSError as error:
            raise DataError(f"{self.source}: cannot be read: {error.strerror or error}") from None

    def _longer(self) -> bool:
        """Read as much again as there is left; say whether there was something."""
        rest = self.text[self.place :]
        more = "".join(islice(self.chunks, 1 + len(rest) // _CHUNK))
        self.text, self.place = rest + more, 0
        return more != ""

    def values(self, start: int) -> Iterator[tuple[int, Any]]:
        """Yield the values of the array whose first one follows the character number `start`."""
        decode = json.JSONDecoder().raw_decode
        self._longer()
        self.place, number = start, 0
        while number or not self._closes():
            try:
                place = _after_blanks(self.text, self.place)
                value, place = decode(self.text, place)
            except (ValueError, RecursionError) as error:
                if isinstance(error, ValueError) and self._longer():
                    continue
                raise DataError(f"{self.source}:{number + 1}: must be JSON, got {_fault(error)}") from None
            number, self.place = number + 1, place
            yield number, value
            if self._after_value(number) == "]":
                break
        self._check_rest(start, number)

    def _closes(self) -> bool:
        """Say whether the array is empty, and step over its end."""
        place = _after_blanks(self.text, self.place)
        self.place = place + self.text.startswith("]", place)
        return self.place > place

    def _after_value(self, number: int) -> str:
        """Step over the comma, or the bracket, that follows a value, and return it."""
        while (match := _BETWEEN.match(self.text, self.place)) is None:
            if self.text[self.place :].strip() or not self._longer():
                got = self.text[self.place : self.place + 20]
                raise DataError(f"{self.source}:{number}: must be JSON, got {got!r} where a comma or ] should follow")
        self.place = match.end()
        return match[1]

    def _check_rest(self, start: int, number: int) -> None:
        """Refuse what may not follow the array: in an object other values may, else nothing."""
        while self._longer():
            pass
        rest = self.text[self.place :].strip()
        if rest and _loaded('{"": 0' + rest) is None:
            raise DataError(f"{self.source}:{number}: must be JSON, got {rest[:20]!r} after the array")
