"""The steps of a training run, each a function: what `run_ner.py` lists, in its order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, IterableDatasetDict, load_dataset, load_from_disk
from transformers.utils import logging

from .. import BertBiLSTMCRFConfig, BertBiLSTMCRFForTokenClassification
from ..configuration_bert_crf import quoted
from ..opening.tagger import OpeningError, check_numbers, open_model, open_tokenizer, read_config, telling
from ..schemes import OUTSIDE, detect_scheme, split_tag
from ..words import check_tokenizer
from .arguments import FILES, SHAPE, STEPS, DataArguments, ModelArguments, UserError
from .data import (
    Reader,
    Sentence,
    check_tags,
    class_names,
    convert_tags,
    count_repairs,
    find_labels,
    find_scheme,
    read_dataset,
    read_file,
)
from .dataset import StreamingTaggingDataset, TaggingDataset
from .recipe import CRFTrainingArguments
from .splitting import choose_splitter

logger = logging.get_logger(__name__)

MOST_UNKNOWN_WORDS = 0.1
"""A larger share of words that begin with the unknown token is worth a warning; in the right language it is 0.01."""


@dataclass
class Split:
    """One part of the data, in its own tag scheme.

    Attributes:
        name: `train`, `validation` or `test`.
        scheme: as `find_scheme` names it.
        labels: its tags in the order of their ids, where the user or the data set says so.
        sentences: checked and repaired; None if they are streamed.
        read: starts reading it anew, checked and repaired.
    """

    name: str
    scheme: str | None
    labels: list[str] | None
    sentences: list[Sentence] | None
    read: Reader


def read_splits(data: DataArguments, training: CRFTrainingArguments) -> dict[str, Split]:
    """Read the data of the steps that were asked for, find its scheme and check its tags.

    Raises:
        DataError: if something cannot be read or its tags are illegal.
        UserError: if there is no such data set, or streaming without known labels.
    """
    dataset = None if data.dataset_name is None else _open_dataset(data)
    return {name: _read_split(name, data, dataset) for name, step in STEPS.items() if getattr(training, step)}


def _open_dataset(data: DataArguments) -> DatasetDict | IterableDatasetDict:
    name = data.dataset_name
    try:
        if any((Path(name) / file).exists() for file in ("dataset_dict.json", "state.json")):
            dataset = load_from_disk(name)  # a folder that `save_to_disk` wrote
        else:
            dataset = load_dataset(name, data.dataset_config_name, streaming=data.streaming)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"--dataset_name {name}: {_first_line(error)}") from None
    return DatasetDict(train=dataset) if isinstance(dataset, Dataset) else dataset


def _read_split(name: str, data: DataArguments, dataset: DatasetDict | IterableDatasetDict | None) -> Split:
    words, tags, labels = data.text_column_name, data.label_column_name, data.labels()
    document = data.document_column_name
    if dataset is not None:
        if name not in dataset:
            raise UserError(f"--dataset_name {data.dataset_name} must have a split {name}, got {', '.join(dataset)}")
        labels = labels or class_names(dataset[name], tags)

    def raw() -> Iterator[Sentence]:
        if dataset is not None:
            return read_dataset(dataset[name], f"{data.dataset_name} ({name})", words, tags, labels, document)
        return chain.from_iterable(
            read_file(path, words, tags, labels, document) for path in getattr(data, FILES[name])
        )

    if name == "train" and data.streaming:
        if labels is None:
            raise UserError("--streaming needs --label_list: the tags are not known before the data are read")
        scheme = detect_scheme(labels)
        return Split(name, scheme, labels, None, lambda: (check_tags(one, scheme, data.repair_tags) for one in raw()))
    sentences = list(raw())
    scheme = find_scheme(sentences)
    checked = [check_tags(sentence, scheme, data.repair_tags) for sentence in sentences]
    if changes := count_repairs(sentences, checked):
        listed = ", ".join(f"{change} ({count})" for change, count in changes.most_common())
        logger.warning(f"{name}: {changes.total()} tags repaired: {listed}")
    return Split(name, scheme, labels, checked, lambda: iter(checked))


def load_model(
    arguments: ModelArguments, data: DataArguments, splits: dict[str, Split], options: dict[str, Any]
) -> tuple[BertBiLSTMCRFForTokenClassification, Any]:
    """Load a finished tagger, or put a new head for the training data's tags on an encoder.

    Args:
        arguments: which model, and the shape of a new one.
        data: how its tags are chosen.
        splits: the sentences, by the names of their parts.
        options: those that the user gave, as `given_options` returns them.

    Returns:
        The model and its tokenizer.

    Raises:
        UserError: if there is no such model, it is no BERT, the tokenizer is not the model's, or a finished tagger has
            another shape than the one asked for.
    """
    name, revision = arguments.model_name_or_path, arguments.revision
    try:
        stored = read_config(name, revision)
        if stored.get("model_type") == BertBiLSTMCRFConfig.model_type:
            model, tokenizer = open_model(name, revision), _open_tokenizer(arguments)
            _check_tokenizer(arguments, tokenizer, model)
            _check_shape(name, options, model.config)
            return model, tokenizer
        if "train" not in splits:
            kind = quoted(stored.get("model_type"))
            raise UserError(f"{name} must be a finished tagger when there is no --do_train, got model_type {kind}")
        with telling(f"{name}: its config.json cannot be used"):
            BertBiLSTMCRFConfig.for_encoder(stored)
        tokenizer = _open_tokenizer(arguments)
        labels = choose_labels(splits["train"], data)
        splitter = choose_splitter(splits.get("validation", splits["train"]).sentences or [], tokenizer)
        with telling(f"{name}: no new tagger can be made of it"):
            model = BertBiLSTMCRFForTokenClassification.from_encoder(
                name,
                labels,
                tokenizer,
                revision=revision,
                lstm_hidden_size=arguments.lstm_hidden_size,
                num_lstm_layers=arguments.num_lstm_layers,
                lstm_dropout=arguments.lstm_dropout,
                text_unit=arguments.text_unit,
                context_size=arguments.context_size,
                word_splitter=splitter,
            )
        check_numbers(name, model)
    except OpeningError as error:
        raise UserError(f"--model_name_or_path: {error}") from error.__cause__
    return model, tokenizer


def _check_shape(name: str, options: dict[str, Any], config: BertBiLSTMCRFConfig) -> None:
    """Refuse options of a new model that a finished tagger cannot follow."""
    for option in (*SHAPE, "tag_scheme"):
        learnt = detect_scheme(config.labels) if option == "tag_scheme" else getattr(config, option)
        if options.get(option) not in (None, learnt):
            raise UserError(f"--{option} is for a new model: {name} has learnt {learnt}; leave it away")


def _open_tokenizer(arguments: ModelArguments) -> Any:
    name = arguments.tokenizer_name or arguments.model_name_or_path
    try:
        tokenizer = open_tokenizer(name, arguments.revision)
    except OpeningError as error:
        raise UserError(f"{error}; --tokenizer_name can name another") from error.__cause__
    vocabulary = tokenizer.get_vocab()
    capitals = [token for token in vocabulary if token.isalpha() and token[0].isupper()][:100]
    if capitals and not any(tokenizer.tokenize(token) == [token] for token in capitals):
        logger.warning(
            f"the tokenizer {name} writes everything in lower case, but its vocabulary is cased: set "
            '"do_lower_case": false in its tokenizer_config.json, or name another with --tokenizer_name'
        )
    return tokenizer


def _check_tokenizer(arguments: ModelArguments, tokenizer: Any, model: BertBiLSTMCRFForTokenClassification) -> None:
    """Refuse a tokenizer whose words are not those that a finished tagger learnt."""
    try:
        check_tokenizer(tokenizer, model.config.vocab_size, model.token_roles.tolist())
    except ValueError as error:
        if arguments.tokenizer_name is None:
            raise UserError(f"{arguments.model_name_or_path}: {error}") from error
        learnt = "--tokenizer_name must be the tokenizer that the tagger was trained with: leave it away"
        raise UserError(f"{learnt} ({error})") from error


def choose_labels(train: Split, data: DataArguments) -> list[str]:
    """Choose a new model's tags: those given, else all types of the training data in the scheme that is wanted."""
    if train.labels is not None and data.tag_scheme is None:
        try:
            detect_scheme(train.labels)
        except ValueError as error:
            raise UserError(f"{data.dataset_name}: {error}; pass --label_list or --tag_scheme") from None
        return train.labels
    scheme = data.tag_scheme or ("IOB2" if train.scheme == "IOB1" else train.scheme)
    if train.sentences is not None:
        return find_labels(train.sentences, scheme)
    return find_labels([Sentence(train.labels, train.labels, "labels", [])], scheme)


