"""A Trainer that gives encoder, head and CRF each a learning rate, and scores every word of the gold data."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import EarlyStoppingCallback, EvalPrediction, get_scheduler
from transformers.trainer_utils import EvalLoopOutput
from transformers.utils import logging

from ..modeling_crf import BiLSTMCRFForTokenClassification
from ..scores.calibration import calibration_error, reliability_bins
from ..scores.metrics import flat_scores, score_tags
from ..weights import HEAD
from .calibration import entity_confidences, fit_temperature
from .crf_statistics import crf_health, scores_of
from .dataset import TaggingDataset
from .hub import HubTrainer
from .recipe import CRFTrainingArguments, EpochLengthSampler
from .restarts import RestartableTrainer

logger = logging.get_logger(__name__)


class CRFTrainer(RestartableTrainer, HubTrainer):
    """`Trainer` for `BiLSTMCRFForTokenClassification`, on `TaggingDataset`s."""

    args: CRFTrainingArguments
    _frozen_steps: int = 0
    _train_sampler: Sampler | None = None

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if self.args.early_stopping_patience is not None:
            self.add_callback(EarlyStoppingCallback(self.args.early_stopping_patience))
        if (tagger := self._tagger()) is not None:
            self._crf_before = scores_of(tagger)  # and not those of a checkpoint that is resumed

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train as the Trainer does. Before, say which parts of a new head would stay as they were made, and refuse a
        model that could not be saved.

        Raises:
            ValueError: for a subclass whose code cannot travel with its weights.
        """
        if (tagger := self._tagger()) is not None:
            tagger.check_code()
            if frozen := _frozen_new_parts(tagger):
                parts = [name for name in HEAD if getattr(tagger, name) is not None]
                logger.warning(
                    f"{', '.join(frozen)}: new, and not to be trained, for no parameter there requires a gradient. An "
                    f"adapter of peft trains them with modules_to_save={parts}."
                )
        return super().train(*args, **kwargs)

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
                # By what is around it: adapters and wrappers put names of their own before and between.
                own = next((part for part in name.split(".") if part in HEAD), None)
                part = "encoder" if own is None else "crf" if own == "crf" else "head"
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
            optimizer_class, arguments = self.optimizer_cls_and_kwargs or self.get_optimizer_cls_and_kwargs(
                self.args, model
            )
            if own := {"params", "model", "optimizer_dict"} & arguments.keys():
                raise ValueError(
                    f"optim must take groups of parameters, got {self.args.optim}, which takes {sorted(own)[0]}"
                )
            self.optimizer = optimizer_class(self.parameter_groups(model), **arguments)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        """Make the schedule that `args.lr_scheduler_type` names; the encoder's begins when it thaws.

        Raises:
            ValueError: if there are frozen steps, and an optimiser whose groups do not tell which are the encoder's.
        """
        scheduler = super().create_scheduler(num_training_steps, optimizer)
        self._frozen_steps = self.args.get_frozen_steps(num_training_steps)
        if not self._frozen_steps:
            return scheduler
        groups = (optimizer or self.optimizer).param_groups
        if not all("name" in group for group in groups):
            raise ValueError(
                f"frozen_steps must be 0 with an optimizer of your own, got {self.args.frozen_steps}: it needs groups "
                "with a name, of which the encoder's begin with 'encoder'. `optimizer_cls_and_kwargs` gets them"
            )
        if isinstance(scheduler, LambdaLR):
            thawed = self._schedule(num_training_steps - self._frozen_steps)
            for index, group in enumerate(groups):
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
                    if isinstance(module, BiLSTMCRFForTokenClassification):
                        module.base_model.eval()
        return super().compute_loss(model, inputs, *args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log as the Trainer does, and in training the CRF's state too (see `crf_health`), and how many sentences
        are cut into windows."""
        model = self._tagger()
        if "loss" in logs and model is not None and "word_mask" in self._batch:
            logs |= crf_health(model, self._crf_before, self._batch)
            if isinstance(self.train_dataset, TaggingDataset):
                logs["cut_sentences"] = self.train_dataset.cut_sentences
        super().log(logs, start_time)

    def _tagger(self) -> BiLSTMCRFForTokenClassification | None:
        """Return the tagger, out of what is wrapped around it; None if its weights are spread over processes."""
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return None
        taggers = (m for m in self.model.modules() if isinstance(m, BiLSTMCRFForTokenClassification))
        return next(taggers, None)

    def _validate_args(self) -> None:
        """Refuse options that do not fit the data, before anything is made or trained."""
        super()._validate_args()
        _check_metric(self.args, self.eval_dataset, self.compute_metrics)
        _check_dropped(self.args, self.train_dataset)

    def _get_dataloader(self, *args: Any, is_training: bool = False, **kwargs: Any) -> DataLoader:
        """Drop the last, smaller batch in training alone, if at all: no sentence is left unscored."""
        drops = self.args.dataloader_drop_last
        self.args.dataloader_drop_last = drops and is_training
        try:
            return super()._get_dataloader(*args, is_training=is_training, **kwargs)
        finally:
            self.args.dataloader_drop_last = drops

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

    def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        epochs_done, batches_done = super()._init_training_state(*args, **kwargs)
        if self._train_sampler is not None:
            # accelerate 1.15 does not tell the epoch to a sampler whose first batches it skips in several processes.
            self._train_sampler.set_epoch(epochs_done)
        return epochs_done, batches_done

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

    @property
    def temperature(self) -> float:
        """What the model's scores are divided by: the temperature that `calibrate` folded into its weights, which the
        state's log keeps, or else the configuration's."""
        fitted = [entry["temperature"] for entry in self.state.log_history if "temperature" in entry]
        return fitted[-1] if fitted else self.model.config.temperature

    def calibrate(self, dataset: TaggingDataset) -> None:
        """Fold the temperature that fits held-out data into the model. Does nothing where weights are spread out."""
        if (model := self._tagger()) is not None:
            folded = self.temperature / model.config.temperature
            fitted = fit_temperature(model, dataset)
            model.fold_temperature(fitted)
            self.state.log_history.append({"temperature": folded * fitted, "step": self.state.global_step})

    def training_facts(self) -> dict[str, Any]:
        """Return what is known of the training when it has ended, beside the weights, as JSON has it."""
        return {name: getattr(self.state, name) for name in ("log_history", "best_model_checkpoint")}

    def take_up(self, facts: Mapping[str, Any]) -> None:
        """Know of a training what the trainer knew that did it: its `training_facts`."""
        self.state.log_history = list(facts.get("log_history", []))
        self.state.best_model_checkpoint = facts.get("best_model_checkpoint")

    def calibration(self, dataset: TaggingDataset) -> dict[str, Any]:
        """Return the `calibration_error` of the entities' probabilities, as they are (`error`) and without the
        `temperature` (`error_at_1`), and the `reliability_bins` as they are (`bins`)."""
        if (model := self._tagger()) is None:
            return {}
        now = model.config.temperature
        found, without = (entity_confidences(model, dataset, value) for value in (now, now / self.temperature))
        return {
            "error": calibration_error(found),
            "error_at_1": calibration_error(without),
            "bins": reliability_bins(found),
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


def _frozen_new_parts(tagger: BiLSTMCRFForTokenClassification) -> list[str]:
    """Name the parts of the head that were never trained and will not be.

    A part is new if its biases, or the CRF's scores, are exactly 0, as they are made: no trained one has that.
    """
    parts = {name: part for name in HEAD if (part := getattr(tagger, name)) is not None}
    new = {
        name
        for name, part in parts.items()
        if name != "word_shapes"
        and not any(values.detach().any() for key, values in part.named_parameters() if name == "crf" or "bias" in key)
    }
    if "lstm" in new or ("lstm" not in parts and "classifier" in new):
        new.add("word_shapes")  # which they alone read; it has no bias to tell by
    return [
        name for name, part in parts.items() if name in new and not any(v.requires_grad for v in part.parameters())
    ]


def _delayed(schedule: Callable[[int], float], steps: int) -> Callable[[int], float]:
    return lambda step: schedule(step - steps) if step >= steps else 0.0


def _check_metric(arguments: CRFTrainingArguments, dataset: Any, compute_metrics: Any) -> None:
    """Refuse a metric that no evaluation gives; the host would notice it after the first one."""
    wanted = arguments.metric_for_best_model
    if wanted is None or compute_metrics is not None or not isinstance(dataset, TaggingDataset):
        return
    known = ["loss", *flat_scores(score_tags(dataset.gold[:1], dataset.gold[:1], dataset.scheme))]
    if wanted.removeprefix("eval_") not in known:
        raise ValueError(f"metric_for_best_model must be one of {', '.join(known)}, got {wanted!r}")


def _check_dropped(arguments: CRFTrainingArguments, dataset: Any) -> None:
    """Refuse to drop the only batch."""
    size = arguments.train_batch_size * arguments.world_size
    if arguments.dataloader_drop_last and isinstance(dataset, TaggingDataset) and len(dataset) < size:
        raise ValueError(
            f"dataloader_drop_last must be False, or the batches smaller: {len(dataset)} rows of training data do not "
            f"fill one of {size}"
        )


def _scorer(dataset: TaggingDataset) -> Any:
    """Score against all gold tags, those included that the model has no label for."""

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        return flat_scores(score_tags(dataset.gold, dataset.tags_of(prediction.predictions), dataset.scheme))

    return compute_metrics
