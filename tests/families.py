"""Every family of encoders, with sizes for a tiny one, no two of them the same where the family allows it."""

from types import MappingProxyType
from typing import Any, NamedTuple

import transformers

import modeling_bert_crf

SIZES = {
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 50,
    "max_position_embeddings": 48,
    "initializer_range": 0.2,  # untrained, but its outputs differ
}
_DISENTANGLED = {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["p2c", "c2p"]}


class Family(NamedTuple):
    """What the tests know of a family."""

    prefix: str  # of the host's classes
    kind: str  # of its tokenizers, see `kinds.py`
    sizes: Any = MappingProxyType({})  # beside `SIZES`
    pretrained: str = "ForMaskedLM"  # the class that its checkpoints on the Hub are often of

    def host(self, name: str) -> Any:
        """The host's class: `Config`, `Model`, `ForTokenClassification`, ..."""
        return getattr(transformers, self.prefix + name)

    @property
    def tagger(self) -> Any:
        return getattr(modeling_bert_crf, f"{self.prefix}BiLSTMCRFForTokenClassification")

    def config(self, tokenizer: Any) -> Any:
        """The host's configuration of a tiny encoder."""
        ids = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
        ids |= {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
        ids |= {"mask_token_id": tokenizer.mask_token_id}
        return self.host("Config")(**SIZES | ids | dict(self.sizes), vocab_size=len(tokenizer))


FAMILIES = {
    "bert": Family("Bert", "WordPiece, cased"),
    "roberta": Family("Roberta", "byte-level BPE"),
    "xlm_roberta": Family("XLMRoberta", "SentencePiece"),
    "camembert": Family("Camembert", "SentencePiece"),
    "deberta_v2": Family(
        "DebertaV2",
        "SentencePiece of DeBERTa",
        _DISENTANGLED | {"norm_rel_ebd": "layer_norm", "share_att_key": True, "position_buckets": 8},
    ),
    "electra": Family("Electra", "WordPiece, uncased", {"embedding_size": 20}, "ForPreTraining"),
    "distilbert": Family(
        "DistilBert", "WordPiece, uncased", {"dim": 36, "n_heads": 3, "n_layers": 2, "hidden_dim": 50}
    ),
    "modernbert": Family("ModernBert", "byte-level BPE"),
    "albert": Family("Albert", "SentencePiece, uncased", {"embedding_size": 20}),
    "mpnet": Family("MPNet", "WordPiece, uncased"),
    "eurobert": Family("EuroBert", "byte-level BPE", {"num_key_value_heads": 3}),
    "xlm_roberta_xl": Family("XLMRobertaXL", "SentencePiece"),
    "rembert": Family("RemBert", "SentencePiece", {"input_embedding_size": 20, "output_embedding_size": 24}),
    "big_bird": Family("BigBird", "SentencePiece", {"attention_type": "original_full"}),
    "megatron_bert": Family("MegatronBert", "WordPiece, cased"),
    "ernie": Family("Ernie", "WordPiece, uncased"),
    "openai_privacy_filter": Family(
        "OpenAIPrivacyFilter",
        "byte-level BPE, no special token but that of padding",
        {"num_key_value_heads": 1, "head_dim": 10, "num_local_experts": 5, "sliding_window": 4}
        | {"rope_parameters": {"rope_type": "default", "rope_theta": 150_000.0}},
        "ForTokenClassification",
    ),
}
OF_THE_SUITE = ("bert", "xlm_roberta", "modernbert")
"""The families that every test of families runs on: of three kinds of tokenizers, positions and attribute names. The
others are marked slow."""
