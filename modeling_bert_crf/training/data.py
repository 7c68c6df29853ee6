"""Labelled sentences: read them from files and `datasets`, find their tag scheme, check and convert their tags."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from datasets import ClassLabel

from ..schemes import OUTSIDE, SCHEMES, convert, first_violation, is_iob1, repair, scheme_of, split_tag
from ..words import unicode_fault

WORD_COLUMNS = ("tokens", "words")
TAG_COLUMNS = ("ner_tags", "tags", "labels", "ner")
# More distinct tags without a prefix than any tag set has: then they are something else.
MOST_TAGS = 500


class DataError(ValueError):
    """A fault in the user's data; the message names the file, the line, the rule and the value."""


@dataclass(frozen=True)
class Sentence:
    """Words and their gold tags, and where they stand."""

    words: list[str]
    tags: list[str]
    source: str  # a file, or a data set and its split
    lines: list[int]  # of each word, from 1; in a data set the row, from 0
    document: str = ""  # its sentences stand together, and are each other's context

    def where(self, word: int) -> str:
        """Name a word's place, for an error message."""
        return f"{self.source}:{self.lines[word]}"


def read_file(
    path: str | Path,
    words: str | None = None,
    tags: str | None = None,
    labels: Sequence[str] | None = None,
    document: str | None = None,
) -> Iterator[Sentence]:
    """Read sentences from a file while they are asked for: JSON lines if it ends in `.json` or `.jsonl`, else columns.

    Args:
        path: the file.
        words, tags: names of the columns; in a column file their numbers from 0, from the end if negative.
        labels: the names that integer tags stand for in JSON lines.
        document: column of JSON lines that says which document a sentence belongs to; None: the file is one. In a
            column file a document begins at a `-DOCSTART-` line or a `# newdoc` comment.

    Raises:
        DataError: if the file is missing, empty, not UTF-8, or a line does not hold what it should.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    empty = True
    with path.open("rb") as file:
        lines = number_lines(file, str(path))
        if path.suffix in (".json", ".jsonl"):
            sentences = _read_json_lines(lines, str(path), words, tags, labels, document)
        else:
            sentences = read_columns(lines, str(path), words, tags)
        for sentence in sentences:
            empty = False
            yield sentence
    if empty:
        raise DataError(f"{path}: must hold at least one sentence, got none")


def read_conll(path: str | Path) -> list[Sentence]:
    """Read a whole column file: one word a line, its tag in the last column, an empty line between sentences.

    Two or more columns, the word first; separated by tabs, or by blanks in a line without a tab. `-DOCSTART-` lines
    are skipped, and comments: lines that begin with `#`, hold no tab, and are not a word with its tag.
    """
    return list(read_file(path))


def number_lines(file: Iterable[bytes], source: str) -> Iterator[tuple[int, str]]:
    """Number the lines of a UTF-8 file. They end at a line feed alone: Unicode's other breaks may stand in a word.

    Raises:
        DataError: if a line is not UTF-8.
    """
    for number, line in enumerate(file, start=1):
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(f"{source}:{number}: must be UTF-8, got byte 0x{line[error.start]:02x}") from None


def read_columns(
    lines: Iterable[tuple[int, str]], source: str, words: str | None, tags: str | None = None, tagged: bool = True
) -> Iterator[Sentence]:
    """Read sentences from the numbered lines of a column file, as `read_file` and `read_conll` describe it.

    Args:
        lines: as `number_lines` gives them.
        source: what to call the file.
        words, tags: numbers of the columns, from 0, from the end if negative; None: the first and the last.
        tagged: whether there must be a column of tags. Without one the tags are empty.

    Raises:
        DataError: if a line does not hold what it should.
    """
    word_column, tag_column = _column_number("words", words, 0), _column_number("tags", tags, -1)
    first: tuple[int, int] | None = None  # line and number of columns of the file's first word
    group: list[tuple[int, str, str]] = []
    documents = 0

    def sentence() -> Sentence:
        numbers, group_words, group_tags = map(list, zip(*group, strict=True))
        return Sentence(group_words, group_tags, source, numbers, str(documents))

    for number, line in lines:
        if not line.strip(" \t"):
            if group:
                yield sentence()
            group.clear()
            continue
        row = line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))
        is_word = _is_tagged(row, first) or (not tagged and len(row) == 1 and (first is None or first[1] == 1))
        is_comment = line.startswith("#") and "\t" not in line and not is_word
        if row[0] == "-DOCSTART-" or is_comment:
            if group and row[0] == "-DOCSTART-":
                yield sentence()
                group.clear()
            documents += row[0] == "-DOCSTART-" or line.startswith("# newdoc")
            continue
        if tagged and len(row) < 2:
            raise DataError(f"{source}:{number}: must have a word and a tag column, got one column: {line!r}")
        if first is None:
            first = (number, len(row))
            for column in (word_column, tag_column):
                if not -len(row) <= column < len(row):
                    raise DataError(
                        f"{source}:{number}: must have a column {column}, got {len(row)} columns: {line!r}"
                    )
        if len(row) != first[1]:
            rule = f"must have {first[1]} columns as line {first[0]}"
            raise DataError(f"{source}:{number}: {rule}, got {len(row)}: {line!r}")
        word, tag = row[word_column].strip(" "), row[tag_column].strip(" ") if len(row) > 1 else ""
        if not word or (tagged and not tag):
            raise DataError(f"{source}:{number}: the {'word' if not word else 'tag'} must not be empty, got {line!r}")
        group.append((number, word, tag))
    if group:
        yield sentence()


def _column_number(name: str, text: str | None, default: int) -> int:
    try:
        return default if text is None else int(text)
    except ValueError:
        raise DataError(f"the column of the {name} in a column file must be a number from 0, got {text!r}") from None


def _is_tagged(row: list[str], first: tuple[int, int] | None) -> bool:
    """Tell a word such as `#` or `#tag` from a comment."""
    columns = len(row) if first is None else first[1]
    return len(row) == columns and len(row) > 1 and (row[-1] == OUTSIDE or split_tag(row[-1])[0] != "")


def _read_json_lines(
    lines: Iterable[tuple[int, str]],
    source: str,
    words: str | None,
    tags: str | None,
    labels: Sequence[str] | None,
    document: str | None,
) -> Iterator[Sentence]:
    for number, row in read_objects(lines, source):
        columns = find_columns(f"{source}:{number}", list(row), words, tags)
        yield _sentence_of(row, columns, source, number, labels, document)


def read_objects(lines: Iterable[tuple[int, str]], source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the JSON object on each numbered line; empty lines are skipped.

    Raises:
        DataError: if a line holds something else.
    """
    for number, line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", str(error))
            raise DataError(f"{source}:{number}: must hold one JSON object a line, got {reason}") from None
        if not isinstance(row, dict):
            raise DataError(f"{source}:{number}: must hold one JSON object a line, got {line[:40]!r}")
        yield number, row


