"""Configuration of BERT -> BiLSTM -> CRF. Ships with the checkpoints of this family."""

from transformers import BertConfig

# All siblings that this file needs, directly or not: older versions of Transformers copy no others with it.
from .configuration_crf import BiLSTMCRFFields, tagger_config
from .path_biases import MOVES  # noqa: F401
from .schemes import SCHEMES  # noqa: F401
from .splitters import split_texts  # noqa: F401
from .words import Window  # noqa: F401


@tagger_config
class BertBiLSTMCRFConfig(BiLSTMCRFFields, BertConfig):
    """BERT's configuration and the fields of the head, see `BiLSTMCRFFields`."""

    model_type = "bert_bilstm_crf"


__all__ = ["BertBiLSTMCRFConfig"]
