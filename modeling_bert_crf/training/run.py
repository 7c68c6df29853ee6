"""The steps of a training run, each a function: what `run_ner.py` lists, in its order."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer, HfArgumentParser
from transformers.trainer_utils import IntervalStrategy, get_last_checkpoint
from transformers.utils import logging

from .. import BertBiLSTMCRFConfig, BertBiLSTMCRFForTokenClassification, __version__
from ..schemes import OUTSIDE, detect_scheme, split_tag, tags_to_spans
from .data import (
    Sentence,
    TaggingDataset,
    check_tags,
    count_repairs,
    find_labels,
    find_scheme,
    read_conll,
    write_conll,
)
from .trainer import CRFTrainer, CRFTrainingArguments

logger = logging.get_logger(__name__)

FILES = {"train": "train_file", "validation": "validation_file", "test": "test_file"}


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

    train_file: str | None = field(default=None, metadata={"help": "CoNLL column file: word first, tag last."})
    validation_file: str | None = field(default=None, metadata={"help": "The same, for evaluation while training."})
    test_file: str | None = field(default=None, metadata={"help": "The same, for the final score and predictions."})
    max_seq_length: int | None = field(
        default=None,
        metadata={"help": "Most sub-tokens the encoder reads at once; longer sentences are cut into windows."},
    )
    repair_tags: bool = field(
        default=False,
        metadata={"help": "Read a gold tag that continues nothing as the opening of an entity (IOB1 too)."},
    )


Arguments = tuple[ModelArguments, DataArguments, CRFTrainingArguments]


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
            return parser.parse_yaml_file(argv[0])
        if len(argv) == 1 and Path(argv[0]).suffix == ".json":
            return parser.parse_json_file(argv[0])
        return parser.parse_args_into_dataclasses(list(argv))
    except OSError as error:
        raise UserError(f"{argv[0]}: {error.strerror or error}") from None
    except (ValueError, TypeError) as error:
        raise UserError(str(error)) from None


def check_arguments(model: ModelArguments, data: DataArguments, training: CRFTrainingArguments) -> None:
    """Refuse, before anything is loaded, what cannot end well; evaluate after each epoch if there is what to evaluate
    on.

    Raises:
        UserError: for a step without its file, no step at all, or an output folder that holds a finished model.
    """
    if training.do_train and training.do_eval and training.eval_strategy == "no":
        training.eval_strategy = IntervalStrategy.EPOCH
    steps = {"do_train": "train_file", "do_eval": "validation_file", "do_predict": "test_file"}
    asked = {step: name for step, name in steps.items() if getattr(training, step)}
    if not asked:
        raise UserError("nothing to do: pass --do_train, --do_eval or --do_predict")
    for step, name in asked.items():
        if getattr(data, name) is None:
            raise UserError(f"--{step} needs --{name}")
    if model.model_name_or_path is None:
        raise UserError("--model_name_or_path must name a BERT encoder or a finished tagger")
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


def read_splits(data: DataArguments, training: CRFTrainingArguments) -> dict[str, list[Sentence]]:
    """Read the files of the steps that were asked for, and check their tags.

    Returns:
        Sentences by split, `train`, `validation` and `test`, those asked for.

    Raises:
        DataError: if a file cannot be read or its tags are illegal.
    """
    asked = {"train": training.do_train, "validation": training.do_eval, "test": training.do_predict}
    splits = {split: read_conll(getattr(data, name)) for split, name in FILES.items() if asked[split]}
    for split, sentences in splits.items():
        splits[split] = check_tags(sentences, find_scheme(sentences), data.repair_tags)
        changes = count_repairs(sentences, splits[split])
        if changes:
            listed = ", ".join(f"{change} ({count})" for change, count in changes.most_common())
            logger.warning(f"{getattr(data, FILES[split])}: {changes.total()} tags repaired: {listed}")
    return splits


def load_model(
    arguments: ModelArguments, splits: dict[str, list[Sentence]]
) -> tuple[BertBiLSTMCRFForTokenClassification, Any]:
    """Load a finished tagger, or put a new head for the training data's tags on an encoder.

    Returns:
        The model and its tokenizer.

    Raises:
        UserError: if there is no such model, or it is no BERT.
    """
    name, revision = arguments.model_name_or_path, arguments.revision
    try:
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer_name or name, revision=revision)
        if config.model_type == BertBiLSTMCRFConfig.model_type:
            model = AutoModelForTokenClassification.from_pretrained(name, revision=revision)
        elif "train" not in splits:
            raise UserError(
                f"{name} must be a finished tagger when there is no --do_train, got a {config.model_type} model"
            )
        else:
            model = BertBiLSTMCRFForTokenClassification.from_encoder(
                name,
                find_labels(splits["train"], find_scheme(splits["train"])),
                tokenizer,
                revision=revision,
                lstm_hidden_size=arguments.lstm_hidden_size,
                num_lstm_layers=arguments.num_lstm_layers,
                lstm_dropout=arguments.lstm_dropout,
            )
    except (OSError, ValueError) as error:
        raise UserError(f"--model_name_or_path: {str(error).strip().splitlines()[0]}") from None
    _warn_of_unknown_types(model.config.labels, splits)
    return model, tokenizer


def _warn_of_unknown_types(labels: list[str], splits: dict[str, list[Sentence]]) -> None:
    known = {split_tag(label)[1] for label in labels}
    for split, sentences in splits.items():
        kinds = [split_tag(tag)[1] for sentence in sentences for tag in sentence.tags if tag != OUTSIDE]
        for kind in sorted(set(kinds) - known):
            logger.warning(
                f"{sentences[0].path}: the model has no tag for type {kind!r}: its {kinds.count(kind)} words cannot "
                f"be found, and count as missed in the recall of {split}"
            )


def make_datasets(
    splits: dict[str, list[Sentence]], tokenizer: Any, model: BertBiLSTMCRFForTokenClassification, data: DataArguments
) -> dict[str, TaggingDataset]:
    """Lay the sentences out for the encoder."""
    limit = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    if data.max_seq_length is not None and not 3 <= data.max_seq_length <= limit:
        raise UserError(f"--max_seq_length must be from 3 to the encoder's {limit}, got {data.max_seq_length}")
    length = data.max_seq_length or limit
    return {
        split: TaggingDataset(sentences, tokenizer, model.config.labels, length) for split, sentences in splits.items()
    }


def overview(datasets: dict[str, TaggingDataset]) -> str:
    """Count what there is to work on."""
    lines = []
    for split, dataset in datasets.items():
        words = sum(len(sentence.words) for sentence in dataset.sentences)
        cut = f", {dataset.cut_sentences:,} of them in several windows" if dataset.cut_sentences else ""
        lines.append(f"{split}: {len(dataset.sentences):,} sentences, {words:,} words{cut}")
    return "\n".join(lines) + "\n"


def report(split: str, scores: dict[str, Any]) -> str:
    """Draw the scores of a split, type by type, as percentages."""
    if "strict" not in scores:
        return f"{split} word accuracy: {scores['accuracy']:.4f}"
    strict, conlleval = scores["strict"], scores["conlleval"]
    support = sum(row["support"] for row in strict["types"].values())
    width = max(16, *map(len, strict["types"])) if strict["types"] else 16
    lines = [f"{split:<{width}} precision  recall      F1  entities"]
    rows = [*strict["types"].items(), ("all, strict", strict | {"support": support})]
    for name, row in [*rows, ("all, conlleval", conlleval | {"support": support})]:
        figures = "  ".join(
            f"{100 * row[key]:{size}.2f}" for key, size in (("precision", 9), ("recall", 6), ("f1", 6))
        )
        lines.append(f"{name:<{width}} {figures}  {row['support']:8,}")
    return "\n".join(lines)


def score_line(split: str, scores: dict[str, Any]) -> str:
    """State a split's one figure."""
    if "strict" in scores:
        return f"{split} F1 (strict): {scores['strict']['f1']:.2f}"
    return f"{split} accuracy: {scores['accuracy']:.2f}"


