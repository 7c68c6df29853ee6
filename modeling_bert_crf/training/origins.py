"""What a run starts from: its encoder's name, wherever that lies, and the licences that cards state."""

import re
from pathlib import Path
from typing import Any

from ..hub.cards import card_metadata

__all__ = ["encoder_name", "stated_licence"]

_CACHED = re.compile(r"models--(.+)")


def encoder_name(start: str) -> str:
    """Return the name of a model: its own, if its folder says it, and not the folder's.

    The Hub's cache says it in the path, a tagger and many other cards as `model_name` in their metadata.

    Args:
        start: a folder, or a repository of the Hub.
    """
    folder = Path(start)
    if not folder.exists():
        return start
    for part in reversed(folder.absolute().parts):
        if hit := _CACHED.fullmatch(part):
            return hit[1].replace("--", "/", 1)
    said = card_metadata(folder).get("model_name")
    return " ".join(said.split()) if isinstance(said, str) and said.strip() else folder.resolve().name


def stated_licence(name: str | Path, **hub: Any) -> str | None:
    """Return the licence that the card of a model or a data set states; None if it states none.

    Args:
        name: a folder, or a repository of the Hub.
        hub: how to read from there: `revision`, `repo_type`, `cache_dir`, `token`.
    """
    metadata = card_metadata(name, **hub)
    said = metadata.get("license")
    if said == "other":  # then the card gives it a name of its own
        said = metadata.get("license_name") or said
    names = [one for one in (said if isinstance(said, list) else [said]) if isinstance(one, str) and one.strip()]
    return ", ".join(" ".join(one.split()) for one in names) or None
