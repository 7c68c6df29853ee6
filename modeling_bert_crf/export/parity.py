"""The comparison of an exported model with the model itself, on real sentences. Only an export that passes is kept."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..path_biases import bias_scores
from ..pipeline_crf import BiLSTMCRFPipeline
from ..scores.metrics import flat_scores, score_tags
from ..words import Window
from .runtime import OnnxTagger

__all__ = ["EQUAL", "TIE", "Comparison", "Parity", "parity_lines"]

EQUAL = 0.999
"""The share of paths that must be equal in float32."""
TIE = 1e-3
"""Two paths are a tie if their scores differ by less than so many nats: the rounding of a whole encoder in float32 can
make such a difference."""

Parity = dict[str, Any]
"""The result of a comparison: `sentences` and `words`, how many were compared; `f1` of the model, where gold tags are
known; and under `float32`, and `int8`, what `Comparison.of` returns. Of the encoder in 8 bits `variant` says which
matrices are in 8 bits, and `other` is the variant that was not kept."""


class Comparison:
    """Sentences as a model in float32 on the CPU tags them, to compare exports with.

    Attributes:
        windows: sub-tokens of the sentences, as the encoder reads them.
        parity: how many sentences and words there are, and the model's F1 where gold tags are known.

    Raises:
        ValueError: if there is no sentence, or if the export splits a sentence otherwise than the model.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        folder: Path,
        sentences: Sequence[str] | Sequence[Sequence[str]],
        gold: Sequence[Sequence[str]] | None,
    ):
        self._model, self._gold, self._sentences = model, gold, list(sentences)
        self._by_words = not isinstance(next(iter(sentences), ""), str)
        pipeline = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
        texts = pipeline.preprocess(self._sentences, is_split_into_words=self._by_words)
        exported_texts = OnnxTagger(folder).split(self._sentences, self._by_words)
        for index, (own, text) in enumerate(zip(texts, exported_texts, strict=True)):
            if text != own:
                raise ValueError(f"the export must split sentence {index} as the model does: {own.text[:60]!r}")
        chains = [chain for text in texts for chain in text.chains if any(window.words for window in chain)]
        if not chains:
            raise ValueError("sentences must hold at least one word, got none")
        self._chains = chains
        self._emissions = [_emit(model, chain) for chain in chains]
        self._paths = [_decode(model, emissions) for emissions in self._emissions]
        self._entities = pipeline(self._sentences, is_split_into_words=self._by_words)
        self.windows = [window.input_ids for chain in chains for window in chain]
        counts = {"sentences": len(chains), "words": sum(map(len, self._paths))}
        self.parity: Parity = {**counts, **_f1(model, gold, self._paths)}

    def of(self, tagger: OnnxTagger) -> dict[str, Any]:
        """Tag the sentences with an export, and say how far it agrees with the model."""
        exported = _exported(tagger, self._chains)
        entities = tagger(self._sentences, is_split_into_words=self._by_words)
        return {
            **_agreement(self._model, self._emissions, self._paths, exported),
            **_f1(self._model, self._gold, [path for _, path in exported]),
            **_entity_agreement(self._entities, entities),
        }

    def different(self, found: dict[str, Any]) -> int:
        """Return how many of an export's paths are neither the model's own nor ties with them."""
        return len(self._chains) - found["equal_paths"] - found["ties"]

    def is_equal(self, found: dict[str, Any], share: float) -> bool:
        """Say whether so large a share of an export's paths are the model's own, or ties with them."""
        return self.different(found) <= (1 - share) * len(self._chains)

    def checked(self, found: dict[str, Any]) -> dict[str, Any]:
        """Return what was found of an export in float32, if it agrees with the model.

        Raises:
            ValueError: if fewer than 99.9 % of the paths are the model's own or ties with them.
        """
        if not self.is_equal(found, EQUAL):
            raise ValueError(
                f"the export must find at least {EQUAL:.1%} of the model's paths, got {found['equal_paths']} of "
                f"{len(self._chains)}, and {found['ties']} ties"
            )
        return found


def parity_lines(parity: Parity) -> Iterator[str]:
    """Write the result of a comparison as lines for a reader."""
    yield f"{parity['sentences']:,} sentences, {parity['words']:,} words"
    for name, found in _compared(parity):
        yield (
            f"{name}: {found['equal_paths']:,} paths are equal ({found['equal_paths'] / parity['sentences']:.2%}), "
            f"{found['ties']} of the others are ties; entities are equal in {found['equal_entities']:,} of "
            f"{found['texts']:,}; emissions differ by at most {found['largest_emission_difference']:.1e}, "
            f"probabilities of equal entities by {found['largest_score_difference']:.1e}"
        )
        if "f1" in parity:
            change = 100 * (found["f1"] - parity["f1"])
            yield f"{name}: F1 {100 * found['f1']:.2f}, the model's {100 * parity['f1']:.2f} ({change:+.2f})"


