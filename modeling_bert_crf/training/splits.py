"""The splits of the data (train, validation, test) as they are read: in one spelling, with tags that obey a scheme."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from datasets import Dataset, DatasetDict, IterableDatasetDict, load_dataset, load_from_disk
from transformers.utils import logging

from ..hub.answers import hub_answers
from ..readers.account import Account
from ..readers.datasets import class_names, read_dataset
from ..readers.files import read_file
from ..readers.labelled import understand
from ..readers.partial import UNKNOWN_TAG, mentioned
from ..readers.sentences import DataError, Reader, Sentence
from ..readers.spelling import describe, find_spelling, respell
from ..readers.tags import of_annotated_types, tag_places, with_legal_tags
from ..schemes import OUTSIDE, detect_scheme, scheme_of
from .arguments import FILES, LIMITS, STEPS, DataArguments, ModelArguments
from .errors import UserError
from .span_reading import SpanReading
from .training_arguments import CRFTrainingArguments

__all__ = ["Split", "missing_label", "read_splits", "scheme_of_labels"]

logger = logging.get_logger(__name__)

Source = DatasetDict | IterableDatasetDict
"""A data set of the `datasets` library with its splits, in memory or streaming."""


@dataclass
class Split:
    """One part of the data, in its own tag scheme.

    Attributes:
        name: `train`, `validation` or `test`.
        scheme: of its tags, as `find_scheme` names it.
        labels: its tags in the order of their ids, where the user or the data set names them.
        sentences: with legal tags; None if they are streamed.
        read: starts reading it anew, with legal tags.
        splitter: of the words, if it was read from texts with spans.
        account: what became of the spans.
    """

    name: str
    scheme: str | None
    labels: list[str] | None
    sentences: list[Sentence] | None
    read: Reader
    splitter: str | None = None
    account: Account = field(default_factory=Account)


def read_splits(
    data: DataArguments, training: CRFTrainingArguments, model: ModelArguments | None = None
) -> dict[str, Split]:
    """Read the data of the steps that were asked for, find its scheme and check its tags.

    Args:
        data: where they are.
        training: which steps were asked for.
        model: the model that the run starts from: texts with spans are split into its words, and it says how the Hub
            is read.

    Raises:
        DataError: if something cannot be read, or its tags are illegal.
        UserError: if there is no such data set, or data are to be streamed and their labels are not known.
    """
    model = model or ModelArguments()
    dataset = None if data.dataset_name is None else _open_dataset(data, data.dataset_name, model.hub)
    names = [name for name, step in STEPS.items() if getattr(training, step)]
    for name in names:
        if dataset is not None and name not in dataset:
            listed = ", ".join(map(str, dataset))
            raise UserError(f"--dataset_name {data.dataset_name} must have a split {name}, got {listed}")
    spans = SpanReading(data, model, names, dataset)
    return {name: _read_split(name, data, dataset, spans) for name in names}


def _open_dataset(data: DataArguments, name: str, hub: Mapping[str, str]) -> Source:
    try:
        if any((Path(name) / file).exists() for file in ("dataset_dict.json", "state.json")):
            dataset = load_from_disk(name)  # a folder that `save_to_disk` wrote
        else:
            with hub_answers():
                options: dict[str, Any] = {**hub, "streaming": data.streaming}
                dataset = load_dataset(name, data.dataset_config_name, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"--dataset_name {name}: {str(error).strip().splitlines()[0]}") from None
    # Without a name of a split, the library returns all splits.
    return DatasetDict({"train": dataset}) if isinstance(dataset, Dataset) else cast(Source, dataset)


def _read_split(name: str, data: DataArguments, dataset: Source | None, spans: SpanReading) -> Split:
    labels = data.labels()
    if dataset is not None:
        labels = labels or class_names(dataset[name], data.label_column_name)
    read, account = _reader(name, data, dataset, labels, spans), Account()
    if name == "train" and data.streaming:
        if labels is None:
            raise UserError("--streaming needs --label_list: the tags are not known before the data are read")
        # A streamed data set comes over the network, and is read once: faults of its tags are found while training.
        places = {} if dataset is not None else tag_places(read(account))
        split = _streamed_split(name, data, labels, read, places)
    else:
        split = _whole_split(name, data, labels, list(read(account)))
    return replace(split, splitter=spans.splitter, account=account)


def _reader(
    name: str, data: DataArguments, dataset: Source | None, labels: list[str] | None, spans: SpanReading
) -> Callable[..., Iterator[Sentence]]:
    """Return what starts reading a split: its sentences with their tags as they are spelt in the data.

    It may be given an account to count what becomes of spans.
    """
    columns = data.text_column_name, data.label_column_name, labels, data.document_column_name, data.data_format

    kinds = data.types_annotated_in()

    def read(account: Account | None = None) -> Iterator[Sentence]:
        how = spans.rules, spans.ask(account)
        if dataset is not None:
            sentences = read_dataset(dataset[name], f"{data.dataset_name} ({name})", *columns, *how)
            return _annotated(sentences, kinds.get(name))
        files = getattr(data, FILES[name])
        return itertools.chain.from_iterable(
            _annotated(read_file(path, *columns, *how), kinds.get(path)) for path in files
        )

    return lambda account=None: itertools.islice(read(account), getattr(data, LIMITS[name]))


def _annotated(sentences: Iterable[Sentence], kinds: tuple[str, ...] | None) -> Iterator[Sentence]:
    """Say of sentences which types were looked for in them; None if all were."""
    return iter(sentences) if kinds is None else (replace(one, annotated=kinds) for one in sentences)


def _streamed_split(
    name: str, data: DataArguments, labels: list[str], read: Reader, places: Mapping[str, str]
) -> Split:
    """Make the split of sentences that are read again and again; `places` names those of its tags that are known."""
    listed = labels
    spelling = _find_spelling(name, places, listed)
    labels, places = _respell_all(labels, places, spelling)
    _check_entities(name, places)
    scheme = scheme_of_labels(labels, data)
    for tag, place in places.items():
        if tag not in labels:
            raise DataError(missing_label(tag, place, data))

    def legal(sentence: Sentence) -> Sentence:
        if not places:  # so that nobody has looked for what is known in part
            sentence = respell(sentence, find_spelling(tag_places([sentence]), listed))
        sentence = of_annotated_types(respell(sentence, spelling), scheme)
        return with_legal_tags(sentence, scheme, data.repair_tags)

    def read_legal() -> Iterator[Sentence]:
        return map(legal, read())

    return Split(name, scheme, labels, None, read_legal)


def _whole_split(name: str, data: DataArguments, labels: list[str] | None, sentences: list[Sentence]) -> Split:
    """Make the split of sentences that stand in memory."""
    places = tag_places(sentences)
    if labels is None and places and all(tag.isdecimal() for tag in places):
        raise DataError(
            f"{next(iter(places.values()))}: the tags are numbers, {', '.join(map(repr, places))[:60]}: give their "
            "names, in order, with --label_list"
        )
    spelling = _find_spelling(name, places, labels or [])
    names, places = _respell_all(labels or [], places, spelling)
    if not places and name == "train":
        raise DataError(f"no tag in the {name} data is known: every one is as {UNKNOWN_TAG!r}")
    _check_entities(name, places)
    legal, scheme, repairs = understand(sentences, spelling, data.repair_tags)
    if repairs:
        listed = ", ".join(f"{change} ({count})" for change, count in repairs.most_common())
        logger.warning(f"{name}: {repairs.total()} tags repaired: {listed}")
    return Split(name, scheme, names if labels else labels, legal, lambda: iter(legal))


def _find_spelling(name: str, places: Mapping[str, str], labels: Iterable[str]) -> dict[str, str]:
    """Find out how the tags are spelt, both those of a label list and those of the data, and say so in the log."""
    labels = list(labels)
    listed = find_spelling({label: f"label {label!r}" for label in labels}, labels)
    named = {listed.get(label, label) for label in labels}
    found = find_spelling({listed.get(tag, tag): place for tag, place in places.items()}, named)
    spelling = found | {tag: found.get(usual, usual) for tag, usual in listed.items()}
    if said := describe(spelling):
        logger.warning(f"{name}: {said}")
    return spelling


def _respell_all(
    labels: Iterable[str], places: Mapping[str, str], spelling: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Write labels, and tags with their places, in their usual spelling."""
    usual: dict[str, str] = {}
    for cell, place in places.items():
        for tag in mentioned(spelling.get(cell, cell)):
            usual.setdefault(tag, place)
    return [spelling.get(label, label) for label in labels], usual


