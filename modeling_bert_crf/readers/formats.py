"""The table of formats: by what each is known, and what reads it."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import span_json
from .bioc import bioc, read_bioc_xml
from .brat import is_ann, read_brat
from .columns import read_bytes
from .documents import Document
from .json_files import PARQUET, read_values
from .label_studio import is_row, is_task, label_studio
from .marks import Ask
from .pubtator import is_pubtator, read_pubtator
from .rows import TAG_COLUMNS, WORD_COLUMNS
from .sentences import DataError
from .spacy_docs import is_docbin, read_docbin

__all__ = ["FORMATS", "OF_SENTENCES", "documents_of_rows", "find_format", "format_of_record", "read_documents"]

OF_SENTENCES = ("conll", "conllu", "jsonl")
"""Formats of words and tags, which `files.py` reads: columns, CoNLL-U, and JSON of words and tags."""


class _Records(NamedTuple):
    """A format of JSON values, each a document."""

    fits: Callable[[Any], bool]
    read: Callable[[Any, str, int, Ask], Document | None]


def _has(name: str) -> Callable[[Any], bool]:
    return lambda record: isinstance(record, Mapping) and name in record


def _is_prodigy(record: Any) -> bool:
    if not isinstance(record, Mapping) or not isinstance(record.get("text"), str):
        return False
    has_words = "spans" in record and isinstance(record.get("tokens"), list)
    return has_words or "_input_hash" in record or ("answer" in record and isinstance(record.get("spans", []), list))


def _is_argilla(record: Any) -> bool:
    if not isinstance(record, Mapping):
        return False
    return isinstance(record.get("fields"), Mapping) or {"annotation", "annotation_agent"} <= record.keys()


def _is_spans(record: Any) -> bool:
    return isinstance(record, Mapping) and span_json.has_spans(record)


def _is_pair(record: Any) -> bool:
    return isinstance(record, list) and len(record) == 2 and isinstance(record[1], Mapping)


_RECORDS = {
    "gliner": _Records(_has("tokenized_text"), span_json.gliner),
    "bioc": _Records(_has("passages"), bioc),
    "argilla": _Records(_is_argilla, span_json.argilla),
    "prodigy": _Records(_is_prodigy, span_json.prodigy),
    "spacy": _Records(_is_pair, span_json.spacy),
    "doccano": _Records(_is_spans, span_json.spans),
}
FORMATS = (*OF_SENTENCES, "doccano", "spans", "label-studio", "brat", *_RECORDS.keys() - {"doccano"}, "pubtator")
FORMATS = (*FORMATS[:6], *sorted(FORMATS[6:]))
"""Names of all formats that can be read. `doccano` and `spans` are read alike."""


def find_format(path: Path, data_format: str | None = None, ask: Ask | None = None) -> str:
    """Name the format of a file, or a folder: the one that is asked for, or the one that its content shows.

    Raises:
        DataError: if there is no such file.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.is_dir():
        return "brat"
    if data_format is not None:
        return data_format
    head = read_bytes(path, 1 << 14)
    if head.startswith(PARQUET):
        return _json_format(path, ask or Ask())
    if is_docbin(head):
        return "spacy"
    text = head.decode("utf-8-sig", "replace").lstrip()
    if re.match(r"<\?xml\b|<!DOCTYPE collection\b|<collection\b[^>]*>\s*<", text):
        return "bioc"
    first = text.partition("\n")[0].rstrip("\r")
    if is_pubtator(text):
        return "pubtator"
    ending = path.suffix.lower()
    if ending == ".ann" or is_ann(first) or (ending == ".txt" and path.with_suffix(".ann").is_file()):
        return "brat"
    if ending in (".json", ".jsonl") or (text[:1] in ("{", "[") and _is_json(first)):
        return _json_format(path, ask or Ask())
    return "conllu" if ending == ".conllu" else "conll"


def _is_json(line: str) -> bool:
    """Say whether a line may begin JSON: the words `{` and `[` of a column file have a tag behind them."""
    try:
        json.loads(line)
    except ValueError as error:
        return getattr(error, "pos", 0) >= len(line.rstrip()) or len(line) > 10_000
    return True


def _json_format(path: Path, ask: Ask) -> str:
    try:
        record = next((value for _, value in read_values(path)), None)
    except DataError:  # whoever reads it all will say so, and where
        return "jsonl"
    return format_of_record(record, ask) or "jsonl"


def format_of_record(record: Any, ask: Ask | None = None) -> str | None:
    """Name the format of spans that a JSON value, or a row of a data set, is in; None if it is in none of them."""
    if ask is not None and isinstance(record, Mapping) and ask.text_column in record:
        record = {**record, "text": record[ask.text_column]}
        if ask.label_column in record and isinstance(record["text"], str):
            record["entities"] = record[ask.label_column]
    if _is_words_and_tags(record):
        return None
    if is_task(record) or is_row(record):
        return "label-studio"
    return next((name for name, one in _RECORDS.items() if one.fits(record)), None)


def _is_words_and_tags(record: Any) -> bool:
    if not isinstance(record, Mapping):
        return False
    words = [record[name] for name in WORD_COLUMNS if isinstance(record.get(name), list)]
    tags = [record[name] for name in TAG_COLUMNS if isinstance(record.get(name), list)]
    pairs = ((one, other) for one in words for other in tags)
    return any(len(one) == len(other) and all(map(_is_cell, one)) and all(map(_is_tag, other)) for one, other in pairs)


def _is_cell(value: Any) -> bool:
    return isinstance(value, str | int)


def _is_tag(value: Any) -> bool:
    """Say whether a value is a tag, several of which one is right, or null, which is an unknown one."""
    is_choice = isinstance(value, list) and len({type(one) for one in value}) == 1 and _is_cell(value[0])
    return value is None or _is_cell(value) or is_choice


def read_documents(path: str | Path, data_format: str | None = None, ask: Ask | None = None) -> Iterator[Document]:
    """Yield the documents of a file, or of a folder, in a format of spans over text, while they are asked for.

    Args:
        path: a file, or a folder of brat's.
        data_format: one of `FORMATS`; None finds it out.
        ask: how the file is to be read. Its account counts what is ignored.

    Raises:
        DataError: if there is no such file, it holds words and tags instead, or something in it is not what it should
            be. It names the file and the line, or the number of the record.
    """
    path, ask = Path(path), ask or Ask()
    name = find_format(path, data_format, ask)
    if name in OF_SENTENCES:
        raise DataError(f"{path}: must hold texts with spans, got {name}: words with tags")
    if name == "brat":
        yield from read_brat(path, ask)
    elif name == "pubtator":
        yield from read_pubtator(path, ask)
    elif name == "bioc" and _begins(path, b"<"):
        yield from read_bioc_xml(path, ask)
    elif name == "spacy" and is_docbin(read_bytes(path, 2)):
        yield from read_docbin(path, ask)
    else:
        yield from documents_of_rows(read_values(path), str(path), name, ask)


def documents_of_rows(values: Iterable[tuple[int, Any]], source: str, name: str, ask: Ask) -> Iterator[Document]:
    """Yield the documents of JSON values, or of rows of a data set, each with its number, in a format of that name."""
    if name == "label-studio":
        yield from label_studio(values, source, ask)
        return
    read = _RECORDS["doccano" if name == "spans" else name].read
    for number, value in values:
        if (document := read(value, source, number, ask)) is not None:
            yield document


def _begins(path: Path, *signs: bytes) -> bool:
    return read_bytes(path, 256).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(signs)