def find_columns(source: str, columns: Sequence[str], words: str | None, tags: str | None) -> tuple[str, str]:
    """Name the columns of words and tags: those asked for, else the first known name that is there.

    Raises:
        DataError: if one is not there.
    """
    found = []
    for what, asked, known in (("words", words, WORD_COLUMNS), ("tags", tags, TAG_COLUMNS)):
        candidates = known if asked is None else (asked,)
        name = next((name for name in candidates if name in columns), None)
        if name is None:
            option = "--text_column_name" if what == "words" else "--label_column_name"
            raise DataError(
                f"{source}: must have a column of {what} named {' or '.join(candidates)}, got {', '.join(columns)}; "
                f"name it with {option}"
            )
        found.append(name)
    return found[0], found[1]


def _sentence_of(
    row: dict[str, Any],
    columns: tuple[str, str],
    source: str,
    number: int,
    names: Sequence[str] | None,
    document: str | None,
) -> Sentence:
    """Check one row of a data set; `names` are the tags that integers stand for."""
    words, tags = row[columns[0]], row[columns[1]]
    where = f"{source}:{number}"
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError(f"{where}: {columns[0]!r} must be a list of words, got {str(words)[:60]!r}")
    if not isinstance(tags, list) or len(tags) != len(words):
        got = f"{len(tags)}" if isinstance(tags, list) else repr(str(tags)[:60])
        raise DataError(f"{where}: {columns[1]!r} must hold {len(words)} tags, one per word, got {got}")
    if "" in words:
        raise DataError(f"{where}: a word must not be empty, got {words}")
    if all(isinstance(tag, int) for tag in tags) and tags:
        if names is None:
            raise DataError(f"{where}: integer tags need their names: give them, in order, with --label_list")
        if wrong := [tag for tag in tags if not 0 <= tag < len(names)]:
            raise DataError(f"{where}: a tag must be in [0, {len(names)}), the labels' ids, got {wrong[0]}")
        tags = [names[tag] for tag in tags]
    if not all(isinstance(tag, str) and tag for tag in tags):
        raise DataError(f"{where}: {columns[1]!r} must hold tags or their ids, got {tags}")
    if fault := next(filter(None, map(unicode_fault, [*words, *tags])), ""):
        raise DataError(f"{where}: {fault}")
    if document is not None and document not in row:
        raise DataError(f"{where}: must have a column of documents named {document}, got {', '.join(row)}")
    return Sentence(words, tags, source, [number] * len(words), "" if document is None else str(row[document]))


