"""Files of labelled sentences: columns of words and tags, or JSON lines.

The tags are left as they are spelt in the file; `spelling.py` and `tags.py` say what they mean.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .columns import number_lines, read_columns
from .rows import find_columns, sentence_of, with_names
from .sentences import DataError, Sentence

__all__ = ["read_conll", "read_file", "read_objects"]


def read_file(
    path: str | Path,
    word_column: str | None = None,
    tag_column: str | None = None,
    labels: Sequence[str] | None = None,
    document_column: str | None = None,
) -> Iterator[Sentence]:
    """Read sentences from a file while they are asked for.

    A file whose name ends in `.json` or `.jsonl` holds JSON lines, one that ends in `.conllu` CoNLL-U, and any other
    columns (see `read_columns`). Tags are left as they are spelt (see `find_spelling`).

    Args:
        path: the file.
        word_column, tag_column: names of the columns; in a column file their numbers from 0, or from the end if
            negative.
        labels: the names that tags stand for if they are numbers.
        document_column: the column of JSON lines that says which document a sentence belongs to; None if the file is
            one document. In a column file a document begins at a `-DOCSTART-` line or a `# newdoc` comment.

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
            sentences = _read_json_lines(lines, str(path), word_column, tag_column, labels, document_column)
        else:
            conllu = path.suffix.lower() == ".conllu"
            sentences = read_columns(lines, str(path), word_column, tag_column, conllu=conllu)
            if labels is not None:
                sentences = (with_names(sentence, labels) for sentence in sentences)
        for sentence in sentences:
            empty = False
            yield sentence
    if empty:
        raise DataError(f"{path}: must hold at least one sentence, got none")


def read_conll(path: str | Path) -> list[Sentence]:
    """Read all sentences of a column file, whose first column holds the words and whose last column holds the tags.

    There is a word on each line and an empty line between sentences. Columns are separated by tabs, or by blanks in a
    line without a tab. Comments and `-DOCSTART-` lines are left out; a comment is a line that begins with `#` and has
    no tag where the other lines have theirs.
    """
    return list(read_file(path))


def _read_json_lines(
    lines: Iterable[tuple[int, str]],
    source: str,
    word_column: str | None,
    tag_column: str | None,
    labels: Sequence[str] | None,
    document_column: str | None,
) -> Iterator[Sentence]:
    first: tuple[str, str] | None = None
    for number, row in read_objects(lines, source):
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