def highlight(sentences: Sequence[Sentence], tags: Sequence[list[str]]) -> str:
    """Write sentences with their predicted entities in brackets, for the eye."""
    lines = []
    for sentence, predicted in zip(sentences, tags, strict=False):
        spans = {span[0]: span for span in tags_to_spans(predicted, detect_scheme(predicted))}
        words, index = [], 0
        while index < len(sentence.words):
            _, end, kind = spans.get(index, (index, index + 1, ""))
            text = " ".join(sentence.words[index:end])
            words.append(f"[{text} | {kind}]" if kind else text)
            index = end
        lines.append("  " + " ".join(words))
    return "\n".join(["", *lines, ""])


def run_facts(arguments: Arguments, labels: Sequence[str]) -> dict[str, Any]:
    """Say what a run was: for `metrics.json` and the model card. Paths are cut to their last part."""
    model, data, training = arguments
    shape = ("lstm_hidden_size", "num_lstm_layers", "lstm_dropout")
    recipe = ("num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate")
    recipe += ("head_learning_rate", "crf_learning_rate", "weight_decay", "warmup_steps", "lr_scheduler_type", "seed")
    settings = {name: getattr(model, name) for name in shape} | {name: getattr(training, name) for name in recipe}
    settings |= {"max_seq_length": data.max_seq_length, "repair_tags": data.repair_tags}
    base = Path(model.model_name_or_path)
    source = data.train_file or data.validation_file or data.test_file
    return {
        "model_name": Path(training.output_dir).resolve().name,
        "base_model": base.name if base.exists() else str(base),
        "dataset": Path(source).resolve().parent.name,
        "labels": list(labels),
        "types": sorted({split_tag(label)[1] for label in labels} - {""}),
        "settings": {name: getattr(value, "value", value) for name, value in settings.items()},
        "versions": {
            "modeling_bert_crf": __version__,
            "transformers": transformers.__version__,
            "torch": torch.__version__,
        },
    }


