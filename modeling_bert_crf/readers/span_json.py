"""JSON records of a text with spans: doccano, Prodigy, spaCy, GLiNER, Argilla, and what people write themselves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .documents import Annotation, Document
from .marks import Ask, Mark, annotations_of, checked_text, one_annotator
from .sentences import DataError, shown_names

__all__ = ["LISTS", "argilla", "gliner", "has_spans", "is_span", "prodigy", "spacy", "spans"]

LISTS = ("entities", "spans", "label", "labels", "annotations", "ner")
"""Where records keep their spans."""
_STARTS = ("start", "start_offset", "start_char", "begin", "offset_start")
_ENDS = ("end", "end_offset", "end_char", "stop", "offset_end")
_KINDS = ("label", "type", "entity_group", "entity", "entity_type", "kind", "class", "tag", "labels")
_COVERED = ("text", "word", "value", "surface")
_NAMES = ("id", "_id", "doc_id", "document_id", "_task_hash")


def is_span(item: Any) -> bool:
    """Say whether an item of a list looks like a span: `[start, end, type]`, or an object with a start."""
    if isinstance(item, Mapping):
        return any(name in item for name in _STARTS)
    return isinstance(item, list | tuple) and len(item) >= 3 and type(item[0]) is int and isinstance(item[2], str)


def has_spans(record: Mapping[str, Any], text: str = "text") -> bool:
    """Say whether a record is a text with a list of spans, which may be empty."""
    lists = [record[name] for name in LISTS if isinstance(record.get(name), list)]
    return isinstance(record.get(text), str) and any(not items or is_span(items[0]) for items in lists)


def spans(record: Any, source: str, number: int, ask: Ask) -> Document:
    """Read a record such as `{"text": ..., "entities": [[0, 3, "PER"]]}`; of each span also an object is read.

    This is doccano's format, too, which calls the list `label`, or has `entities` and `relations`; relations are
    ignored, and the account says so.
    """
    where = f"{source}:{number}"
    record = _object(record, where)
    text_name = ask.text_column or ("text" if "text" in record or "data" not in record else "data")
    text = checked_text(_field(record, text_name, where, "--text_column_name"), where, repr(text_name))
    lists = LISTS if ask.label_column is None else (ask.label_column,)
    found = [name for name in lists if isinstance(record.get(name), list)]
    filled = [name for name in found if record[name]] or found[:1]
    if len(filled) != 1:
        rule = f"must have one list of annotations named {' or '.join(lists)}"
        raise DataError(
            f"{where}: {rule}, got {' and '.join(filled) or shown_names(record)}; name it with --label_column_name"
        )
    if record.get("relations"):
        ask.account.notes["relations ignored"] += len(record["relations"])
    marks = [_mark(item, where, filled[0]) for item in record[filled[0]]]
    words, sentences = _parts(record, "tokens", text, where), _parts(record, "sents", text, where)
    used = {text_name, *found, "relations", *(["tokens"] if words else []), *(["sents"] if sentences else [])}
    return replace(_document(record, text, marks, source, number, ask, used, words), sentences=sentences)


def prodigy(record: Any, source: str, number: int, ask: Ask) -> Document | None:
    """Read a record of Prodigy; None if its answer is not `accept`."""
    where = f"{source}:{number}"
    record = _object(record, where)
    answer = record.get("answer", "accept")
    if answer != "accept" and not ask.texts_only:
        ask.account.notes[f"records with the answer {answer!r:.20} left out"] += 1
        return None
    text = checked_text(_field(record, "text", where), where, "'text'")
    items = record.get("spans") or []
    if not isinstance(items, list):
        raise DataError(f"{where}: 'spans' must be a list, got {items!r:.60}")
    if record.get("relations"):
        ask.account.notes["relations ignored"] += len(record["relations"])
    marks = [_mark(item, where, "spans") for item in items]
    words = _parts(record, "tokens", text, where)
    return _document(record, text, marks, source, number, ask, {"text", "spans", "tokens", "relations"}, words)


def _parts(record: Mapping[str, Any], name: str, text: str, where: str) -> list[tuple[int, int]] | None:
    """Read the words, or the sentences, of a text, objects with start and end; None if it does not name them."""
    tokens = record.get(name)
    if not isinstance(tokens, list) or not tokens or not all(isinstance(one, Mapping) for one in tokens):
        return None
    words, done = [], 0
    for token in tokens:
        start, end = token.get("start"), token.get("end")
        if type(start) is not int or type(end) is not int or not done <= start < end <= len(text):
            raise DataError(
                f"{where}: {name!r} must be parts of the text, one after the other, got [{start}, {end}) after {done}"
            )
        if text[start:end].strip():  # spaCy's tokenizer makes tokens of several blanks
            words.append((start, end))
        done = end
    return words


def spacy(record: Any, source: str, number: int, ask: Ask) -> Document:
    """Read a pair of spaCy's training data, `["Ada sang.", {"entities": [[0, 3, "PER"]]}]`."""
    where = f"{source}:{number}"
    if not isinstance(record, list) or len(record) != 2 or not isinstance(record[1], Mapping):
        raise DataError(f"{where}: must be a text and an object with entities, got {record!r:.60}")
    text, said = checked_text(record[0], where), record[1]
    items = said.get("entities", [])
    if not isinstance(items, list):
        raise DataError(f"{where}: 'entities' must be a list, got {items!r:.60}")
    marks = [_mark(item, where, "entities") for item in items]
    return _document(said, text, marks, source, number, ask, {"entities"})


