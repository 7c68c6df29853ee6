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

__all__ = ["EQUAL", "TIE", "Parity", "compare", "parity_lines"]

EQUAL = 0.999
"""The share of paths that must be equal in float32."""
TIE = 1e-3
"""Two paths are a tie if their scores differ by less than so many nats: the rounding of a whole encoder in float32 can
make such a difference."""

Parity = dict[str, Any]
"""The result of a comparison: `sentences` and `words`, how many were compared; `f1` of the model, where gold tags are
known; and under `float32`, and `int8`, what `_agreement` returns."""


def compare(
    model: Any,
    tokenizer: Any,
    folder: Path,
    sentences: Sequence[str] | Sequence[Sequence[str]],
    gold: Sequence[Sequence[str]] | None,
    int8: bool,
) -> Parity:
    """Tag sentences with a model in float32 on the CPU, and with its export.

    Raises:
        ValueError: if there is no sentence, if the export splits a sentence otherwise than the model, or if too few of
            its paths in float32 are the model's.
    """
    by_words = not isinstance(next(iter(sentences), ""), str)
    sentences = list(sentences)
    pipeline = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    texts = pipeline.preprocess(sentences, is_split_into_words=by_words)
    exported_texts = OnnxTagger(folder).split(sentences, by_words)
    for index, (own, text) in enumerate(zip(texts, exported_texts, strict=True)):
        if text != own:
            raise ValueError(f"the export must split sentence {index} as the model does: {own.text[:60]!r}")
    chains = [chain for text in texts for chain in text.chains if any(window.words for window in chain)]
    if not chains:
        raise ValueError("sentences must hold at least one word, got none")
    reference = [_emit(model, chain) for chain in chains]
    paths = [_decode(model, emissions) for emissions in reference]
    entities = pipeline(sentences, is_split_into_words=by_words)

    parity: Parity = {"sentences": len(chains), "words": sum(map(len, paths)), **_f1(model, gold, paths)}
    for name in ("float32", "int8")[: 1 + int8]:
        tagger = OnnxTagger(folder, int8=name == "int8")
        exported = _exported(tagger, chains)
        parity[name] = _agreement(model, reference, paths, exported)
        parity[name] |= _f1(model, gold, [path for _, path in exported])
        parity[name] |= _entity_agreement(entities, tagger(sentences, is_split_into_words=by_words))
    found = parity["float32"]
    if found["equal_paths"] + found["ties"] < EQUAL * len(chains):
        raise ValueError(
            f"the export must find at least {EQUAL:.1%} of the model's paths, got {found['equal_paths']} of "
            f"{len(chains)}, and {found['ties']} ties"
        )
    return parity


def parity_lines(parity: Parity) -> Iterator[str]:
    """Write the result of a comparison as lines for a reader."""
    yield f"{parity['sentences']:,} sentences, {parity['words']:,} words"
    for name in ("float32", "int8"):
        if name not in parity:
            continue
        found = parity[name]
        yield (
            f"{name}: {found['equal_paths']:,} paths are equal ({found['equal_paths'] / parity['sentences']:.2%}), "
            f"{found['ties']} of the others are ties; entities are equal in {found['equal_entities']:,} of "
            f"{found['texts']:,}; emissions differ by at most {found['largest_emission_difference']:.1e}, "
            f"probabilities of equal entities by {found['largest_score_difference']:.1e}"
        )
        if "f1" in parity:
            yield f"{name}: F1 {100 * found['f1']:.2f}, the model's {100 * parity['f1']:.2f}"


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
