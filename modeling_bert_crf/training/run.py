"""The steps of a training run, each a function: what `run_ner.py` lists, in its order."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, IterableDatasetDict, load_dataset, load_from_disk
from transformers.utils import logging

from .. import BiLSTMCRFForTokenClassification, is_tagger, tagger_class
from ..configuration_crf import quoted
from ..hub.pushing import hub_answers
from ..opening.tagger import OpeningError, check_numbers, open_model, open_tokenizer, read_config, telling
from ..readers.datasets import class_names, read_dataset
from ..readers.files import read_file
from ..readers.labelled import understand
from ..readers.sentences import DataError, Reader, Sentence
from ..readers.spelling import describe, find_spelling, respell
from ..readers.tags import check_tags, convert_tags, find_labels, tag_places
from ..schemes import OUTSIDE, detect_scheme, entity_types, scheme_of, split_tag, tags_to_spans
from ..words import blank_mark, check_tokenizer
from .arguments import FILES, SHAPE, STEPS, DataArguments, ModelArguments, UserError
from .dataset import StreamingTaggingDataset, TaggingDataset
from .recipe import CRFTrainingArguments
from .splitter_choice import choose_splitter

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
    names = [name for name, step in STEPS.items() if getattr(training, step)]
    for name in names:
        if dataset is not None and name not in dataset:
            raise UserError(f"--dataset_name {data.dataset_name} must have a split {name}, got {', '.join(dataset)}")
    return {name: _read_split(name, data, dataset) for name in names}


def _open_dataset(data: DataArguments) -> DatasetDict | IterableDatasetDict:
    name = data.dataset_name
    try:
        if any((Path(name) / file).exists() for file in ("dataset_dict.json", "state.json")):
            dataset = load_from_disk(name)  # a folder that `save_to_disk` wrote
        else:
            with hub_answers():
                dataset = load_dataset(name, data.dataset_config_name, streaming=data.streaming)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"--dataset_name {name}: {_first_line(error)}") from None
    return DatasetDict(train=dataset) if isinstance(dataset, Dataset) else dataset


def _read_split(name: str, data: DataArguments, dataset: DatasetDict | IterableDatasetDict | None) -> Split:
    words, tags, labels = data.text_column_name, data.label_column_name, data.labels()
    document = data.document_column_name
    if dataset is not None:
        labels = labels or class_names(dataset[name], tags)
    streamed = name == "train" and data.streaming
    if streamed and labels is None:
        raise UserError("--streaming needs --label_list: the tags are not known before the data are read")

    def raw() -> Iterator[Sentence]:
        if dataset is not None:
            return read_dataset(dataset[name], f"{data.dataset_name} ({name})", words, tags, labels, document)
        return chain.from_iterable(
            read_file(path, words, tags, labels, document) for path in getattr(data, FILES[name])
        )

    sentences = None if streamed else list(raw())
    # A streamed data set of the Hub is read once; what is wrong with its tags is said when they come.
    places = {} if streamed and dataset is not None else tag_places(raw() if streamed else sentences)
    if labels is None and places and all(tag.isdecimal() for tag in places):
        raise DataError(
            f"{next(iter(places.values()))}: the tags are numbers, {', '.join(map(repr, places))[:60]}: give their "
            "names, in order, with --label_list"
        )
    spelling = _spelling(name, places, labels)
    labels = labels and [spelling.get(label, label) for label in labels]
    _check_entities(name, {spelling.get(tag, tag): place for tag, place in places.items()})
    if sentences is None:
        scheme = _scheme_of_labels(labels, data)
        for tag, place in places.items():
            if spelling.get(tag, tag) not in labels:
                raise DataError(_lack(spelling.get(tag, tag), place, data))
        return Split(
            name,
            scheme,
            labels,
            None,
            lambda: (check_tags(respell(one, spelling), scheme, data.repair_tags) for one in raw()),
        )
    checked, scheme, repairs = understand(sentences, spelling, data.repair_tags)
    if repairs:
        listed = ", ".join(f"{change} ({count})" for change, count in repairs.most_common())
        logger.warning(f"{name}: {repairs.total()} tags repaired: {listed}")
    return Split(name, scheme, labels, checked, lambda: iter(checked))


def _spelling(name: str, places: Mapping[str, str], labels: list[str] | None) -> dict[str, str]:
    """Find out how the tags are spelt, those of a label list and those of the data, and say so."""
    listed = find_spelling({label: f"label {label!r}" for label in labels or []})
    found = find_spelling({listed.get(tag, tag): place for tag, place in places.items()})
    spelling = found | {tag: found.get(usual, usual) for tag, usual in listed.items()}
    if spelling:
        logger.warning(f"{name}: {describe(spelling)}")
    return spelling


def _check_entities(name: str, places: Mapping[str, str]) -> None:
    """Refuse training data with one tag only, and say so of others, whose scores would be 0 whatever is found."""
    if len(places) != 1 or scheme_of(places):
        return
    ((tag, place),) = places.items()
    nothing = f"no entity in the {name} data: every tag is {tag!r}, from {place} on"
    if name == "train":
        raise DataError(f"{nothing}; if the tags stand in another column, name it with --label_column_name")
    if tag == OUTSIDE:
        logger.warning(f"{nothing}; precision, recall and F1 are 0 whatever the model finds")


def load_model(
    arguments: ModelArguments, data: DataArguments, splits: dict[str, Split], options: dict[str, Any]
) -> tuple[BiLSTMCRFForTokenClassification, Any]:
    """Load a finished tagger, or put a new head for the training data's tags on an encoder.

    Args:
        arguments: which model, and the shape of a new one.
        data: how its tags are chosen.
        splits: the sentences, by the names of their parts.
        options: those that the user gave, as `given_options` returns them.

    Returns:
        The model and its tokenizer.

    Raises:
        UserError: if there is no such model, its encoder is of no family, the tokenizer is not the model's, or a
            finished tagger has another shape than the one asked for.
    """
    name, revision = arguments.model_name_or_path, arguments.revision
    try:
        stored = read_config(name, revision)
        if is_tagger(stored.get("model_type")):
            model, tokenizer = open_model(name, revision), _open_tokenizer(arguments)
            _check_tokenizer(arguments, tokenizer, model)
            _check_shape(name, options, model.config)
            return model, tokenizer
        if "train" not in splits:
            kind = quoted(stored.get("model_type"))
            raise UserError(f"{name} must be a finished tagger when there is no --do_train, got model_type {kind}")
        with telling(f"{name}: its config.json cannot be used"):
            tagger_class(stored.get("model_type")).config_class.for_encoder(stored)
        tokenizer = _open_tokenizer(arguments)
        labels = choose_labels(splits["train"], data)
        splitter = choose_splitter(splits.get("validation", splits["train"]).sentences or [], tokenizer)
        with telling(f"{name}: no new tagger can be made of it"):
            model = BiLSTMCRFForTokenClassification.from_encoder(
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


def _check_shape(name: str, options: dict[str, Any], config: Any) -> None:
    """Refuse options of a new model that a finished tagger cannot follow."""
    for option in (*SHAPE, "tag_scheme"):
        learnt = config.span_scheme if option == "tag_scheme" else getattr(config, option)
        if options.get(option) not in (None, learnt):
            raise UserError(f"--{option} is for a new model: {name} has learnt {learnt}; leave it away")


def _open_tokenizer(arguments: ModelArguments) -> Any:
    name = arguments.tokenizer_name or arguments.model_name_or_path
    try:
        tokenizer = open_tokenizer(name, arguments.revision)
    except OpeningError as error:
        option = "model_name_or_path" if arguments.tokenizer_name is None else "tokenizer_name"
        raise UserError(f"--{option}: {error}; --tokenizer_name can name another") from error.__cause__
    mark = blank_mark(tokenizer)
    words = (token.removeprefix(mark) for token in tokenizer.get_vocab())
    capitals = list(islice((word for word in words if word.isalpha() and word[0].isupper()), 100))
    if capitals and not any("".join(tokenizer.tokenize(word)).removeprefix(mark) == word for word in capitals):
        logger.warning(
            f"the tokenizer {name} writes everything in lower case, but its vocabulary is cased: set "
            '"do_lower_case": false in its tokenizer_config.json, or name another with --tokenizer_name'
        )
    return tokenizer


def _check_tokenizer(arguments: ModelArguments, tokenizer: Any, model: BiLSTMCRFForTokenClassification) -> None:
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
        _scheme_of_labels(train.labels, data)
        return train.labels
    scheme = data.tag_scheme or ("IOB2" if train.scheme in ("IO", "IOB1") else train.scheme)
    if train.sentences is not None:
        return find_labels(train.sentences, scheme)
    return find_labels([Sentence(train.labels, train.labels, "labels", [])], scheme)


def _scheme_of_labels(labels: list[str], data: DataArguments) -> str | None:
    try:
        return detect_scheme(labels)
    except ValueError as error:
        source = data.dataset_name if data.label_list is None else "--label_list"
        raise UserError(f"{source}: {error}; pass another --label_list, or --tag_scheme") from None


def make_datasets(
    splits: dict[str, Split], tokenizer: Any, model: BiLSTMCRFForTokenClassification, data: DataArguments
) -> dict[str, TaggingDataset | StreamingTaggingDataset]:
    """Write the tags in the model's scheme, and lay the sentences out for the encoder.

    Raises:
        UserError: if `max_seq_length` is out of range.
        DataError: if the tags cannot be written in the model's scheme, or its labels lack a tag of the training data.
    """
    limit = min(tokenizer.model_max_length, model.max_length)
    if data.max_seq_length is not None and not 3 <= data.max_seq_length <= limit:
        raise UserError(f"--max_seq_length must be from 3 to the encoder's {limit}, got {data.max_seq_length}")
    labels, length = model.config.labels, data.max_seq_length or limit
    tokenizer.model_max_length = length  # the saved pipeline's windows are those of training
    scheme = model.config.span_scheme
    datasets: dict[str, TaggingDataset | StreamingTaggingDataset] = {}
    for name, split in splits.items():
        if split.sentences is None and model.config.context_size:
            raise UserError(
                "--streaming reads sentences one by one, and this tagger reads them among their neighbours"
            )
        read = _reader(split, labels, scheme, data)
        if split.sentences is None:
            datasets[name] = StreamingTaggingDataset(read, tokenizer, labels, length, scheme)
        else:
            datasets[name] = TaggingDataset(read(), tokenizer, labels, length, model.config.context_size, scheme)
            _report_unknown_words(name, datasets[name], tokenizer)
            _report_joined(name, split, datasets[name])
            _report_unknown_tags(name, datasets[name].sentences, labels, scheme)
    return datasets


def _reader(split: Split, labels: list[str], scheme: str | None, data: DataArguments) -> Reader:
    """Read a split's sentences in the model's scheme; in training each tag must be one of the model's."""
    source, known, types = split.scheme, set(labels), set(entity_types(labels, scheme))
    own: dict[str, str] = {}
    if scheme is None and split.sentences is not None:
        # What is a scheme in the data may be free labels of the model, and may be spelt otherwise there.
        own = {usual: label for label, usual in find_spelling(dict.fromkeys(labels, "the model's labels")).items()}
        if known.issuperset(own.get(tag, tag) for tag in tag_places(split.sentences)):
            source = None

    def read() -> Iterator[Sentence]:
        for sentence in split.read():
            sentence = respell(convert_tags(sentence, source, scheme), own)
            if split.name == "train":
                for index, tag in enumerate(sentence.tags):
                    # A type that a finished tagger does not know is none of its business.
                    if tag not in known and (split.labels or tag == OUTSIDE or _type(tag, scheme) in types):
                        raise DataError(_lack(tag, sentence.where(index), data))
            yield sentence

    return read


