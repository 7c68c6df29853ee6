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

So a batch is a table of places, (B T + 1, K+1), all words and last the one place outside, and for each walk the places
that it visits. To pick the table's rows in that order is all it takes to mask, to pad, to reverse, and to put the
sequences side by side.


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
IOB2, 3 for BIOES. The largest weight of a position and of a move is 1.

Nothing grows fast: a sum over K + 1 states is at most K + 1 times its largest entry, so that in R steps without
rescaling no entry grows by more than (K + 1)^R.

Nothing shrinks fast, if p is 1: every state at t can be reached from the best one at t - 1, by a move that costs at
most r. So no entry of before_t is less than exp(-r) of the largest one of upto_{t-1}; nor is the largest one of
upto_t, since some x_t is 1. In R steps all entries lose at most R r. Nothing depends on e: the scores may be of any
size. (x_t itself may underflow: such a tag weighs less than the smallest float, so that its absence is no error. Its
log probability is taken from its score.)

If p is more, some path of p moves leads from the best state at t - p to any state at t, through p - 1 positions where
it loses at most e: p l in all, with l = r + (1 - 1/p) e. Longer paths are made of such pieces, from one state with x =
1 to the next, and lose R l in R steps. At their ends the pieces may not fit. The best state at the last rescaling may
lead nowhere in the moves that are left: then the path begins up to p moves before it, where the largest entry may have
been (K + 1)^p times smaller. The last piece may have p - 1 moves more than the others. A last move may lead outside.
That is at most (p + 2) l + p ln(K + 1) more, and p + 2 is at most 4 (p - 1).

With d = l + ln(K + 1) both together: until the next rescaling, entries that ought not to be 0 are between exp(-(R + 4
(p - 1)) d) and exp(R d) times the largest one at the last. Gradients are products of two such vectors, divided by
their sum c_t, which is at least the product at the state with x_t = 1. So everything that is not lost in the rounding
of c_t is in range if

    2 (R + 4 (p - 1)) d  <  64 in float32 (smallest float exp(-87)),  640 in float64 (exp(-708)).

The largest R is chosen that obeys it. If not even 1 does, the next tier is taken: float32, float64, and last the log
domain in float64, where nothing can underflow. (In float32 the weights are rounded, which moves log Z by up to 1e-7 a
position.) Known tags (one tag allowed at a position) only shorten the paths above. Tag *sets* may cut any of them, so
where moves too are forbidden they count as p = T + 1.

A score 1000 or more below the best move's (-1e4 is in use as "forbidden") is left out of r, and its weight is 0: the
paths around it weigh at least exp(-640) of the best. If no path is left without it, log Z is redone in the log domain.
But the move is allowed, and the log of its probability is finite. A state that only such moves lead to has weight 0;
so where logs are asked for, the step that led there is done again in logs, from those of the place before. There are
such states within p moves of either end alone, so that it costs little.

References:
    L. R. Rabiner, "A tutorial on hidden Markov models", 1989, sec. III-A and V-A (scaling).
    J. Lafferty, A. McCallum, F. Pereira, "Conditional random fields", ICML 2001, sec. 3.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

SOFT = 1000.0
"""A move scored so far below the best one has weight 0, in the sums that are not done in logs."""
RANGE = {torch.float32: 64.0, torch.float64: 640.0}
"""How many nats the guard lets the weights vary."""


class Tier(NamedTuple):
    """How to add up: in which precision, and how many steps apart to rescale; 0 means in the log domain."""

    dtype: torch.dtype
    every: int
    soft: bool = False  # do moves weigh 0 that are allowed?

    @property
    def plain(self) -> bool:
        """Are all weights that ought not be 0 in range?"""
        return bool(self.every) and not self.soft

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} {'exp' if self.every else 'log'}"


LOG_TIER = Tier(torch.float64, 0)


