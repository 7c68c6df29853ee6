"""What the CRF has learnt, in a few numbers for the log and in a table for the end of a run."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ..crf import LinearChainCRF
from ..doors.terminal import visible
from ..modeling_crf import BiLSTMCRFForTokenClassification

__all__ = ["TIERS", "crf_statistics", "scores_of", "strongest_transitions", "transition_table"]

TIERS = ("float32 exp", "float64 exp", "float64 log", "float64 kernels")
"""The arithmetics that `LinearChainCRF.tier` names, the fastest first."""


@torch.no_grad()
def crf_statistics(
    model: BiLSTMCRFForTokenClassification, before: Mapping[str, Tensor], batch: Mapping[str, Tensor]
) -> dict[str, float]:
    """Measure the CRF on a batch.

    Args:
        model: the tagger.
        before: its scores when training began, as `scores_of` returns them.
        batch: inputs of the model, `word_mask` among them.

    Returns:
        `crf_norm`: the Euclidean norm of all transition scores.
        `crf_drift`: the norm of their change since `before`.
        `crf_illegal_mass`: the mean probability that the illegal paths of the sentences would have without the
            constraints. Near 0 the scores have learnt the rules by themselves; near 1 the constraints do all the work.
        `crf_rows_float32_exp` and so on, one for each of the `TIERS`: how many rows of the batch were summed in it.
            The last one is slow; many rows there are a sign of scores that grow without bounds.
    """
    state = scores_of(model)
    training = model.training
    model.eval()
    names = ("input_ids", "attention_mask", "word_mask", "word_shape_ids")
    # A collator may leave the shapes out.
    inputs = {name: batch[name].to(model.device) for name in names if name in batch}
    words, mask = model.encode(**inputs)
    emissions = model.emit(words, mask).float()
    model.train(training)
    free = LinearChainCRF(len(model.config.labels)).to(emissions.device)
    free.load_state_dict(state)
    free.temperature = model.config.temperature
    legal_share = (model.crf.log_partition(emissions, mask) - free.log_partition(emissions, mask)).exp()
    tier = model.crf.tier(emissions, mask)
    rows = {f"crf_rows_{name.replace(' ', '_')}": len(mask) * (name == tier) for name in TIERS}
    return {
        "crf_norm": _norm(state.values()),
        "crf_drift": _norm(value - before[name] for name, value in state.items()),
        "crf_illegal_mass": float(1 - legal_share.mean()),
        **rows,
    }


def scores_of(model: BiLSTMCRFForTokenClassification) -> dict[str, Tensor]:
    """Copy the scores of the CRF, by their names.

    They are read as attributes and not from the `state_dict`, whose names change where an adapter wraps a module.
    """
    names = ("start_transitions", "end_transitions", "transitions")
    return {name: getattr(model.crf, name).detach().clone() for name in names}


def _norm(tensors: Iterable[Tensor]) -> float:
    return float(torch.cat([tensor.flatten().float() for tensor in tensors]).norm())


@torch.no_grad()
def transition_table(model: BiLSTMCRFForTokenClassification) -> list[list[float | None]]:
    """Return the scores of the CRF in nats, as a table of K + 1 rows by K + 1 columns.

    The first row is the start of a sentence, the others are the tags; the last column is the end of a sentence, those
    before it are the tags. A score is that of going from the row to the column, and None where the rules forbid it.
    """
    crf = model.crf
    start, end = (torch.zeros(1),) * 2
    scores = torch.cat(
        [
            torch.cat([crf.start_transitions.float().cpu(), start])[None],
            torch.cat([crf.transitions.float().cpu(), crf.end_transitions.float().cpu()[:, None]], dim=1),
        ]
    )
    allowed = torch.cat(
        [
            torch.cat([crf.allowed_starts.cpu(), end.bool()])[None],
            torch.cat([crf.allowed_transitions.cpu(), crf.allowed_ends.cpu()[:, None]], dim=1),
        ]
    )
    return [
        [round(score, 4) if free else None for score, free in zip(*row, strict=True)]
        for row in zip(scores.tolist(), allowed.tolist(), strict=True)
    ]


def strongest_transitions(model: BiLSTMCRFForTokenClassification, count: int = 5) -> str:
    """Write the allowed transitions whose scores, in nats, are furthest from 0."""
    origins, goals = ["start", *model.config.labels], [*model.config.labels, "end"]
    transitions = [
        (score, visible(f"{origin} -> {goal}"))
        for origin, row in zip(origins, transition_table(model), strict=True)
        for goal, score in zip(goals, row, strict=True)
        if score is not None
    ]
    transitions.sort(key=lambda transition: -abs(transition[0]))
    return "strongest transitions: " + ", ".join(f"{name} {score:+.2f}" for score, name in transitions[:count])
