"""The words of a labelled text, as formats that count in words need them; entities that do not overlap."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from operator import itemgetter

from ..readers.documents import Annotation, Document
from ..readers.sentences import DataError
from ..readers.units import over_words
from ..splitters import split_text, without_blanks

__all__ = ["apart", "lay_out"]


def lay_out(document: Document) -> tuple[list[tuple[int, int]], list[tuple[int, int, str]]]:
    """Lay a document out in words: its own, or those of Unicode's rules; a word is cut where an entity ends within it.

    Unlike `readers.spans.sentences_of` this keeps entities that overlap, and knows no sentences.

    Returns:
        (start, end) of each word in characters, in order; of each entity its first word, the word after its last, and
        its type.

    Raises:
        DataError: if an entity holds nothing but blanks, or characters of no word.
    """
    words = document.words
    if words is None:
        words = split_text(None, document.text, "unicode_words")
    cuts = sorted({border for one in document.annotations for border in (one.start, one.end)})
    words = [without_blanks(document.text, *piece) for word in words for piece in _cut(word, cuts)]
    words = [word for word in words if document.text[slice(*word)].strip()]
    spans = []
    for one in document.annotations:
        first, last = over_words(one.start, one.end, words)
        if first == last:
            raise DataError(f"{document.where}: an entity must hold a word, got {_shown(document, one)}")
        spans.append((first, last, one.kind))
    return words, spans


def _cut(word: tuple[int, int], cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    inner = cuts[bisect_right(cuts, word[0]) : bisect_left(cuts, word[1])]
    return pairwise([word[0], *inner, word[1]])


def apart(document: Document, on_overlap: str = "error") -> Document:
    """Return a document whose entities do not overlap, in their order.

    Args:
        document: any.
        on_overlap: what becomes of entities that overlap: `"error"`, or one of them is kept, the `"longest"` one, or
            the `"first"` one.

    Raises:
        DataError: naming two that overlap, if that is not allowed.
    """
    order = sorted(document.annotations, key=lambda one: (one.start, -one.end))
    clash = next((pair for pair in pairwise(order) if pair[1].start < pair[0].end), None)
    if clash is None:
        return replace(document, annotations=order)
    if on_overlap == "error":
        one, other = (_shown(document, annotation) for annotation in clash)
        raise DataError(
            f"{document.where}: this format holds no entities that overlap, got {one} and {other}; "
            "--on_overlap longest or first keeps one of them"
        )
    if on_overlap == "longest":
        order.sort(key=lambda one: one.start - one.end)  # a stable order: of two as long the first
    kept: list[Annotation] = []
    for one in order:
        index = bisect_left(kept, one.start, key=itemgetter(0))
        if (index == 0 or kept[index - 1].end <= one.start) and (index == len(kept) or one.end <= kept[index].start):
            kept.insert(index, one)
    return replace(document, annotations=kept)


def _shown(document: Document, one: Annotation) -> str:
    return f"{document.text[one.start : one.end][:40]!r} ({one.kind}, from {one.start} to {one.end})"
