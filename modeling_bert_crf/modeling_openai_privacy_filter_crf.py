"""A tagger on the encoder of OpenAI's Privacy Filter. Ships with the checkpoints of this family."""

from typing import Any, ClassVar

from transformers import OpenAIPrivacyFilterConfig, OpenAIPrivacyFilterModel, OpenAIPrivacyFilterPreTrainedModel

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
class OpenAIPrivacyFilterBiLSTMCRFConfig(BiLSTMCRFFields, OpenAIPrivacyFilterConfig):
    """The encoder's configuration and the fields of the head, see `BiLSTMCRFFields`."""

    model_type = "openai_privacy_filter_bilstm_crf"


class OpenAIPrivacyFilterBiLSTMCRFForTokenClassification(
    BiLSTMCRFForTokenClassification, OpenAIPrivacyFilterPreTrainedModel
):
    """The Privacy Filter's encoder, a BiLSTM and a linear-chain CRF, see `BiLSTMCRFForTokenClassification`."""

    config_class = OpenAIPrivacyFilterBiLSTMCRFConfig
    encoder_class = OpenAIPrivacyFilterModel
    stock_fields: ClassVar[dict[str, Any]] = {"chain_unit": "token", "text_unit": "text"}

    @property
    def reach(self) -> int:
        """As `BiLSTMCRFForTokenClassification.reach`; the attention of all layers is banded."""
        return self.config.num_hidden_layers * self.config.sliding_window


__all__ = ["OpenAIPrivacyFilterBiLSTMCRFConfig", "OpenAIPrivacyFilterBiLSTMCRFForTokenClassification"]
