"""Entities by their characters, for what knows no words: the stock pipeline, and chains over sub-tokens."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from ..readers.partial import are_known, is_known, known_spans
from ..readers.sentences import Sentence
from ..scores.known import verdicts
from ..splitters import without_blanks
from .paths import Counts

Place = tuple[int, int, str]
"""Of an entity: its first character, the one after its last, its type."""


def places_of(words: Sequence[str], spans: Iterable[tuple[int, int, str]]) -> set[Place]:
    """Say which characters entities cover, if the words are joined by blanks."""
    ends = list(accumulate(len(word) + 1 for word in words))
    starts = [0, *ends]
    return {(starts[start], ends[end - 1] - 1, kind) for start, end, kind in spans}


def place_of(text: str, entity: dict[str, Any]) -> Place:
    """Say which characters an entity of a pipeline covers, without blanks at its ends."""
    start, end = without_blanks(text, entity["start"], entity["end"])
    return start, end, entity["entity_group"]


def count_places(found: Sequence[set[Any]], gold: Sequence[set[Any]]) -> Counts:
    """Count the entities of texts against those that are there."""
    pairs = list(zip(found, gold, strict=True))
    return Counts(sum(len(a & b) for a, b in pairs), sum(len(a) for a, _ in pairs), sum(len(b) for _, b in pairs))


class GoldPlaces:
    """The entities of a document's sentences, if all words are joined by blanks, as far as they are known.

    Args:
        sentences: with gold tags.
        scheme: of these.

    Attributes:
        there: the places of the entities that are known.
    """

    def __init__(self, sentences: Sequence[Sentence], scheme: str | None):
        self.sentences, self.scheme = sentences, scheme
        lengths = [sum(len(word) + 1 for word in one.words) for one in sentences]
        self.firsts = [0, *accumulate(lengths)][: len(sentences)]
        self.there: set[Place] = {
            (start + first, end + first, kind)
            for first, one in zip(self.firsts, sentences, strict=True)
            for start, end, kind in places_of(one.words, known_spans(one.tags, scheme))
        }
        self.is_whole = all(are_known(one.tags) for one in sentences)

    def is_open(self, place: Place) -> bool:
        """Say whether nobody knows if an entity is there, since gold tags are known in part only."""
        if self.is_whole:
            return False
        number = bisect_right(self.firsts, place[0]) - 1
        sentence, (start, end) = self.sentences[number], (border - self.firsts[number] for border in place[:2])
        ends = list(accumulate(len(word) + 1 for word in sentence.words))
        first, last = bisect_right(ends, start), bisect_right(ends, end - 1)
        if (start, end) != ([0, *ends][first], ends[last] - 1):  # which no entity of whole words can be
            return not all(map(is_known, sentence.tags[first : last + 1]))
        return verdicts([(first, last + 1, place[2])], sentence.tags, self.scheme) == [None]


__all__ = ["GoldPlaces", "Place", "count_places", "place_of", "places_of"]
