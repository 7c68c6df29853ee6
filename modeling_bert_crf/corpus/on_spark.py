"""A tagger on Spark, for those whose corpus is a data frame: a function for `DataFrame.mapInArrow`."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import pyarrow as pa

from ..readers.sentences import DataError
from .job import LONGEST
from .rows import BLOCK_BYTES, BLOCK_ROWS, Bad, checked, columns_of
from .shards import entities_of
from .sources import FOUND, typed_column
from .writing import with_entities

__all__ = ["SPARK_ENTITIES", "tag_in_arrow"]

SPARK_ENTITIES = (
    f"{FOUND} array<struct<entity_group: string, score: double, word: string, start: bigint, end: bigint>>"
)
"""The new column, as Spark's schemas are written."""


def tag_in_arrow(
    model: str, column: str | None = None, longest: int = LONGEST, fails: bool = False, **options: Any
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return a function for `mapInArrow` that gives a data frame the column `entities`.

    A Python worker of Spark opens the model once. Rows that cannot be tagged get null.

    Args:
        model: a folder that all workers see, or a name on the Hub.
        column: the texts, or the lists of words; None looks for `text`, then for words.
        longest: most characters of a text; a longer one is a bad row.
        fails: whether a bad row is an error, rather than one with null.
        **options: of the pipeline.

    The function raises DataError for a data frame without such a column, and, if asked to, for a bad row.
    """

    def function(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tagger = _opened(model)
        for whole in batches:
            named = typed_column("the data frame", whole.schema, column)
            size = max(1, min(BLOCK_ROWS, BLOCK_BYTES * len(whole) // max(whole.nbytes, 1)))
            for start in range(0, len(whole), size):
                batch = whole[start : start + size]
                values = [checked(value, named, longest) for value in columns_of(batch, named)]
                if fails and (bad := next((value for value in values if isinstance(value, Bad)), None)):
                    raise DataError(bad.rule)
                yield with_entities(batch, entities_of(tagger, values, options))

    return function


@lru_cache(1)
def _opened(model: str) -> Any:
    from ..opening.tagger import open_tagger

    return open_tagger(model)
