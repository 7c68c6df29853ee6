"""Everything that is measured on one part of the data."""

import time
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from ..readers.partial import known_tags
from ..scores.judged import Judged, known_spans
from ..scores.known import known_part
from ..scores.measures import measures
from ..scores.mistakes import Form, forms, strict_spans
from .dataset import StreamingTaggingDataset, TaggingDataset
from .reading import Reading
from .splitter_choice import detokenise
from .trainer import CRFTrainer

__all__ = ["Evaluation", "evaluate", "example_of", "known_forms"]

SHORT = 12
"""So many words an example has at most."""


class Evaluation(NamedTuple):
    """What is known of a part of the data once it is tagged.

    Attributes:
        tags: of each sentence.
        scores: those of `score_tags`, of `measures`, and `calibration`.
        speed: how many words were tagged and scored in a second; None if the clock stood still.
        judged: the sentences with their entities; none if the tags have no scheme.
    """

    tags: list[list[str]]
    scores: dict[str, Any]
    speed: float | None
    judged: list[Judged]


def known_forms(dataset: TaggingDataset | StreamingTaggingDataset | None) -> set[Form] | None:
    """Return the entities of the training data as they are written.

    None if there are no training data, if they are streamed, or if their tags have no scheme.
    """
    if not isinstance(dataset, TaggingDataset) or dataset.scheme is None:
        return None
    scheme = dataset.scheme
    tagged = ((one.words, known_tags(one.tags, scheme)) for one in dataset.sentences)
    return {form for words, tags in tagged for form in forms(words, strict_spans(tags, scheme))}


def evaluate(
    trainer: CRFTrainer,
    dataset: TaggingDataset,
    split: str,
    seen: Collection[Form] | None = None,
    reading: Reading | None = None,
) -> Evaluation:
    """Tag a data set, and measure what there is to measure; what its gold tags leave open does not count.

    Args:
        trainer: of the tagger.
        dataset: whose gold tags to score against.
        split: its name in the log.
        seen: the entities of the training data, as `known_forms` returns them.
        reading: what the encoder says of the data set, if it has read it already.
    """
    began = time.perf_counter()
    took = 0.0 if reading is None else reading.seconds
    reading = trainer.read(dataset) if reading is None else reading
    tags, scores = trainer.tag(dataset, split, reading)
    elapsed = took + time.perf_counter() - began
    speed = sum(map(len, tags)) / elapsed if elapsed > 0 else None
    was_fitted = split == "validation" and any("temperature" in one for one in trainer.state.log_history)
    scores["calibration"] = {} if reading is None else trainer.calibration(dataset, reading, was_fitted)
    words = [one.words for one in dataset.sentences]
    scores |= measures(words, dataset.gold, tags, dataset.scheme, seen)
    return Evaluation(tags, scores, speed, _judged(trainer, dataset, tags, seen, reading))


def _judged(
    trainer: CRFTrainer,
    dataset: TaggingDataset,
    tags: list[list[str]],
    seen: Collection[Form] | None,
    reading: Reading | None,
) -> list[Judged]:
    if dataset.scheme is None:
        return []
    known = trainer.probabilities(reading)
    judged = []
    for index, (sentence, predicted) in enumerate(zip(dataset.sentences, tags, strict=True)):
        both = known_part(sentence.tags, predicted, dataset.scheme)
        gold, found = (strict_spans(one, dataset.scheme) for one in both)
        own = known_spans(sentence.words, gold + found, seen)
        place = sentence.where(0) if sentence.words else ""
        judged.append(Judged(sentence.words, gold, found, None if known is None else known[index], own, place))
    return judged


def example_of(sentences: Sequence[Judged]) -> tuple[str, list[dict[str, Any]]] | None:
    """Return a short sentence in which entities are found, as a text, and these as the pipeline returns them.

    None if there is no such sentence, or nobody knows the entities' probabilities.
    """
    fitting = (one for one in sentences if one.predicted and one.probabilities and len(one.words) <= SHORT)
    if (one := next(fitting, None)) is None:
        return None
    text, places = detokenise(one.words)
    found = []
    for span in one.predicted:
        start, end = places[span[0]][0], places[span[1] - 1][1]
        names = {"entity_group": span[2], "score": one.probability(span), "word": text[start:end]}
        found.append({**names, "start": start, "end": end})
    return text, found
