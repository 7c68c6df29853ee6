"""Text or words in, entities out: the pipeline that decodes with the CRF. Ships with every checkpoint."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import TokenClassificationPipeline
from transformers.pipelines.token_classification import AggregationStrategy

from .schemes import detect_scheme, tags_to_spans
from .words import encode_words, join_windows, split_text


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
        stride (`int`, *optional*): sub-tokens that neighbouring windows of a long text share.

    `word` is always `text[start:end]`. `score` is the probability of a word's tag given the sentence, for an entity
    the smallest of its words'.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if (self.model.token_roles < 0).all():
            self.model.set_tokenizer(self.tokenizer)

    def check_model_type(self, supported_models: Any) -> None:
        """Accept our model: the host knows its own classes only, and logs an error for every other."""

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
        if is_split_into_words:
            if isinstance(sentence, str) or not all(isinstance(word, str) for word in sentence):
                raise ValueError(f"with is_split_into_words a sentence must be a list of words, got {sentence!r}")
            words, text, ranges, start = list(sentence), delimiter.join(sentence), [], 0
            for word in words:
                ranges.append((start, start + len(word)))
                start += len(word) + len(delimiter)
        else:
            if not isinstance(sentence, str):
                raise ValueError(f"a text must be a string, got {sentence!r}; pass is_split_into_words=True for words")
            text, ranges = sentence, split_text(self.tokenizer, sentence)
            words = [text[start:end] for start, end in ranges]
        limit = min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings)
        windows = encode_words(self.tokenizer, words, limit, stride)
        for window in windows:
            input_ids = torch.tensor([window.input_ids])
            yield {
                "input_ids": input_ids,
                "attention_mask": torch.ones_like(input_ids),
                "word_mask": torch.tensor([window.word_mask]),
                "sentence": (text, ranges, windows),
                "is_last": window is windows[-1],
            }

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        carried = {name: model_inputs.pop(name) for name in ("sentence", "is_last")}
        output = self.model(**model_inputs)
        return {"paths": output.paths, "logits": output.logits, **carried}

    def postprocess(
        self,
        all_outputs: list[dict[str, Any]],
        aggregation_strategy: AggregationStrategy = AggregationStrategy.SIMPLE,
        ignore_labels: Sequence[str] = ("O",),
    ) -> list[dict[str, Any]]:
        text, ranges, windows = all_outputs[0]["sentence"]
        path = join_windows(windows, [output["paths"][0].tolist() for output in all_outputs])
        log_marginals = join_windows(windows, [output["logits"][0] for output in all_outputs])
        labels = self.model.config.labels
        tags = [labels[tag] for tag in path]
        scores = [float(row[tag].exp()) for row, tag in zip(log_marginals, path, strict=True)]

        if aggregation_strategy == AggregationStrategy.NONE:
            key = "entity"
            found = [(index, index + 1, tag) for index, tag in enumerate(tags)]
        else:
            key = "entity_group"
            found = tags_to_spans(tags, detect_scheme(labels))
        entities = []
        for first, end, name in found:
            if name in ignore_labels:
                continue
            start, stop = ranges[first][0], ranges[end - 1][1]
            entity = {
                key: name,
                "score": min(scores[first:end]),
                "word": text[start:stop],
                "start": start,
                "end": stop,
            }
            entities.append(entity | ({"index": first} if key == "entity" else {}))
        return entities


__all__ = ["BertBiLSTMCRFPipeline"]
