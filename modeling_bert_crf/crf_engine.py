r"""The recursions behind `LinearChainCRF`: sums over all tag paths, exactly and fast, and what is read off them.

Ships with every checkpoint: imports torch only. Shapes use B sequences, T positions, K tags, and P = T + 2. The sums
are done in one of three arithmetics; `crf_tiers.py` says which, and why no weight gets lost in it. The maxima over all
paths are in `crf_decoding.py`.


1. The trellis: one more state, outside, before the first word and after the last

A path of n tags makes n + 1 moves: one in, those from tag to tag, and one out. Let one more state, number K, stand for
*outside*. A row is in it before its first word and after its last. Then start, end and tag transitions are one matrix,

    move_scores = [ transitions   end ]      from a tag
                  [ start          0  ]      from outside

and each row is a walk from outside to outside with P stops and P - 1 moves: stop t is word t, stop 0 comes before the
first word, and a row that is shorter than the others waits outside at all stops after its last word, where waiting has
weight 1. So rows of every length are treated alike, and nothing below needs a mask, or a first and a last step of
their own. A row without a word waits outside from the beginning. The score of a walk is s(x, y), as `LinearChainCRF`
defines it.

A *place* is where a walk can stop: each word of the batch is a place, and outside is one more. A table (B T + 1, K+1)
holds the score of each state at each place: at a word the state outside is forbidden (-inf), at the place outside all
tags are. A trellis is this table, the matrix of the moves, and a list of places for each walk, stop by stop. To mask,
to pad, to reverse a row, and to lay rows side by side are then the same thing: take lines of the table in some order.


2. Forward and backward, with weights instead of logs

The forward algorithm adds weights, exp(score), so it needs no logarithm while it runs. Let x_t be the vector of the
weights of the states at stop t, and M the matrix of the weights of the moves, M' its transpose. Both are scaled such
that the largest weight is 1. Let * be the product entry by entry. Then

    before_t = M' upto_{t-1}      upto_t   = x_t * before_t       forward: the weight of all that leads to a state
    after_t  = M onward_{t+1}     onward_t = x_t * after_t        backward: the weight of all that follows a state

`before` and `after` exclude the weight of the state itself, `upto` and `onward` include it. Both lines are the same
step. So one batched matrix product and one product entry by entry do both directions at once, for every row: two
operations a stop, where a recursion in logs takes the exponential of B K^2 numbers.

Any vector may be divided by a positive number at any step. The logs of what the forward vectors were divided by are
added to log Z. Everything else is normalised by its own sum, in which such factors cancel:

    c_t                          = sum_j before_t(j) onward_t(j)
    P(y_t = j | x)               = before_t(j) onward_t(j) / c_t
    P(y_{t-1} = i, y_t = j | x)  = upto_{t-1}(i) M_ij onward_t(j) / c_t

These probabilities, added up over t, are how often each tag and each move is expected: the expected counts. They are
also the gradient of log Z with respect to the scores. The counts of all moves are one matrix product. A weight has the
same relative precision whatever its size, while a log of size 1000 has lost three digits. This is why gradients in
float32 come out a thousand times more exact than they do in logs.

References:
    L. R. Rabiner, "A tutorial on hidden Markov models", 1989, sec. III-A and V-A (scaling).
    J. Lafferty, A. McCallum, F. Pereira, "Conditional random fields", ICML 2001, sec. 3.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .crf_tiers import LOG_TIER, Range, Tier, measure_range, precisions, widened, widest

__all__ = [
    "Draft",
    "Expectation",
    "Sweep",
    "Trellis",
    "Walk",
    "add_up",
    "draft_of",
    "entropy",
    "expectation",
    "first_rows",
    "lay_out",
    "log_marginals",
    "logsumexp",
    "normalize",
    "pairwise_marginals",
    "path_scores",
    "peaks_of",
    "sample",
    "span_log_probs",
    "sweep",
    "tabulate",
    "trellis_of",
    "walk",
]


def tabulate(emissions: Tensor, dtype: torch.dtype) -> Tensor:
    """Write the scores of all places as a table, (B T + 1, K+1): line b T + t is a word, the last line is outside.

    Differentiable. Scores under the mask are copied as they are, and no walk may stop there.
    """
    size, positions, num_tags = emissions.shape
    table = emissions.new_full((size * positions + 1, num_tags + 1), -torch.inf, dtype=dtype)
    table[:-1, :-1] = emissions.reshape(-1, num_tags)
    table[-1, -1] = 0.0
    return table


def peaks_of(table: Tensor) -> Tensor:
    """Return the largest score of each place, (B T + 1, 1). It is finite, even where every state is forbidden."""
    return table.detach().amax(1, keepdim=True).clamp_min_(torch.finfo(table.dtype).min)


class Trellis(NamedTuple):
    """A batch of rows as walks from outside to outside, with the log-scores of states and moves."""

    table: Tensor  # (B T + 1, K+1), the scores of the states at each place, less the largest of the place
    places: Tensor  # (P, B), int64: the place of each walk at each stop, as a line of the table
    move_scores: Tensor  # (K+1 from, K+1 to), less the largest; in the widest float
    peaks: Tensor  # (B T + 1, 1), what was subtracted from the places
    best_move: Tensor  # (), what was subtracted from the moves, but not from waiting outside

    @property
    def state_scores(self) -> Tensor:
        """The scores of the states along the walks, (P, B, K+1)."""
        return _pick(self.table, self.places)

    def offset(self) -> Tensor:
        """Add up what was subtracted from the score of each walk, (B,)."""
        words = (self.places < len(self.table) - 1).sum(0)
        subtracted = _pick(self.peaks, self.places).sum((0, 2), dtype=widest(self.peaks.device))
        return subtracted + torch.where(words > 0, (words + 1) * self.best_move, 0.0)


def _pick(table: Tensor, places: Tensor) -> Tensor:
    """Take lines of a table in an order of any shape."""
    return table.index_select(0, places.flatten()).view(*places.shape, table.shape[1])


def lay_out(table: Tensor, peaks: Tensor, outside: Tensor, move_scores: Tensor) -> Trellis:
    """Make a trellis of a table, which is changed in place and becomes the trellis's own. Differentiable.

    Args:
        table, peaks: as `tabulate` and `peaks_of` return them.
        outside: bool (B, T), the mask's opposite.
        move_scores: float (K+1, K+1), -inf where forbidden.
    """
    last = len(table) - 1
    words = torch.arange(last, device=table.device).view(outside.shape).masked_fill_(outside, last)
    best_move = move_scores.detach().amax()
    move_scores = move_scores - best_move
    move_scores[-1, -1] = 0.0  # so that waiting outside changes nothing, not even by rounding
    places = nn.functional.pad(words.t(), (0, 0, 1, 1), value=last)
    return Trellis(table.sub_(peaks), places, move_scores, peaks, best_move)


def trellis_of(emissions: Tensor, mask: Tensor, move_scores: Tensor, dtype: torch.dtype) -> Trellis:
    """Make a trellis in a precision, on the CPU if the device does not have that precision. Differentiable."""
    if dtype == torch.float64:
        emissions, mask, move_scores = widened(emissions, mask, move_scores)
    table = tabulate(emissions, dtype)
    return lay_out(table, peaks_of(table), ~mask, move_scores)


class Draft(NamedTuple):
    """A batch before its tier is chosen, as a table in the preferred precision.

    The guard measures this table, and the trellis is then made of it, if the chosen tier has the same precision.
    """

    emissions: Tensor  # (B, T, K), float32 or float64
    mask: Tensor  # (B, T)
    move_scores: Tensor  # (K+1, K+1)
    precisions: list[torch.dtype]  # to be tried in this order
    table: Tensor  # (B T + 1, K+1)
    peaks: Tensor  # (B T + 1, 1)

    def facts(self) -> list[Tensor]:
        """Return what the tier depends on, as numbers that are still on the device."""
        return measure_range(self.table, self.peaks, ~self.mask, self.move_scores)

    def tier(self, facts: list[float], choices: bool) -> Tier:
        """Choose the tier.

        Args:
            facts: what `facts` returned, read from the device.
            choices: does any tag set leave several tags, but not all of them?
        """
        _, positions, num_tags = self.emissions.shape
        return Range(*facts).tier(positions, num_tags, choices, self.precisions)


def draft_of(emissions: Tensor, mask: Tensor, move_scores: Tensor) -> Draft:
    """Write a batch in the preferred precision, so that its tier can be chosen."""
    dtypes = precisions(emissions, emissions.shape[2])
    table = tabulate(emissions, dtypes[0])
    return Draft(emissions, mask, move_scores, dtypes, table, peaks_of(table))


class Walk(NamedTuple):
    """One path for each row."""

    states: Tensor  # (P, B)
    moves: Tensor  # (P-1, B), each as an index of the flattened matrix of the moves


def walk(tags: Tensor, outside: Tensor, num_tags: int) -> Walk:
    """Write tags (B, T) as walks from outside to outside."""
    states = nn.functional.pad(tags.masked_fill(outside, num_tags).t(), (0, 0, 1, 1), value=num_tags)
    return Walk(states, states[:-1] * (num_tags + 1) + states[1:])


def path_scores(trellis: Trellis, path: Walk) -> Tensor:
    """Return the score of each row's walk, (B,), less the trellis's offset; -inf if it is forbidden."""
    of_states = trellis.table.take(trellis.places * len(trellis.move_scores) + path.states)
    return of_states.sum(0, dtype=widest(of_states.device)) + trellis.move_scores.take(path.moves).sum(0)


class Sweep(NamedTuple):
    """The vectors that the recursions leave behind: weights, or logs of weights if the tier is that of the logs.

    Each vector is right up to a factor, which may differ from row to row and from stop to stop. Index d is 0 for the
    forward direction, and 1 for the backward one, whose stops are in reverse order. At the stop where a direction
    begins, its excluding vector has no meaning.
    """

    excluding: Tensor  # (P, d, B, K+1): `before` and `after` of the file's docstring, without the states' own weights
    including: Tensor  # (P, d, B, K+1): `upto` and `onward`, with them
    log_z: Tensor  # (B,), less the trellis's offset
    tier: Tier

    @property
    def before(self) -> Tensor:
        return self.excluding[:, 0]  # (P, B, K+1)

    @property
    def upto(self) -> Tensor:
        return self.including[:, 0]

    @property
    def after(self) -> Tensor:
        return self.excluding[:, 1].flip(0)

    @property
    def onward(self) -> Tensor:
        return self.including[:, 1].flip(0)  # a copy


def add_up(
    draft: Draft, tier: Tier, sets: Tensor | None = None, both_directions: bool = True
) -> tuple[Trellis, Sweep]:
    """Run the recursions in a tier, and once more in logs if the weight of some row got lost.

    Args:
        draft: the batch. Its table is used up.
        tier: what `Draft.tier` chose.
        sets: bool (B, T, K), the tags that are left at each position. If they are given the batch is doubled: the
            paths of its second half are only those that agree with the sets.
        both_directions: without it only log Z is computed, which takes the forward direction alone.

    Returns:
        the trellis, and what the recursions leave behind.
    """
    emissions, mask, move_scores = draft.emissions, draft.mask, draft.move_scores
    if sets is not None:
        emissions = torch.cat([emissions, emissions.masked_fill(~sets, -torch.inf)])
        mask = torch.cat([mask, mask])
    if sets is None and tier.dtype == draft.table.dtype:
        trellis = lay_out(draft.table, draft.peaks, ~mask, move_scores)
    else:
        trellis = trellis_of(emissions, mask, move_scores, tier.dtype)
    swept = sweep(trellis, tier, both_directions)
    if tier.soft and (swept.log_z == -torch.inf).any():
        trellis = trellis_of(emissions, mask, move_scores, LOG_TIER.dtype)
        swept = sweep(trellis, LOG_TIER, both_directions)
    return trellis, swept


def sweep(trellis: Trellis, tier: Tier, both_directions: bool = True) -> Sweep:
    """Run the forward recursion, and the backward one in the same loop if both directions are asked for."""
    if both_directions:
        places, move_scores = _both_directions(trellis)
    else:
        places, move_scores = trellis.places[:, None], trellis.move_scores[None]
    if tier.in_logs:
        excluding, including = _log_recursion(_pick(trellis.table, places), move_scores)
        return Sweep(excluding, including, including[-1, 0, :, -1], tier)
    excluding, including, log_scale = _exp_recursion(trellis.table, places, move_scores, tier)
    return Sweep(excluding, including, including[-1, 0, :, -1].log() + log_scale, tier)


def _both_directions(trellis: Trellis) -> tuple[Tensor, Tensor]:
    """Return the places, (P, 2, B), and the scores of the moves, (2, K+1, K+1), as each direction sees them."""
    places = torch.stack((trellis.places, trellis.places.flip(0)), 1)
    return places, torch.stack((trellis.move_scores, trellis.move_scores.t()))


@torch.inference_mode()  # where views and operations in place cost a third less
def _exp_recursion(table: Tensor, places: Tensor, move_scores: Tensor, tier: Tier) -> tuple[Tensor, Tensor, Tensor]:
    """Run the recursion of d directions over places (P, d, B), with moves (d, K+1 from, K+1 to).

    Returns:
        excluding, including: the vectors of a `Sweep`, (P, d, B, K+1).
        log_scale: (B,), the log of what the forward vectors were divided by.
    """
    including = _pick(table.exp(), places)
    excluding = torch.empty_like(including)
    move_weights = move_scores.exp().to(including.dtype)
    tiny = torch.finfo(including.dtype).tiny
    scales = []
    vector, *rest = including.unbind()
    for t, (moved, weights) in enumerate(zip(excluding.unbind()[1:], rest, strict=True), start=1):
        torch.bmm(vector, move_weights, out=moved)  # with `out`, autocast leaves the product in its precision
        vector = weights.mul_(moved)
        if t % tier.steps == 0:
            scales.append(vector.amax(2, keepdim=True).clamp_min_(tiny))
            vector.div_(scales[-1])
    if not scales:
        return excluding, including, including.new_zeros(including.shape[2])
    log_scale = torch.stack(scales)[:, 0, :, 0].to(widest(including.device)).log_().sum(0)
    return excluding, including, log_scale


def _log_recursion(state_scores: Tensor, move_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Do the same in logs: this is slower, has no limits of range, and is differentiable."""
    vector, *rest = state_scores.unbind()
    excluding, including = [vector], [vector]
    for own in rest:
        excluding.append(logsumexp(vector[..., None] + move_scores[:, None], dim=2))
        vector = own + excluding[-1]
        including.append(vector)
    return torch.stack(excluding), torch.stack(including)


