"""Rows with their entities as parquet or JSON lines: every column of the input, and one more."""

import base64
import datetime
import json
from collections.abc import Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from .rows import BLOCK_BYTES, Bad, Rows
from .sources import FOUND

__all__ = ["ENTITIES", "JsonShard", "ParquetShard", "with_entities"]

ENTITIES = pa.list_(
    pa.struct(
        [
            ("entity_group", pa.string()),
            ("score", pa.float64()),
            ("word", pa.string()),
            ("start", pa.int64()),
            ("end", pa.int64()),
        ]
    )
)
"""The type of what is found in a row; null where a row could not be tagged."""
GROUP_ROWS = 10_000
"""About how many rows stand in a group of a parquet file."""

Found = Sequence[list[dict[str, Any]] | None]


def with_entities(batch: pa.RecordBatch, found: Found) -> pa.RecordBatch:
    """Return a batch of rows with one column more."""
    return batch.append_column(pa.field(FOUND, ENTITIES), pa.array(found, ENTITIES))


class ParquetShard:
    """A parquet file that rows are written to as they come.

    Args:
        file: open for bytes.
        schema: the types of the columns of the input.
    """

    def __init__(self, file: BinaryIO, schema: pa.Schema):
        self._schema = schema
        self._writer = pq.ParquetWriter(file, schema.append(pa.field(FOUND, ENTITIES)))
        self._waiting: list[pa.RecordBatch] = []

    def write(self, rows: Rows, found: Found) -> list[Bad | None]:
        """Write rows; return what was wrong with each that could not be written."""
        if isinstance(rows.columns, pa.RecordBatch):
            self._add(with_entities(rows.columns, found))
            return [None] * len(found)
        faults = [Bad("") if row is None else None for row in rows.columns]
        try:
            batch = self._typed([row for row in rows.columns if row is not None])
        except (pa.ArrowException, OverflowError, UnicodeError, ValueError):
            faults = [Bad("") if row is None else self._fault(row) for row in rows.columns]
            kept = zip(rows.columns, faults, strict=True)
            batch = self._typed([row for row, fault in kept if row is not None and fault is None])
        self._add(with_entities(batch, [one for one, fault in zip(found, faults, strict=True) if fault is None]))
        return faults

    def close(self) -> None:
        """Write what waits, and the end of the file."""
        self._flush()
        self._writer.close()

    def _typed(self, rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
        batch = pa.RecordBatch.from_pylist(rows, self._schema)
        for row, stored in zip(rows, batch.to_pylist(), strict=True):
            if not _holds(stored, row):
                raise ValueError("a column or a field that the first rows do not have")
        return batch

    def _fault(self, row: dict[str, Any]) -> Bad | None:
        """Say why the columns cannot hold a row."""
        try:
            self._typed([row])
        except (pa.ArrowException, OverflowError, UnicodeError, ValueError) as error:
            why = str(error).splitlines()[0]
            return Bad(f"must fit the columns that the first rows have (--format jsonl keeps all), got {why}")
        return None

    def _add(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        rows, size = sum(map(len, self._waiting)), sum(one.nbytes for one in self._waiting)
        if rows >= GROUP_ROWS or size >= 4 * BLOCK_BYTES:
            self._flush()

    def _flush(self) -> None:
        if any(map(len, self._waiting)):
            self._writer.write_table(pa.Table.from_batches(self._waiting))
        self._waiting = []


def _holds(stored: Any, given: Any) -> bool:
    """Say whether nothing of what was given got lost."""
    if isinstance(given, dict):
        return isinstance(stored, dict) and all(
            name in stored and _holds(stored[name], value) for name, value in given.items()
        )
    if isinstance(given, list):
        return isinstance(stored, list) and all(map(_holds, stored, given))
    return True


class JsonShard:
    """A file of JSON lines that rows are written to; `schema` is not needed."""

    def __init__(self, file: BinaryIO, schema: pa.Schema | None = None):
        self._file = file

    def write(self, rows: Rows, found: Found) -> list[Bad | None]:
        """Write rows; return what was wrong with each that could not be written."""
        faults: list[Bad | None] = []
        for index, entities in enumerate(found):
            try:
                one: Any = rows.columns[index : index + 1]
                row = one.to_pylist()[0] if isinstance(one, pa.RecordBatch) else one[0]
            except UnicodeDecodeError as error:
                faults.append(Bad(f"must be UTF-8 in each column, got byte 0x{error.object[error.start]:02x}"))
                continue
            faults.append(None if row is not None else Bad(""))
            if row is not None:
                line = json.dumps({**row, FOUND: entities}, ensure_ascii=False, default=_as_json)
                # JSON can write half a character, which a row that came from JSON may hold.
                self._file.write(line.encode("utf-8", "backslashreplace") + b"\n")
        return faults

    def close(self) -> None:
        """Do nothing: all has been written."""


def _as_json(value: Any) -> Any:
    """Write what JSON has no word for: bytes in base64, dates as ISO 8601 has them, all else as its text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)
