"""What Transformers' common model tests want to know of our model. `upstream.py` runs them; here nothing is collected.

The tests themselves are not at hand where this file is imported, so the class that inherits them is written by
`upstream.py`.
"""

import copy
from typing import Any

import torch
from torch import Tensor

from modeling_bert_crf import BertBiLSTMCRFConfig, BertBiLSTMCRFForTokenClassification

MODEL_CLASS, CONFIG_CLASS = BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFConfig
# Odd and unequal, so that no two axes agree. The common tests refuse more than two layers.
SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 41,
}
HEAD = {"lstm_hidden_size": 11, "num_lstm_layers": 2, "word_shape_size": 5}
# What every configuration must take and keep: no default among the values.
config_common_kwargs = {
    "return_dict": False,
    "output_attentions": True,
    "dtype": "float16",
    "chunk_size_feed_forward": 1,
    "architectures": ["Another"],
    "id2label": {0: "NOUN", 1: "VERB"},
    "label2id": {"NOUN": 0, "VERB": 1},
}


class ModelTester:
    """Makes a small configuration and its inputs, and holds the sizes that the common tests compare against."""

    is_training = True
    batch_size = 13
    seq_length = 7
    num_labels = 3

    def __init__(self, parent: Any):
        self.parent = parent
        vars(self).update(SIZES)

    def get_config(self) -> BertBiLSTMCRFConfig:
        labels = ["O", "B-X", "I-X"]
        names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
        return CONFIG_CLASS(**SIZES, **HEAD, **names)

    def prepare_config_and_inputs_for_common(self) -> tuple[BertBiLSTMCRFConfig, dict[str, Tensor]]:
        shape = (self.batch_size, self.seq_length)
        lengths = torch.randint(1, self.seq_length + 1, (self.batch_size, 1))
        inputs = {
            "input_ids": torch.randint(self.vocab_size, shape),
            "attention_mask": (torch.arange(self.seq_length) < lengths).long(),
            "token_type_ids": torch.randint(2, shape),
        }
        return self.get_config(), inputs


class Harness:
    """Goes before `ModelTesterMixin` in a test case."""

    all_model_classes = (MODEL_CLASS,)
    # The tests take a file without a year in its copyright line for an old one, and would let its `_init_weights` off.
    test_can_init_all_missing_weights_before_2023 = True

    def setUp(self) -> None:
        torch.manual_seed(0)
        self.model_tester = ModelTester(self)

    def _prepare_for_class(
        self, inputs_dict: dict[str, Any], model_class: type, return_labels: bool = False
    ) -> dict[str, Any]:
        """Add labels, the same at every call, which the original does for classes that it knows by name."""
        inputs = copy.deepcopy(inputs_dict)
        if return_labels:
            rows, columns = torch.arange(self.model_tester.batch_size), torch.arange(self.model_tester.seq_length)
            labels = (rows[:, None] + columns) % 2  # O and B-X may stand anywhere
            inputs["labels"] = labels.masked_fill(inputs["attention_mask"] == 0, -100)
        return inputs
