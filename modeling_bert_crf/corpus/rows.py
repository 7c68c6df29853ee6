"""Rows on their way to the tagger: what is tagged of each, what else it says, and what is wrong with it."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from ..readers.rows import content_fault

__all__ = ["BLOCK_BYTES", "BLOCK_ROWS", "Bad", "Rows", "checked", "columns_of"]

BLOCK_ROWS, BLOCK_BYTES = 1024, 2**22
"""How many rows are in memory at once, or how many bytes of them; a larger row is by itself."""


@dataclass(frozen=True)
class Bad:
    """What stands in the place of a text that cannot be tagged; `rule` says in a few words why."""

    rule: str


class Rows(NamedTuple):
    """Some rows of a source that follow each other.

    Attributes:
        numbers: of each row in its source, from 0; some may be missing, such as those of empty lines.
        values: what is to be tagged of each row: a text, a list of words, or `Bad`.
        columns: what the rows say: a batch of Arrow's, or a dictionary for each row. It is None if a row is none.
    """

    numbers: Sequence[int]
    values: Sequence[Any]
    columns: pa.RecordBatch | Sequence[dict[str, Any] | None]

    def between(self, first: int, end: int) -> "Rows":
        """Return the rows whose numbers are from `first` on and below `end`."""
        part = slice(bisect_left(self.numbers, first), bisect_left(self.numbers, end))
        return Rows(self.numbers[part], self.values[part], self.columns[part])


def checked(value: Any, column: str, longest: int) -> Any:
    """Return what a row's column holds if it can be tagged, else what is wrong with it, as `Bad`.

    Args:
        value: of the column.
        column: its name.
        longest: most characters of a text.
    """
    if isinstance(value, Bad):
        return value
    if fault := content_fault(value, column):
        return Bad(fault)
    length = len(value) if isinstance(value, str) else len(" ".join(value))
    if length > longest:
        return Bad(f"{column!r} must have at most {longest:,} characters (--longest), got {length:,}")
    return value


def columns_of(batch: pa.RecordBatch, column: str) -> list[Any]:
    """Return what a column of a batch holds, for each row; `Bad` where bytes are no text."""
    values = batch.column(column)
    try:
        return values.to_pylist()
    except UnicodeDecodeError:  # no writer has to check what it writes
        return [_decoded(value) for value in values]


def _decoded(value: Any) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError as error:
        return Bad(f"must be UTF-8, got byte 0x{error.object[error.start]:02x}")