def make_datasets(
    splits: dict[str, Split], tokenizer: Any, model: BertBiLSTMCRFForTokenClassification, data: DataArguments
) -> dict[str, TaggingDataset | StreamingTaggingDataset]:
    """Write the tags in the model's scheme, and lay the sentences out for the encoder.

    Raises:
        UserError: if `max_seq_length` is out of range, or a given label list lacks a tag of the training data.
        DataError: if the tags cannot be written in the model's scheme.
    """
    limit = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    if data.max_seq_length is not None and not 3 <= data.max_seq_length <= limit:
        raise UserError(f"--max_seq_length must be from 3 to the encoder's {limit}, got {data.max_seq_length}")
    labels, length = model.config.labels, data.max_seq_length or limit
    tokenizer.model_max_length = length  # the saved pipeline's windows are those of training
    scheme = detect_scheme(labels)
    datasets: dict[str, TaggingDataset | StreamingTaggingDataset] = {}
    for name, split in splits.items():

        def read(split: Split = split) -> Iterator[Sentence]:
            return (convert_tags(sentence, split.scheme, scheme) for sentence in split.read())

        if split.sentences is None and model.config.context_size:
            raise UserError(
                "--streaming reads sentences one by one, and this tagger reads them among their neighbours"
            )
        if split.sentences is None:
            datasets[name] = StreamingTaggingDataset(read, tokenizer, labels, length)
        else:
            datasets[name] = TaggingDataset(read(), tokenizer, labels, length, model.config.context_size)
            _report_unknown_words(name, datasets[name], tokenizer)
            _report_unknown_tags(name, datasets[name].sentences, labels, refuse=name == "train" and bool(split.labels))
    return datasets


