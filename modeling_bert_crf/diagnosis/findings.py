"""A finding: one thing that was noticed in the data."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from ..readers.sentences import Sentence

__all__ = ["ERROR", "NOTE", "SEVERITIES", "SHOWN", "WARNING", "Example", "Finding", "few", "in_context", "share"]

ERROR, WARNING, NOTE = SEVERITIES = ("error", "warning", "note")
"""How grave a finding is. Error: training refuses the data, or what comes of it is worth nothing. Warning: some of the
data are probably wrong. Note: something to know."""
SHOWN = 3
"""So many examples of a finding are kept, at most; where two places contradict each other, so many pairs."""
_AROUND = 5
"""So many words are shown on each side."""
_MOST, _WORD = 120, 30
"""How many characters are shown of what is marked, and of each word around it."""


class Example(NamedTuple):
    """Where a finding can be looked at."""

    place: str  # a file and a line, or a file and a record; empty if it is no one place
    before: str  # the words before those that it is about
    words: str  # those that it is about; empty if it is about all of them
    kind: str = ""  # what these are tagged as, or how characters in them are called that show nothing
    after: str = ""

    @property
    def text(self) -> str:
        """All of it in one line, with the words that it is about in brackets."""
        marked = f"[{self.words}{f' {self.kind}' if self.kind else ''}]" if self.words else ""
        return " ".join(filter(None, (self.before, marked, self.after)))


@dataclass(frozen=True)
class Finding:
    """One thing that was noticed in the data.

    Attributes:
        severity: one of `SEVERITIES`.
        code: a name that stays the same, for programs.
        part: of the data; empty if it concerns several parts.
        text: what was found, with its counts, in one sentence without a full stop.
        cure: what helps; empty if that depends.
        count: how many times it was found.
        examples: the first or the gravest ones.
    """

    severity: str
    code: str
    part: str
    text: str
    cure: str = ""
    count: int = 1
    examples: Sequence[Example] = ()

    def line(self) -> str:
        """Return all that is said of it in one line, with the place of the first example."""
        where = f" ({self.examples[0].place})" if self.examples and self.examples[0].place else ""
        return f"{self.part}: {self.text}{where}" if self.part else f"{self.text}{where}"


def few(examples: Iterable[Example], most: int = SHOWN) -> tuple[Example, ...]:
    """Return the first examples."""
    return tuple(islice(examples, most))


def in_context(sentence: Sentence, start: int = 0, end: int = 0, kind: str = "") -> Example:
    """Return words of a sentence as an example, among the words around them.

    Args:
        sentence: that they stand in.
        start, end: the first of the words, and the one after the last; if these are the same the whole sentence, as
            far as there is room, is the example.
        kind: what they are tagged as.
    """
    words = sentence.words
    if start == end:
        return Example(sentence.where(start), _cut(" ".join(words)), "")
    first, last = max(0, start - _AROUND), min(len(words), end + _AROUND)
    before = ["..."] * (first > 0) + [_cut(word, _WORD) for word in words[first:start]]
    after = [_cut(word, _WORD) for word in words[end:last]] + ["..."] * (last < len(words))
    return Example(sentence.where(start), " ".join(before), _cut(" ".join(words[start:end])), kind, " ".join(after))


def _cut(text: str, most: int = _MOST) -> str:
    return text if len(text) <= most else text[:most] + "..."


def share(count: int, total: int) -> str:
    """Write a share in percent: with one decimal below 10."""
    percent = 100 * count / max(1, total)
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.1f} %"