class Range(NamedTuple):
    """What the guard must know, in plain numbers, read from the device at once."""

    spread: float  # e: how much the scores at one position vary
    reach: float  # r: how much the scores of the moves vary
    soft: float  # is any move scored so low that it weighs 0, but allowed?
    one: float  # not 0: every state follows every state
    two: float  # not 0: every tag reaches every tag in two moves
    three: float

    def tier(self, positions: int, num_tags: int, sets: bool, dtypes: Sequence[torch.dtype]) -> Tier:
        """Return the first tier that the guard admits, by section 3 of the file's docstring."""
        mixing = 1 if self.one else 2 if self.two else 3 if self.three else positions + 1
        mixing = positions + 1 if sets and mixing > 1 else min(mixing, positions + 1)
        loss = self.reach + math.log(num_tags + 1)
        if mixing > 1:
            loss += (1 - 1 / mixing) * self.spread
        for dtype in dtypes:
            steps = RANGE[dtype] / (2 * loss) - 4 * (mixing - 1)
            if steps >= 1:  # False for nan
                return Tier(dtype, int(steps), bool(self.soft))
        return LOG_TIER


def tabulate(emissions: Tensor, dtype: torch.dtype) -> Tensor:
    """Write the scores of all places as a table, (B T + 1, K+1): row b T + t is a word, the last row is outside.

    Differentiable. What is masked is copied as it is; nothing may look at it.
    """
    size, positions, num_tags = emissions.shape
    table = emissions.new_full((size * positions + 1, num_tags + 1), -torch.inf, dtype=dtype)
    table[:-1, :-1] = emissions.reshape(-1, num_tags)
    table[-1, -1] = 0.0
    return table


def peaks(table: Tensor) -> Tensor:
    """Return each place's largest score, (B T + 1, 1); finite, whatever is forbidden."""
    return table.detach().amax(1, keepdim=True).clamp_min_(torch.finfo(table.dtype).min)


def measure(table: Tensor, peak: Tensor, outside: Tensor, moves: Tensor) -> list[Tensor]:
    """Measure a `Range`: six numbers that are still on the device. `outside` is the mask's opposite, (B, T)."""
    spread = peak.squeeze(1) - table[:, :-1].amin(1)
    spread[:-1].masked_fill_(outside.flatten(), 0.0)
    spread[-1] = 0.0
    best = moves.amax()
    usable = moves > best - SOFT
    reach = best - torch.where(usable, moves, best).amin()
    soft = (usable != (moves > -torch.inf)).any()
    one = usable[:-1, :-1].float()  # which tags reach which in one move
    two = one @ one
    return [spread.amax(), reach, soft, usable.all(), two.amin(), (two @ one).amin()]


class Chain(NamedTuple):
    """The log-scores of walks from outside to outside."""

    table: Tensor  # (B T + 1, K+1), the scores of all places, less the largest of each
    places: Tensor  # (P, B), int64: which row of the table each walk visits
    moves: Tensor  # (K+1 from, K+1 to), less the largest; in the widest float
    peak: Tensor  # (B T + 1, 1), what was taken from the places
    best: Tensor  # (), what was taken from the moves, but for that from outside to outside

    @property
    def scores(self) -> Tensor:
        """The scores along the walks, (P, B, K+1)."""
        return _pick(self.table, self.places)

    def offset(self) -> Tensor:
        """Add up what was taken from each walk, (B,)."""
        words = (self.places < len(self.table) - 1).sum(0)
        taken = _pick(self.peak, self.places).sum((0, 2), dtype=widest(self.peak.device))
        return taken + torch.where(words > 0, (words + 1) * self.best, 0.0)


def _pick(table: Tensor, places: Tensor) -> Tensor:
    return table.index_select(0, places.flatten()).view(*places.shape, table.shape[1])


