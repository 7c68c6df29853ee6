"""What the encoder says of a data set, read once: tags, scores, temperature and confidences all come from one reading.

The encoder takes nearly all of the time that an evaluation takes, and what it says does not depend on what is asked.
"""

import time
from typing import NamedTuple

import torch
from accelerate.utils import gather_object
from torch import Tensor

from ..batching import batches_by_length
from ..crf import UNKNOWN
from ..entities import read_entities
from ..modeling_crf import BiLSTMCRFForTokenClassification
from ..readers.partial import known_tags
from ..schemes import OUTSIDE, Span
from .dataset import TaggingCollator, TaggingDataset

__all__ = ["Batch", "Reading", "read"]

POSITIONS = 2**14
"""The most sub-tokens that the encoder reads at once, padding included."""


class Batch(NamedTuple):
    """What the CRF needs of some rows of a data set."""

    rows: list[int]  # their numbers in the data set
    emissions: Tensor  # (B, T, K), at temperature 1
    mask: Tensor  # (B, T)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        return Batch(self.rows, self.emissions.to(device), self.mask.to(device))


class Reading(NamedTuple):
    """What the encoder says of a data set, on the CPU.

    Attributes:
        dataset: that was read.
        batches: of rows of like length; each row is in one of them.
        seconds: how long it took.
    """

    dataset: TaggingDataset
    batches: list[Batch]
    seconds: float

    def divided(self, by: float) -> "Reading":
        """Return the reading of a model whose emissions are smaller by a factor."""
        return self._replace(batches=[batch._replace(emissions=batch.emissions / by) for batch in self.batches])

    def half(self, parity: int) -> "Reading":
        """Return the reading of the rows with even numbers (0), or with odd ones (1)."""
        halves = []
        for batch in self.batches:
            own = [index for index, row in enumerate(batch.rows) if row % 2 == parity]
            halves.append(Batch([batch.rows[index] for index in own], batch.emissions[own], batch.mask[own]))
        return self._replace(batches=[batch for batch in halves if batch.rows])

    @torch.inference_mode()
    def tags(self, model: BiLSTMCRFForTokenClassification) -> list[list[str]]:
        """Return the tags of each sentence on the paths that the model takes, one per word."""
        paths: dict[int, list[int]] = {}
        for batch in self.batches:
            _, emissions, mask = batch.to(model.device)
            found = model.best_paths(emissions / model.config.temperature, mask)
            paths.update(zip(batch.rows, found.tolist(), strict=True))
        longest = max(map(len, paths.values()), default=0)
        padded = [paths[row] + [UNKNOWN] * (longest - len(paths[row])) for row in range(len(self.dataset))]
        return self.dataset.tags_of(padded)

    @torch.inference_mode()
    def probabilities(self, model: BiLSTMCRFForTokenClassification) -> list[dict[Span, float]]:
        """Return of each sentence how probable its gold entities are, and those on the path that the model takes.

        An entity that the model has no tags for, or that no row shows whole, has no probability.
        """
        ids = {label: index for index, label in enumerate(model.config.labels)}
        dataset, outside = self.dataset, ids.get(OUTSIDE, 0)
        found: list[dict[Span, float]] = [{} for _ in self.dataset.sentences]
        for batch in self.batches:
            rows, emissions, mask = batch.to(model.device)
            emissions = emissions / model.config.temperature
            gold = torch.full_like(mask, UNKNOWN, dtype=torch.int64)
            known = (tag for row in rows for tag in known_tags(dataset.row_tags[row], dataset.scheme))
            numbers = [ids.get(tag, outside) for tag in known]
            gold[mask] = torch.tensor(numbers, dtype=torch.int64, device=mask.device)
            for paths in (gold, model.best_paths(emissions, mask)):
                for row, start, end, kind, score in read_entities(model, emissions, mask, paths):
                    sentence, first, after = dataset.words_of(rows[row], start, end)
                    found[sentence][first, after, kind] = score
        return found


def read(
    model: BiLSTMCRFForTokenClassification,
    dataset: TaggingDataset,
    batch_size: int = 32,
    process: int = 0,
    processes: int = 1,
) -> Reading:
    """Run a model's encoder and BiLSTM over a data set, the longest rows first.

    Several processes share the rows, and each returns the whole reading.

    Args:
        model: which is left as it was.
        dataset: what to read.
        batch_size: most rows that are read at once.
        process, processes: the number of this process, and how many there are.
    """
    began = time.perf_counter()
    collate = TaggingCollator(model.config.pad_token_id or 0)
    training, temperature = model.training, model.config.temperature
    model.eval()
    batches = []
    for rows in list(batches_by_length(dataset.lengths, POSITIONS, batch_size))[process::processes]:
        inputs = {name: values.to(model.device) for name, values in collate([dataset[row] for row in rows]).items()}
        for name in ("labels", "tag_sets"):
            inputs.pop(name, None)
        with torch.inference_mode():
            words, mask = model.encode(**inputs)
            emissions = model.emit(words, mask).float() * temperature
        batches.append(Batch(rows, emissions, mask).to(torch.device("cpu")))
    model.train(training)
    return Reading(dataset, gather_object(batches), time.perf_counter() - began)
