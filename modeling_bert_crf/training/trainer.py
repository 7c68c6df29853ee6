"""A Trainer that gives encoder, head and CRF each a learning rate, and scores every word of the gold data."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.utils.data import Sampler, SequentialSampler
from transformers import BertModel, EarlyStoppingCallback, EvalPrediction, Trainer, TrainingArguments, get_scheduler
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput, SaveStrategy

from ..modeling_bert_crf import BertBiLSTMCRFForTokenClassification
from .calibration import calibration_error, entity_confidences, fit_temperature
from .checkpoints import STATE, TrainingError, find_fault, way_on, writing
from .dataset import TaggingDataset
from .health import crf_health, scores_of
from .metrics import flat_scores, score_tags


@dataclass
class CRFTrainingArguments(TrainingArguments):
    """The Trainer's arguments, some with other defaults, and a few more; `learning_rate` is the encoder's."""

    learning_rate: float = field(
        default=5e-5,
        metadata={
            "help": "Peak learning rate of the encoder. Small encoders bear more (1e-4), large ones less (1e-5)."
        },
    )
    head_learning_rate: float = field(
        default=1e-3,
        metadata={"help": "Peak learning rate of the BiLSTM and the classifier, which start from nothing."},
    )
    crf_learning_rate: float = field(
        default=1e-2,
        metadata={
            "help": "Peak learning rate of the CRF's transitions. At the encoder's rate they would hardly move."
        },
    )
    frozen_steps: float = field(
        default=0.1,
        metadata={
            "help": "Steps at the start in which the encoder stands still while the new head learns to read it; below "
            "1, the share of all steps. The encoder then warms up by itself. 0 for a tagger that is trained further."
        },
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={"help": "Stop after so many evaluations without a better F1; by default train to the end."},
    )
    weight_decay: float = field(
        default=0.01, metadata={"help": "Weight decay; never on biases, LayerNorm or the CRF's transitions."}
    )
    warmup_steps: float = field(
        default=0.1, metadata={"help": "Steps of linear warm-up; below 1, the share of all steps."}
    )
    save_strategy: SaveStrategy | str = field(
        default="epoch", metadata={"help": "When to write a checkpoint that training can resume from."}
    )
    save_total_limit: int | None = field(default=1, metadata={"help": "How many checkpoints to keep."})
    restore_callback_states_from_checkpoint: bool = field(
        default=True,
        metadata={"help": "Whether a resumed run remembers how long early stopping has been waiting."},
    )
    logging_nan_inf_filter: bool = field(
        default=False,
        metadata={"help": "Hide losses that are no number from the log, at the price of a look at every step."},
    )
    train_sampling_strategy: str = field(
        default="group_by_length",
        metadata={"help": "Batches of sentences of like length (less padding, the same result), or `random`."},
    )
    logging_steps: float = field(default=50, metadata={"help": "Steps between two lines of the log."})
    per_device_train_batch_size: int = field(default=16, metadata={"help": "Sentences per device and training step."})
    per_device_eval_batch_size: int = field(default=32, metadata={"help": "Sentences per device and evaluation step."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_smoothing_factor != 0:
            raise ValueError(
                "label_smoothing_factor must be 0: the Trainer would replace the CRF's loss by a cross-entropy, got "
                f"{self.label_smoothing_factor}"
            )
        if self.frozen_steps < 0:
            raise ValueError(f"frozen_steps must be at least 0, got {self.frozen_steps}")
        if self.frozen_steps and self.ddp_find_unused_parameters is None:
            self.ddp_find_unused_parameters = True  # those of an encoder that stands still
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False  # torch warns that it cannot

    __repr__ = TrainingArguments.__repr__  # masks the token, which a dataclass of its own would show

    def __getstate__(self) -> dict[str, Any]:
        """Leave the token out of what is pickled: the host writes it into every checkpoint."""
        return vars(self) | {"hub_token": None}

    def get_frozen_steps(self, num_training_steps: int) -> int:
        """Return how many of the steps the encoder stands still."""
        share = self.frozen_steps
        return int(share if share >= 1 else num_training_steps * share)


class EpochLengthSampler(LengthGroupedSampler):
    """Batches of like length, in an order that depends on seed and epoch alone: the same in every process, and the
    same again when training resumes."""

    def __init__(self, batch_size: int, lengths: list[int], seed: int):
        super().__init__(batch_size, lengths=lengths, generator=torch.Generator())
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch."""
        self.generator.manual_seed(self.seed + epoch)


