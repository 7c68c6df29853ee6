"""The arguments of a training run: those of the host's Trainer, some with other defaults, and a few more."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from transformers import TrainingArguments
from transformers.debug_utils import DebugOption
from transformers.trainer_utils import HubStrategy, SaveStrategy

from .settings import choose_metric, fill_open_arguments

__all__ = ["CRFTrainingArguments"]

_ONLY = {"batch_eval_metrics": False, "prediction_loss_only": False, "eval_do_concat_batches": True}
"""Options of the host that can have one value only. With the other one the host would score parts of a data set by
themselves, and the F1 of a data set is not the mean of the F1s of its parts."""


@dataclass(repr=False)  # the host's `__repr__` does not show the token
class CRFTrainingArguments(TrainingArguments):
    """The arguments of a run. `learning_rate` is that of the encoder; names that begin with `hub_` say where to push.

    Raises:
        ValueError: if an argument has a value with which a tagger cannot be trained.
    """

    push_to_hub: bool = field(
        default=False, metadata={"help": "Push the finished model to the Hub, all of it in one commit at the end."}
    )
    hub_strategy: HubStrategy | str = field(default="end", metadata={"help": "Nothing but `end` is possible."})
    hub_tag: str | None = field(default=None, metadata={"help": "A tag for the commit, such as v1.0."})
    hub_dry_run: bool = field(
        default=False, metadata={"help": "List what --push_to_hub would push, without a network, and push nothing."}
    )
    learning_rate: float = field(
        default=5e-5,
        metadata={"help": "Peak learning rate of the encoder. By default its size decides: 1e-4, 5e-5 or 1e-5."},
    )
    head_learning_rate: float = field(
        default=1e-3,
        metadata={
            "help": "Peak learning rate of the BiLSTM and the classifier, which start from nothing. By default the "
            "encoder's for a classifier that has learnt without a BiLSTM, as that of a wrapped tagger."
        },
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
            "1, the share of all steps. The encoder then warms up by itself. By default 0 for a head that has learnt."
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
    logging_steps: float = field(
        default=50, metadata={"help": "Steps between two looks at the training loss, as the learning curve has them."}
    )
    log_health: bool = field(
        default=False,
        metadata={"help": "Show at each look what the CRF learns, and the groups of parameters with their rates."},
    )
    per_device_train_batch_size: int = field(default=16, metadata={"help": "Sentences per device and training step."})
    per_device_eval_batch_size: int = field(default=32, metadata={"help": "Sentences per device and evaluation step."})
    dataloader_pin_memory: bool | None = field(
        default=None, metadata={"help": "Pin the memory of batches; by default where there is a GPU to copy them to."}
    )

    def __post_init__(self) -> None:
        """Fill in what is left open (see `settings.py`), and refuse what cannot be followed."""
        pins_memory = self.dataloader_pin_memory
        choose_metric(self)
        if self.disable_tqdm is None and not sys.stderr.isatty():
            self.disable_tqdm = True  # a bar that is written to a file is a line of carriage returns
        super().__post_init__()
        fill_open_arguments(
            self,
            pins_memory=pins_memory,
            pushes=self.push_to_hub and not self.hub_dry_run,
            freezes=self.frozen_steps > 0,
        )
        _check(self)

    @property
    def folder(self) -> Path:
        """The output folder."""
        return Path(cast(str, self.output_dir))  # the host fills in a name where none is given

    @property
    def repo_id(self) -> str:
        """The repository to push to: `hub_model_id`, or one that is named as the output folder."""
        return self.hub_model_id or self.folder.resolve().name

    @property
    def wants_push(self) -> bool:
        """Whether something is to be pushed, or to be listed instead of pushed."""
        return self.push_to_hub or self.hub_dry_run

    def get_frozen_steps(self, num_training_steps: int) -> int:
        """Return in how many of the steps the encoder stands still."""
        share = self.frozen_steps
        return int(share if share >= 1 else num_training_steps * share)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: all but the token, since the host writes this pickle into every checkpoint."""
        return vars(self) | {"hub_token": None}


def _check(training: CRFTrainingArguments) -> None:
    """Refuse values with which a tagger cannot be trained, or cannot be scored.

    Raises:
        ValueError: naming the argument, its rule and the value.
    """
    if training.hub_strategy != HubStrategy.END:
        raise ValueError(
            "hub_strategy must be 'end', so that the Hub never holds a model that is half trained, got "
            f"{HubStrategy(training.hub_strategy).value!r}"
        )
    for name, only in _ONLY.items():
        if getattr(training, name) != only:
            raise ValueError(f"{name} must stay {only}: F1 is that of a whole data set's paths")
    if DebugOption.UNDERFLOW_OVERFLOW in training.debug:
        raise ValueError(
            "debug must be without underflow_overflow, which cannot read the masks that this model's parts pass "
            "on: a loss that is no number stops the run anyway, with logging_steps 1 at its step"
        )
    if training.label_smoothing_factor != 0:
        raise ValueError(
            "label_smoothing_factor must be 0: the Trainer would replace the CRF's loss by a cross-entropy, got "
            f"{training.label_smoothing_factor}"
        )
    if training.frozen_steps < 0:
        raise ValueError(f"frozen_steps must be at least 0, got {training.frozen_steps}")
    if training.early_stopping_patience is not None and training.early_stopping_patience < 1:
        raise ValueError(f"early_stopping_patience must be at least 1, got {training.early_stopping_patience}")
    if training.frozen_steps and not training.ddp_find_unused_parameters and training.world_size > 1:
        raise ValueError("ddp_find_unused_parameters must be True with frozen_steps, which leave the encoder unused")
