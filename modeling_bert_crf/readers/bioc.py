"""BioC, as XML and as JSON: documents of passages, whose annotations have offsets in the whole document."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .documents import Annotation, Document
from .marks import Ask, Mark, annotations_of, checked_text
from .sentences import DataError

__all__ = ["bioc", "read_bioc_xml"]

# The library `bioc` reads this format, too, but it needs lxml, and reads no file piece by piece in both its forms.


def bioc(record: Any, source: str, number: int, ask: Ask) -> Document:
    """Read a document of BioC's JSON. Relations are ignored, and the account says so.

    The passages become the paragraphs of one text. Annotations in several parts are left out.
    """
    where = f"{source}:{number}"
    if not isinstance(record, dict) or not _are_objects(record.get("passages")):
        raise DataError(f"{where}: must be a document with 'passages', a list of objects, got {record!r:.60}")
    text, annotations, sentences = "", [], []
    for passage in record["passages"]:
        given = passage.get("sentences")
        pieces = given if _are_objects(given) and given and not passage.get("text") else [passage]
        for number_of_piece, piece in enumerate(pieces):
            own = checked_text(piece.get("text") or "", where)
            found = _annotations(own, piece, where, ask)
            if text:
                text += "\n" if number_of_piece == 0 else " "
            begin = len(text)
            text += own
            annotations += [Annotation(start + begin, end + begin, kind) for start, end, kind, _ in found]
            if len(pieces) > 1 or given:
                sentences.append((begin, len(text)))
    if relations := sum(len(one.get("relations") or []) for one in (record, *record["passages"])):
        ask.account.notes["relations ignored"] += relations
    meta = dict(record.get("infons") or {})
    name = str(record.get("id", ""))
    whole = sentences if len(sentences) > 1 else None
    return Document(text, annotations, source, str(number), name, None, whole, meta)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and {*map(type, value)} <= {dict}


def _annotations(text: str, piece: Mapping[str, Any], where: str, ask: Ask) -> list[Annotation]:
    offset, given = piece.get("offset", 0), piece.get("annotations") or []
    if type(offset) is not int or not _are_objects(given):
        raise DataError(f"{where}: a passage must have an 'offset' and 'annotations', got {offset!r:.60}")
    marks = []
    for one in given:
        infons, parts = one.get("infons") or {}, one.get("locations")
        if not (isinstance(infons, dict) and isinstance(parts, list) and parts and isinstance(parts[0], dict)):
            raise DataError(f"{where}: an annotation must have 'infons' and 'locations', got {one!r:.60}")
        kind = infons.get("type", infons.get("class"))
        if len(parts) > 1:
            ask.account.add("dropped", str(kind), where, str(one.get("text")), "in several parts")
            continue
        start, length = parts[0].get("offset"), parts[0].get("length")
        if type(start) is not int or type(length) is not int:
            raise DataError(f"{where}: 'locations' must hold offsets and lengths, got {parts[0]!r:.60}")
        marks.append(Mark(start - offset, start - offset + length, kind, one.get("text")))
    return annotations_of(text, marks, where, ask)


def read_bioc_xml(path: Path, ask: Ask) -> Iterator[Document]:
    """Yield the documents of a BioC XML file while they are asked for.

    Raises:
        DataError: if the file is not XML, or a document is not what it should be.
    """
    source, number = str(path), 0
    try:
        with path.open("rb") as file:
            root = None
            for event, element in ElementTree.iterparse(file, events=("start", "end")):
                root = element if root is None else root
                if event == "end" and element.tag == "document":
                    number += 1
                    yield bioc(_record(element, f"{source}:{number}"), source, number, ask)
                    root.clear()  # what is read
    except ElementTree.ParseError as error:
        raise DataError(f"{source}:{error.position[0]}: must be XML, got {error.msg.split(':')[0]}") from None
    if number == 0:
        raise DataError(f"{source}: must hold documents of BioC, got none")


def _record(element: ElementTree.Element, where: str) -> dict[str, Any]:
    """Write a document of the XML as the JSON has it."""
    passages = []
    for passage in element.findall("passage"):
        sentences = [_piece(sentence, where) for sentence in passage.findall("sentence")]
        passages.append({**_piece(passage, where), "sentences": sentences})
    relations = list(element.iter("relation"))
    return {
        "id": (element.findtext("id") or "").strip(),
        "infons": _infons(element),
        "passages": passages,
        "relations": relations,
    }


def _piece(element: ElementTree.Element, where: str) -> dict[str, Any]:
    annotations = []
    for one in element.findall("annotation"):
        parts = [
            {name: _number(part.get(name), where) for name in ("offset", "length")} for part in one.findall("location")
        ]
        annotations.append({"infons": _infons(one), "text": one.findtext("text"), "locations": parts})
    offset = _number(element.findtext("offset"), where)
    return {"offset": offset, "text": element.findtext("text"), "annotations": annotations}


def _number(text: str | None, where: str) -> int:
    if text is not None and (
        (len(text) < 19 and text.isascii() and text.isdecimal()) or re.fullmatch(r"\s*-?[0-9]{1,18}\s*", text)
    ):
        return int(text)
    raise DataError(f"{where}: an offset or a length must be a whole number, got {text!r:.60}")


def _infons(element: ElementTree.Element) -> dict[str, str]:
    return {one.get("key", ""): one.text or "" for one in element.findall("infon")}
