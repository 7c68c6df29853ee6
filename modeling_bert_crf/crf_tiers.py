r"""In which arithmetic the sums of `LinearChainCRF` are done, and the proof that no weight leaves the floats' range.

Ships with every checkpoint: imports torch only. `crf_engine.py` explains the words: states, places, moves, and the
forward and backward vectors (upto and before, onward and after).

The sums multiply weights, exp(score). That is fast and exact, but weights can become smaller than the smallest float,
and then the result is wrong without any sign of it. So the guard in this file measures the scores beforehand, and
chooses the first of three tiers that is safe: weights in float32, weights in float64, and last logs of weights in
float64, which are slow and hold any size. The rest of this text is the reason why its choice is safe.


1. The letters

    K   the number of tags; with the state outside there are K + 1 states
    R   the number of steps between two rescalings; each divides a vector by its largest entry, which becomes 1
    r   the spread of the moves: the largest score of a move less the smallest one
    e   the spread of the emissions: the same among the tags at one position, at the position where it is largest; it
        is infinite if an emission is -inf
    p   the mixing: the number of moves in which every tag can reach every tag; 1 if every move is allowed, also from
        and to outside, 2 under the rules of IOB2, 3 under those of BIOES

Forbidden moves do not count in r. The engine shifts the scores such that the largest weight of all moves is 1, and so
is the largest weight at each position. So a path loses at most a factor exp(-r) at a move, and at most exp(-e) at a
position. Below, "it loses x" means: at most a factor exp(-x). A state of weight 1 is called a best state of its place.


2. How much an entry grows

An entry of the next vector is a sum over K + 1 states, of products with weights of at most 1. So it is at most K + 1
times the largest entry of the vector before, and in R steps no entry grows by more than (K + 1)^R.


3. How much an entry shrinks, if p = 1

Every move is allowed. So every state at t can be reached from the largest entry at t - 1, by one move, which loses r:
no entry of before_t is less than exp(-r) times the largest entry of upto_{t-1}. At a best state upto_t and before_t
are equal, so the largest entry of upto_t is not less than that either. In R steps every entry therefore loses R r in
all. This does not depend on e: the emissions may be of any size. (The weight of a tag may itself be smaller than the
smallest float, and count as 0. Then the tag's probability is smaller still, and 0 is right to rounding. The log of
that probability is computed from the score, not from the weight.)


4. How much an entry shrinks, if p is 2 or more

Not every move is allowed, but between any two tags there is a path of p moves. It passes p - 1 positions, so it loses

    p r + (p - 1) e  =  p l          with  l = r + (1 - 1/p) e,  the loss for each move.

A long path is put together from such pieces: each leads to a best state, where the next piece begins, and no loss is
to be added. Now take an entry of before_t to which an allowed path leads, at most R moves after the last rescaling. It
is compared with the largest entry at that rescaling, which is 1 since then. There are two cases, and an addition to
both.

    Near: if there are fewer than p moves since the rescaling, no piece fits in. Then take a path that begins p moves
    before t, at the largest entry there; or, if the walk began later, any allowed path from its beginning. It loses
    p l. Between the beginning of this path and the rescaling the largest entry may have grown by (K + 1)^p, and the
    comparison is with the larger one. In all: p l + p ln(K + 1).

    Far: if there are p moves or more, the path begins at the largest entry of the rescaling. All its pieces have p
    moves, but the last one is up to p - 1 moves longer. There the path may lose e at each position, and not only
    (1 - 1/p) e: up to (p - 1) e/p more, which is at most l. In all: R l + l.

    Outside: a walk begins with a move to a tag that may be first, and ends with a move from a tag that may be last.
    Such a tag need not be a best state, and a piece cannot end there without loss. The far case loses up to l more at
    either end, and the near case up to r + e, which is at most 2 l, at the one end that it can have.

So in every case the loss is at most R l + (p + 2) l + p ln(K + 1). Let d = l + ln(K + 1). Since p + 2 is at most
4 (p - 1) if p is 2 or more, the loss is at most (R + 4 (p - 1)) d. Section 3 says the same for p = 1, where l = r.


5. What the guard asks for

By sections 2 to 4 each entry to which an allowed path leads lies between exp(-(R + 4 (p - 1)) d) and exp(R d). What is
computed from the vectors are products of an entry of before_t and one of onward_t, divided by the sum of these
products, c_t. The sum is at least the product at a best state, and there onward_t equals after_t, so that the bounds
hold for both factors. The guard asks for

    2 (R + 4 (p - 1)) d  <  64 in float32,   where the smallest number is exp(-87)
                         < 640 in float64,   where it is exp(-708).

So c_t is at least exp(-64) or exp(-640). A product that is smaller by a factor of exp(-17) in float32, or exp(-37) in
float64, is lost in the rounding of c_t. All other products are in range. (So are quotients by c_t. The near case shows
that entries of one vector differ by a factor of at most exp(p d); no quotient exceeds exp(2 (R + 4 (p - 1)) d).)

The guard takes the largest R for which the condition holds. If it does not hold for R = 1, the next tier is tried.
Float32 costs nothing but its rounding: the rounded weights move log Z by up to 1e-7 a position.

If no p up to 3 is found, p = T + 1 is taken, the number of moves of the longest walk. It needs no pieces: a whole walk
loses (T + 1) r + T e = p l, and the near case is the only one.


6. Known tags and tag sets

Where a tag is known, one state is left: a best state that every path must pass. So a piece must end there, too. Take
two known tags that are n moves apart. If n is less than 2 p, one piece leads from the one to the other, and up to
n - 1 positions lose e. That is more than n l, by a factor of at most 2 p / (2 p - 1) (for n = 2 p - 1): 4/3 if p = 2.
The condition of section 5 has room for it: 640 is less than 708, and d contains ln(K + 1), which the condition counts
R times, although the loss in section 4 needs it p times only. In numbers: c_t is at least

    exp(-2 (4/3 R l + p l + p ln(K + 1)))  =  exp(-707)    for the worst R and l that the condition admits, p = K = 2.

(Below exp(-708) numbers lose their digits one after the other, and are 0 below exp(-745). What gets lost on this way
would be lost in the rounding of c_t as well.)

A tag set that leaves a choice, but not every tag, may cut each of the paths that were used above. So where moves are
forbidden as well, no p is safe but T + 1.


7. Scores that are low, but not -inf

Many people write -1e4 for "forbidden". Such a score would make r large and the exp domain useless. So a move that
scores SOFT = 1000 or more below the best one is left out of r and of the mixing, and its weight is 0. This is right to
rounding as long as the row has a path without such moves. Then there is a way around each of them, which loses less
than 320 by section 4, while the move itself loses 1000. If a row has no such path, its weight comes out as 0, and
everything is computed again in logs.

Such a move is allowed all the same, so the log of its probability must be finite. Where logs are asked for, the
engine computes those entries again whose weight was lost (`crf_engine._mend`).
"""

