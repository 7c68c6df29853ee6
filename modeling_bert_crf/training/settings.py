"""The settings that the program makes. What a user leaves open, and the program then decides, is decided in this file.

A run comes here at three moments:

    settings_of_command     the command line has been read: when to evaluate, when to save, which weights to keep
    choose_metric, fill_open_arguments
                            the arguments are made, by the program or by somebody's own script
    settings_of_model       the model is open: learning rate and epochs for its size, and the longest window

All functions elsewhere whose names begin with `check`, `find` or `is` only look: they change no option and no file.
"""

from collections.abc import Mapping
from typing import Any, cast

from transformers import TrainingArguments
from transformers.trainer_pt_utils import AcceleratorConfig

from ..modeling_crf import BiLSTMCRFForTokenClassification
from .errors import UserError
from .recipe import has_learnt, recipe_for

__all__ = [
    "apply_recipe",
    "choose_metric",
    "fill_open_arguments",
    "settings_of_command",
    "settings_of_model",
    "window_length",
]

FEWEST = 3
"""The sub-tokens of the shortest window: a word between two special tokens."""


def settings_of_command(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Choose how often a run evaluates and saves, and which weights it keeps, as far as the user leaves that open.

    A run that has data to evaluate on evaluates after each epoch. It keeps the weights with the best F1 if evaluations
    and checkpoints come at the same steps. A value that the user gives is never replaced.

    Args:
        given: the options that the user gave, as `given_options` returns them.
        defaults: the values of options that are neither given nor chosen here.

    Returns:
        The chosen options; none of them is among those given.

    >>> defaults = {"eval_strategy": "no", "eval_steps": None, "save_strategy": "epoch", "save_steps": 500}
    >>> defaults |= {"load_best_model_at_end": False, "logging_steps": 50}
    >>> settings_of_command({"do_train": True, "do_eval": True, "save_strategy": "no"}, defaults)
    {'eval_strategy': 'epoch'}
    """
    options = _Options(given, defaults)
    if not (given.get("do_train") and given.get("do_eval")):
        return options.chosen
    if given.get("eval_steps"):
        options.choose("eval_strategy", "steps")
    elif not given.get("streaming"):  # streamed data may have no epochs
        options.choose("eval_strategy", "epoch")
    evaluates_by_steps = options["eval_strategy"] == "steps"
    if evaluates_by_steps or given.get("save_steps"):
        options.choose("save_strategy", "steps")
    eval_steps = options["eval_steps"] or options["logging_steps"]  # the host's rule
    if evaluates_by_steps:
        options.choose("save_steps", eval_steps)
    if _coincide(options, eval_steps):
        options.choose("load_best_model_at_end", True)
    if options["load_best_model_at_end"] or _waits_for_f1(options):
        options.choose("metric_for_best_model", "f1")
    return options.chosen


class _Options:
    """The options of a command: those given, those chosen, and the defaults of the others."""

    def __init__(self, given: Mapping[str, Any], defaults: Mapping[str, Any]):
        self.given, self.defaults = given, defaults
        self.chosen: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self.given.get(name, self.chosen.get(name, self.defaults[name]))

    def choose(self, name: str, value: Any) -> None:
        """Set an option, unless the user gives it."""
        if name not in self.given:
            self.chosen[name] = value


def _coincide(options: _Options, eval_steps: Any) -> bool:
    """Say whether there is an evaluation at each step at which a checkpoint is written, and the other way round."""
    if options["eval_strategy"] != options["save_strategy"]:
        return False
    return options["eval_strategy"] == "epoch" or (
        options["eval_strategy"] == "steps" and eval_steps == options["save_steps"]
    )


def _waits_for_f1(options: _Options) -> bool:
    """Say whether early stopping has to compare evaluations although the user says which weights are kept."""
    return bool(
        options.given.get("early_stopping_patience")
        and "load_best_model_at_end" in options.given
        and options["eval_strategy"] != "no"
    )


def choose_metric(training: TrainingArguments) -> None:
    """Set the F1 as the metric that chooses the best weights, where one is needed and the user names none.

    Called before the host completes the arguments: the host would take the loss, or no metric at all.
    """
    needs_one = (
        training.load_best_model_at_end
        or training.save_strategy == "best"
        or training.lr_scheduler_type in ("reduce_lr_on_plateau", "greedy")
    )
    if training.metric_for_best_model is None and needs_one:
        training.metric_for_best_model = "f1"


def fill_open_arguments(training: TrainingArguments, *, pins_memory: bool | None, pushes: bool, freezes: bool) -> None:
    """Set the arguments that are still open after the host has completed them.

    Args:
        training: the arguments.
        pins_memory: what the user says of `dataloader_pin_memory`; the host has put a value of its own there.
        pushes: whether the run pushes to the Hub. A dry run does not, though it is asked to.
        freezes: whether the encoder stands still in the first steps.
    """
    training.push_to_hub = pushes
    # There is a copy to speed up only where batches go from the CPU to another device.
    training.dataloader_pin_memory = training.device.type != "cpu" if pins_memory is None else pins_memory
    accelerator = cast(AcceleratorConfig, training.accelerator_config)  # the host has made one of whatever was given
    if accelerator.dispatch_batches is None:
        accelerator.dispatch_batches = False  # streamed batches differ in width, and cannot be cut and handed round
    if freezes and training.ddp_find_unused_parameters is None:
        training.ddp_find_unused_parameters = True  # the parameters of an encoder that stands still


def settings_of_model(
    training: TrainingArguments,
    options: Mapping[str, Any],
    model: BiLSTMCRFForTokenClassification,
    tokenizer: Any,
    max_seq_length: int | None,
) -> str:
    """Set what depends on the model: the longest window, and for training the learning rate and the epochs.

    Args:
        training: the arguments of the run, which are changed.
        options: those of them that the user gave, as `given_options` returns them.
        model: the tagger.
        tokenizer: of the model. Its `model_max_length` is changed: it is saved with the model, so that the windows of
            the saved pipeline are those of training.
        max_seq_length: the longest window that the user asks for, if any.

    Returns:
        What was chosen for the training and why, in one line; empty if the run does not train.

    Raises:
        UserError: if `max_seq_length` is out of range.
    """
    tokenizer.model_max_length = window_length(max_seq_length, tokenizer, model)
    return apply_recipe(model, training, options) if training.do_train else ""


def window_length(max_seq_length: int | None, tokenizer: Any, model: BiLSTMCRFForTokenClassification) -> int:
    """Return how many sub-tokens a window may have: those asked for, or as many as tokenizer and encoder allow.

    Raises:
        UserError: if more are asked for than the encoder reads, or too few for a word.
    """
    limit = min(tokenizer.model_max_length, model.max_length)
    if max_seq_length is not None and not FEWEST <= max_seq_length <= limit:
        raise UserError(f"--max_seq_length must be from {FEWEST} to the encoder's {limit}, got {max_seq_length}")
    return max_seq_length or limit


def apply_recipe(model: Any, training: Any, options: Mapping[str, Any]) -> str:
    """Set learning rates and epochs as the recipe for the encoder says, unless the user gives them.

    The encoder need not wait for a head that has learnt already. One without a BiLSTM, such as the classifier of a
    stock tagger, has learnt at the encoder's rate and goes on at it: at that of a new head it would forget.

    Args:
        model: the tagger.
        training: the arguments, which are changed.
        options: those that the user gave.

    Returns:
        What was chosen and why, in one line.
    """
    recipe, weights = recipe_for(model)
    chosen = {"learning_rate": recipe.learning_rate, "num_train_epochs": recipe.epochs}
    chosen = {name: value for name, value in chosen.items() if name not in options}
    if "max_steps" in options:  # a user who counts steps has no use for epochs
        chosen.pop("num_train_epochs", None)
    if has_learnt(model):
        further = {"frozen_steps": 0.0}
        if model.lstm is None:
            further["head_learning_rate"] = chosen.get("learning_rate", training.learning_rate)
        chosen |= {name: value for name, value in further.items() if name not in options}
    for name, value in chosen.items():
        setattr(training, name, value)
    said = ", ".join(f"{name} {value:g}" for name, value in chosen.items()) or "nothing to choose, all is given"
    size = f"{recipe.size} encoders ({weights / 1e6:,.1f} M weights beside the embeddings)"
    return f"recipe for {size}: {said}; {recipe.reason}"
