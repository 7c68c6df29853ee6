"""Labelled sentences as the chains of a tagger, read as its pipeline reads them."""

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor

from .. import BiLSTMCRFPipeline
from ..crf import UNKNOWN
from ..fitting.chains import in_iob1, writes_iob1
from ..fitting.evidence import documents_of
from ..readers.sentences import Sentence
from ..readers.tags import convert_tags
from ..readers.units import Units
from ..text_layout import Text, join_given_words

__all__ = ["Chain", "read_chains"]

BLOCK = 256
"""How many documents are read at a time."""


class Chain(NamedTuple):
    """A sentence that a tagger has read."""

    sentence: Sentence  # with gold tags by which the tagger's paths are read, `config.span_scheme`
    units: list[int | None]  # of each unit of the chain the number of its word; None for a blank
    gold: list[str]  # the gold tag of each unit, by which the tagger's paths are read
    emissions: Tensor  # (n, K), on the CPU in float64
    tags: Tensor  # (n,), the gold ones as it writes them; -100 where it has no label for one


def read_chains(pipeline: BiLSTMCRFPipeline, sentences: Sequence[Sentence], scheme: str | None) -> list[Chain]:
    """Let a tagger read labelled sentences, those of a document among each other, as its pipeline reads them.

    Args:
        pipeline: of the tagger.
        sentences: with gold tags.
        scheme: of these.

    Raises:
        DataError: if the gold tags have a scheme and the labels have none, or the other way round.
    """
    config, read = pipeline.model.config, []
    documents = documents_of(convert_tags(sentence, scheme, config.span_scheme) for sentence in sentences)
    while block := list(islice(documents, BLOCK)):
        read += _read_block(pipeline, block)
    is_iob1 = writes_iob1(config, [emissions for _, _, emissions in read])
    ids = {label: index for index, label in enumerate(config.labels)}
    chains = []
    for sentence, units, emissions in read:
        tags = sentence.tags if units is None else units.spread(sentence.tags, config.span_scheme)
        written = in_iob1(tags) if is_iob1 else tags
        known = torch.tensor([ids.get(tag, UNKNOWN) for tag in written], dtype=torch.int64)
        word_of: list[int | None] = list(range(len(tags))) if units is None else list(units.word_of)
        chains.append(Chain(sentence, word_of, list(tags), emissions, known))
    return chains


def _read_block(
    pipeline: BiLSTMCRFPipeline, documents: Sequence[Sequence[Sentence]]
) -> Iterator[tuple[Sentence, Units | None, Tensor]]:
    """Yield the sentences of some documents, with the units of their chains if these are not words, and emissions."""
    given = [[sentence.words for sentence in document] for document in documents]
    texts = cast(list[Text], pipeline.preprocess(given, is_split_into_words=True))
    scores = iter(cast(list[Tensor], pipeline.forward(texts)))
    in_tokens = pipeline.model.config.chain_unit == "token"
    for document, text, joined in zip(documents, texts, join_given_words(given, " "), strict=True):
        word = 0
        for sentence, (first, end) in zip(document, pairwise(text.borders()), strict=True):
            words = joined.words[word : word + len(sentence.words)]
            word += len(sentence.words)
            units = Units.of(joined.text, words, text.words[first:end]) if in_tokens else None
            yield sentence, units, next(scores).double().cpu()
