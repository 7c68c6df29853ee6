"""Words and the units of a chain: tags of one are written for the other, where a chain runs over sub-tokens."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from ..schemes import tags_to_spans
from ..splitters import without_blanks
from .conversion import spans_to_tags
from .partial import UNKNOWN_TAG, known_tags, part_of


@dataclass(frozen=True)
class Units:
    """The units of a sentence's chain, each within a word, or nothing but a blank between words.

    Attributes:
        word_of: for each unit the number of its word; None for a blank.
        count: how many words there are. A word that the tokenizer deletes has no unit.
    """

    word_of: Sequence[int | None]
    count: int

    @classmethod
    def of(cls, text: str, words: Sequence[tuple[int, int]], units: Sequence[tuple[int, int]]) -> "Units":
        """Find the word of each unit, that in which its first character lies that is no blank.

        Args:
            text: the characters that spans count in.
            words: (start, end) of each word, in order.
            units: (start, end) of each unit, in order.
        """
        word_of: list[int | None] = []
        word = 0
        for start, end in units:
            first, _ = without_blanks(text, start, end)
            while word < len(words) and words[word][1] <= first:
                word += 1
            inside = word < len(words) and words[word][0] <= first < end
            word_of.append(word if inside else None)
        return cls(word_of, len(words))

    def spread(self, tags: Sequence[str], scheme: str | None) -> list[str]:
        """Write the tags of words as tags of units: an entity has all units from its first word to its last.

        Of the units of a word that is known in part as much is known as can be said of each by itself. Nothing is
        known of a blank beside it.

        Args:
            tags: one for each word.
            scheme: of the tags; None if each is a type of its own.
        """
        units: dict[int, tuple[int, int]] = {}  # of each word the first, and the one after its last
        for unit, word in enumerate(self.word_of):
            if word is not None:
                units[word] = units.get(word, (unit, 0))[0], unit + 1
        certain = known_tags(tags, scheme)
        spans = []
        for start, end, kind in tags_to_spans(certain, scheme):
            own = [units[word] for word in range(start, end) if word in units]
            if own:
                spans.append((own[0][0], own[-1][1], kind))
        spread = spans_to_tags(spans, len(self.word_of), scheme)
        open_words = {word for word, pair in enumerate(zip(tags, certain, strict=True)) if pair[0] != pair[1]}
        for unit, word in enumerate(self.word_of if open_words else []):
            if word in open_words:
                first, after = units[word]
                spread[unit] = part_of(tags[word], scheme, unit == first, unit == after - 1)
            elif word is None and not open_words.isdisjoint(self._beside(unit)):
                spread[unit] = UNKNOWN_TAG
        return spread

    def _beside(self, unit: int) -> set[int | None]:
        """Return the word before a blank, and the one after it."""
        before = next((word for word in reversed(self.word_of[:unit]) if word is not None), None)
        return {before, next((word for word in self.word_of[unit:] if word is not None), None)}

    def gather(self, tags: Sequence[str], scheme: str | None) -> list[str]:
        """Write the tags of units as tags of words: an entity has all words that it has a unit of.

        A word goes to the first entity in it.
        """
        spans, done = [], 0
        for start, end, kind in tags_to_spans(tags, scheme):
            words = [word for word in self.word_of[start:end] if word is not None]
            if words and max(words) >= done:
                spans.append((max(words[0], done), words[-1] + 1, kind))
                done = words[-1] + 1
        return spans_to_tags(spans, self.count, scheme)


def over_words(start: int, end: int, words: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the first word that characters from `start` to `end` have a part of, and the word after the last one."""
    first = bisect_right(words, start, key=itemgetter(1))
    return first, max(first, bisect_left(words, end, key=itemgetter(0)))


__all__ = ["Units", "over_words"]