def read_dataset(
    dataset: Any,
    source: str,
    words: str | None = None,
    tags: str | None = None,
    labels: Sequence[str] | None = None,
    document: str | None = None,
) -> Iterator[Sentence]:
    """Read sentences from a split of `datasets`, in memory or streaming.

    Args:
        dataset: rows with a list of words and a list of tags: names, `ClassLabel`s or integers.
        source: what to call it in messages.
        words, tags: names of the columns; None looks for the usual ones.
        labels: the names that integers stand for, where the features do not say.
        document: column that says which document a sentence belongs to; None: all rows are one.

    Raises:
        DataError: if the columns are not there, or a row does not hold what it should.
    """
    names = class_names(dataset, tags) or labels
    columns = None
    for number, row in enumerate(dataset):
        columns = columns or find_columns(source, list(row), words, tags)
        yield _sentence_of(row, columns, source, number, names, document)
    if columns is None:
        raise DataError(f"{source}: must hold at least one sentence, got none")


def class_names(dataset: Any, tags: str | None = None) -> list[str] | None:
    """Return the tags that a data set's features declare, None if they declare none."""
    features = dataset.features or {}
    name = next((name for name in (TAG_COLUMNS if tags is None else (tags,)) if name in features), None)
    feature = getattr(features.get(name), "feature", None)
    return list(feature.names) if isinstance(feature, ClassLabel) else None


def find_scheme(sentences: Iterable[Sentence]) -> str | None:
    """Name the scheme of the sentences' tags, `"IOB1"` among them; None if they have no prefixes.

    Raises:
        DataError: if the prefixes belong to no one scheme, only some tags have one, or there are too many to be tags.
    """
    sentences = list(sentences)
    first: dict[str, Sentence] = {}  # in which each tag stands
    for sentence in sentences:
        for tag in sentence.tags:
            first.setdefault(tag, sentence)
    tags = first.keys()
    if words_like_tags := _swapped(sentences):
        raise DataError(f"{sentences[0].source}: the columns of words and tags seem swapped: {words_like_tags}")
    try:
        scheme = scheme_of(tags)
    except ValueError as error:
        odd = next((tag for tag in tags if tag != OUTSIDE and not split_tag(tag)[0]), next(iter(tags)))
        sentence = first[odd]
        raise DataError(f"{sentence.where(sentence.tags.index(odd))}: {error}") from None
    if scheme is None and len(tags) > MOST_TAGS:
        examples = ", ".join(repr(tag) for tag in islice(tags, 3))
        raise DataError(
            f"{sentences[0].source}: the column of tags must hold tags, got {len(tags):,} different ones: {examples}"
        )
    return "IOB1" if scheme == "IOB2" and is_iob1(sentence.tags for sentence in sentences) else scheme