def gliner(record: Any, source: str, number: int, ask: Ask) -> Document:
    """Read a record of GLiNER: words in `tokenized_text`, and in `ner` first word, last word and type."""
    where = f"{source}:{number}"
    record = _object(record, where)
    given = record.get("tokenized_text")
    if not isinstance(given, list) or not all(isinstance(word, str) and word.strip() for word in given):
        raise DataError(f"{where}: 'tokenized_text' must be a list of words, got {given!r:.60}")
    words, place = [], 0
    for word in given:
        words.append((place, place + len(word)))
        place += len(word) + 1
    text = checked_text(" ".join(given), where)
    marks = []
    items = _field(record, "ner", where)
    for item in items if isinstance(items, list) else [items]:
        if not isinstance(item, list) or len(item) < 3 or type(item[0]) is not int or type(item[1]) is not int:
            raise DataError(f"{where}: 'ner' must be a list of [first word, last word, type], got {item!r:.60}")
        first, last = item[:2]
        if not 0 <= first <= last < len(words):
            rule = f"must be words from 0 to {len(words) - 1}, the first before the last"
            raise DataError(f"{where}: an annotation {rule}, got {item!r:.60}")
        marks.append(Mark(words[first][0], words[last][1], item[2]))
    return _document(record, text, marks, source, number, ask, {"tokenized_text", "ner"}, words)


def argilla(record: Any, source: str, number: int, ask: Ask) -> Document | None:
    """Read a record of Argilla, of version 1 or 2; None if nobody has answered."""
    where = f"{source}:{number}"
    record = _object(record, where)
    if "fields" not in record:
        return _argilla_1(record, source, number, ask)
    fields = record["fields"]
    if not isinstance(fields, Mapping):
        raise DataError(f"{where}: 'fields' must be an object, got {fields!r:.60}")
    name = ask.text_column or ("text" if "text" in fields else next(iter(fields), "text"))
    text = checked_text(_field(fields, name, where, "--text_column_name"), where, repr(name))
    answers = []
    for question, answer in _responses(record, where):
        value = answer.get("value")
        if ask.label_column not in (None, question) or answer.get("status", "submitted") != "submitted":
            continue
        if isinstance(value, list) and all(map(is_span, value)):
            marks = [_mark(item, where, question) for item in value]
            answers.append((str(answer.get("user_id", "")), marks))
    return _answered(record, text, answers, source, number, ask, {"fields", "responses", "suggestions"})


