"""A Trainer that gives encoder, head and CRF each a learning rate, and scores every word of the gold data."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import EvalPrediction, Trainer, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput, SaveStrategy

from .dataset import TaggingDataset
from .metrics import flat_scores, score_tags


@dataclass
class CRFTrainingArguments(TrainingArguments):
    """The Trainer's arguments and two learning rates more; `learning_rate` is the encoder's."""

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
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False  # torch warns that it cannot


class CRFTrainer(Trainer):
    """`Trainer` for `BertBiLSTMCRFForTokenClassification`, on `TaggingDataset`s."""

    args: CRFTrainingArguments

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

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make the optimiser that `args.optim` names, over `parameter_groups`."""
        if self.optimizer is None:
            model = self.model if model is None else model
            optimizer_class, arguments = self.get_optimizer_cls_and_kwargs(self.args, model)
            self.optimizer = optimizer_class(self.parameter_groups(model), **arguments)
        return self.optimizer

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
