"""The temperature that makes the probabilities of a tagger as large as its share of right answers.

C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On calibration of modern neural networks", ICML 2017, sec. 2 and 4.2.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..batching import batches_by_length
from ..crf import UNKNOWN, LinearChainCRF
from ..entities import read_entities
from ..modeling_crf import BiLSTMCRFForTokenClassification
from ..schemes import OUTSIDE, tags_to_spans
from ..scores.calibration import best_temperature
from .dataset import TaggingCollator, TaggingDataset

__all__ = ["entity_confidences", "fit_temperature", "fold_temperature"]


class Batch(NamedTuple):
    """What the CRF needs of some rows of a data set."""

    emissions: Tensor  # (B, T, K), at temperature 1
    tags: Tensor  # (B, T)
    mask: Tensor  # (B, T)


def fit_temperature(model: BiLSTMCRFForTokenClassification, dataset: TaggingDataset) -> float:
    """Find the temperature that suits the entities that a model finds best, see `best_temperature`.

    The model is left as it was.
    """
    batches = list(_batches(model, dataset))
    return best_temperature(lambda temperature: _confidences(model, batches, dataset.scheme, temperature))


@torch.no_grad()
def fold_temperature(model: BiLSTMCRFForTokenClassification, temperature: float) -> None:
    """Divide all scores of a model by a temperature; its paths stay as they are.

    The weights are divided, and the configuration's temperature, which would come on top, becomes 1. Where an adapter
    has taken the place of a weight, the configuration's temperature does it alone.
    """
    plain = type(model.classifier) is nn.Linear and isinstance(model.crf, LinearChainCRF)
    if plain:
        for parameter in (*model.classifier.parameters(), *model.crf.parameters()):
            parameter.div_(temperature)
    model.config.temperature = 1.0 if plain else float(temperature)


def entity_confidences(
    model: BiLSTMCRFForTokenClassification, dataset: TaggingDataset, temperature: float
) -> list[tuple[float, bool]]:
    """Return, for every entity that the model finds at a temperature, its probability and whether it is right."""
    return _confidences(model, _batches(model, dataset), dataset.scheme, temperature)


def _confidences(
    model: BiLSTMCRFForTokenClassification, batches: Iterable[Batch], scheme: str | None, temperature: float
) -> list[tuple[float, bool]]:
    labels, found, before = model.config.labels, [], model.config.temperature
    for batch in batches:
        gold = {
            (row, *span)
            for row, tags in enumerate(batch.tags.tolist())
            for span in tags_to_spans([labels[tag] if tag >= 0 else OUTSIDE for tag in tags], scheme)
        }
        model.config.temperature = temperature
        try:
            emissions = batch.emissions / temperature
            entities = read_entities(model, emissions, batch.mask, model.crf.decode(emissions, batch.mask)[0])
        finally:
            model.config.temperature = before
        found += [(score, (row, start, end, kind) in gold) for row, start, end, kind, score in entities]
    return found


def _batches(model: BiLSTMCRFForTokenClassification, dataset: TaggingDataset, batch_size: int = 32) -> Iterator[Batch]:
    collate = TaggingCollator(model.config.pad_token_id or 0)
    training, temperature = model.training, model.config.temperature
    for batch in batches_by_length(dataset.lengths, None, batch_size, longest_first=False):
        inputs = collate([dataset[index] for index in batch])
        inputs = {name: values.to(model.device) for name, values in inputs.items()}
        labels = inputs.pop("labels")
        model.eval()
        with torch.inference_mode():
            words, mask = model.encode(**inputs)
            emissions = model.emit(words, mask).float() * temperature
        model.train(training)
        tags = torch.full_like(mask, UNKNOWN, dtype=torch.int64)
        tags[mask] = labels[inputs["word_mask"].bool()]
        yield Batch(emissions, tags, mask)
