"""Mistakes in their sentences: what is there, what was found, and how probable the tagger holds each to be."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from ..schemes import Span
from .mistakes import Form, compare, forms

__all__ = ["Group", "Judged", "Mistake", "choose", "groups", "known_spans", "mistakes_of"]


class Judged(NamedTuple):
    """A sentence with its gold entities and those that a tagger finds.

    Attributes:
        words: of the sentence.
        gold, predicted: entities, in order.
        probabilities: of each of these entities, that exactly its words are one entity of its type; None where nobody
            knows. An entity that is missing there is one that the tagger cannot find.
        seen: which of these entities stand in the training data, with the same words and type; None if nobody knows.
        place: where it stands.
    """

    words: Sequence[str]
    gold: Sequence[Span]
    predicted: Sequence[Span]
    probabilities: Mapping[Span, float | None] | None = None
    seen: Collection[Span] | None = None
    place: str = ""

    def probability(self, span: Span | None) -> float | None:
        """Return the probability of an entity; None if nobody knows."""
        if span is None or self.probabilities is None:
            return None
        return self.probabilities.get(span, 0.0)

    def text(self, span: Span) -> str:
        """Return the words of an entity, joined by blanks."""
        return " ".join(self.words[span[0] : span[1]])


class Mistake(NamedTuple):
    """A gold entity and what was found in its place; one of the two may be None.

    Attributes:
        kind: as in `mistakes.KINDS`.
        gold, predicted: the entities.
        truth: the probability of what is right: that the gold entity is there, or that the predicted one is not. The
            smaller it is, the worse the mistake. None if nobody knows.
        seen: whether the gold entity, or else the predicted one, stands in the training data; None if nobody knows.
    """

    kind: str
    gold: Span | None
    predicted: Span | None
    truth: float | None = None
    seen: bool | None = None

    @property
    def types(self) -> list[str]:
        """The types of its entities, the gold one first."""
        return list(dict.fromkeys(span[2] for span in (self.gold, self.predicted) if span is not None))


class Group(NamedTuple):
    """Mistakes of one kind with the same types.

    Attributes:
        kind, gold, predicted: the kind, and the types of the entities.
        examples: the sentences with a mistake of the group, and the mistake, the worst first.
        often: texts that are taken wrongly more than once, and how often.
    """

    kind: str
    gold: str | None
    predicted: str | None
    examples: list[tuple[Judged, Mistake]]
    often: list[tuple[str, int]]


def known_spans(words: Sequence[str], spans: Iterable[Span], seen: Collection[Form] | None) -> set[Span] | None:
    """Return those entities of a sentence whose `forms` are among those of the training data; None if nobody knows."""
    return None if seen is None else {span for span in spans if forms(words, [span])[0] in seen}


def mistakes_of(judged: Judged) -> list[Mistake]:
    """Return what a tagger has got wrong in a sentence, in the order of the words."""
    found = []
    for kind, gold, predicted in compare(judged.gold, judged.predicted):
        if kind == "correct":
            continue
        right, wrong = judged.probability(gold), judged.probability(predicted)
        truth = right if gold is not None else None if wrong is None else 1 - wrong
        seen = None if judged.seen is None else (gold or predicted) in judged.seen
        found.append(Mistake(kind, gold, predicted, truth, seen))
    return sorted(found, key=lambda one: one.gold or one.predicted or ())


def choose(
    sentences: Iterable[Judged],
    kinds: Collection[str] = (),
    types: Collection[str] = (),
    seen: bool | None = None,
) -> list[tuple[Judged, list[Mistake]]]:
    """Return the sentences with mistakes, and these, the worst first; those of which nobody knows how bad come last.

    Args:
        sentences: judged ones.
        kinds, types: of mistakes; none means all. A mistake with two types is of both.
        seen: whether the entity must stand in the training data, or must not.
    """
    chosen = []
    for judged in sentences:
        mistakes = [
            one
            for one in mistakes_of(judged)
            if (not kinds or one.kind in kinds)
            and (not types or not set(types).isdisjoint(one.types))
            and (seen is None or one.seen == seen)
        ]
        if mistakes:
            chosen.append((judged, mistakes))
    return sorted(chosen, key=lambda pair: min(map(_order, pair[1])))


def groups(chosen: Iterable[tuple[Judged, Sequence[Mistake]]]) -> list[Group]:
    """Put mistakes of one kind and the same types together, the most frequent first."""
    found: dict[tuple[str, str | None, str | None], list[tuple[Judged, Mistake]]] = {}
    for judged, mistakes in chosen:
        for one in mistakes:
            gold, predicted = (None if span is None else span[2] for span in (one.gold, one.predicted))
            key = (one.kind, gold, predicted)
            found.setdefault(key, []).append((judged, one))
    ranked = sorted(found.items(), key=lambda item: -len(item[1]))
    return [Group(*key, sorted(pairs, key=lambda pair: _order(pair[1])), _often(pairs)) for key, pairs in ranked]


def _order(mistake: Mistake) -> float:
    return 2.0 if mistake.truth is None else mistake.truth


def _often(pairs: Iterable[tuple[Judged, Mistake]]) -> list[tuple[str, int]]:
    texts = Counter(judged.text(span) for judged, one in pairs if (span := one.gold or one.predicted) is not None)
    return [(text, count) for text, count in texts.most_common() if count > 1]
