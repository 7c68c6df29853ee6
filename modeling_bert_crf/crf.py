r"""Linear-chain conditional random field: score, sum over, and search the tag paths of a sequence.

    s(x, y)     = start[y_1] + sum_t emissions[t, y_t] + sum_t transitions[y_t, y_{t+1}] + end[y_n]
    p(y | x)    = exp s(x, y) / Z(x)          Z(x) = sum over all y of exp s(x, y)

Shapes use three letters: B sequences, T positions, K tags. Scores are natural logs, so adding scores multiplies
weights and `logsumexp` adds weights. `transitions[i, j]` is the score of going **from** tag i **to** tag j.

The class checks its arguments and turns its parameters into potentials; the functions below it are the mathematics.
They work in the log domain and shift every step so that its largest entry is 0: what is left is as exact on a long
chain as on a short one. A forbidden move has the potential -inf, in the sums and in the search alike.

Ships with every checkpoint: imports torch only.

References:
    J. Lafferty, A. McCallum, F. Pereira, "Conditional random fields", ICML 2001, sec. 3 (the model and its gradient).
    L. R. Rabiner, "A tutorial on hidden Markov models", 1989, sec. III-A (forward, backward) and III-B (Viterbi).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

UNKNOWN = -100
"""In `tags`: a tag that nobody knows. In decoded paths: no tag, padding."""


class Potentials(NamedTuple):
    """The chain's scores with -inf on every forbidden move."""

    start: Tensor  # (K,)
    end: Tensor  # (K,)
    transitions: Tensor  # (K from, K to)


