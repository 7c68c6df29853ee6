"""Streams in and batches out: what lies between a caller's texts and the model.

Ships with every checkpoint and every export: standard library and `words.py` only.

Texts are read in chunks; what a chunk holds is sorted by length, batched, and put back in order. So a stream of any
size needs the memory of a chunk, and padding is rare.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from .words import unicode_fault

CHUNK_TEXTS, CHUNK_CHARACTERS = 1024, 2**18
"""Where a chunk ends: so many texts, or characters. How far a stream is read ahead."""


def chunks(inputs: Iterable[Any], by_words: bool, numbers: Sequence[int] = ()) -> Iterator[list[Any]]:
    """Check inputs, and group them into chunks of bounded size; one larger than a chunk is a chunk by itself.

    Args:
        inputs: texts; or with `by_words` lists of words, or documents, which are lists of those.
        by_words: which of the two they are.
        numbers: what to call each in an error; by default they are counted from 1.

    Raises:
        ValueError: if an input is not what `by_words` says, or holds half a character.
    """
    chunk: list[Any] = []
    room = CHUNK_CHARACTERS
    for given, number in zip(inputs, numbers or count(1), strict=False):
        if not by_words and not isinstance(given, str):
            raise ValueError(f"a text must be a string, got {given!r}; pass is_split_into_words=True for words")
        if by_words and not (_are_words(given) or (_is_list(given) and all(map(_are_words, given)))):
            raise ValueError(
                f"with is_split_into_words an input must be a list of words, or of sentences, got {given!r}"
            )
        _refuse_half_characters(given, f"text {number}")
        size = _characters(given)
        if chunk and size > room:
            yield chunk
            chunk, room = [], CHUNK_CHARACTERS
        chunk.append(given)
        room -= size
        if len(chunk) == CHUNK_TEXTS:
            yield chunk
            chunk, room = [], CHUNK_CHARACTERS
    if chunk:
        yield chunk


def _is_list(given: Any) -> bool:
    """Lists, tuples and arrays are; not what can be read once only."""
    return hasattr(given, "__len__") and hasattr(given, "__getitem__") and not isinstance(given, str | bytes | Mapping)


def _are_words(given: Any) -> bool:
    return _is_list(given) and all(isinstance(word, str) for word in given)


def _refuse_half_characters(given: Any, place: str) -> None:
    if isinstance(given, str):
        if fault := unicode_fault(given):
            raise ValueError(f"{place} {fault}")
        return
    for number, one in enumerate(given, start=1):
        _refuse_half_characters(one, f"{place}, {'word' if isinstance(one, str) else 'sentence'} {number}")


def _characters(given: Any) -> int:
    return len(given) if isinstance(given, str) else sum(map(_characters, given))


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
