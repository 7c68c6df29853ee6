r"""The recursions behind `LinearChainCRF`: sums and maxima over all tag paths, exactly and fast.

Ships with every checkpoint: imports torch only. Shapes use B sequences, T positions, K tags, and P = T + 2.


1. The chain: an outside state on both sides

A path of n tags makes n + 1 moves: in, from tag to tag, out. Let one more state, number K, stand for *outside*, in the
place before the first word and in every place after the last. Then start, end and tag transitions are one matrix,

    moves = [ transitions   end ]      from a tag
            [ start          0  ]      from outside

rows of every length are walks of P - 1 moves from outside to outside, and nothing below needs a mask or a special
first and last step. At a word the outside state is forbidden (score -inf), at every other place all tags are. An empty
row stays outside at weight 1. The walks' scores are s(x, y) as `LinearChainCRF` defines it.


2. Forward and backward in the exp domain

The forward algorithm adds weights exp(score), so it needs no logarithms. Write x_t for the weights of the states at t
(the largest is scaled to 1), M for the weights of the moves (the same), * for the entry-wise product. Then

    before_t = M' upto_{t-1}      upto_t   = x_t * before_t       alpha, without and with t's own score
    after_t  = M onward_{t+1}     onward_t = x_t * after_t        beta, without and with t's own score

Both lines are the same step, so one batched matrix product and one entry-wise product do both directions at once, for
every row: 2 operations a position, where the log domain exponentiates B K^2 numbers. Any vector may be rescaled at any
step: the logs of the forward factors are added to log Z, and all else is normalised by itself:

    c_t                          = sum_j before_t(j) onward_t(j)
    P(y_t = j | x)               = before_t(j) onward_t(j) / c_t
    P(y_{t-1} = i, y_t = j | x)  = upto_{t-1}(i) M_ij onward_t(j) / c_t

These are also the gradient of log Z with respect to the scores, the expected counts. Summed over t the last line is
one matrix product. A weight has the same relative precision whatever its size; a log of size 1000 has lost three
digits: this is why float32 gradients come out a thousand times more exact than in the log domain.


3. The range guard

Weights can leave the range of the floats, and then be silently wrong. So it is settled beforehand how small they get.
Let a move's score vary by r (the largest less the smallest one that is not forbidden), let the scores at one position
vary by e, and let p be the number of moves in which every tag can reach every tag: 1 if nothing is forbidden, 2 for
IOB2, 3 for BIOES. Take the best state at t - p: some path leads from there to any state j at t. It passes p - 1
positions, where it loses at most e each, and p moves, which cost at most r each; and no sum over K + 1 states is more
than K + 1 times its largest entry. With d = r + ln(K + 1) + (1 - 1/p) e,

    no entry of before_t or after_t that ought not to be 0 is smaller than exp(-p d) times the vector's largest.

Nothing depends on e if nothing is forbidden: the scores may then be of any size. (x_t itself may underflow: such a tag
weighs less than the smallest float, so that its absence is no error. Its log probability is taken from its score.)
R steps without rescaling lose R d more, and a product of two such vectors twice that, with p to spare at both ends:

    2 (2 p + R) d  <  64 in float32 (smallest float exp(-87)),  640 in float64 (exp(-708)).

The largest R is chosen that obeys it. If not even 1 does, the next tier is taken: float32, float64, and last the log
domain in float64, where nothing can underflow. (In float32 the weights are rounded, which moves log Z by up to 1e-7 a
position.) Known tags (one tag allowed at a position) only shorten the paths above. Tag *sets* may cut any of them, so
where moves too are forbidden they count as p = T + 1.

A score 1000 or more below the best move's (-1e4 is in use as "forbidden") is left out of r, and its weight is 0: the
paths around it weigh at least exp(-640) of the best. If no path is left without it, log Z is redone in the log domain.


4. The best path

Viterbi's recursion is the forward algorithm with the maximum for the sum, and runs from both ends at once as well: the
two halves meet at the row's middle after half the steps, and are traced outwards from there. Only maxima are computed
in the loop. The states that they came from are found afterwards, for small K all at once, else along the path alone.
In float32 each position's scores are taken less their largest, so that sums stay small and keep their digits.

References:
    L. R. Rabiner, "A tutorial on hidden Markov models", 1989, sec. III-A, III-B and V-A (scaling).
    J. Lafferty, A. McCallum, F. Pereira, "Conditional random fields", ICML 2001, sec. 3.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

UNKNOWN = -100
"""In tags: a tag that nobody knows. In decoded paths: no tag, padding."""
SOFT = 1000.0
"""A move scored so far below the best one is as good as forbidden."""
RANGE = {torch.float32: 64.0, torch.float64: 640.0}
"""How many nats the guard lets the weights vary."""


class Tier(NamedTuple):
    """How to add up: in which precision, and how many steps apart to rescale; 0 means in the log domain."""

    dtype: torch.dtype
    every: int


LOG_TIER = Tier(torch.float64, 0)


class Range(NamedTuple):
    """What the guard must know, in plain numbers, read from the device at once."""

    spread: float  # e: how much the scores at one position vary
    reach: float  # r: how much the scores of the moves vary
    soft: float  # is any move as good as forbidden without being so?
    one: float  # not 0: every state follows every state
    two: float  # not 0: every tag reaches every tag in two moves
    three: float

    def tier(self, shape: torch.Size, sets: bool, dtypes: Sequence[torch.dtype]) -> Tier:
        """Return the first tier that the guard admits for scores (B, T, K), by section 3 of the file's docstring."""
        _, positions, num_tags = shape
        mixing = 1 if self.one else 2 if self.two else 3 if self.three else positions + 1
        mixing = positions + 1 if sets and mixing > 1 else min(mixing, positions + 1)
        loss = self.reach + math.log(num_tags + 1)
        if mixing > 1:
            loss += (1 - 1 / mixing) * self.spread
        for dtype in dtypes:
            steps = RANGE[dtype] / (2 * loss) - 2 * mixing
            if steps >= 1:  # False for nan
                return Tier(dtype, int(steps))
        return LOG_TIER


