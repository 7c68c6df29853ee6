"""Configuration of BERT -> BiLSTM -> CRF. Ships with every checkpoint."""

from typing import Any, ClassVar

from transformers import BertConfig
from transformers.configuration_utils import strict

from .schemes import resolve_scheme
from .words import SPLITTERS, unicode_fault

# Where the auto classes and `pipeline` find the code that travels beside the weights.
AUTO_MAP = {
    "AutoConfig": "configuration_bert_crf.BertBiLSTMCRFConfig",
    "AutoModel": "modeling_bert_crf.BertBiLSTMCRFForTokenClassification",
    "AutoModelForTokenClassification": "modeling_bert_crf.BertBiLSTMCRFForTokenClassification",
}
# Both names: "ner" is an alias that `pipeline` resolves only after it has looked here.
CUSTOM_PIPELINES = {
    task: {"impl": "pipeline_bert_crf.BertBiLSTMCRFPipeline", "pt": ["AutoModelForTokenClassification"]}
    for task in ("token-classification", "ner")
}
_LARGEST = {
    "vocab_size": 10_000_000,
    "hidden_size": 65_536,
    "intermediate_size": 1_000_000,
    "num_hidden_layers": 1_000,
    "num_attention_heads": 65_536,
    "max_position_embeddings": 1_000_000,
    "type_vocab_size": 1_000,
    "lstm_hidden_size": 65_536,
    "num_lstm_layers": 100,
    "word_shape_size": 65_536,
}
"""Far above every BERT there is: a forged configuration must not fill the memory before its weights are compared."""
_MOST_LABELS = 4_096
"""The transitions are as many as the square of the labels."""
_FEWEST = {"num_hidden_layers": 0, "num_lstm_layers": 0, "word_shape_size": 0}


