"""Spans over text to words and tags. No annotation is lost unseen: an account says what became of each.

A text is split into words, and its words into sentences, never inside an entity. A span that ends inside a word moves
the border of the word, or is moved to it, or is left out; a word has one tag, so of spans that overlap one is left.

Where a document names the regions that are reviewed, nothing is known of a word outside of them, unless a span covers
it; next to a span it is known that the entity does not go on.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from typing import NamedTuple

from ..schemes import OUTSIDE
from ..splitters import split_sentences, split_texts, without_blanks
from .account import Account
from .conversion import join_tag
from .documents import Annotation, Document
from .partial import UNKNOWN_TAG, PartialTag
from .sentences import DataError, Sentence, shown_name

__all__ = ["ON_MISALIGNED", "ON_OVERLAP", "SpanRules", "Splitter", "sentences_of", "share_of_borders_kept"]

ON_MISALIGNED = ("split", "expand", "drop", "error")
ON_OVERLAP = ("error", "longest", "first")
_AT_ONCE = 64
"""So many texts are split in one call, since a tokenizer is faster with many."""
_SHOWN = 3

Span = tuple[int, int]
Splitter = Callable[[Sequence[str]], list[list[Span]]]
"""Texts to the (start, end) of their words, as `split_texts` gives them."""

BY_UNICODE: Splitter = partial(split_texts, None, splitter="unicode_words")
"""The splitter where no model asks for another one."""


@dataclass(frozen=True)
class SpanRules:
    """How spans over text become words and tags.

    Attributes:
        split: finds the words of texts.
        by_sentence: whether a text is split into sentences; else it is one.
        on_misaligned: what is done with a span that ends inside a word: `"split"` splits the word there, `"expand"`
            takes the word in, `"drop"` leaves the span out, `"error"` refuses the data.
        on_overlap: what is done with spans that overlap: `"error"` refuses the data, `"longest"` keeps the longest,
            `"first"` the one that begins first. Of equals the one that stands first in the file is kept.
    """

    split: Splitter = BY_UNICODE
    by_sentence: bool = True
    on_misaligned: str = "split"
    on_overlap: str = "error"


def sentences_of(
    documents: Iterable[Document], rules: SpanRules | None = None, account: Account | None = None
) -> Iterator[Sentence]:
    """Yield the sentences of documents, with tags in IOB2, while they are asked for.

    Args:
        documents: in the order of the data.
        rules: how spans become words and tags.
        account: counts what becomes of the spans.

    Raises:
        DataError: if spans overlap, or end inside words, and the rules refuse that. All documents are read before, so
            that it can name their count and the first three.
    """
    rules, account = rules or SpanRules(), account or Account()
    faults: dict[str, list[str]] = {"overlap": [], "misaligned": []}
    refused = [fault for fault in faults if getattr(rules, f"on_{fault}") == "error"]
    documents, source, before = iter(documents), "", ""
    while group := list(islice(documents, _AT_ONCE)):
        split = iter(rules.split([one.text for one in group if one.words is None]))
        for document in group:
            words = next(split) if document.words is None else document.words
            name = document.name or document.place
            if name == before:  # as in two records of one text: they are not each other's context
                name = f"{name} {document.place}"
            source, before = document.source, name
            found = list(_Alignment(document, words, rules, account, faults).sentences(name))
            if not any(faults[fault] for fault in refused):  # else the others are counted
                yield from found
    _refuse(source, faults, rules)


def _refuse(source: str, faults: dict[str, list[str]], rules: SpanRules) -> None:
    says = {
        "overlap": ("must not overlap, since a word has one tag", "--on_overlap longest, or first, keeps one of them"),
        "misaligned": ("must end where words do", "--on_misaligned split moves the ends of words"),
    }
    for fault, (rule, cure) in says.items():
        if (places := faults[fault]) and getattr(rules, f"on_{fault}") == "error":
            more = f", and {len(places) - _SHOWN:,} more" if len(places) > _SHOWN else ""
            raise DataError(f"{source}: annotations {rule}, got {'; '.join(places[:_SHOWN])}{more}; {cure}")


class _Entity(NamedTuple):
    """An annotation on its way to words."""

    start: int
    end: int
    given: Annotation
    fate: str = "kept"


class _Alignment:
    """The annotations of one document on their way to words."""

    def __init__(
        self,
        document: Document,
        words: list[Span],
        rules: SpanRules,
        account: Account,
        faults: dict[str, list[str]],
    ):
        self.document, self.words, self.rules, self.account, self.faults = document, words, rules, account, faults
        self.borders: tuple[Sequence[int], Sequence[int]] | None = None

    def sentences(self, name: str) -> Iterator[Sentence]:
        """Yield the sentences of the document, which is called `name`."""
        text, place = self.document.text, self.document.place
        entities = self._align() if self.document.annotations else []
        words = self.words
        is_record = place.isdecimal()
        source = self.document.source if is_record else f"{self.document.source}/{place}"
        following = seen = 0
        line = int(place) if is_record else 1
        for sentence in self._without_cuts(self._sentence_borders(), entities):
            first, end = sentence.start, sentence.stop
            own = []
            while following < len(entities) and entities[following][0] < end:
                start, stop, kind = entities[following]
                own.append((start - first, stop - first, kind))
                following += 1
            spelt = [text[start:stop] for start, stop in words[first:end]]
            if not is_record:
                line += text.count("\n", seen, words[first][0])
                seen = words[first][0]
            tags = self._background(words[first:end])
            for start, stop, kind in own:  # what `spans_to_tags` does for any scheme, and slower
                tags[start:stop] = [join_tag("B", kind), *[join_tag("I", kind)] * (stop - start - 1)]
                if stop < len(tags) and tags[stop] is UNKNOWN_TAG:
                    tags[stop] = PartialTag([join_tag("I", kind)])
            yield Sentence(spelt, tags, source, [line] * len(spelt), name)

    def _background(self, words: Sequence[Span]) -> list[str]:
        """Return the tags of words that are in no entity: unknown outside of the regions that are reviewed."""
        regions = self.document.reviewed
        if regions is None:
            return [OUTSIDE] * len(words)
        inside = (any(start <= word[0] and word[1] <= end for start, end in regions) for word in words)
        return [OUTSIDE if is_known else UNKNOWN_TAG for is_known in inside]

    def _align(self) -> list[tuple[int, int, str]]:
        """Return the entities by their words, in order; split words where the rules say so."""
        text, entities = self.document.text, []
        for one in self.document.annotations:
            start, end = one[:2]
            if text[start].isspace() or text[end - 1].isspace():
                entities.append(_Entity(*without_blanks(text, start, end), one, "moved"))
            else:
                entities.append(_Entity(start, end, one))
        entities = self._on_borders(self._without_overlaps(entities))
        if self.rules.on_misaligned == "expand":
            entities = self._without_overlaps(entities)
        starts, ends = self._borders()
        found = []
        for one in entities:
            if one.fate == "kept":
                self.account.keep(one.given.kind)
            else:
                self._count(one, one.fate)
            found.append((bisect_left(starts, one.start), bisect_left(ends, one.end) + 1, one.given.kind))
        return found

    def _borders(self) -> tuple[Sequence[int], Sequence[int]]:
        """Return where words start, and where they end."""
        if self.borders is None:
            self.borders = [start for start, _ in self.words], [end for _, end in self.words]
        return self.borders

    def _count(self, one: _Entity, fate: str, why: str = "") -> None:
        given = one.given
        self.account.add(fate, given.kind, self._place(given), self.document.text[given.start : given.end], why)

    def _place(self, one: Annotation) -> str:
        return f"{self.document.where}, characters {one.start} to {one.end}"

    def _shown(self, one: Annotation) -> str:
        return f"{self._told(one)} at {self._place(one)}"

    def _told(self, one: Annotation) -> str:
        return f"{shown_name(one.kind)} {self.document.text[one.start : one.end]!r:.60}"

    def _without_overlaps(self, entities: list[_Entity]) -> list[_Entity]:
        """Leave one of entities that overlap, and return what is left in the order of the text."""
        ordered = sorted(entities, key=lambda one: one.start)
        if all(one.end <= other.start for one, other in pairwise(ordered)):
            return ordered
        if self.rules.on_overlap == "longest":
            ordered.sort(key=lambda one: one.start - one.end)
        kept: list[_Entity] = []
        for one in ordered:
            place = bisect_left(kept, one.start, key=lambda other: other.start)
            beside = kept[max(0, place - 1) : place + 1]
            over = next((other for other in beside if other.start < one.end and one.start < other.end), None)
            if over is None:
                kept.insert(place, one)
                continue
            self.faults["overlap"].append(f"{self._shown(one.given)} with {self._shown(over.given)}")
            other = over.given
            self._count(one, "dropped", f"overlaps {self._told(other)}")
        return kept

    def _on_borders(self, entities: list[_Entity]) -> list[_Entity]:
        """Make entities end where words do, by the rule of `on_misaligned`."""
        starts, ends = self._borders()
        kept, is_cut = [], False
        for one in entities:
            if _holds(starts, one.start) and _holds(ends, one.end):
                kept.append(one)
                continue
            self.faults["misaligned"].append(self._shown(one.given))
            if self.rules.on_misaligned in ("split", "error"):
                is_cut = True
                kept.append(one._replace(fate="split"))
            elif self.rules.on_misaligned == "expand" and (moved := self._expanded(one)) is not None:
                kept.append(moved)
            else:
                self._count(one, "dropped", "ends inside a word")
        if is_cut:
            self.words, self.borders = self._split_words([one for one in kept if one.fate == "split"]), None
        return kept

    def _expanded(self, one: _Entity) -> _Entity | None:
        """Move an entity to the ends of the words that it has a part of; None if it has a part of none."""
        first = bisect_right(self.words, one.start, key=lambda word: word[1])
        last = bisect_left(self.words, one.end, key=lambda word: word[0])
        if first >= last:
            return None
        return one._replace(start=self.words[first][0], end=self.words[last - 1][1], fate="moved")

    def _split_words(self, cuts: Sequence[_Entity]) -> list[Span]:
        """Split words at the ends of annotations; characters that are in no word become words of their own there."""
        text, borders = self.document.text, sorted({place for one in cuts for place in one[:2]})
        words = []
        for start, end in self.words:
            first, last = bisect_right(borders, start), bisect_left(borders, end)
            pieces = [start, *borders[first:last], end]
            words += [without_blanks(text, *piece) for piece in pairwise(pieces)]
        found = sorted(words)
        for one in cuts:
            first = bisect_left(found, one.start, key=lambda word: word[0])
            last = bisect_right(found, one.end, key=lambda word: word[1])
            gaps = [(one.start, one.end)]
            if first < last:
                gaps = [(one.start, found[first][0]), (found[last - 1][1], one.end)]
            words += [without_blanks(text, *gap) for gap in gaps if text[slice(*gap)].strip()]
        return sorted(words)

    def _sentence_borders(self) -> list[range]:
        """Group the words into the sentences that the document names, or into those that are found."""
        if not self.rules.by_sentence:
            return [range(len(self.words))] if self.words else []
        if self.document.sentences is None:
            return split_sentences(self.document.text, self.words)
        starts = [start for start, _ in self.words]
        borders = sorted({0, *(bisect_left(starts, start) for start, _ in self.document.sentences), len(starts)})
        return [range(*pair) for pair in pairwise(borders)]

    @staticmethod
    def _without_cuts(sentences: list[range], entities: list[tuple[int, int, str]]) -> list[range]:
        """Join sentences whose border lies inside an entity."""
        if not entities or len(sentences) < 2:
            return sentences
        joined = [sentences[0]]
        following = 0
        for sentence in sentences[1:]:
            while following < len(entities) and entities[following][1] <= sentence.start:
                following += 1
            if following < len(entities) and entities[following][0] < sentence.start:
                joined[-1] = range(joined[-1].start, sentence.stop)
            else:
                joined.append(sentence)
        return joined


def _holds(places: Sequence[int], place: int) -> bool:
    """Say whether a place is among places that are in order."""
    index = bisect_left(places, place)
    return index < len(places) and places[index] == place


def share_of_borders_kept(documents: Iterable[Document], words: Iterable[Sequence[Span]]) -> float:
    """Return the share of the ends of annotations that lie at ends of words.

    Args:
        documents: texts with annotations.
        words: (start, end) of the words of each.
    """
    kept = total = 0
    for document, own in zip(documents, words, strict=True):
        starts, ends = {start for start, _ in own}, {end for _, end in own}
        for one in document.annotations:
            start, end = without_blanks(document.text, one.start, one.end)
            kept += (start in starts) + (end in ends)
            total += 2
    return kept / max(1, total)
