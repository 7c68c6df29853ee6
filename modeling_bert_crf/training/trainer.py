"""The Trainer of a tagger: its data in batches of like length, its scores over every word of the gold data."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import EarlyStoppingCallback, EvalPrediction, PrinterCallback, ProgressCallback
from transformers.trainer_utils import EvalLoopOutput
from transformers.utils import logging

from ..configuration_crf import BiLSTMCRFFields
from ..crf import UNKNOWN
from ..modeling_crf import BiLSTMCRFForTokenClassification
from ..schemes import Span
from ..scores.calibration import calibration_error, reliability_bins
from ..scores.metrics import flat_scores, for_paths, score_tags
from ..weights import HEAD
from .batch_order import EpochLengthSampler, LongestFirst, parts
from .calibration import cross_fitted, entity_confidences, fit_temperature, fold_temperature
from .crf_statistics import crf_statistics, scores_of
from .dataset import StreamingTaggingDataset, TaggingCollator, TaggingDataset
from .hub_trainer import HubTrainer
from .log_lines import Bar, LogLines
from .reading import Reading, read
from .recipe import is_new
from .restartable_trainer import RestartableTrainer
from .staged_trainer import StagedTrainer
from .training_arguments import CRFTrainingArguments

__all__ = ["CRFTrainer"]

logger = logging.get_logger(__name__)

CPU_POSITIONS = 512
"""The most sub-tokens that are read at once in training on a CPU, padding included. What a step has to remember grows
with them, and more of them are hardly faster there."""


class CRFTrainer(RestartableTrainer, StagedTrainer, HubTrainer):
    """`Trainer` for `BiLSTMCRFForTokenClassification`, on `TaggingDataset`s.

    Its arguments are those of `Trainer`. Without a `data_collator` the rows of these are padded by a
    `TaggingCollator`, as the `processing_class` pads, if there is one.
    """

    args: CRFTrainingArguments
    model: nn.Module
    _train_sampler: EpochLengthSampler | None = None
    _labels_per_row: float | None = None  # of the data set that is evaluated

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if len(args) < 3 and kwargs.get("data_collator") is None and self._has_own_rows():
            tokenizer = self.processing_class
            fill = getattr(tokenizer, "pad_token_id", None)
            self.data_collator = TaggingCollator(fill or 0, getattr(tokenizer, "padding_side", "right"))
        if self.pop_callback(ProgressCallback) is not None:
            self.add_callback(Bar)
        self.remove_callback(PrinterCallback)
        self.add_callback(LogLines)
        if self.args.early_stopping_patience is not None:
            self.add_callback(EarlyStoppingCallback(self.args.early_stopping_patience))
        if (tagger := self.tagger()) is not None:
            self._crf_before = scores_of(tagger)  # of the model that was given, not of a checkpoint to go on from

    def _has_own_rows(self) -> bool:
        """Say whether the data are all of this package's kinds, whose rows its collator knows."""
        held_out = self.eval_dataset
        given = [self.train_dataset, *(held_out.values() if isinstance(held_out, dict) else [held_out])]
        return all(one is None or isinstance(one, TaggingDataset | StreamingTaggingDataset) for one in given)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train as the Trainer does. Before that, warn of parts of a new head that will not be trained.

        Raises:
            ValueError: for a subclass of the model whose code cannot be saved with its weights.
        """
        if (tagger := self.tagger()) is not None:
            tagger.check_code()
            if frozen := _frozen_new_parts(tagger):
                parts = [name for name in HEAD if getattr(tagger, name) is not None]
                logger.warning(
                    f"{', '.join(frozen)}: new, but will not be trained, since no parameter there requires a gradient."
                    f" An adapter of peft trains them with modules_to_save={parts}."
                )
        return super().train(*args, **kwargs)

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Make the gradients of a batch; on a CPU part by part, so that memory is needed for a part only.

        The loss is a sum over the rows, so loss and gradients are those of the whole batch.
        """
        self._batch = dict(inputs)
        done_in_parts = (
            self.args.device.type == "cpu"
            and num_items_in_batch is not None
            and self.compute_loss_func is None
            and self.tagger() is not None
            and isinstance(inputs.get("attention_mask"), Tensor)
        )
        if not done_in_parts:
            return super().training_step(model, inputs, num_items_in_batch)
        *first, last = parts(inputs, CPU_POSITIONS)
        total = []
        for part in first:
            with self.accelerator.no_sync(model):  # the processes share their gradients after the last part
                total.append(super().training_step(model, part, num_items_in_batch))
        return sum(total, super().training_step(model, last, num_items_in_batch))

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Compute the loss. In evaluation it is weighted such that the mean over the rows is that over the labels."""
        given = kwargs.get("num_items_in_batch")
        if self._labels_per_row is not None and not model.training and given is not None:
            shared = self.args.world_size if self.args.average_tokens_across_devices else 1
            labels = self._labels_per_row * len(inputs["input_ids"]) / max(1, self.args.n_gpu) * shared
            kwargs["num_items_in_batch"] = torch.full_like(given, labels, dtype=torch.float32)
        return super().compute_loss(model, inputs, *args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log as the Trainer does; in training also `crf_statistics`, and how many sentences are cut into windows."""
        model = self.tagger()
        if "loss" in logs and model is not None and "word_mask" in self._batch:
            logs |= crf_statistics(model, self._crf_before, self._batch)
            if isinstance(self.train_dataset, TaggingDataset):
                logs["cut_sentences"] = self.train_dataset.cut_sentences
        super().log(logs, start_time)

    def tagger(self) -> BiLSTMCRFForTokenClassification | None:
        """Return the tagger itself; None if there is none yet, or its weights are spread over processes."""
        model: nn.Module | None = self.model  # a search for hyper-parameters has none between its trials
        if model is None or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return None
        taggers = (m for m in model.modules() if isinstance(m, BiLSTMCRFForTokenClassification))
        return next(taggers, None)

    def _validate_args(self) -> None:
        """Refuse options that do not fit the data, before anything is made or trained."""
        super()._validate_args()
        _check_metric(self.args, self.eval_dataset, self.compute_metrics)
        _check_dropped(self.args, self.train_dataset)

    def _get_dataloader(self, dataset: Any, *args: Any, is_training: bool = False, **kwargs: Any) -> DataLoader:
        """Make a loader. In training alone it may drop the last, smaller batch; else the longest rows come first."""
        if not is_training and isinstance(dataset, TaggingDataset):
            dataset = LongestFirst(dataset)
        drops = self.args.dataloader_drop_last
        self.args.dataloader_drop_last = drops and is_training
        try:
            return super()._get_dataloader(dataset, *args, is_training=is_training, **kwargs)
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

    def read(self, dataset: TaggingDataset) -> Reading | None:
        """Run the encoder over a data set, for all that is to be said of it.

        It runs in the precision of the weights, as that of the saved tagger will. None if the weights are spread over
        processes.
        """
        if (model := self.tagger()) is None:
            return None
        return read(
            model, dataset, self.args.per_device_eval_batch_size, self.args.process_index, self.args.world_size
        )

    def tag(
        self, dataset: TaggingDataset, split: str = "test", reading: Reading | None = None
    ) -> tuple[list[list[str]], dict[str, Any]]:
        """Tag a data set and score it.

        Args:
            dataset: whose gold tags to score against.
            split: its name in the log.
            reading: what `read` returned of it, if it has been read already.

        Returns:
            The tags of each sentence, one per word, and their `score_tags`.
        """
        model, reading = self.tagger(), self.read(dataset) if reading is None else reading
        if model is None or reading is None:
            tags = dataset.tags_of(self.predict(dataset, metric_key_prefix=split).predictions)
        else:
            tags = reading.tags(model)
        return tags, score_tags(dataset.gold, tags, dataset.scheme)

    @property
    def config(self) -> BiLSTMCRFFields:
        """The configuration of the tagger."""
        return cast(BiLSTMCRFFields, self.model.config)

    @property
    def temperature(self) -> float:
        """What the scores of the model are divided by.

        That is the temperature that `calibrate` has folded into the weights, which the log of the state keeps; without
        one, that of the configuration.
        """
        fitted = [entry["temperature"] for entry in self.state.log_history if "temperature" in entry]
        return fitted[-1] if fitted else self.config.temperature

    def calibrate(self, dataset: TaggingDataset) -> Reading | None:
        """Fit the temperature to held-out data, and fold it into the weights of the model.

        Returns:
            What the encoder says of the data, to the model as it is now. None if the weights are spread over
            processes; then nothing is done.
        """
        if (model := self.tagger()) is None or (reading := self.read(dataset)) is None:
            return None
        folded = self.temperature / model.config.temperature
        fitted = fit_temperature(model, reading)
        reading = reading.divided(by=fold_temperature(model, fitted))
        self.state.log_history.append({"temperature": folded * fitted, "step": self.state.global_step})
        return reading

    def training_facts(self) -> dict[str, Any]:
        """Return what is known of a finished training beside its weights, in values that JSON can write."""
        return {name: getattr(self.state, name) for name in ("log_history", "best_model_checkpoint")}

    def take_up(self, facts: Mapping[str, Any]) -> None:
        """Take over the `training_facts` of the trainer that trained the model in an earlier start of the run."""
        self.state.log_history = list(facts.get("log_history", []))
        self.state.best_model_checkpoint = facts.get("best_model_checkpoint")

    def calibration(
        self, dataset: TaggingDataset, reading: Reading | None = None, fitted: bool = False
    ) -> dict[str, Any]:
        """Measure how far the probabilities of the entities can be believed.

        Args:
            dataset: whose gold tags say which entities are right.
            reading: what `read` returned of it, if it has been read already.
            fitted: whether the temperature was fitted to these very data. Each half is then measured with a
                temperature that is fitted to the other one, so that nothing is measured on what it was fitted to.

        Returns:
            Their `calibration_error` as they are (`error`), and as they would be without the `temperature`
            (`error_at_1`); and their `reliability_bins` as they are (`bins`). Nothing if the weights are spread over
            processes.
        """
        model, reading = self.tagger(), self.read(dataset) if reading is None else reading
        if model is None or reading is None:
            return {}
        now = model.config.temperature
        found, without = entity_confidences(model, reading, now, now / self.temperature)
        if fitted:
            found = cross_fitted(model, reading)
        return {
            "error": calibration_error(found),
            "error_at_1": calibration_error(without),
            "bins": reliability_bins(found),
        }

    def probabilities(self, reading: Reading | None) -> list[dict[Span, float]] | None:
        """Return what `Reading.probabilities` says to the model as it is; None if the weights are spread."""
        model = self.tagger()
        return None if model is None or reading is None else reading.probabilities(model)

    def evaluation_loop(
        self, dataloader: Any, description: str, prediction_loss_only: bool | None = None, **kwargs: Any
    ) -> EvalLoopOutput:
        """Evaluate as the Trainer does; without `compute_metrics`, a `TaggingDataset` is scored by its sentences.

        Its loss is the mean over all known labels. The Trainer's own would be a mean of means, and depend on which
        rows are in a batch together.
        """
        rows, given = dataloader.dataset, self.compute_metrics
        dataset = rows.dataset if isinstance(rows, LongestFirst) else rows
        restored = rows.restored if isinstance(rows, LongestFirst) else _as_it_is
        self.compute_metrics = metric = None if given is None else for_paths(given)
        if isinstance(dataset, TaggingDataset):
            self.compute_metrics = _in_order(metric or _scorer(dataset), restored)
            self._labels_per_row = _known_labels(dataset) / max(1, len(dataset))
            if given is None:  # then the Trainer asks for the loss only
                prediction_loss_only = self.args.prediction_loss_only
        try:
            output = super().evaluation_loop(dataloader, description, prediction_loss_only, **kwargs)
        finally:
            self.compute_metrics, self._labels_per_row = given, None
            if self.args.world_size > 1 and self.model_wrapped is self.model:
                # accelerate 1.15 takes a model that was evaluated before training for one that is ready to train, and
                # leaves its gradients unshared between the processes.
                vars(self.model).pop("_is_accelerate_prepared", None)
        return output._replace(predictions=restored(output.predictions), label_ids=restored(output.label_ids))


