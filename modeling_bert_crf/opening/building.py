"""A new tagger: an untrained head on a pretrained encoder."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedConfig

from .. import BiLSTMCRFForTokenClassification, tagger_class
from ..configuration_crf import quoted
from ..words import loses_case

__all__ = ["LOADING_ARGUMENTS", "WORD_SHAPE_SIZE", "build", "configuration_for"]

WORD_SHAPE_SIZE = 16
"""Width of the word shapes' embedding for an encoder that sees no capitals."""
LOADING_ARGUMENTS = ("revision", "token", "cache_dir", "local_files_only", "subfolder", "attn_implementation")
"""Arguments of `from_encoder` that say where to load from; every other keyword is a field of the configuration."""
_OF_A_TASK = {"model_type", "architectures", "id2label", "label2id", "num_labels", "problem_type", "auto_map"}
_OF_A_TASK |= {"custom_pipelines", "dtype", "torch_dtype", "transformers_version", "_name_or_path"}
"""What a tagger does not take over from the configuration of its encoder."""


def build(tagger: Any, name_or_path: str, labels: Sequence[str], tokenizer: Any, config: dict[str, Any]) -> Any:
    """Make a new tagger.

    Args:
        tagger: the class that `from_encoder` was called on.
        name_or_path, labels, tokenizer, config: the arguments of `BiLSTMCRFForTokenClassification.from_encoder`.

    Returns:
        The tagger, as `from_encoder` describes it.

    Raises:
        ValueError: as `from_encoder` says.
    """
    labels = _distinct(labels, config)
    loading = {name: config.pop(name) for name in LOADING_ARGUMENTS if name in config}
    hub = {name: value for name, value in loading.items() if name != "attn_implementation"}
    stored, _ = PreTrainedConfig.get_config_dict(name_or_path, **hub)
    if tagger is BiLSTMCRFForTokenClassification:
        tagger = tagger_class(stored.get("model_type"))
    _check_fields(tagger, config)
    # Before the tokenizer, which reads the file too, and may fail on it without naming it.
    full = configuration_for(tagger.config_class, stored, **config, id2label=dict(enumerate(labels)))
    if tokenizer is None:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, trust_remote_code=False, **hub)
    if "word_shape_size" not in config and loses_case(tokenizer):
        full.word_shape_size = WORD_SHAPE_SIZE
    if "word_splitter" not in config and not tokenizer.is_fast:
        full.word_splitter = "unicode_words"
    with quiet_load_report():
        # In float32, whatever the checkpoint's dtype: weights in half precision do not train.
        model = tagger.from_pretrained(
            name_or_path,
            config=full,
            dtype=torch.float32,
            # A user who names a number of layers may mean the first ones; the weights of the others are left over.
            _unchecked=("left over",) if "num_hidden_layers" in config else (),
            **loading,
        )
    model.set_tokenizer(tokenizer)
    return model


def _distinct(labels: Any, config: dict[str, Any]) -> list[str]:
    """Return the labels as a list. Refuse labels that are no distinct strings, and other names of them beside."""
    if isinstance(labels, str):
        raise ValueError(f"labels must be a list of tags, got the string {labels!r}")
    labels = list(labels)
    if not labels or not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
        raise ValueError(f"labels must be distinct strings, at least one, got {labels}")
    if named := sorted(config.keys() & {"num_labels", "id2label", "label2id"}):
        raise ValueError(f"{named[0]!r} must be left out: `labels` names the tags and their number")
    return labels


def _check_fields(tagger: Any, config: dict[str, Any]) -> None:
    """Refuse a keyword that is no field of the family's configuration."""
    known = {field.name for field in fields(tagger.config_class)}
    if unknown := sorted(config.keys() - known):
        raise ValueError(f"{unknown[0]!r} must be a field of the configuration or one of {LOADING_ARGUMENTS}")


def configuration_for(family: Any, stored: dict[str, Any], **given: Any) -> Any:
    """Make a new tagger's configuration from that of an encoder.

    Args:
        family: the class of the tagger's configuration.
        stored: what the encoder's `config.json` holds. What it says of a task or a head is not taken over.
        **given: fields that come on top, or in place of the encoder's.

    Raises:
        ValueError: if the encoder is of another family, or a field has a value that it cannot have.
    """
    host, kind = family.host_config(), stored.get("model_type")
    if isinstance(kind, str) and kind.endswith("_bilstm_crf"):
        raise ValueError(
            "the encoder must be pretrained and no more, got a finished tagger: from_pretrained loads it, with "
            "id2label, label2id and ignore_mismatched_sizes=True for other tags"
        )
    if kind != host.model_type:
        raise ValueError(f"the encoder must be of the family {host.model_type!r}, got model_type {quoted(kind)}")
    own = {field.name for field in fields(family)} - {field.name for field in fields(host)}
    return family(**{name: value for name, value in stored.items() if name not in _OF_A_TASK | own} | given)


@contextmanager
def quiet_load_report() -> Iterator[None]:
    """Keep the host from warning that the weights of a new head are missing."""

    def keep(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    host = logging.getLogger("transformers.modeling_utils")
    host.addFilter(keep)
    try:
        yield
    finally:
        host.removeFilter(keep)
