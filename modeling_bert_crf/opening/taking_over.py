"""A stock token classifier as a tagger of ours: its encoder and its classifier, and a chain over what they say."""

import re
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedConfig
from transformers.utils import logging

from .. import BiLSTMCRFForTokenClassification, is_tagger, tagger_class
from ..configuration_crf import quoted
from ..schemes import OUTSIDE
from .building import LOADING_ARGUMENTS, configuration_for, quiet_load_report

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
    given: dict[str, Any] = {"num_lstm_layers": 0, "word_shape_size": 0, **has_head, **tagger.stock_fields, **config}
    given["id2label"] = labels
    full = configuration_for(tagger.config_class, stored, **given)
    if full.span_scheme is None and OUTSIDE in full.labels:
        logger.warning(
            f"{name_or_path}: its labels have no prefixes (B-, I-, ...): neighbouring words with the same label are "
            "read as one entity, and every tag may follow every other"
        )
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


__all__ = ["take_over"]
