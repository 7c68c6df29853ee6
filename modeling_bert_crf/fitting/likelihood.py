"""A chain's scores, fitted to labelled data that the encoder has read once.

The encoder stays as it is, so its emissions are constants. Then the negative log likelihood is convex in what is left:
the start, end and transition scores, and the factor that the emissions are multiplied by. It is minimised by L-BFGS,
with a penalty on the squared distance from the scores before the fit.

References:
    C. Sutton, A. McCallum, "An introduction to conditional random fields", 2012, sec. 5.1 (penalty, L-BFGS).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ..batching import batches_by_length
from ..crf import UNKNOWN, LinearChainCRF

_SCORES = ("start_transitions", "end_transitions", "transitions")
MOST_STEPS = 100
BATCH_WORDS = 2**14


@dataclass(frozen=True)
class Chains:
    """Labelled chains as the CRF sees them, on the CPU in float64.

    Attributes:
        emissions: (n, K) of each, as the model gives them.
        tags: (n,) of each; -100 where the tag is unknown. Or bool (n, K), the tags that each word may have.
        gold: the names of the tags, to score against; None if the numbers say it all.
    """

    emissions: list[Tensor]
    tags: list[Tensor]
    gold: list[list[str]] | None = None

    @cached_property
    def known(self) -> int:
        """How many tags are known, at least in part."""
        return sum(int((~tags.all(1) if tags.dtype == torch.bool else tags != UNKNOWN).sum()) for tags in self.tags)

    def of(self, indices: Sequence[int]) -> "Chains":
        """Return some of the chains."""
        gold = None if self.gold is None else [self.gold[index] for index in indices]
        return Chains([self.emissions[index] for index in indices], [self.tags[index] for index in indices], gold)

    @cached_property
    def batches(self) -> list[tuple[list[int], Tensor, Tensor, Tensor]]:
        """Batches of chains of like length: their indices, emissions (B, T, K), tags or sets, and mask (B, T)."""
        batches = []
        for indices in batches_by_length(list(map(len, self.tags)), BATCH_WORDS):
            emissions = pad_sequence([self.emissions[index] for index in indices], True)
            own = [self.tags[index] for index in indices]
            if any(tags.dtype == torch.bool for tags in own):
                own = [_as_sets(tags, emissions.shape[2]) for tags in own]
            tags = pad_sequence(own, True, UNKNOWN)
            lengths = torch.tensor([len(self.tags[index]) for index in indices])
            batches.append((indices, emissions, tags, torch.arange(tags.shape[1]) < lengths[:, None]))
        return batches


def _as_sets(tags: Tensor, num_tags: int) -> Tensor:
    """Write tags (n,), or sets, as sets, bool (n, K)."""
    if tags.dtype == torch.bool:
        return tags
    return (tags[:, None] == torch.arange(num_tags)) | (tags[:, None] == UNKNOWN)


class ChainFit(NamedTuple):
    """Scores of a chain, in float64 on the CPU."""

    start_transitions: Tensor  # (K,)
    end_transitions: Tensor  # (K,)
    transitions: Tensor  # (K, K)
    temperature: float  # what emissions are divided by


def unfitted(crf: LinearChainCRF) -> ChainFit:
    """Return the scores of a chain as they are."""
    start, end, transitions = (getattr(crf, name).detach().double().cpu() / crf.temperature for name in _SCORES)
    return ChainFit(start, end, transitions, 1.0)


def chain_of(fit: ChainFit, crf: LinearChainCRF) -> LinearChainCRF:
    """Return a CRF with a fit's scores and the rules of another, on the CPU in float64."""
    chain = LinearChainCRF(crf.num_tags).double()
    with torch.no_grad():
        for name in ("allowed_starts", "allowed_ends", "allowed_transitions"):
            getattr(chain, name).copy_(getattr(crf, name))
        for name, value in zip(_SCORES, fit, strict=False):
            getattr(chain, name).copy_(value)
    return chain


def nll_of(chains: Chains, crf: LinearChainCRF, fit: ChainFit) -> float:
    """Return the negative log likelihood of chains by a fit, in nats for each known tag; nan where none is known."""
    with torch.no_grad():
        chain = chain_of(fit, crf)
        rows = [chain(emissions / fit.temperature, tags, mask) for _, emissions, tags, mask in chains.batches]
    known = chains.known
    return float(torch.cat(rows).sum()) / known if known else math.nan


def scaled(fit: ChainFit, temperature: float) -> ChainFit:
    """Divide all scores of a fit, those of the emissions too, by a temperature; its best paths stay as they are."""
    start, end, transitions = (scores / temperature for scores in fit[:3])
    return ChainFit(start, end, transitions, fit.temperature * temperature)


def fit_chain(
    chains: Chains, crf: LinearChainCRF, penalty: float, start: ChainFit | None = None, tolerance: float = 1e-7
) -> ChainFit:
    """Fit the scores of a chain, and the temperature of its emissions, by likelihood.

    Minimised is the sum of the chains' negative log likelihoods, plus half the penalty times the squared distance of
    all scores, and of the factor of the emissions, from what they were before.

    Args:
        chains: labelled.
        crf: its rules hold, and the penalty is on the distance from its scores. It is not changed.
        penalty: at least 0. At infinity the scores stay what they are. To move a score by one costs half of it, in
            nats of likelihood.
        start: where the search begins; the result depends on it in its last digits only.
        tolerance: in nats; the search ends where a step gains less.

    Raises:
        ValueError: if no tag is known, the tags of a chain break the rules, or the penalty is below 0.
    """
    if not penalty >= 0:
        raise ValueError(f"penalty must be at least 0, got {penalty}")
    before = unfitted(crf)
    if not chains.known:
        raise ValueError("the chains must have a tag that is known, got none")
    if not math.isfinite(nll_of(chains, crf, before)):
        raise ValueError("the tags of all chains must obey the rules of the CRF, got some that do not")
    if penalty == math.inf:
        return before
    start = start or before
    chain, batches = chain_of(start, crf), chains.batches
    factor = nn.Parameter(torch.tensor(1 / start.temperature, dtype=torch.float64))
    center = dict(zip(_SCORES, before, strict=False))

    def objective() -> Tensor:
        rows = [chain(emissions * factor, tags, mask) for _, emissions, tags, mask in batches]
        distances = [((getattr(chain, name) - value) ** 2).sum() for name, value in center.items()]
        return torch.cat(rows).sum() + penalty / 2 * sum(distances, (factor - 1) ** 2)

    _minimise([*chain.parameters(), factor], objective, tolerance)
    if not factor.detach() > 0:
        raise ValueError("the emissions must say something of the tags; the likelihood is best without them")
    start_scores, end_scores, transitions = (getattr(chain, name).detach() for name in _SCORES)
    return ChainFit(start_scores, end_scores, transitions, 1 / float(factor.detach()))


def _minimise(parameters: Sequence[Tensor], objective: Callable[[], Tensor], tolerance: float) -> None:
    """Minimise a smooth convex function by L-BFGS."""
    optimiser = torch.optim.LBFGS(
        parameters, max_iter=MOST_STEPS, tolerance_grad=1e-4, tolerance_change=tolerance, line_search_fn="strong_wolfe"
    )

    def evaluate() -> Tensor:
        optimiser.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimiser.step(evaluate)


__all__ = ["ChainFit", "Chains", "chain_of", "fit_chain", "nll_of", "scaled", "unfitted"]
