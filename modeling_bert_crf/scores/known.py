"""What can be scored where gold tags are known in part only (see `readers/partial.py`): nothing counts that is open.

A gold entity counts if it is there whatever the open tags are. A predicted one counts as right if it is such a gold
entity, and as wrong if it cannot be there; of any other nobody knows, and it does not count.
"""

from collections.abc import Sequence

from ..readers.partial import are_known, is_known, is_possible, known_spans, known_tags
from ..schemes import OUTSIDE, Span, tags_to_spans

__all__ = ["known_part", "known_words", "verdicts"]

Pair = tuple[list[str], list[str]]
"""Gold and predicted tags of a sentence."""


def known_words(gold: Sequence[str], predicted: Sequence[str]) -> Pair:
    """Return the gold and the predicted tags of those words whose gold tag is known."""
    pairs = [pair for pair in zip(gold, predicted, strict=True) if is_known(pair[0])]
    return [one for one, _ in pairs], [other for _, other in pairs]


def known_part(gold: Sequence[str], predicted: Sequence[str], scheme: str | None) -> Pair:
    """Return gold and predicted tags with O in place of all entities that do not count.

    >>> from modeling_bert_crf.readers.partial import UNKNOWN_TAG
    >>> known_part(["B-X", "O", UNKNOWN_TAG, "O"], ["B-X", "O", "B-Y", "B-X"], "IOB2")
    (['B-X', 'O', 'O', 'O'], ['B-X', 'O', 'O', 'B-X'])
    """
    if are_known(gold):
        return list(gold), list(predicted)
    spans, tags = tags_to_spans(predicted, scheme), list(predicted)
    for (start, end, _), verdict in zip(spans, verdicts(spans, gold, scheme), strict=True):
        if verdict is None:
            tags[start:end] = [OUTSIDE] * (end - start)
    return known_tags(gold, scheme), tags


def verdicts(spans: Sequence[Span], gold: Sequence[str], scheme: str | None) -> list[bool | None]:
    """Say of each entity that is found whether it is right; None where nobody knows.

    Args:
        spans: those found.
        gold: tags of the sentence, in part where they are known in part.
        scheme: by which both are read.
    """
    right = set(known_spans(gold, scheme))
    if are_known(gold):
        return [span in right for span in spans]
    return [True if span in right else None if is_possible(span, gold, scheme) else False for span in spans]