def logsumexp(log_weights: Tensor, dim: int) -> Tensor:
    """Add weights given as logs. Where all are 0, return -inf with gradient 0, where torch's own has gradient nan."""
    peak = log_weights.detach().amax(dim, keepdim=True).clamp_min(torch.finfo(log_weights.dtype).min)
    total = (log_weights - peak).exp().sum(dim)  # at least 1, or 0 where all are -inf
    return torch.where(total == 0.0, -torch.inf, total.clamp_min(0.5).log() + peak.squeeze(dim))  # nan stays nan


def normalize(log_weights: Tensor, dim: int) -> Tensor:
    """Divide weights given as logs by their sum, whatever their size. Where all are 0 they stay 0."""
    log_weights = log_weights - log_weights.detach().amax(dim, keepdim=True).clamp_min(
        torch.finfo(log_weights.dtype).min
    )
    return log_weights - log_weights.exp().sum(dim, keepdim=True).clamp_min(0.5).log()


class Expectation(NamedTuple):
    """How often tags and moves are expected, which is the gradient of log Z; 0 where no path is allowed.

    If the counts of the given path are subtracted, it is the gradient of the NLL.
    """

    tag_counts: Tensor  # (B, T, K), the probability of each tag at each position
    move_counts: Tensor  # (B, K+1, K+1)


