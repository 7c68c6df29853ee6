"""Arrow tables as rows: parquet files, and data sets of the `datasets` library. A few rows are in memory at a time."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..readers.sentences import DataError
from .places import Place
from .rows import BLOCK_BYTES, BLOCK_ROWS, Rows, checked, columns_of

__all__ = ["data_set", "is_saved_data_set", "is_text", "parquet_facts", "read_data_set", "read_parquet", "splits_of"]


def parquet_facts(place: Place) -> tuple[int, pa.Schema]:
    """Return the number of rows of a parquet file, and their type."""
    with place.system.open_input_file(place.path) as file, pq.ParquetFile(file) as parquet:
        return parquet.metadata.num_rows, parquet.schema_arrow


def read_parquet(place: Place, column: str, longest: int, first: int) -> Iterator[Rows]:
    """Read the rows of a parquet file from the row group on that holds the row of number `first`."""
    with place.system.open_input_file(place.path) as file, pq.ParquetFile(file, buffer_size=2**20) as parquet:
        number = 0
        for index in range(parquet.num_row_groups):
            group = parquet.metadata.row_group(index)
            if number + group.num_rows > first:
                size = _rows_of(group.total_byte_size, group.num_rows)
                for batch in parquet.iter_batches(size, row_groups=[index]):
                    yield _rows(batch, number, column, longest)
                    number += len(batch)
            else:
                number += group.num_rows


def _rows_of(size: int, count: int) -> int:
    """Say how many rows of this mean size may be in memory at once."""
    return max(1, min(BLOCK_ROWS, BLOCK_BYTES * count // max(size, 1)))


def _rows(batch: pa.RecordBatch, number: int, column: str, longest: int) -> Rows:
    values = [checked(value, column, longest) for value in columns_of(batch, column)]
    return Rows(range(number, number + len(batch)), values, batch)


def is_text(kind: pa.DataType) -> bool:
    """Say whether a column of this type may hold texts, or lists of words."""
    if pa.types.is_dictionary(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return is_text(kind.value_type)
    names = ("is_string", "is_large_string", "is_string_view", "is_null")
    return any(getattr(pa.types, name)(kind) for name in names)


def is_saved_data_set(folder: str) -> bool:
    """Say whether a folder is one that `save_to_disk` wrote."""
    return any((Path(folder) / name).is_file() for name in ("dataset_dict.json", "state.json"))


@lru_cache(4)
def data_set(name: str) -> Any:
    """Open a data set by its name on the Hub, or the folder that `save_to_disk` wrote.

    Raises:
        DataError: if it cannot be opened.
    """
    from datasets import load_dataset, load_from_disk

    try:
        return load_from_disk(name) if is_saved_data_set(name) else load_dataset(name)
    except Exception as error:  # each file format and each answer of the Hub raises its own
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{name}: no such file, and no data set that can be opened: {why}") from None


def splits_of(name: str) -> dict[str, Any]:
    """Return the splits of a data set; one without a name if it has none."""
    found = data_set(name)
    return dict(found) if isinstance(found, dict) else {"": found}


def read_data_set(name: str, split: str, column: str, longest: int, first: int) -> Iterator[Rows]:
    """Read the rows of a data set's split, from one on that stands before the row of number `first`, or is it."""
    rows = splits_of(name)[split]
    size = _rows_of(rows.data.nbytes, len(rows.data))
    table = rows.with_format("arrow")
    for start in range(first // size * size, len(rows), size):
        number = start
        for batch in table[start : start + size].combine_chunks().to_batches():
            yield _rows(batch, number, column, longest)
            number += len(batch)
