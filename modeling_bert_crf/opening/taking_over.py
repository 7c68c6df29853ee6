"""A stock token classifier as a tagger of ours: its encoder and its classifier, and a chain over what they say."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, PreTrainedConfig
from transformers.utils import logging

from .. import BiLSTMCRFForTokenClassification, is_tagger, tagger_class
from ..configuration_crf import quoted
from ..schemes import OUTSIDE
from .building import LOADING_ARGUMENTS, configuration_for, quiet_load_report

logger = logging.get_logger(__name__)

HEADS = ("classifier", "score")
"""What the families call the classifier."""


def take_over(tagger: Any, name_or_path: str, tokenizer: Any, config: dict[str, Any]) -> Any:
    """Do what `BiLSTMCRFForTokenClassification.from_tagger` says; `tagger` is the class that it was called on."""
    loading = {name: config.pop(name) for name in LOADING_ARGUMENTS if name in config}
    hub = {name: value for name, value in loading.items() if name != "attn_implementation"}
    stored, _ = PreTrainedConfig.get_config_dict(name_or_path, **hub)
    kind = stored.get("model_type")
    if is_tagger(kind):
        raise ValueError(
            f"{name_or_path} must be a stock token classifier, got a tagger of ours: from_pretrained loads it"
        )
    if tagger is BiLSTMCRFForTokenClassification:
        tagger = tagger_class(kind)
    elif kind != tagger.config_class.host_config().model_type:
        host = tagger.config_class.host_config().model_type
        raise ValueError(f"{name_or_path} must be of the family {host!r}, got model_type {quoted(kind)}")
    with quiet_load_report():
        stock, info = AutoModelForTokenClassification.from_pretrained(
            name_or_path,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
            **loading,
        )
    if missing := sorted(info["missing_keys"]):
        raise ValueError(
            f"{name_or_path} must be a token classifier, got weights without {quoted(missing[0])}: of an encoder "
            "from_encoder makes a new tagger"
        )
    if tokenizer is None:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, trust_remote_code=False, **hub)
    given: dict[str, Any] = {"num_lstm_layers": 0, "word_shape_size": 0} | config
    if "word_splitter" not in given and not tokenizer.is_fast:
        given["word_splitter"] = "unicode_words"
    if hasattr(stock, "head"):
        given["prediction_head"] = True
    labels = _labels(name_or_path, stock.config.id2label, given.get("tag_scheme", "auto"))
    full = configuration_for(tagger.config_class, stored, **given, id2label=labels)
    model = tagger.from_pretrained(None, config=full, state_dict=_weights(stock, full), dtype=torch.float32)
    model.set_tokenizer(tokenizer)
    return model.eval()


def _labels(name: str, id2label: Mapping[Any, str], tag_scheme: str | None) -> dict[int, str]:
    """Check the labels of a stock classifier, and say how they are read where that is a guess.

    Raises:
        ValueError: if they are the host's placeholders.
    """
    labels = {int(index): label for index, label in id2label.items()}
    if all(re.fullmatch(r"LABEL_\d+", label) for label in labels.values()):
        raise ValueError(
            f"{name}: `id2label` in its config.json must name the tags, got {', '.join(list(labels.values())[:3])}, "
            "which the library writes where nobody has named them: put the names of the tags there, in the order of "
            "the ids that it was trained with"
        )
    if tag_scheme == "auto" and OUTSIDE in labels.values() and _are_types(list(labels.values())):
        logger.warning(
            f"{name}: its labels have no prefixes (B-, I-, ...): neighbouring words with the same label are read as "
            "one entity, and every tag may follow every other"
        )
    return labels


def _are_types(labels: Sequence[str]) -> bool:
    return not any(label[1:2] in ("-", "_") for label in labels)


def _weights(stock: Any, config: Any) -> dict[str, torch.Tensor]:
    """Name the weights of a stock classifier as ours, and add a chain that says nothing yet."""
    prefix = stock.base_model_prefix
    weights = {f"{prefix}.{name}": values for name, values in stock.base_model.state_dict().items()}
    classifier = next(getattr(stock, name) for name in HEADS if hasattr(stock, name))
    weights |= {f"classifier.{name}": values for name, values in classifier.state_dict().items()}
    if "classifier.bias" not in weights:
        weights["classifier.bias"] = torch.zeros(config.num_labels)
    if hasattr(stock, "head"):
        weights |= {f"head.{name}": values for name, values in stock.head.state_dict().items()}
    count = config.num_labels
    weights |= {f"crf.{name}_transitions": torch.zeros(count) for name in ("start", "end")}
    return weights | {
        "crf.transitions": torch.zeros(count, count),
        "token_roles": torch.full((config.vocab_size,), -1, dtype=torch.int8),
    }


__all__ = ["take_over"]
