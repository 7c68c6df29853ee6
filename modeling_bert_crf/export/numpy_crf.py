"""The decoder of an exported model: best paths and exact probabilities of a linear-chain CRF, with numpy alone.

This file travels with an export.

Shapes use four letters: B sequences, T positions, K tags, and P = T + 2 places. As in `crf_engine.py`, there is one
more state, number K, called *outside*: every sequence is outside in the place before its first word and in every place
after its last. So the scores of starting, of ending and of going from tag to tag are one matrix, and rows of all
lengths are walks from outside to outside. All sums are taken in float64 and of logs, so that scores may be of any
size.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNKNOWN", "NumpyCRF", "Sweep"]

UNKNOWN = -100
"""Stands in paths where there is no tag, which is past a row's end."""
Array = NDArray[np.float64]


class Sweep(NamedTuple):
    """The result of the forward and the backward recursion: logs of weights, place by place.

    Attributes:
        scores: (P, B, K+1), of each state by itself; -inf where the row cannot be in the state.
        before: (P, B, K+1), of all walks that lead to a state, without its own score.
        after: (P, B, K+1), of all walks that follow a state, without its own score.
        log_z: (B,), of all walks.
    """

    scores: Array
    before: Array
    after: Array
    log_z: Array


class NumpyCRF:
    """A trained linear-chain CRF.

    Every method takes `emissions`, float (B, T, K), and `mask`, bool (B, T), True on a prefix of each row. Values
    where the mask is False are not read.

    Args:
        start_transitions: float (K,), score of starting with a tag; -inf if it is forbidden.
        end_transitions: float (K,), of ending with a tag.
        transitions: float (K, K), of going **from** tag i **to** tag j.
    """

    def __init__(self, start_transitions: Array, end_transitions: Array, transitions: Array):
        self.move_scores = _moves(start_transitions, end_transitions, transitions)

    def decode(
        self, emissions: NDArray, mask: NDArray[np.bool_], biases: tuple[NDArray, NDArray] | None = None
    ) -> NDArray[np.int64]:
        """Find the best path of each row, by the Viterbi algorithm, in O(T K^2).

        Of equally good paths this is the one that `LinearChainCRF.decode` finds. The recursions run from both ends and
        meet in the middle of the row. There the tag to the left is the smallest that a best path has, then the tag to
        the right; and then, outwards, each tag is the smallest. Sums are added in the same order as there, so that
        paths which are equally good there are equally good here.

        Args:
            biases: (K,) and (K, K), added for this search to the scores of starting and of going from tag to tag.

        Returns:
            (B, T), -100 where the mask is False. Arbitrary where every path is forbidden.
        """
        rows, positions, outside = emissions.shape
        moves = self.move_scores
        if biases is not None:
            moves = moves + _moves(biases[0], np.zeros(outside), biases[1])
        half = max(1, (positions + 1) // 2)
        length = mask.sum(1)[:, None]
        # The position that the search reaches from the left, and from the right, in each step. The number `positions`
        # stands for the place outside.
        steps = np.arange(half)
        source = np.stack([length // 2 - half + steps, length // 2 + half - 1 - steps])  # (2, B, half)
        source[(source < 0) | (source >= length)] = positions
        table = self._with_outside(emissions, 1)
        scores = table[np.arange(rows)[:, None], source].transpose(2, 0, 1, 3)  # (half, 2, B, K+1)

        move_scores = np.stack([moves.T, moves])[:, None]  # (2, 1, K+1 next, K+1 previous)
        best = [np.broadcast_to(move_scores[..., outside], scores.shape[1:])]  # without the state's own score
        for own in scores[:-1]:
            best.append(((own[:, :, None] + move_scores) + best[-1][:, :, None]).max(3))
        left, right = scores[-1] + best[-1]
        meeting = (left[:, :, None] + moves) + right[:, None]
        state = np.stack(np.divmod(meeting.reshape(rows, -1).argmax(1), outside + 1))  # (2, B)

        path = [state]
        sides, each = np.arange(2)[:, None], np.zeros_like(state)
        for own, reached in zip(scores[-2::-1], best[-2::-1], strict=True):
            path.append(((own + move_scores[sides, each, path[-1]]) + reached).argmax(2))
        paths = np.full((rows, positions + 1), UNKNOWN)
        np.put_along_axis(paths, np.hstack([*source]), np.hstack([*np.stack(path[::-1], 2)]), 1)
        return np.where(mask, np.minimum(paths[:, :-1], outside - 1), UNKNOWN)

    def sweep(self, emissions: NDArray, mask: NDArray[np.bool_]) -> Sweep:
        """Run the forward and the backward recursion."""
        scores = self._with_outside(np.where(mask[..., None], emissions, -np.inf), 2).transpose(1, 0, 2)
        scores[1:-1, :, -1] = np.where(mask.T, -np.inf, 0.0)
        before, after = np.full_like(scores, -np.inf), np.full_like(scores, -np.inf)
        before[0, :, -1] = after[-1, :, -1] = 0.0
        for t in range(1, len(scores)):
            before[t] = _log_sum((scores[t - 1] + before[t - 1])[:, :, None] + self.move_scores, 1)
            after[-t - 1] = _log_sum(self.move_scores + (scores[-t] + after[-t])[:, None], 2)
        return Sweep(scores, before, after, before[-1, :, -1])

    def marginals(self, emissions: NDArray, mask: NDArray[np.bool_]) -> Array:
        """Return P(y_t = k | x), (B, T, K), the probability of each tag given the whole sequence.

        It is 0 where the mask is False.
        """
        swept = self.sweep(emissions, mask)
        weights = (swept.before + swept.scores + swept.after)[1:-1, :, :-1] - _finite(swept.log_z)[:, None]
        return np.exp(weights).transpose(1, 0, 2)

    def span_probabilities(
        self,
        emissions: NDArray,
        mask: NDArray[np.bool_],
        paths: NDArray[np.int64],
        spans: Sequence[tuple[int, int, int]],
        apart: NDArray[np.bool_],
    ) -> Array:
        """Return the probabilities that stretches of the given paths are entities, with exactly these words.

        Args:
            paths: (B, T), as `decode` returns them.
            spans: (row, first position, position after the last) of N stretches.
            apart: bool (K, K), whether an entity that the first tag belongs to ends before the second tag.

        Returns:
            (N,): the sum over all paths that have these tags there, and no tag beside them that makes the entity
            longer.
        """
        row, start, end = np.array(spans, dtype=np.int64).reshape(-1, 3).T
        swept, outside = self.sweep(emissions, mask), emissions.shape[2]
        walk = np.pad(np.where(mask, paths, outside), ((0, 0), (1, 1)), constant_values=outside)  # (B, P)
        own = np.take_along_axis(swept.scores, walk.T[..., None], 2)[..., 0].T  # (B, P)
        step = np.pad(self.move_scores[walk[:, :-1], walk[:, 1:]], ((0, 0), (1, 0))) + own
        # A step is forbidden only where all paths are, and then the result is 0 in any case.
        walked = np.cumsum(_finite(step), axis=1)
        first, last = start + 1, end  # places
        inside = walked[row, last] - walked[row, first] + own[row, first]

        borders = np.where(np.pad(apart, (0, 1), constant_values=True), self.move_scores, -np.inf)
        left = (swept.scores + swept.before)[first - 1, row] + borders[:, walk[row, first]].T  # (N, K+1)
        right = borders[walk[row, last]] + (swept.scores + swept.after)[last + 1, row]
        weights = _log_sum(left, 1) + inside + _log_sum(right, 1)
        return np.where(np.isneginf(swept.log_z[row]), 0.0, np.exp(weights - _finite(swept.log_z[row])))

    @staticmethod
    def _with_outside(emissions: NDArray, places: int) -> Array:
        """Add the state outside, and places outside: one behind the positions, or two, one on each side."""
        table = np.pad(emissions.astype(np.float64), ((0, 0), (places - 1, 1), (0, 1)), constant_values=-np.inf)
        table[:, -1, -1] = 0.0
        table[:, : places - 1, -1] = 0.0
        return table


def _moves(start: NDArray, end: NDArray, transitions: NDArray) -> Array:
    """Put what concerns starting, ending and going from tag to tag into one matrix, (K+1 from, K+1 to)."""
    return np.vstack([np.column_stack([transitions, end]), [*start, 0.0]]).astype(np.float64)


def _log_sum(scores: Array, axis: int) -> Array:
    """Return the log of a sum of weights that are given as logs; -inf where all weights are 0."""
    peak = _finite(scores.max(axis, keepdims=True))
    with np.errstate(divide="ignore"):
        return np.log(np.exp(scores - peak).sum(axis)) + peak.squeeze(axis)


def _finite(scores: Array) -> Array:
    """Return scores with 0 in place of -inf, since the difference of two -inf would be nan."""
    return np.where(np.isneginf(scores), 0.0, scores)
