"""Columns of words and tags, from labelled texts."""

from collections.abc import Iterable
from typing import Any

from ..doors.terminal import Writable
from ..readers.columns import DOCUMENT, write_rows
from ..readers.documents import Document
from ..readers.spans import sentences_of
from ..schemes import OUTSIDE

__all__ = ["write_conll"]


def write_conll(documents: Iterable[Document], file: Writable, options: Any = None) -> None:
    """Write a word and its tag, in IOB2, a line, an empty line after a sentence, and `-DOCSTART-` between documents.

    A document without a name that is one sentence stands for a sentence of a file without documents. Two of them have
    no border between them.
    """
    alone = True
    for document in documents:
        sentences = list(sentences_of([document]))
        before, alone = alone, not document.name and len(sentences) <= 1
        if not (before and alone):
            file.write(f"{DOCUMENT}\t{OUTSIDE}\n\n")
        for sentence in sentences:
            write_rows(file, list(zip(sentence.words, sentence.tags, strict=True)))
