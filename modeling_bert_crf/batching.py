"""Streams in and batches out: what lies between a caller's texts and the model. Ships with every checkpoint.

Texts are read in chunks; what a chunk holds is sorted by length, batched, and put back in order. So a stream of any
size needs the memory of a chunk, and padding is rare.
"""

import os
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn.utils.rnn import pad_sequence

CHUNK_TEXTS, CHUNK_CHARACTERS = 1024, 2**18
"""Where a chunk ends: so many texts, or characters. How far a stream is read ahead."""


def chunks(sentences: Iterable[str | Sequence[str]]) -> Iterator[list[Any]]:
    """Group texts, or lists of words, into chunks of bounded size; a text larger than a chunk is one by itself."""
    chunk: list[Any] = []
    room = CHUNK_CHARACTERS
    for sentence in sentences:
        size = len(sentence) if isinstance(sentence, str) else sum(map(len, sentence))
        if chunk and (size > room or len(chunk) == CHUNK_TEXTS):
            yield chunk
            chunk, room = [], CHUNK_CHARACTERS
        chunk.append(sentence)
        room -= size
    if chunk:
        yield chunk


def batches_by_length(lengths: Sequence[int], size: int | None, rows: int | None = None) -> Iterator[list[int]]:
    """Batch rows of like length, the longest first.

    Args:
        lengths: of each row.
        size: most positions in a batch, padding included; None means any number. A longer row is a batch by itself.
        rows: most rows in a batch; None means any number.

    Returns:
        The rows' indices, each once.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        # An empty row is as wide as the narrowest grid.
        full = batch and size is not None and (len(batch) + 1) * max(lengths[batch[0]], 1) > size
        if full or len(batch) == rows:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def pad(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Put rows (n, ...) of unequal lengths one above the other.

    Returns:
        (B, T, ...), 0 past each row's end, T at least 1 (an LSTM needs a step to take); and the mask, bool (B, T).
    """
    lengths = torch.tensor([len(row) for row in rows])
    grid = pad_sequence(list(rows), batch_first=True)
    if grid.shape[1] == 0:
        grid = grid.new_zeros(len(rows), 1, *grid.shape[2:])
    mask = torch.arange(grid.shape[1]) < lengths[:, None]
    return grid, mask.to(grid.device)


def share(sentences: Sequence[Any], run: Callable[[Sequence[Any]], list[Any]]) -> list[Any]:
    """Run on this process's share, and return what all processes found, in the order of the sentences.

    Each process must be given the same sentences; it takes every n-th, so that long ones are spread.

    Raises:
        ValueError: if this is one of several processes, and they are not connected yet.
        RuntimeError: if another process failed; the one that did raises its own error.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ValueError(
                "split_between_processes needs connected processes: create accelerate's PartialState() before"
            )
        return run(sentences)
    rank, size = distributed.get_rank(), distributed.get_world_size()
    part, failure = None, None
    try:
        part = run(sentences[rank::size])
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


def tag_data_set(dataset: Any, column: str, found: str, fields: Any, tag: Callable[[Iterable[Any]], list[Any]]) -> Any:
    """Return a data set with one column more, what `tag` finds in another column, a chunk of rows at a time.

    Args:
        dataset: of the `datasets` library; one that streams is tagged while it is read.
        column: what to tag.
        found: the new column's name.
        fields: its type: a string as `datasets.Value` takes it, a dictionary of types, or a list of one type.
        tag: tags a column's values.

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
        lambda rows: {found: tag(rows[column])}, batched=True, batch_size=CHUNK_TEXTS, features=features, **once
    )
