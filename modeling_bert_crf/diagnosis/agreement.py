"""The same words tagged differently: in the same sentence, with another type, or in one place not at all."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..readers.sentences import Sentence
from ..schemes import OUTSIDE
from .findings import NOTE, SHOWN, WARNING, Example, Finding, in_context
from .parts import Part, plural

__all__ = ["check_agreement"]

FEW = 0.2
"""If a smaller share of its places is tagged otherwise, words are probably tagged wrongly there."""
LEAST = 4
"""Of words that stand in fewer places nobody can tell what is usual."""
STRANGE = 0.01
"""The same of words that are hardly ever an entity."""
LONGEST = 8
"""Words of longer entities are not looked for outside of entities."""


_USUAL, _NEVER = (f"{100 * (1 - most):.0f} %" for most in (FEW, STRANGE))


class _Place(NamedTuple):
    sentence: Sentence
    start: int
    end: int
    kind: str  # "" where the words are no entity


class _Row(NamedTuple):
    """Words that are tagged otherwise in a few of their places than in the rest."""

    count: int  # of those few
    total: int
    odd: _Place  # the first of the few
    usual: _Place  # the first of the others


Form = tuple[str, ...]


def check_agreement(parts: Sequence[Part]) -> Iterator[Finding]:
    """Find words that are tagged differently in different places."""
    parts = [part for part in parts if part.has_spans]
    yield from _contradictions(parts)
    forms = defaultdict[Form, list[_Place]](list)
    for part in parts:
        for sentence, (start, end, kind) in part.entities():
            forms[tuple(sentence.words[start:end])].append(_Place(sentence, start, end, kind))
    yield from _retyped(forms)
    for part in parts:
        _add_outside(part, forms)
    yield from _outside(forms)


def _contradictions(parts: Sequence[Part]) -> Iterator[Finding]:
    """Find sentences of the same words with other entities."""
    firsts: dict[Form, tuple[Sentence, list]] = {}
    pairs = []
    for part in parts:
        for sentence, spans, is_open in zip(part.sentences, part.spans, part.is_open, strict=True):
            if len(sentence.words) > 2 and not is_open:
                before, other = firsts.setdefault(tuple(sentence.words), (sentence, spans))
                if other != spans:
                    span = next(iter(sorted({*spans} ^ {*other})))
                    pairs.append((span[:2], (before, other), (sentence, spans)))
    if pairs:
        examples = []
        for (start, end), *both in pairs[:SHOWN]:
            for sentence, spans in both:
                kind = next((span[2] for span in spans if span[:2] == (start, end)), OUTSIDE)
                examples.append(in_context(sentence, start, end, kind))
        said = plural(len(pairs), "sentence is tagged", "sentences are tagged")
        text = f"{said} differently from another one of the same words"
        yield Finding(WARNING, "contradiction", "", text, "tag both alike", len(pairs), examples)


def _retyped(forms: dict[Form, list[_Place]]) -> Iterator[Finding]:
    """Find entities that have another type than the same words have nearly everywhere else."""
    rows = []
    for places in forms.values():
        usual, most = Counter(place.kind for place in places).most_common(1)[0]
        if most < len(places) and _is_rare(len(places) - most, len(places)):
            odd = [place for place in places if place.kind != usual]
            rows.append(_Row(len(odd), len(places), odd[0], next(place for place in places if place.kind == usual)))
    what = f"have one type in more than {_USUAL} of their places have another one"
    yield from _found(WARNING, "retyped", what, rows)


def _add_outside(part: Part, forms: dict[Form, list[_Place]]) -> None:
    """Add the places where words that are an entity elsewhere are none, with all words outside."""
    longest = min(LONGEST, max(map(len, forms), default=0))
    firsts = {form[0] for form in forms}
    for sentence in part.sentences:
        words, tags = sentence.words, sentence.tags
        for start, word in enumerate(words):
            if tags[start] != OUTSIDE or word not in firsts:
                continue
            for end in range(start + 1, min(start + longest, len(words)) + 1):
                if tags[end - 1] != OUTSIDE:
                    break
                if (form := tuple(words[start:end])) in forms:
                    forms[form].append(_Place(sentence, start, end, ""))


def _outside(forms: dict[Form, list[_Place]]) -> Iterator[Finding]:
    """Find words that are an entity nearly everywhere, and words that hardly ever are."""
    missed, strange = [], []
    for places in forms.values():
        outside = next((place for place in places if not place.kind), None)
        if outside is not None:
            total, inside = len(places), sum(bool(place.kind) for place in places)
            if _is_rare(total - inside, total):
                missed.append(_Row(total - inside, total, outside, places[0]))
            elif inside < STRANGE * total:
                strange.append(_Row(inside, total, places[0], outside))
    yield from _found(WARNING, "missed", f"are an entity in more than {_USUAL} of their places are none", missed)
    yield from _found(NOTE, "strange", f"are no entity in more than {_NEVER} of their places are one", strange)


def _is_rare(count: int, total: int) -> bool:
    return total >= LEAST and count < FEW * total


def _found(severity: str, code: str, what: str, rows: list[_Row]) -> Iterator[Finding]:
    """Report words that are tagged otherwise in a few of their places, the clearest first."""
    if rows:
        rows.sort(key=lambda row: row.total / row.count, reverse=True)
        count = sum(row.count for row in rows)
        examples = [_example(place) for row in rows[:SHOWN] for place in (row.odd, row.usual)]
        text = f"words that {what} in {plural(count, 'place')}"
        yield Finding(severity, code, "", text, "look whether it is meant", count, examples)


def _example(place: _Place) -> Example:
    return in_context(place.sentence, place.start, place.end, place.kind or OUTSIDE)
