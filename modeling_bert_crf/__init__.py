"""BERT -> BiLSTM -> CRF for token classification, in the manner of Transformers."""

from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification

from .configuration_bert_crf import BertBiLSTMCRFConfig
from .crf import LinearChainCRF
from .modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFOutput
from .pipeline_bert_crf import BertBiLSTMCRFPipeline

__version__ = "0.1.0"
__all__ = [
    "BertBiLSTMCRFConfig",
    "BertBiLSTMCRFForTokenClassification",
    "BertBiLSTMCRFOutput",
    "BertBiLSTMCRFPipeline",
    "LinearChainCRF",
]

# Loads our checkpoints by the auto classes, without remote code, where this package is installed.
AutoConfig.register(BertBiLSTMCRFConfig.model_type, BertBiLSTMCRFConfig)
AutoModel.register(BertBiLSTMCRFConfig, BertBiLSTMCRFForTokenClassification)
AutoModelForTokenClassification.register(BertBiLSTMCRFConfig, BertBiLSTMCRFForTokenClassification)
# Makes `save_pretrained` copy the code beside the weights.
BertBiLSTMCRFConfig.register_for_auto_class("AutoConfig")
BertBiLSTMCRFForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
