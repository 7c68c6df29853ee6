"""A labelled sentence, and what is said of one that cannot be read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass


class DataError(ValueError):
    """A fault in the user's data; the message names the file, the line, the rule and the value."""

    def __init__(self, message: str):
        # A worker of a DataLoader hands a message on with its traceback, and the message as the last line.
        super().__init__(message.rsplit("DataError: ", 1)[-1].strip() if "Original Traceback" in message else message)


@dataclass(frozen=True)
class Sentence:
    """Words and their gold tags, and where they stand."""

    words: list[str]
    tags: list[str]
    source: str  # a file, or a data set and its split
    lines: list[int]  # of each word, from 1; in a data set the row, from 0
    document: str = ""  # its sentences stand together, and are each other's context

    def where(self, word: int) -> str:
        """Name a word's place, for an error message."""
        return f"{self.source}:{self.lines[word]}"


Reader = Callable[[], Iterator[Sentence]]
"""Starts reading a split from its beginning."""
