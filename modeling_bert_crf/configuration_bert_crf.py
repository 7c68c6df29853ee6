"""Configuration of BERT -> BiLSTM -> CRF. Ships with the checkpoints of this family."""

from transformers import BertConfig

from .configuration_crf import BiLSTMCRFFields, tagger_config


@tagger_config
class BertBiLSTMCRFConfig(BiLSTMCRFFields, BertConfig):
    """BERT's configuration and the fields of the head, see `BiLSTMCRFFields`."""

    model_type = "bert_bilstm_crf"


__all__ = ["BertBiLSTMCRFConfig"]
