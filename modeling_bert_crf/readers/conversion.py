"""Sequences of tags, written otherwise: from entities, in another scheme, or repaired.

`schemes.py` says what the tags of a scheme mean. What stands here is of use for data alone, since a model's own tags
need no change; so it does not travel with a checkpoint.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from ..schemes import NAMELESS, OUTSIDE, SCHEMES, Span, is_allowed, split_tag, tags_to_spans


def join_tag(prefix: str, kind: str) -> str:
    """Write the tag of a prefix and a type: what `split_tag` undoes.

    >>> join_tag("B", "creative-work"), join_tag("B", "_")
    ('B-creative-work', 'B')
    """
    return prefix if kind == NAMELESS else f"{prefix}-{kind}"


def first_violation(tags: Sequence[str], scheme: str) -> int | None:
    """Return the index of the first tag that may not stand where it stands, None if there is none.

    An entity that the last tag leaves open is reported at `len(tags)`.

    >>> first_violation(["O", "I-PER", "O"], "IOB2"), first_violation(["B-PER"], "BIOES")
    (1, 1)
    """
    bordered = [None, *tags, None]
    for index in range(len(tags) + 1):
        if not is_allowed(bordered[index], bordered[index + 1], scheme):
            return index
    return None


def spans_to_tags(spans: Iterable[Span], length: int, scheme: str | None) -> list[str]:
    """Write a sentence's tags from its entities; without a scheme the tag is the type.

    In IO, and without a scheme, neighbours of one type come out as one entity.

    Raises:
        ValueError: if an entity is empty, outside the sentence, or overlaps another.

    >>> spans_to_tags([(0, 2, "PER"), (3, 4, "LOC")], 4, "BIOES")
    ['B-PER', 'E-PER', 'O', 'S-LOC']
    """
    rules = None if scheme is None else SCHEMES[scheme]
    tags = [OUTSIDE] * length
    for start, end, kind in spans:
        if not 0 <= start < end <= length or any(tag != OUTSIDE for tag in tags[start:end]):
            raise ValueError(f"span ({start}, {end}, {kind!r}) must be free and inside a sentence of {length} words")
        if rules is None:
            tags[start:end] = [kind] * (end - start)
            continue
        for index in range(start, end):
            first, last = index == start, index == end - 1
            # The first prefix that fits is taken. In IOB2 it is the B or the I, since both may also close an entity.
            prefix = next(
                name
                for name, rule in rules.items()
                if (rule.opens if first else rule.extends) and (rule.closes if last else rule.continues)
            )
            tags[index] = join_tag(prefix, kind)
    return tags


def is_iob1(sentences: Iterable[Sequence[str | None]]) -> bool:
    """Say whether tags with the prefixes B- and I- are IOB1: `B-` only between two neighbours of one type.

    A tag that is None is unknown, and says nothing of the one after it.

    >>> is_iob1([["I-X", "B-X", "O"]]), is_iob1([["B-X", "I-X"]]), is_iob1([["O"], ["I-X", "O", "B-X"]])
    (True, False, False)
    """
    broken = False
    for tags in sentences:
        for before, tag in pairwise([OUTSIDE, *tags]):
            if before is None or tag is None:
                continue
            prefix, kind = split_tag(tag)
            neighbour = split_tag(before)[1] == kind
            if prefix == "B" and not neighbour:
                return False
            broken = broken or (prefix == "I" and not neighbour)
    return broken


def convert(tags: Sequence[str], source: str, target: str) -> list[str]:
    """Write a sentence's tags in another scheme; `"IOB1"` is understood on both sides.

    The entities stay as they are, except in `"IO"`, which joins neighbours of one type.

    Raises:
        ValueError: if the tags are illegal in their own scheme.

    >>> convert(["I-X", "B-X", "I-X", "O"], "IOB1", "BIOES")
    ['S-X', 'B-X', 'E-X', 'O']
    >>> convert(["U-X", "B-X", "L-X", "O", "U-X"], "BILOU", "IOB1")
    ['I-X', 'B-X', 'I-X', 'O', 'I-X']
    """
    if source == "IOB1":
        # In IOB1 an I- that continues nothing opens an entity; so it does in broken IOB2 as conlleval reads it.
        spans = tags_to_spans(tags, "IOB2")
    else:
        fault = first_violation(tags, source)
        if fault is not None:
            raise ValueError(f"tags must obey {source}, got a fault at position {fault} of {list(tags)}")
        spans = tags_to_spans(tags, source)
    written = spans_to_tags(spans, len(tags), "IOB2" if target == "IOB1" else target)
    if target == "IOB1":
        kinds = [split_tag(tag)[1] for tag in ["", *written]]
        return [
            join_tag("I", kinds[i + 1]) if tag != OUTSIDE and kinds[i] != kinds[i + 1] else tag
            for i, tag in enumerate(written)
        ]
    return written


def repair(tags: Sequence[str], scheme: str) -> list[str]:
    """Rewrite an illegal sequence as the entities that it reads as; a legal one comes back unchanged.

    In IOB2 this turns an `I-` that continues nothing into a `B-`, which also converts IOB1 to IOB2.

    >>> repair(["I-PER", "I-PER", "I-LOC"], "IOB2")
    ['B-PER', 'I-PER', 'B-LOC']
    """
    if first_violation(tags, scheme) is None:
        return list(tags)
    return spans_to_tags(tags_to_spans(tags, scheme), len(tags), scheme)


__all__ = ["convert", "first_violation", "is_iob1", "join_tag", "repair", "spans_to_tags"]
