"""Texts to words, and words to sentences: regular expressions, Unicode's rules, and rules of thumb.

Ships with every checkpoint and every export: standard library, `regex` and `words.py` only.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import regex

from .words import words_of_tokenizer

logger = logging.getLogger(__name__)

_KEPT_WHOLE = r"(?:https?://|www\.)\S+|[@#]\w+|&\w+;|[:;=]['-]?[()DPp/\\|*]+|<3"
_NUMBER = r"[$\u20ac\xa3]?\d+(?:[.,:/-]\d+)*%?(?!\w)"


def _words(letters: str, signs: str) -> str:
    """Write the pattern of words, some of which have signs inside: "don't", "Jean-Paul", "U.S.A", "AT&T"."""
    return rf"{_KEPT_WHOLE}|{_NUMBER}|{letters}(?:[-'\u2019.&/]{letters})*|{signs}"


def _clitics(letters: str, signs: str) -> str:
    """Write the same pattern, but with English clitics by themselves: "do" "n't", "Ada" "'s"."""
    clitics = r"(?i:n['\u2019]t|['\u2019](?:s|m|d|re|ve|ll))(?!\w)"
    before = rf"{letters}?(?=n['\u2019]t(?!\w))"  # as few letters as can be: `letters` ends in a star or a plus
    return rf"{_KEPT_WHOLE}|{_NUMBER}|{clitics}|{before}|{letters}(?:[-.&/]{letters})*|{signs}"


_ATTACHED = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]"
"""Combining marks, variation selectors, joiners: no word ends before them (rule 4 of Unicode's annex 29)."""
# From a letter to where the annex has a word end; or to a colon, which the annex joins to letters ("note:this").
_LETTERS, _LETTERS_OF_CLITICS = (
    rf"(?!{_ATTACHED})\w(?:\B[^\s:\uff1a{apostrophes}])*" for apostrophes in ("", r"'\u2019")
)
_SIGN = rf"(?:[^\w\s\x1c-\x1f]|{_ATTACHED}){_ATTACHED}*(?:(?<=\u200d)\p{{ExtPict}}{_ATTACHED}*)*"  # emoji are joined
# A flag is a pair of letters that only flags are made of; everything else is a run of one sign. `\B` would find flags,
# too, but at every flag it would count back to the beginning of the run, which takes time that grows with the square.
_SIGNS = rf"\p{{RI}}{_ATTACHED}*\p{{RI}}|({_SIGN})(?:\1(?!{_ATTACHED}))*"


def _by_unicode(pattern: str) -> regex.Pattern:
    return regex.compile(rf"(?w)(?:{pattern}){_ATTACHED}*")


_OLD_SIGNS = r"([^\w\s])\1*"
_PATTERNS: dict[str, re.Pattern | regex.Pattern] = {
    "words": re.compile(_words(r"\w+", _OLD_SIGNS)),
    "clitics": re.compile(_clitics(r"\w+", _OLD_SIGNS)),
    "blanks": re.compile(r"\S+"),
    "unicode_words": _by_unicode(_words(_LETTERS, _SIGNS)),
    "unicode_clitics": _by_unicode(_clitics(_LETTERS_OF_CLITICS, _SIGNS)),
}
SPLITTERS = ("tokenizer", *_PATTERNS)
"""Ways to split a text into words, for `split_text`."""
_ATTACHED_RUN = regex.compile(rf"{_ATTACHED}*")
_WITHOUT_BLANKS = regex.compile(r"\p{Line_Break=Complex_Context}")


def split_text(tokenizer: Any, text: str, splitter: str = "tokenizer") -> list[tuple[int, int]]:
    """Split a text into words.

    Args:
        tokenizer: a fast tokenizer; only `"tokenizer"` needs it.
        text: any.
        splitter: one of `SPLITTERS`. `"tokenizer"` gives the tokenizer's own words, those that the model itself finds
            in `input_ids` without a `word_mask`: every sign of punctuation is a word. `"unicode_words"` gives the
            words of Unicode's annex 29, and keeps addresses, mentions, emoticons, and words with inner signs whole.
            `"unicode_clitics"` also splits `'s` and `n't` off. `"blanks"` splits at blanks alone. `"words"` and
            `"clitics"` stood in version 0.1 in place of the two of Unicode. They cut words at combining marks, and
            stay for the taggers that learnt such words.

    Returns:
        Character ranges (start, end) without blanks, in order. A word ends after the marks and joiners that follow its
        last letter, except with the two splitters of version 0.1.

    Raises:
        ValueError: if the splitter is `"tokenizer"`, and the tokenizer is not a fast one or the text holds half a
            character.
    """
    return split_texts(tokenizer, [text], splitter)[0]


def split_texts(tokenizer: Any, texts: Sequence[str], splitter: str = "tokenizer") -> list[list[tuple[int, int]]]:
    """Do what `split_text` does for many texts, at the price of one call of the tokenizer."""
    if any(map(_WITHOUT_BLANKS.search, texts)):
        _say_that_a_dictionary_is_needed()
    if splitter != "tokenizer":
        return [[match.span() for match in _PATTERNS[splitter].finditer(text)] for text in texts]
    found = zip(texts, words_of_tokenizer(tokenizer, texts), strict=True)
    return [_with_marks(text, list(_without_blanks(text, spans))) for text, spans in found]


def _without_blanks(text: str, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Leave out the blanks around words: tokenizers that mark blanks count them as part of the words."""
    for start, end in spans:
        if text[start:end].strip():
            yield without_blanks(text, start, end)


def without_blanks(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave out the blanks at both ends of a part of a text, unless there is nothing else.

    >>> without_blanks("to Ada ", 2, 7), without_blanks("to Ada ", 2, 3)
    ((3, 6), (2, 3))
    """
    part = text[start:end]
    if not part.strip():
        return start, end
    return end - len(part.lstrip()), start + len(part.rstrip())


def _with_marks(text: str, words: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Make each word end after the marks that follow it: the tokenizer drops them, but they belong to a word."""
    ends = []
    for (_, end), (following, _) in pairwise([*words, (len(text), len(text))]):
        marks = _ATTACHED_RUN.match(text, end, max(end, following))
        ends.append(marks.end() if marks else end)  # there always is a run of marks, if only of none
    return [(start, end) for (start, _), end in zip(words, ends, strict=True)]


@cache
def _say_that_a_dictionary_is_needed() -> None:
    logger.warning(
        "Thai, Lao, Khmer and Burmese are written without blanks, and their words need a dictionary: split such texts "
        "into the words of the training data, and pass is_split_into_words=True"
    )


_SENTENCE_END = ".!?\u2026\u3002\uff01\uff1f"  # with the full stop and marks of Chinese and Japanese
_CLOSING = "\"'\u201d\u2019»)]"


def split_sentences(text: str, words: Sequence[tuple[int, int]]) -> list[range]:
    """Group a text's words into sentences, by line breaks and by rule.

    A sentence ends at a line break. It also ends after `.`, `!` or `?`, with closing quotes behind it, if a blank
    follows and then a word that does not begin with a small letter. But a full stop after a single letter or a short
    capitalised word (`J.`, `Dr.`) ends no sentence.

    Args:
        text: any.
        words: (start, end) of its words, in order.

    Returns:
        Ranges of word indices; none is empty, and together they are all words.
    """
    starts = [0] if words else []
    for index in range(1, len(words)):
        before, after = words[index - 1], words[index]
        gap = text[before[1] : after[0]]
        if "\n" in gap or "\r" in gap or (gap and _ends_sentence(text, words, index, starts[-1])):
            starts.append(index)
    return [range(start, end) for start, end in pairwise([*starts, len(words)])]


def _ends_sentence(text: str, words: Sequence[tuple[int, int]], index: int, start: int) -> bool:
    """Say whether the blank before a word ends a sentence that began with the word number `start`."""
    following = text[words[index][0]]
    if following.islower():
        return False
    # The stretch without blanks before the gap: "U.S.", "word.", 'said."', or "." by itself in split text.
    first = index - 1
    while first > start and words[first - 1][1] == words[first][0]:
        first -= 1
    stretch = text[words[first][0] : words[index - 1][1]]
    sentence = stretch.rstrip(_CLOSING)
    word = sentence.rstrip(_SENTENCE_END)
    if word == sentence:
        return False
    return not (stretch[len(word) :] == "." and (len(word) == 1 or (1 < len(word) <= 3 and word[0].isupper())))


__all__ = ["SPLITTERS", "split_sentences", "split_text", "split_texts", "without_blanks"]
