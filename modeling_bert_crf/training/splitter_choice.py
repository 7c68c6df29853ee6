"""The way of splitting texts into words that fits the words of a data set."""

import re
from collections.abc import Sequence
from typing import Any

import regex

from ..readers.documents import Document
from ..readers.sentences import Sentence
from ..readers.spans import share_of_borders_kept
from ..splitters import split_text, split_texts

__all__ = ["OFFERED", "Offsets", "choose_splitter", "choose_text_splitter", "detokenise", "share_of_words_found"]

Offsets = list[tuple[int, int]]

OFFERED = ("tokenizer", "unicode_words", "unicode_clitics", "blanks")
"""The splitters that a new tagger may get. `SPLITTERS` has a few more, which taggers of version 0.1 may name."""

_NO_BLANK_BEFORE = re.compile(r"^([,.;:!?%)\]}\u2019\u201d]|['\u2019](s|m|d|re|ve|ll|t)$|n['\u2019]t$|-$|/$|\.{2,}$)")
_NO_BLANK_AFTER = re.compile(r"^[(\[{\u201c#@$-]$|^/$")
# Chinese, Japanese, Thai, Lao, Khmer, Burmese: their words are written without blanks between them.
_NO_BLANK_AMONG = regex.compile(
    r"[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{East_Asian_Width=F}\p{Line_Break=Complex_Context}]"
)


def detokenise(words: Sequence[str]) -> tuple[str, Offsets]:
    """Write words as a text by simple rules of spacing, and say where each stands in it."""
    text, offsets = "", []
    for index, word in enumerate(words):
        if index and _are_apart(words[index - 1], word):
            text += " "
        offsets.append((len(text), len(text) + len(word)))
        text += word
    return text, offsets


def _are_apart(previous: str, word: str) -> bool:
    if _NO_BLANK_BEFORE.match(word) or _NO_BLANK_AFTER.match(previous):
        return False
    return not (_NO_BLANK_AMONG.match(previous[-1:]) and _NO_BLANK_AMONG.match(word))


def share_of_words_found(sentences: Sequence[Sentence], splitter: str, tokenizer: Any) -> float:
    """Return the share of the sentences' words that a splitter finds again in the detokenised text."""
    found = total = 0
    for sentence in sentences:
        text, offsets = detokenise(sentence.words)
        found += len(set(offsets) & set(split_text(tokenizer, text, splitter)))
        total += len(offsets)
    return found / max(1, total)


def choose_splitter(sentences: Sequence[Sentence], tokenizer: Any, most: int = 2000) -> str:
    """Name the splitter that finds most of the words again; the first of `OFFERED` if several do.

    A tokenizer that is not a fast one does not say where its words stand in a text, so it cannot be the splitter.

    Args:
        sentences: of the data set.
        tokenizer: the encoder's.
        most: how many of the sentences are tried.
    """
    sample = sentences[:: max(1, len(sentences) // most)]
    return max(_offered(tokenizer), key=lambda splitter: share_of_words_found(sample, splitter, tokenizer))


def _offered(tokenizer: Any) -> list[str]:
    return [splitter for splitter in OFFERED if tokenizer.is_fast or splitter != "tokenizer"]


def choose_text_splitter(documents: Sequence[Document], tokenizer: Any) -> tuple[str, float]:
    """Name the splitter that keeps most ends of annotations, and their share; of equals the first of `OFFERED`.

    Where documents say what their words are, it is the splitter that finds most of those again.

    Args:
        documents: of the data set, with annotations.
        tokenizer: the encoder's.
    """
    split = [one for one in documents if one.words is not None]
    if split:
        sentences = [Sentence([one.text[slice(*word)] for word in one.words or []], [], "", []) for one in split]
        splitter = choose_splitter(sentences, tokenizer)
        return splitter, share_of_borders_kept(split, [one.words or [] for one in split])
    texts = [one.text for one in documents]
    shares = {
        splitter: share_of_borders_kept(documents, split_texts(tokenizer, texts, splitter))
        for splitter in _offered(tokenizer)
    }
    best = max(shares, key=lambda splitter: shares[splitter])
    return best, shares[best]
