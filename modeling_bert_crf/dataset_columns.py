"""A column of a data set goes in, and the data set comes back with one column more. Ships with every checkpoint."""

import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .batching import CHUNK_TEXTS


def is_data_set(inputs: Any) -> bool:
    """Say whether this is a data set of the `datasets` library, or a dictionary of its splits."""
    datasets = sys.modules.get("datasets")  # whoever passes a data set has imported the library
    if datasets is None:
        return False
    return isinstance(
        inputs, datasets.Dataset | datasets.IterableDataset | datasets.DatasetDict | datasets.IterableDatasetDict
    )


def tag_data_set(
    dataset: Any, column: str, found: str, fields: Any, tag: Callable[[Iterable[Any], Sequence[int]], list[Any]]
) -> Any:
    """Tag a column of a data set, a chunk of rows at a time; return the data set with the results as a new column.

    Args:
        dataset: of the `datasets` library; one that streams is tagged while it is read.
        column: the column to tag.
        found: the new column's name.
        fields: the new column's type: a string as `datasets.Value` takes it, a dictionary of types, or a list of one
            type.
        tag: is given some of the column's values and the numbers of their rows, which count from 1; returns one
            result for each.

    Raises:
        ValueError: if the data set has no such column, or already one of the new name.
    """
    datasets = sys.modules["datasets"]
    if isinstance(dataset, dict):
        return type(dataset)(
            {split: tag_data_set(rows, column, found, fields, tag) for split, rows in dataset.items()}
        )
    names = dataset.column_names  # None where a stream does not name its columns
    if names is not None and column not in names:
        raise ValueError(f"column must be one of the data set's, {', '.join(names)}, got {column!r}")
    if names is not None and found in names:
        raise ValueError(f"the data set must not have a column {found!r} yet: rename it")

    # The type is named beforehand: where the first rows hold no entity, nothing else says what one looks like.
    features = dataset.features and datasets.Features({**dataset.features, found: _feature(datasets, fields)})
    # `datasets` names a result in its cache by a hash of the function, which here would hash the whole model.
    named = {} if names is None or not hasattr(dataset, "__len__") else {"new_fingerprint": uuid.uuid4().hex}
    return dataset.map(
        lambda rows, indices: {found: tag(rows[column], [index + 1 for index in indices])},
        with_indices=True,
        batched=True,
        batch_size=CHUNK_TEXTS,
        features=features,
        **named,
    )


def _feature(datasets: Any, kind: Any) -> Any:
    """Write a type as the `datasets` library does; see `tag_data_set`."""
    if isinstance(kind, dict):
        return {name: _feature(datasets, one) for name, one in kind.items()}
    return datasets.List(_feature(datasets, kind[0])) if isinstance(kind, list) else datasets.Value(kind)


__all__ = ["is_data_set", "tag_data_set"]
