"""Sentences of one document as one text, whose words are joined by blanks, and its sentences by line feeds.

Blanks rather than the spacing of a language: whoever splits the text at blanks finds the same words and sentences
again, also in the file of a tool that knows of neither.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from ..readers.conversion import join_tag
from ..readers.documents import REVIEWED, Annotation, Document
from ..readers.partial import UNKNOWN_TAG, PartialTag, are_known, is_known, known_spans
from ..readers.sentences import DataError, Sentence
from ..schemes import OUTSIDE, SCHEMES, Span, continues

__all__ = ["at_blanks", "documents_of_sentences", "joined_words", "merged"]


def joined_words(words: Iterable[str]) -> list[tuple[int, int]]:
    """Say where words stand that a blank joins.

    >>> joined_words(["Ada", "sang"])
    [(0, 3), (4, 8)]
    """
    places, start = [], 0
    for word in words:
        places.append((start, start + len(word)))
        start += len(word) + 1
    return places


def documents_of_sentences(
    sentences: Iterable[Sentence], scheme: str | None, numbered: bool = True
) -> Iterator[Document]:
    """Write sentences with tags as texts with entities: a text for each document.

    Args:
        sentences: their tags obey the scheme.
        scheme: None if each tag is a type of its own.
        numbered: whether documents are numbered, and number 0 is no document: its sentences have no border before
            them, and are texts of their own.
    """
    # In IOB1, as in broken IOB2, a tag that continues nothing opens an entity.
    scheme = "IOB2" if scheme == "IOB1" else scheme
    return merged((_key(sentence, numbered), _document(sentence, scheme, numbered)) for sentence in sentences)


def at_blanks(document: Document) -> Document:
    """Return a document whose words stand between blanks and line feeds, and whose lines are its sentences.

    So the words of texts that were made here are found again. Other blanks, such as one that does not break, are
    letters of a word, as they may be in data that have words.
    """
    lines = [match.span() for match in re.finditer("[^\n]+", document.text)]
    words = [match.span() for match in re.finditer("[^ \n]+", document.text)]
    return replace(document, words=words, sentences=lines)


def _key(sentence: Sentence, numbered: bool) -> str | None:
    return sentence.document or None if not numbered or sentence.document != "0" else None


def _document(sentence: Sentence, scheme: str | None, numbered: bool) -> Document:
    words = joined_words(sentence.words)
    spans = known_spans(sentence.tags, scheme)
    found = [Annotation(words[first][0], words[last - 1][1], kind) for first, last, kind in spans]
    place = str(sentence.lines[0]) if sentence.lines else ""
    name = _key(sentence, numbered) or ""
    text = " ".join(sentence.words)
    meta = {} if are_known(sentence.tags) else {REVIEWED: _regions(sentence, words, spans, scheme)}
    return Document(text, found, sentence.source, place, name, words, [(0, len(text))], meta)


def _longer(last: str, kind: str, scheme: str | None) -> PartialTag:
    """Return what is known of a word after an entity: that it has no tag at which the entity goes on."""
    every = [kind] if scheme is None else [join_tag(prefix, kind) for prefix in SCHEMES[scheme]]
    return PartialTag(tag for tag in every if continues(last, tag, scheme))


def _regions(
    sentence: Sentence, words: Sequence[tuple[int, int]], spans: Sequence[Span], scheme: str | None
) -> list[list[int]]:
    """Return the runs of words whose tags are known.

    Raises:
        DataError: if something else is known of a word that entities and regions can say: that it has one of several
            tags, or a tag of an entity that may be longer.
    """
    after = {stop: _longer(sentence.tags[stop - 1], kind, scheme) for _, stop, kind in spans}
    inside = {index for start, stop, _ in spans for index in range(start, stop)}
    regions: list[list[int]] = []
    for index, tag in enumerate(sentence.tags):
        if tag == OUTSIDE or (is_known(tag) and index in inside):
            begins = index == 0 or not is_known(sentence.tags[index - 1])
            regions = [*regions, list(words[index])] if begins else [*regions[:-1], [regions[-1][0], words[index][1]]]
        elif tag != UNKNOWN_TAG and tag != after.get(index):
            raise DataError(
                f"{sentence.where(index)}: what is known of a word must be an entity whose end is known, as by "
                f"'!I-PER' after it, or all or nothing, to be written as spans, got {tag!r}"
            )
    return regions


def merged(sentences: Iterable[tuple[Any, Document]]) -> Iterator[Document]:
    """Join neighbours of one document, with line feeds between them, so that each is a line of the text.

    Args:
        sentences: each with a key of the document that it is from; None if it is a document of its own.

    Returns:
        Documents, which say where their sentences are if they are several. They are named as the first one is, and
        know what it knows beside the text.
    """
    for key, group in groupby(sentences, key=itemgetter(0)):
        parts = (document for _, document in group)
        if key is None:
            yield from parts
        else:
            yield _joined(list(parts))


def _joined(parts: list[Document]) -> Document:
    if len(parts) == 1:
        return parts[0]
    annotations, sentences, words, regions, start = [], [], [], [], 0
    for part in parts:
        annotations += [one._replace(start=one.start + start, end=one.end + start) for one in part.annotations]
        words += [(first + start, end + start) for first, end in part.words or []]
        sentences.append((start, start + len(part.text)))
        whole = [(0, len(part.text))]
        regions += [[first + start, end + start] for first, end in (whole if part.reviewed is None else part.reviewed)]
        start += len(part.text) + 1
    known = all(part.words is not None for part in parts)
    meta = parts[0].meta
    if any(part.reviewed is not None for part in parts):
        meta = {**meta, REVIEWED: regions}
    return replace(
        parts[0],
        meta=meta,
        text="\n".join(part.text for part in parts),
        annotations=annotations,
        words=words if known else None,
        sentences=sentences,
    )
