"""Types of entities: those that are missing in training, that are rare, or that seem to be spelt in two ways."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from .findings import ERROR, NOTE, WARNING, Finding, few, in_context
from .parts import TRAIN, Part, plural, train_of

__all__ = ["check_types"]

RARE = 10
"""A type with fewer entities than that in training is hardly learnt."""


def check_types(parts: Sequence[Part]) -> Iterator[Finding]:
    """Find types that are missing, rare or spelt in two ways, parts without entities, and schemes that differ."""
    yield from _without_entities(parts)
    yield from _schemes(parts)
    yield from _similar(parts)
    train = train_of(parts)
    if train is None or not train.types:
        return
    for part in parts:
        if part is not train:
            yield from _missing(part, train)
    others = [part for part in parts if part is not train and part.types]
    for kind, count in sorted(train.types.items()):
        if count < RARE:
            text = f"type {kind} is rare: {plural(count, 'entity', 'entities')}"
            yield Finding(WARNING, "rare_type", TRAIN, text, "it needs more of them", count, _of_kind(train, kind))
        if others and not any(kind in part.types for part in others):
            names = " or ".join(part.name for part in others)
            yield Finding(NOTE, "type_only_in_train", TRAIN, f"type {kind} is not in {names}: its F1 is not measured")


def _without_entities(parts: Sequence[Part]) -> Iterator[Finding]:
    for part in parts:
        if part.sentences and part.has_spans and not part.types and not any(part.is_open):
            text = f"no entity in {plural(len(part.sentences), 'sentence')}"
            cure = "if the tags stand in another column, --label_column_name names it"
            yield Finding(ERROR, "no_entities", part.name, text, cure, examples=[in_context(part.sentences[0])])


def _schemes(parts: Sequence[Part]) -> Iterator[Finding]:
    """Say where parts are in different schemes: training writes them in one, if both have prefixes or none."""
    schemes = {part.name: part.scheme for part in parts if part.sentences and part.types}
    if len(set(schemes.values())) > 1:
        named = ", ".join(f"{name} in {scheme or 'no scheme'}" for name, scheme in schemes.items())
        if None in schemes.values():
            text = f"some tags have prefixes such as B-, and others have none: {named}"
            yield Finding(ERROR, "schemes_differ", "", text, "write all of them in one scheme")
        else:
            yield Finding(
                NOTE, "schemes_differ", "", f"the tags are in several schemes: {named}; training converts them"
            )


def _similar(parts: Sequence[Part]) -> Iterator[Finding]:
    """Find types that differ in capitals and signs only."""
    spellings = defaultdict[str, dict[str, Part]](dict)
    for part in parts:
        for kind in part.types:
            spellings["".join(filter(str.isalnum, kind)).casefold()].setdefault(kind, part)
    for kinds in spellings.values():
        if len(kinds) > 1:
            named = " and ".join(kinds)
            counts = {kind: sum(part.types[kind] for part in parts) for kind in kinds}
            rarest = min(counts, key=lambda kind: counts[kind])
            text = f"the types {named} differ in how they are written only, and count as different ones"
            examples = _of_kind(kinds[rarest], rarest)
            yield Finding(WARNING, "similar_types", "", text, "write them in one way", counts[rarest], examples)


def _missing(part: Part, train: Part) -> Iterator[Finding]:
    for kind, count in sorted((part.types - train.types).items()):
        if kind not in train.types:
            text = f"type {kind} is missing in {TRAIN}: {plural(count, 'entity', 'entities')} cannot be found"
            cure = "split the data anew, or leave the type out"
            yield Finding(ERROR, "type_missing_in_train", part.name, text, cure, count, _of_kind(part, kind))


def _of_kind(part: Part, kind: str) -> tuple:
    return few(in_context(sentence, *span) for sentence, span in part.entities() if span[2] == kind)