def expectation(trellis: Trellis, swept: Sweep, dtype: torch.dtype, gold: Walk | None = None) -> Expectation:
    """Compute the expected counts from the vectors, and subtract those of the gold walks if there are any."""
    if swept.tier.in_logs:
        tag_counts, move_counts = _expectation_of_logs(trellis, swept)
    else:
        onward = swept.onward[1:]
        tag_counts = swept.before[1:] * onward  # (P-1, B, K+1)
        norm = tag_counts.sum(2, keepdim=True)
        norm.masked_fill_(norm == 0.0, torch.inf)  # no path is allowed: all counts are 0
        tag_counts.div_(norm)
        onward.div_(norm)
        with torch.autocast(tag_counts.device.type, enabled=False):  # it would multiply in half precision
            move_counts = torch.bmm(swept.upto[:-1].permute(1, 2, 0), onward.transpose(0, 1))
        move_counts.mul_(trellis.move_scores.exp().to(move_counts.dtype))
    if gold is not None:
        minus = tag_counts.new_full((), -1.0).expand_as(gold.moves)
        tag_counts.scatter_add_(2, gold.states[1:].unsqueeze(2), minus.unsqueeze(2))
        move_counts.flatten(1).scatter_add_(1, gold.moves.t(), minus.t())
    tag_counts = tag_counts[:-1, :, :-1].transpose(0, 1)
    tag_counts = tag_counts.to(dtype, memory_format=torch.contiguous_format, copy=True)
    return Expectation(tag_counts, move_counts.to(dtype))


