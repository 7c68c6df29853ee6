"""Everything that is measured on one part of the data."""

import time
from collections.abc import Collection, Sequence
from typing import Any

from ..pipeline_crf import BiLSTMCRFPipeline
from ..schemes import OUTSIDE
from ..scores.intervals import bootstrap_f1
from ..scores.mistakes import Form, compare, error_profile, forms, split_by_form, strict_spans
from .dataset import StreamingTaggingDataset, TaggingDataset
from .reading import Reading
from .splitter_choice import detokenise
from .trainer import CRFTrainer

__all__ = ["evaluate", "example_of", "known_forms"]

SHORT = 12
"""So many words an example has at most."""


def known_forms(dataset: TaggingDataset | StreamingTaggingDataset | None) -> set[Form] | None:
    """Return the entities of the training data as they are written.

    None if there are no training data, if they are streamed, or if their tags have no scheme.
    """
    if not isinstance(dataset, TaggingDataset) or dataset.scheme is None:
        return None
    sentences = dataset.sentences
    return {form for one in sentences for form in forms(one.words, strict_spans(one.tags, dataset.scheme))}


def evaluate(
    trainer: CRFTrainer,
    dataset: TaggingDataset,
    split: str,
    seen: Collection[Form] | None = None,
    reading: Reading | None = None,
) -> tuple[list[list[str]], dict[str, Any], float | None]:
    """Tag a data set, and measure what there is to measure.

    Args:
        trainer: of the tagger.
        dataset: whose gold tags to score against.
        split: its name in the log.
        seen: the entities of the training data, as `known_forms` returns them.
        reading: what the encoder says of the data set, if it has read it already.

    Returns:
        The tags of each sentence. The scores: those of `score_tags`, `interval` and `calibration`; with a scheme also
        `errors`, and `forms` if `seen` is given. And how many words were tagged and scored in a second, None if the
        clock stood still.
    """
    began = time.perf_counter()
    took = 0.0 if reading is None else reading.seconds
    reading = trainer.read(dataset) if reading is None else reading
    tags, scores = trainer.tag(dataset, split, reading)
    elapsed = took + time.perf_counter() - began
    speed = sum(map(len, tags)) / elapsed if elapsed > 0 else None
    scores["calibration"] = {} if reading is None else trainer.calibration(dataset, reading)
    if dataset.scheme is None:
        scores["interval"] = _interval_of_words(dataset, tags)
    else:
        scores |= _entity_scores(dataset, dataset.scheme, tags, seen)
    return tags, scores, speed


def example_of(
    trainer: CRFTrainer, dataset: TaggingDataset, tags: Sequence[Sequence[str]]
) -> tuple[str, list[dict[str, Any]]] | None:
    """Return a short text of a data set in which the tagger finds something, and what its pipeline finds there.

    Args:
        trainer: of the tagger.
        dataset: whose sentences are candidates.
        tags: that the tagger gives them.

    Returns:
        None if there is no such sentence, or the tagger's weights are spread over processes.
    """
    model = trainer.tagger()
    pairs = zip(dataset.sentences, tags, strict=True)
    fitting = (one.words for one, own in pairs if len(own) <= SHORT and any(tag != OUTSIDE for tag in own))
    if model is None or (words := next(fitting, None)) is None:
        return None
    text, _ = detokenise(words)
    return text, BiLSTMCRFPipeline(model=model, tokenizer=trainer.processing_class)(text)


def _interval_of_words(dataset: TaggingDataset, tags: list[list[str]]) -> dict[str, Any]:
    """Return the interval of the share of words with the right tag."""
    pairs = zip(dataset.gold, tags, strict=True)
    right = [(sum(map(str.__eq__, gold, predicted)), len(predicted)) for gold, predicted in pairs]
    return bootstrap_f1([(count, words, words) for count, words in right])


def _entity_scores(
    dataset: TaggingDataset, scheme: str, tags: list[list[str]], seen: Collection[Form] | None
) -> dict[str, Any]:
    """Return what is measured of entities beside their F1."""
    outcomes = [
        compare(strict_spans(gold, scheme), strict_spans(predicted, scheme))
        for gold, predicted in zip(dataset.gold, tags, strict=True)
    ]
    profiles = [error_profile([one]) for one in outcomes]
    scores: dict[str, Any] = {
        "interval": bootstrap_f1([(one["correct"], one["predicted"], one["gold"]) for one in profiles]),
        "errors": error_profile(outcomes),
    }
    if seen is not None:
        scores["forms"] = split_by_form([one.words for one in dataset.sentences], outcomes, seen)
    return scores