def _compared(parity: Parity) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "float32", parity["float32"]
    if kept := parity.get("int8"):
        yield f"int8, {kept['variant']}", kept
        yield f"not kept: int8, {kept['other']['variant']}", kept["other"]


@torch.inference_mode()
def _emit(model: Any, chain: Sequence[Window]) -> Tensor:
    """Return the model's own emissions for a chain of words, (1, T, K); every window is encoded by itself."""
    states = []
    for window in chain:
        words, mask = model.encode(
            torch.tensor([window.input_ids]),
            torch.ones(1, len(window.input_ids), dtype=torch.int64),
            torch.tensor([window.word_mask]),
            torch.tensor([window.word_shape_ids]),
        )
        states.append(words[mask])
    words = torch.cat(states)[None]
    return model.emit(words, torch.ones(words.shape[:2], dtype=torch.bool))


def _decode(model: Any, emissions: Tensor) -> list[int]:
    return model.best_paths(emissions, torch.ones(emissions.shape[:2], dtype=torch.bool))[0].tolist()


def _score(model: Any, emissions: Tensor, path: Sequence[int]) -> float:
    """Return the score of a path by which it is searched, with the biases of the operating point in force."""
    config, mask = model.config, torch.ones(1, len(path), dtype=torch.bool)
    starts, moves = bias_scores(config.labels, config.span_scheme, config.point(None).get("biases", {}))
    biases = starts[path[0]] + sum(moves[one][two] for one, two in pairwise(path))
    return model.crf.path_score(emissions, torch.tensor([path]), mask).item() + biases


def _exported(tagger: OnnxTagger, chains: Sequence[Sequence[Window]]) -> list[tuple[np.ndarray, list[int]]]:
    """Return the export's emissions (T, K) and path for each chain."""

    scored = tagger.score(chains)
    masks = (np.ones((1, len(emissions)), dtype=bool) for emissions in scored)
    return [(own, tagger.decode(own[None], mask)[0].tolist()) for own, mask in zip(scored, masks, strict=True)]


def _agreement(
    model: Any,
    reference: Sequence[Tensor],
    paths: Sequence[list[int]],
    exported: Sequence[tuple[np.ndarray, list[int]]],
) -> dict[str, Any]:
    """Compare emissions and paths.

    Returns:
        `equal_paths` and `ties`, which are numbers of sentences; `largest_emission_difference`; and `differences`, for
        each sentence with another path its number and the `margin`, by how many nats the model prefers its own path.
    """
    largest, differences = 0.0, []
    for index, (own, path, (emissions, other)) in enumerate(zip(reference, paths, exported, strict=True)):
        largest = max(largest, float(np.abs(own[0].numpy() - emissions).max()))
        if path != other:
            margin = _score(model, own, path) - _score(model, own, other)
            differences.append({"sentence": index, "margin": margin})
    return {
        "equal_paths": len(paths) - len(differences),
        "ties": sum(difference["margin"] < TIE for difference in differences),
        "largest_emission_difference": largest,
        "differences": differences,
    }


def _f1(model: Any, gold: Sequence[Sequence[str]] | None, paths: Sequence[list[int]]) -> dict[str, float]:
    if gold is None:
        return {}
    labels = model.config.labels
    predicted = [[labels[tag] for tag in path] for path in paths]
    gold = [tags for tags in gold if len(tags) > 0]
    return {"f1": flat_scores(score_tags(gold, predicted, model.config.span_scheme))["f1"]}


def _entity_agreement(own: Sequence[list[dict]], other: Sequence[list[dict]]) -> dict[str, Any]:
    """Compare the entities that the pipeline and the export find in each text, and the scores of equal entities."""
    equal, largest = 0, 0.0
    for one, two in zip(own, other, strict=True):
        spans = [[(entity["entity_group"], entity["start"], entity["end"]) for entity in side] for side in (one, two)]
        if spans[0] == spans[1]:
            equal += 1
            gaps = (abs(first["score"] - second["score"]) for first, second in zip(one, two, strict=True))
            largest = max(largest, *gaps, 0.0)
    return {"texts": len(own), "equal_entities": equal, "largest_score_difference": largest}
