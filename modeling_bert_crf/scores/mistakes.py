"""The kinds of mistakes that a tagger makes. Every gold and every predicted entity is counted once.

    correct             same words, same type
    type                same words, another type
    boundary            some words in common, same type
    boundary and type   some words in common, another type
    missed              a gold entity that is none of these
    spurious            a predicted entity that is none of these

Gold and predicted entities are paired in this order of kinds. Within a kind the pair with more words in common comes
first, then the one further left. An entity is paired once only. So if two halves are predicted for one gold entity,
one half is paired with it and the other half is spurious.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import product
from typing import Any, NamedTuple

from ..readers.conversion import first_violation
from ..schemes import Span, tags_to_spans

__all__ = [
    "KINDS",
    "PAIRED",
    "Form",
    "Outcome",
    "compare",
    "error_profile",
    "forms",
    "split_by_form",
    "strict_spans",
]

PAIRED = ("correct", "type", "boundary", "boundary_and_type")
KINDS = (*PAIRED, "missed", "spurious")

Form = tuple[tuple[str, ...], str]
"""The words of an entity as they are written, and its type."""


class Outcome(NamedTuple):
    """One entity, or a pair of them: `gold` is None where it is spurious, `predicted` where it was missed."""

    kind: str
    gold: Span | None
    predicted: Span | None


def strict_spans(tags: Sequence[str], scheme: str) -> list[Span]:
    """Return the entities of a sentence's tags. An illegal sequence is no entity, as in seqeval's strict mode.

    >>> strict_spans(["B-PER", "I-PER", "O", "I-LOC"], "IOB2")
    [(0, 2, 'PER')]
    """
    return [span for span in tags_to_spans(tags, scheme) if first_violation(tags[span[0] : span[1]], scheme) is None]


def compare(gold: Collection[Span], predicted: Collection[Span]) -> list[Outcome]:
    """Pair the gold and the predicted entities of a sentence, as the head of this file says.

    >>> compare([(0, 2, "PER"), (4, 5, "LOC")], [(0, 1, "PER")])  # doctest: +NORMALIZE_WHITESPACE
    [Outcome(kind='boundary', gold=(0, 2, 'PER'), predicted=(0, 1, 'PER')),
     Outcome(kind='missed', gold=(4, 5, 'LOC'), predicted=None)]
    """
    pairs = [(_kind(one, other), one, other) for one, other in product(gold, predicted) if _shared(one, other)]
    pairs.sort(key=lambda pair: (PAIRED.index(pair[0]), -_shared(*pair[1:]), *pair[1:]))
    free_gold, free_predicted = set(gold), set(predicted)
    outcomes = []
    for kind, one, other in pairs:
        if one in free_gold and other in free_predicted:
            free_gold.remove(one)
            free_predicted.remove(other)
            outcomes.append(Outcome(kind, one, other))
    outcomes += [Outcome("missed", span, None) for span in sorted(free_gold)]
    return outcomes + [Outcome("spurious", None, span) for span in sorted(free_predicted)]


def _shared(one: Span, other: Span) -> int:
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))


def _kind(gold: Span, predicted: Span) -> str:
    if gold[2] == predicted[2]:
        return "correct" if gold == predicted else "boundary"
    return "type" if gold[:2] == predicted[:2] else "boundary_and_type"


def error_profile(sentences: Iterable[Sequence[Outcome]]) -> dict[str, Any]:
    """Count the outcomes of all sentences.

    Returns:
        The number of outcomes of each kind, of `gold` and of `predicted` entities; `types`, the same numbers for each
        type, where a pair counts under the type of its gold entity; and `confusions`, a list of
        `[gold type, predicted type, number]`, the most frequent first.
    """
    total: Counter[str] = Counter()
    types: dict[str, Counter[str]] = {}
    confusions: Counter[tuple[str, str]] = Counter()
    for kind, gold, predicted in (outcome for outcomes in sentences for outcome in outcomes):
        counts = Counter({kind: 1, "gold": int(gold is not None), "predicted": int(predicted is not None)})
        total += counts
        named = [span[2] for span in (gold, predicted) if span is not None]  # the types, the gold one first
        types[named[0]] = types.get(named[0], Counter()) + counts
        if named[0] != named[-1]:
            confusions[named[0], named[-1]] += 1
    ranked = sorted(confusions.items(), key=lambda item: (-item[1], item[0]))
    return {
        **_row(total),
        "types": {name: _row(types[name]) for name in sorted(types)},
        "confusions": [[*pair, count] for pair, count in ranked],
    }


def _row(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in ("gold", "predicted", *KINDS)}


def forms(words: Sequence[str], spans: Iterable[Span]) -> list[Form]:
    """Return the entities of a sentence as they are written.

    >>> forms(["Ada", "met", "Ada"], [(0, 1, "PER"), (2, 3, "PER")])
    [(('Ada',), 'PER'), (('Ada',), 'PER')]
    """
    return [(tuple(words[start:end]), kind) for start, end, kind in spans]


def split_by_form(
    words: Sequence[Sequence[str]], sentences: Sequence[Sequence[Outcome]], seen: Collection[Form]
) -> dict[str, dict[str, int]]:
    """Count the entities that stand in the training data, with the same words and type, and those that do not.

    Args:
        words: of each sentence.
        sentences: their outcomes.
        seen: the `forms` of the training data.

    Returns:
        `seen` and `unseen`, each with the numbers of `gold`, `predicted` and `correct` entities.
    """
    counts = {True: Counter(), False: Counter()}
    for sentence, outcomes in zip(words, sentences, strict=True):
        for outcome in outcomes:
            for side in ("gold", "predicted"):
                if (span := getattr(outcome, side)) is not None:
                    known = forms(sentence, [span])[0] in seen
                    counts[known][side] += 1
                    counts[known]["correct"] += side == "gold" and outcome.kind == "correct"
    names = ("gold", "predicted", "correct")
    return {key: {name: counts[known][name] for name in names} for key, known in (("seen", True), ("unseen", False))}
