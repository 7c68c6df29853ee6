"""A Trainer whose runs may break off: what it writes is whole, and a resumed run ends as if nothing had happened."""

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import EarlyStoppingCallback, Trainer

from .checkpoints import STATE, TrainingError, find_fault, way_on, writing
from .recipe import CRFTrainingArguments


class RestartableTrainer(Trainer):
    """`Trainer`; but no checkpoint of it passes for whole that is not, and none holds a weight that is no number."""

    args: CRFTrainingArguments

    def _init_training_state(
        self, max_steps: int, steps_per_epoch: int, epochs: int, checkpoint: str | None, trial: Any
    ) -> tuple[int, int]:
        """Find where a resumed run goes on: epochs done, and batches done of the next."""
        epochs_done, batches_done = super()._init_training_state(max_steps, steps_per_epoch, epochs, checkpoint, trial)
        stopped = False
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, EarlyStoppingCallback) and self.args.early_stopping_patience is not None:
                callback.early_stopping_patience = self.args.early_stopping_patience
                stopped |= callback.early_stopping_patience_counter >= callback.early_stopping_patience
        # A run that had come to its end would be trained a step further.
        ended = checkpoint is not None and (stopped or self.state.global_step >= max_steps)
        return (epochs, 0) if ended else (epochs_done, batches_done)

    def _maybe_log_save_evaluate(self, tr_loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        if self.control.should_log or self.control.should_evaluate or self.control.should_save:
            self._refuse_nan()  # only now: a look at every step would make the device wait
        # A run that goes on from a checkpoint starts a new mean of the loss: end one here, and the log is the same.
        self.control.should_log |= self.control.should_save
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
        if self.args.should_save:  # a killed run may have left one here
            (folder / STATE).unlink(missing_ok=True)
        try:
            with writing(str(folder), run):
                super()._save_checkpoint(model, trial)
        except TrainingError:
            if self.args.should_save and find_fault(folder) is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()  # so that what process 0 writes next is the last of all