def lay_out(table: Tensor, peak: Tensor, outside: Tensor, moves: Tensor) -> Chain:
    """Lay the walks over a table, which becomes the chain's; differentiable.

    Args:
        table, peak: as `tabulate` and `peaks` return them.
        outside: bool (B, T), the mask's opposite.
        moves: float (K+1, K+1), -inf where forbidden.
    """
    last = len(table) - 1
    words = torch.arange(last, device=table.device).view(outside.shape).masked_fill_(outside, last)
    best = moves.detach().amax()
    moves = moves - best
    moves[-1, -1] = 0.0  # so that waiting outside changes nothing, not even by rounding
    return Chain(table.sub_(peak), nn.functional.pad(words.t(), (0, 0, 1, 1), value=last), moves, peak, best)


class Walk(NamedTuple):
    """One path for each row."""

    states: Tensor  # (P, B)
    moves: Tensor  # (P-1, B), each as an index of the flattened moves


def walk(tags: Tensor, outside: Tensor, num_tags: int) -> Walk:
    """Write tags (B, T) as walks from outside to outside."""
    states = nn.functional.pad(tags.masked_fill(outside, num_tags).t(), (0, 0, 1, 1), value=num_tags)
    return Walk(states, states[:-1] * (num_tags + 1) + states[1:])


def path_scores(chain: Chain, path: Walk) -> Tensor:
    """Return the score of each row's walk, (B,), less the chain's offset; -inf if it is forbidden."""
    own = chain.table.take(chain.places * len(chain.moves) + path.states)
    return own.sum(0, dtype=widest(own.device)) + chain.moves.take(path.moves).sum(0)


def widest(device: torch.device) -> torch.dtype:
    """Return the widest float of a device."""
    return torch.float32 if device.type == "mps" else torch.float64


class Sweep(NamedTuple):
    """What both recursions leave behind: vectors that are right up to a factor for each position and row.

    Weights, or logs of weights. `before` and `after` say nothing at the place where their recursion begins.
    """

    step: Tensor  # (P, 2, B, K+1), after each step forward and back, without the position's own score
    own: Tensor  # (P, 2, B, K+1), with it
    log_z: Tensor  # (B,), less the chain's offset
    tier: Tier

    @property
    def before(self) -> Tensor:
        return self.step[:, 0]  # (P, B, K+1)

    @property
    def upto(self) -> Tensor:
        return self.own[:, 0]

    @property
    def after(self) -> Tensor:
        return self.step[:, 1].flip(0)

    @property
    def onward(self) -> Tensor:
        return self.own[:, 1].flip(0)  # a copy


def sweep(chain: Chain, tier: Tier) -> Sweep:
    """Run the forward and the backward recursion, both in one loop."""
    places, moves = _both_ways(chain)
    if not tier.every:
        step, own = _log_recursion(_pick(chain.table, places), moves)
        return Sweep(step, own, own[-1, 0, :, -1], tier)
    step, own, log_scale = _exp_recursion(chain.table, places, moves, tier)
    return Sweep(step, own, own[-1, 0, :, -1].log() + log_scale, tier)


def _both_ways(chain: Chain) -> tuple[Tensor, Tensor]:
    """Return places, (P, 2, B), and moves, (2, K+1, K+1), as each direction sees them."""
    places = torch.stack((chain.places, chain.places.flip(0)), 1)
    return places, torch.stack((chain.moves, chain.moves.t()))


def log_partition(chain: Chain, tier: Tier) -> Tensor:
    """Run the forward recursion alone, and return log Z less the chain's offset, (B,)."""
    if not tier.every:
        return sweep(chain, tier).log_z
    _, own, log_scale = _exp_recursion(chain.table, chain.places[:, None], chain.moves[None], tier)
    return own[-1, 0, :, -1].log() + log_scale


