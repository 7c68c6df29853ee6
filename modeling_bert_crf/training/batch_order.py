"""The order of the batches in training."""

import torch
from transformers.trainer_pt_utils import LengthGroupedSampler

__all__ = ["EpochLengthSampler"]


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
