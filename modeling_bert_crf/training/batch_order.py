"""Which rows are in a batch together, and how many of them the encoder reads at once."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers.trainer_pt_utils import LengthGroupedSampler

from ..batching import batches_by_length
from .dataset import Row, TaggingDataset

__all__ = ["EpochLengthSampler", "LongestFirst", "parts"]


class EpochLengthSampler(LengthGroupedSampler):
    """Draws rows of like length together, in an order that depends on the seed and the epoch alone.

    So the order is the same in every process, and the same again when training resumes.

    Args:
        batch_size: rows that are to be of like length.
        lengths: of all rows.
        seed: of the order.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int):
        self._order = torch.Generator()
        super().__init__(batch_size, lengths=lengths, generator=self._order)
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of an epoch; the Trainer calls this before each."""
        self._order.manual_seed(self.seed + epoch)


class LongestFirst(Dataset):
    """The rows of a data set, the longest first, so that in evaluation little of a batch is padding.

    Attributes:
        dataset: whose rows they are.
        order: the number that each row has there.
    """

    def __init__(self, dataset: TaggingDataset):
        self.dataset = dataset
        self.order = [row for (row,) in batches_by_length(dataset.lengths, None, 1)]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Row:
        return self.dataset[self.order[index]]

    def restored(self, values: Any) -> Any:
        """Put an array with a line for each row, or a group of such arrays, into the order of the data set."""
        if values is None:
            return None
        if isinstance(values, Mapping):
            return {name: self.restored(one) for name, one in values.items()}
        if isinstance(values, tuple | list):
            return type(values)(map(self.restored, values))
        return values[torch.tensor(self.order).argsort().numpy()]


def parts(inputs: Mapping[str, Tensor], positions: int) -> Iterator[dict[str, Tensor]]:
    """Cut a batch into parts of rows of like length, each without the padding that only longer rows need.

    Args:
        inputs: of the model, `attention_mask`, (B, S), among them. All begin with the axis B.
        positions: the most sub-tokens in a part, padding included; a longer row is a part by itself.
    """
    attended = inputs["attention_mask"].bool()
    for rows in batches_by_length(attended.sum(1).tolist(), positions):
        columns = attended[rows].any(0).nonzero().squeeze(1)
        columns = slice(int(columns[0]), int(columns[-1]) + 1) if len(columns) else slice(0, 1)
        yield {
            name: values[rows, columns] if values.shape[:2] == attended.shape else values[rows]
            for name, values in inputs.items()
        }