@strict
class BertBiLSTMCRFConfig(BertConfig):
    r"""BERT's configuration and the nine fields of the head.

    Args:
        lstm_hidden_size (`int`, *optional*): units of the BiLSTM **per direction**; its output is twice as wide.
            `None` means `hidden_size // 2`, so that the output is as wide as BERT's.
        num_lstm_layers (`int`, defaults to 1): layers of the BiLSTM. 0 switches it off: the classifier then reads
            BERT.
        lstm_dropout (`float`, defaults to 0.1): dropout on the output of every BiLSTM layer.
        word_shape_size (`int`, defaults to 0): width of an embedding of each word's shape (capitals, digits), which
            the BiLSTM reads beside BERT's output. 0 leaves it out. For encoders that see no capitals.
        tag_scheme (`str`, *optional*, defaults to `"auto"`): the rules that the CRF's paths obey, one of `"IOB2"`,
            `"BIOES"`, `"BILOU"`, `"BMES"`; `"auto"` reads them off the labels; `None` forbids nothing.
        text_unit (`str`, defaults to `"sentence"`): what one chain was in training, `"sentence"` or `"text"`; the
            pipeline splits texts accordingly.
        context_size (`int`, defaults to 0): how many sub-tokens of the neighbouring sentences the encoder sees on
            each side of a sentence, in training as in the pipeline. They are not scored.
        word_splitter (`str`, defaults to `"tokenizer"`): how the pipeline splits texts into words, as the words of
            the validation data are split: one of `"tokenizer"`, `"unicode_words"`, `"unicode_clitics"`, `"blanks"`
            (see `split_text`). Taggers of version 0.1 may say `"words"` or `"clitics"`, and keep what they learnt.
        temperature (`float`, defaults to 1.0): what all scores are divided by, so that probabilities are as large as
            the share of right answers; fitted on held-out data. It changes no path.

    Every other argument is BERT's. Name the labels with `id2label` or `label2id`; the other one follows from it.

    Raises:
        ValueError: if a size is out of range, `id2label`, `label2id` and `num_labels` contradict each other, or the
            labels do not fit the scheme.
    """

    model_type = "bert_bilstm_crf"
    # What is left is `paths`: the one prediction that the Trainer gathers.
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["logits", "emissions", "hidden_states", "attentions"]

    lstm_hidden_size: int | None = None
    num_lstm_layers: int = 1
    lstm_dropout: float | int = 0.1
    word_shape_size: int = 0
    tag_scheme: str | None = "auto"
    text_unit: str = "sentence"
    context_size: int = 0
    word_splitter: str = "tokenizer"
    temperature: float | int = 1.0

    @property
    def labels(self) -> list[str]:
        """The tags in the order of their ids."""
        return [self.id2label[index] for index in range(len(self.id2label))]

    @property
    def scheme(self) -> str | None:
        """The scheme that paths obey, by its name in `SCHEMES`; None if nothing is forbidden. The one answer to this
        question: read it here, do not guess it from tags."""
        return resolve_scheme(self.tag_scheme, self.labels)

    @property
    def lstm_units(self) -> int:
        """Units of the BiLSTM per direction, with the default filled in."""
        return self.hidden_size // 2 if self.lstm_hidden_size is None else self.lstm_hidden_size

    def __post_init__(self, **kwargs: Any) -> None:
        self._name_labels(kwargs.get("num_labels"))
        super().__post_init__(**kwargs)
        for name, largest in _LARGEST.items():
            value, fewest = getattr(self, name), _FEWEST.get(name, 1)
            if not (value is None and name == "lstm_hidden_size") and not fewest <= value <= largest:
                raise ValueError(f"`{name}` must be from {fewest} to {largest}, got {value}")
        if not 0 <= self.lstm_dropout < 1:
            raise ValueError(f"`lstm_dropout` must be at least 0 and below 1, got {self.lstm_dropout}")
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"`temperature` must be above 0 and finite, got {self.temperature}")
        if self.context_size < 0:
            raise ValueError(f"`context_size` must be at least 0, got {self.context_size}")
        if self.text_unit not in ("sentence", "text"):
            raise ValueError(f"`text_unit` must be 'sentence' or 'text', got {self.text_unit!r}")
        if self.word_splitter not in SPLITTERS:
            raise ValueError(f"`word_splitter` must be one of {', '.join(SPLITTERS)}, got {self.word_splitter!r}")
        if sorted(self.id2label) != list(range(len(self.id2label))):
            raise ValueError(f"`id2label` must number the labels from 0 without a gap, got {self.id2label}")
        resolve_scheme(self.tag_scheme, self.labels)

    def _name_labels(self, num_labels: int | None) -> None:
        """Make `id2label` and `label2id` each other's inverse: the host would rename labels that disagree."""
        given = {name: names for name in ("id2label", "label2id") if (names := getattr(self, name)) is not None}
        for name, names in given.items():
            if not isinstance(names, dict):
                raise ValueError(f"`{name}` must be a dictionary, got {names!r}")
        for count in [num_labels, *map(len, given.values())]:
            if count is not None and not (isinstance(count, int) and 1 <= count <= _MOST_LABELS):
                raise ValueError(f"there must be from 1 to {_MOST_LABELS} labels, got {count}")
        if self.id2label is None and self.label2id:
            self.id2label = {index: label for label, index in self.label2id.items()}
        if self.id2label is None:
            return
        for index, label in self.id2label.items():
            if not isinstance(label, str) or not str(index).isdecimal():
                raise ValueError(f"`id2label` must give numbers their labels' names, got {index!r}: {label!r}")
            if fault := unicode_fault(label):
                raise ValueError(f"`id2label`: the name of label {index} {fault}")
        label2id = {label: int(index) for index, label in self.id2label.items()}
        if num_labels not in (None, len(label2id)):
            raise ValueError(
                f"`num_labels` must be left away beside the labels' names: there are {len(label2id)}, got {num_labels}"
            )
        if self.label2id and self.label2id != label2id:
            raise ValueError(
                f"`label2id` must be the inverse of `id2label`, got {self.label2id} and {self.id2label}: pass only one"
            )
        self.label2id = label2id

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, with the names of the code that travels along.

        Written here, not where a model is saved, so that every way to save leaves the same names: a process that
        loaded the classes by remote code too, where the host would keep names that point to another repository.
        """
        pipelines = {task: {"impl": info["impl"], "pt": list(info["pt"])} for task, info in CUSTOM_PIPELINES.items()}
        return super().to_dict() | {"auto_map": dict(AUTO_MAP), "custom_pipelines": pipelines}


__all__ = ["BertBiLSTMCRFConfig"]
