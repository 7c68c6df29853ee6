"""Everything that is measured on one part of the data."""

import time
from collections.abc import Collection
from typing import Any

from ..scores.intervals import bootstrap_f1
from ..scores.mistakes import Form, compare, error_profile, forms, split_by_form, strict_spans
from .dataset import StreamingTaggingDataset, TaggingDataset
from .trainer import CRFTrainer


def known_forms(dataset: TaggingDataset | StreamingTaggingDataset | None) -> set[Form] | None:
    """Return the entities of the training data as they are written; None where they are not at hand."""
    if not isinstance(dataset, TaggingDataset) or dataset.scheme is None:
        return None
    sentences = dataset.sentences
    return {form for one in sentences for form in forms(one.words, strict_spans(one.tags, dataset.scheme))}


def evaluate(
    trainer: CRFTrainer, dataset: TaggingDataset, split: str, seen: Collection[Form] | None = None
) -> tuple[list[list[str]], dict[str, Any], float | None]:
    """Tag a data set, and measure what there is to measure.

    Args:
        trainer: of the tagger.
        dataset: whose gold tags to score against.
        split: its name in the log.
        seen: see `known_forms`.

    Returns:
        The tags of each sentence; the scores: those of `score_tags`, `interval`, `calibration`, and with a scheme
        `errors` and, where `seen` is known, `forms`; and the words tagged in a second, scoring included; None
        if the clock stood still.
    """
    began = time.perf_counter()
    tags, scores = trainer.tag(dataset, split)
    elapsed = time.perf_counter() - began
    speed = sum(map(len, tags)) / elapsed if elapsed > 0 else None
    scores["calibration"] = trainer.calibration(dataset)
    if dataset.scheme is None:
        right = [sum(map(str.__eq__, gold, mine)) for gold, mine in zip(dataset.gold, tags, strict=True)]
        scores["interval"] = bootstrap_f1(
            [(count, len(mine), len(mine)) for count, mine in zip(right, tags, strict=True)]
        )
        return tags, scores, speed
    outcomes = [
        compare(strict_spans(gold, dataset.scheme), strict_spans(mine, dataset.scheme))
        for gold, mine in zip(dataset.gold, tags, strict=True)
    ]
    profiles = [error_profile([one]) for one in outcomes]
    scores["interval"] = bootstrap_f1([(one["correct"], one["predicted"], one["gold"]) for one in profiles])
    scores["errors"] = error_profile(outcomes)
    if seen is not None:
        scores["forms"] = split_by_form([one.words for one in dataset.sentences], outcomes, seen)
    return tags, scores, speed
