"""The content of `metrics.json`, laid out for the templates of cards and reports."""

from collections.abc import Mapping
from typing import Any

__all__ = ["shown_split", "template_values"]

_OPTIONAL = (
    "base_license",
    "base_model",
    "best_by",
    "best_step",
    "command",
    "data",
    "dataset",
    "dataset_license",
    "examples",
    "hardware",
    "hub",
    "language",
    "learning_curve",
    "license",
    "parameters",
    "scheme",
    "settings",
    "speed",
    "temperature",
    "transitions",
    "types",
    "versions",
)
"""Facts that a template may always use. They are None where a run, or somebody's own Trainer, does not know them."""
_MEASURED = ("strict", "conlleval", "interval", "calibration", "errors", "forms", "overlap")


def template_values(facts: Mapping[str, Any], scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the values that templates of cards and reports are filled in with; what was not measured is None.

    Returns:
        The facts; the `scores`; `shown`, the name of the split that is shown where there is room for one only (see
        `shown_split`); and `figures`, the scores of that split.
    """
    whole = {split: dict.fromkeys(_MEASURED) | dict(figures) for split, figures in scores.items()}
    shown = shown_split(scores)
    figures = dict.fromkeys(_MEASURED) | {"accuracy": None} if shown is None else whole[shown]
    return dict.fromkeys(_OPTIONAL) | dict(facts) | {"scores": whole, "shown": shown, "figures": figures}


def shown_split(scores: Mapping[str, Any]) -> str | None:
    """Name the test split if it was scored, else the validation split; None if neither was."""
    return next((split for split in ("test", "validation") if split in scores), None)
