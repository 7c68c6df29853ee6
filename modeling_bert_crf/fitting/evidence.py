"""What a tagger finds in labelled sentences at one operating point or another; the encoder reads them once.

Entities are compared by their characters in the words joined by blanks, as the pipeline returns them: so whatever the
pipeline does at an operating point is what is counted. A document's sentences are read among each other.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .. import BiLSTMCRFPipeline
from ..readers.sentences import Sentence
from ..schemes import entity_types
from .places import GoldPlaces, Place

FEWEST = 20
"""With fewer entities than this nothing can be promised; with fewer documents, sentences count by themselves."""
TRIAL = "trial"
"""The name of an operating point that is tried."""


class Gold(NamedTuple):
    """The N entities that are there."""

    units: NDArray[np.int64]  # (N,), the sentence of each
    kinds: NDArray[np.int64]  # (N,), its type
    characters: NDArray[np.int64]  # (N,), how long it is


class Found(NamedTuple):
    """The N entities that are found, and how much of them is there."""

    units: NDArray[np.int64]  # (N,), the sentence of each
    kinds: NDArray[np.int64]  # (N,), its type
    characters: NDArray[np.int64]  # (N,), how long it is
    scores: NDArray[np.float64]  # (N,), its probability
    right: NDArray[np.bool_]  # (N,), whether exactly it is there
    covered: NDArray[np.int64]  # (N, T), how many characters it covers of what is there, by the type of that

    def of(self, chosen: NDArray[np.bool_]) -> "Found":
        """Return some of the entities."""
        return Found._make(values[chosen] for values in self)


@dataclass(frozen=True)
class Share:
    """A share of some entities or of their characters: precision of those found, or recall of those there are.

    Attributes:
        parts, wholes: of each sentence, (units,).
        entities: how many entities there are to have a share of.
    """

    parts: NDArray[np.float64]
    wholes: NDArray[np.float64]
    entities: int

    @property
    def value(self) -> float:
        """The share of all sentences together; 1 where there is nothing to have a share of."""
        whole = float(self.wholes.sum())
        return float(self.parts.sum()) / whole if whole else 1.0

    @property
    def error(self) -> float:
        """The standard error of the share, where sentences vary as a whole."""
        whole, count = float(self.wholes.sum()), len(self.wholes)
        if not whole or count < 2:
            return 0.0
        residuals = self.parts - self.value * self.wholes
        return math.sqrt(float((residuals**2).sum()) * count / (count - 1)) / whole


@dataclass(frozen=True)
class Evidence:
    """What is there, and what was found by each of some settings.

    Attributes:
        types: of entities, T of them.
        count: how many sentences, or documents, there are, which vary independently of each other.
        gold: what is there.
        found: by each setting.
    """

    types: list[str]
    count: int
    gold: Gold
    found: list[Found]

    def of(self, units: NDArray[np.int64]) -> "Evidence":
        """Return what concerns some of the sentences."""
        number = np.full(self.count, -1)
        number[units] = np.arange(len(units))
        gold = Gold(*(values[number[self.gold.units] >= 0] for values in self.gold))
        found = [one.of(number[one.units] >= 0) for one in self.found]
        return replace(
            self,
            count=len(units),
            gold=gold._replace(units=number[gold.units]),
            found=[one._replace(units=number[one.units]) for one in found],
        )

    def share(
        self, found: Found, figure: str, in_characters: bool = False, kinds: Sequence[int] | None = None
    ) -> Share:
        """Count the precision or the recall of what was found, sentence by sentence.

        Args:
            found: in these sentences.
            figure: `"precision"` or `"recall"`.
            in_characters: whether characters are counted. One is found if any entity covers it, of whatever type.
            kinds: the types to count; None means all.
        """
        chosen = np.arange(len(self.types)) if kinds is None else np.asarray(kinds)
        mine, there = np.isin(found.kinds, chosen), np.isin(self.gold.kinds, chosen)
        by_recall = figure == "recall"
        if by_recall:
            units, sizes = self.gold.units[there], self.gold.characters[there]
            hits = found.covered[:, chosen].sum(1) if in_characters else found.right & mine
        else:
            units, sizes = found.units[mine], found.characters[mine]
            hits = np.where(mine, found.covered.sum(1) if in_characters else found.right, 0)
        parts = np.bincount(found.units, hits, self.count).astype(np.float64)
        wholes = np.bincount(units, sizes if in_characters else None, self.count)
        return Share(parts, wholes.astype(float), len(units))


class Readings:
    """Labelled sentences that a tagger has read once, so that it can find their entities at any operating point.

    Args:
        pipeline: of the tagger.
        sentences: with tags in the tagger's scheme. They may be of types that the tagger does not know; it cannot find
            those.
    """

    def __init__(self, pipeline: BiLSTMCRFPipeline, sentences: Sequence[Sentence]):
        config = pipeline.model.config
        documents = list(documents_of(sentences))
        self._pipeline = pipeline
        self._texts = pipeline.preprocess([[one.words for one in group] for group in documents], True)
        self._emissions = cast(list[Tensor], pipeline.forward(self._texts))
        by_document = len(documents) >= FEWEST
        self._first_unit = list(range(len(documents))) if by_document else _starts(map(len, documents))
        self._borders = [[0] if by_document else _first_characters(group) for group in documents]
        self.count = len(documents) if by_document else len(sentences)
        self._gold = [GoldPlaces(group, config.span_scheme) for group in documents]
        self.known = entity_types(config.labels, config.span_scheme)
        self.types = sorted({*self.known, *(kind for places in self._gold for *_, kind in places.there)})
        self._number = {kind: index for index, kind in enumerate(self.types)}
        pairs = [(self._unit(index, one[0]), one) for index, gold in enumerate(self._gold) for one in gold.there]
        self.gold = _columns(pairs, self._number)

    def find(self, point: Mapping[str, Any] | None) -> Found:
        """Return what the tagger finds at an operating point; None means the one in force, which may be none.

        What nobody knows to be right or wrong, as gold tags are known in part only, is left out.
        """
        config = self._pipeline.model.config
        stored = config.operating_points
        if point is not None:
            config.operating_points = {**(stored or {}), TRIAL: dict(point)}
        try:
            rows = self._pipeline.postprocess(
                self._texts, self._emissions, operating_point=None if point is None else TRIAL
            )
        finally:
            config.operating_points = stored
        pairs, scores, right, covered = [], [], [], []
        for index, (entities, gold) in enumerate(zip(rows, self._gold, strict=True)):
            places = sorted(gold.there)
            for entity in entities:
                place = (entity["start"], entity["end"], entity["entity_group"])
                if gold.is_open(place):
                    continue
                pairs.append((self._unit(index, place[0]), place))
                scores.append(entity["score"])
                right.append(place in gold.there)
                covered.append(self._covered(place, places))
        table = np.array(covered, dtype=np.int64).reshape(-1, len(self.types))
        columns = _columns(pairs, self._number)
        return Found(*columns, scores=np.array(scores, float), right=np.array(right, bool), covered=table)

    def _unit(self, document: int, character: int) -> int:
        return self._first_unit[document] + bisect_right(self._borders[document], character) - 1

    def _covered(self, place: Place, gold: Sequence[Place]) -> list[int]:
        """Count the characters of what is there that an entity covers, by their type."""
        counts = [0] * len(self.types)
        for start, end, kind in gold[max(0, bisect_right(gold, (place[0],)) - 1) :]:
            if start >= place[1]:
                break
            counts[self._number[kind]] += max(0, min(end, place[1]) - max(start, place[0]))
        return counts


def documents_of(sentences: Iterable[Sentence]) -> Iterator[list[Sentence]]:
    """Yield the sentences of each document together, and a sentence of none by itself."""
    for document, group in groupby(sentences, key=lambda one: one.document):
        together = list(group)
        yield from [together] if document else [[one] for one in together]


def _starts(lengths: Iterable[int]) -> list[int]:
    return [0, *accumulate(lengths)][:-1]


def _first_characters(group: Sequence[Sentence]) -> list[int]:
    """Return where each sentence of a document begins, if all words are joined by blanks."""
    return _starts(sum(len(word) + 1 for word in sentence.words) for sentence in group)


def _columns(pairs: Sequence[tuple[int, Place]], number: Mapping[str, int]) -> Gold:
    """Return the units, the types and the lengths of entities."""
    rows = [(unit, number[kind], end - start) for unit, (start, end, kind) in pairs]
    return Gold(*np.array(rows, dtype=np.int64).reshape(-1, 3).T)


__all__ = ["FEWEST", "Evidence", "Found", "Gold", "Readings", "Share", "documents_of"]
