"""The best paths of `LinearChainCRF`: Viterbi from both ends at once, and the n best.

Ships with every checkpoint: imports torch only. Shapes, and the state outside, as in `crf_engine.py`.

Viterbi's recursion is the forward algorithm with the maximum for the sum, and runs from both ends at once as well: the
two halves meet at the row's middle after half the steps, and are traced outwards from there. Only maxima are computed
in the loop. The states that they came from are found afterwards, for small K all at once, else along the path alone.
In float32 each position's scores are taken less their largest, so that sums stay small and keep their digits.

References:
    L. R. Rabiner, "A tutorial on hidden Markov models", 1989, sec. III-B.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .crf_engine import lay_out, peaks, tabulate, walk

UNKNOWN = -100
"""In tags: a tag that nobody knows. In decoded paths: no tag, padding."""
CANDIDATES = 2**22
"""Up to how many scores of one more move the search keeps, rather than computing those along the path again."""


def nbest(emissions: Tensor, mask: Tensor, moves: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Find the best paths, (B, n, T), and their scores, (B, n): Viterbi with a list of the n best in each state."""
    table = tabulate(emissions, torch.float64)
    chain = lay_out(table, peaks(table), ~mask, moves)
    first, *rest = chain.scores.transpose(1, 2)  # (K+1, B)
    width = len(chain.moves)
    best, most = first[None], 1  # (n, K+1, B), with n no more than the paths up to here
    pointers = []
    for own in rest:
        candidates = (best.unsqueeze(2) + chain.moves.unsqueeze(2)).flatten(0, 1)  # (n x K+1 previous, K+1, B)
        # A stable sort: `topk` promises nothing about ties.
        best, pointer = (ranked[:most] for ranked in candidates.sort(dim=0, descending=True, stable=True))
        best = best + own
        most = min(count, most * (width - 1))
        pointers.append(pointer)
    missing = count - len(best)
    scores = nn.functional.pad(best[:, -1].t(), (0, missing), value=-torch.inf)  # (B, n)
    entry = width * torch.arange(len(best), device=mask.device)[:, None] + (width - 1)
    entry = entry.expand(len(best), len(mask))
    path = []
    for pointer in reversed(pointers):  # an entry is rank * (K+1) + state
        entry = pointer.flatten(0, 1).gather(0, entry)
        path.append(entry % width)
    paths = torch.stack(path[-2::-1], 2) if len(path) > 1 else entry.new_zeros(*entry.shape, 0)  # (n, B, T)
    paths = nn.functional.pad(paths.transpose(0, 1), (0, 0, 0, missing), value=UNKNOWN)
    return paths, scores + chain.offset()[:, None]