def stand(emissions: Tensor, mask: Tensor) -> Tensor:
    """Stand rows (B, T, K) side by side, (T, K, B), and blank what is masked: no value there may have an effect."""
    rows = emissions.permute(1, 2, 0).clone(memory_format=torch.contiguous_format)  # fresh, whatever the shape
    return rows.masked_fill_(~mask.t().unsqueeze(1), 0.0)


def measure(rows: Tensor, moves: Tensor) -> list[Tensor]:
    """Measure a `Range` of rows that stand side by side: six numbers that are still on the device."""
    spread = (rows.amax(1) - rows.amin(1)).amax() if rows.numel() else rows.new_zeros(())
    best = moves.amax()
    usable = moves > best - SOFT
    reach = best - moves.masked_fill(~usable, torch.inf).amin()
    soft = (usable != (moves > -torch.inf)).any()
    one = usable[:-1, :-1].to(moves.dtype)  # which tags reach which in one move
    two = one @ one
    return [spread, reach, soft, usable.all(), two.amin(), (two @ one).amin()]


class Chain(NamedTuple):
    """The log-scores of walks from outside to outside."""

    scores: Tensor  # (P, K+1, B), less the largest of each position
    moves: Tensor  # (K+1 from, K+1 to), less the largest; in the widest float
    peak: Tensor  # (T, 1, B), what was taken from the positions
    best: Tensor  # (), what was taken from the moves, but for that from outside to outside

    def offset(self) -> Tensor:
        """Add up what was taken from each walk, (B,)."""
        words = (self.scores[:, -1] == -torch.inf).sum(0)
        taken = self.peak.sum((0, 1), dtype=widest(self.peak.device))
        return taken + torch.where(words > 0, (words + 1) * self.best, 0.0)


