"""The settings of the run that has made a tagger, so that others can be trained as it was.

They stand in `metrics.json`, which `bert-crf train` leaves beside the weights, on the Hub as well. The encoder is
named there as on the Hub; of one that was a folder only the last part of its path is known.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

from ..opening.tagger import OpeningError, telling
from ..training.arguments import Arguments, given_options, parse_arguments
from ..training.facts import SETTINGS

__all__ = ["Recipe", "recipe_of"]

_FACTS = "metrics.json"


class Recipe(NamedTuple):
    """How taggers are to be trained.

    Attributes:
        encoder: a folder, or a name on the Hub.
        options: of the run, by their names on the command line; what they leave open the program decides.
        source: where that is known from, in words.
    """

    encoder: str
    options: dict[str, Any]
    source: str

    def arguments(self, folder: Path) -> tuple[Arguments, dict[str, Any]]:
        """Return the arguments of a run that trains in a folder and leaves nothing there, and those that are given."""
        fixed = {"model_name_or_path": self.encoder, "output_dir": folder, "do_train": True}
        fixed |= {"save_strategy": "no", "logging_strategy": "no", "report_to": "none"}
        words = [f"--{name}={value}" for name, value in {**self.options, **fixed}.items()]
        return parse_arguments(words), given_options(words)


def recipe_of(name: str, revision: str | None = None, encoder: str | None = None) -> Recipe:
    """Find out how a tagger was trained.

    Args:
        name: of the tagger: a folder, or a name on the Hub.
        revision: branch, tag or commit on the Hub.
        encoder: the encoder that the tagger was trained from, if its run does not say.

    Raises:
        OpeningError: if nobody says which encoder it was trained from.
    """
    facts = _facts(name, revision)
    known = (facts.get("hub") or {}).get("base_model")
    if encoder is None and known is None:
        said = facts.get("base_model")
        named = f"its run began with a folder that was called {said!r}" if said else f"it has no {_FACTS} of its run"
        raise OpeningError(f"{name}: {named}: name the encoder that it was trained from with --encoder")
    settings = facts.get("settings") or {}
    source = f"the settings of its run ({_FACTS})" if settings else "the program's settings"
    return Recipe(str(encoder or known), _options(settings), source)


def _facts(name: str, revision: str | None) -> dict[str, Any]:
    """Read what a run has left beside its tagger; nothing if there is no such file."""
    with telling(f"{name}: its {_FACTS} cannot be read"):
        file = Path(name) / _FACTS
        if not Path(name).is_dir():
            try:
                file = Path(hf_hub_download(name, _FACTS, revision=revision))
            except EntryNotFoundError:  # also where the Hub is out of reach, and its copy here has none
                return {}
        facts = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if not isinstance(facts, dict):
            raise ValueError("it must hold a dictionary")
        return facts


def _options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Write the settings of a run as the options of one in a single process.

    The file may come from a stranger, so that other options in it do not count.
    """
    options = {name: settings[name] for name in SETTINGS if settings.get(name) is not None}
    if options.get("max_steps", 0) <= 0:
        options.pop("max_steps", None)
    processes = options.pop("world_size", 1)
    options["gradient_accumulation_steps"] = options.get("gradient_accumulation_steps", 1) * processes
    return options
