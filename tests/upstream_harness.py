"""What Transformers' common model tests want to know of a family's class. `upstream.py` runs them; here nothing is
collected.

The tests themselves are not at hand where this file is imported, so the class that inherits them is written by
`upstream.py`. It names the family in UPSTREAM_FAMILY; UPSTREAM_STOCK asks for the host's own token classifier instead.
"""

import copy
import inspect
import os
from typing import Any

import torch
from families import FAMILIES
from torch import Tensor

FAMILY = FAMILIES[os.environ.get("UPSTREAM_FAMILY", "bert")]
STOCK = "UPSTREAM_STOCK" in os.environ
MODEL_CLASS = FAMILY.host("ForTokenClassification") if STOCK else FAMILY.tagger
CONFIG_CLASS = MODEL_CLASS.config_class
# Odd and unequal, so that no two axes agree. The common tests refuse more than two layers.
SIZES = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 41,
}
# Other names of sizes.
OWN = {
    "dim": 32,
    "n_heads": 4,
    "num_key_value_heads": 4,
    "embedding_size": 16,
    "hidden_dim": 37,
}
SIZES |= dict(FAMILY.sizes) | {name: OWN[name] for name in FAMILY.sizes if name in OWN}
IDS = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")) | {"pad_token_id": 1}
IDS |= {"mask_token_id": 2} if hasattr(CONFIG_CLASS, "mask_token_id") else {}
# Under the names that the configuration has them by: DistilBERT's are others.
FIELDS = {name: size for name, size in SIZES.items() if name not in CONFIG_CLASS.attribute_map} | IDS
HEAD = {} if STOCK else {"lstm_hidden_size": 11, "num_lstm_layers": 2, "word_shape_size": 5}
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

    def get_config(self) -> Any:
        labels = ["O", "B-X", "I-X"]
        names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
        return CONFIG_CLASS(**FIELDS, **HEAD, **names)

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, Tensor]]:
        shape = (self.batch_size, self.seq_length)
        lengths = torch.randint(1, self.seq_length + 1, (self.batch_size, 1))
        inputs = {
            "input_ids": torch.randint(2, self.vocab_size, shape),  # 1 is padding, which moves RoBERTa's positions
            "attention_mask": (torch.arange(self.seq_length) < lengths).long(),
        }
        if "token_type_ids" in inspect.signature(FAMILY.host("Model").forward).parameters:
            inputs["token_type_ids"] = torch.randint(self.get_config().type_vocab_size or 1, shape)
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
