"""The model card of a finished run: its figures filled into a template."""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from .figures import template_values

__all__ = ["TEMPLATE", "card_data", "clean", "code", "escape", "fence", "listed", "percent", "write_card"]

TEMPLATE = Path(__file__).with_name("card.md")
"""The template of the card that a run writes."""


def write_card(
    path: Path,
    template: Path,
    facts: Mapping[str, Any],
    scores: Mapping[str, Mapping[str, Any]],
    plots: Collection[str] = (),
) -> None:
    """Write a model card. All that it says comes from `metrics.json`.

    Args:
        path: of the card.
        template: a Jinja template, which may use every fact by its name, `scores`, `plots`, `shown` and `card_data`.
            What is filled in is text: markup in the name of a label or a data set is escaped.
        facts: as `run_facts` gathers them; at least `model_name` and `labels`.
        scores: of each split that was scored, as `evaluate` or `score_tags` returns them.
        plots: the names of the plots that stand in `plots/` beside the card.
    """
    environment = Environment(
        undefined=StrictUndefined, finalize=escape, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"code": code, "fence": fence, "listed": listed, "percent": percent}
    filled = environment.from_string(template.read_text(encoding="utf-8")).render(
        template_values(facts, scores), card_data=Markup(card_data(facts, scores).to_yaml()), plots=plots
    )
    path.write_text(re.sub(r"\n{3,}", "\n\n", filled), encoding="utf-8")


def card_data(facts: Mapping[str, Any], scores: Mapping[str, Mapping[str, Any]]) -> ModelCardData:
    """Return the metadata of the card: what the Hub searches by, and the scores as its `model-index`."""
    hub = facts.get("hub") or {}
    name, family = clean(facts["model_name"]), facts.get("encoder_family")
    results = _results(facts.get("dataset"), scores)
    return ModelCardData(
        base_model=hub.get("base_model"),
        datasets=[hub["dataset"]] if hub.get("dataset") else None,
        language=facts.get("language"),
        license=facts.get("license"),
        widget=[{"text": text} for text in facts.get("examples") or []] or None,
        library_name="transformers",
        metrics=sorted({result.metric_type for result in results}) or None,
        pipeline_tag="token-classification",
        tags=["token-classification", "named-entity-recognition", *([family] if family else []), "bilstm", "crf"],
        model_name=name,
        eval_results=results or None,
    )


def _results(dataset: str | None, scores: Mapping[str, Mapping[str, Any]]) -> list[EvalResult]:
    name = clean(dataset or "unnamed")
    figures = [
        (split, metric, f"{label} ({convention})", values[convention][metric])
        for split, values in scores.items()
        for convention in ("strict", "conlleval")
        if convention in values
        for metric, label in (("f1", "F1"), ("precision", "Precision"), ("recall", "Recall"))
    ]
    figures += [(split, "accuracy", "Accuracy of words", values["accuracy"]) for split, values in scores.items()]
    return [
        EvalResult(
            task_type="token-classification",
            task_name="Token Classification",
            dataset_type=_identifier(name),
            dataset_name=name,
            dataset_split=split,
            metric_type=metric,
            metric_name=label,
            metric_value=round(value, 4),
        )
        for split, metric, label, value in figures
    ]


def _identifier(name: str) -> str:
    """Return a name as the Hub accepts it for a data set: with letters, digits, `.`, `-`, `_`, and one slash."""
    parts = [re.sub(r"[^\w.-]+", "-", part, flags=re.ASCII).strip("-") for part in name.split("/")[-2:]]
    return "/".join(part for part in parts if part) or "unnamed"


def clean(text: str) -> str:
    """Return a name on one line, without control characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def escape(value: Any) -> Any:
    """Return a text so that Markdown shows it as it is, also in a table.

    >>> print(escape("a|b <i>\\n*c* snake_case"))
    a&#124;b &lt;i&gt; \\*c\\* snake\\_case
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return "" if value is None else value
    entities = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
    return re.sub(r"[&<>|\\`*_\[\]~$#]", lambda hit: entities.get(hit[0], f"\\{hit[0]}"), clean(value))


def listed(names: Iterable[str]) -> Markup:
    """Return names in a row, separated by commas."""
    return Markup(", ".join(str(escape(str(name))) for name in names))


def code(text: str) -> Markup:
    """Return a name as a code span.

    In a table a `|` ends the cell even inside a code span, so there the span is interrupted.

    >>> print(code("a`b"), code("a|b"))
    ``a`b`` `a`&#124;`b`
    """
    parts = clean(str(text)).split("|")
    return Markup("&#124;".join(_span(part) for part in parts))


def _span(text: str) -> str:
    if not text.strip():
        return text
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def fence(text: str, language: str = "") -> Markup:
    """Return lines as a block of code that nothing in the lines can end."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    whole = text.encode("utf-8", "replace").decode("utf-8")  # a file's name may hold half a character
    return Markup(f"{ticks}{language}\n{whole}\n{ticks}")


def percent(share: float) -> str:
    """Return a share in percent, with one decimal.

    >>> percent(0.4764)
    '47.6'
    """
    return f"{100 * share:.1f}"
