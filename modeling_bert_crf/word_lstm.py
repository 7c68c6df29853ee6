"""Words out of sub-tokens, and the BiLSTM that reads them. Ships with every checkpoint.

Shapes use four letters: B sentences, S sub-tokens, T words, H features. The encoder works on sub-tokens; BiLSTM and
CRF work on words. `WordGrid` is the way from sub-tokens to words and back.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from transformers.utils import logging

logger = logging.get_logger(__name__)


class WordGrid(NamedTuple):
    """The way between sub-tokens, (B, S, ...), and a dense grid of the scored words, (B, T, ...)."""

    scored: Tensor  # bool (B, S): the positions that stand for a word of the chain
    word: Tensor  # int64 (B, S): the number of a scored position's word; elsewhere, how many words stand before it
    position: Tensor  # int64 (B, T): where each word stands among the sub-tokens; 0 past the row's last word
    mask: Tensor  # bool (B, T): True on each row's words, a prefix

    @classmethod
    def of(cls, scored: Tensor) -> "WordGrid":
        """Make a grid that is as wide as the input; `cut` makes it as narrow as it can be."""
        batch_size, length = scored.shape
        word = scored.cumsum(1) - scored.long()
        # The scatter below needs a place for positions that are not scored: one more column, which is dropped.
        position = torch.zeros(batch_size, length + 1, dtype=torch.int64, device=scored.device)
        positions = torch.arange(length, device=scored.device).expand(batch_size, -1)
        position = position.scatter(1, word.masked_fill(~scored, length), positions)[:, :length]
        mask = positions < scored.sum(1, keepdim=True)
        return cls(scored, word, position.masked_fill(~mask, 0), mask)

    def cut(self, words: int) -> "WordGrid":
        """Return a grid of this many words in each row; the rows must not have more."""
        return self._replace(position=self.position[:, :words], mask=self.mask[:, :words])

    def gather(self, values: Tensor, fill: float) -> Tensor:
        """Turn values of sub-tokens, (B, S, ...), into values of words, (B, T, ...); `fill` past the last word."""
        return _gather_rows(values, self.position, self.mask, fill)

    def scatter(self, values: Tensor, fill: float) -> Tensor:
        """Turn values of words, (B, T, ...), into values of sub-tokens, (B, S, ...); `fill` where no word is."""
        return _gather_rows(values, self.word.clamp_max(values.shape[1] - 1), self.scored, fill)


def _gather_rows(values: Tensor, index: Tensor, where: Tensor, fill: float) -> Tensor:
    """Read from each row of `values` what stands at `index`, (B, N, ...); `fill` where `where`, (B, N), is False."""
    features = values.shape[2:]
    ones = [1] * len(features)
    index = index.reshape(*index.shape, *ones).expand(*index.shape, *features)
    return values.gather(1, index).masked_fill(~where.reshape(*where.shape, *ones), fill)


class BiLSTM(nn.Module):
    """A bidirectional LSTM that never reads padding, so that a sentence's result does not depend on its batch.

    An LSTM of its own reads each row from its last word to its first one. The result is exactly that of a packed
    sequence, but the grid stays dense.
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, dropout: float):
        super().__init__()
        sizes = [input_size] + [2 * hidden_size] * (num_layers - 1)
        self.left_to_right = nn.ModuleList(nn.LSTM(size, hidden_size, batch_first=True) for size in sizes)
        self.right_to_left = nn.ModuleList(nn.LSTM(size, hidden_size, batch_first=True) for size in sizes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Read rows of words in both directions: (B, T, H) and a prefix mask (B, T) give (B, T, 2 * hidden_size)."""
        positions = torch.arange(mask.shape[1], device=mask.device)
        reverse = torch.where(mask, mask.sum(1, keepdim=True) - 1 - positions, positions)[..., None]  # (B, T, 1)

        def flip(grid: Tensor) -> Tensor:
            return grid.gather(1, reverse.expand_as(grid))

        for onward, back in self._layers():
            hidden = torch.cat([_run_lstm(onward, hidden), flip(_run_lstm(back, flip(hidden)))], dim=2)
            hidden = self.dropout(hidden)
        return hidden

    def _layers(self) -> Iterator[tuple[nn.LSTM, nn.LSTM]]:
        for onward, back in zip(self.left_to_right, self.right_to_left, strict=True):
            yield cast(nn.LSTM, onward), cast(nn.LSTM, back)


def _run_lstm(lstm: nn.LSTM, hidden: Tensor) -> Tensor:
    """Run an LSTM in autocast's precision, or in that of its weights where the device has no LSTM in autocast's."""
    device = hidden.device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return lstm(hidden)[0]
    if _has_lstm(hidden.device, torch.get_autocast_dtype(device)):
        return lstm(hidden)[0]
    with torch.autocast(device, enabled=False):
        return lstm(hidden.to(cast(Tensor, lstm.weight_ih_l0).dtype))[0]


@cache
def _has_lstm(device: torch.device, dtype: torch.dtype) -> bool:
    """Find out by trying whether a device runs an LSTM and its gradient under autocast to a precision.

    Some CPUs have every other operation in bfloat16, but not this one. If the device has none, a warning says so.
    """
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, dtype=dtype):
        lstm = nn.LSTM(1, 1, device="meta").to_empty(device=device)  # this way no random number is drawn
        try:
            lstm(torch.zeros(1, 1, 1, device=device))[0].sum().backward()
        except RuntimeError:
            logger.warning_once(
                f"This {device.type} has no LSTM in {str(dtype).removeprefix('torch.')}: under autocast the BiLSTM "
                "runs in the precision of its weights."
            )
            return False
    return True


__all__ = ["BiLSTM", "WordGrid"]