def _lack(tag: str, place: str, data: DataArguments) -> str:
    cure = "add it to --label_list, or leave that away" if data.label_list else "train a new model on these data"
    return f"the model's labels lack {tag!r}, which stands at {place}: {cure}"


def _type(tag: str, scheme: str | None) -> str:
    return tag if scheme is None else split_tag(tag)[1]


def _report_unknown_words(name: str, dataset: TaggingDataset, tokenizer: Any) -> None:
    first = [row["input_ids"][i] for row in dataset for i, scored in enumerate(row["word_mask"]) if scored]
    share = first.count(tokenizer.unk_token_id) / max(1, len(first))
    if share > MOST_UNKNOWN_WORDS:
        logger.warning(
            f"{name}: {share:.0%} of the words are unknown to the tokenizer: does its vocabulary fit the language and "
            "the case (an uncased one needs a tokenizer with do_lower_case)?"
        )


def _report_joined(name: str, split: Split, dataset: TaggingDataset) -> None:
    """Say how many entities IO cannot tell from their neighbours."""
    if dataset.scheme != "IO" or split.scheme == "IO":
        return
    scheme = "IOB2" if split.scheme == "IOB1" else split.scheme
    count = sum(len(tags_to_spans(sentence.tags, scheme)) for sentence in split.read())
    count -= sum(len(tags_to_spans(tags, "IO")) for tags in dataset.gold)
    if count:
        logger.warning(
            f"{name}: {count} entities are joined with a neighbour of their type, which IO cannot tell apart"
        )


def _report_unknown_tags(name: str, sentences: list[Sentence], labels: list[str], scheme: str | None) -> None:
    types, unknown = set(entity_types(labels, scheme)), Counter()
    for tag, count in Counter(chain.from_iterable(sentence.tags for sentence in sentences)).items():
        kind = _type(tag, scheme)
        if tag not in labels and (tag == OUTSIDE or kind in types):
            logger.warning(f"{name}: the model has no tag {tag!r}: whatever it says of {count} words is wrong")
        elif tag not in labels:
            unknown[kind] += count
    for kind, count in sorted(unknown.items()):
        logger.warning(
            f"{name}: the model has no tag for type {kind!r}: its {count} words cannot be found, and count as missed "
            "in the recall"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
