"""A Trainer whose runs may break off: a checkpoint is whole or known to be damaged, and a resumed run ends as an
unbroken one would have."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import EarlyStoppingCallback, Trainer
from transformers.trainer_utils import rotate_checkpoints
from transformers.utils import logging

from ..doors.files import follow_umask
from .checkpoints import begin_checkpoint, find_damage, find_fault, seal_checkpoint
from .errors import TrainingError
from .output_folder import way_on, writing
from .training_arguments import CRFTrainingArguments

__all__ = ["RestartableTrainer"]

logger = logging.get_logger(__name__)


class RestartableTrainer(Trainer):
    """`Trainer`, but a half-written checkpoint is always recognised, and none holds a weight that is not finite.

    Args:
        run_record: what decides the run (see `run_record.py`); each checkpoint holds it.
    """

    args: CRFTrainingArguments
    model: nn.Module

    def __init__(self, *args: Any, run_record: dict[str, Any] | None = None, **kwargs: Any):
        self.run_record = run_record
        super().__init__(*args, **kwargs)

    def _init_training_state(
        self, max_steps: int, steps_per_epoch: int, epochs: int, checkpoint: str | None, trial: Any
    ) -> tuple[int, int]:
        """Return where a resumed run goes on: the epochs that are done, and the batches that are done of the next.

        The intervals and the patience are those of this start of the run; the host would keep those of the first one.
        """
        epochs_done, batches_done = super()._init_training_state(max_steps, steps_per_epoch, epochs, checkpoint, trial)
        if checkpoint is not None:
            self.state.compute_steps(self.args, max_steps)
            self._point_to_best(Path(checkpoint).parent)
        stopped = False
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, EarlyStoppingCallback) and self.args.early_stopping_patience is not None:
                callback.early_stopping_patience = self.args.early_stopping_patience
                stopped |= callback.early_stopping_patience_counter >= callback.early_stopping_patience
        # A run that had come to its end would be trained a step further.
        ended = checkpoint is not None and (stopped or self.state.global_step >= max_steps)
        return (epochs, 0) if ended else (epochs_done, batches_done)

    def _point_to_best(self, folder: Path) -> None:
        """Let the state point to the best weights so far, in the folder where the checkpoints of this run are now.

        If those weights are damaged, the state forgets them, and the best ones are looked for from here on.
        """
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
        best = Path(cast(str, self.state.best_model_checkpoint))  # the host asks only if there is one
        if damage := find_damage(best):
            raise TrainingError(
                f"the best weights, in {best}, are not whole ({damage}); {way_on(self.args.folder)}, which "
                "compares those from there on"
            )
        super()._load_best_model()

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with _reading(checkpoint, "the state of the optimiser or of its schedule"):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with _reading(checkpoint, "the random state"):
            super()._load_rng_state(checkpoint)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        with _reading(resume_from_checkpoint, "the weights"):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _maybe_log_save_evaluate(self, tr_loss: Tensor, *args: Any, **kwargs: Any) -> None:
        if self.control.should_log or self.control.should_evaluate or self.control.should_save:
            self._refuse_nan()  # only now: a look at every step would make the device wait
        # A run that goes on from a checkpoint begins a new mean of the loss. If every run ends one at its checkpoints,
        # the logs of a broken and an unbroken run are the same.
        self.control.should_log |= self.control.should_save and self.args.logging_strategy != "no"
        super()._maybe_log_save_evaluate(tr_loss, *args, **kwargs)

    def _finalize_training(self, *args: Any, **kwargs: Any) -> Any:
        self._refuse_nan()
        return super()._finalize_training(*args, **kwargs)

    def _refuse_nan(self) -> None:
        """Stop before a loss or a weight that is NaN or infinite is logged, scored or saved.

        Raises:
            TrainingError: since which step that is so, and how to go on.
        """
        weights = [_local_part(parameter.detach()) for parameter in self.model.parameters()]
        finite = [values.isfinite().all() for values in (self._tr_loss, *weights)]
        if not torch.stack(finite).all():
            raise TrainingError(
                f"the loss is no longer a number, after step {self._globalstep_last_logged} and by step "
                f"{self.state.global_step}: lower --learning_rate, --head_learning_rate or --crf_learning_rate; "
                f"{way_on(self.args.folder)}"
            )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write a checkpoint, so that `find_fault` tells it from one that was not written to its end.

        Raises:
            TrainingError: if it cannot be written, such as on a full disk; the ones before it are still there.
        """
        run = Path(self._get_output_dir(trial))
        folder = run / f"checkpoint-{self.state.global_step}"
        try:
            with writing(str(folder), run):
                if self.args.should_save:
                    begin_checkpoint(folder, self.run_record)
                self.accelerator.wait_for_everyone()
                with self._all_checkpoints_kept():
                    super()._save_checkpoint(model, trial)
                self.accelerator.wait_for_everyone()  # each process has written its part
                if self.args.should_save:
                    follow_umask(folder)
                    seal_checkpoint(folder)
                    limit, best = self.args.save_total_limit, self.state.best_model_checkpoint
                    rotate_checkpoints(str(run), limit, best, use_mtime=True)
        except TrainingError:
            if self.args.should_save and find_fault(folder) is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise

    @contextmanager
    def _all_checkpoints_kept(self) -> Iterator[None]:
        """Keep the host from deleting earlier checkpoints while the new one is not whole yet."""
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            yield
        finally:
            self.args.save_total_limit = limit


def _local_part(parameter: Tensor) -> Tensor:
    """Return what this process holds of a parameter, which may be spread over several processes."""
    to_local = getattr(parameter, "to_local", None)
    return parameter if to_local is None else to_local()


@contextmanager
def _reading(checkpoint: str | None, part: str) -> Iterator[None]:
    """Turn a failure to read a part of a checkpoint, or a part that does not fit the run, into one sentence.

    Raises:
        TrainingError: which part, and why.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError, LookupError, TypeError, EOFError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TrainingError(f"{checkpoint}: {part} cannot be read, or is that of another run: {reason}") from error
