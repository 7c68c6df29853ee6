"""A labelled sentence, and the error that says why data cannot be read."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["DataError", "Reader", "Sentence", "shown_name", "shown_names"]


class DataError(ValueError):
    """A fault in the user's data; the message names the file, the line, the rule and the value."""

    def __init__(self, message: str):
        # A worker of a DataLoader makes this error anew out of a traceback, of which the message is the last line.
        super().__init__(message.rsplit("DataError: ", 1)[-1].strip() if "Original Traceback" in message else message)


def shown_name(name: Any) -> str:
    """Write the name of a field or a type for the line of an error, however long it is and whatever it holds.

    >>> shown_name("id"), shown_name("a\\nb")
    ('id', "'a\\\\nb'")
    """
    written = str(name)
    return written if written.isprintable() and len(written) < 60 else f"{written!r:.60}"


def shown_names(names: Iterable[Any]) -> str:
    """Write names as `shown_name` does; "none" if there are none."""
    return ", ".join(map(shown_name, names)) or "none"


@dataclass(frozen=True)
class Sentence:
    """Words with their gold tags, and the place where they stand.

    Attributes:
        words: of the sentence.
        tags: of each word; of one that is known in part, or not at all, a `PartialTag` (see `partial.py`).
        source: a file, or a data set and its split.
        lines: of each word the number of its line, from 1; in a data set that of its row, from 0.
        document: the name of the document that it is from. Sentences of a document stand together, and a model that
            reads context reads them among each other.
        annotated: the types that were looked for, if they are not all: a tag `O` then says that the word is of none of
            these. `tags.py` writes it so, once the scheme is known.
    """

    words: list[str]
    tags: list[str]
    source: str
    lines: list[int]
    document: str = ""
    annotated: tuple[str, ...] | None = None

    def where(self, word: int) -> str:
        """Return the place of a word, by its index, as an error message names it."""
        return f"{self.source}:{self.lines[word]}"


Reader = Callable[[], Iterator[Sentence]]
"""Called, it starts reading sentences from the beginning."""
