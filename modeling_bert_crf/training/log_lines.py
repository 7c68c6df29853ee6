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
        self._health: dict[str, Any] = {}
        self._best: float | None = None

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Remember a training loss; write a line for an evaluation."""
        logs = dict(logs or {})
        if "loss" in logs:
            self._loss = float(logs["loss"])
            self._health = {name: value for name, value in logs.items() if name.startswith(_HEALTH)}
            if args.log_health:
                self._write(state, ", ".join(f"{name} {_short(value)}" for name, value in self._health.items()))
        if "eval_loss" in logs:
            self._write(state, f"{self._trained()}validation loss {logs['eval_loss']:.4g}{self._scores(args, logs)}")
        if "train_runtime" in logs:
            speed = logs.get("train_samples_per_second")  # there is none if the clock stood still
            rate = "" if speed is None else f", {speed:,.1f} sentences a second"
            self._write(state, f"trained in {logs['train_runtime']:,.1f} s{rate}", at=False)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write a line where no evaluation will."""
        if not control.should_evaluate and args.eval_strategy == "no" and self._loss is not None:
            self._write(state, self._trained().removesuffix(", "))

    def _trained(self) -> str:
        loss, self._loss = self._loss, None
        return "" if loss is None else f"loss {loss:.4g}, "

    def _scores(self, args: Any, logs: Mapping[str, Any]) -> str:
        """Say how good the tagger is, and whether it was never better."""
        name = "eval_" + (args.metric_for_best_model or "f1").removeprefix("eval_")
        if name not in logs or name == "eval_loss":
            return ""
        value = logs[name]
        sign = -1 if args.greater_is_better is False else 1
        is_best = self._best is None or sign * value > sign * self._best
        before, self._best = self._best, value if is_best else self._best
        gain = f", {100 * (value - before):+.1f}" if is_best and before is not None else ""
        shown = name.removeprefix("eval_").replace("_", " ").replace("f1", "F1")
        return f", {shown} {100 * value:.1f}{gain}{', the best so far' if is_best else ''}"

    @staticmethod
    def _write(state: Any, text: str, at: bool = True) -> None:
        if state.is_world_process_zero and text:
            tqdm.write(f"epoch {state.epoch or 0:.3g}: {text}" if at else text)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