class Output:
    """The output folder. What is written appears whole or not at all; a folder with a `config.json` is finished.

    Args:
        folder: where; made at the first writing.
        writes: whether this process is the one that writes; the others' calls do nothing.
    """

    def __init__(self, folder: str | Path, writes: bool = True):
        self.folder = Path(folder)
        self.writes = writes

    def write(self, name: str, writer: Callable[[Path], Any]) -> None:
        """Let `writer(path)` write a file."""
        if not self.writes:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        staging = self.folder / f".saving-{name}"
        try:
            writer(staging)
            os.replace(staging, self.folder / name)
        finally:
            staging.unlink(missing_ok=True)

    def write_json(self, name: str, values: Any) -> None:
        """Write values to a JSON file."""
        self.write(name, lambda path: path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8"))

    def write_predictions(self, name: str, sentences: Sequence[Sentence], tags: Sequence[list[str]]) -> None:
        """Write word, gold tag and predicted tag in columns."""
        self.write(name, lambda path: write_conll(path, sentences, tags))

    def save_model(self, trainer: CRFTrainer) -> None:
        """Save model, shipped code and tokenizer; the configuration, which makes the folder a model, comes last."""
        staging = self.folder / ".saving-model"
        trainer.save_model(str(staging))  # in every process: gathering a sharded model takes them all
        if self.writes:
            (staging / "training_args.bin").unlink()  # a pickle: nothing that a model folder should hold
            for path in sorted(staging.iterdir(), key=lambda path: path.name == "config.json"):
                os.replace(path, self.folder / path.name)
            staging.rmdir()

    def usage(self) -> str:
        """Say how to load the model."""
        return f"""
from transformers import pipeline
tagger = pipeline("token-classification", model="{self.folder}", trust_remote_code=True)
tagger("A sentence in which somebody is named.")
"""
