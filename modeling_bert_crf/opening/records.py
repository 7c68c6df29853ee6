"""Records: what decides the result of a work that can be gone on with, so that the same work can be told from another.

A record holds values by the names that they have in a message. Of models and tokenizers it holds digests.
"""

import hashlib
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch

__all__ = ["configuration_record", "differences", "digested", "tokenizer_record", "weights_record"]

# What a configuration may say otherwise without being that of another model. The labels are compared by themselves,
# and the ids of special tokens are set by the Trainer, as the tokenizer has them.
_PASSING = ("_name_or_path", "*_version", "architectures", "dtype", "use_cache", "auto_map", "custom_pipelines")
_PASSING += ("id2label", "label2id", "*_token_id")


def configuration_record(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a record that a model's configuration decides.

    Args:
        config: as `config.json` has it.
    """
    record = {"the labels": list(config["id2label"].values())} if isinstance(config.get("id2label"), dict) else {}
    for name, value in config.items():
        if not any(fnmatchcase(name, pattern) for pattern in _PASSING):
            record[f"{name} in the configuration"] = value
    return record


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Compare two records. What only one of them has, such as an option of another version, is passed over.

    Returns:
        What differs, each with both values; empty if nothing does.
    """
    shared = [name for name in then if name in now and _compared(then[name]) != _compared(now[name])]
    return [f"{name} ({_shown(then[name])} there, {_shown(now[name])} here)" for name in shared]


def digested(what: str, digest: Any) -> dict[str, str]:
    """Return a digest, by which two runs are compared, together with words for a message."""
    return {"digest": digest.hexdigest(), "of": what}


def _compared(value: Any) -> Any:
    return value.get("digest", value) if isinstance(value, dict) else value


def _shown(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"digest", "of"}:
        return f"{value['of']}, digest {value['digest']}"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def weights_record(what: str, model: torch.nn.Module) -> dict[str, str]:
    """Digest all weights of a model, or of a part of one; `what` is its name in a message."""
    digest = hashlib.blake2b(digest_size=8)
    for name, values in model.state_dict().items():
        digest.update(name.encode())
        digest.update(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digested(what, digest)


def tokenizer_record(tokenizer: Any) -> dict[str, str]:
    """Digest how a tokenizer cuts words, but not the padding and truncation that its last call has left in it."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    content = {} if backend is None else json.loads(backend.to_str())
    rules = {name: value for name, value in content.items() if name not in ("truncation", "padding")}
    kind = type(tokenizer).__name__
    whole = json.dumps([kind, sorted(tokenizer.get_vocab().items()), rules])
    return digested(kind, hashlib.blake2b(whole.encode(), digest_size=8))
