"""All that is measured of predicted tags beside their F1."""

from collections.abc import Collection, Sequence
from typing import Any

from .intervals import bootstrap_f1
from .known import known_part, known_words
from .mistakes import Form, Outcome, compare, error_profile, split_by_form, strict_spans
from .overlaps import overlap_scores

__all__ = ["counts_of", "measures"]

Tags = Sequence[Sequence[str]]
"""The tags of sentences."""


def measures(
    words: Sequence[Sequence[str]],
    gold: Tags,
    predicted: Tags,
    scheme: str | None,
    seen: Collection[Form] | None = None,
) -> dict[str, Any]:
    """Measure predicted tags.

    Args:
        words, gold, predicted: words, gold tags and predicted tags of the same sentences. What gold tags leave open
            does not count (see `known.py`).
        scheme: of all tags; None if they have no prefixes.
        seen: the `forms` of the training data, if they are known.

    Returns:
        `interval` of the F1, or without a scheme of the share of words with the right tag. With a scheme also
        `errors`, as `error_profile` returns them; `overlap`, as `overlap_scores` does; and `forms`, as `split_by_form`
        does, if `seen` is given.
    """
    if scheme is None:
        pairs = map(known_words, gold, predicted)
        right = [(sum(map(str.__eq__, one, other)), len(other)) for one, other in pairs]
        return {"interval": bootstrap_f1([(count, size, size) for count, size in right])}
    known = [known_part(*pair, scheme) for pair in zip(gold, predicted, strict=True)]
    spans = [[strict_spans(pair[side], scheme) for pair in known] for side in (0, 1)]
    outcomes = list(map(compare, *spans))
    scores: dict[str, Any] = {
        "interval": bootstrap_f1(counts_of(outcomes)),
        "errors": error_profile(outcomes),
        "overlap": overlap_scores(*spans),
    }
    if seen is not None:
        scores["forms"] = split_by_form(words, outcomes, seen)
    return scores


def counts_of(sentences: Sequence[Sequence[Outcome]]) -> list[tuple[int, int, int]]:
    """Return of each sentence, given its outcomes, how many entities are correct, predicted and gold."""
    profiles = (error_profile([outcomes]) for outcomes in sentences)
    return [(one["correct"], one["predicted"], one["gold"]) for one in profiles]
