"""The entry of an Inference Endpoint of the Hugging Face Hub, which finds it by the name of this file.

This file travels with an export. The endpoint installs what `requirements.txt` names, and calls `EndpointHandler`.
"""

from pathlib import Path
from typing import Any

from .runtime import OnnxTagger

__all__ = ["EndpointHandler"]


class EndpointHandler:
    """Answer requests with what the tagger finds.

    Args:
        path: the folder of the export; by default that of this file.
    """

    def __init__(self, path: str = ""):
        self.tagger = OnnxTagger(path or Path(__file__).parent)

    def __call__(self, data: dict[str, Any]) -> list[Any]:
        """Tag `data["inputs"]`, a text or a list of texts; `data["parameters"]` holds options of `OnnxTagger.read`."""
        return self.tagger(data["inputs"], **(data.get("parameters") or {}))
