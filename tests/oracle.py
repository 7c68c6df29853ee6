"""The CRF by its definition: visit every path, one addition at a time, in float64.

Slow on purpose. It shares no code with the package and uses no tensor operations, so that when the two agree it means
something.
"""

import itertools
import math
from dataclasses import dataclass


@dataclass
class Chain:
    """One sequence's scores as plain lists, and which moves are allowed."""

    emissions: list  # [T][K]
    start: list
    end: list
    transitions: list  # [from][to]
    allowed_starts: list
    allowed_ends: list
    allowed_transitions: list

    def score(self, path):
        """The score of a path, -inf if it is forbidden."""
        if not path:
            return 0.0
        legal = self.allowed_starts[path[0]] and self.allowed_ends[path[-1]]
        legal = legal and all(self.allowed_transitions[i][j] for i, j in itertools.pairwise(path))
        if not legal:
            return -math.inf
        total = self.start[path[0]] + self.end[path[-1]]
        total += sum(self.emissions[t][tag] for t, tag in enumerate(path))
        return total + sum(self.transitions[i][j] for i, j in itertools.pairwise(path))

    def paths(self):
        """Every path with its score."""
        tags = range(len(self.start))
        return {path: self.score(path) for path in itertools.product(tags, repeat=len(self.emissions))}


def log_sum(scores):
    total = math.fsum(math.exp(score) for score in scores)
    return math.log(total) if total > 0 else -math.inf


def log_partition(paths):
    return log_sum(paths.values())


def nll(paths, tags):
    """Of tags that may be None, unknown."""
    agreeing = [
        s for path, s in paths.items() if all(want in (None, tag) for want, tag in zip(tags, path, strict=True))
    ]
    weight = log_sum(agreeing)
    return math.inf if weight == -math.inf else log_partition(paths) - weight


def marginals(paths, length, num_tags):
    log_z = log_partition(paths)
    table = [[0.0] * num_tags for _ in range(length)]
    for path, score in paths.items():
        for t, tag in enumerate(path):
            table[t][tag] += math.exp(score - log_z)
    return table
