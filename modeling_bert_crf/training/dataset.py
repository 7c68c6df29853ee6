"""Data sets for training: sentences as rows of the encoder's input, batches of rows, and the way back from the model's
paths to the tags of the sentences."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from ..crf import UNKNOWN
from ..dataset_columns import is_data_set
from ..modeling_crf import SEVERAL
from ..readers.labelled import read_labelled
from ..readers.partial import UNKNOWN_TAG, PartialTag, find_partial, is_known
from ..readers.sentences import Sentence
from ..readers.spelling import check_spelling, respell
from ..readers.tags import tag_places
from ..readers.units import Units
from ..schemes import OUTSIDE, detect_scheme, has_type, tags_to_spans
from ..text_layout import SplitText, join_given_words, split_into_tokens
from ..words import Window, encode_documents

__all__ = ["Row", "RowMaker", "StreamingTaggingDataset", "TaggingCollator", "TaggingDataset"]

Row = dict[str, Any]
"""One row of a batch: values for each sub-token, by the names of the model's arguments. `tag_sets`, bool (S, K), are
there where a word may have one of several tags."""


@dataclass
class RowMaker:
    """Turns sentences into rows: `input_ids`, `word_mask`, `word_shape_ids`, `labels` and, if need be, `tag_sets`.

    A sentence over the encoder's limit becomes several rows, each of which is tagged by itself. The words of an entity
    that lies across the border of two rows have an unknown label in both of them, since neither row shows the whole
    entity. This concerns training only: scores are computed from the sentences, and miss nothing.

    Args:
        tokenizer: the encoder's.
        labels: the model's tags in the order of their ids. A gold tag that is not among them becomes an unknown label.
        max_length: most sub-tokens in a row; None means the tokenizer's limit.
        context_size: most sub-tokens of a sentence's neighbours that the encoder sees on each side.
        scheme: the one that the tags are in, `model.config.span_scheme`. `"auto"` reads it off the labels; that is the
            same scheme unless the model's `tag_scheme` says otherwise.
        chain_unit: what the chain runs over, `"word"` or `"token"`. In a chain over sub-tokens an entity has all of
            these from its first word to its last.
    """

    tokenizer: Any
    labels: Sequence[str]
    max_length: int | None = None
    context_size: int = 0
    scheme: str | None = "auto"
    chain_unit: str = "word"

    def __post_init__(self) -> None:
        self.labels = list(self.labels)
        self.scheme = detect_scheme(self.labels) if self.scheme == "auto" else self.scheme
        self._ids = {label: index for index, label in enumerate(self.labels)}
        self._sets: dict[str, torch.Tensor] = {}

    def rows(self, documents: Sequence[Sequence[Sentence]]) -> Iterator["Rows"]:
        """Yield the rows of each sentence of some documents."""
        chains: Sequence[Any] = [[sentence.words for sentence in document] for document in documents]
        units: Iterable[Units | None] = itertools.repeat(None)
        if self.chain_unit == "token":
            texts = list(join_given_words(chains, " "))
            in_tokens = list(split_into_tokens(self.tokenizer, texts))
            chains = [text.chains for text in in_tokens]
            units = itertools.chain.from_iterable(map(_units_of_chains, texts, in_tokens))
        encoded = encode_documents(self.tokenizer, chains, self.max_length, context_size=self.context_size)
        sentences, windows_of = itertools.chain(*documents), itertools.chain.from_iterable(encoded)
        for sentence, windows, own in zip(sentences, windows_of, units, strict=False):
            tags = self._without_cuts(
                sentence.tags if own is None else own.spread(sentence.tags, self.scheme), windows
            )
            labels = [self._label(tag) for tag in tags]
            yield Rows(
                [self._row(window, tags, labels) for window in windows],
                [tags[one.words.start : one.words.stop] for one in windows],
                own,
            )

    def _without_cuts(self, tags: list[str], windows: list[Window]) -> list[str]:
        """Return tags of which those of an entity that a border of windows cuts are unknown."""
        if len(windows) > 1:
            tags = list(tags)
            for start, end, _ in tags_to_spans([tag if is_known(tag) else OUTSIDE for tag in tags], self.scheme):
                if any(start < window.words.start < end for window in windows):
                    tags[start:end] = [UNKNOWN_TAG] * (end - start)
        return tags

    def _label(self, tag: str) -> int:
        """Return the label of what is known of a word's tag."""
        if not isinstance(tag, PartialTag):
            return self._ids.get(tag, UNKNOWN)
        allowed = [label for label in self.labels if tag.allows(label)]
        if not allowed or len(allowed) == len(self.labels):
            return UNKNOWN
        return SEVERAL if len(allowed) > 1 else self._ids[allowed[0]]

    def _row(self, window: Window, tags: Sequence[str], labels: Sequence[int]) -> Row:
        """Write a window as a row; tags and labels are those of all words of the sentence."""
        words = iter(window.words)
        word_of = [next(words) if scored else None for scored in window.word_mask]
        row: Row = {
            "input_ids": window.input_ids,
            "word_mask": [int(scored) for scored in window.word_mask],
            "word_shape_ids": window.word_shape_ids,
            "labels": [UNKNOWN if word is None else labels[word] for word in word_of],
        }
        if SEVERAL in row["labels"]:
            row["tag_sets"] = torch.zeros(len(word_of), len(self.labels), dtype=torch.bool)
            for place, word in enumerate(word_of):
                if word is not None and labels[word] == SEVERAL:
                    row["tag_sets"][place] = self._set_of(tags[word])
        return row

    def _set_of(self, tag: str) -> torch.Tensor:
        """Return which labels a word may have, bool (K,)."""
        if tag not in self._sets and isinstance(tag, PartialTag):
            self._sets[tag] = torch.tensor([tag.allows(label) for label in self.labels])
        return self._sets[tag]