def _expectation_of_logs(trellis: Trellis, swept: Sweep) -> tuple[Tensor, Tensor]:
    joint = swept.before[1:] + swept.onward[1:]
    norm = logsumexp(joint, 2).clamp_min(torch.finfo(joint.dtype).min).unsqueeze(2)
    onward = swept.onward[1:] - norm
    move_counts = torch.zeros_like(trellis.move_scores).repeat(joint.shape[1], 1, 1)
    for upto, target in zip(swept.upto[:-1], onward, strict=True):  # at once they would take P B K^2 numbers
        move_counts += (upto.unsqueeze(2) + trellis.move_scores + target.unsqueeze(1)).exp()
    return (joint - norm).exp(), move_counts


def first_rows(trellis: Trellis, swept: Sweep, count: int) -> tuple[Trellis, Sweep]:
    """Return the first rows of both."""
    excluding, including, log_z = swept.excluding[:, :, :count], swept.including[:, :, :count], swept.log_z[:count]
    return trellis._replace(places=trellis.places[:, :count]), Sweep(excluding, including, log_z, swept.tier)


def _log(weights: Tensor) -> Tensor:
    return weights.to(widest(weights.device)).log()  # in float32 a log of size 60 is off by 2e-6


def _log_excluding(trellis: Trellis, swept: Sweep) -> tuple[Tensor, Tensor]:
    """Return the logs of `before` and `after`, (P, B, K+1), also of weights that got lost."""
    if swept.tier.in_logs:
        return swept.before, swept.after
    excluding = _log(swept.excluding)
    if swept.tier.soft:
        _mend(trellis, excluding)
    return excluding[:, 0], excluding[:, 1].flip(0)


