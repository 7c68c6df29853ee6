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
        moves = self.move_scores
        if biases is not None:
            moves = moves + _moves(biases[0], np.zeros(emissions.shape[2]), biases[1])
        return self._search(emissions, mask, moves)

    def decode_by_marginals(self, emissions: NDArray, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Find the path of each row that has the most right tags to expect, among the allowed paths.

        Returns:
            (B, T), as `decode`.
        """
        moves = np.where(np.isneginf(self.move_scores), -np.inf, 0.0)
        return self._search(self.marginals(emissions, mask), mask, moves)

    def _search(self, emissions: NDArray, mask: NDArray[np.bool_], moves: Array) -> NDArray[np.int64]:
        """Find the best path of each row by scores of moves, (K+1, K+1)."""
        rows, positions, outside = emissions.shape
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

    def nbest(self, emissions: NDArray, mask: NDArray[np.bool_], count: int) -> tuple[NDArray[np.int64], Array]:
        """Find the best paths of each row, best first: Viterbi with a list of the best ones for each state.

        Of equally good paths these are the ones that `LinearChainCRF.nbest` finds, in the same order.

        Returns:
            paths: (B, count, T), -100 where the mask is False, and all along a path that does not exist.
            scores: (B, count), falling; -inf for a path that does not exist.
        """
        first, *rest = self._state_scores(emissions, mask)  # (B, K+1)
        rows, width = first.shape
        best, most = first[:, None], 1  # (B, n, K+1), with n no more than the paths up to here
        pointers = []
        for own in rest:
            # The entry of the l-th best path to previous state k has number l (K+1) + k.
            candidates = (best[..., None] + self.move_scores).reshape(rows, -1, width)
            pointer = (-candidates).argsort(1, kind="stable")[:, :most]
            best = np.take_along_axis(candidates, pointer, 1) + own[:, None]
            most = min(count, most * (width - 1))
            pointers.append(pointer.reshape(rows, -1))
        missing = ((0, 0), (0, count - best.shape[1]))
        scores = np.pad(best[..., -1], missing, constant_values=-np.inf)
        entry = np.tile(width * np.arange(best.shape[1]) + width - 1, (rows, 1))
        path = []
        for pointer in reversed(pointers):
            entry = np.take_along_axis(pointer, entry, 1)
            path.append(entry % width)
        paths = np.stack(path[-2::-1], 2)  # (B, n, T): the last one is the place before the first word
        paths = np.pad(paths, (*missing, (0, 0)), constant_values=UNKNOWN)
        return np.where(mask[:, None] & (scores > -np.inf)[..., None], paths, UNKNOWN), scores

    def entropy(self, emissions: NDArray, mask: NDArray[np.bool_]) -> Array:
        """Return the entropy of the distribution over paths, (B,), in nats; 0 where every path is forbidden."""
        swept = self.sweep(emissions, mask)
        total = np.zeros(len(mask))
        for t in range(1, len(swept.scores)):
            # log P(state | the state before), (B, K+1 from, K+1 to): sums of these do not lose digits to large scores.
            onward = self.move_scores + (swept.scores[t] + swept.after[t])[:, None]
            onward = onward - _finite(swept.after[t - 1])[:, :, None]
            reached = swept.scores[t - 1] + swept.before[t - 1] + swept.after[t - 1] - _finite(swept.log_z)[:, None]
            total -= (np.exp(reached[:, :, None] + onward) * _finite(onward)).sum((1, 2))
        return np.maximum(total, 0.0)

    def _state_scores(self, emissions: NDArray, mask: NDArray[np.bool_]) -> Array:
        """Return the score of each state by itself in each place, (P, B, K+1)."""
        scores = self._with_outside(np.where(mask[..., None], emissions, -np.inf), 2).transpose(1, 0, 2)
        scores[1:-1, :, -1] = np.where(mask.T, -np.inf, 0.0)
        return scores

    def sweep(self, emissions: NDArray, mask: NDArray[np.bool_]) -> Sweep:
        """Run the forward and the backward recursion."""
        scores = self._state_scores(emissions, mask)
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