class CRFTrainer(Trainer):
    """`Trainer` for `BertBiLSTMCRFForTokenClassification`, on `TaggingDataset`s."""

    args: CRFTrainingArguments
    _frozen_steps: int = 0
    _train_sampler: Sampler | None = None

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if self.args.early_stopping_patience is not None:
            self.add_callback(EarlyStoppingCallback(self.args.early_stopping_patience))

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Split the trainable parameters by learning rate, and by whether they decay.

        Returns:
            Optimiser groups `{"name", "params", "lr", "weight_decay"}`, without empty ones. A parameter is in one
            group.
        """
        decaying = set(self.get_decay_parameter_names(model))
        rates = {
            "encoder": self.args.learning_rate,
            "head": self.args.head_learning_rate,
            "crf": self.args.crf_learning_rate,
        }
        groups: dict[tuple[str, bool], list[nn.Parameter]] = {
            (part, decay): [] for part in rates for decay in (True, False)
        }
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parts = name.split(".")
                part = "encoder" if "bert" in parts else "crf" if "crf" in parts else "head"
                groups[part, name in decaying and part != "crf"].append(parameter)
        return [
            {
                "name": part if decay else f"{part}, no decay",
                "params": parameters,
                "lr": rates[part],
                "weight_decay": self.args.weight_decay if decay else 0.0,
            }
            for (part, decay), parameters in groups.items()
            if parameters
        ]

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """Make the optimiser that `args.optim` names, over `parameter_groups`."""
        if self.optimizer is None:
            model = self.model if model is None else model
            optimizer_class, arguments = self.get_optimizer_cls_and_kwargs(self.args, model)
            self.optimizer = optimizer_class(self.parameter_groups(model), **arguments)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        """Make the schedule that `args.lr_scheduler_type` names; the encoder's begins when it thaws."""
        scheduler = super().create_scheduler(num_training_steps, optimizer)
        self._frozen_steps = self.args.get_frozen_steps(num_training_steps)
        if (tagger := self._tagger()) is not None:
            self._crf_before = scores_of(tagger)
        if self._frozen_steps and isinstance(scheduler, LambdaLR):
            thawed = self._schedule(num_training_steps - self._frozen_steps)
            for index, group in enumerate(scheduler.optimizer.param_groups):
                if group["name"].startswith("encoder"):
                    scheduler.lr_lambdas[index] = _delayed(thawed, self._frozen_steps)
        return scheduler

    def _schedule(self, steps: int) -> Callable[[int], float]:
        """Return the share of the peak rate at each of so many steps."""
        options = {"num_warmup_steps": self.args.get_warmup_steps(steps), "num_training_steps": steps}
        dummy = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        kind, special = self.args.lr_scheduler_type, self.args.lr_scheduler_kwargs
        return get_scheduler(kind, dummy, scheduler_specific_kwargs=special, **options).lr_lambdas[0]

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Compute the loss; hold the encoder still, dropout and all, in the first `frozen_steps`."""
        self._batch = dict(inputs)
        if self._frozen_steps and model.training and self.optimizer is not None:
            frozen = self.state.global_step < self._frozen_steps
            for group in self.optimizer.param_groups:
                if group["name"].startswith("encoder"):
                    for parameter in group["params"]:
                        parameter.requires_grad_(not frozen)
            if frozen:
                for module in model.modules():
                    if isinstance(module, BertModel):
                        module.eval()
        return super().compute_loss(model, inputs, *args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log as the Trainer does, and in training the CRF's state too (see `crf_health`)."""
        model = self._tagger()
        if "loss" in logs and model is not None and "word_mask" in self._batch:
            logs |= crf_health(model, self._crf_before, self._batch)
        super().log(logs, start_time)

    def _tagger(self) -> BertBiLSTMCRFForTokenClassification | None:
        """Return the tagger, out of what is wrapped around it; None if its weights are spread over processes."""
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return None
        taggers = (m for m in self.model.modules() if isinstance(m, BertBiLSTMCRFForTokenClassification))
        return next(taggers, None)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if self.args.train_sampling_strategy != "group_by_length" or not isinstance(dataset, TaggingDataset):
            return super()._get_train_sampler(train_dataset)
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        self._train_sampler = EpochLengthSampler(size, dataset.lengths, seed)
        return self._train_sampler

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler | None:
        # The host would group these by length too, and give the predictions back in that order.
        return SequentialSampler(eval_dataset) if self.args.world_size <= 1 else None

    def _init_training_state(
        self, max_steps: int, steps_per_epoch: int, epochs: int, checkpoint: str | None, trial: Any
    ) -> tuple[int, int]:
        """Find where a resumed run goes on: epochs done, and batches done of the next."""
        epochs_done, batches_done = super()._init_training_state(max_steps, steps_per_epoch, epochs, checkpoint, trial)
        if self._train_sampler is not None:
            # accelerate 1.15 does not tell the epoch to a sampler whose first batches it skips in several processes.
            self._train_sampler.set_epoch(epochs_done)
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

    def tag(self, dataset: TaggingDataset, split: str = "test") -> tuple[list[list[str]], dict[str, Any]]:
        """Tag a data set and score it.

        Args:
            dataset: whose gold tags to score against.
            split: its name in the log.

        Returns:
            The tags of each sentence, one per word, and their `score_tags`.
        """
        tags = dataset.tags_of(self.predict(dataset, metric_key_prefix=split).predictions)
        return tags, score_tags(dataset.gold, tags, dataset.scheme)

    def calibrate(self, dataset: TaggingDataset) -> None:
        """Give the model the temperature that fits held-out data. Does nothing where its weights are spread out."""
        if (model := self._tagger()) is not None:
            model.set_temperature(fit_temperature(model, dataset))

    def calibration(self, dataset: TaggingDataset) -> dict[str, float]:
        """Return the `calibration_error` of the entities' probabilities, as they are and at temperature 1."""
        if (model := self._tagger()) is None:
            return {}
        temperatures = {"error": model.config.temperature, "error_at_1": 1.0}
        return {
            name: calibration_error(entity_confidences(model, dataset, value)) for name, value in temperatures.items()
        }

    def evaluation_loop(
        self, dataloader: Any, description: str, prediction_loss_only: bool | None = None, **kwargs: Any
    ) -> EvalLoopOutput:
        """Evaluate as the Trainer does; without `compute_metrics`, score a `TaggingDataset` by its sentences."""
        own = self.compute_metrics is None and isinstance(dataloader.dataset, TaggingDataset)
        if own:
            self.compute_metrics = _scorer(dataloader.dataset)
            # Without `compute_metrics` the Trainer asks for the loss only.
            prediction_loss_only = self.args.prediction_loss_only
        try:
            return super().evaluation_loop(dataloader, description, prediction_loss_only, **kwargs)
        finally:
            if own:
                self.compute_metrics = None
            if self.args.world_size > 1 and self.model_wrapped is self.model:
                # accelerate 1.15 takes a model that was evaluated before training for one that is ready to train, and
                # leaves its gradients unshared between the processes.
                vars(self.model).pop("_is_accelerate_prepared", None)


def _delayed(schedule: Callable[[int], float], steps: int) -> Callable[[int], float]:
    return lambda step: schedule(step - steps) if step >= steps else 0.0


def _scorer(dataset: TaggingDataset) -> Any:
    """Score against all gold tags, those included that the model has no label for."""

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        return flat_scores(score_tags(dataset.gold, dataset.tags_of(prediction.predictions), dataset.scheme))

    return compute_metrics


def group_table(groups: list[dict[str, Any]]) -> str:
    """Draw the parameter groups as the table that a run starts with."""
    rows = [("group", "parameters", "learning rate", "decay")]
    for group in groups:
        count = sum(parameter.numel() for parameter in group["params"])
        rows.append((group["name"], f"{count:,}", f"{group['lr']:g}", f"{group['weight_decay']:g}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) if index == 0 else cell.rjust(width) for index, (cell, width) in enumerate(cells))
        for cells in (zip(row, widths, strict=True) for row in rows)
    )