class Rows(NamedTuple):
    """What becomes of a sentence.

    Attributes:
        rows: one for each window.
        tags: of the chain's words, or its sub-tokens, in each row: in part where they are known in part.
        units: of the chain if these are not the words.
    """

    rows: list[Row]
    tags: list[list[str]]
    units: Units | None


def _units_of_chains(text: SplitText, in_tokens: SplitText) -> Iterator[Units]:
    """Yield the units of each chain of a text, of which the words and the sub-tokens are given."""
    word = unit = 0
    for words, units in zip(text.chains, in_tokens.chains, strict=True):
        own_words = text.words[word : word + len(words)]
        yield Units.of(text.text, own_words, in_tokens.words[unit : unit + len(units)])
        word, unit = word + len(words), unit + len(units)


def _with_partial_tags(sentence: Sentence, labels: Sequence[str]) -> Sentence:
    """Return a sentence as it was read, whose tags that are known in part are understood as such."""
    odd = {tag for tag in sentence.tags if tag not in labels}
    return respell(sentence, find_partial(odd, labels)) if odd else sentence


class TaggingDataset(Dataset):
    """Sentences in memory, as rows (see `RowMaker`), and the way back from a row's path to a sentence's tags.

    Args:
        sentences: as `read_labelled` returns them; or what it reads, a file or a split of a data set of the `datasets`
            library, whose tags may be in any scheme.
        tokenizer, labels, max_length, context_size, scheme, chain_unit: as for `RowMaker`.

    Attributes:
        sentences: those that it was made of.
        labels: the model's tags in the order of their ids.
        scheme: of the tags.
        rows: of all sentences, in order.
        row_tags: of each row the gold tags of its words, or of its sub-tokens if the chain runs over these.

    Raises:
        DataError: if tags that the model has no label for are spelt otherwise than `B-PER` (see `respell`).
    """

    def __init__(
        self,
        sentences: Any,
        tokenizer: Any,
        labels: Sequence[str],
        max_length: int | None = None,
        context_size: int = 0,
        scheme: str | None = "auto",
        chain_unit: str = "word",
    ):
        maker = RowMaker(tokenizer, labels, max_length, context_size, scheme, chain_unit)
        if isinstance(sentences, str | Path) or is_data_set(sentences):
            sentences = read_labelled(sentences, maker.scheme)
        self.sentences = [_with_partial_tags(one, labels) for one in sentences]
        places = tag_places(self.sentences)
        if not all(tag in labels or has_type(tag) for tag in places):
            check_spelling(places)
        self.labels, self.scheme = list(labels), maker.scheme
        self.rows: list[Row] = []
        self.row_tags: list[list[str]] = []
        self._rows_of: list[range] = []  # for each sentence
        self._units: list[Units | None] = []  # of each sentence's chain, if they are not its words
        self._units_before: list[tuple[int, int]] = []  # of each row: its sentence, and the units in rows before it
        documents = itertools.groupby(self.sentences, key=attrgetter("source", "document"))
        for rows, tags, units in maker.rows([list(document) for _, document in documents]):
            self._rows_of.append(range(len(self.rows), len(self.rows) + len(rows)))
            self._units.append(units)
            before = itertools.accumulate((sum(row["word_mask"]) for row in rows), initial=0)
            self._units_before += [(len(self._rows_of) - 1, count) for _, count in zip(rows, before, strict=False)]
            self.rows += rows
            self.row_tags += tags

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return dict(self.rows[index])

    @property
    def gold(self) -> list[list[str]]:
        """The sentences' gold tags, in part where they are known in part."""
        return [sentence.tags for sentence in self.sentences]

    @property
    def lengths(self) -> list[int]:
        """The sub-tokens of each row."""
        return [len(row["input_ids"]) for row in self.rows]

    @property
    def cut_sentences(self) -> int:
        """How many sentences had to be cut into several rows."""
        return sum(len(rows) > 1 for rows in self._rows_of)

    def tags_of(self, paths: Any) -> list[list[str]]:
        """Turn paths into the sentences' tags, one for every word.

        Args:
            paths: int (number of rows, S), in the order of the rows; -100 where there is no tag.

        Raises:
            ValueError: if a word has no tag, or more than one.
        """
        rows = [[self.labels[tag] for tag in path if tag != UNKNOWN] for path in torch.as_tensor(paths).tolist()]
        tags = [[tag for row in rows_of for tag in rows[row]] for rows_of in self._rows_of]
        for sentence, units, predicted in zip(self.sentences, self._units, tags, strict=True):
            count = len(sentence.words if units is None else units.word_of)
            if count != len(predicted):
                raise ValueError(f"paths must have one tag per word, got {len(predicted)} for {count} words")
        pairs = zip(self._units, tags, strict=True)
        return [own if units is None else units.gather(own, self.scheme) for units, own in pairs]

    def words_of(self, row: int, start: int, end: int) -> tuple[int, int, int]:
        """Return which words a stretch of a row's chain covers: the sentence, its first word, the word after the last.

        Args:
            row: its number.
            start, end: a stretch of an entity, in units of the chain, counted from the row's beginning.
        """
        sentence, before = self._units_before[row]
        first, after, units = before + start, before + end, self._units[sentence]
        if units is None:
            return sentence, first, after
        words = [word for word in units.word_of[first:after] if word is not None]
        return (sentence, words[0], words[-1] + 1) if words else (sentence, 0, 0)