def _as_it_is(values: Any) -> Any:
    return values


def _in_order(compute_metrics: Callable[[EvalPrediction], Any], restored: Callable[[Any], Any]) -> Any:
    """Return a metric that is given its values in the order of the data set."""

    def compute(prediction: EvalPrediction) -> Any:
        predictions, labels = restored(prediction.predictions), restored(prediction.label_ids)
        inputs, losses = restored(prediction.inputs), restored(prediction.losses)
        return compute_metrics(EvalPrediction(predictions, labels, inputs=inputs, losses=losses))

    return compute


def _known_labels(dataset: TaggingDataset) -> int:
    return sum(label != UNKNOWN for row in dataset.rows for label in row["labels"])


def _frozen_new_parts(tagger: BiLSTMCRFForTokenClassification) -> list[str]:
    """Name the parts of the head that were never trained and will not be."""
    parts = {name: part for name in HEAD if (part := getattr(tagger, name)) is not None}
    new = {name for name, part in parts.items() if name != "word_shapes" and is_new(name, part)}
    # The word shapes have no bias. They are as new as the part that alone reads them.
    if "lstm" in new or ("lstm" not in parts and "classifier" in new):
        new.add("word_shapes")
    return [name for name, part in parts.items() if name in new and not _is_trainable(part)]


