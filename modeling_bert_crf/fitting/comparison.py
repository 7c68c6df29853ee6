"""Ways to decode one classifier, compared on labelled sentences: word by word, by the stock pipeline, by a chain.

Entities are compared by their characters in the words joined by blanks, since the stock pipeline knows no words.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from ..readers.conversion import first_violation
from ..readers.sentences import Sentence
from ..schemes import tags_to_spans
from ..scores.calibration import calibration_error
from ..scores.mistakes import strict_spans
from .likelihood import Chains
from .paths import Counts

STRATEGIES = ("simple", "first", "average", "max")
"""How the stock pipeline joins sub-tokens."""
Place = tuple[int, int, str]
"""Of an entity: its first character, the one after its last, its type."""


@dataclass
class Row:
    """What one way to decode finds.

    Attributes:
        name: of the way.
        counts: of entities; an entity is right if its characters and its type are.
        illegal: sentences whose tags break the rules; None where there are no tags to look at.
        confidences: the score of each entity that is found, and whether it is right; empty where there are none.
    """

    name: str
    counts: Counts
    illegal: int | None = None
    confidences: list[tuple[float, bool]] = field(default_factory=list)

    def line(self) -> str:
        """Write the row of a table."""
        counts = self.counts
        figures = [f"{100 * share:9.2f}" for share in (counts.precision, counts.recall, counts.f1)]
        illegal = "" if self.illegal is None else f"{self.illegal}"
        calibration = f"{calibration_error(self.confidences):.3f}" if self.confidences else ""
        return f"{self.name:<34} {' '.join(figures)} {illegal:>8} {calibration:>12}"


HEADING = f"{'':<34} {'precision':>9} {'recall':>9} {'F1':>9} {'illegal':>8} {'calibration':>12}"


def places_of(words: Sequence[str], spans: Iterable[tuple[int, int, str]]) -> set[Place]:
    """Say which characters entities cover, if the words are joined by blanks."""
    ends = list(accumulate(len(word) + 1 for word in words))
    starts = [0, *ends]
    return {(starts[start], ends[end - 1] - 1, kind) for start, end, kind in spans}


def word_by_word(
    chains: Chains, labels: Sequence[str], scheme: str | None, sentences: Sequence[Sentence]
) -> list[Row]:
    """Take each word's largest logit; illegal tags read strictly, as seqeval does, and as conlleval reads them."""
    names: list[str] = list(labels)
    tags = [[names[tag] for tag in emissions.argmax(1).tolist()] for emissions in chains.emissions]
    gold = _gold(sentences, scheme)
    lenient = Row("argmax, as conlleval reads it", _count([set(tags_to_spans(one, scheme)) for one in tags], gold))
    if scheme is None:
        return [lenient]
    illegal = sum(first_violation(one, scheme) is not None for one in tags)
    strict = Row("argmax, strict", _count([set(strict_spans(one, scheme)) for one in tags], gold))
    return [replace(row, illegal=illegal) for row in (strict, lenient)]


def _gold(sentences: Sequence[Sentence], scheme: str | None) -> list[set[tuple[int, int, str]]]:
    return [set(tags_to_spans(sentence.tags, scheme)) for sentence in sentences]


def _count(found: Sequence[set[Any]], gold: Sequence[set[Any]]) -> Counts:
    pairs = list(zip(found, gold, strict=True))
    return Counts(sum(len(a & b) for a, b in pairs), sum(len(a) for a, _ in pairs), sum(len(b) for _, b in pairs))


def by_pipeline(pipeline: Any, sentences: Sequence[Sentence], scheme: str | None, name: str, **options: Any) -> Row:
    """Let a pipeline, the stock one or ours, find the entities of the words joined by blanks."""
    texts = [" ".join(sentence.words) for sentence in sentences]
    gold = [places_of(one.words, tags_to_spans(one.tags, scheme)) for one in sentences]
    found: list[set[Place]] = []
    confidences = []
    for text, right, entities in zip(texts, gold, pipeline(texts, **options), strict=True):
        places = {_without_blanks(text, one): one["score"] for one in entities if one["entity_group"] != "O"}
        found.append(set(places))
        confidences += [(float(score), place in right) for place, score in places.items()]
    return Row(name, _count(found, gold), None, confidences)


def _without_blanks(text: str, entity: dict[str, Any]) -> Place:
    """Leave out the blanks that some tokenizers count as part of the first sub-token."""
    start, end = entity["start"], entity["end"]
    word = text[start:end]
    return start + len(word) - len(word.lstrip()), end - len(word) + len(word.rstrip()), entity["entity_group"]


__all__ = ["HEADING", "STRATEGIES", "Row", "by_pipeline", "places_of", "word_by_word"]
