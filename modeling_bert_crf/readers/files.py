"""Files of labelled sentences: words and tags in columns or JSON, or texts with spans in a format of `formats.py`.

The tags are left as they are spelt in the file; `spelling.py` and `tags.py` say what they mean.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .columns import number_lines, read_columns
from .formats import OF_SENTENCES, find_format, read_documents
from .json_files import read_values
from .marks import Ask
from .rows import find_columns, sentence_of, with_names
from .sentences import DataError, Sentence
from .spans import SpanRules, sentences_of

__all__ = ["read_conll", "read_file", "read_objects"]


logger = logging.getLogger(__name__)


def read_file(
    path: str | Path,
    word_column: str | None = None,
    tag_column: str | None = None,
    labels: Sequence[str] | None = None,
    document_column: str | None = None,
    data_format: str | None = None,
    rules: SpanRules | None = None,
    ask: Ask | None = None,
) -> Iterator[Sentence]:
    """Read sentences from a file, or from a folder of brat's, while they are asked for.

    The format is found by the content, and the log names it if it is one of texts with spans. What else begins like
    JSON, or whose name ends in `.json` or `.jsonl`, holds JSON of words and tags; one that ends in `.conllu` CoNLL-U,
    and any other columns (see `read_columns`). Tags are left as they are spelt (see `find_spelling`).

    Args:
        path: the file.
        word_column, tag_column: names of the columns; in a column file their numbers from 0, or from the end if
            negative. In texts with spans the names of the text and of the list of spans.
        labels: the names that tags stand for if they are numbers.
        document_column: the column of JSON that says which document a sentence belongs to; None if the file is one
            document. In a column file a document begins at a `-DOCSTART-` line or a `# newdoc` comment.
        data_format: one of `formats.FORMATS`, if it is not to be found out.
        rules: how spans become words and tags.
        ask: whose spans count; its account counts what becomes of them.

    Raises:
        DataError: if the file is missing, empty, not UTF-8, or a line does not hold what it should.
    """
    path, ask = Path(path), ask or Ask()
    if word_column is not None or tag_column is not None:
        ask = replace(ask, text_column=word_column, label_column=tag_column)
    name = find_format(path, data_format, ask)
    empty = True
    if name in OF_SENTENCES:
        sentences = _read_tagged(path, name, word_column, tag_column, labels, document_column)
    else:
        logger.warning(f"{path}: read as {name}: texts with spans")
        sentences = sentences_of(read_documents(path, name, ask), rules, ask.account)
    for sentence in sentences:
        empty = False
        yield sentence
    if empty:
        raise DataError(f"{path}: must hold at least one sentence, got none")


def _read_tagged(
    path: Path,
    name: str,
    word_column: str | None,
    tag_column: str | None,
    labels: Sequence[str] | None,
    document_column: str | None,
) -> Iterator[Sentence]:
    """Read a file of words and tags."""
    if name == "jsonl":
        yield from _read_json(path, str(path), word_column, tag_column, labels, document_column)
        return
    with path.open("rb") as file:
        lines = number_lines(file, str(path))
        sentences = read_columns(lines, str(path), word_column, tag_column, conllu=name == "conllu")
        yield from sentences if labels is None else (with_names(sentence, labels) for sentence in sentences)


def read_conll(path: str | Path) -> list[Sentence]:
    """Read all sentences of a column file, whose first column holds the words and whose last column holds the tags.

    There is a word on each line and an empty line between sentences. Columns are separated by tabs, or by blanks in a
    line without a tab. Comments and `-DOCSTART-` lines are left out; a comment is a line that begins with `#` and has
    no tag where the other lines have theirs.
    """
    return list(read_file(path))


def _read_json(
    path: Path,
    source: str,
    word_column: str | None,
    tag_column: str | None,
    labels: Sequence[str] | None,
    document_column: str | None,
) -> Iterator[Sentence]:
    first: tuple[str, str] | None = None
    for number, row in read_values(path):
        if not isinstance(row, dict):
            raise DataError(f"{source}:{number}: must hold one JSON object a line, got {json.dumps(row)[:40]!r}")
        columns = find_columns(f"{source}:{number}", row, word_column, tag_column)
        first = first or columns
        if columns != first:
            named = (" and ".join(map(repr, pair)) for pair in (first, columns))
            raise DataError(
                f"{source}:{number}: must have the columns {next(named)} as the first line, got {next(named)}"
            )
        yield sentence_of(row, columns, source, number, labels, document_column)


def read_objects(lines: Iterable[tuple[int, str]], source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the JSON object on each line with the number of the line; empty lines are left out.

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
