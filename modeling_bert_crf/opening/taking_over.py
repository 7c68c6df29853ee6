"""A stock token classifier as a tagger of ours: its encoder and its classifier, and a chain over what they say."""

import re
from collections.abc import Iterable
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedConfig
from transformers.utils import logging

from .. import BiLSTMCRFForTokenClassification, is_tagger, tagger_class
from ..configuration_crf import quoted
from ..schemes import OUTSIDE, has_type, split_tag
from .building import LOADING_ARGUMENTS, configuration_for, quiet_load_report
from .viterbi_calibration import read_operating_points

logger = logging.get_logger(__name__)


def take_over(tagger: Any, name_or_path: str, tokenizer: Any, config: dict[str, Any]) -> Any:
    """Do what `BiLSTMCRFForTokenClassification.from_tagger` says; `tagger` is the class that it was called on."""
    loading = {name: config.pop(name) for name in LOADING_ARGUMENTS if name in config}
    hub = {name: value for name, value in loading.items() if name != "attn_implementation"}
    stored, _ = PreTrainedConfig.get_config_dict(name_or_path, **hub)
    kind = stored.get("model_type")
    if is_tagger(kind):
        raise ValueError("the model must be a stock token classifier, got a tagger of ours: from_pretrained loads it")
    made = stored.get("architectures") or []
    if isinstance(made, list) and made and not any(str(one).endswith("ForTokenClassification") for one in made):
        raise ValueError(
            "the model must be a stock token classifier, named in `architectures` in its config.json, got "
            f"{quoted(made[0])}; of an encoder without a classifier from_encoder and bert-crf train make a new tagger"
        )
    if tagger is BiLSTMCRFForTokenClassification:
        tagger = tagger_class(kind)
    labels = stored.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}  # as the host has it
    if isinstance(labels, dict) and all(re.fullmatch(r"LABEL_\d+", str(label)) for label in labels.values()):
        raise ValueError(
            "`id2label` in its config.json must name the tags, got "
            f"{', '.join(list(labels.values())[:3])}, which the library writes where nobody has named them: put the "
            "names of the tags there, in the order of the ids that it was trained with"
        )
    has_head = {} if tagger.prediction_head_class is None else {"prediction_head": True}
    points = {} if "operating_points" in config else read_operating_points(name_or_path, **hub)
    given: dict[str, Any] = {"num_lstm_layers": 0, "word_shape_size": 0, **has_head, **tagger.stock_fields, **points}
    if isinstance(labels, dict) and is_iob1_set(map(str, labels.values())):
        given["tag_scheme"] = None
    full = configuration_for(tagger.config_class, stored, **given | config | {"id2label": labels})
    if OUTSIDE in full.labels and (said := describe_rules(full)) != full.scheme:
        logger.warning(f"{name_or_path}: its labels are read in {said}")
    if tokenizer is None:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, trust_remote_code=False, **hub)
    if "word_splitter" not in config and not tokenizer.is_fast:
        full.word_splitter = "unicode_words"
    with quiet_load_report():
        model = tagger.from_pretrained(
            name_or_path,
            config=full,
            dtype=torch.float32,
            key_mapping={r"^score\.": "classifier."},  # the name that it has in some families
            _taken_over=("head", "classifier"),
            **loading,
        )
    # The host would write the weights under the names that they had in the checkpoint.
    vars(model).pop("_weight_conversions", None)
    model.set_tokenizer(tokenizer)
    return model


def is_iob1_set(labels: Iterable[str]) -> bool:
    """Say whether labels can only be those of IOB1: some of their types have a `B-`, and one has an `I-` alone.

    In IOB2 every type that has an `I-` has a `B-`, but in IOB1 a type has one only where two of its entities touch.
    Where no type has a `B-`, the labels are those of IO, which forbids nothing either.

    >>> is_iob1_set(["O", "B-LOC", "I-LOC", "I-PER"]), is_iob1_set(["O", "B-LOC", "I-LOC"]), is_iob1_set(["I-LOC"])
    (True, False, False)
    """
    pairs = {split_tag(label) for label in labels if has_type(label)}
    opened = {kind for prefix, kind in pairs if prefix == "B"}
    return {prefix for prefix, _ in pairs} == {"B", "I"} and opened != {kind for _, kind in pairs}


def describe_rules(config: Any) -> str:
    """Say in words how a tagger's labels are read; the name of the scheme alone if it has rules."""
    if config.span_scheme is None:
        return "no scheme: neighbouring words with the same label are one entity, and every tag may follow every other"
    if config.span_scheme == "IO":
        return "IO: neighbouring words of one type are one entity, and every tag may follow every other"
    if config.scheme is None and config.span_scheme == "IOB2":
        return "IOB1: an entity may also begin with I-, and every tag may follow every other"
    return str(config.scheme or f"{config.span_scheme}, but every tag may follow every other")


__all__ = ["describe_rules", "is_iob1_set", "take_over"]
