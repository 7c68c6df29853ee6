"""The command line of `run_ner.py`: its options, and what is refused before anything is loaded."""

import json
import re
import tempfile
from argparse import SUPPRESS
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from transformers import HfArgumentParser
from transformers.integrations import get_available_reporting_integrations
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from ..schemes import SCHEMES, detect_scheme
from .checkpoints import find_fault, last_whole
from .recipe import CRFTrainingArguments


class UserError(ValueError):
    """Something the user can mend; the message says how."""


@dataclass
class ModelArguments:
    """Which encoder or tagger to start from, and the shape of a new head."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "A pretrained BERT encoder, or a finished tagger of this package: Hub name or folder."},
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
    parser = _parser()
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


def _parser() -> HfArgumentParser:
    return HfArgumentParser(
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
    return [word for name, value in options.items() if value is not None for word in _as_option(name, value)]


def _as_option(name: str, value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [f"--{name}", *(json.dumps(one) if isinstance(one, dict) else str(one) for one in values)]


def check_arguments(model: ModelArguments, data: DataArguments, training: CRFTrainingArguments) -> None:
    """Refuse what cannot end well; evaluate after each epoch if there is what to evaluate on, and keep the best model.

    Raises:
        UserError: for no step at all, a step without its data, options that exclude each other or that this machine
            cannot follow, or an output folder that cannot be written or holds a finished model or an unfinished run.
    """
    asked = {split: step for split, step in STEPS.items() if getattr(training, step)}
    if training.wants_push and not training.do_train and not (Path(training.output_dir) / "config.json").is_file():
        raise UserError(f"--push_to_hub needs --do_train or a finished model, got none in {training.output_dir}")
    if not asked:
        raise UserError("nothing to do: pass --do_train, --do_eval or --do_predict")
    if data.dataset_name is not None and any(getattr(data, name) for name in FILES.values()):
        raise UserError("--dataset_name and files exclude each other: pass one of them")
    for split, step in asked.items():
        if data.dataset_name is None and not getattr(data, FILES[split]):
            raise UserError(f"--{step} needs --{FILES[split]} (or --dataset_name)")
    if model.model_name_or_path is None:
        raise UserError("--model_name_or_path must name a BERT encoder or a finished tagger")
    if data.tag_scheme is not None and data.tag_scheme not in SCHEMES:
        raise UserError(f"--tag_scheme must be one of {', '.join(SCHEMES)}, got {data.tag_scheme!r}")
    if model.card_license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", model.card_license):
        raise UserError(
            f"--card_license must be a licence's short name, such as apache-2.0, got {model.card_license!r}"
        )
    for code in model.card_language or []:
        if not re.fullmatch(r"[a-z]{2,3}", code):
            raise UserError(f"--card_language must be ISO 639 codes, such as en, got {code!r}")
    labels = data.labels() or []
    if repeated := [label for index, label in enumerate(labels) if label in labels[:index]]:
        raise UserError(f"--label_list must name each tag once, got {repeated[0]!r} twice")
    try:
        detect_scheme(labels)
    except ValueError as error:
        raise UserError(f"--label_list: {error}") from None
    if data.streaming and training.do_train and training.max_steps <= 0:
        raise UserError("--streaming needs --max_steps: the length of the training data is not known")
    if training.fp16 and training.device.type == "cpu":
        raise UserError("--fp16 needs a GPU, and there is none here: leave it away, or pass --bf16 --use_cpu")
    available = get_available_reporting_integrations()
    if missing := [name for name in training.report_to if name not in available]:
        raise UserError(
            f"--report_to {missing[0]} must be installed (pip install {missing[0]}) or one of "
            f"{', '.join(sorted(available)) or 'none'}"
        )
    if training.do_train and training.do_eval:
        _keep_best(training, data.streaming)
    if training.do_train and training.early_stopping_patience is not None and training.metric_for_best_model is None:
        raise UserError(
            "--early_stopping_patience needs --do_eval, evaluations (with --streaming: --eval_strategy steps "
            "--eval_steps N), and their checkpoints: leave --save_strategy away or let --save_steps be --eval_steps"
        )
    if data.streaming and model.context_size:
        raise UserError(
            "--context_size needs a sentence's neighbours, and --streaming reads one by one: drop one of them"
        )
    _check_output(training)


def _keep_best(training: CRFTrainingArguments, streaming: bool) -> None:
    """Evaluate after each epoch, and keep the weights with the best F1, unless the options say otherwise.

    Evaluations in steps that the user asks for take the checkpoints with them, if those have their default, epochs.
    """
    if training.eval_strategy == "no" and not streaming:
        training.eval_strategy = IntervalStrategy.EPOCH
    if training.eval_strategy == "steps" and training.save_strategy == "epoch":
        training.save_strategy, training.save_steps = SaveStrategy.STEPS, training.eval_steps
    together = training.eval_strategy == training.save_strategy and (
        training.eval_strategy == "epoch"
        or (training.eval_strategy == "steps" and training.save_steps == training.eval_steps)
    )
    if together:
        training.load_best_model_at_end = True
        if training.metric_for_best_model is None:
            training.metric_for_best_model, training.greater_is_better = "f1", True


def _check_output(training: CRFTrainingArguments) -> None:
    output = Path(training.output_dir)
    checkpoint = training.resume_from_checkpoint = _find_checkpoint(training.resume_from_checkpoint, output)
    existing = next(path for path in (output.absolute(), *output.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryDirectory(dir=existing).cleanup()
    except OSError as error:
        raise UserError(f"--output_dir {output} must be a folder that can be written: {error.strerror}") from None
    if training.do_train and (output / "config.json").exists():
        raise UserError(f"--output_dir {output} holds a finished model: choose another folder, or move it away")
    last = last_whole(output)
    if training.do_train and last is not None and checkpoint is None:
        raise UserError(
            f"--output_dir {output} holds an unfinished run: go on with --resume_from_checkpoint {last}, or choose "
            "another folder"
        )


def _find_checkpoint(wanted: str | None, output: Path) -> str | None:
    """Return the checkpoint to go on from; `True` means the last whole one, as `Trainer.train` has it."""
    if wanted is None:
        return None
    if wanted.lower() == "true":
        last = last_whole(output)
        if last is None:
            raise UserError(f"--resume_from_checkpoint: {output} holds no whole checkpoint: leave the option away")
        return str(last)
    if not Path(wanted).is_dir():
        raise UserError(f"--resume_from_checkpoint: {wanted} is no checkpoint's folder")
    if fault := find_fault(Path(wanted)):
        last = last_whole(Path(wanted).parent)
        cure = (
            "there is no whole one beside it: leave the option away"
            if last is None
            else f"the last whole one is {last}"
        )
        raise UserError(f"--resume_from_checkpoint: {wanted} is not whole ({fault}); {cure}")
    return wanted
