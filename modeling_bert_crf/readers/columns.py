"""Column files: a word on each line, its tag in another column, an empty line between sentences. CoNLL-U is one kind.

A cell of a column file cannot hold a tab, a line break or nothing at all. A sentence with such a cell is written with
JSON strings as its cells, and a comment before it, `# cells = JSON`, tells the reader so.
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..doors.terminal import Writable
from ..schemes import OUTSIDE, has_type, split_tag
from ..words import unicode_fault
from .sentences import DataError, Sentence
from .spelling import find_spelling

__all__ = ["AS_JSON", "DOCUMENT", "check_encoding", "number_lines", "read_bytes", "read_columns", "write_rows"]

AS_JSON = "# cells = JSON"
DOCUMENT = "-DOCSTART-"
# Encodings by their first bytes. The longer ones come first, since UTF-32's marks begin like UTF-16's.
_ENCODINGS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_BREAKS = re.compile("[\t\n\r\0]")
_MOST_HELD = 100
"""After so many sentences whose words only count, the first column is taken for a counter of words."""


def number_lines(file: Iterable[bytes], source: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file with their numbers, from 1.

    A line ends at a line feed; the other line breaks of Unicode may stand in a word. In a file without a line feed it
    ends at a carriage return. A byte-order mark, and the character with which old files end, are left out.

    Raises:
        DataError: if a line is not UTF-8, or cannot be read.
    """
    for number, line in enumerate(_lines(_read(file, source)), start=1):
        if number == 1:
            check_encoding(line, source)
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n\x1a")
        except UnicodeDecodeError as error:
            raise DataError(f"{source}:{number}: must be UTF-8, got byte 0x{line[error.start]:02x}") from None


