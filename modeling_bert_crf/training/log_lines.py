"""What a run says while it trains: a line for each evaluation, or for each epoch where nothing is evaluated."""

from collections.abc import Mapping
from typing import Any

from tqdm.auto import tqdm
from transformers import ProgressCallback, TrainerCallback

__all__ = ["Bar", "LogLines"]

_HEALTH = ("crf_", "cut_sentences", "grad_norm", "learning_rate")
"""How the figures begin that `--log_health` shows."""


class Bar(ProgressCallback):
    """The host's progress bar, without its lines of figures."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Say nothing."""


class LogLines(TrainerCallback):
    """Writes the lines, in place of all figures that the host would print. `trainer_state.json` keeps all of them."""

    def __init__(self) -> None:
        self._loss: float | None = None  # of the steps since the last line

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Remember a training loss; write a line for an evaluation."""
        logs = dict(logs or {})
        if "loss" in logs:
            self._loss = float(logs["loss"])
            if args.log_health:
                health = [f"{name} {_short(value)}" for name, value in logs.items() if name.startswith(_HEALTH)]
                _write(state, f"{_epoch(state)}: {', '.join(health)}")
        if "eval_loss" in logs:
            scores = _scores(args, state, logs)
            _write(state, f"{_epoch(state)}: {self._trained()}validation loss {logs['eval_loss']:.4g}{scores}")
        if "train_runtime" in logs:
            speed = logs.get("train_samples_per_second")  # there is none if the clock stood still
            rate = "" if speed is None else f", {speed:,.1f} sentences a second"
            _write(state, f"trained in {logs['train_runtime']:,.1f} s{rate}")

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write a line where no evaluation will."""
        if args.eval_strategy == "no" and self._loss is not None:
            _write(state, f"{_epoch(state)}: {self._trained().removesuffix(', ')}")

    def _trained(self) -> str:
        loss, self._loss = self._loss, None
        return "" if loss is None else f"loss {loss:.4g}, "


def _scores(args: Any, state: Any, logs: Mapping[str, Any]) -> str:
    """Say how good the tagger is, and whether it was never better: `state` has the best that was before."""
    name = "eval_" + (args.metric_for_best_model or "f1").removeprefix("eval_")
    if name not in logs or name == "eval_loss":
        return ""
    value, best = logs[name], state.best_metric
    shown = f", {name.removeprefix('eval_').replace('_', ' ').replace('f1', 'F1')} {100 * value:.1f}"
    if best is None:
        return f"{shown}, the best so far"
    is_better = value < best if args.greater_is_better is False else value > best
    return f"{shown}, {100 * (value - best):+.1f}, the best so far" if is_better else shown


def _epoch(state: Any) -> str:
    return f"epoch {state.epoch or 0:.3g}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write(state: Any, text: str) -> None:
    if state.is_world_process_zero:
        tqdm.write(text)
