"""Tag schemes: which tag may follow which, and which entities a sequence of tags means.

A tag is `O` (outside) or a prefix, a hyphen and an entity type: `B-person`. Where there is one type and it has no
name, the tag is the prefix alone, `B`, and the type is called `_`, as seqeval calls it. A scheme says what its
prefixes mean. Four questions are enough to state every rule, so a scheme is a table of four answers for each prefix:

    opens      may this tag be the first of an entity?
    extends    may this tag be a later one?
    continues  may the entity go on after it?
    closes     may the entity be over after it?

In IO, `I-` answers yes four times: it forbids nothing, and neighbours of one type are one entity. IOB1 is no row of
the table, since its labels are those of IOB2: its `I-` opens or continues like IO's, but a `B-` between neighbours of
one type parts them. So no model speaks it; data that are written in it are converted when they are read.

Ships with every checkpoint: standard library only.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

OUTSIDE = "O"
NAMELESS = "_"
"""The type of entities whose tags are a prefix alone."""


class Prefix(NamedTuple):
    """What a tag's prefix says about the entity around it: the answers to the four questions above."""

    opens: bool
    extends: bool
    continues: bool
    closes: bool


def _four_classes(first: str, middle: str, last: str, single: str) -> dict[str, Prefix]:
    """Tabulate a scheme that tells an entity's first and last word from those between, and from a single one."""
    return {
        first: Prefix(opens=True, extends=False, continues=True, closes=False),
        middle: Prefix(opens=False, extends=True, continues=True, closes=False),
        last: Prefix(opens=False, extends=True, continues=False, closes=True),
        single: Prefix(opens=True, extends=False, continues=False, closes=True),
    }


SCHEMES: dict[str, dict[str, Prefix]] = {
    "IO": {"I": Prefix(opens=True, extends=True, continues=True, closes=True)},
    "IOB2": {
        "B": Prefix(opens=True, extends=False, continues=True, closes=True),
        "I": Prefix(opens=False, extends=True, continues=True, closes=True),
    },
    "BIOES": _four_classes("B", "I", "E", "S"),
    "BILOU": _four_classes("B", "I", "L", "U"),
    "BMES": _four_classes("B", "M", "E", "S"),
}
_PREFIXES = {prefix for scheme in SCHEMES.values() for prefix in scheme}

Span = tuple[int, int, str]
"""An entity: first word, word after the last, type."""


def split_tag(tag: str) -> tuple[str, str]:
    """Split a tag into prefix and type; a tag without a known prefix is its own type, `O` has neither.

    This is for tags of which a scheme is known. Whether `B` by itself is a prefix at all, or a label like any other,
    depends on the other tags (see `detect_scheme`).

    >>> split_tag("B-creative-work"), split_tag("B"), split_tag("NOUN"), split_tag("O")
    (('B', 'creative-work'), ('B', '_'), ('', 'NOUN'), ('', ''))
    """
    if tag == OUTSIDE:
        return "", ""
    if tag in _PREFIXES:
        return tag, NAMELESS
    prefix, hyphen, kind = tag.partition("-")
    return (prefix, kind) if hyphen and kind and prefix in _PREFIXES else ("", tag)


def entity_types(labels: Iterable[str], scheme: str | None) -> list[str]:
    """List the types of entities that labels can write, in their order. Without a scheme each label but `O` is one.

    >>> entity_types(["O", "B-PER", "I-PER", "B-LOC"], "IOB2"), entity_types(["O", "NOUN", "B"], None)
    (['PER', 'LOC'], ['NOUN', 'B'])
    """
    inside = (label for label in labels if label != OUTSIDE)
    return list(dict.fromkeys(inside if scheme is None else (split_tag(label)[1] for label in inside)))


def detect_scheme(labels: Iterable[str]) -> str | None:
    """Name the scheme that a list of labels is written in; None if its labels have no prefixes.

    IOB1 and IOB2 have the same labels, so that a list cannot tell them apart: O, B and I mean IOB2. Prefixes without
    types are a scheme only if the list holds nothing else but `O`: where there is also NOUN, a `B` is a label like it.

    Raises:
        ValueError: if only some labels have a prefix, if the prefixes belong to no one scheme, or if a type can be
            inside an entity but never open one.

    >>> detect_scheme(["O", "B-PER", "I-PER"]), detect_scheme(["O", "S-PER"]), detect_scheme(["NOUN", "VERB"])
    ('IOB2', 'BIOES', None)
    >>> detect_scheme(["O", "B", "I"]), detect_scheme(["O", "I-PER"]), detect_scheme(["NOUN", "B", "I"])
    ('IOB2', 'IO', None)
    """
    labels = list(labels)
    inside = [label for label in labels if label != OUTSIDE]
    typed = [label for label in inside if has_type(label)]
    if not typed:
        return _scheme_of_prefixes(set(inside), OUTSIDE in labels)
    if untyped := [label for label in inside if not has_type(label)]:
        raise ValueError(
            f"labels must all have a scheme prefix such as 'B-', or none of them, got {untyped[0]!r} without"
        )
    prefixes = {split_tag(label)[0] for label in typed}
    for name, rules in SCHEMES.items():
        if prefixes <= rules.keys():
            _check_types_can_open(typed, name)
            return name
    raise ValueError(f"labels must use the prefixes of one scheme of {', '.join(SCHEMES)}, got {sorted(prefixes)}")