class LinearChainCRF(nn.Module):
    """A linear-chain CRF over K tags, with start and end transitions and hard constraints.

    Every method takes `emissions`, float (B, T, K), the score of each tag at each position, and `mask`, bool (B, T),
    True on the first n >= 0 positions of each row and False on the rest. Values under a False position have no effect
    on any result or gradient. Rows may be empty: the empty path is then the only one. Half-precision scores are summed
    in float32, whatever autocast does; float64 stays float64.

    Args:
        num_tags: K, at least 1.

    Attributes:
        start_transitions: float (K,), score of starting with a tag.
        end_transitions: float (K,), score of ending with a tag.
        transitions: float (K, K), score of going from tag i to tag j.
        allowed_starts, allowed_ends, allowed_transitions: bool, same shapes. Where False, no path may pass: its
            probability is 0 and it is never decoded. All True at first; not in the `state_dict`.

    Raises:
        ValueError: from every method, if a shape or dtype disagrees, or the mask has a hole.
    """

    def __init__(self, num_tags: int):
        super().__init__()
        if num_tags < 1:
            raise ValueError(f"num_tags must be at least 1, got {num_tags}")
        self.num_tags = num_tags
        self.start_transitions = nn.Parameter(torch.zeros(num_tags))
        self.end_transitions = nn.Parameter(torch.zeros(num_tags))
        self.transitions = nn.Parameter(torch.zeros(num_tags, num_tags))
        self.register_buffer("allowed_starts", torch.ones(num_tags, dtype=torch.bool), persistent=False)
        self.register_buffer("allowed_ends", torch.ones(num_tags, dtype=torch.bool), persistent=False)
        self.register_buffer("allowed_transitions", torch.ones(num_tags, num_tags, dtype=torch.bool), persistent=False)

    def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Return the negative log likelihood of the given tags, `-log p(tags | x)`.

        Where a tag is unknown, the likelihood is that of the known ones: the sum over every path that agrees with
            them.

        Args:
            emissions: float (B, T, K).
            tags: int64 (B, T), in [0, K), or -100 where the tag is unknown. Ignored where the mask is False.
            mask: bool (B, T).

        Returns:
            (B,), at least 0 up to rounding, in nats per sequence. +inf, with gradient 0, where the constraints forbid
            every path that agrees with the tags.
        """
        emissions, mask = self._prepare(emissions, mask)
        tags = self._prepare_tags(tags, mask, unknown_allowed=True)
        potentials = self._potentials(emissions.dtype)
        log_z = _log_partition(emissions, mask, potentials)
        if (mask & (tags == UNKNOWN)).any():
            log_weight = _log_partition(_clamp(emissions, tags), mask, potentials)
        else:
            log_weight = self._path_score(emissions, tags, mask)
        possible = log_weight > -torch.inf
        return torch.where(possible, log_z - log_weight, torch.inf)

    def log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Add up the weight of every tag path, and return the log of the sum, in O(T K^2).

        Returns:
            (B,). A log-weight, not a probability: it may be positive, and grows with n. 0 for an empty row, -inf where
            the constraints forbid every path.

        Example:
            When every score is zero every path weighs one, so Z counts the paths.

            >>> crf = LinearChainCRF(num_tags=3)
            >>> mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
            >>> crf.log_partition(torch.zeros(2, 4, 3), mask).exp().round().tolist()  # 3**4, 3**2
            [81.0, 9.0]
        """
        emissions, mask = self._prepare(emissions, mask)
        return _log_partition(emissions, mask, self._potentials(emissions.dtype))

    def path_score(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Return the score s(x, y) of one given path for each row.

        Args:
            emissions: float (B, T, K).
            tags: int64 (B, T), in [0, K) wherever the mask is True.
            mask: bool (B, T).

        Returns:
            (B,). 0 for an empty row, -inf for a forbidden path.
        """
        emissions, mask = self._prepare(emissions, mask)
        tags = self._prepare_tags(tags, mask, unknown_allowed=False)
        return self._path_score(emissions, tags, mask)

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Find the best path of each row, by the Viterbi algorithm, in O(T K^2).

        Returns:
            paths: int64 (B, T), -100 where the mask is False. Ties go to the smaller tag, looking from the end.
            scores: (B,), the paths' scores, 0 for an empty row; -inf where the constraints forbid every path (the path
                is then arbitrary).
        """
        positions = emissions.shape[1] if emissions.dim() == 3 else 0
        emissions, mask = self._prepare(emissions, mask)
        paths = _viterbi(emissions, mask, self._potentials(emissions.dtype))
        scores = self._path_score(emissions, paths, mask)
        return paths.masked_fill(~mask, UNKNOWN)[:, :positions], scores

    def log_marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return log P(y_t = k | x), by the forward-backward algorithm.

        Differentiable at the price of nothing until somebody asks: the forward pass keeps no graph, and the backward
        pass runs the recursions again.

        Returns:
            (B, T, K): each row's exponentials sum to 1. -inf for a tag that no allowed path has there, and 0 where the
            mask is False.
        """
        positions = emissions.shape[1] if emissions.dim() == 3 else 0
        emissions, mask = self._prepare(emissions, mask)
        return _LogMarginals.apply(emissions, mask, *self._potentials(emissions.dtype))[:, :positions]

    def marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return P(y_t = k | x), the probability of each tag at each position given the whole sequence.

        Returns:
            (B, T, K), rows sum to 1; 0 where the mask is False.
        """
        return self.log_marginals(emissions, mask).exp() * mask[..., None]

    def extra_repr(self) -> str:
        return f"num_tags={self.num_tags}"

    def _potentials(self, dtype: torch.dtype) -> Potentials:
        pairs = (
            (self.start_transitions, self.allowed_starts),
            (self.end_transitions, self.allowed_ends),
            (self.transitions, self.allowed_transitions),
        )
        return Potentials(*(scores.to(dtype).masked_fill(~allowed, -torch.inf) for scores, allowed in pairs))

    def _path_score(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        dtype = emissions.dtype
        tags = tags.masked_fill(~mask, 0)
        last = (mask.sum(1, keepdim=True) - 1).clamp_min(0)  # (B, 1)
        first_tag, last_tag = tags[:, 0], tags.gather(1, last).squeeze(1)  # (B,)
        source, target, moved = tags[:, :-1], tags[:, 1:], mask[:, 1:]  # (B, T-1)

        score = (emissions.gather(2, tags[..., None]).squeeze(2) * mask).sum(1)
        score = score + (self.transitions.to(dtype)[source, target] * moved).sum(1)
        score = score + self.start_transitions.to(dtype)[first_tag] + self.end_transitions.to(dtype)[last_tag]
        legal = (self.allowed_transitions[source, target] | ~moved).all(1)
        legal = legal & self.allowed_starts[first_tag] & self.allowed_ends[last_tag]
        return torch.where(mask[:, 0], torch.where(legal, score, -torch.inf), 0.0)

    def _prepare(self, emissions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Check the arguments; upcast the scores and blank them where masked; return at least two positions."""
        if emissions.dim() != 3 or emissions.shape[2] != self.num_tags or not emissions.is_floating_point():
            raise ValueError(
                f"emissions must be float (B, T, {self.num_tags}), got {emissions.dtype} {tuple(emissions.shape)}"
            )
        if mask.dtype != torch.bool or mask.shape != emissions.shape[:2]:
            raise ValueError(
                f"mask must be torch.bool {tuple(emissions.shape[:2])}, got {mask.dtype} {tuple(mask.shape)}"
            )
        holes = mask[:, 1:] & ~mask[:, :-1]
        if holes.any():
            row = int(holes.any(1).nonzero()[0])
            raise ValueError(
                f"mask must be True on a prefix of every row, got {mask[row].int().tolist()} in row {row}"
            )
        # A masked value may be inf or nan; blank it so that no gradient passes through it.
        emissions = emissions.masked_fill(~mask[..., None], 0.0)
        # bfloat16 has 8 significant bits: past 512 it moves in steps of 4, more than one position adds.
        emissions = emissions.to(torch.promote_types(emissions.dtype, torch.float32))
        # Two positions use every parameter once: a distributed trainer waits for the gradient of each.
        missing = max(0, 2 - emissions.shape[1])
        return nn.functional.pad(emissions, (0, 0, 0, missing)), nn.functional.pad(mask, (0, missing))

    def _prepare_tags(self, tags: Tensor, mask: Tensor, unknown_allowed: bool) -> Tensor:
        positions = tags.shape[1] if tags.dim() == 2 else -1
        if tags.dtype != torch.int64 or tags.shape[0] != mask.shape[0] or max(positions, 2) != mask.shape[1]:
            raise ValueError(f"tags must be torch.int64 with the mask's shape, got {tags.dtype} {tuple(tags.shape)}")
        tags = nn.functional.pad(tags, (0, mask.shape[1] - positions))
        wrong = mask & ((tags < 0) | (tags >= self.num_tags))
        if unknown_allowed:
            wrong = wrong & (tags != UNKNOWN)
        if wrong.any():
            row, position = wrong.nonzero()[0].tolist()
            rule = f"in [0, {self.num_tags})" + (f" or {UNKNOWN}" if unknown_allowed else "")
            raise ValueError(f"tags must be {rule}, got {tags[row, position]} in row {row}, position {position}")
        return tags


def _logsumexp(scores: Tensor, dim: int) -> Tensor:
    """Add weights given as logs; where all are 0, return -inf with gradient 0 (torch's own has gradient nan)."""
    peak = scores.detach().amax(dim, keepdim=True).clamp_min(torch.finfo(scores.dtype).min)
    total = (scores - peak).exp().sum(dim)  # at least 1, but where all are -inf
    return torch.where(total > 0, total.clamp_min(0.5).log() + peak.squeeze(dim), -torch.inf)


def _peak(scores: Tensor) -> Tensor:
    """Return the largest entry of each row, (B, 1), as a finite constant to shift the row by."""
    return scores.detach().amax(1, keepdim=True).clamp_min(torch.finfo(scores.dtype).min)


def _forward(emissions: Tensor, mask: Tensor, potentials: Potentials) -> tuple[list[Tensor], Tensor]:
    """Run the forward recursion.

    Returns:
        alphas: T times (B, K), the log-weight of all prefixes that end in each tag, shifted so that the largest is 0.
            Past a row's end its last one is repeated.
        shift: (B,), the sum of what was taken away.
    """
    alpha = potentials.start + emissions[:, 0]  # (B, K)
    shift = torch.zeros_like(alpha[:, :1])  # (B, 1)
    alphas = []
    for t in range(emissions.shape[1]):
        if t > 0:
            step = _logsumexp(alpha[:, :, None] + potentials.transitions, dim=1) + emissions[:, t]  # (B, K to)
            alpha = torch.where(mask[:, t, None], step, alpha)
        peak = _peak(alpha)
        alpha, shift = alpha - peak, shift + peak
        alphas.append(alpha)
    return alphas, shift.squeeze(1)


def _backward(emissions: Tensor, mask: Tensor, potentials: Potentials) -> list[Tensor]:
    """Run the backward recursion: T times (B, K), the log-weight of all suffixes after each tag, up to a shift."""
    beta = potentials.end.expand(emissions.shape[0], -1)  # (B, K)
    betas = [beta]
    for t in range(emissions.shape[1] - 1, 0, -1):
        step = _logsumexp((beta + emissions[:, t])[:, None, :] + potentials.transitions, dim=2)  # (B, K from)
        beta = torch.where(mask[:, t, None], step - _peak(step), beta)
        betas.append(beta)
    return betas[::-1]


def _log_partition(emissions: Tensor, mask: Tensor, potentials: Potentials) -> Tensor:
    alphas, shift = _forward(emissions, mask, potentials)
    log_z = shift + _logsumexp(alphas[-1] + potentials.end, dim=1)
    return torch.where(mask[:, 0], log_z, 0.0)


def _log_marginals(emissions: Tensor, mask: Tensor, potentials: Potentials) -> Tensor:
    alphas, _ = _forward(emissions, mask, potentials)
    betas = _backward(emissions, mask, potentials)
    weights = torch.stack(alphas, 1) + torch.stack(betas, 1)  # (B, T, K), right up to a constant per position
    norms = _logsumexp(weights, dim=2)[..., None]
    return (weights - norms.clamp_min(torch.finfo(weights.dtype).min)).masked_fill(~mask[..., None], 0.0)


class _LogMarginals(torch.autograd.Function):
    """`_log_marginals` without a graph: almost nobody differentiates it, and every training step computes it."""

    @staticmethod
    def forward(ctx: Any, emissions: Tensor, mask: Tensor, *potentials: Tensor) -> Tensor:
        ctx.save_for_backward(emissions, mask, *potentials)
        return _log_marginals(emissions, mask, Potentials(*potentials))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        emissions, mask, *potentials = (
            saved.detach().requires_grad_(saved.is_floating_point()) for saved in ctx.saved_tensors
        )
        with torch.enable_grad():
            log_marginals = _log_marginals(emissions, mask, Potentials(*potentials))
        for_emissions, *for_potentials = torch.autograd.grad(log_marginals, [emissions, *potentials], gradient)
        return for_emissions, None, *for_potentials


def _clamp(emissions: Tensor, tags: Tensor) -> Tensor:
    """Forbid, where a tag is known, every other tag."""
    other = torch.arange(emissions.shape[2], device=tags.device) != tags[..., None]  # (B, T, K)
    return emissions.masked_fill(other & (tags != UNKNOWN)[..., None], -torch.inf)


def _viterbi(emissions: Tensor, mask: Tensor, potentials: Potentials) -> Tensor:
    """Return the best paths, (B, T); past a row's end its last tag is repeated."""
    delta = potentials.start + emissions[:, 0]  # (B, K): score of the best prefix that ends in each tag, shifted
    stay = torch.arange(emissions.shape[2], device=emissions.device).expand_as(delta)
    pointers = []
    for t in range(1, emissions.shape[1]):
        best, source = (delta[:, :, None] + potentials.transitions).max(dim=1)  # (B, K to)
        inside = mask[:, t, None]
        delta = torch.where(inside, best + emissions[:, t], delta)
        delta = delta - _peak(delta)
        pointers.append(torch.where(inside, source, stay))
    tag = (delta + potentials.end).argmax(1, keepdim=True)  # (B, 1)
    path = [tag]
    for source in reversed(pointers):
        tag = source.gather(1, tag)
        path.append(tag)
    return torch.cat(path[::-1], 1)
