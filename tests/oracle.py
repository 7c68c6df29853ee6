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

    def terms(self, path):
        """What the score of a path is the sum of; None if the path is forbidden."""
        if not path:
            return []
        legal = self.allowed_starts[path[0]] and self.allowed_ends[path[-1]]
        legal = legal and all(self.allowed_transitions[i][j] for i, j in itertools.pairwise(path))
        if not legal:
            return None
        own = [self.emissions[t][tag] for t, tag in enumerate(path)]
        moves = [self.transitions[i][j] for i, j in itertools.pairwise(path)]
        return [self.start[path[0]], self.end[path[-1]], *own, *moves]

    def score(self, path):
        """The score of a path, -inf if it is forbidden."""
        terms = self.terms(path)
        return -math.inf if terms is None else sum(terms)

    def every_path(self):
        return itertools.product(range(len(self.start)), repeat=len(self.emissions))

    def paths(self):
        """Every path with its score."""
        return {path: self.score(path) for path in self.every_path()}

    def log_probabilities(self):
        """Every allowed path with the log of its probability, exact for scores of any size.

        Paths are compared with the best one before anything is rounded: `fsum` adds exactly.
        """
        terms = {path: self.terms(path) for path in self.every_path()}
        terms = {path: own for path, own in terms.items() if own is not None}
        if not terms:
            return {}
        best = [-term for term in max(terms.values(), key=math.fsum)]
        behind = {path: math.fsum(own + best) for path, own in terms.items()}
        total = log_sum(behind.values())
        return {path: score - total for path, score in behind.items()}


def log_sum(scores):
    scores = list(scores)
    peak = max(scores, default=-math.inf)
    return peak if peak == -math.inf else peak + math.log(math.fsum(math.exp(score - peak) for score in scores))


def log_marginals(log_probabilities, length, num_tags):
    """[T][K], -inf where no path is allowed."""
    return [
        [log_sum(p for path, p in log_probabilities.items() if path[t] == tag) for tag in range(num_tags)]
        for t in range(length)
    ]


def entropy(log_probabilities):
    return -math.fsum(math.exp(p) * p for p in log_probabilities.values())


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
