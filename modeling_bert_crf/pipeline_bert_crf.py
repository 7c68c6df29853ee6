"""Text or words in, entities out: the pipeline that decodes with the CRF. Ships with every checkpoint."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import TokenClassificationPipeline
from transformers.pipelines.token_classification import AggregationStrategy

from .schemes import scheme_of, tags_to_spans
from .words import Window, encode_document, split_sentences, split_text


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


class BertBiLSTMCRFPipeline(TokenClassificationPipeline):
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
        batch_size (`int`, defaults to 1): windows that the encoder reads at once.

    `word` is always `text[start:end]`. `score` is the probability of a word's tag given the sentence, for an entity
    the smallest of its words'.

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
        **unknown: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if unknown:
            raise TypeError(f"unknown argument of the pipeline: {', '.join(sorted(unknown))}")
        preprocess = {"is_split_into_words": is_split_into_words, "delimiter": delimiter, "stride": stride}
        postprocess: dict[str, Any] = {"ignore_labels": ignore_labels}
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
        if not self.tokenizer.is_fast:
            raise ValueError(
                "texts need a fast tokenizer, for its offsets; split them and pass is_split_into_words=True"
            )
        words = split_text(self.tokenizer, text)
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
    ) -> list[dict[str, Any]]:
        text: Text = all_outputs[0]["text"]
        tags, scores = self._decode(text, [output["words"][0] for output in all_outputs])
        if aggregation_strategy == AggregationStrategy.NONE:
            key = "entity"
            found = [(index, index + 1, tag) for index, tag in enumerate(tags)]
        else:
            key, found = "entity_group", self._spans(text, tags)
        entities = []
        for first, end, name in found:
            if name not in ignore_labels:
                start, stop = text.words[first][0], text.words[end - 1][1]
                score, word = min(scores[first:end]), text.text[start:stop]
                entity = {key: name, "score": score, "word": word, "start": start, "end": stop}
                entities.append(entity | ({"index": first} if key == "entity" else {}))
        return entities

    @torch.inference_mode()
    def _decode(self, text: Text, words: list[Tensor]) -> tuple[list[str], list[float]]:
        """Run BiLSTM and CRF over each chain's words; return the tag of every word, and its probability."""
        lengths = [sum(len(window.words) for window in chain) for chain in text.chains]
        windows = [window for chain in text.chains for window in chain]
        states = torch.cat([state[: len(window.words)] for state, window in zip(words, windows, strict=True)])
        states = states.to(self.device)
        grid = pad_sequence(states.split(lengths), batch_first=True)  # (B chains, T, H)
        if grid.shape[1] == 0:
            return [], []
        mask = torch.arange(grid.shape[1], device=grid.device) < torch.tensor(lengths, device=grid.device)[:, None]
        emissions = self.model.emit(grid, mask)
        path = self.model.crf.decode(emissions, mask)[0][mask]  # (N words)
        probabilities = self.model.crf.marginals(emissions, mask)[mask].gather(1, path[:, None])
        labels = self.model.config.labels
        return [labels[tag] for tag in path.tolist()], probabilities[:, 0].tolist()

    def _spans(self, text: Text, tags: list[str]) -> list[tuple[int, int, str]]:
        """Read the entities off each chain's tags: none goes on from one chain into the next."""
        scheme, start, spans = scheme_of(self.model.config.labels), 0, []
        for chain in text.chains:
            end = start + sum(len(window.words) for window in chain)
            spans += [(start + a, start + b, kind) for a, b, kind in tags_to_spans(tags[start:end], scheme)]
            start = end
        return spans


__all__ = ["BertBiLSTMCRFPipeline"]
