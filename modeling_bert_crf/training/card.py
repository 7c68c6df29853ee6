"""The model card of a finished run: the figures filled into a template."""

import re
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData


def write_card(path: Path, template: Path, facts: dict[str, Any], scores: dict[str, dict[str, Any]]) -> None:
    """Write a model card.

    Args:
        path: where to.
        template: Jinja template; may use every fact by its name, `scores` and `card_data`.
        facts: as `run_facts` gathers them.
        scores: `score_tags` of each split that was scored.
    """
    results = [
        EvalResult(
            task_type="token-classification",
            dataset_type=facts["dataset"],
            dataset_name=facts["dataset"],
            dataset_split=split,
            metric_type="f1",
            metric_name=f"F1 ({convention})",
            metric_value=round(figures[convention]["f1"], 4),
        )
        for split, figures in scores.items()
        for convention in ("strict", "conlleval")
        if convention in figures
    ]
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="token-classification",
        tags=["token-classification", "named-entity-recognition", "bert", "bilstm", "crf"],
        model_name=facts["model_name"],
        eval_results=results or None,
    )
    card = ModelCard.from_template(data, template_path=str(template), **_as_text({"scores": scores, **facts}))
    path.write_text(card.content, encoding="utf-8")


def _as_text(value: Any) -> Any:
    """Escape what Markdown or HTML would take for markup, in all that a card is filled in with."""
    if isinstance(value, dict):
        return {_as_text(key): _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"[<>&|`\[\]]", lambda match: f"&#{ord(match[0])};", " ".join(value.split()))
