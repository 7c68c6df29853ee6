"""Tag schemes: which tag may follow which, and how tags and entity spans translate into each other.

A tag is `O` (outside) or a prefix, a hyphen and an entity type: `B-person`. A scheme says what its prefixes mean.
Three questions are enough to state every rule, so a scheme is a table of three answers for each of its prefixes:

    opens      may this tag be the first of an entity?
    continues  may the entity go on after it?
    closes     may the entity be over after it?

IOB1 is no row of the table: whether its `I-` opens or continues depends on the tag before. Data in it are read and
converted (`find_scheme`, `convert`); no model speaks it, since its labels are those of IOB2.

Ships with every checkpoint: standard library only.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

OUTSIDE = "O"


class Prefix(NamedTuple):
    """What a tag's prefix says about the entity around it."""

    opens: bool
    continues: bool
    closes: bool


SCHEMES: dict[str, dict[str, Prefix]] = {
    "IOB2": {"B": Prefix(True, True, True), "I": Prefix(False, True, True)},
    "BIOES": {
        "B": Prefix(True, True, False),
        "I": Prefix(False, True, False),
        "E": Prefix(False, False, True),
        "S": Prefix(True, False, True),
    },
    "BILOU": {
        "B": Prefix(True, True, False),
        "I": Prefix(False, True, False),
        "L": Prefix(False, False, True),
        "U": Prefix(True, False, True),
    },
    "BMES": {
        "B": Prefix(True, True, False),
        "M": Prefix(False, True, False),
        "E": Prefix(False, False, True),
        "S": Prefix(True, False, True),
    },
}
_PREFIXES = {prefix for scheme in SCHEMES.values() for prefix in scheme}

Span = tuple[int, int, str]
"""An entity: first word, word after the last, type."""


def split_tag(tag: str) -> tuple[str, str]:
    """Split a tag into prefix and type; a tag without a known prefix is its own type, `O` has neither.

    >>> split_tag("B-creative-work"), split_tag("NOUN"), split_tag("O")
    (('B', 'creative-work'), ('', 'NOUN'), ('', ''))
    """
    if tag == OUTSIDE:
        return "", ""
    prefix, hyphen, kind = tag.partition("-")
    return (prefix, kind) if hyphen and kind and prefix in _PREFIXES else ("", tag)


def detect_scheme(labels: Iterable[str]) -> str | None:
    """Name the scheme that a list of labels is written in; None if its labels have no prefixes.

    A list cannot tell IOB1 from IOB2 (they have the same labels): O, B and I mean IOB2.

    Raises:
        ValueError: if only some labels have a prefix, if the prefixes belong to no one scheme, or if a type can be
            inside an entity but never open one.

    >>> detect_scheme(["O", "B-PER", "I-PER"]), detect_scheme(["O", "S-PER"]), detect_scheme(["NOUN", "VERB"])
    ('IOB2', 'BIOES', None)
    """
    labels = [label for label in labels if label != OUTSIDE]
    bare = [label for label in labels if not split_tag(label)[0]]
    if len(bare) == len(labels):
        return None
    if bare:
        raise ValueError(
            f"labels must all have a scheme prefix such as 'B-', or none of them, got {bare[0]!r} without"
        )
    prefixes = {split_tag(label)[0] for label in labels}
    for name, rules in SCHEMES.items():
        if prefixes <= rules.keys():
            _check_types_can_open(labels, name)
            return name
    raise ValueError(f"labels must use the prefixes of one scheme of {', '.join(SCHEMES)}, got {sorted(prefixes)}")


def scheme_of(tags: Iterable[str]) -> str | None:
    """Name the scheme of tags seen in data, which may lack some labels and break the rules: by the prefixes alone.

    >>> scheme_of(["O", "I-PER"]), scheme_of(["O", "L-PER"])
    ('IOB2', 'BILOU')
    """
    tags = set(tags)
    # Every scheme has a B-: given one for each type, only prefixes that do not go together are left to fail.
    return detect_scheme({*tags, *(f"B-{split_tag(tag)[1]}" for tag in tags if split_tag(tag)[0])})


def resolve_scheme(tag_scheme: str | None, labels: Sequence[str]) -> str | None:
    """Turn a configuration's `tag_scheme` into the name of a scheme, or None where nothing is forbidden.

    Raises:
        ValueError: if the scheme is unknown, or the labels do not fit it.
    """
    if tag_scheme is None:
        return None
    if tag_scheme == "auto":
        return detect_scheme(labels)
    if tag_scheme not in SCHEMES:
        known = ", ".join(repr(name) for name in SCHEMES)
        raise ValueError(f"`tag_scheme` must be {known}, 'auto' or None, got {tag_scheme!r}")
    for label in labels:
        if label != OUTSIDE and split_tag(label)[0] not in SCHEMES[tag_scheme]:
            raise ValueError(f"`tag_scheme` {tag_scheme!r} has no tag {label!r}; use tag_scheme=None for free labels")
    _check_types_can_open(labels, tag_scheme)
    return tag_scheme


def _check_types_can_open(labels: Sequence[str], scheme: str) -> None:
    tags = [split_tag(label) for label in labels if label != OUTSIDE]
    opening = {kind for prefix, kind in tags if SCHEMES[scheme][prefix].opens}
    for prefix, kind in tags:
        if kind not in opening:
            raise ValueError(
                f"label '{prefix}-{kind}' can never be reached: no label opens a {kind!r} entity in {scheme}"
            )