def _is_trainable(part: nn.Module) -> bool:
    return any(values.requires_grad for values in part.parameters())


def _check_metric(arguments: CRFTrainingArguments, dataset: Any, compute_metrics: Any) -> None:
    """Refuse a metric that no evaluation computes. The host would notice it only after the first evaluation."""
    wanted = arguments.metric_for_best_model
    if wanted is None or compute_metrics is not None or not isinstance(dataset, TaggingDataset):
        return
    known = ["loss", *flat_scores(score_tags(dataset.gold[:1], dataset.gold[:1], dataset.scheme))]
    if wanted.removeprefix("eval_") not in known:
        raise ValueError(f"metric_for_best_model must be one of {', '.join(known)}, got {wanted!r}")


def _check_dropped(arguments: CRFTrainingArguments, dataset: Any) -> None:
    """Refuse to drop the last batch where it is the only one."""
    size = arguments.train_batch_size * arguments.world_size
    if arguments.dataloader_drop_last and isinstance(dataset, TaggingDataset) and len(dataset) < size:
        raise ValueError(
            f"dataloader_drop_last must be False, or the batches smaller: {len(dataset)} rows of training data do not "
            f"fill one of {size}"
        )


def _scorer(dataset: TaggingDataset) -> Any:
    """Return what scores predictions against all gold tags, also against those that the model has no label for."""

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        return flat_scores(score_tags(dataset.gold, dataset.tags_of(prediction.predictions), dataset.scheme))

    return compute_metrics