def _swapped(sentences: Sequence[Sentence]) -> str:
    """Say by an example that all words look like tags and the tags do not; empty if all is well."""
    words = {word for sentence in sentences for word in sentence.words}
    tags = {tag for sentence in sentences for tag in sentence.tags}
    tag_like = {word for word in words if split_tag(word)[0]}
    if tag_like and words <= {*tag_like, OUTSIDE} and not any(split_tag(tag)[0] for tag in tags):
        return f"the words are {', '.join(sorted(words)[:3])}"
    return ""


def find_labels(sentences: Iterable[Sentence], scheme: str | None) -> list[str]:
    """List a model's tags for the sentences: `O`, then each type with every prefix of the scheme, by name."""
    tags = {tag for sentence in sentences for tag in sentence.tags}
    if scheme is None:
        return [OUTSIDE] * (OUTSIDE in tags) + sorted(tags - {OUTSIDE})
    kinds = sorted({split_tag(tag)[1] for tag in tags - {OUTSIDE}})
    return [OUTSIDE, *(f"{prefix}-{kind}" for kind in kinds for prefix in SCHEMES[scheme])]


def check_tags(sentence: Sentence, scheme: str | None, repair_tags: bool = False) -> Sentence:
    """Check that a sentence's gold tags obey the scheme.

    Args:
        sentence: as read.
        scheme: its scheme; None and `"IOB1"` allow everything.
        repair_tags: rewrite an illegal sequence (a tag that continues nothing opens an entity) rather than refuse it.

    Returns:
        The sentence, with its tags repaired if need be.

    Raises:
        DataError: naming the file, the line and the tag, unless `repair_tags`.
    """
    if scheme is None or scheme == "IOB1":
        return sentence
    tags = sentence.tags
    for index, tag in enumerate(tags):
        if tag != OUTSIDE and split_tag(tag)[0] not in SCHEMES[scheme]:
            raise DataError(f"{sentence.where(index)}: the tag must be O or one of {scheme}, got {tag!r}")
    fault = first_violation(tags, scheme)
    if fault is None:
        return sentence
    if repair_tags:
        return replace(sentence, tags=repair(tags, scheme))
    at_end = fault == len(tags)
    before = repr(tags[fault - 1]) if fault else "the sentence's start"
    got = f"{before} at the sentence's end" if at_end else f"{tags[fault]!r} after {before}"
    raise DataError(
        f"{sentence.where(fault - at_end)}: the tags must obey {scheme}, got {got}; "
        "--repair_tags reads a tag that continues nothing as the opening of an entity"
    )


def count_repairs(before: Sequence[Sentence], after: Sequence[Sentence]) -> Counter[str]:
    """Count the changes of `check_tags`, as `"I-PER -> B-PER"`."""
    return Counter(
        f"{old} -> {new}"
        for one, other in zip(before, after, strict=True)
        for old, new in zip(one.tags, other.tags, strict=True)
        if old != new
    )


def convert_tags(sentence: Sentence, source: str | None, target: str | None) -> Sentence:
    """Write a sentence's tags, legal in `source`, in the scheme `target`.

    Raises:
        DataError: if one of the two has no scheme and the other has.
    """
    if source == target or all(tag == OUTSIDE for tag in sentence.tags):
        return sentence
    if source is None or target is None:
        named = ["without prefixes" if scheme is None else scheme for scheme in (source, target)]
        raise DataError(f"{sentence.where(0)}: tags {named[0]} cannot be written {named[1]}, got {sentence.tags[:5]}")
    return replace(sentence, tags=convert(sentence.tags, source, target))


Reader = Callable[[], Iterator[Sentence]]
"""Starts reading a split from its beginning."""