class StreamingTaggingDataset(IterableDataset):
    """Rows that are made while the sentences are read, for training data that do not fit into the memory.

    The sentences come one by one, so that the encoder sees none of their neighbours.

    Args:
        read: starts reading the sentences from the beginning; each worker calls it once an epoch.
        tokenizer, labels, max_length, scheme, chain_unit: see `RowMaker`.
    """

    def __init__(
        self,
        read: Callable[[], Iterable[Sentence]],
        tokenizer: Any,
        labels: Sequence[str],
        max_length: int | None = None,
        scheme: str | None = "auto",
        chain_unit: str = "word",
    ):
        self.read = read
        self._maker = RowMaker(tokenizer, labels, max_length, scheme=scheme, chain_unit=chain_unit)
        self.scheme = self._maker.scheme

    def __iter__(self) -> Iterator[Row]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for sentence in itertools.islice(self.read(), first, None, step):
            sentence = _with_partial_tags(sentence, self._maker.labels)
            yield from next(self._maker.rows([[sentence]])).rows


@dataclass
class TaggingCollator:
    """Pad rows, as `RowMaker` makes them, into a batch, and add the `attention_mask`.

    Args:
        pad_token_id: the tokenizer's.
        padding_side: `"right"` or `"left"`; the results of the model are the same.
    """

    pad_token_id: int
    padding_side: str = "right"

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        fills = {"input_ids": self.pad_token_id, "word_mask": 0, "word_shape_ids": 0, "labels": UNKNOWN}
        fills["attention_mask"] = 0
        rows = [{**row, "attention_mask": [1] * len(row["input_ids"])} for row in rows]
        sets = next((row["tag_sets"] for row in rows if "tag_sets" in row), None)
        if sets is not None:
            fills["tag_sets"] = 0
            rows = [{"tag_sets": sets.new_zeros(len(row["labels"]), sets.shape[1]), **row} for row in rows]
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
