"""A Trainer whose runs may break off: what it writes is whole, and a resumed run ends as if nothing had happened."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import EarlyStoppingCallback, Trainer
from transformers.trainer_utils import rotate_checkpoints
from transformers.utils import logging

from .checkpoints import TrainingError, begin, find_damage, find_fault, seal, way_on, writing
from .recipe import CRFTrainingArguments

logger = logging.get_logger(__name__)


class RestartableTrainer(Trainer):
    """`Trainer`; but no checkpoint of it passes for whole that is not, and none holds a weight that is no number."""

    args: CRFTrainingArguments

    def __init__(self, *args: Any, run_record: dict[str, Any] | None = None, **kwargs: Any):
        self.run_record = run_record  # for the checkpoints; see `record.py`
        super().__init__(*args, **kwargs)

    def _init_training_state(
        self, max_steps: int, steps_per_epoch: int, epochs: int, checkpoint: str | None, trial: Any
    ) -> tuple[int, int]:
        """Find where a resumed run goes on: epochs done, and batches done of the next."""
        epochs_done, batches_done = super()._init_training_state(max_steps, steps_per_epoch, epochs, checkpoint, trial)
        if checkpoint is not None:
            self.state.compute_steps(self.args, max_steps)  # the host would keep the intervals of the first start
            self._find_best(Path(checkpoint).parent)
        stopped = False
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, EarlyStoppingCallback) and self.args.early_stopping_patience is not None:
                callback.early_stopping_patience = self.args.early_stopping_patience
                stopped |= callback.early_stopping_patience_counter >= callback.early_stopping_patience
        # A run that had come to its end would be trained a step further.
        ended = checkpoint is not None and (stopped or self.state.global_step >= max_steps)
        return (epochs, 0) if ended else (epochs_done, batches_done)

    def _find_best(self, folder: Path) -> None:
        """Find the best weights so far, wherever the folder of a resumed run lies by now; without them, look for the
        best from here on."""
        step = self.state.best_global_step
        if not self.args.load_best_model_at_end or not step:
            return
        best = folder / f"checkpoint-{step}"
        damage = find_damage(best)
        if damage is None:
            self.state.best_model_checkpoint = str(best)
            return
        logger.warning(
            f"the best weights so far, in {best}, are not whole ({damage}): those from here on are compared"
        )
        self.state.best_metric = self.state.best_global_step = self.state.best_model_checkpoint = None

    def _load_best_model(self) -> None:
        """Load the best weights, if they are as they were written.

        Raises:
            TrainingError: if they are not. The host would take the last weights, or what is left of the best.
        """
        best = Path(self.state.best_model_checkpoint)
        if damage := find_damage(best):
            raise TrainingError(
                f"the best weights, in {best}, are not whole ({damage}); {way_on(Path(self.args.output_dir))}, which "
                "compares those from there on"
            )
        super()._load_best_model()

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with _going_on_from(checkpoint, "the state of the optimiser or of its schedule"):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with _going_on_from(checkpoint, "the random state"):
            super()._load_rng_state(checkpoint)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        with _going_on_from(resume_from_checkpoint, "the weights"):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _maybe_log_save_evaluate(self, tr_loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        if self.control.should_log or self.control.should_evaluate or self.control.should_save:
            self._refuse_nan()  # only now: a look at every step would make the device wait
        # A run that goes on from a checkpoint starts a new mean of the loss: end one here, and the log is the same.
        self.control.should_log |= self.control.should_save and self.args.logging_strategy != "no"
        super()._maybe_log_save_evaluate(tr_loss, *args, **kwargs)

    def _finalize_training(self, *args: Any, **kwargs: Any) -> Any:
        self._refuse_nan()
        return super()._finalize_training(*args, **kwargs)

    def _refuse_nan(self) -> None:
        """Stop before a loss or a weight that is no number is logged, scored or saved.

        Raises:
            TrainingError: since which step, and how to go on.
        """
        parameters = (parameter.detach() for parameter in self.model.parameters())
        local = [parameter.to_local() if hasattr(parameter, "to_local") else parameter for parameter in parameters]
        finite = [values.isfinite().all() for values in (self._tr_loss, *local)]
        if not torch.stack(finite).all():
            raise TrainingError(
                f"the loss is no longer a number, after step {self._globalstep_last_logged} and by step "
                f"{self.state.global_step}: lower --learning_rate, --head_learning_rate or --crf_learning_rate; "
                f"{way_on(Path(self.args.output_dir))}"
            )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write a checkpoint; `checkpoints.find_fault` knows it from one that was not written to its end.

        Raises:
            TrainingError: if it cannot be written, such as on a full disk; the ones before it are still there.
        """
        run = Path(self._get_output_dir(trial))
        folder = run / f"checkpoint-{self.state.global_step}"
        try:
            with writing(str(folder), run):
                if self.args.should_save:
                    begin(folder, self.run_record)
                self.accelerator.wait_for_everyone()
                with self._all_checkpoints_kept():
                    super()._save_checkpoint(model, trial)
                self.accelerator.wait_for_everyone()  # each process has written its part
                if self.args.should_save:
                    seal(folder)
                    limit, best = self.args.save_total_limit, self.state.best_model_checkpoint
                    rotate_checkpoints(str(run), limit, best, use_mtime=True)
        except TrainingError:
            if self.args.should_save and find_fault(folder) is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise

    @contextmanager
    def _all_checkpoints_kept(self) -> Iterator[None]:
        """Keep the host from deleting the checkpoints before one that is not whole yet."""
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            yield
        finally:
            self.args.save_total_limit = limit


@contextmanager
def _going_on_from(checkpoint: str | None, part: str) -> Iterator[None]:
    """Turn a failure to read a part of a checkpoint, or one that does not fit the run, into one sentence.

    Raises:
        TrainingError: which part, and why.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError, LookupError, TypeError, EOFError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TrainingError(f"{checkpoint}: {part} cannot be read, or is that of another run: {reason}") from error
