"""Results in the files, and under the names, that the host's example script has, for what reads those."""

from collections.abc import Mapping
from typing import Any

from .arguments import DataArguments
from .trainer import CRFTrainer

__all__ = ["stock_results"]

_SPLITS = {"validation": "eval", "test": "predict"}


def stock_results(
    trainer: CRFTrainer,
    scores: Mapping[str, Mapping[str, Any]],
    counts: Mapping[str, Mapping[str, int] | None],
    data: DataArguments,
) -> dict[str, dict[str, Any]]:
    """Return what belongs into the script's `..._results.json`.

    Args:
        trainer: after training, if the run trains.
        scores: of each split that was evaluated, as `evaluate` returns them.
        counts: of each split, as `run_facts` counts them; None for data that were streamed.
        data: whether the scores of each type are wanted, too.

    Returns:
        The contents of the files by what their names begin with: `train`, `eval`, `predict`, as far as there are such
        results, and `all` for all of them. Scores are strict; of tags without a scheme there are those of words.
    """
    results: dict[str, dict[str, Any]] = {}
    log = [entry for entry in trainer.state.log_history if "train_runtime" in entry]
    if log:
        results["train"] = {name: value for name, value in log[-1].items() if name != "step"}
        if counted := counts.get("train"):
            results["train"]["train_samples"] = counted["sentences"]
    for split, found in scores.items():
        key = _SPLITS[split]
        values = _flat(found, data.return_entity_level_metrics)
        results[key] = {f"{key}_{name}": value for name, value in values.items()}
        if counted := counts.get(split):
            results[key][f"{key}_samples"] = counted["sentences"]
    return {**results, "all": {name: value for one in results.values() for name, value in one.items()}}


def _flat(scores: Mapping[str, Any], by_type: bool) -> dict[str, Any]:
    """Return the figures that the script has of a split, under its names."""
    strict = scores.get("strict")
    if strict is None:
        return {name: scores[name] for name in ("accuracy", "macro_f1")}
    overall = {name: strict[name] for name in ("precision", "recall", "f1")} | {"accuracy": scores["accuracy"]}
    if by_type:
        for kind, row in strict["types"].items():
            for name, value in row.items():
                overall[f"{kind}_{'number' if name == 'support' else name}"] = value
    return overall
