"""Entities by their characters, for what knows no words: the stock pipeline, and chains over sub-tokens."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

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


__all__ = ["Place", "count_places", "place_of", "places_of"]
