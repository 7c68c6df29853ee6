"""The options of a run, in three parts: of the model, of the data, and of the training.

After a change of an option `python -m bert_crf_command.options` has to be run: `bert-crf train` knows its options from
a list that this writes.
"""

from argparse import SUPPRESS
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NoReturn

from transformers import HfArgumentParser
from transformers.hf_argparser import DataClassType

from ..readers.formats import FORMATS
from ..schemes import SCHEMES
from .errors import UserError
from .settings import settings_of_command
from .training_arguments import CRFTrainingArguments

__all__ = [
    "FILES",
    "LIMITS",
    "SHAPE",
    "STEPS",
    "Arguments",
    "DataArguments",
    "ModelArguments",
    "given_options",
    "option_parser",
    "parse_arguments",
]


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
    revision: str = field(
        default="main",
        metadata={"aliases": ["--model_revision"], "help": "Branch, tag or commit of the model on the Hub."},
    )
    cache_dir: str | None = field(
        default=None, metadata={"help": "Where what comes from the Hub is kept; by default the cache of the library."}
    )
    token: str | None = field(
        default=None,
        repr=False,
        metadata={"help": "Token to read from the Hub with; by default that of `hf auth login`, or HF_TOKEN."},
    )
    trust_remote_code: bool = field(
        default=False, metadata={"help": "Refused if true: no code of a checkpoint or a data set is run."}
    )
    ignore_mismatched_sizes: bool = field(
        default=False,
        metadata={
            "help": "Give a finished tagger a new classifier and CRF where the training data have types that it lacks."
        },
    )
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
    chain_unit: Literal["word", "token"] = field(
        default="word",
        metadata={
            "help": "What the CRF's chain runs over: words, each of which its first sub-token stands for, or all "
            "sub-tokens."
        },
    )
    card_license: str | None = field(
        default=None,
        metadata={"help": "Licence of the model, for its card, as the Hub writes it: apache-2.0, mit, ..."},
    )
    card_language: list[str] | None = field(
        default=None, metadata={"help": "Languages of the data, for the card, as ISO 639 codes: en, da, ..."}
    )

    card_examples: list[str] | None = field(
        default=None,
        metadata={"help": "Texts to try the model on, for its card and `bert-crf demo`; the card publishes them."},
    )

    @property
    def hub(self) -> dict[str, str]:
        """Where and how to read from the Hub, in the words of the host's functions."""
        given = {"cache_dir": self.cache_dir, "token": self.token}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def starts_from(self) -> str:
        """The model that the run starts from.

        Raises:
            UserError: if the user names none.
        """
        if self.model_name_or_path is None:
            raise UserError("--model_name_or_path must name an encoder or a finished tagger")
        return self.model_name_or_path


SHAPE = ("lstm_hidden_size", "num_lstm_layers", "lstm_dropout", "text_unit", "context_size", "chain_unit")
"""The options that shape a new model. A finished tagger has its shape already."""