def lay_out(rows: Tensor, mask: Tensor, moves: Tensor, dtype: torch.dtype) -> Chain:
    """Put rows that stand side by side between two places outside; differentiable.

    Args:
        rows: float (T, K, B).
        mask: bool (B, T), False where the row is outside.
        moves: float (K+1, K+1), -inf where forbidden.
    """
    outside = ~mask.t()  # (T, B)
    peak = rows.detach().amax(1, keepdim=True).clamp_min(torch.finfo(rows.dtype).min)  # finite, whatever is forbidden
    scores = (rows.to(dtype) - peak).masked_fill_(outside.unsqueeze(1), -torch.inf)
    scores = nn.functional.pad(scores, (0, 0, 0, 1, 1, 1), value=-torch.inf)
    scores[:, -1].masked_fill_(nn.functional.pad(outside, (0, 0, 1, 1), value=True), 0.0)
    best = moves.detach().amax()
    moves = moves - best
    moves[-1, -1] = 0.0  # so that waiting outside changes nothing, not even by rounding
    return Chain(scores, moves, peak, best)


def walks(tags: Tensor, mask: Tensor, num_tags: int) -> Tensor:
    """Write tags (B, T) as states, (P, B)."""
    states = tags.t().masked_fill(~mask.t(), num_tags)
    return nn.functional.pad(states, (0, 0, 1, 1), value=num_tags)


def path_scores(chain: Chain, states: Tensor) -> Tensor:
    """Return the score of each row's walk, (B,), less the chain's offset; -inf if it is forbidden."""
    score = chain.scores.gather(1, states.unsqueeze(1)).sum((0, 1), dtype=widest(states.device))
    return score + chain.moves[states[:-1], states[1:]].sum(0)


def widest(device: torch.device) -> torch.dtype:
    """Return the widest float of a device."""
    return torch.float32 if device.type == "mps" else torch.float64


class Sweep(NamedTuple):
    """What both recursions leave behind: vectors that are right up to a factor for each position and row.

    Weights, or logs of weights. `before` and `after` say nothing at the place where their recursion begins.
    """

    step: Tensor  # (P, 2, K+1, B), after each step forward and back, without the position's own score
    own: Tensor  # (P, 2, K+1, B), with it
    log_z: Tensor  # (B,), less the chain's offset
    logs: bool

    @property
    def before(self) -> Tensor:
        return self.step[:, 0]  # (P, K+1, B)

    @property
    def upto(self) -> Tensor:
        return self.own[:, 0]

    @property
    def after(self) -> Tensor:
        return self.step[:, 1].flip(0)

    @property
    def onward(self) -> Tensor:
        return self.own[:, 1].flip(0)


def sweep(chain: Chain, tier: Tier) -> Sweep:
    """Run the forward and the backward recursion, both in one loop."""
    moves = torch.stack((chain.moves.t(), chain.moves))  # (2, K+1 to, K+1 from) as each direction sees it
    if not tier.every:
        step, own = _log_recursion(torch.stack((chain.scores, chain.scores.flip(0)), 1), moves)
        return Sweep(step, own, own[-1, 0, -1], logs=True)
    weights = chain.scores.exp()
    step, own, log_scale = _exp_recursion(
        torch.stack((weights, weights.flip(0)), 1), moves.exp().to(tier.dtype), tier.every
    )
    return Sweep(step, own, own[-1, 0, -1].log() + log_scale, logs=False)


def log_partition(chain: Chain, tier: Tier) -> Tensor:
    """Run the forward recursion alone, and return log Z less the chain's offset, (B,)."""
    if not tier.every:
        return sweep(chain, tier).log_z
    moves = chain.moves.t()[None].exp().to(tier.dtype)
    _, own, log_scale = _exp_recursion(chain.scores.exp()[:, None], moves, tier.every)
    return own[-1, 0, -1].log() + log_scale


def _exp_recursion(own: Tensor, moves: Tensor, every: int) -> tuple[Tensor, Tensor, Tensor]:
    """Turn positions' weights (P, D, K+1, B), in place, into the vectors of D recursions.

    Returns:
        step, own: the vectors of a `Sweep`.
        log_scale: (B,), the log of what the first recursion was divided by.
    """
    step = torch.empty_like(own)
    tiny = torch.finfo(own.dtype).tiny
    peaks = []
    vector, *rest = own.unbind()
    for t, (moved, weights) in enumerate(zip(step.unbind()[1:], rest, strict=True), start=1):
        torch.bmm(moves, vector, out=moved)  # autocast lets products with `out` alone
        vector = weights.mul_(moved)
        if t % every == 0:
            peaks.append(vector.amax(1, keepdim=True).clamp_min_(tiny))
            vector.div_(peaks[-1])
    if not peaks:
        return step, own, own.new_zeros(own.shape[-1])
    return step, own, torch.stack([peak[0, 0] for peak in peaks]).to(widest(own.device)).log().sum(0)


