"""The HTML report of a finished run: one file that needs no other, made from the run's `metrics.json`."""

import json
from base64 import b64encode
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError

from ..pages.render import render
from ..scores.mistakes import KINDS
from .card import percent
from .figures import shown_split, template_values
from .plots import draw_plots

__all__ = ["METRICS", "ReportError", "make_report", "read_metrics"]

METRICS = "metrics.json"
_PLOTS = {
    "learning": "the learning curve (of runs with --do_train)",
    "errors": "the kinds of errors (of tags with a scheme such as IOB2)",
    "calibration": "the calibration plot (where a validation or test part was tagged and entities were found)",
    "transitions": "the CRF's transitions (of up to 60 tags)",
}


class ReportError(ValueError):
    """A report cannot be made; the message says why."""


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


def make_report(metrics: Mapping[str, Any]) -> str:
    """Return the page of a run. It names what an older or a shorter run has not measured.

    Args:
        metrics: the content of `metrics.json`.

    Raises:
        ReportError: if that is not what a run writes.
    """
    try:
        plots = draw_plots(metrics, metrics["scores"])
        return render(
            "report.html",
            **template_values(metrics, metrics["scores"]),
            title=f"Report: {metrics.get('model_name', 'a run')}",
            plots={name: "data:image/png;base64," + b64encode(image).decode() for name, image in plots.items()},
            missing=_missing(metrics, plots),
            kinds=KINDS,
            percent=percent,
        )
    except (UndefinedError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        said = " ".join(str(error).split())
        raise ReportError(f"{METRICS} does not hold what bert-crf train writes: {said}") from error


def _missing(metrics: Mapping[str, Any], plots: Collection[str]) -> list[str]:
    """List what the page cannot show."""
    figures = metrics["scores"].get(shown_split(metrics["scores"]) or "", {})
    said = {} if metrics["scores"] else {"scores: neither --do_eval nor --do_predict was asked for": True}
    said |= {text: name not in plots for name, text in _PLOTS.items()}
    said["the interval of the score"] = not figures.get("interval")
    said["entities seen in training against others (of runs with --do_train)"] = not figures.get("forms")
    said["the command"] = not metrics.get("command")
    return [text for text, is_missing in said.items() if is_missing]
