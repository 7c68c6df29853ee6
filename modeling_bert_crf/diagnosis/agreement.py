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
_USUAL = f"{1 - FEW:.0%}".replace("%", " %")
LEAST = 4
"""Of words that stand in fewer places nobody can tell what is usual."""
LONGEST = 8
"""Words of longer entities are not looked for outside of entities."""


class _Place(NamedTuple):
    sentence: Sentence
    start: int
    end: int
    kind: str  # "" where the words are no entity


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
        for sentence, spans in zip(part.sentences, part.spans, strict=True):
            if len(sentence.words) > 2:
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
        counts = Counter(place.kind for place in places)
        (usual, most), *others = counts.most_common()
        if others and (len(places) - most) < FEW * len(places) and len(places) >= LEAST:
            rows.append((len(places) - most, usual, [place for place in places if place.kind != usual], places))
    rows.sort(key=lambda row: len(row[3]) / row[0], reverse=True)
    if count := sum(row[0] for row in rows):
        examples = [example for _, usual, odd, places in rows for example in _pair(odd[0], usual, places)]
        text = f"words that have one type in more than {_USUAL} of their places have another one in "
        text += plural(count, "place")
        yield Finding(WARNING, "retyped", "", text, "look whether it is meant", count, examples[: 2 * SHOWN])


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
        outside = sum(not place.kind for place in places)
        inside = len(places) - outside
        if len(places) >= LEAST and 0 < outside < FEW * len(places):
            missed.append((inside / outside, outside, places))
        elif inside and inside < 0.01 * len(places) and outside >= 20:
            strange.append((outside / inside, inside, places))
    says = {
        "missed_entities": (WARNING, missed, False, f"an entity in more than {_USUAL} of their places are none"),
        "strange_entities": (NOTE, strange, True, "no entity in more than 99 % of their places are one"),
    }
    for code, (severity, rows, is_entity, what) in says.items():
        rows.sort(key=lambda row: row[0], reverse=True)
        if count := sum(row[1] for row in rows):
            examples = []
            for *_, places in rows[:SHOWN]:
                for wanted in (is_entity, not is_entity):
                    examples.append(_example(next(place for place in places if bool(place.kind) is wanted)))
            text = f"words that are {what} in {plural(count, 'place')}"
            yield Finding(severity, code, "", text, "look whether it is meant", count, examples)


def _pair(odd: _Place, usual: str, places: Sequence[_Place]) -> list[Example]:
    """Return a place, and one where the same words are tagged as usual."""
    return [_example(odd), _example(next(place for place in places if place.kind == usual))]


def _example(place: _Place) -> Example:
    return in_context(place.sentence, place.start, place.end, place.kind or OUTSIDE)
