"""Encoder -> BiLSTM -> CRF for token classification, in the manner of Transformers.

A family's classes are imported when they are asked for, by name or by a checkpoint, so that importing the package
costs nothing for families that are not used.
"""

from importlib import import_module
from typing import Any

from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification, PreTrainedConfig

from .configuration_crf import BiLSTMCRFFields
from .crf import LinearChainCRF
from .modeling_crf import BiLSTMCRFForTokenClassification, BiLSTMCRFOutput
from .pipeline_crf import BiLSTMCRFPipeline

__version__ = "0.2.0"

FAMILIES = {
    "albert": "Albert",
    "bert": "Bert",
    "big_bird": "BigBird",
    "camembert": "Camembert",
    "deberta-v2": "DebertaV2",
    "distilbert": "DistilBert",
    "electra": "Electra",
    "ernie": "Ernie",
    "eurobert": "EuroBert",
    "megatron-bert": "MegatronBert",
    "modernbert": "ModernBert",
    "mpnet": "MPNet",
    "openai_privacy_filter": "OpenAIPrivacyFilter",
    "rembert": "RemBert",
    "roberta": "Roberta",
    "xlm-roberta": "XLMRoberta",
    "xlm-roberta-xl": "XLMRobertaXL",
}
"""The encoders that a tagger can stand on: the host's `model_type` of each, and what its classes' names begin with."""
BertBiLSTMCRFOutput, BertBiLSTMCRFPipeline = BiLSTMCRFOutput, BiLSTMCRFPipeline  # their names in version 0.1
_CLASSES = {
    f"{prefix}BiLSTMCRF{kind}": model_type
    for model_type, prefix in FAMILIES.items()
    for kind in ("Config", "ForTokenClassification")
}
__all__ = [
    "FAMILIES",
    "BertBiLSTMCRFOutput",
    "BertBiLSTMCRFPipeline",
    "BiLSTMCRFFields",
    "BiLSTMCRFForTokenClassification",
    "BiLSTMCRFOutput",
    "BiLSTMCRFPipeline",
    "LinearChainCRF",
    *_CLASSES,
]


def tagger_class(model_type: Any) -> type[BiLSTMCRFForTokenClassification]:
    """Import the tagger of a family, by the `model_type` of its encoders or of its taggers.

    Raises:
        ValueError: if there is no such family.
    """
    stem = _stem(model_type).removesuffix("_bilstm_crf") if isinstance(model_type, str) else None
    family = next((name for name in FAMILIES if _stem(name) == stem), None)
    if family is None:
        raise ValueError(f"the encoder must be of one of the families {', '.join(FAMILIES)}, got {model_type!r}")
    return _load(family)


def is_tagger(model_type: Any) -> bool:
    """Say whether a `model_type` is that of a family's taggers, rather than of its encoders or of anything else."""
    return isinstance(model_type, str) and model_type in {f"{_stem(name)}_bilstm_crf" for name in FAMILIES}


def class_for(name_or_path: Any, options: dict[str, Any]) -> type[BiLSTMCRFForTokenClassification]:
    """Find out of which family a saved tagger is, by its `config.json`, and import that.

    Args:
        name_or_path: a folder, or a repository of the Hub.
        options: those of `from_pretrained`.

    Raises:
        ValueError: if it is no tagger.
    """
    config = options.get("config")
    if isinstance(config, PreTrainedConfig):
        return tagger_class(config.model_type)
    hub = ("cache_dir", "local_files_only", "revision", "token", "subfolder")
    hub = {name: options[name] for name in hub if name in options}
    stored, _ = PreTrainedConfig.get_config_dict(name_or_path, **hub)
    kind = stored.get("model_type")
    if not is_tagger(kind):
        raise ValueError(
            f"`model_type` in the config.json of {name_or_path} must be that of a tagger, got {kind!r}: from_encoder "
            "makes a new tagger of an encoder"
        )
    return tagger_class(kind)


def _stem(model_type: str) -> str:
    return model_type.replace("-", "_")


def _load(model_type: str) -> Any:
    """Import a family, and make the auto classes know it."""
    module = import_module(f".modeling_{_stem(model_type)}_crf", __name__)
    tagger = getattr(module, f"{FAMILIES[model_type]}BiLSTMCRFForTokenClassification")
    config = tagger.config_class
    AutoConfig.register(config.model_type, config, exist_ok=True)
    AutoModel.register(config, tagger, exist_ok=True)
    AutoModelForTokenClassification.register(config, tagger, exist_ok=True)
    # Makes `save_pretrained` copy the code beside the weights.
    config.register_for_auto_class("AutoConfig")
    tagger.register_for_auto_class("AutoModelForTokenClassification")
    return tagger


def _on_demand(model_type: str) -> type:
    """Make what the auto classes know in place of a family's configuration until somebody asks for it."""

    class OnDemand:
        @staticmethod
        def from_dict(*args: Any, **kwargs: Any) -> Any:
            return _load(model_type).config_class.from_dict(*args, **kwargs)

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            return _load(model_type).config_class(*args, **kwargs)

    return OnDemand


def __getattr__(name: str) -> Any:
    if name not in _CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    tagger = _load(_CLASSES[name])
    return tagger.config_class if name.endswith("Config") else tagger


for _family in FAMILIES:
    AutoConfig.register(f"{_stem(_family)}_bilstm_crf", _on_demand(_family))
