"""The tags of sentences: which scheme they are in, whether they obey it, and how they are written in another one.

Some may be known in part only, see `partial.py`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice

from ..schemes import OUTSIDE, SCHEMES, has_type, scheme_of, split_tag
from .conversion import convert, first_violation, is_iob1, join_tag, repair
from .partial import UNKNOWN_TAG, PartialTag, allows, are_known, find_dead_end, is_known, mentioned, project
from .sentences import DataError, Sentence
from .spelling import check_spelling

__all__ = [
    "convert_tags",
    "count_repairs",
    "find_labels",
    "find_scheme",
    "of_annotated_types",
    "tag_places",
    "with_legal_tags",
]

MOST_TAGS = 500
"""No tag set has more tags without a prefix. Where more are found, the column holds something else."""


def tag_places(sentences: Iterable[Sentence]) -> dict[str, str]:
    """Return the tags of sentences, each with the first place at which it stands; also those that a word may have."""
    places: dict[str, str] = {}
    for sentence in sentences:
        for index, cell in enumerate(sentence.tags):
            if cell not in places:
                for tag in mentioned(cell):
                    places.setdefault(tag, sentence.where(index))
    return places


def find_scheme(sentences: Iterable[Sentence]) -> str | None:
    """Name the scheme of the sentences' tags, which may also be `"IOB1"`; None if the tags have no prefixes.

    Raises:
        DataError: if the prefixes are not those of one scheme, only some tags have a prefix, there are too many to be
            tags, or the tags are not spelt as usual (`find_spelling` reads those).
    """
    sentences = list(sentences)
    places = tag_places(sentences)
    if words_like_tags := _swapped(sentences):
        raise DataError(f"{sentences[0].source}: the columns of words and tags seem swapped: {words_like_tags}")
    try:
        scheme = scheme_of(places)
    except ValueError as error:
        odd = next((tag for tag in places if tag != OUTSIDE and not has_type(tag)), next(iter(places)))
        hint = "; words outside of entities have the tag 'O'" if not has_type(odd) else ""
        raise DataError(f"{places[odd]}: {error}{hint}") from None
    if scheme is None and len(places) > MOST_TAGS:
        examples = ", ".join(repr(tag) for tag in islice(places, 3))
        raise DataError(
            f"{sentences[0].source}: the column of tags must hold tags, got {len(places):,} different ones: {examples}"
        )
    check_spelling(places)
    plain = ([tag if is_known(tag) else None for tag in sentence.tags] for sentence in sentences)
    return "IOB1" if scheme == "IOB2" and is_iob1(plain) else scheme


def _swapped(sentences: Sequence[Sentence]) -> str:
    """Say, with examples, that all words look like tags and no tag does; empty if that is not so."""
    words = {word for sentence in sentences for word in sentence.words}
    tags = {tag for sentence in sentences for tag in sentence.tags if is_known(tag)}
    # A sentence may well hold single words that are also a tag without a type, such as I.
    tag_like = any(map(has_type, words)) or {"B", OUTSIDE} <= words
    words_are_tags = tag_like and all(word == OUTSIDE or split_tag(word)[0] for word in words)
    tags_are_words = bool(tags) and not any(split_tag(tag)[0] for tag in tags)
    return f"the words are {', '.join(sorted(words)[:3])}" if words_are_tags and tags_are_words else ""


def find_labels(sentences: Iterable[Sentence], scheme: str | None) -> list[str]:
    """List the tags of a model for the sentences: `O`, then every prefix of the scheme with each type, by name."""
    tags = {tag for sentence in sentences for cell in sentence.tags for tag in mentioned(cell)}
    if scheme is None:
        cells = {cell for sentence in sentences for cell in sentence.tags}
        outside = any(allows(cell, OUTSIDE) for cell in cells if cell != UNKNOWN_TAG)  # also where types are excluded
        return [OUTSIDE] * outside + sorted(tags - {OUTSIDE})
    kinds = sorted({split_tag(tag)[1] for tag in tags - {OUTSIDE}})
    return [OUTSIDE, *(join_tag(prefix, kind) for kind in kinds for prefix in SCHEMES[scheme])]


def with_legal_tags(sentence: Sentence, scheme: str | None, repair_tags: bool = False) -> Sentence:
    """Return a sentence whose gold tags obey the scheme: the one that was given, or one whose tags are repaired.

    Args:
        sentence: as read.
        scheme: its scheme; None and `"IOB1"` allow every sequence of tags.
        repair_tags: whether an illegal sequence is repaired rather than refused: a tag that continues nothing then
            opens an entity.

    Raises:
        DataError: naming the file, the line and the tag, if the tags are illegal and are not to be repaired.
    """
    if scheme is None or scheme == "IOB1":
        return sentence
    for index, cell in enumerate(sentence.tags):
        for tag in mentioned(cell):
            if tag != OUTSIDE and split_tag(tag)[0] not in SCHEMES[scheme]:
                raise DataError(f"{sentence.where(index)}: the tag must be O or one of {scheme}, got {tag!r}")
    tags, known = sentence.tags, are_known(sentence.tags)
    fault = first_violation(tags, scheme) if known else find_dead_end(tags, scheme)
    if fault is None:
        return sentence
    if repair_tags:
        return replace(sentence, tags=repair(tags, scheme) if known else project(tags, scheme, scheme, ruled=False))
    at_end = fault == len(tags)
    before = repr(tags[fault - 1]) if fault else "the sentence's start"
    got = f"{before} at the sentence's end" if at_end else f"{tags[fault]!r} after {before}"
    raise DataError(
        f"{sentence.where(fault - at_end)}: the tags must obey {scheme}, got {got}; "
        "--repair_tags reads a tag that continues nothing as the opening of an entity"
    )


def of_annotated_types(sentence: Sentence, scheme: str | None) -> Sentence:
    """Return a sentence in which `O` says no more than that a word is of none of the types that were looked for.

    Args:
        sentence: whose `annotated` are these types; None if it is to stay as it is.
        scheme: of its tags, which are spelt as usual.

    Raises:
        DataError: if a word has, or may have, a tag of another type.
    """
    if (kinds := sentence.annotated) is None:
        return sentence
    prefixes = SCHEMES["IOB2" if scheme == "IOB1" else scheme] if scheme is not None else [""]
    own = frozenset(join_tag(prefix, kind) if prefix else kind for kind in kinds for prefix in prefixes)
    tags: list[str] = []
    none_of = lru_cache(lambda named: PartialTag(own - named))
    for index, cell in enumerate(sentence.tags):
        for tag in mentioned(cell):
            if tag != OUTSIDE and tag not in own and _kind(tag, scheme) not in kinds:
                raise DataError(
                    f"{sentence.where(index)}: the tag must be of one of the types {', '.join(kinds)}, which are "
                    f"annotated there, got {tag!r}"
                )
        named = frozenset(mentioned(cell))
        tags.append(none_of(named) if OUTSIDE in named else cell)
    return replace(sentence, tags=tags, annotated=None)


def _kind(tag: str, scheme: str | None) -> str:
    return tag if scheme is None else split_tag(tag)[1]


def count_repairs(before: Sequence[Sentence], after: Sequence[Sentence]) -> Counter[str]:
    """Count the changes that `with_legal_tags` made, under names such as `"I-PER -> B-PER"`."""
    return Counter(
        f"{old} -> {new}"
        for one, other in zip(before, after, strict=True)
        for old, new in zip(one.tags, other.tags, strict=True)
        if old != new
    )


def convert_tags(sentence: Sentence, source: str | None, target: str | None) -> Sentence:
    """Write a sentence's tags in another scheme.

    Args:
        sentence: its tags obey the scheme `source`.
        source, target: schemes; None if the tags have no prefixes.

    Raises:
        DataError: if one of the two is None and the other is not.
    """
    if source == target or all(tag in (OUTSIDE, UNKNOWN_TAG) for tag in sentence.tags):
        return sentence
    if source is None or target is None:
        named = ["without prefixes" if scheme is None else scheme for scheme in (source, target)]
        raise DataError(f"{sentence.where(0)}: tags {named[0]} cannot be written {named[1]}, got {sentence.tags[:5]}")
    if are_known(sentence.tags):
        return replace(sentence, tags=convert(sentence.tags, source, target))
    return replace(sentence, tags=project(sentence.tags, source, target))
