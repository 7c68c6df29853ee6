"""What the CRF has learnt, in a few numbers for the log, and in words for the end of a run."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ..crf import LinearChainCRF
from ..doors.terminal import visible
from ..modeling_crf import BiLSTMCRFForTokenClassification

TIERS = ("float32 exp", "float64 exp", "float64 log")
"""The arithmetics that `LinearChainCRF.tier` names, the fastest first."""


@torch.no_grad()
def crf_health(
    model: BiLSTMCRFForTokenClassification, before: Mapping[str, Tensor], batch: Mapping[str, Tensor]
) -> dict[str, float]:
    """Measure the CRF on a batch.

    Args:
        model: the tagger.
        before: `scores_of` it when training began.
        batch: inputs of the model, `word_mask` among them.

    Returns:
        `crf_norm`, the Euclidean norm of all transition scores; `crf_drift`, that of their change since `before`;
        `crf_illegal_mass`, the mean probability that the sentences' illegal paths would have without the constraints:
        from 0, rules that the scores have learnt by themselves, to 1, rules that do all the work; and for each of the
        `TIERS`, such as `crf_rows_float64_log`, how many of the batch's rows were summed in it: many in the last one
        are slow, and a sign of scores that grow without bounds.
    """
    state = scores_of(model)
    training = model.training
    model.eval()
    names = ("input_ids", "attention_mask", "word_mask", "word_shape_ids")
    inputs = {name: batch[name] for name in names if name in batch}  # a collator may leave the shapes out
    words, mask = model.encode(**inputs)
    emissions = model.emit(words, mask).float()
    model.train(training)
    free = LinearChainCRF(model.config.num_labels).to(emissions.device)
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
    """Copy the CRF's scores, by their names; by attribute, since adapters wrap modules and rename their states."""
    names = ("start_transitions", "end_transitions", "transitions")
    return {name: getattr(model.crf, name).detach().clone() for name in names}


def _norm(tensors: Iterable[Tensor]) -> float:
    return float(torch.cat([tensor.flatten().float() for tensor in tensors]).norm())


@torch.no_grad()
def transition_table(model: BiLSTMCRFForTokenClassification) -> list[list[float | None]]:
    """Return the CRF's scores in nats, K + 1 rows by K + 1 columns: from the sentence's start and each tag, to each
    tag and the sentence's end. None where the rules forbid it."""
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
    """List the allowed transitions whose scores lie furthest from 0, in nats."""
    origins, goals = ["start", *model.config.labels], [*model.config.labels, "end"]
    moves = [
        (score, visible(f"{origin} -> {goal}"))
        for origin, row in zip(origins, transition_table(model), strict=True)
        for goal, score in zip(goals, row, strict=True)
        if score is not None
    ]
    moves.sort(key=lambda move: -abs(move[0]))
    return "strongest transitions: " + ", ".join(f"{name} {score:+.2f}" for score, name in moves[:count])
