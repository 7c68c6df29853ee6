"""A text on its way through the pipeline: from characters to words, chains and windows, and back to characters.

A chain is the sequence of words over which the CRF runs once: a sentence, or a whole text. A window is a stretch of a
chain that fits the encoder. In a chain that runs over sub-tokens each of these stands where a word stands elsewhere.

Ships with every checkpoint and every export: standard library only.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from .splitters import split_sentences, split_texts, without_blanks
from .words import Token, Window, encode_documents, tokens_of


class Found(NamedTuple):
    """A word with its tag, or an entity with its type, as it was read off the path of a chain."""

    row: int  # the chain's row in its batch
    start: int  # the first word, counted from the chain's beginning
    end: int  # the word after the last one
    name: str  # a tag, or an entity's type
    score: float  # a probability


class Ranking(NamedTuple):
    """The most probable paths of a chain."""

    entropy: float  # of the chain's distribution over all paths, in nats
    paths: list[tuple[float, list[Found]]]  # the probability of each path, and what was read off it


class SplitText(NamedTuple):
    """A text in words and chains."""

    text: str
    words: list[tuple[int, int]]  # (start, end) of each word among the text's characters
    chains: list[list[str]] | list[list[Token]]  # the words of each chain; together all words of the text


@dataclass(frozen=True)
class Text:
    """A text in words, chains and windows.

    Attributes:
        text: the characters that offsets count in.
        words: (start, end) of each word.
        chains: for each chain its windows, in order; together they score every word once.
        in_tokens: whether words are sub-tokens, whose blanks belong to no entity.
    """

    text: str
    words: list[tuple[int, int]]
    chains: list[list[Window]]
    in_tokens: bool = False

    def entries(self, readings: Sequence[Iterable[Found]], by_word: bool) -> list[dict[str, Any]]:
        """Write what was found in each chain as dictionaries with the host's keys.

        Args:
            readings: for each chain what was found in it.
            by_word: whether that is words with their tags, rather than entities.
        """
        chains = zip(readings, pairwise(self.borders()), strict=True)
        return [self._entry(one, first, by_word) for found, (first, _) in chains for one in found]

    def rankings(self, readings: Sequence[Ranking], by_word: bool) -> list[dict[str, Any]]:
        """Write the most probable paths of each chain as dictionaries."""
        rankings = []
        for (entropy, paths), (first, end) in zip(readings, pairwise(self.borders()), strict=True):
            start, stop = (self.words[first][0], self.words[end - 1][1]) if first < end else (0, 0)
            written = [
                {"probability": probability, "entities": [self._entry(one, first, by_word) for one in found]}
                for probability, found in paths
            ]
            rankings.append({"start": start, "end": stop, "entropy": entropy, "paths": written})
        return rankings

    def borders(self) -> list[int]:
        """Return how many words stand before each chain, and then how many words the text has."""
        return [0, *accumulate(sum(len(window.words) for window in chain) for chain in self.chains)]

    def _entry(self, found: Found, first: int, by_word: bool) -> dict[str, Any]:
        """Write one finding in a chain whose first word is the text's word number `first`."""
        left, right = self.words[first + found.start][0], self.words[first + found.end - 1][1]
        if self.in_tokens:
            left, right = without_blanks(self.text, left, right)
        entry = {"entity" if by_word else "entity_group": found.name, "score": found.score}
        entry |= {"word": self.text[left:right], "start": left, "end": right}
        return entry | ({"index": first + found.start} if by_word else {})


def split_inputs(
    tokenizer: Any, inputs: Sequence[Any], delimiter: str | None, splitter: str, text_unit: str, chain_unit: str
) -> Iterator[SplitText]:
    """Split what a caller gives, texts or lists of words, into chains.

    Args:
        tokenizer, splitter: see `split_text`.
        delimiter: what stands between two given words; None if texts are given.
        text_unit: see `split_into_chains`.
        chain_unit: what a chain runs over, `"word"` or `"token"`.
    """
    if chain_unit == "token" and delimiter is None and text_unit == "text":
        return split_into_tokens(tokenizer, (SplitText(text, [], [[]]) for text in inputs), whole=True)
    if delimiter is None:
        texts = split_into_chains(tokenizer, inputs, splitter, text_unit)
    else:
        texts = join_given_words(inputs, delimiter)
    return split_into_tokens(tokenizer, texts) if chain_unit == "token" else texts


