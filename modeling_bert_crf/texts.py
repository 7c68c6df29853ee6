"""A text on its way through the pipeline: from characters to words, chains and windows, and back to characters.

Ships with every checkpoint: standard library only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from .words import Window, encode_documents, split_sentences, split_texts

Span = tuple[int, int]
Chain = list[str]


@dataclass(frozen=True)
class Text:
    """A text, split.

    Attributes:
        text: the characters that offsets count in.
        words: the (start, end) of each word.
        chains: for each chain its windows, in order; together they score every word once.
    """

    text: str
    words: list[Span]
    chains: list[list[Window]]

    def entries(self, readings: Sequence[Iterable[Any]], by_word: bool) -> list[dict[str, Any]]:
        """Write what was found in each chain, as `entities.Found`, as the host's dictionaries."""
        chains = zip(readings, self._borders(), strict=False)
        return [entry for found, first in chains for entry in self._entries(found, first, by_word)]

    def rankings(self, readings: Sequence[Any], by_word: bool) -> list[dict[str, Any]]:
        """Write each chain's most probable paths, as `entities.rank` returns them, as dictionaries."""
        borders, rankings = self._borders(), []
        for (entropy, paths), (first, end) in zip(readings, pairwise(borders), strict=True):
            start, stop = (self.words[first][0], self.words[end - 1][1]) if first < end else (0, 0)
            written = [
                {"probability": probability, "entities": self._entries(found, first, by_word)}
                for probability, found in paths
            ]
            rankings.append({"start": start, "end": stop, "entropy": entropy, "paths": written})
        return rankings

    def _borders(self) -> list[int]:
        """Count the words before each chain, and all."""
        return [0, *accumulate(sum(len(window.words) for window in chain) for chain in self.chains)]

    def _entries(self, found: Iterable[Any], first: int, by_word: bool) -> list[dict[str, Any]]:
        entries = []
        for _, start, end, name, score in found:
            left, right = self.words[first + start][0], self.words[first + end - 1][1]
            entry = {"entity" if by_word else "entity_group": name, "score": score}
            entry |= {"word": self.text[left:right], "start": left, "end": right}
            entries.append(entry | ({"index": first + start} if by_word else {}))
        return entries


def prepare(
    tokenizer: Any,
    texts: Sequence[tuple[str, list[Span], list[Chain]]],
    max_length: int,
    stride: int | None,
    context_size: int,
) -> list[Text]:
    """Lay out texts that are split, as `split` and `place` do it, in windows."""
    chains = encode_documents(tokenizer, [chains for *_, chains in texts], max_length, stride, context_size)
    return [Text(text, words, windows) for (text, words, _), windows in zip(texts, chains, strict=True)]


def split(
    tokenizer: Any, texts: Sequence[str], splitter: str, text_unit: str
) -> list[tuple[str, list[Span], list[Chain]]]:
    """Split texts: return each with its words' offsets and its chains' words.

    Args:
        splitter: see `words.split_text`.
        text_unit: `"sentence"` or `"text"`: what becomes one chain.
    """
    done = []
    for text, words in zip(texts, split_texts(tokenizer, texts, splitter), strict=True):
        whole = [range(len(words))]
        chains = split_sentences(text, words) if text_unit == "sentence" else whole
        done.append((text, words, [[text[slice(*words[word])] for word in chain] for chain in chains or whole]))
    return done


def place(inputs: Sequence[Any], delimiter: str) -> list[tuple[str, list[Span], list[Chain]]]:
    """Join given words to texts, each a chain, or a document's list of chains: return what `split` does."""
    done = []
    for given in inputs:
        is_document = any(not isinstance(one, str) for one in given)
        chains = list(map(list, given)) if is_document else [list(given)]
        words = [word for one in chains for word in one]
        spans, start = [], 0
        for word in words:
            spans.append((start, start + len(word)))
            start += len(word) + len(delimiter)
        done.append((delimiter.join(words), spans, chains))
    return done
