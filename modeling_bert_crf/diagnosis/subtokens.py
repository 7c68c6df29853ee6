"""What a tokenizer makes of the words, and what an encoder has room for: is this model one for these data?"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..readers.sentences import Sentence
from ..words import Pieces, pieces_of_words
from .findings import ERROR, NOTE, WARNING, Example, Finding, few, in_context, share
from .parts import Part, plural

__all__ = ["Encoder", "check_subtokens"]

MANY_UNKNOWN, MOST_UNKNOWN = 0.02, 0.2
"""Shares of words with a piece that the tokenizer does not know, from which on there is a warning, and an error. In
the language of the tokenizer the share is about 0.01."""
MANY_PIECES = 2.2
"""Sub-tokens per word, from which on the vocabulary seems to be of another language; 1.1 to 1.6 are usual."""


@dataclass
class Encoder:
    """What is asked of a model: no weights.

    Attributes:
        name: of the model.
        tokenizer: its.
        max_length: most sub-tokens that it reads at once.
        types: of entities that it knows, if it is a finished tagger.
    """

    name: str
    tokenizer: Any
    max_length: int
    types: Collection[str] | None = None


def check_subtokens(parts: Sequence[Part], encoder: Encoder) -> Iterator[Finding]:
    """Find out what a model's tokenizer makes of the words."""
    counts = {part.name: Counter(word for one in part.sentences for word in one.words) for part in parts}
    distinct = sorted(set().union(*counts.values()))
    habits, pieces = pieces_of_words(encoder.tokenizer, distinct)
    special = len(habits.opening) + len(habits.closing)
    unknown = _unknown_words(encoder.tokenizer, pieces)
    for part in parts:
        if part.sentences:
            own = counts[part.name]
            yield from _lengths(part, own, pieces, special, encoder)
            yield from _unknown(part, own, unknown, encoder)
            yield from _deleted(part, {word for word in own if unknown.get(word)})
            yield from _unlearnt(part, encoder)


def _unknown_words(tokenizer: Any, pieces: dict[str, Pieces]) -> dict[str, bool]:
    """Return the words with an unknown piece, and of each whether the tokenizer deletes it altogether."""
    unknown = tokenizer.unk_token_id
    if unknown is None:
        return {}
    words = [word for word, one in pieces.items() if unknown in one.ids]
    return {word: tokenizer.unk_token not in tokenizer.tokenize(word) for word in words}


def _lengths(
    part: Part, own: Counter[str], pieces: dict[str, Pieces], special: int, encoder: Encoder
) -> Iterator[Finding]:
    """Count sub-tokens: of words, and of sentences against the encoder's room."""
    total = sum(count * len(pieces[word].ids) for word, count in own.items())
    whole = sum(count for word, count in own.items() if len(pieces[word].ids) == 1)
    rate = total / own.total()
    text = f"{rate:.2f} sub-tokens a word, {share(whole, own.total())} of the words are one"
    lengths = [special + sum(len(pieces[word].ids) for word in one.words) for one in part.sentences]
    text += f"; the longest sentence has {max(lengths):,} sub-tokens, and the encoder reads {encoder.max_length:,}"
    if rate >= MANY_PIECES:
        cure = "a model of the language, or a multilingual one, may fit better"
        yield Finding(WARNING, "many_subtokens", part.name, text, cure)
    else:
        yield Finding(NOTE, "subtokens", part.name, text)
    if long := [index for index, length in enumerate(lengths) if length > encoder.max_length]:
        long.sort(key=lambda index: -lengths[index])
        text = f"{plural(len(long), 'sentence is', 'sentences are')} too long to be read at once, and read in windows"
        cure = "split them, or take a model that reads more"
        examples = few(in_context(part.sentences[index]) for index in long)
        yield Finding(WARNING, "over_length", part.name, text, cure, len(long), examples)


def _unknown(part: Part, own: Counter[str], unknown: dict[str, bool], encoder: Encoder) -> Iterator[Finding]:
    words = Counter({word: count for word, count in own.items() if word in unknown and not unknown[word]})
    if not words:
        return
    count, total = words.total(), own.total()
    severity = ERROR if count > MOST_UNKNOWN * total else WARNING if count > MANY_UNKNOWN * total else NOTE
    most = ", ".join(f"{word} ({often:,})" for word, often in words.most_common(5))
    verb = "is" if count == 1 else "are"
    text = f"{plural(count, 'word')} ({share(count, total)}) {verb} unknown to the tokenizer, such as {most}"
    cure = f"the vocabulary of {encoder.name} is of another language or domain" if severity != NOTE else ""
    yield Finding(severity, "unknown_words", part.name, text, cure, count, few(_places(part, words)))


def _deleted(part: Part, words: Collection[str]) -> Iterator[Finding]:
    if places := list(_places(part, words)):
        shown = ", ".join(sorted(map(ascii, words))[:5])
        text = f"{plural(len(places), 'word')} without a sub-token ({shown}): the tokenizer deletes "
        text += f"{'it' if len(places) == 1 else 'them'}, and the unknown token is read instead"
        yield Finding(NOTE, "deleted_words", part.name, text, "", len(places), few(places))


def _unlearnt(part: Part, encoder: Encoder) -> Iterator[Finding]:
    """Name types that a finished tagger does not know."""
    if encoder.types is not None:
        for kind, count in sorted(part.types.items()):
            if kind not in encoder.types:
                text = f"type {kind} is none of {encoder.name}: {plural(count, 'entity', 'entities')} cannot be found"
                yield Finding(WARNING, "type_unknown_to_model", part.name, text, "", count)


def _places(part: Part, words: Collection[str]) -> Iterator[Example]:
    for sentence in part.sentences:
        yield from _in_sentence(sentence, words)


def _in_sentence(sentence: Sentence, words: Collection[str]) -> Iterator[Example]:
    for index, word in enumerate(sentence.words):
        if word in words:
            yield in_context(sentence, index, index + 1)
