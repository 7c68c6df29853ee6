"""The splits as data sets for the model: tags in its scheme, sentences in windows. And what the log says of data that
do not fit the model."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from transformers.utils import logging

from ..modeling_crf import BiLSTMCRFForTokenClassification
from ..readers.partial import is_known, known_spans
from ..readers.sentences import DataError, Reader, Sentence
from ..readers.spelling import find_spelling, respell
from ..readers.tags import convert_tags, tag_places
from ..schemes import OUTSIDE, entity_types, split_tag
from .arguments import DataArguments
from .dataset import StreamingTaggingDataset, TaggingDataset
from .errors import UserError
from .settings import window_length
from .splits import Split, missing_label

__all__ = ["Datasets", "make_datasets"]

logger = logging.get_logger(__name__)

Datasets = Mapping[str, TaggingDataset | StreamingTaggingDataset]
"""The data sets of a run, by the names of their splits."""

MOST_UNKNOWN_WORDS = 0.1
"""The largest share of words that may begin with the unknown token without a warning. In the language of the
tokenizer the share is about 0.01."""


def make_datasets(
    splits: Mapping[str, Split], tokenizer: Any, model: BiLSTMCRFForTokenClassification, data: DataArguments
) -> dict[str, TaggingDataset | StreamingTaggingDataset]:
    """Write the tags in the model's scheme, and lay the sentences out in windows for the encoder.

    Raises:
        UserError: if `max_seq_length` is out of range, or sentences are to be streamed that the model reads among
            their neighbours.
        DataError: if the tags cannot be written in the model's scheme, or the model's labels lack a tag of the
            training data.
    """
    length = window_length(data.max_seq_length, tokenizer, model)
    labels, scheme, unit = model.config.labels, model.config.span_scheme, model.config.chain_unit
    datasets: dict[str, TaggingDataset | StreamingTaggingDataset] = {}
    for name, split in splits.items():
        read = _in_scheme(split, labels, scheme, data)
        if split.sentences is not None:
            dataset = TaggingDataset(read(), tokenizer, labels, length, model.config.context_size, scheme, unit)
            _warn_of_unknown_words(name, dataset, tokenizer)
            _warn_of_joined_entities(name, split, dataset)
            _warn_of_unknown_tags(name, dataset.sentences, labels, scheme)
            datasets[name] = dataset
        elif model.config.context_size:
            raise UserError(
                "--streaming reads sentences one by one, and this tagger reads them among their neighbours"
            )
        else:
            datasets[name] = StreamingTaggingDataset(read, tokenizer, labels, length, scheme, unit)
    return datasets


def _in_scheme(split: Split, labels: list[str], scheme: str | None, data: DataArguments) -> Reader:
    """Return what starts reading a split with its tags in the model's scheme.

    In training each tag must be one of the model's labels. There is one exception: if a finished tagger has no label
    for a type at all, the tags of this type become unknown labels.
    """
    source, known, types = split.scheme, set(labels), set(entity_types(labels, scheme))
    own: dict[str, str] = {}
    if scheme is None and split.sentences is not None:
        # Tags that have a scheme in the data may be free labels of the model, and may be spelt otherwise there.
        own = {usual: label for label, usual in find_spelling(dict.fromkeys(labels, "the model's labels")).items()}
        if known.issuperset(own.get(tag, tag) for tag in tag_places(split.sentences)):
            source = None

    def must_be_known(tag: str) -> bool:
        return bool(split.labels) or tag == OUTSIDE or _type(tag, scheme) in types

    def read() -> Iterator[Sentence]:
        for sentence in split.read():
            sentence = convert_tags(sentence, source, scheme)
            if own:
                sentence = respell(sentence, own)
            if split.name == "train":
                for tag, place in tag_places([sentence]).items():
                    if tag not in known and must_be_known(tag):
                        raise DataError(missing_label(tag, place, data))
            yield sentence

    return read


def _type(tag: str, scheme: str | None) -> str:
    return tag if scheme is None else split_tag(tag)[1]


def _warn_of_unknown_words(name: str, dataset: TaggingDataset, tokenizer: Any) -> None:
    first = [row["input_ids"][i] for row in dataset.rows for i, scored in enumerate(row["word_mask"]) if scored]
    share = first.count(tokenizer.unk_token_id) / max(1, len(first))
    if share > MOST_UNKNOWN_WORDS:
        logger.warning(
            f"{name}: {share:.0%} of the words are unknown to the tokenizer: does its vocabulary fit the language and "
            "the case (an uncased one needs a tokenizer with do_lower_case)?"
        )


def _warn_of_joined_entities(name: str, split: Split, dataset: TaggingDataset) -> None:
    """Say how many entities are lost because IO cannot tell them from their neighbours."""
    if dataset.scheme != "IO" or split.scheme == "IO":
        return
    scheme = "IOB2" if split.scheme == "IOB1" else split.scheme
    count = sum(len(known_spans(sentence.tags, scheme)) for sentence in split.read())
    count -= sum(len(known_spans(tags, "IO")) for tags in dataset.gold)
    if count:
        logger.warning(
            f"{name}: {count} entities are joined with a neighbour of their type, which IO cannot tell apart"
        )


def _warn_of_unknown_tags(name: str, sentences: Iterable[Sentence], labels: list[str], scheme: str | None) -> None:
    types, unknown = set(entity_types(labels, scheme)), Counter()
    tags = itertools.chain.from_iterable(sentence.tags for sentence in sentences)
    for tag, count in Counter(filter(is_known, tags)).items():
        kind = _type(tag, scheme)
        if tag not in labels and (tag == OUTSIDE or kind in types):
            logger.warning(f"{name}: the model has no tag {tag!r}: whatever it says of {count} words is wrong")
        elif tag not in labels:
            unknown[kind] += count
    for kind, count in sorted(unknown.items()):
        logger.warning(
            f"{name}: the model has no tag for type {kind!r}: its {count} words cannot be found, and count as missed "
            "in the recall"
        )