def _check_entities(name: str, places: Mapping[str, str]) -> None:
    """Refuse training data with one tag only. Warn of other data that have one tag only: their F1 is always 0."""
    if len(places) != 1 or scheme_of(places):
        return
    ((tag, place),) = places.items()
    nothing = f"no entity in the {name} data: every tag is {tag!r}, from {place} on"
    if name == "train":
        raise DataError(f"{nothing}; if the tags stand in another column, name it with --label_column_name")
    if tag == OUTSIDE:
        logger.warning(f"{nothing}; precision, recall and F1 are 0 whatever the model finds")


def scheme_of_labels(labels: Iterable[str], data: DataArguments) -> str | None:
    """Name the scheme of labels that the user or a data set names.

    Raises:
        UserError: if they are of no one scheme.
    """
    try:
        return detect_scheme(labels)
    except ValueError as error:
        source = data.dataset_name if data.label_list is None else "--label_list"
        raise UserError(f"{source}: {error}; pass another --label_list, or --tag_scheme") from None


def missing_label(tag: str, place: str, data: DataArguments) -> str:
    """Write the message for a tag of the training data that is not among the model's labels."""
    cure = "add it to --label_list, or leave that away" if data.label_list else "train a new model on these data"
    return f"the model's labels lack {tag!r}, which stands at {place}: {cure}"