def read_bytes(path: Path, most: int = -1) -> bytes:
    """Read a file, or so many bytes from its beginning.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _read(file: Iterable[bytes], source: str) -> Iterator[bytes]:
    try:
        yield from file
    except OSError as error:  # of a disk or a share; a caller that writes at the same time would blame the output
        raise DataError(f"{source}: cannot be read: {error.strerror or error}") from None


def _lines(file: Iterable[bytes]) -> Iterator[bytes]:
    lines = iter(file)
    first = next(lines, None)
    if first is None:
        return
    yield from [first] if first.endswith(b"\n") else first.split(b"\r")
    yield from lines


def check_encoding(line: bytes, source: str) -> None:
    """Refuse UTF-16 and UTF-32. UTF-16 without its mark is valid UTF-8: each letter has a NUL beside it."""
    encoding = next((name for mark, name in _ENCODINGS.items() if line.startswith(mark)), None)
    if encoding is None and line.count(0) > max(1, len(line) // 3):
        encoding = "UTF-16"
    if encoding is not None:
        raise DataError(f"{source}: must be UTF-8, got {encoding}: convert it, as with iconv -f {encoding} -t UTF-8")


def read_columns(
    lines: Iterable[tuple[int, str]],
    source: str,
    word_column: str | None = None,
    tag_column: str | None = None,
    tagged: bool = True,
    conllu: bool = False,
) -> Iterator[Sentence]:
    """Read sentences from the numbered lines of a column file.

    Cells are separated by tabs, or by blanks in a line without a tab. A line that begins with `#` is a comment, unless
    it has a tag where the other lines have theirs. A document begins at a `-DOCSTART-` line or a `# newdoc` comment.
    In CoNLL-U the words are the lines that are numbered `1`, `2` and so on. A range such as `1-2` only spells words
    that follow it, and an empty node such as `1.1` is no word of the text; both are left out.

    Args:
        lines: as `number_lines` gives them.
        source: what to call the file.
        word_column, tag_column: numbers of the columns, from 0, or from the end if negative. None takes the first and
            the last one, in CoNLL-U FORM and MISC.
        tagged: whether there must be a column of tags. Without one the tags are empty.
        conllu: whether the file is CoNLL-U.

    Raises:
        DataError: if a line does not hold what it should. Also if no column is named, and the first one only counts
            the words or MISC holds no tags.
    """
    table = _Table(source, word_column, tag_column, tagged, conllu)
    sentences = table.sentences(lines)
    yield from sentences if conllu or word_column is not None else _without_counters(sentences, table)
    table.check_misc()


class _First(NamedTuple):
    """The first line that holds a word."""

    line: int
    columns: int


class _Table:
    """How a column file is laid out, as far as it has been read."""

    def __init__(self, source: str, word_column: str | None, tag_column: str | None, tagged: bool, conllu: bool):
        self.source, self.tagged, self.conllu = source, tagged, conllu
        self.word = _column_number("words", word_column, 1 if conllu else 0)
        self.tag = _column_number("tags", tag_column, -1)
        self.first: _First | None = None
        self.tabs = False  # whether tabs separate the cells of that line
        self.known: set[str] = set()  # tags
        self.misc = conllu and tagged and tag_column is None  # whether tags are looked for in CoNLL-U's last column
        self.as_json = False  # whether the cells of this sentence are JSON strings

    @property
    def columns(self) -> int:
        """How many columns the file has; 0 as long as no word has been read."""
        return 0 if self.first is None else self.first.columns

    def sentences(self, lines: Iterable[tuple[int, str]]) -> Iterator[Sentence]:
        """Yield the sentences of the file."""
        group: list[tuple[int, str, str]] = []
        documents = 0
        for number, line in self._measured(lines):
            is_comment = line.startswith("#") and not self._is_word(line)
            begins = line.startswith(DOCUMENT) and not self.conllu and self._cells(line)[0] == DOCUMENT
            if not line.strip(" \t") or begins:
                if group:
                    yield self._sentence(group, documents)
                group, self.as_json = [], False
                documents += begins
            elif is_comment:
                documents += line.startswith("# newdoc")
                self.as_json = self.as_json or (not group and line.rstrip(" ") == AS_JSON)
            elif (word := self._word(line, number)) is not None:
                group.append((number, *word))
        if group:
            yield self._sentence(group, documents)

    def check_misc(self) -> None:
        """Refuse CoNLL-U's last column, once it is read, if it holds no tags and nobody has asked for it.

        Raises:
            DataError: with examples of what it holds.
        """
        if not self.misc or any(has_type(tag) or tag in ("B", OUTSIDE) for tag in self.known):
            return
        if not find_spelling(dict.fromkeys(self.known, self.source)):
            examples = ", ".join(repr(tag) for tag in sorted(self.known)[:3])
            raise DataError(
                f"{self.source}: MISC must hold tags, as in name=B-PER, got {examples}: name the column of tags with "
                "--label_column_name"
            )

    def may_count(self) -> bool:
        """Say whether the first column may count the words: there is room for words, and tags, in the others."""
        if self.columns <= 1 + self.tagged:
            return False
        return self.columns > 2 or not all(tag == OUTSIDE or has_type(tag) for tag in self.known)

    def _sentence(self, group: list[tuple[int, str, str]], documents: int) -> Sentence:
        numbers, words, tags = map(list, zip(*group, strict=True))
        return Sentence(words, tags, self.source, numbers, str(documents))

    def _measured(self, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        """Pass the lines on, after a look at the first one that is a word beyond doubt.

        Only then is it known how many cells a word has, and with that, which of the lines before are comments.
        """
        lines, held = iter(lines), []
        for number, line in lines:
            held.append((number, line))
            if line.strip(" \t") and not line.startswith(("#", DOCUMENT)):
                cells = self._cells(line)
                self.first, self.tabs = _First(number, len(cells)), "\t" in line
                self.known.update(cells[self.tag :][:1])
                break
        return itertools.chain(held, lines)

    def _cells(self, line: str) -> list[str]:
        return line.split("\t") if "\t" in line or self.conllu else re.split(" +", line.strip(" "))

    def _json_cells(self, line: str, number: int) -> list[str]:
        try:
            cells = [json.loads(cell) for cell in line.split("\t")]
        except (ValueError, RecursionError):
            cells = [None]
        texts = [cell for cell in cells if isinstance(cell, str)]
        if len(texts) < len(cells):
            raise self._error(number, f"must hold JSON strings, as {AS_JSON!r} says, got", line)
        if fault := unicode_fault("".join(texts)):
            raise DataError(f"{self.source}:{number}: {fault}")
        return texts

    def _is_word(self, line: str) -> bool:
        """Say whether a line that begins with `#` is a word, since it has a tag where the other lines have theirs."""
        cells = self._cells(line)
        columns = self.columns or len(cells)
        if self.conllu or len(cells) != columns or (self.tabs and "\t" not in line):
            return False
        return self._is_tag("".join(cells[self.tag :][:1])) if columns > 1 else not self.tagged

    def _is_tag(self, tag: str) -> bool:
        """Say whether a cell of the column of tags looks like the other tags of the file."""
        if tag == OUTSIDE or has_type(tag) or tag in self.known or (self.tabs and split_tag(tag)[0]):
            return True
        free = any(other != OUTSIDE and not has_type(other) for other in self.known)
        return free and self.tabs and tag != "" and " " not in tag

    def _word(self, line: str, number: int) -> tuple[str, str] | None:
        """Return the word and the tag of a line; None if CoNLL-U counts no word there."""
        if "\0" in line or "\r" in line:
            raise self._error(number, "must be lines of text, got a NUL or a carriage return inside one", line)
        cells = self._json_cells(line, number) if self.as_json else self._cells(line)
        if self.conllu and not self._is_counted(cells, line, number):
            return None
        self._fit(cells, line, number)
        word, tag = cells[self.word], cells[self.tag] if len(cells) > 1 else ""
        if not self.as_json:
            word, tag = word.strip(" "), tag.strip(" ")
        if not word or (self.tagged and not tag and not self.as_json):
            raise self._error(number, f"the {'word' if not word else 'tag'} must not be empty, got", line)
        self.known.add(tag)
        return word, tag

    def _is_counted(self, cells: list[str], line: str, number: int) -> bool:
        """Say whether a line of CoNLL-U is a word, and no range and no empty node.

        Raises:
            DataError: if it is none of these.
        """
        if len(cells) != 10 or not re.fullmatch(r"\d+([-.]\d+)?", cells[0]):
            rule = "a word of CoNLL-U must be its number and nine other cells, separated by tabs"
            raise self._error(number, f"{rule}, got", line)
        return cells[0].isdecimal()

    def _fit(self, cells: list[str], line: str, number: int) -> None:
        """Take the columns of the first word for those of the file, and refuse a word that has others.

        Raises:
            DataError: if there are other columns than in the first word, or the first word lacks a column.
        """
        if self.tagged and len(cells) < 2:
            odd = next((f"; tabs or blanks separate columns, not {one!r}" for one in line if one.isspace()), "")
            raise self._error(number, "must have a word and a tag column, got one column", line, odd)
        if self.first is None or number <= self.first.line:
            self.first = _First(number, len(cells))
            for column in (self.word, self.tag):
                if not -len(cells) <= column < len(cells):
                    raise self._error(number, f"must have a column {column}, got {len(cells)} columns", line)
        if len(cells) != self.first.columns:
            rule = f"must have {self.first.columns} columns as line {self.first.line}"
            raise self._error(number, f"{rule}, got {len(cells)}", line)

    def _error(self, number: int, fault: str, line: str, cure: str = "") -> DataError:
        colon = "" if fault.endswith("got") else ":"
        return DataError(f"{self.source}:{number}: {fault}{colon} {line!r}{cure}")


def _column_number(name: str, text: str | None, default: int) -> int:
    try:
        return default if text is None else int(text)
    except ValueError:
        raise DataError(f"the column of the {name} in a column file must be a number from 0, got {text!r}") from None


def _without_counters(sentences: Iterator[Sentence], table: _Table) -> Iterator[Sentence]:
    """Pass sentences on, unless their words are the numbers of the words, which stand in the next column.

    Raises:
        DataError: if they are.
    """
    held: list[Sentence] = []
    last = 0
    for sentence in sentences:
        held.append(sentence)
        first = _first_number(sentence.words)
        if table.as_json or first is None or first not in (0, 1, last + 1) or not table.may_count():
            yield from held
            yield from sentences
            return
        last = max(int(word) for word in sentence.words if word.isdecimal())
        if len(held) >= _MOST_HELD and any(len(one.words) > 1 for one in held):
            break
    _refuse_counters(held, table)
    yield from held


def _refuse_counters(sentences: Iterable[Sentence], table: _Table) -> None:
    """Refuse sentences whose words only count, if one of them has several."""
    for sentence in sentences:
        if len(sentence.words) > 1:
            option = "--text_column_name" if table.tagged else "--text_column"
            raise DataError(
                f"{table.source}: the first column counts the words ({', '.join(sentence.words[:3])}) and does not "
                f"hold them: name the column of words with {option} 1"
                + ("; or is it CoNLL-U? Then its name must end in .conllu" if table.columns == 10 else "")
            )


def _first_number(words: Sequence[str]) -> int | None:
    """Return the first word if all words are numbers that count up by one; None if they are not.

    CoNLL-U's ranges and empty nodes, `1-2` and `1.1`, may stand between the numbers.
    """
    words = [word for word in words if not re.fullmatch(r"\d+[-.]\d+", word)]
    if not (words and re.fullmatch("[0-9]{1,8}", words[0])):
        return None
    first = int(words[0])
    return first if words == [str(number) for number in range(first, first + len(words))] else None


def write_rows(file: Writable, rows: Sequence[Sequence[str]]) -> None:
    """Write a sentence so that `read_columns` reads it again: each row on a line, and an empty line at the end.

    Args:
        file: where to write.
        rows: of each word its cells: the word first, its tag last.
    """
    if any(map(_needs_json, rows)) or (len(rows) > 1 and _first_number([row[0] for row in rows]) is not None):
        file.write(AS_JSON + "\n")
        rows = [[json.dumps(cell, ensure_ascii=False) for cell in row] for row in rows]
    file.writelines("\t".join(row) + "\n" for row in rows)
    file.write("\n")


def _needs_json(row: Sequence[str]) -> bool:
    """Say whether a row must be written as JSON strings, since `read_columns` would read it as something else."""
    word, *tags = row
    return (
        not all(row)
        or _BREAKS.search("".join(row)) is not None
        or any(cell != cell.strip(" ") for cell in row)
        or row[-1].endswith("\x1a")
        or word == DOCUMENT
        or word.startswith("\ufeff")
        or (word.startswith("#") and not all(tag == OUTSIDE or has_type(tag) for tag in tags))
    )
