"""JSON formats: a record of its own for each labelled text.

Offsets are characters as Python counts them, which are Unicode's code points. Label Studio counts the same since the
end of 2021; before, it counted UTF-16 units. doccano counts UTF-16 units, unless a project counts grapheme clusters.

What else a document says is written beside its text, by the names that it has there, except for columns that hold
texts, words or labels: another reading of the same labels could contradict those that are written.
"""

import json
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any
from xml.sax.saxutils import quoteattr

from ..doors.terminal import Writable
from ..readers.documents import Annotation, Document
from ..readers.rows import TAG_COLUMNS, WORD_COLUMNS
from .layout import lay_out

__all__ = [
    "write_doccano",
    "write_gliner",
    "write_jsonl",
    "write_label_studio",
    "write_labelling_configuration",
    "write_prodigy",
    "write_spacy",
]

LABELS = {*WORD_COLUMNS, *TAG_COLUMNS, "text", "data", "label", "entities", "spans", "sents", "tokenized_text"}
"""Columns of a record that hold its text, words, sentences or labels, in one format or another."""


def write_jsonl(documents: Iterable[Document], file: Writable, options: Any = None) -> None:
    """Write an object a line: `text`, `entities` as `bert-crf tag` writes them, `tokens` and `sents` where known.

    What a tagger finds beside the entities stands in `predicted`, which no reader takes for labels.
    """
    for document in documents:
        row = {**_said(document), "text": document.text, "entities": _entities(document.text, document.annotations)}
        if document.predicted is not None:
            row["predicted"] = _entities(document.text, document.predicted)
        for name, borders in (("tokens", document.words), ("sents", document.sentences)):
            if borders:
                row[name] = [{"start": start, "end": end} for start, end in borders]
        _write_line(row, file)


def _entities(text: str, annotations: Iterable[Annotation]) -> list[dict[str, Any]]:
    return [
        {
            "entity_group": one.kind,
            **_score(one),
            "word": text[one.start : one.end],
            "start": one.start,
            "end": one.end,
        }
        for one in annotations
    ]


def write_doccano(documents: Iterable[Document], file: Writable, options: Any = None) -> None:
    """Write an object a line: `text`, and `label`, a list of [start, end, type].

    doccano counts UTF-16 units. Where these are not characters, each label is the object that doccano reads as well,
    with the text that it covers, of which doccano takes no notice: so a reader can see what is counted.
    """
    for document in documents:
        text = document.text
        units = [0, *accumulate(1 + (letter > "\uffff") for letter in text)]
        label: list[Any] = [[units[one.start], units[one.end], one.kind] for one in document.annotations]
        if units[-1] > len(text):
            label = [
                {"start_offset": start, "end_offset": end, "label": kind, "text": text[one.start : one.end]}
                for one, (start, end, kind) in zip(document.annotations, label, strict=True)
            ]
        _write_line({**_said(document), "text": text, "label": label}, file)


def write_prodigy(documents: Iterable[Document], file: Writable, options: Any = None) -> None:
    """Write an object a line: `text`, `spans`, and `tokens` where the words are known."""
    for document in documents:
        words, text = document.words or [], document.text
        starts, ends = ({border: index for index, border in enumerate(borders)} for borders in _sides(words))
        spans = []
        for one in document.annotations:
            span: dict[str, Any] = {"start": one.start, "end": one.end, "label": one.kind, **_score(one)}
            if one.start in starts and one.end in ends:
                span |= {"token_start": starts[one.start], "token_end": ends[one.end]}
            spans.append(span)
        row = {**_said(document), "text": text, "spans": spans}
        if words:
            row["tokens"] = [
                {"text": text[start:end], "start": start, "end": end, "id": index, "ws": text[end : end + 1] == " "}
                for index, (start, end) in enumerate(words)
            ]
        _write_line(row, file)


def _sides(words: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [start for start, _ in words], [end for _, end in words]


def write_gliner(documents: Iterable[Document], file: Writable, options: Any = None) -> None:
    """Write a JSON array of objects: `tokenized_text`, the words, and `ner`, a list of [first, last word, type]."""
    _write_array((_gliner(document) for document in documents), file)


def _gliner(document: Document) -> dict[str, Any]:
    words, spans = lay_out(document)
    ner = [[first, after - 1, kind] for first, after, kind in spans]
    return {**_said(document), "tokenized_text": [document.text[start:end] for start, end in words], "ner": ner}


def write_spacy(documents: Iterable[Document], file: Writable, options: Any = None) -> None:
    """Write a JSON array of [text, {"entities": [[start, end, type]]}]; spaCy allows no other keys there."""
    rows = (
        [document.text, {"entities": [[one.start, one.end, one.kind] for one in document.annotations]}]
        for document in documents
    )
    _write_array(rows, file)


def write_label_studio(documents: Iterable[Document], file: Writable, options: Any) -> None:
    """Write a JSON array of tasks, with annotations; with predictions if there is a model, or labels have scores.

    Where documents say what a tagger finds beside their annotations, a task has both.

    The id of a document stands among its data, since Label Studio numbers tasks anew.
    """
    _write_array((_task(document, options.model) for document in documents), file)


def _task(document: Document, model: str) -> dict[str, Any]:
    task: dict[str, Any] = {"data": {**_said(document), "text": document.text}}
    found = document.predicted
    if found is None and (model or any(one.score is not None for one in document.annotations)):
        found = document.annotations
    if found is not document.annotations:
        task["annotations"] = [{"result": _regions(document.text, document.annotations, "e")}]
    if found is not None:
        scores = [one.score for one in found if one.score is not None]
        mean = {"score": sum(scores) / len(scores)} if scores else {}
        result = _regions(document.text, found, "e" if found is document.annotations else "p")
        task["predictions"] = [{"model_version": model or "bert-crf", **mean, "result": result}]
    return task


def _regions(text: str, annotations: Iterable[Annotation], name: str) -> list[dict[str, Any]]:
    """Write annotations as Label Studio's results, each with an id that begins with `name`."""
    return [
        {
            "id": f"{name}{number}",
            "from_name": "label",
            "to_name": "text",
            "type": "labels",
            **_score(one),
            "value": {"start": one.start, "end": one.end, "text": text[one.start : one.end], "labels": [one.kind]},
        }
        for number, one in enumerate(annotations)
    ]


def write_labelling_configuration(kinds: Iterable[str], file: Writable) -> None:
    """Write the configuration of a Label Studio project whose tasks `write_label_studio` has written."""
    labels = "".join(f"    <Label value={quoteattr(kind)}/>\n" for kind in kinds)
    file.write(
        "<View>\n"
        "  <Style>.htx-text{ white-space: pre-wrap; }</Style>\n"  # else it leaves out blanks, and counts otherwise
        f'  <Labels name="label" toName="text">\n{labels}  </Labels>\n'
        '  <Text name="text" value="$text"/>\n'
        "</View>\n"
    )


def _said(document: Document) -> dict[str, Any]:
    """Return what a document says beside its text and labels, its id first."""
    name = {"id": document.name} if document.name else {}
    return {**name, **{key: value for key, value in document.meta.items() if key not in LABELS}}


def _score(one: Annotation) -> dict[str, float]:
    return {} if one.score is None else {"score": one.score}


def _write_line(row: Mapping[str, Any], file: Writable) -> None:
    file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_array(rows: Iterable[Any], file: Writable) -> None:
    file.write("[")
    for number, row in enumerate(rows):
        file.write((",\n" if number else "\n") + json.dumps(row, ensure_ascii=False))
    file.write("\n]\n")
