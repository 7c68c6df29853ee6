"""The best paths of `LinearChainCRF`: Viterbi's search from both ends at once, and the n best paths.

Ships with every checkpoint: imports torch only. Shapes, and the words state, place, stop and outside, as in
`crf_engine.py`.

Viterbi's recursion is the forward algorithm with the maximum in place of the sum. It, too, runs from both ends of a
row at once: the two halves meet in the middle of the row after half the steps, and the path is traced from there to
both ends. The loop computes maxima only. Which state each of them came from is found afterwards: for all states
together if they are few, and otherwise along the path alone.

In float32 the largest score of each position is subtracted from the scores there, so that sums stay small and keep
their digits.

References:
    L. R. Rabiner, "A tutorial on hidden Markov models", 1989, sec. III-B.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .crf_engine import peaks_of, tabulate, trellis_of, walk
from .crf_kernels import kernels_run, run_search

__all__ = ["UNKNOWN", "nbest", "viterbi"]

UNKNOWN = -100
"""In tags that are given: nobody knows this tag. In paths that are found: there is no word here."""
CANDIDATES = 2**22
"""How many candidates a search may keep: at each step, the score of each state when it is reached from each other one.
If there are more, it keeps the best alone, and computes the candidates along the path again."""


def nbest(emissions: Tensor, mask: Tensor, move_scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Find the best paths, (B, n, T), and their scores, (B, n): Viterbi with a list of the n best for each state.

    They come out where there is float64, which may be the CPU.
    """
    trellis = trellis_of(emissions, mask, move_scores, torch.float64)
    first, *rest = trellis.state_scores.transpose(1, 2)  # (K+1, B)
    width = len(trellis.move_scores)
    best, most = first[None], 1  # (n, K+1, B), with n no more than the paths up to here
    pointers = []
    for own in rest:
        # (n x K+1 previous, K+1, B). The entry of the l-th best path to previous state k has number l (K+1) + k.
        candidates = (best.unsqueeze(2) + trellis.move_scores.unsqueeze(2)).flatten(0, 1)
        # A stable sort: `topk` promises nothing about ties.
        best, pointer = (entries[:most] for entries in candidates.sort(dim=0, descending=True, stable=True))
        best = best + own
        most = min(count, most * (width - 1))
        pointers.append(pointer)
    missing = count - len(best)
    scores = nn.functional.pad(best[:, -1].t(), (0, missing), value=-torch.inf)  # (B, n)
    entry = width * torch.arange(len(best), device=scores.device)[:, None] + (width - 1)
    entry = entry.expand(len(best), len(mask))
    path = []
    for pointer in reversed(pointers):
        entry = pointer.flatten(0, 1).gather(0, entry)
        path.append(entry % width)
    paths = torch.stack(path[-2::-1], 2) if len(path) > 1 else entry.new_zeros(*entry.shape, 0)  # (n, B, T)
    paths = nn.functional.pad(paths.transpose(0, 1), (0, 0, 0, missing), value=UNKNOWN)
    return paths, scores + trellis.offset()[:, None]


