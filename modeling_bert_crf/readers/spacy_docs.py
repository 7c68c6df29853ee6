"""spaCy's binary files: a `DocBin`, which only spaCy itself can read."""

import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from .columns import read_bytes
from .documents import Document
from .marks import Ask, Mark, annotations_of
from .sentences import DataError

__all__ = ["is_docbin", "read_docbin"]


def is_docbin(head: bytes) -> bool:
    """Say whether a file begins as a `DocBin` does, which is compressed by zlib."""
    if head[:1] != b"\x78" or head[1:2] not in (b"\x01", b"\x5e", b"\x9c", b"\xda"):
        return False
    try:  # since `x^` may also be the first word of a column file
        zlib.decompressobj().decompress(head)
    except zlib.error:
        return False
    return True


def read_docbin(path: Path, ask: Ask) -> Iterator[Document]:
    """Yield the documents of a `.spacy` file.

    Raises:
        DataError: if spaCy is not installed, or cannot read the file.
    """
    try:  # by name, since it is no requirement: it pins libraries of its own
        tokens, vocab = import_module("spacy.tokens"), import_module("spacy.vocab")
    except ImportError:
        raise DataError(f"{path}: a .spacy file needs spaCy: pip install spacy, or export it as JSON") from None
    raw = read_bytes(path)
    try:
        docs: list[Any] = list(tokens.DocBin().from_bytes(raw).get_docs(vocab.Vocab()))
    except Exception as error:  # of msgpack, zlib or spaCy, each with its own kinds
        raise DataError(f"{path}: must be a DocBin of spaCy's, got {type(error).__name__}: {error}") from None
    for number, doc in enumerate(docs, start=1):
        marks = [Mark(one.start_char, one.end_char, one.label_, one.text) for one in doc.ents]
        words = [(token.idx, token.idx + len(token)) for token in doc if token.text.strip()]
        sentences = None
        if doc.has_annotation("SENT_START"):
            sentences = [(one.start_char, one.end_char) for one in doc.sents]
        annotations = annotations_of(doc.text, marks, f"{path}:{number}", ask)
        yield Document(doc.text, annotations, str(path), str(number), "", words, sentences)
