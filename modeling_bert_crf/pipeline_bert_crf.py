"""Text or words in, entities out: the pipeline that decodes with the CRF. Ships with every checkpoint."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import TokenClassificationPipeline
from transformers.pipelines.token_classification import AggregationStrategy

from .pushing import PushesToHub
from .schemes import continues, scheme_of, tags_to_spans
from .words import Window, encode_document, split_sentences, split_text

Found = tuple[int, int, int, str, float]
"""What was read off a path: chain, first word in it, word after the last, tag or type, probability."""


@dataclass(frozen=True)
class Text:
    """A text on its way through the pipeline. An object, since the host takes lists apart in every step.

    Attributes:
        text: the characters that offsets count in.
        words: the (start, end) of each word.
        chains: for each chain its windows, in order; together they score every word once.
    """

    text: str
    words: list[tuple[int, int]]
    chains: list[list[Window]]


class BertBiLSTMCRFPipeline(PushesToHub, TokenClassificationPipeline):
    """Find the entities of texts, or of sentences already split into words.

    Reached by `pipeline("token-classification", model=folder_or_repo, trust_remote_code=True)` (or `"ner"`), and by
    the class itself for a model object: `BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)`.

    Arguments of a call (or of the constructor, as defaults):
        inputs: a text, a list of texts, or with `is_split_into_words` a list of words or a list of such lists.
        aggregation_strategy (`str`): `"none"` gives one dictionary per word, `entity, score, index, word, start, end`;
            anything else, the default too, one per entity, `entity_group, score, word, start, end`.
        ignore_labels (`list[str]`, defaults to `["O"]`): labels or entity types to leave out.
        is_split_into_words (`bool`, defaults to `False`): whether a sentence comes as a list of words.
        delimiter (`str`, defaults to a blank): what joins given words into the text that offsets count in.
        stride (`int`, *optional*): sub-tokens that neighbouring windows of a long text share; by default a quarter of
            a window.
        threshold (`float`, defaults to 0.0): leave out what is less probable, for more precision and less recall.
        decoding (`str`, defaults to `"viterbi"`): `"viterbi"` finds the most probable tagging, `"marginal"` that with
            the most right tags to be expected. Both obey the scheme.
        batch_size (`int`, defaults to 1): windows that the encoder reads at once.
        num_paths (`int`, *optional*): return the most probable taggings instead of the best one's entities: for each
            chain of the text a dictionary `start, end, entropy, paths`. `entropy` (in nats) says how unsure the model
            is of the chain as a whole; `paths` holds up to `num_paths` dictionaries `probability, entities`.

    `word` is always `text[start:end]`. `score` is a probability given the sentence: of a word's tag; or of an entity,
    that exactly these words are one entity of this type. Both are exact sums over all taggings.

    A text may be of any length. The encoder reads it in windows; each word's state is taken from the window where the
    word has the most context, and BiLSTM and CRF then run **once** over all words. One chain is what one chain was in
    training: a sentence (`config.text_unit == "sentence"`: texts are then split into sentences), or a whole text.
    Given words are always one chain. With `config.context_size` the encoder sees each sentence among its neighbours.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if (self.model.token_roles < 0).all():
            self.model.set_tokenizer(self.tokenizer)

    def check_model_type(self, supported_models: Any) -> None:
        """Accept our model: the host knows its own classes only, and logs an error for every other."""

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        if isinstance(inputs, list | tuple) and not inputs:
            return []  # the host would refuse it
        return super().__call__(inputs, **kwargs)

    def _sanitize_parameters(
        self,
        aggregation_strategy: str | AggregationStrategy | None = None,
        ignore_labels: Sequence[str] | None = None,
        is_split_into_words: bool | None = None,
        delimiter: str | None = None,
        stride: int | None = None,
        num_paths: int | None = None,
        threshold: float | None = None,
        decoding: str | None = None,
        **unknown: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if unknown:
            raise TypeError(f"unknown argument of the pipeline: {', '.join(sorted(unknown))}")
        preprocess = {"is_split_into_words": is_split_into_words, "delimiter": delimiter, "stride": stride}
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be from 0 to 1, got {threshold}")
        if decoding not in (None, "viterbi", "marginal"):
            raise ValueError(f"decoding must be 'viterbi' or 'marginal', got {decoding!r}")
        postprocess: dict[str, Any] = {"ignore_labels": ignore_labels, "num_paths": num_paths}
        postprocess |= {"threshold": threshold, "decoding": decoding}
        if aggregation_strategy is not None:
            postprocess["aggregation_strategy"] = AggregationStrategy(aggregation_strategy)
        return (
            {name: value for name, value in preprocess.items() if value is not None},
            {},
            {name: value for name, value in postprocess.items() if value is not None},
        )

    def preprocess(
        self,
        sentence: str | Sequence[str],
        is_split_into_words: bool = False,
        delimiter: str = " ",
        stride: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield a text's windows, each a batch of one; the first carries the text."""
        text, words, chains = self._split_words(sentence, delimiter) if is_split_into_words else self._split(sentence)
        limit = min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings)
        context = self.model.config.context_size
        whole = Text(text, words, encode_document(self.tokenizer, chains, limit, stride, context))
        windows = [window for chain in whole.chains for window in chain]
        for window in windows:
            input_ids = torch.tensor([window.input_ids])
            yield {
                "input_ids": input_ids,
                "attention_mask": torch.ones_like(input_ids),
                "word_mask": torch.tensor([window.word_mask]),
                "word_shape_ids": torch.tensor([window.word_shape_ids]),
                "text": whole if window is windows[0] else None,
                "is_last": window is windows[-1],
            }

    def _split(self, text: str) -> tuple[str, list[tuple[int, int]], list[list[str]]]:
        if not isinstance(text, str):
            raise ValueError(f"a text must be a string, got {text!r}; pass is_split_into_words=True for words")
        if self.model.config.word_splitter == "tokenizer" and not self.tokenizer.is_fast:
            raise ValueError(
                "texts need a fast tokenizer, for its offsets; split them and pass is_split_into_words=True"
            )
        words = split_text(self.tokenizer, text, self.model.config.word_splitter)
        whole = [range(len(words))]
        chains = split_sentences(text, words) if self.model.config.text_unit == "sentence" else whole
        return text, words, [[text[slice(*words[index])] for index in chain] for chain in chains or whole]

    @staticmethod
    def _split_words(words: Sequence[str], delimiter: str) -> tuple[str, list[tuple[int, int]], list[list[str]]]:
        if isinstance(words, str) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"with is_split_into_words a sentence must be a list of words, got {words!r}")
        ranges, start = [], 0
        for word in words:
            ranges.append((start, start + len(word)))
            start += len(word) + len(delimiter)
        return delimiter.join(words), ranges, [list(words)]

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        carried = {name: model_inputs.pop(name) for name in ("text", "is_last")}
        return {"words": self.model.encode(**model_inputs), **carried}

    def postprocess(
        self,
        all_outputs: list[dict[str, Any]],
        aggregation_strategy: AggregationStrategy = AggregationStrategy.SIMPLE,
        ignore_labels: Sequence[str] = ("O",),
        num_paths: int | None = None,
        threshold: float = 0.0,
        decoding: str = "viterbi",
    ) -> list[dict[str, Any]]:
        text: Text = all_outputs[0]["text"]
        emissions, mask = self._emit(text, [output["words"][0] for output in all_outputs])
        by_word = aggregation_strategy == AggregationStrategy.NONE

        def describe(paths: Tensor) -> list[list[dict[str, Any]]]:
            found = (read_words if by_word else read_entities)(self.model, emissions, mask, paths)
            kept = [one for one in found if one[4] >= threshold and one[3] not in ignore_labels]
            return self._describe(text, kept, by_word)

        with torch.inference_mode():
            if num_paths is None:
                crf = self.model.crf
                decode = crf.decode if decoding == "viterbi" else crf.decode_by_marginals
                by_chain = describe(decode(emissions, mask)[0])
                return [entry for chain in by_chain for entry in chain]
            paths, scores = self.model.crf.nbest(emissions, mask, num_paths)
            log_probabilities = scores - self.model.crf.log_partition(emissions, mask)[:, None]
            entropies = self.model.crf.entropy(emissions, mask).tolist()
            readings = [describe(path) for path in paths.unbind(1)]
        results, first = [], 0
        for row, chain in enumerate(text.chains):
            end = first + sum(len(window.words) for window in chain)
            start, stop = (text.words[first][0], text.words[end - 1][1]) if first < end else (0, 0)
            ranked = [
                {"probability": probability, "entities": readings[rank][row]}
                for rank, probability in enumerate(log_probabilities[row].exp().tolist())
                if probability > 0
            ]
            results.append({"start": start, "end": stop, "entropy": entropies[row], "paths": ranked})
            first = end
        return results

    @torch.inference_mode()
    def _emit(self, text: Text, words: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Run the BiLSTM over each chain's words; return emissions (C chains, T, K) and their mask."""
        lengths = [sum(len(window.words) for window in chain) for chain in text.chains]
        windows = [window for chain in text.chains for window in chain]
        states = torch.cat([state[: len(window.words)] for state, window in zip(words, windows, strict=True)])
        grid = pad_sequence(states.to(self.device).split(lengths), batch_first=True)  # (C, T, H)
        mask = torch.arange(grid.shape[1], device=grid.device) < torch.tensor(lengths, device=grid.device)[:, None]
        if grid.shape[1] == 0:  # an LSTM needs a step to take
            return grid.new_zeros(*mask.shape, self.model.config.num_labels), mask
        return self.model.emit(grid, mask), mask

    @staticmethod
    def _describe(text: Text, found: list[Found], by_word: bool) -> list[list[dict[str, Any]]]:
        """Write what was found as the host's dictionaries, for each chain."""
        offsets = [0]  # of each chain's words in the text's
        for chain in text.chains:
            offsets.append(offsets[-1] + sum(len(window.words) for window in chain))
        described: list[list[dict[str, Any]]] = [[] for _ in text.chains]
        for row, first, end, name, score in found:
            index = offsets[row] + first
            start, stop = text.words[index][0], text.words[offsets[row] + end - 1][1]
            entry = {"entity" if by_word else "entity_group": name, "score": score}
            entry |= {"word": text.text[start:stop], "start": start, "end": stop}
            described[row].append(entry | ({"index": index} if by_word else {}))
        return described


@torch.inference_mode()
def read_words(model: Any, emissions: Tensor, mask: Tensor, paths: Tensor) -> list[Found]:
    """Return each word of paths (B, T) with its tag and the tag's probability."""
    labels = model.config.labels
    marginals = model.crf.marginals(emissions, mask).gather(2, paths.clamp_min(0)[..., None]).squeeze(2)
    return [
        (row, index, index + 1, labels[tag], score)
        for row, (path, scores) in enumerate(zip(paths.tolist(), marginals.tolist(), strict=True))
        for index, (tag, score) in enumerate(zip(path, scores, strict=True))
        if tag >= 0
    ]


@torch.inference_mode()
def read_entities(model: Any, emissions: Tensor, mask: Tensor, paths: Tensor) -> list[Found]:
    """Return the entities of paths (B, T), each with its type and the probability that exactly its words are one."""
    labels = model.config.labels
    scheme = scheme_of(labels)
    tags = [[labels[tag] for tag in path if tag >= 0] for path in paths.tolist()]
    spans = [(row, *span) for row, names in enumerate(tags) for span in tags_to_spans(names, scheme)]
    if not spans:
        return []
    # The entity's tags; and beside them, where there are words, every tag that does not make it longer.
    apart = ~torch.tensor([[continues(first, second, scheme) for second in labels] for first in labels])
    firsts = [max(start - 1, 0) for _, start, _, _ in spans]
    sets = torch.ones(len(spans), max(end - start for _, start, end, _ in spans) + 2, len(labels)).bool()
    for allowed, first, (row, start, end, _) in zip(sets, firsts, spans, strict=True):
        path = paths[row, start:end].cpu()
        if first < start:
            allowed[0] = apart[:, path[0]]
        allowed[start - first : end - first] = torch.eye(len(labels)).bool()[path]
        allowed[end - first] = apart[path[-1]]
    rows = torch.tensor([row for row, *_ in spans])
    log_probabilities = model.crf.span_log_probs(
        emissions, mask, *(tensor.to(mask.device) for tensor in (rows, torch.tensor(firsts), sets))
    )
    return [(*span, score) for span, score in zip(spans, log_probabilities.exp().tolist(), strict=True)]


__all__ = ["BertBiLSTMCRFPipeline"]
