"""Labelled sentences by how improbable their labels are, and where.

Labels say something wherever they name an entity, and wherever the tagger finds one that they do not name. At each of
these places two probabilities are exact sums over all taggings: that what the labels say is right, and that the most
probable other thing is. An entity has the place of its words; the other thing is an entity that has a word in common
with it, one of those on the most probable taggings, or that none of the words is in an entity. Where the labels name
nothing, they say that none of the words is in an entity; where nobody knows a word's tag, they say nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..batching import run_by_length
from ..crf import UNKNOWN, LinearChainCRF
from ..entities import read_entities
from ..fitting.likelihood import chain_of, unfitted
from ..pages.palette import probability as written
from ..pipeline_crf import pad
from ..readers.partial import are_known, known_spans
from ..schemes import OUTSIDE, Span
from ..text_layout import join_given_words
from .reading import Chain

__all__ = ["Doubt", "Judgement", "judge"]

PATHS = 5
"""So many of the most probable taggings are searched for what else a sentence may hold."""
MOST = 1000.0
"""The improbability of labels that no tagging agrees with."""
WORDS, ROWS = 2**12, 256
"""Words, padding included, and chains that are read at once."""


class Doubt(NamedTuple):
    """A place where labels and tagger may differ.

    Attributes:
        gold: the entity of the labels, by its words; None if they name none there.
        probability: that what the labels say is right.
        other: the most probable other entity there; None if it is that there is none.
        other_probability: of that.
    """

    gold: Span | None
    probability: float
    other: Span | None
    other_probability: float

    @property
    def is_grave(self) -> bool:
        """Whether the tagger rather has the other thing there."""
        return self.other_probability > self.probability

    def described(self, words: Sequence[str]) -> str:
        """Write it for people.

        >>> Doubt((1, 2, "LOC"), 0.25, None, 0.5).described(["in", "Oslo"])
        "'Oslo' is labelled LOC (0.25), rather no entity (0.50)"
        """
        gold, other = (span and " ".join(words[span[0] : span[1]]) for span in (self.gold, self.other))
        said = f"{gold!r} is labelled {self.gold[2]}" if self.gold else f"{other!r} is not labelled"
        rather = "no entity" if self.other is None else self.other[2]
        rather = f"{other!r} {rather}" if self.other and self.gold and other != gold else rather
        return f"{said} ({written(self.probability)}), rather {rather} ({written(self.other_probability)})"

    def as_row(self, words: Sequence[str]) -> dict[str, Any]:
        """Write it for people and for programs, entities by the characters of the words joined by blanks."""
        places = next(join_given_words([words], " ")).words

        def entity(span: Span | None) -> dict[str, Any] | None:
            return span and {"entity_group": span[2], "start": places[span[0]][0], "end": places[span[1] - 1][1]}

        row = {"says": self.described(words), "labelled": entity(self.gold), "probability": self.probability}
        return row | {"rather": entity(self.other), "rather_probability": self.other_probability}


class Judgement(NamedTuple):
    """What a tagger says of a labelled sentence.

    Attributes:
        doubts: at all places where an entity is, or may be, the least probable label first.
        found: the entities of the best tagging, with their probabilities.
        improbability: log P(best tagging) - log P(labels), in nats, at least 0 and at most `MOST`: how far the labels
            are behind. Words of unknown tags, or of types that the tagger does not know, have any.
    """

    doubts: list[Doubt]
    found: dict[Span, float]
    improbability: float

    @property
    def gravest(self) -> list[Doubt]:
        """The places that are worth a look: the first one, and all where the tagger rather has something else."""
        return [*self.doubts[:1], *(one for one in self.doubts[1:] if one.is_grave)]


def judge(model: Any, chains: Sequence[Chain]) -> list[Judgement]:
    """Say of labelled sentences what is doubtful of their labels, and what the tagger would have instead.

    Args:
        model: the tagger that has read them.
        chains: as `read_chains` returns them.
    """
    exact: Any = SimpleNamespace(config=model.config, crf=chain_of(unfitted(model.crf), model.crf))

    def read(batch: list[int]) -> list[Judgement]:
        return _judge(exact, [chains[index] for index in batch])

    return run_by_length([len(chain.tags) for chain in chains], read, WORDS, ROWS)


@torch.inference_mode()
def _judge(model: Any, chains: Sequence[Chain]) -> list[Judgement]:
    labels, scheme = model.config.labels, model.config.span_scheme
    outside = labels.index(OUTSIDE) if OUTSIDE in labels else None
    grid, mask = pad([chain.emissions for chain in chains])
    filled = [chain.tags.masked_fill(chain.tags == UNKNOWN, outside or 0) for chain in chains]
    by_labels = _probabilities(model, grid, mask, pad(filled)[0])
    paths, scores = model.crf.nbest(grid, mask, PATHS)
    found = [_probabilities(model, grid, mask, path) for path in paths.unbind(1)]
    nll = model.crf(grid, pad([chain.tags for chain in chains])[0], mask)
    behind = (scores[:, 0] - model.crf.log_partition(grid, mask) + nll).clamp(0, MOST).tolist()
    by_tagger = [{span: p for own in chain for span, p in own.items()} for chain in zip(*found, strict=True)]
    # An entity of a type that the tagger has no label for has probability 0.
    gold = [
        {span: known.get(span, 0.0) for span in known_spans(chain.gold, scheme)}
        for chain, known in zip(chains, by_labels, strict=True)
    ]
    others = [_others(own, there) for own, there in zip(map(_judged, by_tagger, chains), gold, strict=True)]
    places = [[*there, *new] for there, (_, new) in zip(gold, others, strict=True)]
    empty = _without_entities(model.crf, grid, mask, places, outside)
    return [
        Judgement(sorted(_in_words(chain, _places(*row)), key=lambda one: one.probability), _best(chain, best), gap)
        for chain, best, gap, row in zip(chains, found[0], behind, zip(gold, others, empty, strict=True), strict=True)
    ]


def _probabilities(model: Any, grid: Tensor, mask: Tensor, paths: Tensor) -> list[dict[Span, float]]:
    """Return the entities of a path of each chain, with their probabilities."""
    found: list[dict[Span, float]] = [{} for _ in grid]
    for one in read_entities(model, grid, mask, paths.masked_fill(~mask, UNKNOWN)):
        found[one.row][one.start, one.end, one.name] = one.score
    return found


def _judged(found: Mapping[Span, float], chain: Chain) -> dict[Span, float]:
    """Leave out what holds a word of which nobody knows whether it is in an entity: there the labels say nothing."""
    return {span: p for span, p in found.items() if are_known(chain.gold[span[0] : span[1]])}


def _others(found: Mapping[Span, float], gold: Mapping[Span, float]) -> tuple[dict[Span, float], dict[Span, float]]:
    """Part what was found, but is none of the labels': entities that overlap one of those, and all others.

    Of the latter, which stand where the labels name nothing, only the most probable ones that do not overlap are left.
    """
    rivals, new = {}, {}
    for span in sorted(found.keys() - gold.keys(), key=lambda span: (-found[span], span)):
        if any(_overlap(span, one) for one in gold):
            rivals[span] = found[span]
        elif not any(_overlap(span, one) for one in new):
            new[span] = found[span]
    return rivals, new


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _without_entities(
    crf: LinearChainCRF, grid: Tensor, mask: Tensor, places: Sequence[Sequence[Span]], outside: int | None
) -> list[dict[Span, float]]:
    """Say of places in each chain how probable it is that none of their words is in an entity."""
    spans = [(row, span) for row, own in enumerate(places) for span in own]
    empty: list[dict[Span, float]] = [dict.fromkeys(own, 0.0) for own in places]
    if outside is None or not spans:
        return empty
    sets = torch.ones(len(spans), max(end - start for _, (start, end, _) in spans), crf.num_tags).bool()
    for index, (_, (start, end, _)) in enumerate(spans):
        sets[index, : end - start] = False
        sets[index, : end - start, outside] = True
    rows = torch.tensor([row for row, _ in spans])
    starts = torch.tensor([span[0] for _, span in spans])
    probabilities = crf.span_log_probs(grid, mask, rows, starts, sets).exp().tolist()
    for (row, span), probability in zip(spans, probabilities, strict=True):
        empty[row][span] = probability
    return empty


def _places(
    gold: Mapping[Span, float], others: tuple[Mapping[Span, float], Mapping[Span, float]], empty: Mapping[Span, float]
) -> Iterator[Doubt]:
    """Say of each place in a chain what the labels and what the tagger would have there."""
    rivals, new = others
    for span, probability in gold.items():
        # The first one that overlaps is the most probable.
        rival = next((one for one in rivals if _overlap(one, span)), None)
        if rival is None or rivals[rival] <= empty[span]:
            yield Doubt(span, probability, None, empty[span])
        else:
            yield Doubt(span, probability, rival, rivals[rival])
    for span, probability in new.items():
        yield Doubt(None, empty[span], span, probability)


def _in_words(chain: Chain, doubts: Iterator[Doubt]) -> Iterator[Doubt]:
    """Count the entities of a chain in the words of its sentence."""
    for one in doubts:
        yield one._replace(gold=_over_words(chain, one.gold), other=_over_words(chain, one.other))


def _best(chain: Chain, found: Mapping[Span, float]) -> dict[Span, float]:
    """Count the entities of the best tagging in words; a word goes to the first entity in it."""
    best: dict[Span, float] = {}
    done = 0
    for span in sorted(found):
        in_words = _over_words(chain, span)
        if in_words is not None and max(in_words[0], done) < in_words[1]:
            best[max(in_words[0], done), in_words[1], span[2]] = found[span]
            done = in_words[1]
    return best


def _over_words(chain: Chain, span: Span | None) -> Span | None:
    words = [] if span is None else [word for word in chain.units[span[0] : span[1]] if word is not None]
    return (words[0], words[-1] + 1, span[2]) if span is not None and words else None
