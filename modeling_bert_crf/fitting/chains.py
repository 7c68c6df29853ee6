"""What a chain needs of labelled sentences: emissions and tags, each sentence read by the encoder once."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from .. import BiLSTMCRFPipeline
from ..crf import UNKNOWN
from ..readers.conversion import convert
from ..readers.partial import UNKNOWN_TAG, allows, is_known, known_tags
from ..readers.sentences import Sentence
from ..readers.tags import convert_tags
from ..readers.units import Units
from ..schemes import OUTSIDE, split_tag, tags_to_spans
from ..text_layout import join_given_words
from .likelihood import Chains
from .paths import Counts
from .places import GoldPlaces, count_places, place_of


class Reading(NamedTuple):
    """Sentences that a tagger has read."""

    sentences: list[Sentence]  # with gold tags by which the tagger's paths are read, `config.span_scheme`
    gold: list[list[str]]  # these tags, one for each unit of the chain: a word, or a sub-token
    chains: Chains  # with gold tags as the classifier writes them
    tags: list[list[str]]  # the largest logit of each unit
    unit: str  # what the chain runs over, `config.chain_unit`
    counts: Counts  # of the entities that the chain finds before any fit; right are those with all their characters


def read_sentences(
    pipeline: BiLSTMCRFPipeline, sentences: Sequence[Sentence], scheme: str | None, finds_scheme: bool = False
) -> Reading:
    """Let a tagger read the words of sentences, as its pipeline does.

    A classifier whose entities mostly begin with `I-`, as in IOB1, gets gold tags that are written likewise, unless
    the rules of its chain forbid them.

    Args:
        pipeline: of the tagger.
        sentences: with gold tags. A tag that the tagger has no label for is unknown.
        scheme: of the gold tags.
        finds_scheme: whether the rules of IOB2 are taken from such a classifier: its `config.tag_scheme` becomes None.

    Raises:
        DataError: if the gold tags have a scheme and the labels have none, or the other way round.
    """
    config = pipeline.model.config
    words = [sentence.words for sentence in sentences]
    texts = pipeline.preprocess(words, is_split_into_words=True)
    scored = cast(list[Tensor], pipeline.forward(texts))
    emissions = [scores.double().cpu() for scores in scored]
    labels = config.labels
    tags = _best_tags(labels, emissions)
    converted = [convert_tags(sentence, scheme, config.span_scheme) for sentence in sentences]
    gold = [sentence.tags for sentence in converted]
    if config.chain_unit == "token":
        pairs = zip(join_given_words(words, " "), texts, strict=True)
        units = [Units.of(given.text, given.words, text.words) for given, text in pairs]
        gold = [own.spread(one, config.span_scheme) for own, one in zip(units, gold, strict=True)]
    if finds_scheme and config.span_scheme == "IOB2" and opens_inside(tags):
        config.tag_scheme = None
    written = list(map(in_iob1, gold)) if writes_iob1(config, emissions) else gold
    places = [GoldPlaces([one], config.span_scheme) for one in converted]
    rows = zip(texts, pipeline.postprocess(texts, scored), places, strict=True)
    found = [
        {place for one in entities if not right.is_open(place := place_of(text.text, one))}
        for text, entities, right in rows
    ]
    counts = count_places(found, [one.there for one in places])
    sets = [tags_or_sets(one, labels) for one in written]
    named = [[OUTSIDE if is_known(tag) and tag not in labels else tag for tag in one] for one in written]
    chains = Chains(emissions, sets, named)
    return Reading(converted, gold, chains, tags, config.chain_unit, counts)


def _best_tags(labels: list[str], emissions: Iterable[Tensor]) -> list[list[str]]:
    return [[labels[tag] for tag in scores.argmax(1).tolist()] for scores in emissions]


def writes_iob1(config: Any, emissions: Iterable[Tensor]) -> bool:
    """Say whether a tagger without rules begins most entities with `I-`, as a classifier does that has learnt IOB1.

    Args:
        config: the tagger's.
        emissions: float (n, K) of each chain.
    """
    return (
        config.scheme is None and config.span_scheme == "IOB2" and opens_inside(_best_tags(config.labels, emissions))
    )


def in_iob1(tags: Sequence[str]) -> list[str]:
    """Write tags of IOB2 in IOB1; of a word that is known in part, nothing is known there."""
    whole = convert(known_tags(tags, "IOB2"), "IOB2", "IOB1")
    return [
        new if tag in (old, OUTSIDE) else UNKNOWN_TAG
        for tag, old, new in zip(tags, known_tags(tags, "IOB2"), whole, strict=True)
    ]


def tags_or_sets(tags: Sequence[str], labels: Sequence[str]) -> Tensor:
    """Return gold tags as the CRF takes them: int64 (n,), or bool (n, K) if some are known in part.

    A tag that is not among the labels is unknown.
    """
    ids = {label: index for index, label in enumerate(labels)}
    if all(is_known(tag) or tag == UNKNOWN_TAG for tag in tags):
        return torch.tensor([ids.get(tag, UNKNOWN) for tag in tags], dtype=torch.int64)
    sets = torch.tensor([[allows(tag, label) for label in labels] for tag in tags])
    return sets | ~sets.any(1, keepdim=True)


def opens_inside(tags: Iterable[Sequence[str]]) -> bool:
    """Say whether most entities begin with `I-`, if tags are read as conlleval does.

    >>> opens_inside([["I-X", "I-X", "B-X"], ["O", "I-Y"]]), opens_inside([["B-X", "I-X", "B-X"], ["O", "I-Y"]])
    (True, False)
    """
    firsts = [split_tag(one[start])[0] for one in tags for start, _, _ in tags_to_spans(one, "IOB2")]
    return 2 * firsts.count("I") > len(firsts)


def read_in_better_unit(
    pipeline: BiLSTMCRFPipeline, sentences: Sequence[Sentence], scheme: str | None, finds_scheme: bool = False
) -> list[Reading]:
    """Let a tagger read sentences twice, with a chain over words and with one over sub-tokens.

    The better one becomes its `config.chain_unit`; the one that is there already, if both are as good.

    Args:
        pipeline, sentences, scheme, finds_scheme: as for `read_sentences`.

    Returns:
        What was read with each of the two, the better one first. A tokenizer that is not a fast one cannot do the
        second.
    """
    config = pipeline.model.config
    units = [config.chain_unit, *({"word", "token"} - {config.chain_unit})]
    tag_scheme, readings, schemes = config.tag_scheme, [], {}
    for unit in units if pipeline.tokenizer.is_fast else ["word"]:
        config.chain_unit, config.tag_scheme = unit, tag_scheme
        readings.append(read_sentences(pipeline, sentences, scheme, finds_scheme))
        schemes[unit] = config.tag_scheme
    readings.sort(key=lambda one: one.counts.f1, reverse=True)  # it keeps the order of those that are as good
    config.chain_unit = readings[0].unit
    config.tag_scheme = schemes[config.chain_unit]
    return readings


__all__ = [
    "Reading",
    "in_iob1",
    "opens_inside",
    "read_in_better_unit",
    "read_sentences",
    "tags_or_sets",
    "writes_iob1",
]
