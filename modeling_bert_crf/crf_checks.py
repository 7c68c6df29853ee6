"""The rules for the arguments of `LinearChainCRF`, and the errors that name who breaks them.

Ships with every checkpoint: imports torch only. Shapes use B sequences, T positions, K tags.

A function here that is called `check_...` returns nothing, and raises a ValueError if its rule is broken. Shapes and
dtypes can be checked at any time. Values cannot: they may be on a GPU, and to read one of them the program must wait
until the GPU has done all its work. So a rule about values has two functions. `facts_of_...` computes a few numbers
that say whether the rule is kept, and leaves them on the device. Then `glance` reads the facts of all rules at once,
with what else is to be known, and `check_...` looks at the numbers. It reads more only where they do not tell whether
the rule is kept, as where tags are below 0 that may all be unknown ones, or to say where it is broken.
"""

from collections.abc import Sequence
from itertools import islice

import torch
from torch import Tensor

from .crf_decoding import UNKNOWN

__all__ = [
    "check_count",
    "check_mask",
    "check_path",
    "check_path_or_sets",
    "check_scores",
    "check_shapes",
    "check_spans",
    "check_tags",
    "facts_of_mask",
    "facts_of_scores",
    "facts_of_sets",
    "facts_of_tags",
    "glance",
]

AT_MOST = 2**29
"""How many numbers a search for many paths, or a draw of them, may hold at once: 4 GiB."""


def check_shapes(emissions: Tensor, mask: Tensor, num_tags: int) -> None:
    if emissions.dim() != 3 or emissions.shape[2] != num_tags or not emissions.is_floating_point():
        raise ValueError(f"emissions must be float (B, T, {num_tags}), got {_kind(emissions)}")
    if mask.dtype != torch.bool or mask.shape != emissions.shape[:2]:
        raise ValueError(f"mask must be torch.bool {tuple(emissions.shape[:2])}, got {_kind(mask)}")


def check_path(tags: Tensor, mask: Tensor) -> None:
    if tags.dtype != torch.int64 or tags.shape != mask.shape:
        raise ValueError(f"tags must be torch.int64 with the mask's shape, got {_kind(tags)}")


def check_path_or_sets(tags: Tensor, mask: Tensor, emissions: Tensor) -> None:
    fits = tags.shape == (emissions if tags.dtype == torch.bool else mask).shape
    if tags.dtype not in (torch.bool, torch.int64) or not fits:
        rule = "torch.int64 with the mask's shape or torch.bool with that of emissions"
        raise ValueError(f"tags must be {rule}, got {_kind(tags)}")


def _kind(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)}"


def check_spans(rows: Tensor, starts: Tensor, tag_sets: Tensor, mask: Tensor, num_tags: int) -> None:
    if tag_sets.dtype != torch.bool or tag_sets.shape[2:] != (num_tags,) or tag_sets.shape[1:2] == (0,):
        rule = f"torch.bool (N, L, {num_tags}) with L at least 1"
        raise ValueError(f"tag_sets must be {rule}, got {_kind(tag_sets)}")
    for name, index in (("rows", rows), ("starts", starts)):
        if index.dtype != torch.int64 or index.shape != tag_sets.shape[:1]:
            raise ValueError(f"{name} must be torch.int64 ({len(tag_sets)},), got {_kind(index)}")
    wrong = (rows < 0) | (rows >= len(mask))
    wrong = wrong | (starts < 0) | (starts >= mask.sum(1)[rows.masked_fill(wrong, 0)] if len(mask) else True)
    if wrong.any():
        span = int(wrong.nonzero()[0])
        raise ValueError(f"span {span} must start inside its row, got row {rows[span]}, start {starts[span]}")


def check_count(name: str, count: int, least: int, numbers: int) -> None:
    """Check how many paths are asked for, and that the search for them, or the draw, holds no more numbers than fit.

    Args:
        name: of the argument.
        count: its value.
        least: the smallest value that makes sense.
        numbers: how many numbers so many paths take.
    """
    if count < least:
        raise ValueError(f"{name} must be at least {least}, got {count}")
    if numbers > AT_MOST:
        raise ValueError(
            f"{name} must be small enough for the memory, got {count}: so many paths take {numbers:,} numbers, over "
            f"{AT_MOST:,}; ask for fewer, or for fewer rows at a time"
        )


def glance(*facts: Sequence[Tensor]) -> list[list[float]]:
    """Read several groups of numbers from the device in one transfer, and return them group by group."""
    numbers = iter(torch.stack([fact for group in facts for fact in group]).tolist())
    return [list(islice(numbers, len(group))) for group in facts]


def facts_of_mask(mask: Tensor) -> list[Tensor]:
    """Return whether a mask has a hole."""
    return [(mask[:, 1:] > mask[:, :-1]).any()]


def check_mask(mask: Tensor, facts: Sequence[float]) -> None:
    (hole,) = facts
    if hole:
        row = int((mask[:, 1:] > mask[:, :-1]).any(1).nonzero()[0])
        raise ValueError(f"mask must be True on a prefix of every row, got {mask[row].int().tolist()} in row {row}")


def facts_of_scores(emissions: Tensor, move_scores: Tensor) -> list[Tensor]:
    """Return the largest emission and the largest score of a move, or nan if there is one; nothing if T or B is 0."""
    return [emissions.amax(), move_scores.amax()] if emissions.numel() else []


def check_scores(name: str, scores: Tensor, used: Tensor) -> None:
    """Check that no score is +inf or nan where `used`, a bool tensor, is True. It reads from the device."""
    for index in (used & ~(scores < torch.inf)).nonzero()[:1].tolist():
        value = scores[tuple(index)].item()
        raise ValueError(f"{name} must be finite, or -inf where forbidden, got {value} at {index}")


def facts_of_tags(tags: Tensor, mask: Tensor) -> list[Tensor]:
    """Return the smallest tag and the largest."""
    tags = tags * mask
    return list(tags.aminmax()) if tags.numel() else [tags.sum()] * 2


def check_tags(tags: Tensor, mask: Tensor, num_tags: int, facts: Sequence[float], may_be_unknown: bool) -> None:
    smallest, largest = facts
    if smallest >= 0 and largest < num_tags:
        return
    wrong = mask & ((tags < 0) | (tags >= num_tags)) & ~((tags == UNKNOWN) & may_be_unknown)
    for row, position in wrong.nonzero()[:1].tolist():
        rule = f"in [0, {num_tags})" + (f" or {UNKNOWN}" if may_be_unknown else "")
        raise ValueError(f"tags must be {rule}, got {tags[row, position]} in row {row}, position {position}")


def facts_of_sets(sets: Tensor, mask: Tensor) -> list[Tensor]:
    """Return whether any tag set leaves several tags, but not all of them."""
    sizes = sets.sum(2)
    return [(mask & (sizes > 1) & (sizes < sets.shape[2])).any()]
