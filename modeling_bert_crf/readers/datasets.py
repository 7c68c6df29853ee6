"""Data sets of the `datasets` library, in memory or streaming, as sentences."""

from collections.abc import Iterator, Sequence
from typing import Any

from datasets import ClassLabel

from .rows import TAG_COLUMNS, find_columns, sentence_of
from .sentences import DataError, Sentence

__all__ = ["class_names", "read_dataset"]


def read_dataset(
    dataset: Any,
    source: str,
    word_column: str | None = None,
    tag_column: str | None = None,
    labels: Sequence[str] | None = None,
    document_column: str | None = None,
) -> Iterator[Sentence]:
    """Read sentences from a split of a data set.

    Args:
        dataset: rows with a list of words and a list of tags: names, `ClassLabel`s or integers.
        source: what to call it in messages.
        word_column, tag_column: names of the columns; None looks for the usual ones.
        labels: the names that integers stand for, where the features do not say.
        document_column: the one that says which document a sentence belongs to; None if all rows are one document.

    Raises:
        DataError: if the columns are not there, or a row does not hold what it should.
    """
    names = class_names(dataset, tag_column) or labels
    columns = None
    for number, row in enumerate(dataset):
        columns = columns or find_columns(source, row, word_column, tag_column)
        yield sentence_of(row, columns, source, number, names, document_column)
    if columns is None:
        raise DataError(f"{source}: must hold at least one sentence, got none")


def class_names(dataset: Any, tag_column: str | None = None) -> list[str] | None:
    """Return the tags that a data set's features declare, in the order of their ids; None if they declare none."""
    features = dataset.features or {}
    names = TAG_COLUMNS if tag_column is None else (tag_column,)
    columns = (getattr(features.get(name), "feature", None) for name in names)
    feature = next((feature for feature in columns if feature is not None), None)
    return list(feature.names) if isinstance(feature, ClassLabel) else None