def _mend(trellis: Trellis, excluding: Tensor) -> None:
    """Compute the logs that are -inf again, (P, 2, B, K+1), since a low score may have made their weight 0.

    Section 7 of `crf_tiers.py` says which weights get lost: those of states that only very low scores lead to. Such
    states exist only within a few moves of either end of a row, so that there is little to compute.
    """
    places, move_scores = _both_directions(trellis)
    state_scores = _pick(trellis.table, places)
    excluding[0] = 0.0  # it has no meaning
    lost = (excluding[..., :-1] == -torch.inf).any(3) & (places < len(trellis.table) - 1)
    ordinal = torch.arange(len(excluding), device=excluding.device)[:, None, None].expand_as(lost)
    run = ordinal - ordinal.masked_fill(lost, 0).cummax(0).values  # how many stops in a row are lost up to here
    for length in range(1, len(excluding)):  # each stop needs the one before it
        t, direction, row = (run == length).nonzero(as_tuple=True)
        if not len(t):
            return
        including = excluding[t - 1, direction, row] + state_scores[t - 1, direction, row]
        excluding[t, direction, row] = logsumexp(including.unsqueeze(2) + move_scores[direction], 1)


def _log_including(trellis: Trellis, swept: Sweep) -> tuple[Tensor, Tensor]:
    """Return the logs of `upto` and `onward`, also of what is smaller than the smallest weight."""
    own = trellis.state_scores
    before, after = _log_excluding(trellis, swept)
    # Each direction begins at a stop where the excluding vector has no meaning: there the scores alone are right.
    return torch.cat([own[:1], before[1:] + own[1:]]), torch.cat([after[:-1] + own[:-1], own[-1:]])


