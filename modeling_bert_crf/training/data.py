"""Labelled sentences: read them from files and `datasets`, find their tag scheme, check and convert their tags."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from datasets import ClassLabel

from ..schemes import (
    OUTSIDE,
    SCHEMES,
    convert,
    first_violation,
    has_type,
    is_iob1,
    join_tag,
    repair,
    scheme_of,
    split_tag,
)
from ..words import unicode_fault
from .columns import number_lines, read_columns
from .sentences import DataError, Sentence
from .spelling import check_spelling

WORD_COLUMNS = ("tokens", "words")
TAG_COLUMNS = ("ner_tags", "tags", "labels", "ner")
# More distinct tags without a prefix than any tag set has: then they are something else.
MOST_TAGS = 500


def read_file(
    path: str | Path,
    words: str | None = None,
    tags: str | None = None,
    labels: Sequence[str] | None = None,
    document: str | None = None,
) -> Iterator[Sentence]:
    """Read sentences from a file while they are asked for: JSON lines if it ends in `.json` or `.jsonl`, CoNLL-U if in
    `.conllu`, else columns (see `read_columns`). Tags are left as they are spelt (see `find_spelling`).

    Args:
        path: the file.
        words, tags: names of the columns; in a column file their numbers from 0, from the end if negative.
        labels: the names that tags stand for which are numbers.
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
            sentences = read_columns(lines, str(path), words, tags, conllu=path.suffix.lower() == ".conllu")
            sentences = (_with_names(sentence, labels) for sentence in sentences)
        for sentence in sentences:
            empty = False
            yield sentence
    if empty:
        raise DataError(f"{path}: must hold at least one sentence, got none")


def read_conll(path: str | Path) -> list[Sentence]:
    """Read a whole column file: one word a line, its tag in the last column, an empty line between sentences.

    Two or more columns, the word first; separated by tabs, or by blanks in a line without a tab. `-DOCSTART-` lines
    are skipped, and comments: lines that begin with `#` and have no tag where the others have theirs.
    """
    return list(read_file(path))


def _with_names(sentence: Sentence, names: Sequence[str] | None) -> Sentence:
    """Give a sentence's tags their names if they are numbers, and no names themselves."""
    if names is None or not all(tag.isdecimal() and tag not in names for tag in sentence.tags):
        return sentence
    tags = [_name_of(int(tag[:4000]), names, sentence.where(index)) for index, tag in enumerate(sentence.tags)]
    return replace(sentence, tags=tags)


def _name_of(number: int, names: Sequence[str], where: str) -> str:
    if not 0 <= number < len(names):
        raise DataError(f"{where}: a tag must be in [0, {len(names)}), the labels' ids, got {number}")
    return names[number]


def _read_json_lines(
    lines: Iterable[tuple[int, str]],
    source: str,
    words: str | None,
    tags: str | None,
    labels: Sequence[str] | None,
    document: str | None,
) -> Iterator[Sentence]:
    first: tuple[str, str] | None = None
    for number, row in read_objects(lines, source):
        columns = find_columns(f"{source}:{number}", row, words, tags)
        first = first or columns
        if columns != first:
            named = (" and ".join(map(repr, pair)) for pair in (first, columns))
            raise DataError(
                f"{source}:{number}: must have the columns {next(named)} as the first line, got {next(named)}"
            )
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