@dataclass
class DataArguments:
    """Where the labelled sentences are, and how to read them."""

    train_file: list[str] | None = field(
        default=None,
        metadata={
            "help": "One or more files: CoNLL columns (word first, tag last), JSON of words and tags, or texts with "
            "spans as doccano, Label Studio, Prodigy, spaCy, GLiNER, Argilla, PubTator and BioC keep them; or a "
            "folder of brat's. An unknown tag is `_` or null, one of several `B-PER|O`; texts that are annotated in "
            "part name their regions, `reviewed`."
        },
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
        metadata={
            "help": "Column of the words, or of the text; in a column file its number from 0, from the end if "
            "negative."
        },
    )
    label_column_name: str | None = field(default=None, metadata={"help": "The same, of the tags or spans."})
    data_format: str | None = field(
        default=None,
        metadata={"help": f"Format of the data, if not as their content shows: {', '.join(FORMATS)}."},
    )
    on_misaligned: Literal["split", "expand", "drop", "error"] = field(
        default="split",
        metadata={
            "help": "What is done with an annotation that ends inside a word: the word is split there, the annotation "
            "takes in the word, it is left out, or the data are refused."
        },
    )
    on_overlap: Literal["error", "longest", "first"] = field(
        default="error",
        metadata={
            "help": "What is done with annotations that overlap: the data are refused, or the longest is kept, or the "
            "one that begins first."
        },
    )
    annotator: str = field(
        default="error",
        metadata={
            "help": "Whose annotations count where several people have annotated a text differently: a name, `first`, "
            "`last`, or `error`, which refuses the data."
        },
    )
    annotated_types: list[str] | None = field(
        default=None,
        metadata={
            "action": "extend",
            "help": "A file of the run, or a split of the data set, that is annotated for some types only, and these "
            "types: `a.conll PER,LOC`. A tag O says there that a word is of none of them, and may be of another type. "
            "May be given several times, or with several pairs.",
        },
    )
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
    max_train_samples: int | None = field(
        default=None, metadata={"help": "Take only so many of the first sentences to train; labels are theirs."}
    )
    max_eval_samples: int | None = field(default=None, metadata={"help": "The same, of the validation data."})
    max_predict_samples: int | None = field(default=None, metadata={"help": "The same, of the test data."})
    preprocessing_num_workers: int | None = field(
        default=None, metadata={"help": "Without effect: one process lays out all sentences in a few seconds."}
    )
    return_entity_level_metrics: bool = field(
        default=False,
        metadata={"help": "Write the scores of each type into all_results.json, too; metrics.json has them anyway."},
    )
    repair_tags: bool = field(
        default=False,
        metadata={
            "help": "Read a gold tag that continues nothing as the opening of an entity, rather than refuse it."
        },
    )
    dataset_license: str | None = field(
        default=None,
        metadata={
            "help": "Licence of the data set, for the model card; if not given, what the data set's card states."
        },
    )

    def types_annotated_in(self) -> dict[str, tuple[str, ...]]:
        """Return for each file, or split of a data set, that is annotated for some types only, which these are.

        Raises:
            UserError: if a file has no types, is none of the run's, or is named twice.
        """
        words = self.annotated_types or []
        if len(words) % 2:
            raise UserError(f"--annotated_types must be pairs of a file and its types, got {' '.join(words)}")
        known = (
            list(FILES)
            if self.dataset_name
            else [path for name in FILES.values() for path in getattr(self, name) or []]
        )
        found: dict[str, tuple[str, ...]] = {}
        for file, given in zip(words[::2], words[1::2], strict=True):
            kinds = tuple(kind.strip() for kind in given.split(",") if kind.strip())
            if file not in known or file in found or not kinds:
                fault = "twice" if file in found else f"with {given!r}"
                raise UserError(
                    f"--annotated_types must name each of {', '.join(known)} once at most, and types such as PER,LOC, "
                    f"got {file} {fault}"
                )
            found[file] = kinds
        return found

    def labels(self) -> list[str] | None:
        """Return the tags of `label_list`, which are read from a file if it names one; None if it is not given.

        Raises:
            UserError: if there is no such file, or it cannot be read.
        """
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
"""All options of a run."""
FILES = {"train": "train_file", "validation": "validation_file", "test": "test_file"}
STEPS = {"train": "do_train", "validation": "do_eval", "test": "do_predict"}
"""Of each split the option that names its files, and the option that asks for the step that needs it."""
LIMITS = {"train": "max_train_samples", "validation": "max_eval_samples", "test": "max_predict_samples"}
"""Of each split the option that says how many of its sentences are taken."""


def parse_arguments(words: Sequence[str], file: Path | None = None) -> Arguments:
    """Read options as they stand on the command line.

    Args:
        words: the options and their values.
        file: the file that they were read from, if they were not given on the command line.

    Raises:
        UserError: if there is no such option, or an option cannot have such a value.
    """
    parser = option_parser()
    defaults = {one.name: one.default for one in fields(CRFTrainingArguments)}
    try:
        parser.set_defaults(**settings_of_command(given_options(words), defaults))
        model, data, training = parser.parse_args_into_dataclasses(list(words))
    except (ValueError, TypeError, ImportError, RuntimeError) as error:  # the host's checks of its own options
        raise UserError(("" if file is None else f"{file}: ") + " ".join(str(error).split())) from None
    return model, data, training


def given_options(words: Sequence[str]) -> dict[str, Any]:
    """Return the options that a command line gives a value, under their full names.

    >>> given_options(["--do_tr", "--seed=7"])
    {'do_train': True, 'seed': 7}
    """
    parser = option_parser()
    for action in parser._actions:
        action.default = SUPPRESS
    return vars(parser.parse_known_args(list(words))[0])


class _Parser(HfArgumentParser):
    """The host's parser, but a mistake is an error and does not end the program."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def option_parser() -> HfArgumentParser:
    """Return the parser of all options of a run."""
    return _Parser([DataClassType(kind) for kind in (ModelArguments, DataArguments, CRFTrainingArguments)])