def _responses(record: Mapping[str, Any], where: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the answers of people, each with the name of its question."""
    responses = record.get("responses") or {}
    found = []
    if isinstance(responses, Mapping):
        for question, given in responses.items():
            found += [(question, one) for one in (given if isinstance(given, list) else [given])]
    elif isinstance(responses, list):  # of version 1's feedback data sets: an object a person
        for one in responses:
            values = one.get("values") if isinstance(one, Mapping) else None
            about = {name: one[name] for name in ("user_id", "status") if name in one}
            found += [(question, {**about, **answer}) for question, answer in (values or {}).items()]
    if not all(isinstance(answer, Mapping) for _, answer in found):
        raise DataError(f"{where}: 'responses' must hold objects, got {responses!r:.60}")
    return found


def _argilla_1(record: Mapping[str, Any], source: str, number: int, ask: Ask) -> Document | None:
    where = f"{source}:{number}"
    text = checked_text(_field(record, "text", where), where, "'text'")
    answers = []
    given = record.get("annotation")
    if given is not None and record.get("status") != "Discarded":
        if not isinstance(given, list):
            raise DataError(f"{where}: 'annotation' must be a list, got {given!r:.60}")
        answers = [(str(record.get("annotation_agent") or ""), [_argilla_mark(item, where) for item in given])]
    used = {"text", "tokens", "prediction", "annotation", "annotation_agent", "prediction_agent"}
    return _answered(record, text, answers, source, number, ask, used)


def _argilla_mark(item: Any, where: str) -> Mark:
    """Read `["PER", 0, 3]`, or an object."""
    if isinstance(item, list) and len(item) >= 3 and isinstance(item[0], str):
        return Mark(item[1], item[2], item[0])
    return _mark(item, where, "annotation")


def _answered(
    record: Mapping[str, Any],
    text: str,
    answers: Sequence[tuple[str, Sequence[Mark]]],
    source: str,
    number: int,
    ask: Ask,
    used: set[str],
) -> Document | None:
    """Return the document with the answers of one person; None, and a note, if there are none."""
    where = f"{source}:{number}"
    found = [(name, annotations_of(text, marks, where, ask)) for name, marks in answers]
    chosen = one_annotator(found, where, ask)
    if chosen is None:
        ask.account.notes["records that nobody has annotated left out"] += 1
        return None
    return Document(text, list(chosen), source, str(number), _name(record), meta=_others(record, used))


def _mark(item: Any, where: str, name: str) -> Mark:
    if isinstance(item, Mapping):
        start, end, kind = (_first(item, names) for names in (_STARTS, _ENDS, _KINDS))
        if isinstance(kind, list) and len(kind) == 1:
            kind = kind[0]
        return Mark(start, end, kind, _first(item, _COVERED))
    if isinstance(item, list | tuple) and len(item) >= 3:
        return Mark(item[0], item[1], item[2])
    rule = "must hold annotations such as [start, end, type] or objects with start, end and label"
    raise DataError(f"{where}: {name!r} {rule}, got {item!r:.60}")


def _first(item: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((item[name] for name in names if name in item), None)


def _object(record: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(record, Mapping):
        raise DataError(f"{where}: must be a JSON object, got {record!r:.60}")
    return record


def _field(record: Mapping[str, Any], name: str, where: str, option: str = "") -> Any:
    if name not in record:
        cure = f"; name it with {option}" if option else ""
        raise DataError(f"{where}: must have a field {name!r}, got {shown_names(record)}{cure}")
    return record[name]


def _document(
    record: Mapping[str, Any],
    text: str,
    marks: Sequence[Mark],
    source: str,
    number: int,
    ask: Ask,
    used: set[str],
    words: list[tuple[int, int]] | None = None,
) -> Document:
    annotations: list[Annotation] = annotations_of(text, marks, f"{source}:{number}", ask)
    return Document(text, annotations, source, str(number), _name(record), words, meta=_others(record, used))


def _name(record: Mapping[str, Any]) -> str:
    name = _first(record, _NAMES)
    return str(name) if isinstance(name, str | int) else ""


def _others(record: Mapping[str, Any], used: set[str]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in used}


RecordReader = Callable[[Any, str, int, Ask], Document | None]
"""Reads a record; None if it holds no annotations that count."""
