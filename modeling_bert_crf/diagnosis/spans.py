"""Entities that look as if somebody had marked a word too many or too few."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ..readers.sentences import Sentence
from ..schemes import Span
from .findings import WARNING, Finding, few, in_context, share
from .parts import Part, plural

__all__ = ["check_spans"]

_PAIRS = {")": "(", "]": "[", "}": "{", "\uff09": "\uff08", "\u3011": "\u3010", "\u300b": "\u300a", "\u300d": "\u300c"}
_OPENING, _CLOSING = {*_PAIRS.values()}, {*_PAIRS}
_NEVER_FIRST = {*",;:.!?)]}", *_CLOSING, *"\u3001\u3002\uff0c\uff1b\uff1a"}
_NEVER_LAST = {*",;:([{", *_OPENING, *"\u3001\u3002\uff0c\uff1b\uff1a"}
TIMES = 3
"""An entity is very long if it is so many times as long as nineteen of twenty are, and longer than `LONG`."""
LONG = 8
NEIGHBOURS = 0.2
"""If a larger share of entities follows right behind one of its type, words of one entity may have been marked one by
one."""
ENOUGH = 20


def check_spans(parts: Sequence[Part]) -> Iterator[Finding]:
    """Find entities with odd ends, brackets, lengths or neighbours."""
    for part in parts:
        if part.has_spans and part.types:
            yield from _odd_words(part)
            yield from _very_long(part)
            yield from _in_pieces(part)


def _odd_words(part: Part) -> Iterator[Finding]:
    found: dict[str, list[tuple[Sentence, Span]]] = {"no_letters": [], "punctuation": [], "brackets": []}
    for sentence, span in part.entities():
        if code := _fault(sentence.words[span[0] : span[1]]):
            found[code].append((sentence, span))
    says = {
        "no_letters": "without a letter or a digit",
        "punctuation": "with punctuation at an end",
        "brackets": "with half a pair of brackets",
    }
    for code, places in found.items():
        if places:
            text = f"{plural(len(places), 'entity', 'entities')} {says[code]}"
            examples = few(in_context(sentence, *span) for sentence, span in places)
            yield Finding(WARNING, f"entity_{code}", part.name, text, "", len(places), examples)


def _fault(words: Sequence[str]) -> str:
    """Say what is odd about an entity's words; empty if nothing is."""
    text = "".join(words)
    if not any(map(str.isalnum, text)):
        return "no_letters"
    if words[0] in _NEVER_FIRST or words[-1] in _NEVER_LAST or (words[-1] == "." and not _is_short(words[-2])):
        return "punctuation"
    open_ones = []
    for letter in text:
        if letter in _OPENING:
            open_ones.append(letter)
        elif letter in _CLOSING and (not open_ones or open_ones.pop() != _PAIRS[letter]):
            return "brackets"
    return "brackets" if open_ones else ""


def _is_short(word: str) -> bool:
    """Say whether a full stop behind a word may belong to it, as in `U . S .`, `Dr .` or `Inc .`"""
    return len(word) <= 4 or "." in word


def _very_long(part: Part) -> Iterator[Finding]:
    lengths = sorted(end - start for spans in part.spans for start, end, _ in spans)
    usual = lengths[int(0.95 * (len(lengths) - 1))]
    most = max(LONG, TIMES * usual)
    long = [(sentence, span) for sentence, span in part.entities() if span[1] - span[0] > most]
    if long:
        long.sort(key=lambda one: one[1][0] - one[1][1])
        said = plural(len(long), "entity is", "entities are")
        text = f"{said} longer than {most} words, and 95 % of them have at most {usual}"
        examples = few(in_context(sentence, *span) for sentence, span in long)
        yield Finding(WARNING, "entity_very_long", part.name, text, "", len(long), examples)


def _in_pieces(part: Part) -> Iterator[Finding]:
    """Find out whether the words of entities seem to be marked one by one."""
    behind = Counter[str]()
    places = []
    for sentence, spans in zip(part.sentences, part.spans, strict=True):
        for one, other in pairwise(spans):
            if one[1] == other[0] and one[2] == other[2]:
                behind[other[2]] += 1
                places.append((sentence, (one[0], other[1], other[2])))
    for kind, count in sorted(behind.items()):
        if count >= ENOUGH and count > NEIGHBOURS * part.types[kind]:
            text = (
                f"{plural(count, 'entity', 'entities')} ({share(count, part.types[kind])}) of type {kind} stand right "
            )
            text += "behind another one: are they parts of one?"
            examples = few(in_context(sentence, *span) for sentence, span in places if span[2] == kind)
            cure = "the first word has B-, the others I-"
            yield Finding(WARNING, "entity_in_pieces", part.name, text, cure, count, examples)
