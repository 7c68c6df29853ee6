"""The command line of `run_ner.py`: its options, and those that it chooses where the user leaves them open."""

import json
from argparse import SUPPRESS
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NoReturn

import yaml
from transformers import HfArgumentParser

from ..doors.terminal import visible
from ..schemes import SCHEMES
from .recipe import CRFTrainingArguments


class UserError(ValueError):
    """Something the user can mend; the message says how."""


@dataclass
class ModelArguments:
    """Which encoder or tagger to start from, and the shape of a new head."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={
            "help": "A pretrained encoder (BERT, RoBERTa, DeBERTa, ...) or a finished tagger of this package: name or "
            "folder."
        },
    )
    tokenizer_name: str | None = field(default=None, metadata={"help": "Tokenizer, if it stands elsewhere."})
    revision: str = field(default="main", metadata={"help": "Branch, tag or commit of the model on the Hub."})
    lstm_hidden_size: int | None = field(
        default=None, metadata={"help": "Units of the BiLSTM per direction; by default half the encoder's width."}
    )
    num_lstm_layers: int = field(default=1, metadata={"help": "Layers of the BiLSTM; 0 leaves it out."})
    lstm_dropout: float = field(default=0.1, metadata={"help": "Dropout on the output of every BiLSTM layer."})
    text_unit: Literal["sentence", "text"] = field(
        default="sentence",
        metadata={
            "help": "What one example of the training data is: a sentence (the saved pipeline will split texts into "
            "sentences) or a whole text."
        },
    )
    context_size: int = field(
        default=0,
        metadata={
            "help": "Sub-tokens of the neighbouring sentences that the encoder sees on each side, unscored. For "
            "sentences that stand in the order of their texts."
        },
    )
    card_license: str | None = field(
        default=None,
        metadata={"help": "Licence of the model, for its card, as the Hub writes it: apache-2.0, mit, ..."},
    )
    card_language: list[str] | None = field(
        default=None, metadata={"help": "Languages of the data, for the card, as ISO 639 codes: en, da, ..."}
    )


SHAPE = ("lstm_hidden_size", "num_lstm_layers", "lstm_dropout", "text_unit", "context_size")
"""Options of a new model, which a finished tagger has decided."""


@dataclass
class DataArguments:
    """Where the labelled sentences are, and how to read them."""

    train_file: list[str] | None = field(
        default=None,
        metadata={"help": "One or more files: CoNLL columns (word first, tag last), or JSON lines (.json, .jsonl)."},
    )
    validation_file: list[str] | None = field(
        default=None, metadata={"help": "The same, for evaluation while training."}
    )
    test_file: list[str] | None = field(
        default=None, metadata={"help": "The same, for the final score and the predictions."}
    )
    dataset_name: str | None = field(
        default=None,
        metadata={
            "help": "In place of files, a data set of the Hub or in a folder, with splits train, validation, test."
        },
    )
    dataset_config_name: str | None = field(default=None, metadata={"help": "Configuration of the data set."})
    text_column_name: str | None = field(
        default=None,
        metadata={"help": "Column of the words; in a column file its number from 0, from the end if negative."},
    )
    label_column_name: str | None = field(default=None, metadata={"help": "The same, of the tags."})
    document_column_name: str | None = field(
        default=None,
        metadata={
            "help": "Column that says which document a sentence is from, for --context_size. Column files say it with "
            "-DOCSTART- lines; without either a file is one document."
        },
    )
    label_list: list[str] | None = field(
        default=None,
        metadata={
            "help": "The model's tags in the order of their ids, or a file with one a line. By default all seen."
        },
    )
    tag_scheme: str | None = field(
        default=None,
        metadata={"help": f"Scheme of a new model's tags, one of {', '.join(SCHEMES)}; the data may be in any other."},
    )
    streaming: bool = field(
        default=False,
        metadata={
            "help": "Read the training data while training, rather than into memory first; in their order, so shuffle "
            "them beforehand."
        },
    )
    max_seq_length: int | None = field(
        default=None,
        metadata={"help": "Most sub-tokens the encoder reads at once; longer sentences are cut into windows."},
    )
    repair_tags: bool = field(
        default=False,
        metadata={
            "help": "Read a gold tag that continues nothing as the opening of an entity, rather than refuse it."
        },
    )
    dataset_license: str | None = field(
        default=None, metadata={"help": "Licence of the data set, for the model card."}
    )

    def labels(self) -> list[str] | None:
        """Return the tags of `label_list`, read from its file if it names one."""
        if self.label_list is None or len(self.label_list) != 1:
            return self.label_list
        file = Path(self.label_list[0])
        if not file.is_file():
            if file.suffix or len(file.parts) > 1:
                raise UserError(f"--label_list: {file}: no such file")
            return self.label_list
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--label_list: {file} cannot be read: {error}") from None
        return [line.strip() for line in lines if line.strip()]


Arguments = tuple[ModelArguments, DataArguments, CRFTrainingArguments]
FILES = {"train": "train_file", "validation": "validation_file", "test": "test_file"}
STEPS = {"train": "do_train", "validation": "do_eval", "test": "do_predict"}


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Read the command line: options, or one YAML or JSON file with the same names.

    Raises:
        UserError: if the file is missing or holds a wrong name or value. Wrong options end the program, as usual.
    """
    given = given_options(argv)
    parser = _parser()
    parser.set_defaults(**own_settings(given))
    file = _file_of(argv)
    options = list(argv) if file is None else _read_options(file)
    try:
        model, data, training, unknown = parser.parse_args_into_dataclasses(options, return_remaining_strings=True)
    except (ValueError, TypeError, ImportError, RuntimeError) as error:  # the host's checks of its own options
        raise UserError(("" if file is None else f"{file}: ") + " ".join(str(error).split())) from None
    if unknown:
        near = get_close_matches(unknown[0], [name for action in parser._actions for name in action.option_strings], 1)
        hint = f"; did you mean {near[0]}?" if near else "; --help lists them"
        raise UserError(("" if file is None else f"{file}: ") + f"{unknown[0]} is no option{hint}")
    return model, data, training


