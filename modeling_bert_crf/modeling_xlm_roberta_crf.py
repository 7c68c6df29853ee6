"""A tagger on XLM-RoBERTa. Ships with the checkpoints of this family."""

from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaPreTrainedModel

# All siblings that this file needs, directly or not: older versions of Transformers copy no others with it.
from .batching import chunks  # noqa: F401
from .configuration_crf import BiLSTMCRFFields, tagger_config
from .crf import LinearChainCRF  # noqa: F401
from .crf_autograd import Sums  # noqa: F401
from .crf_checks import check_shapes  # noqa: F401
from .crf_decoding import viterbi  # noqa: F401
from .crf_engine import sweep  # noqa: F401
from .crf_kernels import Swept  # noqa: F401
from .crf_tiers import Tier  # noqa: F401
from .dataset_columns import tag_data_set  # noqa: F401
from .entities import read_entities  # noqa: F401
from .known_spans import Known  # noqa: F401
from .modeling_crf import BiLSTMCRFForTokenClassification
from .path_biases import MOVES  # noqa: F401
from .pipeline_crf import BiLSTMCRFPipeline  # noqa: F401
from .processes import share  # noqa: F401
from .schemes import SCHEMES  # noqa: F401
from .splitters import split_texts  # noqa: F401
from .text_layout import Text  # noqa: F401
from .weights import ChecksWeights  # noqa: F401
from .word_lstm import BiLSTM  # noqa: F401
from .words import Window  # noqa: F401


@tagger_config
class XLMRobertaBiLSTMCRFConfig(BiLSTMCRFFields, XLMRobertaConfig):
    """The encoder's configuration and the fields of the head, see `BiLSTMCRFFields`."""

    model_type = "xlm_roberta_bilstm_crf"


class XLMRobertaBiLSTMCRFForTokenClassification(BiLSTMCRFForTokenClassification, XLMRobertaPreTrainedModel):
    """XLM-RoBERTa, a BiLSTM over words and a linear-chain CRF, see `BiLSTMCRFForTokenClassification`."""

    config_class = XLMRobertaBiLSTMCRFConfig
    encoder_class = XLMRobertaModel


__all__ = ["XLMRobertaBiLSTMCRFConfig", "XLMRobertaBiLSTMCRFForTokenClassification"]
