"""Data sets of the `datasets` library, in memory or streaming, as sentences."""

from collections.abc import Iterator, Sequence
from typing import Any

from datasets import ClassLabel

from .documents import Document
from .formats import OF_SENTENCES, documents_of_rows, format_of_record
from .marks import Ask
from .rows import TAG_COLUMNS, find_columns, sentence_of
from .sentences import DataError, Sentence
from .spans import SpanRules, sentences_of

__all__ = ["class_names", "documents_of_dataset", "read_dataset"]


def read_dataset(
    dataset: Any,
    source: str,
    word_column: str | None = None,
    tag_column: str | None = None,
    labels: Sequence[str] | None = None,
    document_column: str | None = None,
    data_format: str | None = None,
    rules: SpanRules | None = None,
    ask: Ask | None = None,
) -> Iterator[Sentence]:
    """Read sentences from a split of a data set.

    Args:
        dataset: rows with a list of words and a list of tags: names, `ClassLabel`s or integers; or texts with spans,
            in the fields of a format of `formats.py`.
        source: what to call it in messages.
        word_column, tag_column: names of the columns; None looks for the usual ones.
        labels: the names that integers stand for, where the features do not say.
        document_column: the one that says which document a sentence belongs to; None if all rows are one document.
        data_format, rules, ask: as for a file, see `read_file`.

    Raises:
        DataError: if the columns are not there, or a row does not hold what it should.
    """
    names = class_names(dataset, tag_column) or labels
    columns, ask = None, ask or Ask()
    for number, row in enumerate(dataset):
        if columns is None:
            found = data_format or format_of_record(row, ask)
            if found is not None and found not in OF_SENTENCES:
                documents = documents_of_dataset(dataset, source, found, ask)
                yield from sentences_of(documents, rules, ask.account)
                return
        columns = columns or find_columns(source, row, word_column, tag_column)
        yield sentence_of(row, columns, source, number, names, document_column)
    if columns is None:
        raise DataError(f"{source}: must hold at least one sentence, got none")


def documents_of_dataset(dataset: Any, source: str, data_format: str, ask: Ask) -> Iterator[Document]:
    """Yield the documents of a data set whose rows are texts with spans, in a format of `formats.py`."""
    return documents_of_rows(enumerate(dataset), source, data_format, ask)


def class_names(dataset: Any, tag_column: str | None = None) -> list[str] | None:
    """Return the tags that a data set's features declare, in the order of their ids; None if they declare none."""
    features = dataset.features or {}
    names = TAG_COLUMNS if tag_column is None else (tag_column,)
    columns = (getattr(features.get(name), "feature", None) for name in names)
    feature = next((feature for feature in columns if feature is not None), None)
    return list(feature.names) if isinstance(feature, ClassLabel) else None