import math
import warnings
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["LOG_TIER", "Range", "Tier", "measure_range", "precisions", "widened", "widest"]

SOFT = 1000.0
"""A move that scores so far below the best one has weight 0, in the sums that are not done in logs."""
LIMITS = {torch.float32: 64.0, torch.float64: 640.0}
"""By how many nats the weights may vary, in section 5 of the file's docstring."""


class Tier(NamedTuple):
    """How to add up: in which precision, and after how many steps to rescale; 0 steps stand for the log domain."""

    dtype: torch.dtype
    steps: int
    soft: bool = False  # is there a move that weighs 0, although it is allowed?

    @property
    def in_logs(self) -> bool:
        return self.steps == 0

    @property
    def plain(self) -> bool:
        """Say whether the vectors hold weights, and each that is 0 belongs to what is forbidden."""
        return not self.in_logs and not self.soft

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} {'log' if self.in_logs else 'exp'}"


LOG_TIER = Tier(torch.float64, 0)


class Range(NamedTuple):
    """What the guard must know of the scores, as plain numbers that have been read from the device."""

    emission_spread: float  # e in the file's docstring
    move_spread: float  # r
    soft: float  # not 0: a move is allowed, but scores so low that it weighs 0
    in_one: float  # not 0: every state reaches every state in one move
    in_two: float  # not 0: every tag reaches every tag in two moves
    in_three: float  # not 0: in three

    def tier(self, positions: int, num_tags: int, choices: bool, dtypes: Sequence[torch.dtype]) -> Tier:
        """Return the first tier that is safe, by section 5 of the file's docstring.

        Args:
            positions: T.
            num_tags: K.
            choices: does any tag set leave several tags, but not all of them?
            dtypes: the precisions to try, in this order.
        """
        mixing = 1 if self.in_one else 2 if self.in_two else 3 if self.in_three else positions + 1
        mixing = positions + 1 if choices and mixing > 1 else min(mixing, positions + 1)
        loss = self.move_spread + math.log(num_tags + 1)
        if mixing > 1:
            loss += (1 - 1 / mixing) * self.emission_spread
        for dtype in dtypes:
            steps = LIMITS[dtype] / (2 * loss) - 4 * (mixing - 1)
            if steps >= 1:  # False for nan
                return Tier(dtype, int(steps), bool(self.soft))
        return LOG_TIER


def measure_range(table: Tensor, peaks: Tensor, outside: Tensor, move_scores: Tensor) -> list[Tensor]:
    """Return the six numbers of a `Range`, still on the device.

    Args:
        table, peaks: as `crf_engine.tabulate` and `crf_engine.peaks_of` return them.
        outside: bool (B, T), the mask's opposite.
        move_scores: float (K+1, K+1), -inf where forbidden.
    """
    spread = peaks.squeeze(1) - table[:, :-1].amin(1)
    spread[:-1].masked_fill_(outside.flatten(), 0.0)
    spread[-1] = 0.0
    best = move_scores.amax()
    usable = move_scores > best - SOFT
    move_spread = best - torch.where(usable, move_scores, best).amin()
    soft = (usable != (move_scores > -torch.inf)).any()
    one = usable[:-1, :-1].float()  # which tags reach which in one move
    two = one @ one
    return [spread.amax(), move_spread, soft, usable.all(), two.amin(), (two @ one).amin()]


def precisions(scores: Tensor, num_tags: int) -> list[torch.dtype]:
    """Return the precisions in which weights may be summed, the preferred one first.

    On a CPU float64 costs nothing as long as the steps are small, and it needs fewer rescalings. On CUDA it also keeps
    the products away from TF32, which has only 10 significant bits.
    """
    if scores.device.type == "mps":
        return [torch.float32]
    narrow = scores.dtype == torch.float32 and scores.device.type == "cpu" and num_tags >= 32
    return [torch.float32, torch.float64] if narrow else [torch.float64]


def widest(device: torch.device) -> torch.dtype:
    """Return the widest float that a device has."""
    return torch.float32 if device.type == "mps" else torch.float64


def widened(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Bring tensors to a device that has float64: to the CPU, if their own has not."""
    if widest(tensors[0].device) == torch.float64:
        return tensors
    _warn_of_cpu(tensors[0].device.type)
    return tuple(tensor.cpu() for tensor in tensors)


@cache  # so that it is said once
def _warn_of_cpu(device: str) -> None:
    warnings.warn(f"{device} has no float64: the CRF does its sums on the CPU where they need it", stacklevel=2)
