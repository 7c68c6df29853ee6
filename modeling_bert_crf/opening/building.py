"""A new tagger: a head that knows nothing yet, on an encoder that somebody has pretrained."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedConfig

from .. import BiLSTMCRFForTokenClassification, tagger_class
from ..words import loses_case

WORD_SHAPE_SIZE = 16
"""Width of the word shapes' embedding for an encoder that sees no capitals."""
LOADING_ARGUMENTS = ("revision", "token", "cache_dir", "local_files_only", "subfolder", "attn_implementation")
"""Arguments of `from_encoder` that say where to load from; every other keyword is a field of the configuration."""


def build(tagger: Any, name_or_path: str, labels: Sequence[str], tokenizer: Any, config: dict[str, Any]) -> Any:
    """Do what `BiLSTMCRFForTokenClassification.from_encoder` says; `tagger` is the class that it was called on."""
    if isinstance(labels, str):
        raise ValueError(f"labels must be a list of tags, got the string {labels!r}")
    labels = list(labels)
    if not labels or not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
        raise ValueError(f"labels must be distinct strings, at least one, got {labels}")
    if named := sorted(config.keys() & {"num_labels", "id2label", "label2id"}):
        raise ValueError(f"{named[0]!r} must be left away: `labels` names the tags and their number")
    loading = {name: config.pop(name) for name in LOADING_ARGUMENTS if name in config}
    hub = {name: value for name, value in loading.items() if name != "attn_implementation"}
    stored, _ = PreTrainedConfig.get_config_dict(name_or_path, **hub)
    if tagger is BiLSTMCRFForTokenClassification:
        tagger = tagger_class(stored.get("model_type"))
    known = {field.name for field in fields(tagger.config_class)}
    if unknown := sorted(config.keys() - known):
        raise ValueError(f"{unknown[0]!r} must be a field of the configuration or one of {LOADING_ARGUMENTS}")
    # Before the tokenizer, which reads the file too, and may fail on it without naming it.
    full = tagger.config_class.for_encoder(stored, **config, id2label=dict(enumerate(labels)))
    if tokenizer is None:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, trust_remote_code=False, **hub)
    if "word_shape_size" not in config and loses_case(tokenizer):
        full.word_shape_size = WORD_SHAPE_SIZE
    if "word_splitter" not in config and not tokenizer.is_fast:
        full.word_splitter = "unicode_words"
    with _quiet_load_report():
        # In float32, whatever the checkpoint's dtype: half-precision weights do not train.
        model = tagger.from_pretrained(
            name_or_path,
            config=full,
            dtype=torch.float32,
            # Who names a number of layers may mean the first ones.
            _unchecked=("left over",) if "num_hidden_layers" in config else (),
            **loading,
        )
    model.set_tokenizer(tokenizer)
    return model


@contextmanager
def _quiet_load_report() -> Iterator[None]:
    """Keep the host from listing a new head's weights as missing."""

    def keep(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    host = logging.getLogger("transformers.modeling_utils")
    host.addFilter(keep)
    try:
        yield
    finally:
        host.removeFilter(keep)
