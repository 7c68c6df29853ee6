"""What the CRF's results are measured against at full size: the textbook recursion, which shares no code with it."""

import torch
from torch import Tensor


def reference_nll(crf: torch.nn.Module, emissions: Tensor, tags: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return each row's negative log likelihood (B,), and the gradient of their sum by the emissions (B, T, K).

    In float64, in the log domain, one position at a time, and with autograd. Rows must hold a word, and tags be legal.
    """
    exact = emissions.detach().double().requires_grad_()
    start, end, transitions = (
        score.detach().double().masked_fill(~allowed, -1e30)
        for score, allowed in zip(crf.parameters(), crf.buffers(), strict=True)
    )
    own = exact.gather(2, tags.unsqueeze(2)).squeeze(2)
    alpha = start + exact[:, 0]
    gold, last = start[tags[:, 0]] + own[:, 0], tags[:, 0]
    for t in range(1, exact.shape[1]):
        here = mask[:, t]
        step = (alpha[:, :, None] + transitions).logsumexp(1) + exact[:, t]
        alpha = torch.where(here[:, None], step, alpha)
        gold = torch.where(here, gold + transitions[last, tags[:, t]] + own[:, t], gold)
        last = torch.where(here, tags[:, t], last)
    nll = (alpha + end).logsumexp(1) - gold - end[last]
    return nll.detach(), torch.autograd.grad(nll.sum(), exact)[0]
