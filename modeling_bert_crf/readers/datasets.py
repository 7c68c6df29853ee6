"""Sentences of the `datasets` library, in memory or streaming."""

from collections.abc import Iterator, Sequence
from typing import Any

from datasets import ClassLabel

from .rows import TAG_COLUMNS, find_columns, sentence_of
from .sentences import DataError, Sentence


def read_dataset(
    dataset: Any,
    source: str,
    words: str | None = None,
    tags: str | None = None,
    labels: Sequence[str] | None = None,
    document: str | None = None,
) -> Iterator[Sentence]:
    """Read sentences from a split of `datasets`, in memory or streaming.

    Args:
        dataset: rows with a list of words and a list of tags: names, `ClassLabel`s or integers.
        source: what to call it in messages.
        words, tags: names of the columns; None looks for the usual ones.
        labels: the names that integers stand for, where the features do not say.
        document: column that says which document a sentence belongs to; None: all rows are one.

    Raises:
        DataError: if the columns are not there, or a row does not hold what it should.
    """
    names = class_names(dataset, tags) or labels
    columns = None
    for number, row in enumerate(dataset):
        columns = columns or find_columns(source, row, words, tags)
        yield sentence_of(row, columns, source, number, names, document)
    if columns is None:
        raise DataError(f"{source}: must hold at least one sentence, got none")


def class_names(dataset: Any, tags: str | None = None) -> list[str] | None:
    """Return the tags that a data set's features declare, None if they declare none."""
    features = dataset.features or {}
    columns = (getattr(features.get(name), "feature", None) for name in (TAG_COLUMNS if tags is None else (tags,)))
    feature = next((feature for feature in columns if feature is not None), None)
    return list(feature.names) if isinstance(feature, ClassLabel) else None
