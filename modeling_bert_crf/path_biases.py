"""Biases on the moves of a path, by the kind of move: they make the best path find more entities, or fewer.

A path that is the most probable one is not the one with the best F1, and not the one that misses the least. Biases
change which path is found, and no probability: those are of the chain without them. The kinds of moves, but for the
last, and their names are those of OpenAI's Privacy Filter (`viterbi_calibration.json`).

Ships with every checkpoint: the standard library only.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .schemes import OUTSIDE, SCHEMES, continues, split_tag

MOVES = (
    "background_stay",
    "background_to_start",
    "inside_to_continue",
    "inside_to_end",
    "end_to_background",
    "end_to_start",
    "start_to_start",
)
"""The kinds of moves: outside to outside; from outside to an entity's first word; from a word of an entity to its
next, and, where a scheme marks it, to its last; from an entity to outside; from an entity to the next one; and into an
entity at the chain's beginning."""


def kind_of_move(previous: str | None, tag: str, scheme: str | None) -> str | None:
    """Name the kind of a move between two tags; None for one that no bias is on.

    Args:
        previous: the tag before; None at the chain's beginning.
        tag: the tag.
        scheme: by which they are read as entities, `config.span_scheme`.

    >>> kind_of_move("O", "B-X", "IOB2"), kind_of_move("B-X", "I-X", "IOB2"), kind_of_move("B-X", "E-X", "BIOES")
    ('background_to_start', 'inside_to_continue', 'inside_to_end')
    """
    if previous is None:
        return None if tag == OUTSIDE else "start_to_start"
    if previous == OUTSIDE:
        return "background_stay" if tag == OUTSIDE else "background_to_start"
    if tag == OUTSIDE:
        return "end_to_background"
    if not continues(previous, tag, scheme):
        return "end_to_start"
    is_last = scheme is not None and not SCHEMES[scheme][split_tag(tag)[0]].continues
    return "inside_to_end" if is_last else "inside_to_continue"


def bias_scores(
    labels: Sequence[str], scheme: str | None, biases: Mapping[str, float]
) -> tuple[list[float], list[list[float]]]:
    """Write biases as scores to add: to each label at the chain's beginning, and to each move ([from][to]).

    >>> bias_scores(["O", "B-X", "I-X"], "IOB2", {"background_to_start": 0.5, "start_to_start": 0.25})[0]
    [0.0, 0.25, 0.25]
    """

    def bias(previous: str | None, tag: str) -> float:
        kind = kind_of_move(previous, tag, scheme)
        return 0.0 if kind is None else float(biases.get(kind, 0.0))

    return [bias(None, tag) for tag in labels], [[bias(previous, tag) for tag in labels] for previous in labels]


def check_biases(biases: Any) -> dict[str, float]:
    """Check biases, and return them with every kind of move.

    Raises:
        ValueError: if a name is none of `MOVES`, or a value no finite number.
    """
    if not isinstance(biases, Mapping):
        raise ValueError(f"biases must be a dictionary, got {biases!r:.80}")
    for name, value in biases.items():
        if name not in MOVES:
            raise ValueError(f"a bias must be one of {', '.join(MOVES)}, got {name!r:.80}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"the bias {name!r} must be a finite number, got {value!r:.80}")
    return {name: float(biases.get(name, 0.0)) for name in MOVES}


def check_operating_point(name: Any, point: Any, types: Sequence[str]) -> None:
    """Check an operating point of a configuration.

    Args:
        name: of the operating point.
        point: `biases` and `thresholds`, either of which may be left out.
        types: of entities, that the tagger knows.

    Raises:
        ValueError: naming it, and what is wrong.
    """
    place = f"`operating_points`: {name!r:.80}"
    if not isinstance(name, str) or not isinstance(point, Mapping) or point.keys() - {"biases", "thresholds"}:
        raise ValueError(f"{place} must name a dictionary of `biases` and `thresholds`, got {point!r:.80}")
    try:
        check_biases(point.get("biases", {}))
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    thresholds = point.get("thresholds", {})
    if not isinstance(thresholds, Mapping):
        raise ValueError(f"{place}: thresholds must be a dictionary, got {thresholds!r:.80}")
    for kind, value in thresholds.items():
        if kind not in types:
            raise ValueError(f"{place}: a threshold must be of one of the types {', '.join(types)}, got {kind!r:.80}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"{place}: the threshold of {kind!r} must be from 0 to 1, got {value!r:.80}")


__all__ = ["MOVES", "bias_scores", "check_biases", "check_operating_point", "kind_of_move"]
