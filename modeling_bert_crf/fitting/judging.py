"""A tagger beside the gold data: what it finds in labelled sentences, and how probable it holds either."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, islice, pairwise
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from .. import BiLSTMCRFPipeline
from ..batching import run_by_length
from ..entities import read_entities
from ..pipeline_crf import CRF_WORDS, pad
from ..readers.conversion import spans_to_tags
from ..readers.partial import known_spans as certain_spans
from ..readers.sentences import Sentence
from ..readers.units import over_words
from ..schemes import OUTSIDE, Span, entity_types
from ..scores.judged import Judged, known_spans
from ..scores.known import verdicts
from ..scores.mistakes import Form
from ..text_layout import Text, join_given_words
from .chains import in_iob1, writes_iob1
from .evidence import documents_of

BLOCK = 256
"""How many documents are read at a time."""


class Finder(Protocol):
    """What finds the entities of documents, which are lists of lists of words, such as a pipeline or an export."""

    def __call__(self, inputs: Any, is_split_into_words: bool) -> list[list[dict[str, Any]]]: ...


def judge(
    pipeline: BiLSTMCRFPipeline,
    sentences: Sequence[Sentence],
    seen: Collection[Form] | None = None,
    operating_point: str | None = None,
) -> list[Judged]:
    """Find the entities of labelled sentences; return them with the exact probabilities of all gold and found ones.

    The sentences of a document are read among each other, as the pipeline reads them.

    Args:
        pipeline: of the tagger.
        sentences: with tags in the tagger's scheme. They may be of types that it does not know, which it cannot find.
        seen: the `forms` of the training data, if they are known.
        operating_point: to find by; None means the one in force.
    """
    scheme, judged = pipeline.model.config.span_scheme, []
    for group in _blocks(sentences):
        texts = pipeline.preprocess([[one.words for one in document] for document in group], True)
        emissions = cast(list[Tensor], pipeline.forward(texts))
        found = pipeline.postprocess(texts, emissions, operating_point=operating_point)
        scores, is_iob1 = iter(emissions), writes_iob1(pipeline.model.config, emissions)
        for document, text, entities in zip(group, texts, found, strict=True):
            own = list(islice(scores, len(text.chains)))
            gold = [certain_spans(one.tags, scheme) for one in document]
            probabilities = _gold_probabilities(pipeline, text, document, gold, own, is_iob1)
            judged += _judged(document, gold, entities, seen, probabilities, scheme)
    return judged


def judge_found(
    finder: Finder, sentences: Sequence[Sentence], scheme: str | None, seen: Collection[Form] | None = None
) -> list[Judged]:
    """Find the entities of labelled sentences with what can say no more of them than that.

    Args:
        finder: of entities.
        sentences: with tags in its scheme.
        scheme: as which its entities are read.
        seen: the `forms` of the training data, if they are known.

    Returns:
        The sentences. The probability of what is not found is not known.
    """
    judged = []
    for group in _blocks(sentences):
        found = finder([[one.words for one in document] for document in group], is_split_into_words=True)
        for document, entities in zip(group, found, strict=True):
            gold = [certain_spans(one.tags, scheme) for one in document]
            judged += _judged(document, gold, entities, seen, [dict.fromkeys(spans) for spans in gold], scheme)
    return judged


def _blocks(sentences: Iterable[Sentence]) -> Iterator[list[list[Sentence]]]:
    documents = documents_of(sentences)
    while block := list(islice(documents, BLOCK)):
        yield block


def _judged(
    document: Sequence[Sentence],
    gold: Sequence[list[Span]],
    entities: Sequence[Mapping[str, Any]],
    seen: Collection[Form] | None,
    probabilities: Sequence[dict[Span, Any]],
    scheme: str | None,
) -> Iterator[Judged]:
    """Give each sentence of a document what was found in it; entities come with their characters in the document.

    What nobody knows to be right or wrong, as gold tags are known in part only, is left out.
    """
    places = next(join_given_words([[one.words for one in document]], " ")).words
    firsts = [0, *accumulate(len(one.words) for one in document)]
    predicted: list[list[Span]] = [[] for _ in document]
    done = 0
    for one in entities:
        start, end = over_words(one["start"], one["end"], places)
        start = max(start, done)  # a word goes to the first entity in it, where a chain runs over sub-tokens
        if start < end:
            number, done = bisect_right(firsts, start) - 1, end
            span = (start - firsts[number], end - firsts[number], one["entity_group"])
            predicted[number].append(span)
            probabilities[number][span] = float(one["score"])
    for sentence, there, found, own in zip(document, gold, predicted, probabilities, strict=True):
        right = verdicts(found, sentence.tags, scheme)
        found = [span for span, verdict in zip(found, right, strict=True) if verdict is not None]
        known = known_spans(sentence.words, chain(there, found), seen)
        yield Judged(sentence.words, there, found, own, known, sentence.where(0) if sentence.words else "")


@torch.inference_mode()
def _gold_probabilities(
    pipeline: BiLSTMCRFPipeline,
    text: Text,
    document: Sequence[Sentence],
    gold: Sequence[list[Span]],
    emissions: Sequence[Tensor],
    is_iob1: bool,
) -> list[dict[Span, float]]:
    """Return of each sentence the probabilities of its gold entities; one that the tagger cannot write has none.

    Where the tagger `is_iob1`, and writes entities as IOB1 does, so are they written. They are read off the path that
    holds all of them, as those of found entities are read off the best one.
    """
    config = pipeline.model.config
    labels, scheme = config.labels, config.span_scheme
    outside = OUTSIDE if OUTSIDE in labels else labels[0]
    types = entity_types(labels, scheme)
    units = list(_in_units(text, document, gold, types))
    paths = []
    for own, size in zip(units, map(len, emissions), strict=True):
        tags = in_iob1(spans_to_tags(own, size, scheme)) if is_iob1 else spans_to_tags(own, size, scheme)
        numbers = [labels.index(tag if tag in labels else outside) for tag in tags]
        paths.append(torch.tensor(numbers, dtype=torch.int64))
    probabilities: list[dict[Span, float]] = [{} for _ in document]

    def read(batch: list[int]) -> list[None]:
        grid, mask = pad([emissions[index] for index in batch])
        rows, _ = pad([paths[index] for index in batch])
        rows = rows.to(grid.device).masked_fill(~mask, -100)
        for row, start, end, kind, score in read_entities(pipeline.model, grid, mask, rows):
            if (span := units[batch[row]].get((start, end, kind))) is not None:
                probabilities[batch[row]][span] = score
        return [None] * len(batch)

    run_by_length(list(map(len, emissions)), read, CRF_WORDS)
    return probabilities


def _in_units(
    text: Text, document: Sequence[Sentence], gold: Sequence[list[Span]], types: Collection[str]
) -> Iterator[dict[Span, Span]]:
    """Yield of each sentence its entities, by where they stand in the units of its chain: words, or sub-tokens."""
    places = iter(next(join_given_words([[one.words for one in document]], " ")).words)
    for sentence, spans, (first, after) in zip(document, gold, pairwise(text.borders()), strict=True):
        words, chain_units = list(islice(places, len(sentence.words))), text.words[first:after]
        own: dict[Span, Span] = {}
        for start, end, kind in spans:
            left, right = over_words(words[start][0], words[end - 1][1], chain_units)
            if left < right and kind in types:
                own[left, right, kind] = (start, end, kind)
        yield own


__all__ = ["Finder", "judge", "judge_found"]
