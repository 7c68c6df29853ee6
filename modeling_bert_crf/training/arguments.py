"""The command line of `run_ner.py`: its options, and what is refused before anything is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transformers import HfArgumentParser
from transformers.trainer_utils import IntervalStrategy, get_last_checkpoint

from ..schemes import SCHEMES
from .trainer import CRFTrainingArguments


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
        default=False, metadata={"help": "Read the training data while training, rather than into memory first."}
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

    def labels(self) -> list[str] | None:
        """Return the tags of `label_list`, read from its file if it names one."""
        if self.label_list is None or len(self.label_list) != 1 or not Path(self.label_list[0]).is_file():
            return self.label_list
        lines = Path(self.label_list[0]).read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip()]


Arguments = tuple[ModelArguments, DataArguments, CRFTrainingArguments]
FILES = {"train": "train_file", "validation": "validation_file", "test": "test_file"}
STEPS = {"train": "do_train", "validation": "do_eval", "test": "do_predict"}


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Read the command line: options, or one YAML or JSON file with the same names.

    Raises:
        UserError: if the file is missing or holds a wrong name or value. Wrong options end the program, as usual.
    """
    parser = HfArgumentParser(
        (ModelArguments, DataArguments, CRFTrainingArguments),
        usage="run_ner.py [CONFIG.yaml | --OPTION VALUE ...]   (no argument: a demo; --help: every option)",
    )
    try:
        if len(argv) == 1 and Path(argv[0]).suffix in (".yaml", ".yml"):
            model, data, training = parser.parse_yaml_file(argv[0])
        elif len(argv) == 1 and Path(argv[0]).suffix == ".json":
            model, data, training = parser.parse_json_file(argv[0])
        else:
            model, data, training = parser.parse_args_into_dataclasses(list(argv))
    except OSError as error:
        raise UserError(f"{argv[0]}: {error.strerror or error}") from None
    except (ValueError, TypeError) as error:
        raise UserError(" ".join(str(error).split())) from None
    for name in FILES.values():  # a configuration file may name one file without a list around it
        if isinstance(getattr(data, name), str):
            setattr(data, name, [getattr(data, name)])
    return model, data, training


def check_arguments(model: ModelArguments, data: DataArguments, training: CRFTrainingArguments) -> None:
    """Refuse what cannot end well; evaluate after each epoch if there is what to evaluate on.

    Raises:
        UserError: for no step at all, a step without its data, options that exclude each other, or an output folder
            that holds a finished model or an unfinished run.
    """
    asked = {split: step for split, step in STEPS.items() if getattr(training, step)}
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
    if data.streaming and training.do_train and training.max_steps <= 0:
        raise UserError("--streaming needs --max_steps: the length of the training data is not known")
    if training.do_train and training.do_eval and training.eval_strategy == "no" and not data.streaming:
        training.eval_strategy = IntervalStrategy.EPOCH
    _check_output(training)


def _check_output(training: CRFTrainingArguments) -> None:
    checkpoint = training.resume_from_checkpoint
    if checkpoint is not None and not Path(checkpoint).is_dir():
        raise UserError(f"--resume_from_checkpoint: {checkpoint} is no checkpoint's folder")
    output = Path(training.output_dir)
    if output.exists() and not output.is_dir():
        raise UserError(f"--output_dir must be a folder, {output} is a file")
    if training.do_train and (output / "config.json").exists():
        raise UserError(f"--output_dir {output} holds a finished model: choose another folder, or move it away")
    last = get_last_checkpoint(output) if output.exists() else None
    if training.do_train and last is not None and checkpoint is None:
        raise UserError(
            f"--output_dir {output} holds an unfinished run: go on with --resume_from_checkpoint {last}, or choose "
            "another folder"
        )