def find_columns(
    source: str, row: Mapping[str, Any], words: str | None = None, tags: str | None = None
) -> tuple[str, str]:
    """Name the columns of words and tags of a row: those asked for, else those of a known name, which hold lists.

    Raises:
        DataError: if one is not there, or there are several.
    """
    found = []
    for what, asked, known in (("words", words, WORD_COLUMNS), ("tags", tags, TAG_COLUMNS)):
        option = "--text_column_name" if what == "words" else "--label_column_name"
        names = [name for name in (known if asked is None else (asked,)) if name in row]
        if not names:
            raise DataError(
                f"{source}: must have a column of {what} named {' or '.join(known if asked is None else (asked,))}, "
                f"got {', '.join(row)}; name it with {option}"
            )
        lists = [name for name in names if isinstance(row[name], list)]
        if len(lists) > 1:
            raise DataError(
                f"{source}: must have one column of {what}, got {' and '.join(lists)}; name it with {option}"
            )
        found.append((lists or names)[0])
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
    if all(type(tag) is int for tag in tags) and tags:
        if names is None:
            raise DataError(f"{where}: integer tags need their names: give them, in order, with --label_list")
        tags = [_name_of(tag, names, where) for tag in tags]
    if not all(isinstance(tag, str) and tag for tag in tags):
        raise DataError(f"{where}: {columns[1]!r} must hold tags or their ids, got {tags}")
    if fault := next(filter(None, map(unicode_fault, [*words, *tags])), ""):
        raise DataError(f"{where}: {fault}")
    if document is not None and document not in row:
        raise DataError(f"{where}: must have a column of documents named {document}, got {', '.join(row)}")
    document = "" if document is None else str(row[document])
    return _with_names(Sentence(words, tags, source, [number] * len(words), document), names)


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
        columns = columns or find_columns(source, row, words, tags)
        yield _sentence_of(row, columns, source, number, names, document)
    if columns is None:
        raise DataError(f"{source}: must hold at least one sentence, got none")


def class_names(dataset: Any, tags: str | None = None) -> list[str] | None:
    """Return the tags that a data set's features declare, None if they declare none."""
    features = dataset.features or {}
    columns = (getattr(features.get(name), "feature", None) for name in (TAG_COLUMNS if tags is None else (tags,)))
    feature = next((feature for feature in columns if feature is not None), None)
    return list(feature.names) if isinstance(feature, ClassLabel) else None


def tag_places(sentences: Iterable[Sentence]) -> dict[str, str]:
    """Map each tag of sentences to the place that it stands at first."""
    places: dict[str, str] = {}
    for sentence in sentences:
        for index, tag in enumerate(sentence.tags):
            if tag not in places:
                places[tag] = sentence.where(index)
    return places


def find_scheme(sentences: Iterable[Sentence]) -> str | None:
    """Name the scheme of the sentences' tags, `"IOB1"` among them; None if they have no prefixes.

    Raises:
        DataError: if the prefixes belong to no one scheme, only some tags have one, there are too many to be tags, or
            they are tags in another spelling (`find_spelling` reads them).
    """
    sentences = list(sentences)
    places = tag_places(sentences)
    if words_like_tags := _swapped(sentences):
        raise DataError(f"{sentences[0].source}: the columns of words and tags seem swapped: {words_like_tags}")
    try:
        scheme = scheme_of(places)
    except ValueError as error:
        odd = next((tag for tag in places if tag != OUTSIDE and not has_type(tag)), next(iter(places)))
        hint = "; words outside of entities have the tag 'O'" if not has_type(odd) else ""
        raise DataError(f"{places[odd]}: {error}{hint}") from None
    if scheme is None and len(places) > MOST_TAGS:
        examples = ", ".join(repr(tag) for tag in islice(places, 3))
        raise DataError(
            f"{sentences[0].source}: the column of tags must hold tags, got {len(places):,} different ones: {examples}"
        )
    check_spelling(places)
    return "IOB1" if scheme == "IOB2" and is_iob1(sentence.tags for sentence in sentences) else scheme


def _swapped(sentences: Sequence[Sentence]) -> str:
    """Say by an example that all words look like tags and the tags do not; empty if all is well."""
    words = {word for sentence in sentences for word in sentence.words}
    tags = {tag for sentence in sentences for tag in sentence.tags}
    # A few words, such as I, are a tag without a type, but not all of them.
    tag_like = any(map(has_type, words)) or {"B", OUTSIDE} <= words
    if not (tag_like and all(word == OUTSIDE or split_tag(word)[0] for word in words)):
        return ""
    return "" if any(split_tag(tag)[0] for tag in tags) else f"the words are {', '.join(sorted(words)[:3])}"


def find_labels(sentences: Iterable[Sentence], scheme: str | None) -> list[str]:
    """List a model's tags for the sentences: `O`, then each type with every prefix of the scheme, by name."""
    tags = {tag for sentence in sentences for tag in sentence.tags}
    if scheme is None:
        return [OUTSIDE] * (OUTSIDE in tags) + sorted(tags - {OUTSIDE})
    kinds = sorted({split_tag(tag)[1] for tag in tags - {OUTSIDE}})
    return [OUTSIDE, *(join_tag(prefix, kind) for kind in kinds for prefix in SCHEMES[scheme])]


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
