"""Columns of words and tags, from labelled texts."""

from collections.abc import Iterable
from typing import Any

from ..doors.terminal import Writable
from ..readers.columns import DOCUMENT, write_rows
from ..readers.conversion import spans_to_tags
from ..readers.documents import Document
from ..schemes import OUTSIDE
from .layout import lay_out

__all__ = ["write_conll"]


def write_conll(documents: Iterable[Document], file: Writable, options: Any = None) -> None:
    """Write a word and its tag, in IOB2, a line, an empty line after a sentence, and `-DOCSTART-` between documents.

    A document without a name that is one sentence stands for a sentence of a file without documents. Two of them have
    no border between them.
    """
    alone = True
    for document in documents:
        layout = lay_out(document)
        before, alone = alone, not document.name and len(layout.sentences) <= 1
        if not (before and alone):
            file.write(f"{DOCUMENT}\t{OUTSIDE}\n\n")
        words = [document.text[start:end] for start, end in layout.words]
        tags = spans_to_tags(layout.spans, len(words), "IOB2")
        for sentence in layout.sentences:
            write_rows(file, [[words[index], tags[index]] for index in sentence])
