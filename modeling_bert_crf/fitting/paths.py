"""How good the best paths of chains are, with biases on their moves, and how probable what they find."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..crf import UNKNOWN, LinearChainCRF
from ..entities import read_entities
from ..path_biases import bias_scores
from ..readers.partial import known_spans
from ..schemes import OUTSIDE, Span, tags_to_spans
from ..scores.known import verdicts
from .likelihood import ChainFit, Chains, chain_of


class Counts(NamedTuple):
    """Entities: found and right, found, and there to be found."""

    correct: int
    predicted: int
    gold: int

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 where nothing is right."""
        return 2 * self.correct / max(1, self.predicted + self.gold)

    @property
    def precision(self) -> float:
        """Share of what was found that is right; 1 where nothing was found."""
        return self.correct / self.predicted if self.predicted else 1.0

    @property
    def recall(self) -> float:
        """Share of what is there that was found; 1 where nothing is there."""
        return self.correct / self.gold if self.gold else 1.0


def add(counts: Sequence[Counts]) -> Counts:
    """Add counts up."""
    return Counts(*map(sum, zip(*counts, strict=True))) if counts else Counts(0, 0, 0)


class Reader:
    """Reads the entities off the best paths of chains.

    Args:
        labels: the model's tags.
        scheme: by which they are read, `config.span_scheme`.
        crf: its rules are obeyed.
    """

    def __init__(self, labels: Sequence[str], scheme: str | None, crf: LinearChainCRF):
        self.labels, self.scheme = list(labels), scheme
        self.rules = crf

    def chain(self, fit: ChainFit, biases: Mapping[str, float]) -> LinearChainCRF:
        """Return a CRF with a fit's scores and biases on its moves, for paths."""
        starts, moves = bias_scores(self.labels, self.scheme, biases)
        biased = fit._replace(
            start_transitions=fit.start_transitions + torch.tensor(starts, dtype=torch.float64),
            transitions=fit.transitions + torch.tensor(moves, dtype=torch.float64),
        )
        return chain_of(biased, self.rules)

    def paths(self, chains: Chains, fit: ChainFit, biases: Mapping[str, float]) -> list[Tensor]:
        """Return the best path of each chain, (n,)."""
        crf = self.chain(fit, biases)
        paths: list[Tensor] = [torch.empty(0, dtype=torch.int64)] * len(chains.tags)
        for indices, emissions, _, mask in chains.batches:
            found = crf.decode(emissions / fit.temperature, mask)[0]
            for index, path in zip(indices, found, strict=True):
                paths[index] = path[: len(chains.tags[index])]
        return paths

    def spans(self, path: Tensor) -> set[Span]:
        """Read the entities off a path, or off gold tags; an unknown tag is outside."""
        tags = [self.labels[tag] if tag >= 0 else OUTSIDE for tag in path.tolist()]
        return set(tags_to_spans(tags, self.scheme)) if any(tag != OUTSIDE for tag in tags) else set()

    def gold(self, chains: Chains) -> list[list[str]]:
        """Return the gold tags of each chain; an unknown one that has no name is outside."""
        if chains.gold is not None:
            return chains.gold
        return [[self.labels[tag] if tag >= 0 else OUTSIDE for tag in tags.tolist()] for tags in chains.tags]

    def count(self, paths: Sequence[Tensor], gold: Sequence[Sequence[str]]) -> list[Counts]:
        """Count the entities of paths, chain by chain, against gold tags; what these leave open is not counted."""
        counts = []
        for path, tags in zip(paths, gold, strict=True):
            right = verdicts(sorted(self.spans(path)), tags, self.scheme)
            judged = len(right) - right.count(None)
            counts.append(Counts(right.count(True), judged, len(known_spans(tags, self.scheme))))
        return counts

    def confidences(self, chains: Chains, fit: ChainFit, paths: Sequence[Tensor]) -> list[tuple[float, bool]]:
        """Return of each entity of paths its exact probability by a fit, and whether it is right, if that is known."""
        config = SimpleNamespace(labels=self.labels, span_scheme=self.scheme)
        model: Any = SimpleNamespace(config=config, crf=chain_of(fit, self.rules))
        gold, confidences = self.gold(chains), []
        for indices, emissions, _, mask in chains.batches:
            rows = pad_sequence([paths[index] for index in indices], True, UNKNOWN)
            for row, start, end, kind, score in read_entities(model, emissions / fit.temperature, mask, rows):
                (right,) = verdicts([(start, end, kind)], gold[indices[row]], self.scheme)
                if right is not None:
                    confidences.append((score, right))
        return confidences


__all__ = ["Counts", "Reader", "add"]
