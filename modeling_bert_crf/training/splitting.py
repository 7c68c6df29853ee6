"""Which way of splitting texts into words fits the words of a data set."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ..words import SPLITTERS, split_text
from .data import Sentence

Offsets = list[tuple[int, int]]

_NO_BLANK_BEFORE = re.compile(r"^([,.;:!?%)\]}\u2019\u201d]|['\u2019](s|m|d|re|ve|ll|t)$|n['\u2019]t$|-$|/$|\.{2,}$)")
_NO_BLANK_AFTER = re.compile(r"^[(\[{\u201c#@$-]$|^/$")


def detokenise(words: Sequence[str]) -> tuple[str, Offsets]:
    """Write words as a text by simple rules of spacing, and say where each stands in it."""
    text, offsets = "", []
    for previous, word in pairwise([None, *words]):
        if previous is not None and not _NO_BLANK_BEFORE.match(word) and not _NO_BLANK_AFTER.match(previous):
            text += " "
        offsets.append((len(text), len(text) + len(word)))
        text += word
    return text, offsets


def share_of_words_found(sentences: Sequence[Sentence], splitter: str, tokenizer: Any) -> float:
    """Return the share of the sentences' words that a splitter finds again in the detokenised text."""
    found = total = 0
    for sentence in sentences:
        text, offsets = detokenise(sentence.words)
        found += len(set(offsets) & set(split_text(tokenizer, text, splitter)))
        total += len(offsets)
    return found / max(1, total)


def choose_splitter(sentences: Sequence[Sentence], tokenizer: Any, most: int = 2000) -> str:
    """Name the splitter that finds most words again, the tokenizer's own if no other is better."""
    sample = sentences[:: max(1, len(sentences) // most)]
    return max(SPLITTERS, key=lambda splitter: share_of_words_found(sample, splitter, tokenizer))