@torch.inference_mode()  # where views and operations in place cost a third less
def _exp_recursion(table: Tensor, places: Tensor, moves: Tensor, tier: Tier) -> tuple[Tensor, Tensor, Tensor]:
    """Run D recursions over places (P, D, B), with moves (D, K+1 from, K+1 to).

    Returns:
        step, own: the vectors of a `Sweep`, (P, D, B, K+1).
        log_scale: (B,), the log of what the first recursion was divided by.
    """
    own = _pick(table.exp(), places)
    step = torch.empty_like(own)
    moves = moves.exp().to(own.dtype)
    tiny = torch.finfo(own.dtype).tiny
    peaks = []
    vector, *rest = own.unbind()
    for t, (moved, weights) in enumerate(zip(step.unbind()[1:], rest, strict=True), start=1):
        torch.bmm(vector, moves, out=moved)  # autocast lets products with `out` alone
        vector = weights.mul_(moved)
        if t % tier.every == 0:
            peaks.append(vector.amax(2, keepdim=True).clamp_min_(tiny))
            vector.div_(peaks[-1])
    if not peaks:
        return step, own, own.new_zeros(own.shape[2])
    return step, own, torch.stack(peaks)[:, 0, :, 0].to(widest(own.device)).log_().sum(0)


def _log_recursion(scores: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
    """The same in the log domain: slower, of unlimited range, and differentiable."""
    vector, *rest = scores.unbind()
    steps, owns = [vector], [vector]
    for own in rest:
        steps.append(logsumexp(vector[..., None] + moves[:, None], dim=2))
        vector = own + steps[-1]
        owns.append(vector)
    return torch.stack(steps), torch.stack(owns)


def logsumexp(scores: Tensor, dim: int) -> Tensor:
    """Add weights given as logs; where all are 0, return -inf with gradient 0 (torch's own has gradient nan)."""
    peak = scores.detach().amax(dim, keepdim=True).clamp_min(torch.finfo(scores.dtype).min)
    total = (scores - peak).exp().sum(dim)  # at least 1, but where all are -inf
    return torch.where(total == 0.0, -torch.inf, total.clamp_min(0.5).log() + peak.squeeze(dim))  # nan stays nan


def normalize(scores: Tensor, dim: int) -> Tensor:
    """Divide weights given as logs by their sum, whatever their size; where all are 0 they stay 0."""
    scores = scores - scores.detach().amax(dim, keepdim=True).clamp_min(torch.finfo(scores.dtype).min)
    return scores - scores.exp().sum(dim, keepdim=True).clamp_min(0.5).log()


class Expectation(NamedTuple):
    """The gradient of log Z, 0 where no path is allowed; or of the NLL, if the gold path's counts are subtracted."""

    tags: Tensor  # (B, T, K), the probability of each tag at each position
    moves: Tensor  # (B, K+1, K+1), how often each move is expected


def expectation(chain: Chain, vectors: Sweep, dtype: torch.dtype, gold: Walk | None = None) -> Expectation:
    """Read the expected counts off the vectors, less those of the gold walks."""
    if not vectors.tier.every:
        tags, moves = _expectation_of_logs(chain, vectors)
    else:
        onward = vectors.onward[1:]
        tags = vectors.before[1:] * onward  # (P-1, B, K+1)
        norm = tags.sum(2, keepdim=True)
        norm.masked_fill_(norm == 0.0, torch.inf)  # no path is allowed: all counts are 0
        tags.div_(norm)
        onward.div_(norm)
        with torch.autocast(tags.device.type, enabled=False):  # which would multiply in half precision
            moves = torch.bmm(vectors.upto[:-1].permute(1, 2, 0), onward.transpose(0, 1))
        moves.mul_(chain.moves.exp().to(moves.dtype))
    if gold is not None:
        minus = tags.new_full((), -1.0).expand_as(gold.moves)
        tags.scatter_add_(2, gold.states[1:].unsqueeze(2), minus.unsqueeze(2))
        moves.flatten(1).scatter_add_(1, gold.moves.t(), minus.t())
    tags = tags[:-1, :, :-1].transpose(0, 1).to(dtype, memory_format=torch.contiguous_format, copy=True)
    return Expectation(tags, moves.to(dtype))


def _expectation_of_logs(chain: Chain, vectors: Sweep) -> tuple[Tensor, Tensor]:
    joint = vectors.before[1:] + vectors.onward[1:]
    norm = logsumexp(joint, 2).clamp_min(torch.finfo(joint.dtype).min).unsqueeze(2)
    onward = vectors.onward[1:] - norm
    moves = torch.zeros_like(chain.moves).repeat(joint.shape[1], 1, 1)
    for upto, target in zip(vectors.upto[:-1], onward, strict=True):  # at once they would take P B K^2 numbers
        moves += (upto.unsqueeze(2) + chain.moves + target.unsqueeze(1)).exp()
    return (joint - norm).exp(), moves


def first_rows(chain: Chain, vectors: Sweep, count: int) -> tuple[Chain, Sweep]:
    """Return the first rows of both."""
    step, own, log_z = vectors.step[:, :, :count], vectors.own[:, :, :count], vectors.log_z[:count]
    return chain._replace(places=chain.places[:, :count]), Sweep(step, own, log_z, vectors.tier)


def _log(weights: Tensor) -> Tensor:
    return weights.to(widest(weights.device)).log()  # in float32 a log of size 60 is off by 2e-6


def _logs(chain: Chain, vectors: Sweep) -> tuple[Tensor, Tensor]:
    """Return the logs of `before` and `after`, (P, B, K+1)."""
    if not vectors.tier.every:
        return vectors.before, vectors.after
    steps = _log(vectors.step)
    if vectors.tier.soft:
        _mend(chain, steps)
    return steps[:, 0], steps[:, 1].flip(0)


def _mend(chain: Chain, steps: Tensor) -> None:
    """Do the steps again that lost all weight of a state at a word, (P, 2, B, K+1); section 3 of the file says why."""
    places, moves = _both_ways(chain)
    scores = _pick(chain.table, places)
    steps[0] = 0.0  # which says nothing
    lost = (steps[..., :-1] == -torch.inf).any(3) & (places < len(chain.table) - 1)
    ordinal = torch.arange(len(steps), device=steps.device)[:, None, None].expand_as(lost)
    run = ordinal - ordinal.masked_fill(lost, 0).cummax(0).values  # how many in a row were lost up to here
    for length in range(1, len(steps)):  # each needs the one before
        t, way, row = (run == length).nonzero(as_tuple=True)
        if not len(t):
            return
        vector = steps[t - 1, way, row] + scores[t - 1, way, row]
        steps[t, way, row] = logsumexp(vector.unsqueeze(2) + moves[way], 1)


def _log_vectors(chain: Chain, vectors: Sweep) -> tuple[Tensor, Tensor]:
    """Return the logs of `upto` and `onward`, also of what is smaller than the smallest weight."""
    scores = chain.scores
    before, after = _logs(chain, vectors)
    # Without the ends, where they say nothing.
    return torch.cat([scores[:1], before[1:] + scores[1:]]), torch.cat([after[:-1] + scores[:-1], scores[-1:]])


def _log_joint(chain: Chain, vectors: Sweep) -> Tensor:
    """Return log P(y_t = k | x) but for a constant, (P, B, K+1); it says nothing at the ends."""
    if vectors.tier.plain:
        return _log(vectors.before * vectors.after) + chain.scores  # one log fewer
    before, after = _logs(chain, vectors)
    return before + after + chain.scores


def log_marginals(chain: Chain, vectors: Sweep) -> Tensor:
    """Return log P(y_t = k | x), (B, T, K): -inf where it is 0, 0 outside."""
    outside = chain.places[1:-1] == len(chain.table) - 1
    joint = normalize(_log_joint(chain, vectors)[1:-1, :, :-1], 2)
    return joint.masked_fill(outside.unsqueeze(2), 0.0).transpose(0, 1)


def pairwise_marginals(chain: Chain, vectors: Sweep) -> Tensor:
    """Return P(y_t = i, y_{t+1} = j | x), (B, T-1, K, K), 0 outside."""
    upto, onward = _log_vectors(chain, vectors)
    joint = upto[1:-2, :, :-1, None] + chain.moves[:-1, :-1] + onward[2:-1, :, None, :-1]  # (T-1, B, K, K)
    return normalize(joint.flatten(2), 2).exp().view_as(joint).transpose(0, 1)


def entropy(chain: Chain, vectors: Sweep) -> Tensor:
    """Return the entropy of the paths, (B,), at least 0; 0 where no path is allowed."""
    if not vectors.tier.every:
        return _entropy_of_logs(chain, vectors)
    # log Z less the expected score. By section 3 nothing that is expected at all is far below the best.
    expected = expectation(chain, vectors, chain.table.dtype)
    scores = chain.scores[1:-1, :, :-1].transpose(0, 1)
    mean = (expected.tags * scores.masked_fill(scores == -torch.inf, 0.0)).sum((1, 2))
    mean = mean + (expected.moves * chain.moves.masked_fill(chain.moves == -torch.inf, 0.0)).sum((1, 2))
    return torch.where(vectors.log_z == -torch.inf, 0.0, (vectors.log_z - mean).clamp_min(0.0))


def _entropy_of_logs(chain: Chain, vectors: Sweep) -> Tensor:
    """The same as a sum of the entropies of each tag given the one before: given the sentence they are a Markov chain.

    Scores may be of any size here, and a difference of sums of them has no digits left. None of these terms is below
    0, and each compares the scores of one move.
    """
    scores = chain.scores
    here = scores[0].exp()  # (B, K+1), what the state before is: outside
    total = torch.zeros_like(vectors.log_z)
    for joint, onward in zip(_log_joint(chain, vectors)[1:], vectors.onward[1:], strict=True):
        following = normalize(chain.moves + onward.unsqueeze(1), 2)  # (B, K+1 from, K+1 to)
        terms = following.exp() * following.masked_fill(following == -torch.inf, 0.0)
        total = total - (here * terms.sum(2)).sum(1)
        here = normalize(joint, 1).exp()
    return total


def span_log_probs(chain: Chain, vectors: Sweep, rows: Tensor, starts: Tensor, sets: Tensor) -> Tensor:
    """Return the log probability that `sets`, bool (N, L, K), hold the tags of N spans, (N,).

    The tags given the sentence are a Markov chain; its conditional probabilities are read off `onward`.
    """
    _, onward = _log_vectors(chain, vectors)
    sets = nn.functional.pad(sets, (0, 1), value=True)  # whatever is asked of a place outside holds
    span = normalize(_log_joint(chain, vectors)[starts + 1, rows], 1)  # (N, K+1)
    span = span.masked_fill(~sets[:, 0], -torch.inf)
    for offset in range(1, sets.shape[1]):
        place = (starts + 1 + offset).clamp_max(len(onward) - 1)
        following = normalize(chain.moves + onward[place, rows].unsqueeze(1), 2)  # (N, K+1 from, K+1 to)
        span = logsumexp(span.unsqueeze(2) + following, 1).masked_fill(~sets[:, offset], -torch.inf)
    return logsumexp(span, 1)


def sample(chain: Chain, vectors: Sweep, num_samples: int, generator: torch.Generator | None) -> Tensor:
    """Draw paths from the posterior, (B, S, T): each state given the one before, by the Gumbel-max trick."""
    _, onward = _log_vectors(chain, vectors)
    states = [torch.full((onward.shape[1], num_samples), onward.shape[2] - 1, device=onward.device)]
    for target in onward[1:-1]:
        log_weights = chain.moves[states[-1]] + target.unsqueeze(1)  # (B, S, K+1)
        noise = torch.empty_like(log_weights).exponential_(generator=generator).log()
        states.append((log_weights - noise).argmax(2))
    return torch.stack(states, 2)[..., 1:]
