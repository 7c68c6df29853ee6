"""The HTML report of a finished run: one file that needs no other, made from what the run left in its folder."""

from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jinja2 import UndefinedError

from ..pages.render import render
from ..scores.judged import Judged, choose
from ..scores.mistakes import KINDS
from .card import percent
from .errors import ReportError
from .figures import shown_split, template_values
from .mistakes import mistakes_section
from .plots import draw_plots
from .runs import METRICS

__all__ = ["make_report", "verdict"]

_PLOTS = {
    "learning": "the learning curve (of runs with --do_train)",
    "errors": "the kinds of errors (of tags with a scheme such as IOB2)",
    "calibration": "the calibration plot (where a validation or test part was tagged and entities were found)",
    "transitions": "the CRF's transitions (of up to 60 tags)",
}


def make_report(metrics: Mapping[str, Any], judged: Sequence[Judged] | None = None) -> str:
    """Return the page of a run. It names what an older or a shorter run has not measured.

    Args:
        metrics: the content of `metrics.json`.
        judged: the sentences of its test part, as `read_judged` returns them.

    Raises:
        ReportError: if that is not what a run writes.
    """
    try:
        plots = draw_plots(metrics, metrics["scores"])
        section = None if judged is None else mistakes_section(choose(judged), len(judged))
        return render(
            "report.html",
            **template_values(metrics, metrics["scores"]),
            verdict=verdict(metrics["scores"].get(shown_split(metrics["scores"]) or "", {}), section),
            sections=_sections(metrics["scores"], plots, section),
            title=f"Report: {metrics.get('model_name', 'a run')}",
            plots={name: "data:image/png;base64," + b64encode(image).decode() for name, image in plots.items()},
            missing=_missing(metrics, plots, judged),
            mistakes=section,
            kinds=KINDS,
            percent=percent,
        )
    except (UndefinedError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        said = " ".join(str(error).split())
        raise ReportError(f"{METRICS} does not hold what bert-crf train writes: {said}") from error


def verdict(figures: Mapping[str, Any], section: Mapping[str, Any] | None = None) -> str:
    """Say in sentences how good a tagger is; nothing where that was not measured.

    Args:
        figures: the scores of a split.
        section: its mistakes, as `mistakes_section` lays them out.

    >>> scores = {"precision": 0.949, "recall": 0.8, "f1": 0.868}
    >>> verdict({"strict": scores})
    'Of 100 entities that it finds 95 are right, and of 100 that are there it finds 80.'
    """
    if not figures.get("strict"):
        return ""
    right, found = (f"{100 * figures['strict'][name]:.0f}" for name in ("precision", "recall"))
    said = [f"Of 100 entities that it finds {right} are right, and of 100 that are there it finds {found}."]
    if section and section["groups"]:
        first = section["groups"][0]
        said.append(f"The commonest mistake, {first['count']:,} of {section['mistakes']:,}: {first['title']}.")
    if calibration := figures.get("calibration"):
        said.append(f"Its probabilities are {percent(calibration['error'])} points off on average.")
    return " ".join(said)


def _sections(
    scores: Mapping[str, Any], plots: Collection[str], section: Mapping[str, Any] | None
) -> list[tuple[str, str]]:
    """List the sections of the page in its order: their names in addresses, and their titles."""
    shown = shown_split(scores)
    results = [(split, f"Results: {split}") for split in sorted(scores, key=lambda split: split != shown)]
    drawn = {"calibration": "Calibration", "learning": "Learning curve", "transitions": "Transitions"}
    plotted = [(name, text) for name, text in drawn.items() if name in plots]
    mistakes = [] if section is None else [("mistakes", "Mistakes in sentences")]
    calibration = plotted[: "calibration" in plots]
    return [*results[:1], *mistakes, *calibration, *results[1:], *plotted[len(calibration) :], ("run", "The run")]


def _missing(metrics: Mapping[str, Any], plots: Collection[str], judged: Sequence[Judged] | None) -> list[str]:
    """List what the page cannot show."""
    figures = metrics["scores"].get(shown_split(metrics["scores"]) or "", {})
    said = {} if metrics["scores"] else {"scores: neither --do_eval nor --do_predict was asked for": True}
    said |= {text: name not in plots for name, text in _PLOTS.items()}
    said["the interval of the score"] = not figures.get("interval")
    said["entities seen in training against others (of runs with --do_train)"] = not figures.get("forms")
    said["mistakes in sentences (of runs with --do_predict)"] = judged is None
    said["the command"] = not metrics.get("command")
    return [text for text, is_missing in said.items() if is_missing]
