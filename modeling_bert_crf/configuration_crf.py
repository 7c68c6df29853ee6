"""The fields of the head, which every family adds to its encoder's configuration. Ships with every checkpoint."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from math import inf
from pathlib import Path
from reprlib import Repr
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from transformers import PreTrainedConfig, configuration_utils
from transformers.activations import ACT2FN
from transformers.dynamic_module_utils import get_relative_import_files

from .path_biases import check_operating_point
from .schemes import SCHEMES, entity_types, resolve_scheme, span_scheme
from .splitters import SPLITTERS
from .words import unicode_fault

# Where the auto classes and `pipeline` find the code that travels beside the weights.
CUSTOM_PIPELINES = {
    task: {"impl": "pipeline_crf.BiLSTMCRFPipeline", "pt": ["AutoModelForTokenClassification"]}
    for task in ("token-classification", "ner")
}
_MOST_LABELS = 4_096
"""More would need too much memory: there are as many transitions as the square of the number of labels."""

_Rule = tuple[Callable[[Any], bool], str]
"""What says whether a value is right; and what it must be, in words."""


def _integer(fewest: int, most: int) -> _Rule:
    return lambda value: type(value) is int and fewest <= value <= most, f"an integer from {fewest} to {most}"


def _one_of(*values: Any) -> _Rule:
    words = f"{', '.join(map(repr, values[:-1]))} or {values[-1]!r}"
    return lambda value: any(type(value) is type(one) and value == one for one in values), words


def _kind(kinds: type | tuple[type, ...], words: str) -> _Rule:
    return lambda value: isinstance(value, kinds), words


def _or_none(rule: _Rule) -> _Rule:
    return lambda value: value is None or rule[0](value), f"{rule[1]} or None"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_DICTIONARY, _TEXT, _FLAG = _kind(dict, "a dictionary"), _kind(str, "a text"), _kind(bool, "True or False")
_ID = _or_none(_integer(-(2**63), 2**63 - 1))
_PROBABILITY = (lambda value: _is_number(value) and 0 <= value <= 1, "a number from 0 to 1")
_FOREIGN = (lambda value: value is None, "left out, since the encoder has none")
_BIDIRECTIONAL = (lambda value: value is False, "False, since a tagger reads what stands on both sides of a word")
_DTYPES = ("float32", "float16", "bfloat16", "float64")
_RULES: dict[str, _Rule] = {
    # The limits lie far above every encoder there is. Without any, a forged configuration could fill the memory before
    # its sizes are compared with the weights.
    "vocab_size": _integer(1, 10_000_000),
    "hidden_size": _integer(1, 65_536),
    "intermediate_size": _integer(1, 1_000_000),
    "num_hidden_layers": _integer(0, 1_000),
    "num_attention_heads": _integer(1, 65_536),
    "max_position_embeddings": _integer(1, 1_000_000),
    "type_vocab_size": _integer(0, 1_000),
    "lstm_hidden_size": _or_none(_integer(1, 65_536)),
    "num_lstm_layers": _integer(0, 100),
    "word_shape_size": _integer(0, 65_536),
    "context_size": _integer(0, 1_000_000),
    "hidden_act": (lambda value: isinstance(value, str) and value in ACT2FN, "a function that Transformers knows"),
    "hidden_dropout_prob": _PROBABILITY,
    "attention_probs_dropout_prob": _PROBABILITY,
    "classifier_dropout": _or_none(_PROBABILITY),
    "lstm_dropout": (lambda value: _is_number(value) and 0 <= value < 1, "a number of at least 0 and below 1"),
    "temperature": (lambda value: _is_number(value) and 0 < value <= 1e308, "above 0 and finite"),
    "initializer_range": (
        lambda value: isinstance(value, float) and 0 <= value < inf,
        "a float, at least 0 and finite",
    ),
    "layer_norm_eps": (lambda value: isinstance(value, float) and 0 <= value <= 1, "a float from 0 to 1"),
    "chunk_size_feed_forward": _integer(0, 1),  # more would have to divide the length of every text
    "tag_scheme": _one_of(*SCHEMES, "auto", None),
    "text_unit": _one_of("sentence", "text"),
    "word_splitter": _one_of(*SPLITTERS),
    "chain_unit": _one_of("word", "token"),
    "operating_points": _or_none(_DICTIONARY),
    "operating_point": _or_none(_TEXT),
    "problem_type": _one_of("regression", "single_label_classification", "multi_label_classification", None),
    "dtype": _one_of(*_DTYPES, *(getattr(torch, name) for name in _DTYPES), None),
    "is_decoder": _BIDIRECTIONAL,
    "add_cross_attention": _BIDIRECTIONAL,
    "is_encoder_decoder": _BIDIRECTIONAL,
    "pad_token_id": _ID,
    "bos_token_id": _ID,
    "eos_token_id": (lambda value: isinstance(value, list) or _ID[0](value), "an integer, a list of them or None"),
    "prediction_head": _FLAG,
    "use_cache": _FLAG,
    "tie_word_embeddings": _FLAG,
    "output_hidden_states": _or_none(_FLAG),
    "return_dict": _or_none(_FLAG),
    "architectures": _or_none(_kind(list, "a list")),
    "transformers_version": _or_none(_TEXT),
}
"""What a field must be, if a family has it: fields of the head, those that most encoders share, and the host's own."""
_MORE_RULES: dict[str, _Rule] = {
    "num_labels": _or_none(_integer(1, _MOST_LABELS)),
    "output_attentions": _or_none(_FLAG),
    "auto_map": _DICTIONARY,
    "custom_pipelines": _DICTIONARY,
    "quantization_config": _or_none(_DICTIONARY),
    **dict.fromkeys(
        ("transformers_weights", "attn_implementation", "_attn_implementation", "experts_implementation"),
        _or_none(_TEXT),
    ),
    **dict.fromkeys(("layer_types", "per_layer_config", "rope_parameters", "rope_scaling", "fusion_config"), _FOREIGN),
}
"""What else the host reads of a configuration, and what that must be."""

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlevel = 3