def has_type(tag: str) -> bool:
    """Say whether a tag has a prefix and a type."""
    return tag not in _PREFIXES and split_tag(tag)[0] != ""


def _scheme_of_prefixes(tags: set[str], outside: bool) -> str | None:
    """Name the scheme of tags without types, None if they are something else.

    Args:
        tags: all but `O`.
        outside: whether there is an `O`. Without a `B` it alone says that `I`, `S` or `U` is a prefix, and no letter
            that somebody uses as a label.
    """
    if "B" in tags or (outside and tags in ({"I"}, {"S"}, {"U"})):
        return next((name for name, rules in SCHEMES.items() if tags <= rules.keys()), None)
    return None


def scheme_of(tags: Iterable[str]) -> str | None:
    """Name the scheme of tags that stand in data, by their prefixes; some tags may be missing, and others misplaced.

    >>> scheme_of(["O", "B-LOC", "I-PER"]), scheme_of(["O", "I-PER"]), scheme_of(["O", "L-PER"])
    ('IOB2', 'IO', 'BILOU')
    """
    tags = set(tags)
    pairs = {split_tag(tag) for tag in tags if has_type(tag)}
    if {prefix for prefix, _ in pairs} == {"I"}:
        return detect_scheme(tags)
    # In every other scheme a B- opens each type. One is added, since it may just be missing in these data: then only
    # prefixes that do not go together make `detect_scheme` fail.
    return detect_scheme({*tags, *(f"B-{kind}" for _, kind in pairs)})


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


def span_scheme(tag_scheme: str | None, labels: Sequence[str]) -> str | None:
    """Name the scheme by which a configuration's paths are read as entities; None if each label is a type of its own.

    Paths are read by the scheme that they obey. With `tag_scheme=None` they obey none; then they are read by the
    scheme of the labels' prefixes, if there is one: `B-PER` and `I-PER` mean one type even there.

    >>> span_scheme(None, ["O", "B-PER", "I-PER"]), span_scheme(None, ["O", "B-PER", "LOC"])
    ('IOB2', None)
    """
    if tag_scheme is not None:
        return resolve_scheme(tag_scheme, labels)
    try:
        return scheme_of(labels)
    except ValueError:
        return None


def _check_types_can_open(labels: Sequence[str], scheme: str) -> None:
    """Refuse labels of a type that no label can open: no path could ever reach them."""
    inside = [label for label in labels if label != OUTSIDE]
    opening = {kind for prefix, kind in map(split_tag, inside) if SCHEMES[scheme][prefix].opens}
    for label in inside:
        kind = split_tag(label)[1]
        if kind not in opening:
            raise ValueError(f"label {label!r} can never be reached: no label opens a {kind!r} entity in {scheme}")


def is_allowed(previous: str | None, tag: str | None, scheme: str) -> bool:
    """Say whether `tag` may follow `previous`; None stands for the sentence's border on either side."""
    # A border is as good as an `O`: no entity goes on over either of them.
    before, after = (OUTSIDE if one is None else one for one in (previous, tag))
    return (_rule(before, scheme).closes and _rule(after, scheme).opens) or continues(before, after, scheme)


_NO_ENTITY = Prefix(opens=True, extends=False, continues=False, closes=True)


def _rule(tag: str, scheme: str) -> Prefix:
    """Return what a tag says about the entity around it; at an `O` none is open."""
    return _NO_ENTITY if tag == OUTSIDE else SCHEMES[scheme][split_tag(tag)[0]]


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


def continues(previous: str, tag: str, scheme: str | None) -> bool:
    """Say whether the entity of one word goes on in the next, by `tags_to_spans`' reading of their tags.

    >>> continues("B-PER", "I-PER", "IOB2"), continues("I-PER", "B-PER", "IOB2"), continues("NOUN", "NOUN", None)
    (True, False, True)
    """
    if scheme is None:
        return previous == tag != OUTSIDE
    before, after = _rule(previous, scheme), _rule(tag, scheme)
    return before.continues and after.extends and split_tag(previous)[1] == split_tag(tag)[1]


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


__all__ = [
    "NAMELESS",
    "OUTSIDE",
    "SCHEMES",
    "Prefix",
    "Span",
    "constraints",
    "continues",
    "detect_scheme",
    "entity_types",
    "has_type",
    "is_allowed",
    "resolve_scheme",
    "scheme_of",
    "span_scheme",
    "split_tag",
    "tags_to_spans",
]
