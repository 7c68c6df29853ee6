"""The formats that labelled texts can be written in, by their names."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..doors.terminal import Writable
from ..readers.documents import Document
from .columns import write_conll
from .docbin import write_docbin
from .layout import apart
from .records import (
    write_doccano,
    write_gliner,
    write_jsonl,
    write_label_studio,
    write_labelling_configuration,
    write_prodigy,
    write_spacy,
)
from .redacted import write_redacted
from .standoff import write_brat, write_pubtator

__all__ = ["FORMATS", "Format", "Options", "write_documents"]


@dataclass
class Options:
    """What a writer needs to know beside the documents; each takes what concerns it.

    Attributes:
        kinds: the entity types: those known before, and those of all documents that are written, in the order of their
            first appearance. The keys of a dictionary, as an ordered set.
        model: what has found the entities; "" if people have.
        consistent: whether redacted texts tell entities of one type apart.
        on_overlap: as of `apart`.
    """

    kinds: dict[str, None] = field(default_factory=dict)
    model: str = ""
    consistent: bool = False
    on_overlap: str = "error"


class Format(NamedTuple):
    """A format.

    Attributes:
        write: writes documents, one after the other as they come, to an open file; or to a path, of a file or a
            folder that it makes, if `to_path` says so.
        ending: that a file in this format usually has; "" for a folder.
        overlaps: whether it holds entities that overlap.
        regions: whether it says of a text that is annotated in part which regions are reviewed.
        beside: writes a second file that the tool needs, given all types.
        ending_beside: of that file.
    """

    write: Callable[[Iterable[Document], Any, Options], None]
    ending: str
    overlaps: bool = True
    regions: bool = True
    beside: Callable[[Iterable[str], Writable], None] | None = None
    ending_beside: str = ""
    to_path: bool = False


FORMATS = {
    "jsonl": Format(write_jsonl, ".jsonl"),
    "conll": Format(write_conll, ".conll", overlaps=False),
    "label-studio": Format(write_label_studio, ".json", beside=write_labelling_configuration, ending_beside=".xml"),
    "doccano": Format(write_doccano, ".jsonl"),
    "brat": Format(write_brat, "", regions=False, to_path=True),
    "prodigy": Format(write_prodigy, ".jsonl"),
    "spacy": Format(write_spacy, ".json", overlaps=False, regions=False),
    "docbin": Format(write_docbin, ".spacy", overlaps=False, regions=False, to_path=True),
    "gliner": Format(write_gliner, ".json"),
    "pubtator": Format(write_pubtator, ".txt", regions=False),
    "redacted": Format(write_redacted, ".txt", regions=False),
}


def write_documents(documents: Iterable[Document], name: str, place: Writable | Path, options: Options) -> None:
    """Write documents in a format, while they come.

    Args:
        documents: any number.
        name: of the format.
        place: an open file; or the path of what will be made, if the format says so.
        options: for the writer. At the end its `kinds` has all types.

    Raises:
        DataError: if the format cannot hold what a document says.
    """
    form = FORMATS[name]
    documents = _noted(documents, options.kinds)
    if not form.overlaps:
        documents = (apart(document, options.on_overlap) for document in documents)
    form.write(documents, place, options)


def _noted(documents: Iterable[Document], kinds: dict[str, None]) -> Iterator[Document]:
    for document in documents:
        kinds.update(dict.fromkeys(one.kind for one in [*document.annotations, *(document.predicted or [])]))
        yield document