def viterbi(emissions: Tensor, mask: Tensor, move_scores: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Find the best paths, (B, T), and their scores, (B,), in a precision.

    In memory the middles of all rows stand at the same index, and not their beginnings. So the result for a row cannot
    depend on the length of other rows, even where several paths are equally good.
    """
    if kernels_run(emissions):
        return run_search(emissions, mask, move_scores, UNKNOWN)
    num_tags = emissions.shape[2]
    table = tabulate(emissions, dtype)
    if dtype == torch.float64:
        paths, best = _search(table, mask, move_scores)
        return paths.clamp_max(num_tags - 1), best
    paths, best = _search(table.sub_(peaks_of(table)), mask, move_scores.float())
    # The scores that were searched are rounded sums: add up those of the paths again, in the wider float of the moves.
    path = walk(paths, ~mask, num_tags)
    own = emissions.gather(2, paths.clamp(0, num_tags - 1).unsqueeze(2)).squeeze(2).masked_fill(~mask, 0.0)
    scores = own.sum(1, dtype=move_scores.dtype) + move_scores.take(path.moves).sum(0)
    return paths.clamp_max(num_tags - 1), torch.where(best > -torch.inf, scores, -torch.inf)


@torch.inference_mode()  # where views and operations in place cost a third less
def _search(table: Tensor, mask: Tensor, move_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Search from both ends of each row to its middle."""
    size, positions = mask.shape
    half, width, last = max(1, (positions + 1) // 2), len(move_scores), len(table) - 1
    # Entry [s, d, b] is the place that the search in row b reaches in step s, from the left for d = 0, else the right.
    length = mask.sum(1)
    left = torch.arange(-half, 0, device=mask.device)  # from the first position of the right half
    position = torch.stack((left, -1 - left), 1).unsqueeze(2) + length // 2  # (half, 2, B)
    absent = (position < 0) | (position >= length)
    first = torch.arange(0, last, positions, device=mask.device) if positions else length
    places = (position + first).masked_fill_(absent, last).flatten()
    state_scores = table.index_select(0, places).view(half, 2, size, width).permute(0, 3, 1, 2).contiguous()

    both = torch.stack((move_scores.t(), move_scores), 2).unsqueeze(3)  # (K+1 next, K+1 previous, 2, 1)
    small = half * both.numel() * size <= CANDIDATES
    ends, trace = (_viterbi_small if small else _viterbi_large)(state_scores, both)
    left, right = ends.unbind(1)  # (K+1, B)
    meeting = (left[:, None] + move_scores[..., None] + right).flatten(0, 1)  # (left x right, B)
    best, pair = meeting.max(0)
    path = trace(torch.stack((pair // width, pair % width)))  # (half, 2, B)
    paths = places.new_full((last + 1,), UNKNOWN).scatter_(0, places, path.flatten())
    return paths[:-1].view(size, positions), best


def _viterbi_small(state_scores: Tensor, move_scores: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Search with every candidate kept: two operations a step, and one to trace it.

    Args:
        state_scores: (half, K+1, 2, B).
        move_scores: (K+1 next, K+1 previous, 2, 1).

    Returns:
        the scores of the best paths to each state at the last step, (K+1, 2, B); and a function that takes a state at
        the last step for each row, (2, B), and traces the best path to it, (half, 2, B).
    """
    width = len(move_scores)
    candidates = state_scores[:-1].unsqueeze(1) + move_scores  # (half-1, K+1 next, K+1 previous, 2, B)
    best = torch.empty_like(state_scores[1:])  # (half-1, K+1, 2, B), without the state's own score
    previous = move_scores[:, -1]  # (K+1, 2, 1): from outside
    for candidate, target in zip(candidates.unbind(), best.unbind(), strict=True):
        previous = torch.amax(candidate.add_(previous), 1, out=target)
    # The smallest state that is as good as the best: `argmax` is slow on a dimension that is not the last one.
    states = torch.arange(width, 0, -1, dtype=state_scores.dtype, device=state_scores.device)[:, None, None]
    pointers = width - candidates.ge_(best.unsqueeze(2)).mul_(states).amax(2).long()  # (half-1, K+1, 2, B)

    def trace(state: Tensor) -> Tensor:
        path = state.new_empty(len(state_scores), 1, *state.shape)
        path[-1] = state
        *rest, near = path.unbind()
        for pointer, far in zip(reversed(pointers.unbind()), reversed(rest), strict=True):
            near = torch.gather(pointer, 0, near, out=far)
        return path.squeeze(1)

    return state_scores[-1] + previous, trace


def _viterbi_large(state_scores: Tensor, move_scores: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Do the same with the best scores kept alone, and find the best previous state again along the path."""
    vectors = torch.empty_like(state_scores)
    candidate = state_scores.new_empty(*move_scores.shape[:3], state_scores.shape[3])  # (K+1 next, K+1 previous, 2, B)
    torch.add(state_scores[0], move_scores[:, -1], out=vectors[0])
    before, *rest = vectors.unbind()
    for own, vector in zip(state_scores.unbind()[1:], rest, strict=True):
        torch.add(move_scores, before, out=candidate)
        before = torch.amax(candidate, 1, out=vector).add_(own)

    into = move_scores[..., 0].permute(2, 0, 1).flatten(0, 1)  # (2 x K+1 next, K+1 previous)
    first = torch.tensor([[0], [len(move_scores)]], device=state_scores.device)  # line of each direction

    def trace(state: Tensor) -> Tensor:
        path = [state]
        for vector in reversed(vectors[:-1].permute(0, 2, 3, 1).unbind()):  # (2, B, K+1)
            candidates = into.index_select(0, (path[-1] + first).flatten()).view(vector.shape) + vector
            path.append(candidates.argmax(2))
        return torch.stack(path[::-1])

    return before, trace
