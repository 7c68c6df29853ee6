"""How a tagger is trained: the defaults, and the order of the batches."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from transformers.debug_utils import DebugOption
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import SaveStrategy

from .hub import HubTrainingArguments

_WHOLE = {"batch_eval_metrics": False, "prediction_loss_only": False, "eval_do_concat_batches": True}
"""Options that would score parts of a data set, and the values that do not."""


class Recipe(NamedTuple):
    """What suits encoders of a size, where the user says nothing else."""

    size: str
    up_to: float  # weights beside the word embeddings
    learning_rate: float  # of the encoder
    epochs: int
    reason: str


RECIPES = (
    Recipe("small", 30e6, 1e-4, 4, "what served MiniLM best on three data sets (benchmarks/accuracy.md)"),
    Recipe("base", 150e6, 5e-5, 3, "the rate of the BERTimbau taggers, with a head of 1e-3 as here"),
    Recipe("large", math.inf, 1e-5, 3, "large encoders come apart at more; published taggers use 5e-6 to 1e-5"),
)
"""By size. Head and CRF keep their rates: they start from nothing whatever the encoder is."""


def recipe_for(model: Any) -> tuple[Recipe, int]:
    """Choose the recipe for a tagger's encoder.

    Returns:
        The recipe, and the encoder's size: its weights beside the word embeddings, each layer of its own (ALBERT's
        share theirs).
    """
    weights = sum(parameter.numel() for parameter in model.base_model.parameters())
    weights -= model.get_input_embeddings().weight.numel()
    weights *= model.config.num_hidden_layers if hasattr(model.config, "num_hidden_groups") else 1
    return next(recipe for recipe in RECIPES if weights <= recipe.up_to), weights


def apply_recipe(model: Any, training: Any, options: Mapping[str, Any]) -> str:
    """Set learning rate and epochs as the recipe for the encoder says, unless the user's options do; say what and why.

    Args:
        model: the tagger.
        training: the arguments to set.
        options: those that the user gave.
    """
    recipe, weights = recipe_for(model)
    chosen = {"learning_rate": recipe.learning_rate, "num_train_epochs": recipe.epochs}
    chosen = {name: value for name, value in chosen.items() if name not in options}
    if "max_steps" in options:  # who counts steps has no use for epochs
        chosen.pop("num_train_epochs", None)
    for name, value in chosen.items():
        setattr(training, name, value)
    said = ", ".join(f"{name} {value:g}" for name, value in chosen.items()) or "nothing to choose, all is given"
    size = f"{recipe.size} encoders ({weights / 1e6:,.1f} M weights beside the embeddings)"
    return f"recipe for {size}: {said}; {recipe.reason}"


@dataclass(repr=False)  # the host's, which hides the token
class CRFTrainingArguments(HubTrainingArguments):
    """The Trainer's arguments, some with other defaults, and a few more; `learning_rate` is the encoder's."""

    learning_rate: float = field(
        default=5e-5,
        metadata={"help": "Peak learning rate of the encoder. By default its size decides: 1e-4, 5e-5 or 1e-5."},
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
    dataloader_pin_memory: bool | None = field(
        default=None, metadata={"help": "Pin the memory of batches; by default where there is a GPU to copy them to."}
    )

    def __post_init__(self) -> None:
        if self.metric_for_best_model is None and (
            self.load_best_model_at_end
            or self.save_strategy == "best"
            or self.lr_scheduler_type in ("reduce_lr_on_plateau", "greedy")
        ):
            self.metric_for_best_model = "f1"  # the host would take the loss, or none
        pins_memory = self.dataloader_pin_memory
        super().__post_init__()
        self.dataloader_pin_memory = self.device.type != "cpu" if pins_memory is None else pins_memory
        for name, only in _WHOLE.items():
            if getattr(self, name) != only:
                raise ValueError(f"{name} must stay {only}: F1 is that of a whole data set's paths")
        if DebugOption.UNDERFLOW_OVERFLOW in self.debug:
            raise ValueError(
                "debug must be without underflow_overflow, which cannot read the masks that this model's parts pass "
                "on: a loss that is no number stops the run anyway, with logging_steps 1 at its step"
            )
        if self.accelerator_config.dispatch_batches is None:
            self.accelerator_config.dispatch_batches = False  # streamed batches are of unequal widths
        if self.label_smoothing_factor != 0:
            raise ValueError(
                "label_smoothing_factor must be 0: the Trainer would replace the CRF's loss by a cross-entropy, got "
                f"{self.label_smoothing_factor}"
            )
        if self.frozen_steps < 0:
            raise ValueError(f"frozen_steps must be at least 0, got {self.frozen_steps}")
        if self.early_stopping_patience is not None and self.early_stopping_patience < 1:
            raise ValueError(f"early_stopping_patience must be at least 1, got {self.early_stopping_patience}")
        if self.frozen_steps and self.ddp_find_unused_parameters is None:
            self.ddp_find_unused_parameters = True  # those of an encoder that stands still
        if self.frozen_steps and not self.ddp_find_unused_parameters and self.world_size > 1:
            raise ValueError(
                "ddp_find_unused_parameters must be True with frozen_steps, which leave the encoder unused"
            )

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
