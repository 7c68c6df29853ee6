"""`viterbi_calibration.json`: the operating points beside OpenAI's Privacy Filter, read and written.

    {"operating_points": {"default": {"biases": {"transition_bias_background_stay": 0.0, ...}}}}

It holds six biases for each operating point, and every reader of it wants all six. It has no place for thresholds, and
none for a bias at a text's beginning.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

from ..configuration_crf import quoted
from ..path_biases import MOVES, check_biases

__all__ = ["FILE", "operating_points_of", "read_operating_points", "viterbi_calibration"]

FILE = "viterbi_calibration.json"
PREFIX = "transition_bias_"
DEFAULT = "default"
"""The operating point that readers of the file take if nobody names one."""
_START = "start_to_start"
_KEYS = {PREFIX + move: move for move in MOVES if move != _START}


def read_operating_points(name_or_path: str, **hub: Any) -> dict[str, Any]:
    """Read the operating points beside a stock classifier, as fields of a tagger's configuration.

    Args:
        name_or_path: a folder, or a repository of the Hub.
        hub: where in it, and how to reach it: `revision`, `subfolder`, `token`, `cache_dir`, `local_files_only`.

    Returns:
        `operating_points`, and `operating_point` if one is called `"default"`; nothing where there is no such file.

    Raises:
        ValueError: naming the file, and what is wrong in it.
    """
    folder = Path(name_or_path)
    file = folder / (hub.get("subfolder") or "") / FILE
    if not folder.is_dir():
        try:
            file = Path(hf_hub_download(name_or_path, FILE, **hub))
        except EntryNotFoundError:  # also where the Hub is out of reach, and its copy here has none
            return {}
    if not file.is_file():
        return {}
    try:
        points = operating_points_of(json.loads(file.read_text("utf-8")))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: {error}") from None
    return {"operating_points": points} | ({"operating_point": DEFAULT} if DEFAULT in points else {})


def operating_points_of(calibration: Any) -> dict[str, Any]:
    """Return what the file holds as `config.operating_points`.

    Raises:
        ValueError: if it does not hold the six biases of each of some operating points.
    """
    points = calibration.get("operating_points") if isinstance(calibration, dict) else None
    if not isinstance(points, dict):
        raise ValueError(f"it must hold a dictionary `operating_points`, got {quoted(calibration)}")
    read = {}
    for name, point in points.items():
        biases = point.get("biases") if isinstance(point, dict) else None
        if not isinstance(biases, dict):
            raise ValueError(f"`operating_points`: {name!r:.80} must hold a dictionary `biases`, got {quoted(point)}")
        for key in _KEYS.keys() ^ biases.keys():
            fault = "is missing" if key in _KEYS else "is none of them"
            raise ValueError(
                f"`operating_points`: {name!r:.80} must hold the biases {', '.join(_KEYS)}; {key!r:.80} {fault}"
            )
        try:
            checked = check_biases({move: biases[key] for key, move in _KEYS.items()})
        except ValueError as error:
            raise ValueError(f"`operating_points`: {name!r:.80}: {error}") from None
        read[name] = {"biases": {move: checked[move] for move in _KEYS.values()}}
    return read


def viterbi_calibration(config: Any) -> tuple[dict[str, Any], list[str]]:
    """Write the operating points of a configuration as the file holds them.

    Returns:
        What the file holds: each operating point, and as `"default"` the one in force, without a bias if there is
        none. And for each that says more than the file has a place for, a sentence on what was left out.
    """
    points: Mapping[str, Any] = {**(config.operating_points or {}), DEFAULT: config.point(None)}
    written, notes = {}, []
    for name, point in points.items():
        biases = point.get("biases", {})
        written[name] = {"biases": {key: float(biases.get(move, 0.0)) for key, move in _KEYS.items()}}
        left = [f"its thresholds {quoted(point['thresholds'])}"] if point.get("thresholds") else []
        left += [f"its bias {_START} of {biases[_START]:+g}"] if biases.get(_START) else []
        if left:
            notes.append(f"{name!r:.80}: {FILE} has no place for {' and for '.join(left)}")
    return {"operating_points": written}, notes
