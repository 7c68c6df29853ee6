"""A part of the data, such as the training split, as the checks look at it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from ..readers.partial import are_known, known_spans
from ..readers.sentences import Sentence
from ..schemes import OUTSIDE, Span

__all__ = ["TRAIN", "Part", "Source", "plural", "train_of"]

TRAIN = "train"


class Source(NamedTuple):
    """A file of a part."""

    path: str
    format: str  # as `readers/formats.py` names it; empty if that could not be found out


@dataclass
class Part:
    """A part of the data.

    Attributes:
        name: `train`, `validation`, `test`, or whatever it is called.
        sentences: with legal tags in their usual spelling; none of a part whose tags cannot be understood.
        scheme: of the tags, as `find_scheme` names it.
        sources: the files that it was read from.
    """

    name: str
    sentences: Sequence[Sentence]
    scheme: str | None
    sources: list[Source] = field(default_factory=list)

    @cached_property
    def spans(self) -> list[list[Span]]:
        """The known entities of each sentence. There are none where tags have no prefixes and no word is outside."""
        if not self.has_spans:
            return [[] for _ in self.sentences]
        scheme = "IOB2" if self.scheme == "IOB1" else self.scheme  # see `conversion.convert`
        return [known_spans(sentence.tags, scheme) for sentence in self.sentences]

    @cached_property
    def is_open(self) -> list[bool]:
        """Of each sentence whether something is left open: then where no entity is, there may be one."""
        return [not are_known(sentence.tags) for sentence in self.sentences]

    @cached_property
    def has_spans(self) -> bool:
        """Whether the tags mean entities at all, rather than being a label for each word, as parts of speech are."""
        return self.scheme is not None or any(OUTSIDE in sentence.tags for sentence in self.sentences)

    def entities(self) -> Iterator[tuple[Sentence, Span]]:
        """Yield each entity with its sentence."""
        for sentence, spans in zip(self.sentences, self.spans, strict=True):
            for span in spans:
                yield sentence, span

    @cached_property
    def types(self) -> Counter[str]:
        """How many entities there are of each type."""
        return Counter(kind for spans in self.spans for _, _, kind in spans)

    @property
    def words(self) -> int:
        """How many words there are."""
        return sum(len(sentence.words) for sentence in self.sentences)

    @property
    def documents(self) -> int:
        """How many documents there are; a file without borders of documents is one."""
        return len({(sentence.source, sentence.document) for sentence in self.sentences})


def train_of(parts: Sequence[Part]) -> Part | None:
    """Return the part that is trained on, if it is among them."""
    return next((part for part in parts if part.name == TRAIN), None)


def plural(count: int, one: str, several: str | None = None) -> str:
    """Write a count with its noun.

    >>> plural(1, "sentence"), plural(1200, "sentence"), plural(2, "entity", "entities")
    ('1 sentence', '1,200 sentences', '2 entities')
    """
    return f"{count:,} {one if count == 1 else several or one + 's'}"
