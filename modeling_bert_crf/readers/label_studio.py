"""Label Studio's exports: JSON, with all annotations of each task, and JSON-MIN, with a row for each annotation."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from .documents import Annotation, Document
from .marks import Ask, Mark, annotations_of, checked_text, one_annotator
from .sentences import DataError, shown_names

__all__ = ["is_row", "is_task", "label_studio"]

_OF_ROWS = {"annotation_id", "annotator", "created_at", "updated_at", "lead_time"}


def is_task(record: Any) -> bool:
    """Say whether a record is a task of the JSON export."""
    return isinstance(record, Mapping) and isinstance(record.get("data"), Mapping)


def is_row(record: Any) -> bool:
    """Say whether a record is a row of the JSON-MIN export."""
    return isinstance(record, Mapping) and len(record.keys() & _OF_ROWS) >= 2


def label_studio(values: Iterable[tuple[int, Any]], source: str, ask: Ask) -> Iterator[Document]:
    """Yield the documents of an export, in either form, while they are asked for.

    Raises:
        DataError: if a task is not what it should be, or is annotated differently by several people and the request
            names none of them.
    """
    for _, group in groupby(values, key=_key):
        records = list(group)
        number, first = records[0]
        where = f"{source}:{number}"
        if is_task(first):
            data, answers = first["data"], _answers(first, where, ask)
        elif isinstance(first, Mapping):
            data = {name: value for name, value in first.items() if not _is_result(value)}
            answers = [_answer_of_row(row, f"{source}:{line}", ask) for line, row in records]
        else:
            raise DataError(f"{where}: must be a task of Label Studio, got {first!r:.60}")
        name = _text_name(data, [result for _, results in answers for result in results], where, ask)
        text = checked_text(data[name], where, repr(name))
        found = [(who, _annotations(text, results, where, ask)) for who, results in answers]
        chosen = one_annotator(found, where, ask)
        if chosen is None:
            ask.account.notes["tasks that nobody has annotated left out"] += 1
            continue
        # Label Studio numbers tasks anew; an id among the data is the user's own.
        identity = data.get("id", first.get("id", first.get("annotation_id", "")))
        meta = {key: value for key, value in data.items() if key != name and key not in {*_OF_ROWS, "id"}}
        yield Document(text, list(chosen), source, str(number), str(identity), meta=meta)


def _key(numbered: tuple[int, Any]) -> Any:
    """Return what rows of one task have in common; a task of its own stands alone."""
    number, record = numbered
    if is_row(record) and not is_task(record) and isinstance(record.get("id"), int | str):
        return "id", record["id"]
    return "number", number


def _answers(task: Mapping[str, Any], where: str, ask: Ask) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Return the names of a task's annotators, and what each has marked. The ground truth comes before all others."""
    given = task.get("annotations", task.get("completions", []))
    if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
        raise DataError(f"{where}: 'annotations' must be a list of objects, got {given!r:.60}")
    given = [one for one in given if not (one.get("was_cancelled") or one.get("skipped"))]
    truth = [one for one in given if one.get("ground_truth")]
    return [(_who(one.get("completed_by")), _results(one.get("result"), where)) for one in truth or given]


def _answer_of_row(row: Mapping[str, Any], where: str, ask: Ask) -> tuple[str, list[Mapping[str, Any]]]:
    named = {name: value for name, value in row.items() if ask.label_column in (None, name)}
    lists = [value for value in named.values() if value and _is_result(value)]
    if len(lists) > 1:
        raise DataError(f"{where}: must have one list of labels, got {len(lists)}; name it with --label_column_name")
    return _who(row.get("annotator")), [{"type": "labels", "value": value} for value in (lists[0] if lists else [])]


def _is_result(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) and "start" in one for one in value)


def _who(given: Any) -> str:
    """Name an annotator: by an email, or by a number."""
    if isinstance(given, Mapping):
        given = given.get("email", given.get("id", ""))
    return "" if given is None else str(given)


def _results(given: Any, where: str) -> list[Mapping[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
        raise DataError(f"{where}: 'result' must be a list of objects, got {given!r:.60}")
    return given


def _text_name(data: Mapping[str, Any], results: Sequence[Mapping[str, Any]], where: str, ask: Ask) -> str:
    """Name the field of a task that holds the text: the one asked for, `text`, or the only one that is a text."""
    if ask.text_column is not None:
        names = [ask.text_column] if ask.text_column in data else []
    elif isinstance(data.get("text"), str):
        names = ["text"]
    else:
        names = [name for name, value in data.items() if isinstance(value, str) and name not in _OF_ROWS]
    if len(names) != 1:
        rule = f"must have a field {ask.text_column!r}" if ask.text_column else "must have one field with a text"
        raise DataError(f"{where}: {rule}, got {shown_names(names or data)}; name it with --text_column_name")
    return names[0]


def _annotations(text: str, results: Sequence[Mapping[str, Any]], where: str, ask: Ask) -> list[Annotation]:
    marks = []
    for result in results:
        value = result.get("value")
        if ask.label_column not in (None, result.get("from_name")) and "from_name" in result:
            continue
        value = value if isinstance(value, Mapping) else {}
        kinds = value.get("labels", value.get("hypertextlabels"))
        if kinds is None:
            what = str(result.get("type", "results without a type"))
            ask.account.notes[f"{what:.40} ignored, since it marks no span"] += 1
            continue
        if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
            raise DataError(f"{where}: 'labels' must be a list of types, got {kinds!r:.60}")
        at = value.get("globalOffsets")
        at = at if isinstance(at, Mapping) else value
        marks += [Mark(at.get("start"), at.get("end"), kind, value.get("text")) for kind in kinds]
    return annotations_of(text, marks, where, ask)
