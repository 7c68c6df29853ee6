"""What `metrics.json` says of a run, laid out for the templates of cards and reports."""

from collections.abc import Mapping
from typing import Any

_OPTIONAL = (
    "base_model",
    "best_by",
    "best_step",
    "command",
    "data",
    "dataset",
    "dataset_license",
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
"""Facts that a template may use though a run, or somebody's own Trainer, does not know them: None there."""
_MEASURED = ("strict", "conlleval", "interval", "calibration", "errors", "forms")


def template_values(facts: Mapping[str, Any], scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what templates of cards and reports are filled in with: what was not measured is None.

    Returns:
        The facts, the `scores`, `shown`, the split whose figures are shown where there is room for one (see
        `shown_split`), and its `figures`.
    """
    whole = {split: dict.fromkeys(_MEASURED) | dict(figures) for split, figures in scores.items()}
    shown = shown_split(scores)
    figures = dict.fromkeys(_MEASURED) | {"accuracy": None} if shown is None else whole[shown]
    return dict.fromkeys(_OPTIONAL) | dict(facts) | {"scores": whole, "shown": shown, "figures": figures}


def shown_split(scores: Mapping[str, Any]) -> str | None:
    """Name the test part if it was scored, else the validation part."""
    return next((split for split in ("test", "validation") if split in scores), None)
