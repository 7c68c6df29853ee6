"""The temperature that makes the probabilities of a tagger as large as its share of right answers.

C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017, sec. 2 and 4.2.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..crf import LinearChainCRF
from ..entities import read_entities
from ..modeling_crf import BiLSTMCRFForTokenClassification
from ..schemes import tags_to_spans
from ..scores.calibration import best_temperature
from ..scores.known import verdicts
from .reading import Reading

__all__ = ["cross_fitted", "entity_confidences", "fit_temperature", "fold_temperature"]


def fit_temperature(model: BiLSTMCRFForTokenClassification, reading: Reading) -> float:
    """Find the temperature that suits the entities that a model finds best, see `best_temperature`.

    The model is left as it was.
    """
    return best_temperature(_confidences(model, reading))


@torch.no_grad()
def fold_temperature(model: BiLSTMCRFForTokenClassification, temperature: float) -> float:
    """Divide all scores of a model by a temperature; its paths stay as they are.

    The weights are divided, and the configuration's temperature, which would come on top, becomes 1. Where an adapter
    has taken the place of a weight, the configuration's temperature does it alone.

    Returns:
        What the weights were divided by.
    """
    plain = type(model.classifier) is nn.Linear and isinstance(model.crf, LinearChainCRF)
    if plain:
        for parameter in (*model.classifier.parameters(), *model.crf.parameters()):
            parameter.div_(temperature)
    model.config.temperature = 1.0 if plain else float(temperature)
    return temperature if plain else 1.0


def entity_confidences(
    model: BiLSTMCRFForTokenClassification, reading: Reading, *temperatures: float
) -> list[list[tuple[float, bool]]]:
    """Return, for each temperature, of every entity that the model finds its probability and whether it is right.

    One of which nobody knows whether it is right, as the gold tags are known in part only, is left out.
    """
    return list(map(_confidences(model, reading), temperatures))


def cross_fitted(model: BiLSTMCRFForTokenClassification, reading: Reading) -> list[tuple[float, bool]]:
    """Return what `entity_confidences` does, each half at the temperature that suits the other half."""
    halves = [_confidences(model, reading.half(parity)) for parity in (0, 1)]
    return [one for half, other in zip(halves, reversed(halves), strict=True) for one in half(best_temperature(other))]


def _confidences(
    model: BiLSTMCRFForTokenClassification, reading: Reading
) -> Callable[[float], list[tuple[float, bool]]]:
    """Find the entities, which are the same at every temperature, and return what measures them at one."""
    gold, scheme = reading.dataset.row_tags, reading.dataset.scheme
    found = []
    for batch in reading.batches:
        batch = batch.to(model.device)
        paths, _ = model.crf.decode(batch.emissions / model.config.temperature, batch.mask)
        found.append((batch, paths, _verdicts(paths, model.config.labels, [gold[row] for row in batch.rows], scheme)))

    def measure(temperature: float) -> list[tuple[float, bool]]:
        before, model.config.temperature = model.config.temperature, temperature
        try:
            return [
                (score, right)
                for batch, paths, known in found
                for *span, score in read_entities(model, batch.emissions / temperature, batch.mask, paths)
                if (right := known[tuple(span)]) is not None
            ]
        finally:
            model.config.temperature = before

    return measure


def _verdicts(
    paths: Tensor, labels: Sequence[str], gold: Sequence[Sequence[str]], scheme: str | None
) -> dict[tuple[Any, ...], bool | None]:
    """Say of each entity on paths, by its row, words and type, whether it is right; None where nobody knows.

    Args:
        paths: int64 (B, T), -100 where there is no word.
        labels: of the model.
        gold: tags of each row.
        scheme: by which both are read.
    """
    known = {}
    for row, (path, tags) in enumerate(zip(paths, gold, strict=True)):
        own: list[int] = path[path >= 0].tolist()
        spans = tags_to_spans([labels[tag] for tag in own], scheme)
        known |= {(row, *span): right for span, right in zip(spans, verdicts(spans, tags, scheme), strict=True)}
    return known