def viterbi(emissions: Tensor, mask: Tensor, moves: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Find the best paths, (B, T), and their scores, (B,), from both ends at once, in a precision.

    The rows' middles stand one above the other, so that a row's result cannot depend on the batch. The forward and the
    backward recursion meet there after half the steps; then both halves are traced outwards.
    """
    num_tags = emissions.shape[2]
    table = tabulate(emissions, dtype)
    if dtype == torch.float64:
        paths, best = _search(table, mask, moves)
        return paths.clamp_max(num_tags - 1), best
    # Add up what paths lose against the best tags: it keeps more digits.
    paths, best = _search(table.sub_(peaks(table)), mask, moves.float())
    path = walk(paths, ~mask, num_tags)
    own = emissions.gather(2, paths.clamp(0, num_tags - 1).unsqueeze(2)).squeeze(2).masked_fill(~mask, 0.0)
    scores = own.sum(1, dtype=moves.dtype) + moves.take(path.moves).sum(0)
    return paths.clamp_max(num_tags - 1), torch.where(best > -torch.inf, scores, -torch.inf)


@torch.inference_mode()  # where views and operations in place cost a third less
def _search(table: Tensor, mask: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
    size, positions = mask.shape
    half, width, last = max(1, (positions + 1) // 2), len(moves), len(table) - 1
    # Entry [s, d, b]: the position of row b that the search reaches from end d in step s, as a row of the table.
    length = mask.sum(1)
    left = torch.arange(-half, 0, device=mask.device)  # from the first position of the right half
    position = torch.stack((left, -1 - left), 1).unsqueeze(2) + length // 2  # (half, 2, B)
    absent = (position < 0) | (position >= length)
    first = torch.arange(0, last, positions, device=mask.device) if positions else length
    places = (position + first).masked_fill_(absent, last).flatten()
    scores = table.index_select(0, places).view(half, 2, size, width).permute(0, 3, 1, 2).contiguous()

    both = torch.stack((moves.t(), moves), 2).unsqueeze(3)  # (K+1 next, K+1 previous, 2, 1)
    small = half * both.numel() * size <= CANDIDATES
    ends, trace = (_viterbi_small if small else _viterbi_large)(scores, both)
    left, right = ends.unbind(1)  # (K+1, B)
    meeting = (left[:, None] + moves[..., None] + right).flatten(0, 1)  # (left x right, B)
    best, pair = meeting.max(0)
    path = trace(torch.stack((pair // width, pair % width)))  # (half, 2, B)
    paths = places.new_full((last + 1,), UNKNOWN).scatter_(0, places, path.flatten())
    return paths[:-1].view(size, positions), best


def _viterbi_small(scores: Tensor, moves: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Search with every candidate kept: two operations a step, and one to trace it."""
    width = len(moves)
    candidates = scores[:-1].unsqueeze(1) + moves  # (half-1, K+1 next, K+1 previous, 2, B)
    best = torch.empty_like(scores[1:])  # (half-1, K+1, 2, B), without the position's own score
    previous = moves[:, -1]  # (K+1, 2, 1): from outside
    for candidate, target in zip(candidates.unbind(), best.unbind(), strict=True):
        previous = torch.amax(candidate.add_(previous), 1, out=target)
    # The smallest state that is as good as the best: `argmax` is slow on a dimension that is not the last one.
    states = torch.arange(width, 0, -1, dtype=scores.dtype, device=scores.device)[:, None, None]
    pointers = width - candidates.ge_(best.unsqueeze(2)).mul_(states).amax(2).long()  # (half-1, K+1, 2, B)

    def trace(state: Tensor) -> Tensor:
        path = state.new_empty(len(scores), 1, *state.shape)
        path[-1] = state
        *rest, near = path.unbind()
        for pointer, far in zip(reversed(pointers.unbind()), reversed(rest), strict=True):
            near = torch.gather(pointer, 0, near, out=far)
        return path.squeeze(1)

    return scores[-1] + previous, trace


def _viterbi_large(scores: Tensor, moves: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Search with scores alone, and find the best previous state again along the path."""
    vectors = torch.empty_like(scores)
    candidate = scores.new_empty(*moves.shape[:3], scores.shape[3])  # (K+1 next, K+1 previous, 2, B)
    torch.add(scores[0], moves[:, -1], out=vectors[0])
    before, *rest = vectors.unbind()
    for own, vector in zip(scores.unbind()[1:], rest, strict=True):
        torch.add(moves, before, out=candidate)
        before = torch.amax(candidate, 1, out=vector).add_(own)

    into = moves[..., 0].permute(2, 0, 1).flatten(0, 1)  # (2 x K+1 next, K+1 previous)
    row = torch.tensor([[0], [len(moves)]], device=scores.device)

    def trace(state: Tensor) -> Tensor:
        path = [state]
        for vector in reversed(vectors[:-1].permute(0, 2, 3, 1).unbind()):  # (2, B, K+1)
            candidates = into.index_select(0, (path[-1] + row).flatten()).view(vector.shape) + vector
            path.append(candidates.argmax(2))
        return torch.stack(path[::-1])

    return before, trace