def _log_recursion(scores: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
    """The same in the log domain: slower, of unlimited range, and differentiable."""
    vector, *rest = scores.unbind()
    steps, owns = [vector], [vector]
    for own in rest:
        steps.append(logsumexp(moves[..., None] + vector[:, None], dim=2))
        vector = own + steps[-1]
        owns.append(vector)
    return torch.stack(steps), torch.stack(owns)


def logsumexp(scores: Tensor, dim: int) -> Tensor:
    """Add weights given as logs; where all are 0, return -inf with gradient 0 (torch's own has gradient nan)."""
    peak = scores.detach().amax(dim, keepdim=True).clamp_min(torch.finfo(scores.dtype).min)
    total = (scores - peak).exp().sum(dim)  # at least 1, but where all are -inf
    return torch.where(total > 0, total.clamp_min(0.5).log() + peak.squeeze(dim), -torch.inf)


def normalize(scores: Tensor, dim: int) -> Tensor:
    """Divide weights given as logs by their sum; where all are 0 they stay 0."""
    return scores - logsumexp(scores, dim).clamp_min(torch.finfo(scores.dtype).min).unsqueeze(dim)


class Expectation(NamedTuple):
    """The gradient of log Z, 0 where no path is allowed; or of the NLL, if the gold path's counts are subtracted."""

    tags: Tensor  # (B, T, K), the probability of each tag at each position
    moves: Tensor  # (B, K+1, K+1), how often each move is expected


def expectation(chain: Chain, vectors: Sweep, dtype: torch.dtype, gold: Tensor | None = None) -> Expectation:
    """Read the expected counts off the vectors, less those of the gold walks, (P, B)."""
    if vectors.logs:
        tags, moves = _expectation_of_logs(chain, vectors)
    else:
        onward = vectors.onward[1:]
        tags = vectors.before[1:] * onward  # (P-1, K+1, B)
        norm = tags.sum(1, keepdim=True)
        norm.masked_fill_(norm == 0.0, torch.inf)  # no path is allowed: all counts are 0
        tags.div_(norm)
        upto, onward = (v.permute(2, 0, 1).contiguous() for v in (vectors.upto[:-1], onward / norm))  # (B, P-1, K+1)
        with torch.autocast(tags.device.type, enabled=False):  # which would multiply in half precision
            moves = torch.bmm(upto.mT, onward).mul_(chain.moves.exp())
    if gold is not None:
        minus = tags.new_full((), -1.0).expand_as(gold[1:])
        tags.scatter_add_(1, gold[1:].unsqueeze(1), minus.unsqueeze(1))
        path = (gold[:-1] * tags.shape[1] + gold[1:]).t()
        moves.flatten(1).scatter_add_(1, path, minus.t())
    return Expectation(
        tags[:-1, :-1].permute(2, 0, 1).to(dtype, memory_format=torch.contiguous_format), moves.to(dtype)
    )


def _expectation_of_logs(chain: Chain, vectors: Sweep) -> tuple[Tensor, Tensor]:
    joint = vectors.before[1:] + vectors.onward[1:]
    norm = logsumexp(joint, 1).clamp_min(torch.finfo(joint.dtype).min)[:, None]
    onward = vectors.onward[1:] - norm
    moves = torch.zeros_like(chain.moves)[..., None].repeat(1, 1, joint.shape[2])
    for upto, target in zip(vectors.upto[:-1], onward, strict=True):  # at once they would take P K^2 B numbers
        moves += (upto[:, None] + chain.moves[..., None] + target).exp()
    return (joint - norm).exp(), moves.permute(2, 0, 1).contiguous()


def _log_vectors(chain: Chain, vectors: Sweep) -> tuple[Tensor, Tensor]:
    """Return the logs of `upto` and `onward`, also of what is smaller than the smallest weight."""
    before, after = vectors.before[1:], vectors.after[:-1]  # without the ends, where they say nothing
    if not vectors.logs:
        before, after = before.log(), after.log()
    upto = torch.cat([chain.scores[:1], before + chain.scores[1:]])
    return upto, torch.cat([after + chain.scores[:-1], chain.scores[-1:]])


def log_marginals(chain: Chain, vectors: Sweep) -> Tensor:
    """Return log P(y_t = k | x), (B, T, K): -inf where it is 0, 0 outside."""
    joint = vectors.before + vectors.after if vectors.logs else (vectors.before * vectors.after).log()
    joint = normalize(joint[1:-1, :-1] + chain.scores[1:-1, :-1], 1)
    return joint.masked_fill(chain.scores[1:-1, -1:] == 0.0, 0.0).permute(2, 0, 1)


def pairwise_marginals(chain: Chain, vectors: Sweep) -> Tensor:
    """Return P(y_t = i, y_{t+1} = j | x), (B, T-1, K, K), 0 outside."""
    upto, onward = _log_vectors(chain, vectors)
    joint = upto[1:-2, :-1].unsqueeze(2) + chain.moves[:-1, :-1, None] + onward[2:-1, None, :-1]  # (T-1, K, K, B)
    return normalize(joint.flatten(1, 2), 1).exp().view_as(joint).permute(3, 0, 1, 2)


def entropy(chain: Chain, vectors: Sweep) -> Tensor:
    """Return log Z less the expected score, (B,); 0 where no path is allowed."""
    expected = expectation(chain, vectors, chain.scores.dtype)
    scores = chain.scores[1:-1, :-1].permute(2, 0, 1)
    mean = (expected.tags * scores.masked_fill(scores == -torch.inf, 0.0)).sum((1, 2))
    mean = mean + (expected.moves * chain.moves.masked_fill(chain.moves == -torch.inf, 0.0)).sum((1, 2))
    return torch.where(vectors.log_z > -torch.inf, vectors.log_z - mean, 0.0)


def span_log_probs(chain: Chain, vectors: Sweep, rows: Tensor, starts: Tensor, sets: Tensor) -> Tensor:
    """Return the log probability that `sets`, bool (N, L, K), hold the tags of N spans, (N,).

    The tags given the sentence are a Markov chain; its conditional probabilities are read off `onward`.
    """
    _, onward = _log_vectors(chain, vectors)
    sets = nn.functional.pad(sets, (0, 1), value=True)  # whatever is asked of a place outside holds
    middle = vectors.before + vectors.after if vectors.logs else (vectors.before * vectors.after).log()
    place = starts + 1
    span = normalize(middle[place, :, rows] + chain.scores[place, :, rows], 1)  # (N, K+1)
    span = span.masked_fill(~sets[:, 0], -torch.inf)
    for offset in range(1, sets.shape[1]):
        place = (starts + 1 + offset).clamp_max(len(onward) - 1)
        following = normalize(chain.moves + onward[place, None, :, rows], 2)  # (N, K+1 from, K+1 to)
        span = logsumexp(span.unsqueeze(2) + following, 1).masked_fill(~sets[:, offset], -torch.inf)
    return logsumexp(span, 1)


def sample(chain: Chain, vectors: Sweep, num_samples: int, generator: torch.Generator | None) -> Tensor:
    """Draw paths from the posterior, (B, S, T): each state given the one before, by the Gumbel-max trick."""
    _, onward = _log_vectors(chain, vectors)
    states = [torch.full((onward.shape[2], num_samples), onward.shape[1] - 1, device=onward.device)]
    for target in onward[1:-1]:
        log_weights = chain.moves[states[-1]] + target.t().unsqueeze(1)  # (B, S, K+1)
        noise = torch.empty_like(log_weights).exponential_(generator=generator).log()
        states.append((log_weights - noise).argmax(2))
    return torch.stack(states, 2)[..., 1:]


def nbest(emissions: Tensor, mask: Tensor, moves: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Find the best paths, (B, n, T), and their scores, (B, n): Viterbi with a list of the n best in each state."""
    chain = lay_out(stand(emissions, mask), mask, moves, torch.float64)
    width = len(chain.moves)
    best = chain.scores.new_full((count, *chain.scores.shape[1:]), -torch.inf)  # (n, K+1, B)
    best[0] = chain.scores[0]
    pointers = []
    for own in chain.scores[1:]:
        candidates = (best.unsqueeze(2) + chain.moves.unsqueeze(2)).flatten(0, 1)  # (n x K+1 previous, K+1, B)
        # A stable sort: `topk` promises nothing about ties.
        best, pointer = (ranked[:count] for ranked in candidates.sort(dim=0, descending=True, stable=True))
        best = best + own
        pointers.append(pointer)
    scores = best[:, -1].t()  # (B, n)
    entry = (
        torch.full_like(scores.t(), width - 1, dtype=torch.int64)
        + width * torch.arange(count, device=mask.device)[:, None]
    )
    path = []
    for pointer in reversed(pointers):  # an entry is rank * (K+1) + state
        entry = pointer.flatten(0, 1).gather(0, entry)
        path.append(entry % width)
    paths = torch.stack(path[-2::-1], 2) if len(path) > 1 else entry.new_zeros(*entry.shape, 0)  # (n, B, T)
    return paths.transpose(0, 1), scores + chain.offset()[:, None]


def viterbi(emissions: Tensor, mask: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
    """Find the best paths, (B, T), and their scores, (B,), from both ends at once, in the precision of the emissions.

    The rows' middles stand one above the other, so that a row's result cannot depend on the batch. The forward and the
    backward recursion meet there after half the steps; then both halves are traced outwards.
    """
    if emissions.dtype == torch.float32:  # add up what paths lose against the best tags: it keeps more digits
        peak = emissions.amax(2, keepdim=True).clamp_min(torch.finfo(torch.float32).min)
        paths, best = _search(emissions - peak, mask, moves.float())
        states = walks(paths, mask, emissions.shape[2])
        own = emissions.gather(2, paths.clamp(0, emissions.shape[2] - 1).unsqueeze(2)).squeeze(2)
        scores = own.masked_fill(~mask, 0.0).sum(1, dtype=moves.dtype) + moves[states[:-1], states[1:]].sum(0)
        return paths, torch.where(best > -torch.inf, scores, -torch.inf)
    return _search(emissions, mask, moves)


def _search(emissions: Tensor, mask: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
    size, positions, outside = emissions.shape
    half = max(1, (positions + 1) // 2)
    # Entry [s, d, b]: the position of row b that the search reaches from end d in step s; `positions` means outside.
    length = mask.sum(1)
    left, right = torch.arange(-half, half, device=mask.device).view(2, half)
    away = torch.stack((left, right.flip(0)), 1).unsqueeze(2)  # (half, 2, 1), from the right half's first
    source = away + length // 2
    source.masked_fill_((source < 0) | (source >= length), positions)

    # One more tag, outside, and one more position, where it is the only one.
    table = nn.functional.pad(emissions, (0, 1, 0, 1), value=-torch.inf)
    table[:, -1, -1] = 0.0
    index = source.flatten(0, 1).t()  # (B, 2 half)
    scores = table[torch.arange(size, device=mask.device)[:, None], index]  # (B, 2 half, K+1)
    scores = scores.view(size, half, 2, outside + 1).permute(1, 3, 2, 0).contiguous()  # (half, K+1, 2, B)

    both = torch.stack((moves.t(), moves), 2).unsqueeze(3)  # (K+1 next, K+1 previous, 2, 1)
    small = half * both.numel() * size <= CANDIDATES
    last, trace = (_viterbi_small if small else _viterbi_large)(scores, both)
    left, right = last.unbind(1)  # (K+1, B)
    meeting = (left[:, None] + moves[..., None] + right).flatten(0, 1)  # (left x right, B)
    best, pair = meeting.max(0)
    path = trace(torch.stack((pair // (outside + 1), pair % (outside + 1))))  # (half, 2, B)
    paths = index.new_full((size, positions + 1), UNKNOWN)
    paths.scatter_(1, index, path.flatten(0, 1).t())
    return paths[:, :-1], best


CANDIDATES = 2**22
"""Up to how many scores of one more move the search keeps, rather than computing those along the path again."""


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
