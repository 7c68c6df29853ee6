"""A data set's column as texts, and a share of them for each of several processes. Ships with every checkpoint."""

import os
import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import distributed

from .batching import CHUNK_TEXTS


def share(sentences: Sequence[Any], run: Callable[[Sequence[Any], Sequence[int]], list[Any]]) -> list[Any]:
    """Run on this process's share, and return what all processes found, in the order of the sentences.

    Each process must be given the same sentences; it takes every n-th, so that long ones are spread. `run` is given
    some sentences and their numbers, from 1.

    Raises:
        ValueError: if this is one of several processes, and they are not connected yet.
        RuntimeError: if another process failed; the one that did raises its own error.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ValueError(
                "split_between_processes needs connected processes: create accelerate's PartialState() before"
            )
        return run(sentences, range(1, len(sentences) + 1))
    rank, size = distributed.get_rank(), distributed.get_world_size()
    part, failure = None, None
    try:
        part = run(sentences[rank::size], range(rank + 1, len(sentences) + 1, size))
    except Exception as error:  # the others wait for this process: first tell them
        failure = error
    gathered: list[Any] = [None] * size
    distributed.all_gather_object(gathered, (part, None if failure is None else repr(failure)))
    if failure is not None:
        raise failure
    results: list[Any] = [None] * len(sentences)
    for other, (part, message) in enumerate(gathered):
        if message is not None:
            raise RuntimeError(f"process {other} failed: {message}")
        results[other::size] = part
    return results


def is_data_set(inputs: Any) -> bool:
    """Say whether this is a data set of the `datasets` library, or a dictionary of its splits."""
    datasets = sys.modules.get("datasets")  # who passes a data set has imported it
    if datasets is None:
        return False
    return isinstance(
        inputs, datasets.Dataset | datasets.IterableDataset | datasets.DatasetDict | datasets.IterableDatasetDict
    )


def tag_data_set(
    dataset: Any, column: str, found: str, fields: Any, tag: Callable[[Iterable[Any], Sequence[int]], list[Any]]
) -> Any:
    """Return a data set with one column more, what `tag` finds in another column, a chunk of rows at a time.

    Args:
        dataset: of the `datasets` library; one that streams is tagged while it is read.
        column: what to tag.
        found: the new column's name.
        fields: its type: a string as `datasets.Value` takes it, a dictionary of types, or a list of one type.
        tag: tags a column's values, given them and the numbers of their rows, from 1.

    Raises:
        ValueError: if the data set has no such column, or already one of the new name.
    """
    datasets = sys.modules["datasets"]
    if isinstance(dataset, dict):
        return type(dataset)(
            {split: tag_data_set(rows, column, found, fields, tag) for split, rows in dataset.items()}
        )
    names = dataset.column_names  # None where a stream does not say
    if names is not None and column not in names:
        raise ValueError(f"column must be one of the data set's, {', '.join(names)}, got {column!r}")
    if names is not None and found in names:
        raise ValueError(f"the data set must not have a column {found!r} yet: rename it")

    def feature(kind: Any) -> Any:
        if isinstance(kind, dict):
            return {name: feature(one) for name, one in kind.items()}
        return datasets.List(feature(kind[0])) if isinstance(kind, list) else datasets.Value(kind)

    # Named beforehand: where the first rows hold no entity, nothing else says what one looks like.
    features = dataset.features and datasets.Features({**dataset.features, found: feature(fields)})
    # Otherwise the model would be hashed, for a name of the result in a cache.
    once = {} if names is None or not hasattr(dataset, "__len__") else {"new_fingerprint": uuid.uuid4().hex}
    return dataset.map(
        lambda rows, indices: {found: tag(rows[column], [index + 1 for index in indices])},
        with_indices=True,
        batched=True,
        batch_size=CHUNK_TEXTS,
        features=features,
        **once,
    )
