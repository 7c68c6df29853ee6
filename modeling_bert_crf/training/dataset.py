"""Sentences as the encoder's rows, padded into batches, and the way back from the model's paths to tags."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from ..crf import UNKNOWN
from ..readers.columns import write_rows
from ..readers.sentences import Sentence
from ..readers.spelling import check_spelling
from ..readers.tags import tag_places
from ..schemes import detect_scheme, has_type, tags_to_spans
from ..words import Window, encode_document

Row = dict[str, list[int]]


class RowMaker:
    """Turns a sentence into rows: `input_ids`, `word_mask`, `word_shape_ids` and `labels`.

    A sentence over the encoder's limit becomes several rows, each a chain of its own. A word of an entity that a
    border between them cuts has an unknown label in both; scoring goes by the sentences and misses nothing.

    Args:
        tokenizer: the encoder's.
        labels: the model's tags in the order of their ids. A gold tag that is not among them becomes an unknown label.
        max_length: most sub-tokens in a row; None means the tokenizer's limit.
        context_size: most sub-tokens of a sentence's neighbours that the encoder sees on each side.
        scheme: the one that the tags are in, `model.config.span_scheme`; `"auto"` reads it off the labels, which tells
            the same unless the model's `tag_scheme` says otherwise.
    """

    def __init__(
        self,
        tokenizer: Any,
        labels: Sequence[str],
        max_length: int | None = None,
        context_size: int = 0,
        scheme: str | None = "auto",
    ):
        self.tokenizer = tokenizer
        self.labels = list(labels)
        self.scheme = detect_scheme(labels) if scheme == "auto" else scheme
        self.max_length = max_length
        self.context_size = context_size
        self._ids = {label: index for index, label in enumerate(labels)}

    def windows(self, document: Iterable[Sentence]) -> Iterator[list[tuple[Window, list[int]]]]:
        """Cut a document's sentences into windows, each with the label ids of its scored words."""
        document = list(document)
        words = [sentence.words for sentence in document]
        windows = encode_document(self.tokenizer, words, self.max_length, context_size=self.context_size)
        return map(self._labelled, document, windows)

    def _labelled(self, sentence: Sentence, windows: list[Window]) -> list[tuple[Window, list[int]]]:
        tags = [self._ids.get(tag, UNKNOWN) for tag in sentence.tags]
        if len(windows) > 1:
            for start, end, _ in tags_to_spans(sentence.tags, self.scheme):
                if any(start < window.words.start < end for window in windows):
                    tags[start:end] = [UNKNOWN] * (end - start)
        return [(window, [tags[word] for word in window.words]) for window in windows]

    @staticmethod
    def row(window: Window, tags: Sequence[int]) -> Row:
        """Spread the labels of a window's words over its sub-tokens."""
        tag = iter(tags)
        return {
            "input_ids": window.input_ids,
            "word_mask": [int(scored) for scored in window.word_mask],
            "word_shape_ids": window.word_shape_ids,
            "labels": [next(tag) if scored else UNKNOWN for scored in window.word_mask],
        }


class TaggingDataset(Dataset):
    """Sentences in memory, as rows (see `RowMaker`), and the way back from a row's path to a sentence's tags.

    Raises:
        DataError: if tags that the model has no label for are spelt otherwise than `B-PER` (see `respell`).
    """

    def __init__(
        self,
        sentences: Iterable[Sentence],
        tokenizer: Any,
        labels: Sequence[str],
        max_length: int | None = None,
        context_size: int = 0,
        scheme: str | None = "auto",
    ):
        maker = RowMaker(tokenizer, labels, max_length, context_size, scheme)
        self.sentences = list(sentences)
        places = tag_places(self.sentences)
        if not all(tag in labels or has_type(tag) for tag in places):
            check_spelling(places)
        self.labels, self.scheme = maker.labels, maker.scheme
        self._rows: list[tuple[Window, list[int]]] = []
        self._rows_of: list[range] = []  # for each sentence
        documents = groupby(self.sentences, key=attrgetter("source", "document"))
        for windows in chain.from_iterable(maker.windows(document) for _, document in documents):
            self._rows_of.append(range(len(self._rows), len(self._rows) + len(windows)))
            self._rows += windows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        return RowMaker.row(*self._rows[index])

    @property
    def gold(self) -> list[list[str]]:
        """The sentences' gold tags."""
        return [sentence.tags for sentence in self.sentences]

    @property
    def lengths(self) -> list[int]:
        """The sub-tokens of each row."""
        return [len(window.input_ids) for window, _ in self._rows]

    @property
    def cut_sentences(self) -> int:
        """How many sentences had to be cut into several rows."""
        return sum(len(rows) > 1 for rows in self._rows_of)

    def tags_of(self, paths: Any) -> list[list[str]]:
        """Turn paths, one row each in this order, padded with -100, into the sentences' tags: one for every word."""
        rows = [[self.labels[tag] for tag in path if tag != UNKNOWN] for path in torch.as_tensor(paths).tolist()]
        tags = [[tag for row in rows_of for tag in rows[row]] for rows_of in self._rows_of]
        for sentence, predicted in zip(self.sentences, tags, strict=True):
            if len(sentence.words) != len(predicted):
                raise ValueError(
                    f"paths must have one tag per word, got {len(predicted)} for {len(sentence.words)} words"
                )
        return tags


class StreamingTaggingDataset(IterableDataset):
    """Rows made while they are read, for training data that memory need not hold. No context: a sentence comes alone.

    Args:
        read: starts reading the sentences from the beginning; called once an epoch and worker.
        tokenizer, labels, max_length, scheme: see `RowMaker`.
    """

    def __init__(
        self,
        read: Callable[[], Iterable[Sentence]],
        tokenizer: Any,
        labels: Sequence[str],
        max_length: int | None = None,
        scheme: str | None = "auto",
    ):
        self.read = read
        self._maker = RowMaker(tokenizer, labels, max_length, scheme=scheme)
        self.scheme = self._maker.scheme

    def __iter__(self) -> Iterator[Row]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for sentence in islice(self.read(), first, None, step):
            for window, tags in next(self._maker.windows([sentence])):
                yield RowMaker.row(window, tags)


@dataclass
class TaggingCollator:
    """Pad rows as `RowMaker` makes them into a batch, and add the `attention_mask`.

    Args:
        pad_token_id: the tokenizer's.
        padding_side: `"right"` or `"left"`; the model does not mind.
    """

    pad_token_id: int
    padding_side: str = "right"

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        fills = {"input_ids": self.pad_token_id, "word_mask": 0, "word_shape_ids": 0, "labels": UNKNOWN}
        fills["attention_mask"] = 0
        rows = [{**row, "attention_mask": [1] * len(row["input_ids"])} for row in rows]
        return {
            name: pad_sequence(
                [torch.as_tensor(row[name]) for row in rows],
                batch_first=True,
                padding_value=fill,
                padding_side=self.padding_side,
            )
            for name, fill in fills.items()
            if name in rows[0]
        }


def write_conll(path: Path, sentences: Iterable[Sentence], predicted: Iterable[list[str]]) -> None:
    """Write `word TAB gold TAB predicted` lines, an empty line after each sentence (see `write_rows`)."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for sentence, tags in zip(sentences, predicted, strict=True):
            write_rows(file, list(zip(sentence.words, sentence.tags, tags, strict=True)))
