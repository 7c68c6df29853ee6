"""Tag texts with an exported model, without torch and transformers.

This file travels with an export. It needs no more than `pip install numpy onnxruntime regex tokenizers`. In its
folder:

    python runtime.py . "Ada Lovelace wrote to Babbage."

    from runtime import OnnxTagger
    tagger = OnnxTagger(".")
    tagger("Ada Lovelace wrote to Babbage.")
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import tokenizers
from numpy.typing import NDArray

from ..batching import chunks, run_by_length
from ..known_spans import Rules, allowed_tags
from ..path_biases import bias_scores
from ..schemes import OUTSIDE, continues, span_scheme, tags_to_spans
from ..text_layout import Found, Ranking, Text, lay_out, split_inputs
from ..words import Window
from .numpy_crf import UNKNOWN, NumpyCRF

__all__ = ["BATCH_TOKENS", "OnnxTagger"]

BATCH_TOKENS = 512
"""How many positions, padding included, the graphs read at once. On a CPU more are not faster."""
CRF_WORDS = 4096
"""How many words, padding included, the CRF reads at once: a step costs nearly the same for one chain as for many."""
Emissions = NDArray[np.float32]


class OnnxTagger:
    """Find the entities of texts, or of sentences already split into words, as the model's own pipeline does.

    Several threads may call one tagger at a time: a call changes nothing in it. Each call then uses as many threads of
    onnxruntime as `threads` says.

    Args:
        folder: what `bert-crf export` wrote.
        int8: whether to read the encoder whose weights are 8-bit integers. It is faster and not quite as exact, and an
            export has it only if it was asked for.
        threads: how many the graphs may use; None leaves it to onnxruntime.

    Attributes:
        labels, scheme: its tags, and the scheme by which they are read as entities.
        settings: what `tagger.json` holds.
        tokenizer: by which it splits texts.

    Raises:
        FileNotFoundError: if the folder lacks a file.
    """

    def __init__(self, folder: str | Path, int8: bool = False, threads: int | None = None):
        folder = Path(folder)
        settings = json.loads((folder / "tagger.json").read_text("utf-8"))
        self.labels: list[str] = settings["labels"]
        # Exports of version 0.1 do not name the scheme.
        self.scheme: str | None = settings["scheme"] if "scheme" in settings else span_scheme(None, self.labels)
        self.crf = NumpyCRF(**np.load(folder / "crf.npz"))
        point = settings.get("operating_point", {})  # the one in force in the model; older exports have none
        starts, moves = bias_scores(self.labels, self.scheme, point.get("biases", {}))
        self._biases = np.array(starts), np.array(moves)
        self._thresholds: dict[str, float] = point.get("thresholds", {})
        self.settings = settings
        self.tokenizer = Tokenizer(folder / "tokenizer.json", settings["special_ids"])
        self._encoder = _session(folder / ("encoder.int8.onnx" if int8 else "encoder.onnx"), threads)
        self._head = _session(folder / "head.onnx", threads)
        # An 8-bit encoder scales the values of a batch by the largest one. So each window is read by itself; its
        # result would otherwise depend on the others in the batch.
        self._batch_tokens = 1 if int8 else BATCH_TOKENS
        self._apart = np.array([[not continues(one, two, self.scheme) for two in self.labels] for one in self.labels])

    def __call__(self, inputs: Any, is_split_into_words: bool = False, **options: Any) -> list[Any]:
        """Return what was found in each of the inputs, in their order; or in the one text that was given.

        Args:
            inputs: a text, for its result alone; texts; with `is_split_into_words` lists of words, or documents, which
                are lists of such lists. The offsets of given words count in the words joined by blanks.
            is_split_into_words: whether sentences come as lists of words.
            options: those of `stream`.

        Raises:
            ValueError: if an input is not what `is_split_into_words` says, or an option is none.
        """
        if isinstance(inputs, str) and not is_split_into_words:
            return next(self.stream([inputs], **options))
        return list(self.stream(inputs, is_split_into_words, **options))

    def stream(
        self, inputs: Iterable[Any], is_split_into_words: bool = False, **options: Any
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield what `__call__` returns, one after the other, while the inputs are read.

        Args:
            inputs, is_split_into_words: as there, but for a text alone.
            options: those of `read`.
        """
        if isinstance(inputs, str):
            raise ValueError(f"inputs must be a list of texts, got the text {inputs!r}")
        self.read([], [], **options)  # refuses wrong ones before anything is read
        for chunk in chunks(inputs, is_split_into_words):
            texts = self.split(chunk, is_split_into_words)
            yield from self.read(texts, self.score([chain for text in texts for chain in text.chains]), **options)

    def decode(self, emissions: Emissions, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Find the best path of each row, (B, T), with the biases of the operating point in force."""
        return self.crf.decode(emissions, mask, self._biases)

    def split(self, inputs: Sequence[Any], is_split_into_words: bool = False) -> list[Text]:
        """Split inputs into words and chains, and lay the chains out in windows."""
        settings = self.settings
        texts = split_inputs(
            self.tokenizer,
            inputs,
            " " if is_split_into_words else None,
            settings["word_splitter"],
            settings["text_unit"],
            settings.get("chain_unit", "word"),  # exports of version 0.1 do not name it
        )
        limit, context_size = settings["max_length"], settings["context_size"]
        return lay_out(self.tokenizer, texts, limit, None, context_size, settings.get("reach"))

    def score(self, chains: Sequence[Sequence[Window]]) -> list[Emissions]:
        """Score the tags of chains, given as their windows, in batches of like length.

        Returns:
            For each chain its emissions (n, K).
        """
        windows = [window for chain in chains for window in chain]
        lengths = [len(window.input_ids) for window in windows]
        states = iter(
            run_by_length(lengths, lambda batch: self._encode([windows[one] for one in batch]), self._batch_tokens)
        )
        words = [np.concatenate(list(islice(states, len(chain)))) for chain in chains]
        shapes = [[shape for window in chain for shape in _marked(window, window.word_shape_ids)] for chain in chains]

        def score_batch(batch: list[int]) -> list[Emissions]:
            emissions, mask = self._score([words[one] for one in batch], [shapes[one] for one in batch])
            return [row[scored] for row, scored in zip(emissions, mask, strict=True)]

        return run_by_length(list(map(len, words)), score_batch, BATCH_TOKENS)

    def restrict(
        self, texts: Sequence[Text], emissions: Sequence[Emissions], known: Sequence[Any], numbers: Sequence[int]
    ) -> list[Emissions]:
        """Forbid the tags that do not agree with what is known of each text, as the pipeline's `known` says it.

        Args:
            texts: as `split` returns them.
            emissions: of their chains, as `score` returns them.
            known: of each text, a list of `(start, end, type)`.
            numbers: what an error calls each text.

        Raises:
            ValueError: if something known is wrong, or contradicts something else that is known.
        """
        moves, scores = (self.crf.move_scores > -np.inf).tolist(), iter(emissions)
        rules = Rules(moves[-1][:-1], [row[-1] for row in moves[:-1]], [row[:-1] for row in moves[:-1]])
        restricted = []
        for text, given, number in zip(texts, known, numbers, strict=True):
            chains = allowed_tags(text, given, self.labels, self.scheme, rules, f"text {number}")
            for allowed, own in zip(chains, islice(scores, len(chains)), strict=True):
                fits = np.array(allowed, dtype=bool).reshape(own.shape)
                restricted.append(np.where(fits, own, np.float32(-np.inf)))
        return restricted

    def read(
        self,
        texts: Sequence[Text],
        emissions: Sequence[Emissions],
        aggregation_strategy: str = "simple",
        threshold: float = 0.0,
        decoding: str = "viterbi",
        num_paths: int | None = None,
    ) -> list[list[dict[str, Any]]]:
        """Decode the chains of texts, and return what was found in each text.

        Args:
            texts: as `split` returns them.
            emissions: of their chains, as `score` returns them.
            aggregation_strategy: `"simple"` gives one dictionary for each entity, `entity_group, score, word, start,
                end`. Its score is the exact probability that these words, no more and no fewer, are one entity of this
                type. `"none"` gives one for each word in an entity, `entity, score, word, start, end, index`. Its
                score is the probability of the word's tag.
            threshold: leave out what is less probable.
            decoding: `"viterbi"` finds the most probable tagging, `"marginal"` the one with the largest expected
                number of right tags. Both obey the scheme.
            num_paths: return the most probable taggings instead of the best one's entities: for each chain of a text a
                dictionary `start, end, entropy, paths`, and in `paths` up to so many `probability, entities`.

        Raises:
            ValueError: if an option has no such value.
        """
        if aggregation_strategy not in ("simple", "none"):
            raise ValueError(f"aggregation_strategy must be 'simple' or 'none', got {aggregation_strategy!r}")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be from 0 to 1, got {threshold}")
        if decoding not in ("viterbi", "marginal"):
            raise ValueError(f"decoding must be 'viterbi' or 'marginal', got {decoding!r}")
        if num_paths is not None and num_paths < 1:
            raise ValueError(f"num_paths must be at least 1, got {num_paths}")
        by_word = aggregation_strategy == "none"
        decode = self.decode if decoding == "viterbi" else self.crf.decode_by_marginals

        def read_batch(batch: list[int]) -> Sequence[Any]:
            rows = [emissions[one] for one in batch]
            lengths = np.array([len(row) for row in rows])
            grid, mask = _pad(rows, least=1), np.arange(max(lengths.max(), 1)) < lengths[:, None]
            if num_paths is not None:
                return self._rank(grid, mask, num_paths, by_word, threshold)
            return self._find(grid, mask, decode(grid, mask), by_word, threshold)

        readings = iter(run_by_length(list(map(len, emissions)), read_batch, CRF_WORDS))
        write: Callable[..., list[dict[str, Any]]] = Text.entries if num_paths is None else Text.rankings
        return [write(text, list(islice(readings, len(text.chains))), by_word) for text in texts]

    def _find(
        self, emissions: Emissions, mask: NDArray[np.bool_], paths: NDArray[np.int64], by_word: bool, threshold: float
    ) -> list[list[Found]]:
        """Return what the path of each row says, as far as it is probable enough."""
        rows: list[list[Found]] = [[] for _ in emissions]
        mask = mask & (paths != UNKNOWN)  # there may be fewer paths than were asked for
        for found in (self._read_words if by_word else self._read_entities)(emissions, mask, paths):
            if found.score >= max(threshold, 0.0 if by_word else self._thresholds.get(found.name, 0.0)):
                rows[found.row].append(found)
        return rows

    def _rank(
        self, emissions: Emissions, mask: NDArray[np.bool_], count: int, by_word: bool, threshold: float
    ) -> list[Ranking]:
        """Return the most probable paths of each row, and what each of them says."""
        paths, scores = self.crf.nbest(emissions, mask, count)
        probabilities = np.exp(scores - self.crf.sweep(emissions, mask).log_z[:, None]).tolist()
        entropies = self.crf.entropy(emissions, mask).tolist()
        readings = [self._find(emissions, mask, paths[:, one], by_word, threshold) for one in range(count)]
        return [
            Ranking(entropy, [(p, found) for p, found in zip(row, reading, strict=True) if p > 0])
            for entropy, row, reading in zip(entropies, probabilities, zip(*readings, strict=True), strict=True)
        ]

    def _encode(self, windows: Sequence[Window]) -> list[Emissions]:
        """Read windows; return the encoder's output for each one's scored words, (words, H)."""
        rows = [np.array(window.input_ids, dtype=np.int64) for window in windows]
        feed = {"input_ids": _pad(rows), "attention_mask": _pad([np.ones_like(row) for row in rows])}
        hidden = _run(self._encoder, feed)  # (B, S, H)
        return [state[np.flatnonzero(window.word_mask)] for state, window in zip(hidden, windows, strict=True)]

    def _score(
        self, words: Sequence[Emissions], shapes: Sequence[Sequence[int]]
    ) -> tuple[Emissions, NDArray[np.bool_]]:
        """Return the emissions of chains, (B, T, K), and the mask; T is at least 1."""
        lengths = np.array([len(chain) for chain in words], dtype=np.int32)
        mask = np.arange(max(lengths.max(), 1)) < lengths[:, None]
        if not mask.any():  # the graph has no words to read
            return np.zeros((*mask.shape, len(self.labels)), dtype=np.float32), mask
        feed = {
            "words": _pad(words),
            "word_shape_ids": _pad([np.array(chain, dtype=np.int64) for chain in shapes]),
            "lengths": lengths,
        }
        taken = {one.name: feed[one.name] for one in self._head.get_inputs()}
        return _run(self._head, taken), mask

    def _read_words(self, emissions: Emissions, mask: NDArray[np.bool_], paths: NDArray[np.int64]) -> Iterator[Found]:
        marginals = self.crf.marginals(emissions, mask)
        for row, index in np.argwhere(mask).tolist():
            tag = paths[row, index]
            if self.labels[tag] != OUTSIDE:
                yield Found(row, index, index + 1, self.labels[tag], float(marginals[row, index, tag]))

    def _read_entities(
        self, emissions: Emissions, mask: NDArray[np.bool_], paths: NDArray[np.int64]
    ) -> Iterator[Found]:
        tags = [[self.labels[tag] for tag in path[scored]] for path, scored in zip(paths, mask, strict=True)]
        found = [(row, *span) for row, names in enumerate(tags) for span in tags_to_spans(names, self.scheme)]
        if not found:
            return
        rows = sorted({row for row, *_ in found})  # rows without an entity need no sums
        index = {row: number for number, row in enumerate(rows)}
        spans = [(index[row], start, end) for row, start, end, _ in found]
        scores = self.crf.span_probabilities(emissions[rows], mask[rows], paths[rows], spans, self._apart)
        yield from (Found(*one, score) for one, score in zip(found, scores.tolist(), strict=True))


class Tokenizer:
    """A tokenizer with those attributes and methods that `words.py` asks for."""

    is_fast = True  # it knows where its words stand in a text

    def __init__(self, file: Path, special_ids: dict[str, int | None]):
        self._tokenizer = tokenizers.Tokenizer.from_file(str(file))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.unk_token_id, self.mask_token_id = (special_ids[name] for name in ("unk", "mask"))

    def __call__(self, texts: list[str], add_special_tokens: bool, **_: Any) -> "Encodings":
        return Encodings(self._tokenizer.encode_batch(texts, add_special_tokens=add_special_tokens))

    def tokenize(self, text: str) -> list[str]:
        return self._tokenizer.encode(text, add_special_tokens=False).tokens

    def convert_tokens_to_ids(self, token: str) -> int | None:
        return self._tokenizer.token_to_id(token)

    def get_added_vocab(self) -> dict[str, int]:
        return {token.content: index for index, token in self._tokenizer.get_added_tokens_decoder().items()}


class Encodings:
    """Texts in sub-tokens, with those methods of transformers' `BatchEncoding` that `words.py` calls."""

    def __init__(self, encodings: list[tokenizers.Encoding]):
        self._encodings = encodings

    def __getitem__(self, name: str) -> list[Any]:
        attribute = {"input_ids": "ids", "offset_mapping": "offsets"}[name]
        return [getattr(encoding, attribute) for encoding in self._encodings]

    def tokens(self, index: int) -> list[str]:
        return self._encodings[index].tokens

    def word_ids(self, index: int) -> list[int | None]:
        return self._encodings[index].word_ids


def _session(file: Path, threads: int | None) -> onnxruntime.InferenceSession:
    if not file.is_file():
        raise FileNotFoundError(f"{file.parent} must hold {file.name}: export the model again, with --int8 if need be")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # Joined with the addition before it, a layer norm is so slow that an encoder takes a tenth longer.
    left_out = ["SkipLayerNormFusion"]
    return onnxruntime.InferenceSession(
        str(file), options, providers=["CPUExecutionProvider"], disabled_optimizers=left_out
    )


def _run(graph: onnxruntime.InferenceSession, feed: dict[str, NDArray]) -> Emissions:
    """Return the one output of a graph, which is an array of floats."""
    return cast(Emissions, graph.run(None, feed)[0])


def _pad(rows: Sequence[NDArray], least: int = 0) -> NDArray:
    """Put rows (n, ...) of unequal lengths into one array (B, T, ...), with zeros past each row's end.

    T is at least `least`.
    """
    grid = np.zeros((len(rows), max(least, *map(len, rows)), *rows[0].shape[1:]), rows[0].dtype)
    for line, row in zip(grid, rows, strict=True):
        line[: len(row)] = row
    return grid


def _marked(window: Window, values: Sequence[int]) -> Iterator[int]:
    """Yield those of a window's values that stand at a scored word."""
    return (value for value, marked in zip(values, window.word_mask, strict=True) if marked)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: python {sys.argv[0]} FOLDER TEXT ...")
    for found in OnnxTagger(sys.argv[1])(sys.argv[2:]):
        print(json.dumps(found, ensure_ascii=False))