def quoted(value: Any) -> str:
    """Return a value as an error may show it: in quotes, without control characters, and not longer than a line."""
    text = _SHORT.repr(value)
    return text if len(text) <= 160 else f"{text[:157]}..."


def tagger_config(cls: Any) -> Any:
    """Make a family's configuration a strict one, whose errors are `ValueError`s that name field, rule and value."""
    # The decorator that the host uses. It takes it from another library, which what travels must not import.
    cls = vars(configuration_utils)["strict"](cls)
    set_value = cls.__setattr__

    def __setattr__(self: Any, name: str, value: Any) -> None:
        if name in _RULES:
            check_value(name, value, _RULES[name])
        try:
            set_value(self, name, value)
        except Exception as error:  # the host's own check of a field that only this family has
            raise _in_words(error, f"`{name}` cannot be {quoted(value)}: ") from error

    validate_all = cls.validate

    def validate(self: Any) -> None:
        try:
            validate_all(self)
        except Exception as error:
            raise _in_words(error) from error

    cls.__setattr__, cls.validate = __setattr__, validate
    return cls


def _in_words(error: Exception, place: str = "") -> Exception:
    """Return a `ValueError` in place of the host's error of a strict class; return any other error as it is."""
    if not type(error).__name__.startswith("StrictDataclass"):
        return error
    return ValueError(place + " ".join(str(error.__cause__ or error).split()))


def check_value(name: str, value: Any, rule: _Rule) -> None:
    """Raise the `ValueError` that names a field, its rule and a value that breaks it."""
    is_right, words = rule
    if not is_right(value):
        raise ValueError(f"`{name}` must be {words}, got {quoted(value)}")


if TYPE_CHECKING:

    class _Encoder(PreTrainedConfig):
        """What a family adds: the configuration of its encoder, with what the methods below read of it."""

        hidden_size: int
        id2label: dict[int, str] = field(default_factory=dict)
        label2id: dict[str, int] = field(default_factory=dict)
        num_attention_heads: int
        pad_token_id: int | None
        vocab_size: int
else:  # a family inherits from its encoder's configuration itself
    _Encoder = object


