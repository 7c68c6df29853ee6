"""What the card of a model or a data set says of it: in a folder, or on the Hub."""

from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import hf_hub_download, metadata_load
from huggingface_hub.errors import HfHubHTTPError

__all__ = ["card_metadata"]


def card_metadata(name: str | Path, **hub: Any) -> dict[str, Any]:
    """Return the metadata at the top of a card; nothing if there is no card, or none that can be read.

    Args:
        name: a folder, or a repository of the Hub.
        hub: how to read from there: `revision`, `repo_type`, `cache_dir`, `token`.
    """
    card = Path(name, "README.md")
    try:
        if not Path(name).exists():
            card = Path(hf_hub_download(str(name), "README.md", **hub))
        found = metadata_load(card)
    except (OSError, ValueError, HfHubHTTPError, yaml.YAMLError):  # no work depends on a card
        return {}
    return found if isinstance(found, dict) else {}
