"""What a finished run leaves of the sentences that it was tested on: they, and what was found in them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..readers.columns import number_lines
from ..readers.files import read_file, read_objects
from ..readers.partial import find_partial
from ..readers.sentences import DataError
from ..readers.spelling import respell
from ..schemes import Span, span_scheme, tags_to_spans
from ..scores.judged import Judged
from ..scores.known import known_part
from ..scores.mistakes import strict_spans
from .errors import ReportError

__all__ = ["ENTITIES", "METRICS", "PREDICTIONS", "read_judged", "read_metrics"]

METRICS = "metrics.json"
PREDICTIONS = "predictions.conll"
"""Word, gold tag and predicted tag of the test part. It stays in the folder when that is pushed."""
ENTITIES = "entities.jsonl"
"""How probable each entity there is, without any text."""


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read what a run has measured, with its facts.

    Raises:
        ReportError: if the folder is not that of a finished run.
    """
    path = folder / METRICS
    if not folder.is_dir():
        raise ReportError(f"{folder} is no folder: name the --output_dir of a run")
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ReportError(f"{folder} holds no {METRICS}: name the --output_dir of a finished run") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ReportError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(metrics, dict) or not isinstance(metrics.get("scores"), dict) or "labels" not in metrics:
        raise ReportError(f"{path} must hold the `scores` and `labels` of a run of bert-crf train")
    return metrics


def read_judged(folder: Path, metrics: Mapping[str, Any]) -> list[Judged] | None:
    """Read the sentences that a run was tested on, with their entities.

    Args:
        folder: of the run.
        metrics: what `read_metrics` returns of it.

    Returns:
        The sentences; without probabilities if an older version made the run. None if it was not tested.

    Raises:
        ReportError: if a file cannot be read, or is not of this run.
    """
    path = folder / PREDICTIONS
    if not path.is_file():
        return None
    try:
        scheme = span_scheme(metrics.get("scheme"), metrics["labels"])
        sides = zip(*(read_file(path, tag_column=column) for column in ("1", "2")), strict=True)
        judged = []
        for gold, found in sides:
            gold = respell(gold, find_partial(set(gold.tags), metrics["labels"]))
            there, own = (_spans(tags, scheme) for tags in known_part(gold.tags, found.tags, scheme))
            judged.append(Judged(gold.words, there, own, place=f"{PREDICTIONS}:{gold.lines[0]}"))
        return _with_probabilities(judged, folder / ENTITIES) if (folder / ENTITIES).is_file() and scheme else judged
    except DataError as error:
        raise ReportError(str(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{folder / METRICS} does not hold what bert-crf train writes: {error}") from error


def _spans(tags: list[str], scheme: str | None) -> list[Span]:
    return tags_to_spans(tags, None) if scheme is None else strict_spans(tags, scheme)


def _with_probabilities(judged: list[Judged], path: Path) -> list[Judged]:
    """Add what is known of each entity to the sentences."""
    known: list[dict[Span, tuple[float | None, bool | None]]] = [{} for _ in judged]
    with path.open("rb") as file:
        for line, row in read_objects(number_lines(file, str(path)), str(path)):
            span: Any = (row.get("start"), row.get("end"), row.get("type"))
            number = row.get("sentence")
            if type(number) is not int or not 0 <= number < len(judged) or span not in _entities(judged[number]):
                raise DataError(f"{path}:{line}: must name an entity of {PREDICTIONS}, got {json.dumps(row)[:80]}")
            known[number][span] = row.get("probability"), row.get("seen")
    for one, own in zip(judged, known, strict=True):
        if lacking := _entities(one) - own.keys():
            raise DataError(
                f"{path}: must name all entities of {PREDICTIONS}, got none for {min(lacking)} at {one.place}"
            )
    is_known = [all(value[side] is not None for own in known for value in own.values()) for side in (0, 1)]
    return [
        one._replace(
            probabilities={span: value[0] for span, value in own.items()} if is_known[0] else None,
            seen={span for span, value in own.items() if value[1]} if is_known[1] else None,
        )
        for one, own in zip(judged, known, strict=True)
    ]


def _entities(judged: Judged) -> set[Any]:
    return {*judged.gold, *judged.predicted}