@dataclass(kw_only=True, init=False, repr=False, eq=False)  # the host makes these methods
class BiLSTMCRFFields(_Encoder):
    r"""The twelve fields of the head, which a tagger's configuration has in addition to its encoder's fields.

    A family's configuration inherits them before its encoder's: `class RobertaBiLSTMCRFConfig(BiLSTMCRFFields,
    RobertaConfig)`, with `tagger_config` above.

    Args:
        lstm_hidden_size (`int`, *optional*): units of the BiLSTM **per direction**; its output is twice as wide.
            `None` means `hidden_size // 2`, so that the output is as wide as the encoder's.
        num_lstm_layers (`int`, defaults to 1): layers of the BiLSTM. 0 switches it off: the classifier then reads
            the encoder.
        lstm_dropout (`float`, defaults to 0.1): dropout on the output of every BiLSTM layer.
        word_shape_size (`int`, defaults to 0): width of an embedding of each word's shape (capitals, digits), which
            the BiLSTM reads together with the encoder's output. 0 leaves it out. For encoders that see no capitals.
        tag_scheme (`str`, *optional*, defaults to `"auto"`): the rules that the CRF's paths obey, one of `"IO"`,
            `"IOB2"`, `"BIOES"`, `"BILOU"`, `"BMES"`; `"auto"` reads them off the labels; `None` forbids nothing.
        text_unit (`str`, defaults to `"sentence"`): what one chain was in training, `"sentence"` or `"text"`; the
            pipeline splits texts accordingly.
        context_size (`int`, defaults to 0): how many sub-tokens of the neighbouring sentences the encoder sees on
            each side of a sentence, in training as in the pipeline. They are not scored.
        word_splitter (`str`, defaults to `"tokenizer"`): how the pipeline splits texts into words, as the words of
            the validation data are split: one of `"tokenizer"`, `"unicode_words"`, `"unicode_clitics"`, `"blanks"`
            (see `split_text`). Taggers of version 0.1 may say `"words"` or `"clitics"`, and keep what they learnt.
        chain_unit (`str`, defaults to `"word"`): what the chain runs over: `"word"`, each of which its first sub-token
            stands for, or `"token"`, all sub-tokens of a text. The second is for classifiers that learnt a label for
            each sub-token, such as OpenAI's Privacy Filter.
        temperature (`float`, defaults to 1.0): what all scores are divided by, so that probabilities are as large as
            the share of right answers. It changes no path. Taggers of version 0.1 carry theirs here. Today a fitted
            temperature is folded into the weights, and this stays 1.
        operating_points (`dict`, *optional*): settings with names, each a dictionary of `biases` (see
            `path_biases.MOVES`), which the best path is searched with, and `thresholds`, the least probability of
            entities of each type. They change what is found, and no probability.
        operating_point (`str`, *optional*): the name of the one that is in force where a caller names none.

    Every other argument is the encoder's. Name the labels with `id2label` or `label2id`; the other one follows from
    it, also when one of them is set later. The model reads labels, `tag_scheme` and `temperature` anew at every call.

    Raises:
        ValueError: if a value is of a wrong type or out of range, `id2label`, `label2id` and `num_labels` contradict
            each other, or the labels do not fit the scheme. It names the field, the rule and the value.
    """

    # So the Trainer gathers `paths` alone as predictions.
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["logits", "emissions", "hidden_states", "attentions"]

    lstm_hidden_size: int | None = None
    num_lstm_layers: int = 1
    lstm_dropout: float | int = 0.1
    word_shape_size: int = 0
    tag_scheme: str | None = "auto"
    text_unit: str = "sentence"
    context_size: int = 0
    word_splitter: str = "tokenizer"
    chain_unit: str = "word"
    temperature: float | int = 1.0
    operating_points: dict[str, Any] | None = None
    operating_point: str | None = None

    @classmethod
    def host_config(cls) -> type[PreTrainedConfig]:
        """Return the encoder's own configuration class."""
        after = cls.__mro__[cls.__mro__.index(BiLSTMCRFFields) + 1 :]
        return next(one for one in after if issubclass(one, PreTrainedConfig))

    @property
    def labels(self) -> list[str]:
        """The tags in the order of their ids."""
        names = self.id2label  # looked up once, since the host's configurations take their time to find an attribute
        return [names[index] for index in range(len(names))]

    @property
    def scheme(self) -> str | None:
        """The scheme that paths obey, by its name in `SCHEMES`; None if nothing is forbidden.

        Ask here, and do not guess the scheme from tags: these may lack some of the labels.
        """
        return resolve_scheme(self.tag_scheme, self.labels)

    @property
    def span_scheme(self) -> str | None:
        """The scheme by which paths are read as entities; None if each label is a type of its own.

        It is `scheme`, or where nothing is forbidden the scheme of the labels' prefixes.
        """
        return span_scheme(self.tag_scheme, self.labels)

    def point(self, name: str | None) -> dict[str, Any]:
        """Return the `biases` and the `thresholds` of an operating point; None means the one in force, which may be
        none.

        Raises:
            ValueError: if there is no such operating point.
        """
        name = self.operating_point if name is None else name
        if name is None:
            return {}
        points = self.operating_points or {}
        if name not in points:
            known = ", ".join(map(repr, points)) or "none"
            raise ValueError(
                f"`operating_point` must be the name of one of `operating_points`, {known}, got {quoted(name)}"
            )
        return points[name]

    @property
    def lstm_units(self) -> int:
        """Units of the BiLSTM per direction, with the default filled in."""
        return self.hidden_size // 2 if self.lstm_hidden_size is None else self.lstm_hidden_size

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Make a configuration of stored fields and others in their place, checked together.

        The host would make the configuration of the stored fields first, and then set the others one by one, so that
        some would be checked against stored fields that another is to replace. Given labels replace both stored
        `id2label` and `label2id`.
        """
        kind = config_dict.get("model_type", cls.model_type)
        if kind not in (cls.model_type, cls.host_config().model_type):
            raise ValueError(
                f"`model_type` must be {cls.model_type!r}, got {quoted(kind)}: another family's class loads it, or "
                "from_encoder makes a tagger of it; BiLSTMCRFForTokenClassification finds the class by itself"
            )
        own = ({one.name for one in fields(cls)} - {"dtype"}) & kwargs.keys()
        given = {name: kwargs.pop(name) for name in own}
        labels = ("id2label", "label2id")
        given = {name: value for name, value in given.items() if not (name in labels and value is None)}
        if given.keys() & {*labels}:
            config_dict = {name: value for name, value in config_dict.items() if name not in labels}
        return super().from_dict({**config_dict, **given} if given else config_dict, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field. Whoever sets `id2label` or `label2id`, once both are there, sets the other with it."""
        if name in ("id2label", "label2id") and None not in (vars(self).get("id2label"), vars(self).get("label2id")):
            vars(self).update(zip(("id2label", "label2id"), _names_of_labels({name: value}), strict=True))
        else:
            super().__setattr__(name, value)

    def __post_init__(self, **kwargs: Any) -> None:
        for name, value in kwargs.items():
            if name in _MORE_RULES:
                check_value(name, value, _MORE_RULES[name])
            self._check_name(name, value)
        if kwargs.get("num_labels", 0) is None:
            del kwargs["num_labels"]
        self._name_labels(kwargs.get("num_labels"))
        super().__post_init__(**kwargs)
        if self.hidden_size % self.num_attention_heads and not hasattr(self, "head_dim"):
            raise ValueError(
                f"`num_attention_heads` must divide `hidden_size` {self.hidden_size}, got {self.num_attention_heads}"
            )
        # A family's default may lie outside of a vocabulary that somebody makes smaller. The host itself refuses that
        # where it matters.
        padding = None if self.pad_token_id == type(self).pad_token_id else self.pad_token_id
        if padding is not None and not -self.vocab_size <= padding < self.vocab_size:
            raise ValueError(
                f"`pad_token_id` must be one of the {self.vocab_size} ids of `vocab_size`, got {self.pad_token_id}"
            )
        resolve_scheme(self.tag_scheme, self.labels)
        for name, point in (self.operating_points or {}).items():
            check_operating_point(name, point, entity_types(self.labels, self.span_scheme))
        self.point(self.operating_point)
        if getattr(self, "prediction_head", False) and (self.num_lstm_layers or self.word_shape_size):
            raise ValueError(
                "`prediction_head` must be False, or `num_lstm_layers` and `word_shape_size` 0: it reads the encoder "
                f"alone, got {self.num_lstm_layers} and {self.word_shape_size}"
            )

    def _check_name(self, name: str, value: Any) -> None:
        """Refuse a name that is a part of the class, such as a method: the host would put the value in its place."""
        part = getattr(type(self), name, None)
        settable = isinstance(part, property) and part.fset is not None
        if part is not None and not settable and name not in ("model_type", "dtype"):
            raise ValueError(f"`{name}` must be left out, it is no field of a configuration, got {quoted(value)}")

    def _name_labels(self, num_labels: int | None) -> None:
        """Make `id2label` and `label2id` each other's inverse. Where they disagree the host would rename labels."""
        given = {name: names for name in ("id2label", "label2id") if (names := getattr(self, name)) is not None}
        if not given:
            _check_count(num_labels)
            return
        id2label, label2id = _names_of_labels(given)
        if num_labels not in (None, len(id2label)):
            raise ValueError(
                f"`num_labels` must be left out where the labels have names: there are {len(id2label)}, got "
                f"{num_labels}"
            )
        vars(self).update(id2label=id2label, label2id=label2id)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, with the names of the code that travels along.

        The names are written here and not where a model is saved, so that every way to save leaves the same ones. In a
        process that loaded the classes by remote code the host would keep names that point to another repository.
        """
        saved = super().to_dict()
        saved.pop("custom_pipelines", None)
        stored = saved.pop("auto_map", None)
        own = self._auto_map()
        stored = own | (stored if isinstance(stored, dict) else {})
        # The code lies beside the configuration, wherever it was loaded from. FSDP makes classes of its own, whose
        # names stand for ours.
        names = {auto: str(stored[auto]).rpartition("--")[2].replace(".FSDP", ".") for auto in own if stored[auto]}
        saved |= {"auto_map": names, "label2id": {label: index for index, label in self.id2label.items()}}
        if "AutoModelForTokenClassification" in names:
            saved["custom_pipelines"] = {
                task: {"impl": info["impl"], "pt": list(info["pt"])} for task, info in CUSTOM_PIPELINES.items()
            }
        return saved

    @classmethod
    def _auto_map(cls) -> dict[str, str]:
        """Name the class of the configuration and that of its tagger, each with the file that holds it."""
        file, name = cls.__module__.rpartition(".")[2], cls.__name__
        tagger = file.replace("configuration_", "modeling_") + "." + name.replace("Config", "ForTokenClassification")
        return {
            "AutoConfig": f"{file}.{name}",
            "AutoModel": tagger,
            "AutoModelForTokenClassification": tagger,
        }

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> None:
        """Save as the host does; a subclass only if its code can travel along."""
        check_code_can_travel(type(self), BiLSTMCRFFields)
        super().save_pretrained(save_directory, push_to_hub, **kwargs)


def check_code_can_travel(cls: type, base: type) -> None:
    """Refuse to save a subclass whose code would stay behind, or arrive without what it builds on.

    The host copies the file of a class, and the siblings that this file imports. It does not copy our files for one
    that imports them from an installed package, and for a class of `__main__` it copies nothing.

    Raises:
        ValueError: if the file of `cls` does not import the one of `base`, directly or not, as a sibling.
    """
    base = next((one for one in cls.__mro__[1:] if issubclass(one, base)), base)  # the nearest class of ours
    needed = base.__module__.rpartition(".")[2]  # the package before it depends on where the code was loaded from
    if cls._auto_class is None or cls.__module__.rpartition(".")[2] == needed:
        return
    file = getattr(sys.modules[cls.__module__], "__file__", None)
    try:
        siblings = [Path(one).stem for one in get_relative_import_files(file)] if file else []
    except OSError:  # a relative import that is none of a sibling
        siblings = []
    if cls.__module__ == "__main__" or needed not in siblings:
        raise ValueError(
            f"the code of {cls.__name__} must be able to travel with what is saved: put it into a file beside copies "
            f"of the files that travel with a tagger, and import from them as siblings (`from .{needed} import "
            f"{base.__name__}`), got {file or cls.__module__}. To save without code, set `_auto_class = None` in "
            f"{cls.__name__}"
        )


def _names_of_labels(given: Mapping[str, Any]) -> tuple[dict[int, str], dict[str, int]]:
    """Read `id2label`, `label2id` or both, and return both.

    Raises:
        ValueError: if they are no names numbered from 0, or contradict each other.
    """
    read = [_read_names(name, names) for name, names in given.items()]
    if read[0] != read[-1]:
        raise ValueError(
            f"`label2id` must be the inverse of `id2label`, got {quoted(given['label2id'])} and "
            f"{quoted(given['id2label'])}: pass only one"
        )
    return read[0], {label: index for index, label in read[0].items()}


def _read_names(name: str, names: Any) -> dict[int, str]:
    """Read one of the two fields as the names of numbers, in order; numbers may be texts, as JSON writes keys."""
    if not isinstance(names, Mapping):
        raise ValueError(f"`{name}` must be a dictionary, got {quoted(names)}")
    _check_count(len(names))
    pairs = names.items() if name == "id2label" else [(index, label) for label, index in names.items()]
    for index, label in pairs:
        if not isinstance(label, str) or not str(index).isdecimal():
            raise ValueError(f"`{name}` must give numbers their labels' names, got {quoted(index)}: {quoted(label)}")
        if fault := unicode_fault(label):
            raise ValueError(f"`{name}`: the name of label {index} {fault}")
    id2label = {int(index): label for index, label in pairs}
    if sorted(id2label) != list(range(len(names))):
        raise ValueError(f"`{name}` must number the labels from 0 without a gap, got {quoted(names)}")
    if len(set(id2label.values())) < len(names):
        raise ValueError(f"`{name}` must give every number a name of its own, got {quoted(names)}")
    return dict(sorted(id2label.items()))


def _check_count(count: int | None) -> None:
    """Refuse a number of labels that no tagger can have."""
    if count is not None and not (isinstance(count, int) and 1 <= count <= _MOST_LABELS):
        raise ValueError(f"there must be from 1 to {_MOST_LABELS} labels, got {count}")


__all__ = ["BiLSTMCRFFields", "check_code_can_travel", "check_value", "quoted", "tagger_config"]
