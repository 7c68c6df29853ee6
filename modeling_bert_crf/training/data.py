"""Labelled sentences: from files to the encoder's rows, and from the model's paths back to words."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from ..crf import UNKNOWN
from ..schemes import OUTSIDE, SCHEMES, detect_scheme, first_violation, repair, split_tag, tags_to_spans
from ..words import Window, encode_words


class DataError(ValueError):
    """A fault in the user's data; the message names the file, the line, the rule and the value."""


@dataclass(frozen=True)
class Sentence:
    """Words and their gold tags, and where they stand."""

    words: list[str]
    tags: list[str]
    path: str
    lines: list[int]  # of each word, from 1


def read_conll(path: str | Path) -> list[Sentence]:
    """Read sentences from a column file: one word a line, its tag in the last column, an empty line between sentences.

    Two or more columns, the word first; separated by tabs, or by blanks in a line without a tab. `-DOCSTART-` lines
    are skipped, and comments: lines that begin with `#`, hold no tab, and are not a word with its tag.

    Raises:
        DataError: if the file is missing, empty, not UTF-8, or a line has another number of columns than the first.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        # Lines end at \n alone: other separators of Unicode may stand inside a word.
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{line}: must be UTF-8, got byte 0x{error.object[error.start]:02x}") from None
    sentences = [
        Sentence([row[0] for _, row in rows], [row[-1] for _, row in rows], str(path), [number for number, _ in rows])
        for rows in _groups(path, lines)
    ]
    if not sentences:
        raise DataError(f"{path}: must hold at least one sentence, got none")
    return sentences


def _groups(path: Path, lines: Iterable[str]) -> Iterator[list[tuple[int, list[str]]]]:
    """Yield each sentence as its numbered rows."""
    group: list[tuple[int, list[str]]] = []
    first: tuple[int, int] | None = None  # line and number of columns of the file's first word
    for number, line in enumerate(lines, start=1):
        line = line.strip("\r")
        if not line.strip(" \t"):
            if group:
                yield group
            group = []
            continue
        row = line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))
        if row[0] == "-DOCSTART-" or (line.startswith("#") and "\t" not in line and not _is_tagged(row, first)):
            continue
        row = [cell.strip(" ") for cell in row]
        if len(row) < 2:
            raise DataError(f"{path}:{number}: must have a word and a tag column, got one column: {line!r}")
        if first is None:
            first = (number, len(row))
        if len(row) != first[1]:
            raise DataError(
                f"{path}:{number}: must have {first[1]} columns as line {first[0]}, got {len(row)}: {line!r}"
            )
        if not row[0] or not row[-1]:
            raise DataError(f"{path}:{number}: the {'word' if not row[0] else 'tag'} must not be empty, got {line!r}")
        group.append((number, row))
    if group:
        yield group


def _is_tagged(row: list[str], first: tuple[int, int] | None) -> bool:
    """Tell a word such as `#` or `#tag` from a comment."""
    columns = len(row) if first is None else first[1]
    return len(row) == columns and len(row) > 1 and (row[-1] == OUTSIDE or split_tag(row[-1])[0] != "")


def find_scheme(sentences: Iterable[Sentence]) -> str | None:
    """Name the scheme of the sentences' tags; None if they have no prefixes.

    Raises:
        DataError: if the prefixes belong to no one scheme, or only some tags have one.
    """
    tags = {tag: sentence for sentence in sentences for tag in sentence.tags}
    try:
        # Every scheme has a B-: given one for each type, only prefixes that do not go together are left to fail.
        return detect_scheme({*tags, *(f"B-{split_tag(tag)[1]}" for tag in tags if split_tag(tag)[0])})
    except ValueError as error:
        path = next(iter(tags.values())).path
        raise DataError(f"{path}: {error}") from None


def find_labels(sentences: Iterable[Sentence], scheme: str | None) -> list[str]:
    """List the tags of the sentences: `O`, then each type with every prefix of the scheme, in alphabetical order."""
    tags = sorted({tag for sentence in sentences for tag in sentence.tags} - {OUTSIDE})
    if scheme is not None:
        kinds = sorted({split_tag(tag)[1] for tag in tags})
        tags = [f"{prefix}-{kind}" for kind in kinds for prefix in SCHEMES[scheme]]
    elif not any(OUTSIDE in sentence.tags for sentence in sentences):
        return tags
    return [OUTSIDE, *tags]


def check_tags(sentences: Sequence[Sentence], scheme: str | None, repair_tags: bool = False) -> list[Sentence]:
    """Check that every sentence's gold tags obey the scheme.

    Args:
        sentences: as read.
        scheme: their scheme; None allows everything.
        repair_tags: rewrite an illegal sequence (a tag that continues nothing opens an entity) rather than refuse it.

    Returns:
        The sentences, with the repaired ones replaced.

    Raises:
        DataError: naming the file, the line and the tag, unless `repair_tags`.
    """
    if scheme is None:
        return list(sentences)
    checked = []
    for sentence in sentences:
        foreign = next(
            (tag for tag in sentence.tags if tag != OUTSIDE and split_tag(tag)[0] not in SCHEMES[scheme]), None
        )
        if foreign is not None:
            line = sentence.lines[sentence.tags.index(foreign)]
            raise DataError(f"{sentence.path}:{line}: the tag must be O or one of {scheme}, got {foreign!r}")
        fault = first_violation(sentence.tags, scheme)
        if fault is not None and not repair_tags:
            end = fault == len(sentence.tags)
            before = repr(sentence.tags[fault - 1]) if fault else "the sentence's start"
            got = f"{before} at the sentence's end" if end else f"{sentence.tags[fault]!r} after {before}"
            raise DataError(
                f"{sentence.path}:{sentence.lines[fault - end]}: the tags must obey {scheme}, got {got}; "
                "--repair_tags reads a tag that continues nothing as the opening of an entity"
            )
        checked.append(sentence if fault is None else replace(sentence, tags=repair(sentence.tags, scheme)))
    return checked


def count_repairs(before: Sequence[Sentence], after: Sequence[Sentence]) -> Counter[str]:
    """Count the changes of `check_tags`, as `"I-PER -> B-PER"`."""
    return Counter(
        f"{old} -> {new}"
        for one, other in zip(before, after, strict=True)
        for old, new in zip(one.tags, other.tags, strict=True)
        if old != new
    )


class TaggingDataset(Dataset):
    """Sentences laid out as the encoder's rows, and the way back from a row's path to a sentence's tags.

    A sentence over the encoder's limit becomes several rows, each a chain of its own. A word of an entity that a
    border between them cuts has an unknown label in both; scoring goes by the sentences and misses nothing.

    Args:
        sentences: with gold tags.
        tokenizer: the encoder's.
        labels: the model's tags in the order of their ids. A gold tag that is not among them becomes an unknown label.
        max_length: most sub-tokens in a row; None means the tokenizer's limit.
    """

    def __init__(
        self, sentences: Sequence[Sentence], tokenizer: Any, labels: Sequence[str], max_length: int | None = None
    ):
        self.sentences = list(sentences)
        self.labels = list(labels)
        self.scheme = detect_scheme(labels)
        ids = {label: index for index, label in enumerate(labels)}
        self._rows: list[tuple[Window, list[int]]] = []
        self._rows_of: list[range] = []  # for each sentence
        for sentence in self.sentences:
            windows = encode_words(tokenizer, sentence.words, max_length)
            tags = [ids.get(tag, UNKNOWN) for tag in sentence.tags]
            if len(windows) > 1:
                self._forget_cut_entities(tags, sentence.tags, windows)
            self._rows_of.append(range(len(self._rows), len(self._rows) + len(windows)))
            self._rows += [(window, [tags[word] for word in window.words]) for window in windows]

    def _forget_cut_entities(self, tags: list[int], names: list[str], windows: list[Window]) -> None:
        for start, end, _ in tags_to_spans(names, self.scheme):
            if any(start < window.words.start < end for window in windows):
                tags[start:end] = [UNKNOWN] * (end - start)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        window, tags = self._rows[index]
        tag = iter(tags)
        return {
            "input_ids": window.input_ids,
            "word_mask": [int(scored) for scored in window.word_mask],
            "labels": [next(tag) if scored else UNKNOWN for scored in window.word_mask],
        }

    @property
    def gold(self) -> list[list[str]]:
        """The sentences' gold tags."""
        return [sentence.tags for sentence in self.sentences]

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


@dataclass
class TaggingCollator:
    """Pad rows of `input_ids, word_mask, labels` into a batch, and add the `attention_mask`.

    Args:
        pad_token_id: the tokenizer's.
        padding_side: `"right"` or `"left"`; the model does not mind.
    """

    pad_token_id: int
    padding_side: str = "right"

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        fills = {"input_ids": self.pad_token_id, "word_mask": 0, "labels": UNKNOWN, "attention_mask": 0}
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
    """Write `word TAB gold TAB predicted` lines, an empty line after each sentence."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for sentence, tags in zip(sentences, predicted, strict=True):
            rows = zip(sentence.words, sentence.tags, tags, strict=True)
            file.writelines(f"{word}\t{gold}\t{tag}\n" for word, gold, tag in rows)
            file.write("\n")
