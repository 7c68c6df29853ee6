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
            sentences = (with_names(sentence, labels) for sentence in sentences)
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
        yield sentence_of(row, columns, source, number, labels, document)


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
