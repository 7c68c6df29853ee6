"""A labelled text: entities by their characters, as annotation tools keep them.

Characters are code points, as in Python. Prodigy, spaCy and the files of brat count these, and so does Label Studio
since the end of 2021; before, it counted UTF-16 units. doccano counts UTF-16 units, which differ from the first emoji
on, unless a project counts grapheme clusters; its exports do not say which.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .sentences import DataError

__all__ = ["REVIEWED", "Annotation", "Document"]

REVIEWED = "reviewed"
"""What a document that is annotated only in part calls the regions that are annotated."""


class Annotation(NamedTuple):
    """An entity in a text."""

    start: int  # its first character
    end: int  # the character after its last
    kind: str  # its type
    score: float | None = None  # a probability, where a tagger found it


@dataclass(frozen=True)
class Document:
    """A text with its entities, and the place where it stands.

    Attributes:
        text: the characters that all offsets count in.
        annotations: its entities, as they stand in the file: they may overlap, and end within words.
        source: a file, or a data set and its split.
        place: where in it: the number of a line or of a record, from 1, or the name of a file in a folder.
        name: the document's id, "" if it has none.
        words: (start, end) of each word, where the file says so; else None.
        sentences: (start, end) of each sentence, where the file says so; else None.
        meta: what else the file says of the document, by its names there, to be written again.
        predicted: what a tagger finds in the text, where that stands beside its entities; else None.
    """

    text: str
    annotations: list[Annotation]
    source: str
    place: str
    name: str = ""
    words: list[tuple[int, int]] | None = None
    sentences: list[tuple[int, int]] | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    predicted: list[Annotation] | None = None

    @property
    def where(self) -> str:
        """The place as an error message names it."""
        return f"{self.source}:{self.place}"

    @property
    def reviewed(self) -> list[tuple[int, int]] | None:
        """The regions outside of which nothing is known but the annotations; None if all of the text is annotated.

        They are what `meta` has under `reviewed`, if that is a list: (start, end) of each, in characters.

        Raises:
            DataError: if one of them is no region of the text.
        """
        regions = self.meta.get(REVIEWED)
        if not isinstance(regions, list):  # such as a mark that somebody has looked at the text
            return None
        found = []
        for region in regions:
            borders: Any = (region.get("start"), region.get("end")) if isinstance(region, dict) else region
            is_pair = isinstance(borders, list | tuple) and len(borders) == 2 and {*map(type, borders)} == {int}
            if not is_pair or not 0 <= borders[0] <= borders[1] <= len(self.text):
                raise DataError(
                    f"{self.where}: {REVIEWED!r} must hold regions [start, end] of the text, which has "
                    f"{len(self.text):,} characters, got {region!r:.60}"
                )
            found.append((borders[0], borders[1]))
        return found
