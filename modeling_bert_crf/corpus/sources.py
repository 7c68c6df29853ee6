"""Inputs, by their names, as sources of rows."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from ..readers.rows import KNOWN, text_column
from ..readers.sentences import DataError
from .lines import COMPRESSIONS, count_rows, first_rows, header_of, read_lines
from .places import Place, find_files, place_of
from .rows import Rows
from .tables import (
    data_set,
    is_saved_data_set,
    is_text,
    parquet_facts,
    read_data_set,
    read_parquet,
    splits_of,
)

__all__ = ["FOUND", "TYPED", "Source", "find_sources", "read_rows", "reason", "typed_column"]

logger = logging.getLogger(__name__)

FOUND = "entities"
"""The name of the column that is added."""
TYPED = ("parquet", "data set")
"""Kinds of sources whose columns have types."""
SEEN = 1000
"""Rows of a file of JSON lines that say which columns it has."""
_ENDINGS = {".parquet": "parquet", ".jsonl": "jsonl", ".json": "jsonl", ".txt": "txt", ".csv": "csv"}


@dataclass(frozen=True)
class Source:
    """A file, or a split of a data set.

    Attributes:
        kind: what is in it.
        name: what messages call it.
        column: what is tagged.
        identity: what tells it from another, or from itself at another time, as JSON holds it.
        rows: how many there are; of a file of lines the lines, also the empty ones.
        schema: the types of the columns; None if they have none.
        place: the file; of a data set the folder, or its name.
        split: of a data set.
        offsets: where in the file each shard begins; empty if reading cannot begin there.
    """

    kind: str
    name: str
    column: str
    identity: tuple[str | int, ...]
    rows: int
    schema: pa.Schema | None
    place: Place
    split: str = ""
    offsets: Sequence[int] = ()

    @property
    def can_begin_anywhere(self) -> bool:
        """Whether a reading that begins at any shard costs no more than that shard."""
        return bool(self.offsets) or self.kind == "data set"


def find_sources(
    inputs: Sequence[str], column: str | None, every: int, typed: bool, counted: Mapping[str, Any]
) -> list[Source]:
    """Find out what inputs hold.

    Args:
        inputs: files, patterns such as `docs/*.parquet`, folders, and names of data sets.
        column: what is to be tagged; None looks for `text`, then for words.
        every: rows of a shard.
        typed: whether the columns need types.
        counted: what `Source.counts` said of files earlier, by `str(identity)`; they are not counted again.

    Raises:
        DataError: if an input is not there, cannot be read, or has no such column.
    """
    sources: list[Source] = []
    for name in inputs:
        is_data_set = is_saved_data_set(name)
        files = [] if is_data_set else find_files(name)
        if not files and not is_data_set and (any(sign in name for sign in "*?[:") or Path(name).exists()):
            raise DataError(f"{name}: must be or hold at least one file, got none")
        if files:
            sources += [_file_source(place, column, every, typed, counted) for place in files]
        else:
            sources += _data_set_sources(name, column)
    counts = Counter(one.name for one in sources)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise DataError(f"{min(twice)}: must be among the inputs once, got it twice")
    return sources


def _file_source(place: Place, column: str | None, every: int, typed: bool, counted: Mapping[str, Any]) -> Source:
    kind = _kind(place)
    try:
        info = place.info
        identity = (Path(place.path).name, info.size or 0, info.mtime_ns or 0)
        if kind == "parquet":
            rows, schema = parquet_facts(place)
            return Source(kind, place.name, typed_column(place.name, schema, column), identity, rows, schema, place)
        column, schema = _columns(place, kind, column, typed)
        rows, offsets = counted.get(str(identity)) or count_rows(place, kind, every)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{place.name}: cannot be read: {reason(error)}") from None
    return Source(kind, place.name, column, identity, rows, schema, place, offsets=tuple(offsets))


def reason(error: Exception) -> str:
    """Say in one line why something failed."""
    return getattr(error, "strerror", None) or (str(error).strip() or type(error).__name__).splitlines()[0]


def _kind(place: Place) -> str:
    name = place.path.lower()
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    kind = _ENDINGS.get(Path(name).suffix)
    if kind is None or (kind == "parquet" and not place.path.lower().endswith(".parquet")):
        known = ", ".join(_ENDINGS)
        raise DataError(f"{place.name}: must end in {known}, or in one of these and {' or '.join(COMPRESSIONS)}")
    return kind


def _data_set_sources(name: str, column: str | None) -> list[Source]:
    sources = []
    data_set.cache_clear()  # it may have changed since
    place = place_of(name) if is_saved_data_set(name) else Place(fs.LocalFileSystem(), name, name)
    for split, rows in splits_of(place.path).items():
        called = f"{place.name} ({split})" if split else place.name
        schema = rows.features.arrow_schema
        files = [Path(file["filename"]) for file in rows.cache_files]
        identity = [value for file in files for value in (file.name, file.stat().st_size, file.stat().st_mtime_ns)]
        chosen = typed_column(called, schema, column)
        sources.append(Source("data set", called, chosen, (split, *identity), len(rows), schema, place, split))
    return sources


def typed_column(name: str, schema: pa.Schema, column: str | None) -> str:
    """Name the column to tag among typed ones: the given one, or else `text`, or that of words.

    Raises:
        DataError: if it is not there, holds something else, or the new column is there already.
    """
    found = _chosen(name, schema.names, column)
    if not is_text(schema.field(found).type):
        raise DataError(f"{name}: {found!r} must hold texts or lists of words, got {schema.field(found).type}")
    return found


def _chosen(name: str, names: Sequence[str], column: str | None) -> str:
    """Name the column to tag among those of a source."""
    found = text_column(names, column, name)
    if FOUND in names:
        raise DataError(f"{name}: must not have a column {FOUND!r} yet: rename it")
    if KNOWN in names:
        logger.warning(f"{name}: the column {KNOWN!r} is kept like the others; a job finds entities without it")
    return found


def _columns(place: Place, kind: str, column: str | None, typed: bool) -> tuple[str, pa.Schema | None]:
    """Return the column to tag of a file of lines, and, if asked for, the types of its columns."""
    if kind == "txt":
        first_rows(place, kind, 1)
        return "text", pa.schema([("file", pa.string()), ("line", pa.int64()), ("text", pa.string())])
    if kind == "csv":
        names = header_of(place)
        if len(set(names)) < len(names):
            raise DataError(f"{place.name}:1: must name each column once, got {', '.join(names)}")
        return _chosen(place.name, names, column), pa.schema([(name, pa.string()) for name in names])
    rows = first_rows(place, kind, SEEN)
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names and place.info.size:
        raise DataError(f"{place.name}: must hold one JSON object a line, got none in its first rows")
    if not names:
        return column or "text", pa.schema([])
    return _chosen(place.name, names, column), _inferred(place.name, names, rows) if typed else None


def _inferred(name: str, names: Sequence[str], rows: Sequence[dict[str, Any]]) -> pa.Schema:
    fields = []
    for column in names:
        try:
            fields.append((column, pa.array([row.get(column) for row in rows]).type))
        except (pa.ArrowException, OverflowError, UnicodeError):
            raise DataError(
                f"{name}: {column!r} must hold values of one type for parquet, got several: --format jsonl keeps all"
            ) from None
    return pa.schema(fields)


def read_rows(source: Source, first: int, every: int, longest: int) -> Iterator[Rows]:
    """Read the rows of a source from the one of number `first` on, or from one before it.

    Args:
        every: rows of a shard.
        longest: most characters of a text.
    """
    if source.kind == "data set":
        yield from read_data_set(source.place.path, source.split, source.column, longest, first)
    elif source.kind == "parquet":
        yield from read_parquet(source.place, source.column, longest, first)
    else:
        offset = source.offsets[first // every] if source.offsets else 0
        begin = first if source.offsets else 0
        yield from read_lines(source.place, source.kind, source.column, longest, every, begin, offset)
