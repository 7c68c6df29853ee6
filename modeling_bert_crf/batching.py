"""Streams in and batches out: what lies between a caller's texts and the model.

Texts are read in chunks. What a chunk holds is sorted by length, run in batches, and put back in order. So a stream of
any size needs no more memory than a chunk, and little of a batch is padding.

Ships with every checkpoint and every export: standard library and `words.py` only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, TypeVar

from .words import unicode_fault

CHUNK_TEXTS, CHUNK_CHARACTERS = 1024, 2**18
"""Where a chunk ends: after so many texts, or characters. A stream is read ahead no further."""
_Result = TypeVar("_Result")


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
        _check_input(given, number, by_words)
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


def _check_input(given: Any, number: int, by_words: bool) -> None:
    """Refuse what is no text or, with `by_words`, no list of words and no document; and half a character in it."""
    if not by_words and not isinstance(given, str):
        raise ValueError(f"a text must be a string, got {given!r}; pass is_split_into_words=True for words")
    if by_words and not (_are_words(given) or (_is_list(given) and all(map(_are_words, given)))):
        raise ValueError(f"with is_split_into_words an input must be a list of words, or of sentences, got {given!r}")
    _refuse_half_characters(given, f"text {number}")


def _is_list(given: Any) -> bool:
    """Say whether this is a list, a tuple or an array, rather than something that can be read only once."""
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
    """Count the characters of a text, or of all words of a sentence or a document."""
    return len(given) if isinstance(given, str) else sum(map(_characters, given))


def batches_by_length(
    lengths: Sequence[int], positions: int | None, rows: int | None = None, longest_first: bool = True
) -> Iterator[list[int]]:
    """Group rows of like length into batches.

    Args:
        lengths: of each row.
        positions: most positions in a batch, padding included; None means any number. A longer row is a batch by
            itself.
        rows: most rows in a batch; None means any number.
        longest_first: in which order; with False `positions` must be None.

    Returns:
        The indices of each batch's rows; together each index once.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=longest_first):
        # An empty row takes a position, too: a grid has at least one column.
        full = batch and positions is not None and (len(batch) + 1) * max(lengths[batch[0]], 1) > positions
        if full or len(batch) == rows:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def run_by_length(
    lengths: Sequence[int],
    run: Callable[[list[int]], Iterable[_Result]],
    positions: int | None,
    rows: int | None = None,
) -> list[_Result]:
    """Run a function on batches of rows of like length, and return its results in the order of the rows.

    Args:
        lengths, positions, rows: as for `batches_by_length`.
        run: is given the indices of a batch's rows; returns one result for each of them, in the same order.
    """
    results: dict[int, _Result] = {}
    for batch in batches_by_length(lengths, positions, rows):
        results.update(zip(batch, run(batch), strict=True))
    return [results[index] for index in range(len(lengths))]


__all__ = ["CHUNK_CHARACTERS", "CHUNK_TEXTS", "batches_by_length", "chunks", "run_by_length"]
