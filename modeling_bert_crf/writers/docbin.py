"""spaCy's binary files, which `spacy train` reads: spaCy itself writes them."""

from collections.abc import Iterable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..readers.documents import Document
from ..readers.sentences import DataError
from ..splitters import without_blanks
from .layout import lay_out

__all__ = ["write_docbin"]


def write_docbin(documents: Iterable[Document], path: Path, options: Any = None) -> None:
    """Write a `.spacy` file: words, entities, and sentences where they are known. It is in memory until it is whole.

    Raises:
        DataError: if spaCy is not installed.
    """
    try:
        tokens, vocabulary = import_module("spacy.tokens"), import_module("spacy.vocab")  # it is no requirement
    except ImportError:
        raise DataError("a .spacy file needs spaCy: pip install spacy, or write its JSON, --format spacy") from None
    docs, vocab = tokens.DocBin(), vocabulary.Vocab()
    for document in documents:
        words, blanks = spelt(document)
        doc = tokens.Doc(vocab, words=words, spaces=blanks)
        doc.ents = [
            doc.char_span(*without_blanks(document.text, one.start, one.end), label=one.kind)
            for one in document.annotations
        ]
        if document.sentences is not None:
            starts = {start for start, _ in document.sentences}
            for token in doc:
                token.is_sent_start = token.idx in starts
        docs.add(doc)
    docs.to_disk(path)


def spelt(document: Document) -> tuple[list[str], list[bool]]:
    """Spell a text as spaCy does: in tokens that make up all of it, each with a blank behind it or none.

    What stands between words, but for one blank, is a token, too.
    """
    text, (words, _) = document.text, lay_out(document)
    entities = [without_blanks(text, one.start, one.end) for one in document.annotations]
    borders = sorted({0, len(text), *(border for pair in [*words, *entities] for border in pair)})
    tokens: list[str] = []
    blanks: list[bool] = []
    for start, end in pairwise(borders):
        piece = text[start:end]
        if piece.startswith(" ") and tokens and not blanks[-1]:
            blanks[-1], piece = True, piece[1:]
        if piece:
            tokens.append(piece)
            blanks.append(False)
    return tokens, blanks