def given_options(argv: Sequence[str]) -> dict[str, Any]:
    """Return the options that a command line, or the file that it names, gives a value, under their full names.

    >>> given_options(["--do_tr", "--seed=7"])
    {'do_train': True, 'seed': 7}
    """
    parser = _parser()
    for action in parser._actions:
        action.default = SUPPRESS
    file = _file_of(argv)
    return vars(parser.parse_known_args(list(argv) if file is None else _read_options(file))[0])


def own_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Choose options that the user leaves open, and those alone: what the user says holds.

    A run that has what to evaluate on does so after each epoch, and keeps the weights with the best F1 where
    evaluations and checkpoints meet.

    Args:
        given: the options that the user gave, as `given_options` returns them.

    Returns:
        The chosen options, none of them among those given. Whatever is in neither has its usual default.

    >>> own_settings({"do_train": True, "do_eval": True, "save_strategy": "no"})
    {'eval_strategy': 'epoch'}
    """
    own: dict[str, Any] = {}

    def choose(name: str, value: Any) -> None:
        if name not in given:
            own[name] = value

    def value_of(name: str) -> Any:
        return given.get(name, own.get(name, CRFTrainingArguments.__dataclass_fields__[name].default))

    if not (given.get("do_train") and given.get("do_eval")):
        return own
    if given.get("eval_steps"):
        choose("eval_strategy", "steps")
    elif not given.get("streaming"):  # streamed data may have no epochs
        choose("eval_strategy", "epoch")
    evaluations = value_of("eval_strategy")
    if evaluations == "steps" or given.get("save_steps"):
        choose("save_strategy", "steps")
    eval_steps = value_of("eval_steps") or value_of("logging_steps")  # the host's rule
    if evaluations == "steps":
        choose("save_steps", eval_steps)
    together = evaluations == value_of("save_strategy") and (
        evaluations == "epoch" or (evaluations == "steps" and eval_steps == value_of("save_steps"))
    )
    if together:
        choose("load_best_model_at_end", True)
    patient = given.get("early_stopping_patience") and "load_best_model_at_end" in given and evaluations != "no"
    if value_of("load_best_model_at_end") or patient:
        choose("metric_for_best_model", "f1")
    return own


class _Parser(HfArgumentParser):
    """The host's parser; what it quotes may stand in a file of options."""

    def error(self, message: str) -> NoReturn:
        super().error(visible(message))


def _parser() -> HfArgumentParser:
    return _Parser(
        (ModelArguments, DataArguments, CRFTrainingArguments),
        usage="run_ner.py [CONFIG.yaml | --OPTION VALUE ...]   (no argument: a demo; --help: every option)",
    )


def _file_of(argv: Sequence[str]) -> Path | None:
    return Path(argv[0]) if len(argv) == 1 and Path(argv[0]).suffix in (".yaml", ".yml", ".json") else None


def _read_options(file: Path) -> list[str]:
    """Write a configuration file's options as the command line would have them, so that both are checked alike."""
    try:
        text = file.read_text(encoding="utf-8")
        options = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        kind = "JSON" if file.suffix == ".json" else "YAML"
        raise UserError(f"{file}: must be {kind}: {' '.join(str(error).split())}") from None
    if not isinstance(options, dict):
        raise UserError(f"{file}: must hold options and their values, got {text.strip()[:40]!r}")
    defaults = {action.dest: action.default for action in _parser()._actions}
    for name, value in options.items():
        if value is None and defaults.get(name) is not None:
            raise UserError(
                f"{file}: {name} must have a value, got none: leave it away for its default, {defaults[name]}"
            )
    return [word for name, value in options.items() if value is not None for word in _as_option(name, value)]


def _as_option(name: str, value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [f"--{name}", *(json.dumps(one) if isinstance(one, dict) else str(one) for one in values)]