def is_allowed(previous: str | None, tag: str | None, scheme: str) -> bool:
    """Say whether `tag` may follow `previous`; None stands for the sentence's border on either side."""
    before = _rule(previous, scheme)
    after = _rule(tag, scheme)
    if after.opens:
        return before.closes
    return before.continues and split_tag(previous)[1] == split_tag(tag)[1]


_BORDER = Prefix(opens=True, continues=False, closes=True)
"""`O` and the sentence's borders: no entity is open before or after them."""


def _rule(tag: str | None, scheme: str) -> Prefix:
    return _BORDER if tag is None or tag == OUTSIDE else SCHEMES[scheme][split_tag(tag)[0]]


def constraints(labels: Sequence[str], scheme: str | None) -> tuple[list[bool], list[bool], list[list[bool]]]:
    """Tabulate a scheme's rules: which labels may start a sentence, end it, and follow one another ([from][to]).

    >>> constraints(["O", "B-X", "I-X"], "IOB2")
    ([True, True, False], [True, True, True], [[True, True, False], [True, True, True], [True, True, True]])
    """
    if scheme is None:
        free = [True] * len(labels)
        return free, list(free), [list(free) for _ in labels]
    starts = [is_allowed(None, label, scheme) for label in labels]
    ends = [is_allowed(label, None, scheme) for label in labels]
    return starts, ends, [[is_allowed(label, following, scheme) for following in labels] for label in labels]


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


def continues(previous: str, tag: str, scheme: str | None) -> bool:
    """Say whether the entity of one word goes on in the next, by `tags_to_spans`' reading of their tags.

    >>> continues("B-PER", "I-PER", "IOB2"), continues("I-PER", "B-PER", "IOB2"), continues("NOUN", "NOUN", None)
    (True, False, True)
    """
    if scheme is None:
        return previous == tag != OUTSIDE
    before, after = _rule(previous, scheme), _rule(tag, scheme)
    return before.continues and not after.opens and split_tag(previous)[1] == split_tag(tag)[1]


def tags_to_spans(tags: Sequence[str], scheme: str | None) -> list[Span]:
    """Read the entities off a sentence's tags.

    Illegal sequences are read as conlleval reads them: a tag that continues nothing opens an entity. Without a scheme
    neighbouring words with the same label are one entity.

    >>> tags_to_spans(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"], "IOB2")
    [(0, 2, 'PER'), (3, 4, 'LOC'), (4, 5, 'LOC')]
    """
    spans: list[Span] = []
    start = 0  # of the open entity
    for index, (previous, tag) in enumerate(pairwise([OUTSIDE, *tags, OUTSIDE])):
        if not continues(previous, tag, scheme):
            if previous != OUTSIDE:
                spans.append((start, index, previous if scheme is None else split_tag(previous)[1]))
            start = index
    return spans


def spans_to_tags(spans: Iterable[Span], length: int, scheme: str) -> list[str]:
    """Write a sentence's tags from its entities.

    Raises:
        ValueError: if an entity is empty, outside the sentence, or overlaps another.

    >>> spans_to_tags([(0, 2, "PER"), (3, 4, "LOC")], 4, "BIOES")
    ['B-PER', 'E-PER', 'O', 'S-LOC']
    """
    rules = SCHEMES[scheme]
    tags = [OUTSIDE] * length
    for start, end, kind in spans:
        if not 0 <= start < end <= length or any(tag != OUTSIDE for tag in tags[start:end]):
            raise ValueError(f"span ({start}, {end}, {kind!r}) must be free and inside a sentence of {length} words")
        for index in range(start, end):
            first, last = index == start, index == end - 1
            # In the table's order: IOB2's B and I may close, so the last tag needs no prefix of its own.
            prefix = next(
                name
                for name, rule in rules.items()
                if rule.opens == first and (rule.closes if last else rule.continues)
            )
            tags[index] = f"{prefix}-{kind}"
    return tags


def is_iob1(sentences: Iterable[Sequence[str]]) -> bool:
    """Say whether tags with the prefixes B- and I- are IOB1: `B-` only between two neighbours of one type.

    >>> is_iob1([["I-X", "B-X", "O"]]), is_iob1([["B-X", "I-X"]]), is_iob1([["O"], ["I-X", "O", "B-X"]])
    (True, False, False)
    """
    broken = False
    for tags in sentences:
        for before, tag in pairwise([OUTSIDE, *tags]):
            prefix, kind = split_tag(tag)
            neighbour = split_tag(before)[1] == kind
            if prefix == "B" and not neighbour:
                return False
            broken = broken or (prefix == "I" and not neighbour)
    return broken


def convert(tags: Sequence[str], source: str, target: str) -> list[str]:
    """Write a sentence's tags in another scheme; `"IOB1"` is understood on both sides.

    Raises:
        ValueError: if the tags are illegal in their own scheme.

    >>> convert(["I-X", "B-X", "I-X", "O"], "IOB1", "BIOES")
    ['S-X', 'B-X', 'E-X', 'O']
    >>> convert(["U-X", "B-X", "L-X", "O", "U-X"], "BILOU", "IOB1")
    ['I-X', 'B-X', 'I-X', 'O', 'I-X']
    """
    if source == "IOB1":
        # Read as conlleval reads broken IOB2, an I- that continues nothing opens an entity: IOB1's own rule.
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
            f"I-{kinds[i + 1]}" if tag != OUTSIDE and kinds[i] != kinds[i + 1] else tag
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
