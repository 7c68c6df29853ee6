"""Words with characters that nobody sees, or that come of a wrong encoding or a markup."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from .findings import NOTE, WARNING, Finding, few, in_context
from .parts import Part, plural

__all__ = ["check_characters"]

# What two bytes of UTF-8 look like to who reads them as Windows-1252: `\xc3\xa9` for an e with an acute.
_MOJIBAKE = re.compile("[\xc3\xc2][\x80-\xbf\u20ac\u201a\u2026\u2020\u2021\u2030\u2039\u2018\u2019\u201c\u201d\u2022"
                       "\u2013\u2014\u2122\u203a]|\xe2\u20ac.|\ufffd")  # fmt: skip
_MARKUP = re.compile(r"&(?:[a-z]{2,6}|#\d{2,5});|</?[a-z]{1,6}/?>")
_BLANK = re.compile(r"\s")
_INVISIBLE = {"Cc", "Cf"}
_JOINERS = {"\u200c", "\u200d", *map(chr, range(0xE0020, 0xE0080))}
"""They are part of how Persian, Indian scripts, emoji and flags are written."""


def _is_invisible(word: str) -> bool:
    """Say whether there are characters in a word that show nothing, or nothing but a mark on nothing."""
    if word.isascii() and word.isprintable():
        return False
    if any(unicodedata.category(letter) in _INVISIBLE and letter not in _JOINERS for letter in word):
        return True
    return all(unicodedata.category(letter)[0] == "M" or letter in _JOINERS for letter in word)


_SIGNS: dict[str, tuple[str, str, Callable[[str], object], str]] = {
    "invisible": (WARNING, "with characters that show nothing", _is_invisible, "take them out"),
    "mojibake": (WARNING, "that seem to have been read in a wrong encoding", _MOJIBAKE.search, "read them as UTF-8"),
    "markup": (WARNING, "with markup of HTML", _MARKUP.search, "take it out"),
    "blank_in_word": (NOTE, "with a blank inside", _BLANK.search, ""),
    "not_composed": (
        NOTE,
        "whose letters and accents are characters by themselves",
        lambda word: not unicodedata.is_normalized("NFC", word),
        "write them in NFC if other texts are",
    ),
}


def check_characters(parts: Sequence[Part]) -> Iterator[Finding]:
    """Find words with odd characters."""
    for part in parts:
        distinct = {word for sentence in part.sentences for word in sentence.words}
        unusual = {word for word in distinct if not word.isalnum() or not word.isascii()}
        for code, (severity, what, is_odd, cure) in _SIGNS.items():
            odd = {word for word in unusual if is_odd(word)}
            if odd:
                places = [
                    (sentence, index)
                    for sentence in part.sentences
                    if not odd.isdisjoint(sentence.words)
                    for index, word in enumerate(sentence.words)
                    if word in odd
                ]
                text = f"{plural(len(places), 'word')} {what}"
                examples = few(
                    in_context(sentence, index, index + 1, shown(sentence.words[index])) for sentence, index in places
                )
                yield Finding(severity, code, part.name, text, cure, len(places), examples)


def shown(word: str) -> str:
    """Write a word so that characters that show nothing are seen."""
    return ascii(word) if _is_invisible(word) else ""
