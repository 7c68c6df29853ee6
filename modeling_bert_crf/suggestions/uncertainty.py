"""How unsure a tagger is of a text, by the exact distribution over its taggings.

    entropy      of the distribution, in nats
    probability  1 - P(best): how probable it is that the best tagging is wrong anywhere
    margin       1 - (P(best) - P(second best))

The chains of a text are independent given the text, so that the entropies of its sentences add up, and probabilities
multiply. Nothing is divided by the length: a long sentence has more to be unsure of, and an annotator who is asked by
the sentence learns the more from it (as Settles and Craven argue, too).

References:
    B. Settles, M. Craven, "An analysis of active learning strategies for sequence labeling tasks", EMNLP 2008, sec. 3.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["BY", "entities_of", "uncertainty"]

BY = ("entropy", "probability", "margin")
"""What a ranking may go by."""


def uncertainty(chains: Sequence[Mapping[str, Any]], by: str) -> float:
    """Say how unsure a tagger is of a text.

    Args:
        chains: those of the text, as the pipeline returns them for `num_paths=2`.
        by: one of `BY`.

    Returns:
        At least 0, and 0 for a text without words; for all but the entropy at most 1.
    """
    if by == "entropy":
        return math.fsum(max(0.0, chain["entropy"]) for chain in chains)
    # A path whose probability is smaller than any number is none of these.
    paths = [[path["probability"] for path in chain["paths"]] + [0.0, 0.0] for chain in chains]
    best = math.prod(own[0] for own in paths)
    # The second best tagging of the text has the second best path in one chain, and the best in all others.
    second = best * max((own[1] / own[0] for own in paths if own[0]), default=0.0) if by == "margin" else 0.0
    return max(0.0, 1.0 - best + second)


def entities_of(chains: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the entities of a text's best tagging, in order."""
    return [entity for chain in chains for path in chain["paths"][:1] for entity in path["entities"]]