def split_into_chains(tokenizer: Any, texts: Sequence[str], splitter: str, text_unit: str) -> Iterator[SplitText]:
    """Split texts into words, and group these into chains.

    Args:
        tokenizer, splitter: see `split_text`.
        text_unit: `"sentence"` makes each sentence a chain, `"text"` each text.
    """
    for text, words in zip(texts, split_texts(tokenizer, texts, splitter), strict=True):
        whole = [range(len(words))]
        chains = split_sentences(text, words) if text_unit == "sentence" else whole
        yield SplitText(text, words, [[text[slice(*words[word])] for word in chain] for chain in chains or whole])


def join_given_words(inputs: Sequence[Any], delimiter: str) -> Iterator[SplitText]:
    """Join words that a caller has split to texts.

    Args:
        inputs: lists of words, each a chain; or documents, which are lists of such chains.
        delimiter: what stands between two words of a text.
    """
    for given in inputs:
        is_document = any(not isinstance(one, str) for one in given)
        chains = list(map(list, given)) if is_document else [list(given)]
        words = [word for chain in chains for word in chain]
        spans, start = [], 0
        for word in words:
            spans.append((start, start + len(word)))
            start += len(word) + len(delimiter)
        yield SplitText(delimiter.join(words), spans, chains)


def split_into_tokens(tokenizer: Any, texts: Iterable[SplitText], whole: bool = False) -> Iterator[SplitText]:
    """Put the sub-tokens of texts in the place of their words.

    Each chain is written in sub-tokens by itself, so that these do not depend on what stands around the chain.

    Args:
        texts: in words and chains.
        whole: whether a text is one chain, with the blanks at its ends. If not, a chain is what stands from its first
            word to its last.

    Raises:
        ValueError: as by `tokens_of`.
    """
    texts = list(texts)
    regions = [[(0, len(text.text))] if whole else _regions(text) for text in texts]
    pairs = zip(texts, regions, strict=True)
    tokens = iter(tokens_of(tokenizer, [text.text[slice(*region)] for text, own in pairs for region in own]))
    for text, own in zip(texts, regions, strict=True):
        spans, chains = [], []
        for (start, _), found in zip(own, tokens, strict=False):
            placed = [(start + left, start + right) for _, (left, right) in found]
            spans += placed
            chains.append([Token(one, text.text[slice(*span)]) for (one, _), span in zip(found, placed, strict=True)])
        yield SplitText(text.text, spans, chains)


def _regions(text: SplitText) -> list[tuple[int, int]]:
    """Return where each chain of a text begins and ends; one without words is nowhere."""
    borders = pairwise([0, *accumulate(map(len, text.chains))])
    return [(text.words[first][0], text.words[end - 1][1]) if first < end else (0, 0) for first, end in borders]


def lay_out(
    tokenizer: Any,
    texts: Iterable[SplitText],
    max_length: int,
    stride: int | None,
    context_size: int,
    reach: int | None = None,
) -> list[Text]:
    """Lay the chains of texts out in windows; the arguments are those of `encode_documents`."""
    texts = list(texts)
    documents = [text.chains for text in texts]
    windows = encode_documents(tokenizer, documents, max_length, stride, context_size, reach)
    in_tokens = any(isinstance(word, Token) for document in documents for chain in document for word in chain[:1])
    return [Text(text.text, text.words, chains, in_tokens) for text, chains in zip(texts, windows, strict=True)]


__all__ = [
    "Found",
    "Ranking",
    "SplitText",
    "Text",
    "join_given_words",
    "lay_out",
    "split_inputs",
    "split_into_chains",
    "split_into_tokens",
]