def _log_joint(trellis: Trellis, swept: Sweep) -> Tensor:
    """Return log P(y_t = k | x) up to a constant, (P, B, K+1). It has no meaning at the first and the last stop."""
    if swept.tier.plain:
        return _log(swept.before * swept.after) + trellis.state_scores  # one log instead of two
    before, after = _log_excluding(trellis, swept)
    return before + after + trellis.state_scores


def log_marginals(trellis: Trellis, swept: Sweep) -> Tensor:
    """Return log P(y_t = k | x), (B, T, K): -inf where it is 0, 0 outside."""
    outside = trellis.places[1:-1] == len(trellis.table) - 1
    joint = normalize(_log_joint(trellis, swept)[1:-1, :, :-1], 2)
    return joint.masked_fill(outside.unsqueeze(2), 0.0).transpose(0, 1)


def pairwise_marginals(trellis: Trellis, swept: Sweep) -> Tensor:
    """Return P(y_t = i, y_{t+1} = j | x), (B, T-1, K, K), 0 outside."""
    upto, onward = _log_including(trellis, swept)
    joint = upto[1:-2, :, :-1, None] + trellis.move_scores[:-1, :-1] + onward[2:-1, :, None, :-1]  # (T-1, B, K, K)
    return normalize(joint.flatten(2), 2).exp().view_as(joint).transpose(0, 1)


def entropy(trellis: Trellis, swept: Sweep) -> Tensor:
    """Return the entropy of the paths, (B,), at least 0; 0 where no path is allowed.

    It is log Z less the expected score. The difference keeps its digits, since the guard admits no scores that are far
    apart (`crf_tiers.py`), and the best score of each place has been subtracted.
    """
    if swept.tier.in_logs:
        return _entropy_of_logs(trellis, swept)
    expected = expectation(trellis, swept, trellis.table.dtype)
    state_scores = trellis.state_scores[1:-1, :, :-1].transpose(0, 1)
    move_scores = trellis.move_scores.masked_fill(trellis.move_scores == -torch.inf, 0.0)
    mean = (expected.tag_counts * state_scores.masked_fill(state_scores == -torch.inf, 0.0)).sum((1, 2))
    mean = mean + (expected.move_counts * move_scores).sum((1, 2))
    return (swept.log_z - mean).clamp_min(0.0)  # -inf if no path is allowed


def _entropy_of_logs(trellis: Trellis, swept: Sweep) -> Tensor:
    """Return the same as a sum over the positions: of the entropy of each tag, given the tag before it.

    This is allowed because the tags, given the sentence, are a Markov process. It is done because in logs the scores
    may be of any size, and a difference of large sums has no digits left. None of the terms of this sum is below 0,
    and each of them compares the scores of single moves only.
    """
    own = trellis.state_scores
    here = own[0].exp()  # (B, K+1), the probability of each state at the stop before: outside is certain
    total = torch.zeros_like(swept.log_z)
    for joint, onward in zip(_log_joint(trellis, swept)[1:], swept.onward[1:], strict=True):
        following = normalize(trellis.move_scores + onward.unsqueeze(1), 2)  # (B, K+1 from, K+1 to)
        terms = following.exp() * following.masked_fill(following == -torch.inf, 0.0)
        total = total - (here * terms.sum(2)).sum(1)
        here = normalize(joint, 1).exp()
    return total


