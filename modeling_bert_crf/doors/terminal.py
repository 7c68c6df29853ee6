"""What makes foreign text safe for a terminal and for log lines: the text is shown, and steers nothing."""

import logging
import re
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

__all__ = ["Screen", "Writable", "show", "show_traceback", "visible", "visible_logs"]

_UNREADABLE, _BREAK = "\ufffd", "\u2424"
_MARKS = "\u061c\u200e\u200f"  # they have a direction, but no width
_ISOLATES = "\u2066\u2067\u2068\u2069"
_PICTURES = {
    **{code: chr(0x2400 + code) for code in range(32)},
    0x7F: "\u2421",
    **dict.fromkeys([*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x206A, 0x2070)], _UNREADABLE),
    **dict.fromkeys(map(ord, _MARKS + _ISOLATES), _UNREADABLE),
    **dict.fromkeys(range(0xD800, 0xE000), _UNREADABLE),  # halves of characters, which no stream can write
    **dict.fromkeys((0x85, 0x2028, 0x2029), _BREAK),
}


def _without(letters: str) -> dict[int, str]:
    return {code: shown for code, shown in _PICTURES.items() if chr(code) not in letters}


# What is replaced if `breaks` is false, and if it is true: around words that are written from right to left, and among
# these words.
_AROUND, _INSIDE = (_PICTURES, _without("\t\n")), (_without(_MARKS), _without(f"\t\n{_MARKS}"))

# Words written from right to left, with the blanks, figures and punctuation between them. Brackets, bars and arrows
# are more often the border between two things, and so is a second blank.
_RIGHT_TO_LEFT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
_BETWEEN = rf"[^\w\s\[\](){{}}<>|{_ISOLATES}{_MARKS}]|[\d_]|(?<! )[ \u00a0](?! )"
_RUN = rf"[{_MARKS}]{{0,2}}[{_RIGHT_TO_LEFT}](?:(?:{_BETWEEN})*[{_RIGHT_TO_LEFT}{_MARKS}])*"
_RUNS = re.compile(rf"\u2068({_RUN})\u2069|({_RUN})")
_LINES = re.compile(r"\S(?:[^\n]*\S)?")
_IS_RIGHT_TO_LEFT = re.compile(f"[{_RIGHT_TO_LEFT}]")


def visible(text: str, breaks: bool = False, alone: bool = False) -> str:
    r"""Return a text as it can be shown: nothing in it moves the cursor, colours, rings, copies, or reorders.

    Control characters become their pictures; those that set a direction of writing, and halves of characters, become
    `\ufffd`. What is written from right to left is isolated from what stands beside it, so that a label and a score
    stay where they are put. Without `alone`, a text that is shown already is left as it is.

    Args:
        text: a foreign text, or a sentence that quotes one.
        breaks: whether line feeds and tabs are the layout of the text. By default they are shown as pictures, and no
            text can look like a line of the program.
        alone: whether the whole text is foreign. It then keeps its own order of writing, which is that of each line.

    >>> visible("\x1b[2JAda\nLovelace")
    '␛[2JAda␊Lovelace'
    """
    if text.isascii() and text.isprintable():
        return text
    around, inside = _AROUND[breaks], _INSIDE[breaks]
    parts, end = [], 0
    for run in (_LINES if alone else _RUNS).finditer(text):
        foreign = run[run.lastindex or 0]
        if _IS_RIGHT_TO_LEFT.search(foreign):
            parts += [text[end : run.start()].translate(around), f"\u2068{foreign.translate(inside)}\u2069"]
            end = run.end()
    return "".join([*parts, text[end:].translate(around)])


def show(*parts: Any) -> None:
    """Print what the program lays out in lines, on whatever the standard output can write."""
    text = visible(" ".join(map(str, parts)), breaks=True)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def show_traceback(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Write down an error that nobody expected, as `sys.excepthook` does."""
    print(visible("".join(traceback.format_exception(kind, error, trace)), breaks=True), end="", file=sys.stderr)


class Writable(Protocol):
    """What text can be written to: a file, or a `Screen`."""

    def write(self, text: str, /) -> object:
        """Write a text."""

    def writelines(self, texts: Iterable[str], /) -> object:
        """Write texts one after the other."""


class Screen:
    """A terminal that data are written to, and that no program reads: there all text is written as it can be shown."""

    def __init__(self, file: TextIO):
        self._file = file

    def write(self, text: str, /) -> None:
        """Write a text as it can be shown."""
        self._file.write(visible(text, breaks=True))

    def writelines(self, texts: Iterable[str], /) -> None:
        """Write texts one after the other."""
        for text in texts:
            self.write(text)


class _VisibleRecord(logging.LogRecord):
    """A log record whose message can be shown; other libraries lay theirs out in lines."""

    def getMessage(self) -> str:
        own = self.name.partition(".")[0] == __name__.partition(".")[0]
        return visible(super().getMessage(), breaks=not own)


@contextmanager
def visible_logs() -> Iterator[None]:
    """Let all that this process logs and warns of pass through `visible`. For programs, not for libraries."""
    record, warning = logging.getLogRecordFactory(), warnings.formatwarning
    logging.setLogRecordFactory(_VisibleRecord)
    warnings.formatwarning = lambda *args, **options: visible(warning(*args, **options), breaks=True)
    try:
        yield
    finally:
        logging.setLogRecordFactory(record)
        warnings.formatwarning = warning
