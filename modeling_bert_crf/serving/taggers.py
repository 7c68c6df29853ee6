"""A tagger, or an export of one, as something that answers batches of requests.

The encoder and the BiLSTM read the texts of a whole batch together, whatever each request asks for. What then differs
from request to request is done with each other request that asks for the same.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from .batches import Answer, Job, Tag

__all__ = ["Steps", "answers_to", "steps_of_export", "steps_of_pipeline"]


class Steps(NamedTuple):
    """What a tagger does, step by step.

    Attributes:
        split: texts into chains and windows, `Text` by `Text`.
        score: these into emissions, one array for each chain of all texts.
        restrict: texts, their emissions, what is known of each, and the texts' numbers from 1, into emissions.
        read: texts, emissions and options into what was found in each text.
    """

    split: Callable[[list[str]], Sequence[Any]]
    score: Callable[[Sequence[Any]], Sequence[Any]]
    restrict: Callable[[Sequence[Any], Sequence[Any], Sequence[Any], Sequence[int]], Sequence[Any]]
    read: Callable[..., Answer]


def steps_of_pipeline(pipeline: Any) -> Steps:
    """Return the steps of a `BiLSTMCRFPipeline`."""
    return Steps(pipeline.preprocess, pipeline.forward, pipeline._given, pipeline.postprocess)


def steps_of_export(tagger: Any) -> Steps:
    """Return the steps of an `OnnxTagger`."""

    def score(texts: Sequence[Any]) -> Sequence[Any]:
        return tagger.score([chain for text in texts for chain in text.chains])

    return Steps(tagger.split, score, tagger.restrict, tagger.read)


def answers_to(steps: Steps) -> Tag:
    """Return what answers batches of requests by these steps."""

    def tag(jobs: Sequence[Job]) -> Sequence[Answer | ValueError]:
        try:
            return _answer(steps, jobs)
        except ValueError as error:  # of one of them
            return [error] if len(jobs) == 1 else [answer for job in jobs for answer in tag([job])]

    return tag


def _answer(steps: Steps, jobs: Sequence[Job]) -> Sequence[Answer | ValueError]:
    texts = iter(steps.split([text for job in jobs for text in job.texts]))
    parts = [list(islice(texts, len(job.texts))) for job in jobs]
    emissions = iter(steps.score([text for part in parts for text in part]))
    scores: list[Sequence[Any]] = [list(islice(emissions, sum(len(text.chains) for text in part))) for part in parts]
    answers: dict[int, Answer | ValueError] = {}
    alike: dict[Any, list[int]] = defaultdict(list)
    for index, job in enumerate(jobs):
        try:
            if job.known is not None:
                scores[index] = steps.restrict(parts[index], scores[index], job.known, range(1, len(job.texts) + 1))
            alike[job.options].append(index)
        except ValueError as error:
            answers[index] = error
    for options, members in alike.items():
        own = [text for index in members for text in parts[index]]
        found = iter(steps.read(own, [one for index in members for one in scores[index]], **dict(options)))
        answers |= {index: list(islice(found, len(parts[index]))) for index in members}
    return [answers[index] for index in range(len(jobs))]