def span_log_probs(trellis: Trellis, swept: Sweep, rows: Tensor, starts: Tensor, sets: Tensor) -> Tensor:
    """Return the log probability that the tags of N spans lie in `sets`, bool (N, L, K), as (N,).

    The tags, given the sentence, are a Markov process, so it is a sum over the moves from each tag of a set to each of
    the next set. Tags that no set names are not visited. The sum has no negative terms, so that the smallest
    probability has as many digits as the others.
    """
    before, after = _log_excluding(trellis, swept)
    onward = after + trellis.state_scores
    after = after.clamp_min(torch.finfo(after.dtype).min)  # so that a difference of two is a number
    stops, sets = _sets_to_visit(trellis, rows, starts, sets)
    anything = sets.shape[2] - 1
    log_z = swept.log_z.detach()[rows]
    total = torch.where(log_z > -torch.inf, 0.0, log_z)  # -inf or nan, if that of the row is
    span, state = sets[:, 0].nonzero(as_tuple=True)
    for step in range(1, sets.shape[1]):
        here, there = (stops[:, step - 1], rows), (stops[:, step], rows)
        next_span, next_state = sets[:, step].nonzero(as_tuple=True)
        source, target = _pairs(span, next_span, len(rows))
        of, i, j = span[source], state[source], next_state[target]
        entering = normalize(before[there] + onward[there], 1)[of, j]
        # A stop's vectors are right up to a factor, which any state tells. The span's most probable one is sure to.
        best = (before[here] + onward[here]).masked_fill(~sets[:, step - 1], -torch.inf).argmax(1)
        unit = logsumexp(trellis.move_scores[best] + onward[there], 1).clamp_min(torch.finfo(after.dtype).min)
        rest = after[stops[of, step - 1], rows[of], i] - after[stops[of, step - 1], rows[of], best[of]]
        moving = trellis.move_scores[i, j] + onward[stops[of, step], rows[of], j] - unit[of] - rest
        log_p = torch.where(j == anything, 0.0, torch.where(i == anything, entering, moving))
        total = _logsumexp_at(target, total[source] + log_p, len(next_state))
        span, state = next_span, next_state
    return total


def _sets_to_visit(trellis: Trellis, rows: Tensor, starts: Tensor, sets: Tensor) -> tuple[Tensor, Tensor]:
    """Say where N spans stop, from the stop before each of them to the one after it, and in which states.

    One more state, the last, stands for anything. It is alone in its set, and takes the place of all sets before the
    first one that leaves a tag out, and after the last one.

    Returns:
        int64 (N, L+2), and bool (N, L+2, K+1).
    """
    stops = starts.unsqueeze(1) + torch.arange(sets.shape[1] + 2, device=starts.device)
    stops = stops.clamp_max(len(trellis.places) - 1)
    is_past = trellis.places[stops, rows.unsqueeze(1)] == len(trellis.table) - 1  # there every set counts as fulfilled
    is_free = nn.functional.pad(sets.all(2), (1, 1), value=True) | is_past
    is_anything = (is_free.cumprod(1) + is_free.flip(1).cumprod(1).flip(1)).bool().unsqueeze(2)
    return stops, torch.cat([nn.functional.pad(sets, (0, 0, 1, 1)) & ~is_anything, is_anything], 2)


def _pairs(span: Tensor, next_span: Tensor, num_spans: int) -> tuple[Tensor, Tensor]:
    """Pair each state with each next state of the same span, and return the places of both in their lists.

    Args:
        span, next_span: which span each state is of, in ascending order.
    """
    counts = span.bincount(minlength=num_spans)
    first = counts.cumsum(0) - counts
    sources = counts[next_span]  # how many states lead to each next state
    target = torch.arange(len(next_span), device=span.device).repeat_interleave(sources)
    begin = sources.cumsum(0) - sources
    source = torch.arange(len(target), device=span.device) + (first[next_span] - begin)[target]
    return source, target


def _logsumexp_at(index: Tensor, log_weights: Tensor, size: int) -> Tensor:
    """Add weights given as logs at each of so many places; the index says at which."""
    peak = log_weights.new_full((size,), torch.finfo(log_weights.dtype).min)
    peak = peak.scatter_reduce(0, index, log_weights.detach(), "amax")
    total = torch.zeros_like(peak).index_add(0, index, (log_weights - peak[index]).exp())
    return torch.where(total == 0.0, -torch.inf, total.clamp_min(0.5).log() + peak)  # nan stays nan


def sample(trellis: Trellis, swept: Sweep, num_samples: int, generator: torch.Generator | None) -> Tensor:
    """Draw paths from the posterior, (B, S, T): each state given the one before it, by the Gumbel-max trick."""
    _, onward = _log_including(trellis, swept)
    states = [torch.full((onward.shape[1], num_samples), onward.shape[2] - 1, device=onward.device)]
    for target in onward[1:-1]:
        log_weights = trellis.move_scores[states[-1]] + target.unsqueeze(1)  # (B, S, K+1)
        noise = torch.empty_like(log_weights).exponential_(generator=generator).log()
        states.append((log_weights - noise).argmax(2))
    return torch.stack(states, 2)[..., 1:]