def _report_unknown_words(name: str, dataset: TaggingDataset, tokenizer: Any) -> None:
    first = [row["input_ids"][i] for row in dataset for i, scored in enumerate(row["word_mask"]) if scored]
    share = first.count(tokenizer.unk_token_id) / max(1, len(first))
    if share > MOST_UNKNOWN_WORDS:
        logger.warning(
            f"{name}: {share:.0%} of the words are unknown to the tokenizer: does its vocabulary fit the language and "
            "the case (an uncased one needs a tokenizer with do_lower_case)?"
        )


def _report_unknown_tags(name: str, sentences: Iterable[Sentence], labels: list[str], refuse: bool) -> None:
    known = {split_tag(label)[1] for label in labels}
    unknown: dict[str, int] = {}
    for sentence in sentences:
        for index, tag in enumerate(sentence.tags):
            kind = split_tag(tag)[1]
            if tag != OUTSIDE and kind not in known:
                if refuse:
                    raise UserError(f"the model's labels lack {tag!r}, which stands at {sentence.where(index)}")
                unknown[kind] = unknown.get(kind, 0) + 1
    for kind, count in sorted(unknown.items()):
        logger.warning(
            f"{name}: the model has no tag for type {kind!r}: its {count} words cannot be found, and count as missed "
            "in the recall"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
