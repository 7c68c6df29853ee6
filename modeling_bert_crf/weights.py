"""Weights are read from safetensors alone, and only if they are all those that the configuration describes.

Ships with every checkpoint.
"""

import os
import re
from collections.abc import Collection
from contextvars import ContextVar
from typing import Any, cast

from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel, __version__

from .configuration_crf import quoted

HEAD = ("word_shapes", "head", "lstm", "classifier", "crf")
"""The modules that are untrained in a new tagger; one that a tagger does without is None."""
_FAULTS = ("missing", "left over")


class _Load:
    """A call of `from_pretrained`, as the functions below must know it.

    Args:
        unchecked: those of `_FAULTS` that are no errors.
        taken_over: parts of the head that a stock classifier has.
    """

    def __init__(self, unchecked: Collection[str] = (), taken_over: Collection[str] = ()):
        self.unchecked, self.taken_over = unchecked, taken_over
        self.is_checked = False  # until the host has handed the files to `_load_pretrained_model`


_LOAD: ContextVar[_Load] = ContextVar("the load that is under way", default=_Load())  # noqa: B039 read only where set


class ChecksWeights(PreTrainedModel):
    """A `PreTrainedModel` that loads its weights safely, or not at all."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike | None, *args: Any, **kwargs: Any
    ) -> Any:
        """Load a tagger, or an encoder for a new one, as the host does: but from safetensors alone.

        The host falls back to pickles, which can run code when they are read. With other labels and
        `ignore_mismatched_sizes=True` classifier and CRF start anew; the temperature was made for the old ones, and
        becomes 1.

        Raises:
            ValueError: if other weights are asked for, by `use_safetensors=False` or a `gguf_file`; or if weights that
                the configuration describes are missing, or others left over, unless `output_loading_info=True` asks
                for a list of them. For a new tagger only the encoder's own weights are looked at.
            RuntimeError: if a shape is another than the configuration describes, and `ignore_mismatched_sizes=True`
                does not say to start such weights anew.
            OSError: if there are no safetensors.
            ImportError: if this version of the host reads the files without having them checked here.
        """
        if kwargs.pop("use_safetensors", None) is False or kwargs.get("gguf_file") is not None:
            raise ValueError("weights must be safetensors: use_safetensors=False and gguf_file cannot be followed")
        with_info = kwargs.pop("output_loading_info", False)
        load = _Load(kwargs.pop("_unchecked", _FAULTS if with_info else ()), kwargs.pop("_taken_over", ()))
        before = _LOAD.set(load)
        try:
            if not hasattr(PreTrainedModel, "_load_pretrained_model"):
                raise _cannot_be_checked(pretrained_model_name_or_path)
            loaded = super().from_pretrained(
                pretrained_model_name_or_path, *args, use_safetensors=True, output_loading_info=True, **kwargs
            )
            model, info = cast(tuple[Any, dict[str, Any]], loaded)
        except OSError as error:
            if "file named model" not in str(error):
                raise
            name = str(pretrained_model_name_or_path)
            raise OSError(
                f"{name} must hold its weights as model.safetensors; an old pytorch_model.bin is a pickle, which can "
                f"run code: if you trust it, convert it: AutoModel.from_pretrained({name!r}).save_pretrained(FOLDER), "
                "and the same with AutoTokenizer"
            ) from error
        finally:
            _LOAD.reset(before)
        if not load.is_checked:
            raise _cannot_be_checked(pretrained_model_name_or_path)
        if any(name.split(".")[0] in HEAD for name, *_ in info["mismatched_keys"]):
            model.config.temperature = 1.0
        return (model, info) if with_info else model

    @staticmethod
    def _load_pretrained_model(
        model: Any,
        state_dict: dict[str, Tensor] | None,
        checkpoint_files: list[str] | None,
        load_config: Any,
        **kwargs: Any,
    ) -> Any:
        """Check the files, let the host read them, and check the weights.

        `use_safetensors` alone does not make the files safe: the index of a sharded checkpoint can name any file, and
        so can the configuration (`transformers_weights`).
        """
        folder = load_config.pretrained_model_name_or_path
        for file in checkpoint_files or []:
            if not file.endswith(".safetensors"):
                raise OSError(f"the weights in {folder} must be safetensors, got {file}")
            top = os.path.abspath(folder)
            if os.path.isdir(top) and os.path.commonpath([top, os.path.abspath(file)]) != top:
                raise OSError(f"the weights must lie in {folder}, got {file}")
        loaded = PreTrainedModel._load_pretrained_model(
            model=model, state_dict=state_dict, checkpoint_files=checkpoint_files, load_config=load_config, **kwargs
        )
        _check_weights(model, loaded[0], load_config, is_adapter="expected_keys" in kwargs)
        _LOAD.get().is_checked = True
        return loaded


def _cannot_be_checked(name: Any) -> ImportError:
    """Return the error for a host that has another way to the weights than the one that is watched here."""
    return ImportError(
        f"the weights in {name} cannot be checked: transformers {__version__} does not read them by "
        "`PreTrainedModel._load_pretrained_model`; install an older version of it, such as 5.24, or newer code of the "
        "tagger"
    )


# Parts of the weights' names, and the fields of the configuration that say how many such weights there are, or of what
# size.
_COUNTED_BY = {".layer.": "num_hidden_layers", "lstm.": "num_lstm_layers", "word_shapes.": "word_shape_size"}
_SIZED_BY = {
    ".LayerNorm.": "hidden_size",
    ".word_embeddings.": "vocab_size",
    ".position_embeddings.": "max_position_embeddings",
    ".token_type_embeddings.": "type_vocab_size",
    ".intermediate.": "intermediate_size",
    "word_shapes.": "word_shape_size",
    "lstm.": "lstm_hidden_size",
    "crf.": "num_labels",
}


def _check_weights(model: Any, info: Any, load_config: Any, is_adapter: bool) -> None:
    """Refuse weights that are not those that the configuration describes.

    The host would start anew what is missing and drop what is left over, and say so in one line of the log.
    """
    name = load_config.pretrained_model_name_or_path
    if name is None:
        return  # the caller's own weights, as a `state_dict`
    is_tagger = is_adapter or _holds_a_tagger(model, info, load_config)
    faults = dict(zip(_FAULTS, _missing_and_left_over(model, info, load_config, is_adapter, is_tagger), strict=True))
    if not is_tagger:
        _forget_head(model, info)
    if faults := {fault: keys for fault, keys in faults.items() if keys and fault not in _LOAD.get().unchecked}:
        listed = " and ".join(
            f"{len(keys)} {fault}, {quoted(keys[0])}" + " first" * (len(keys) > 1) for fault, keys in faults.items()
        )
        raise ValueError(
            f"the weights in {name} must be those that the configuration describes, got {listed}"
            + _value_of(model.config, _COUNTED_BY, next(iter(faults.values()))[:1])
            + "; of an encoder without a classifier from_encoder makes a new tagger"
            * ("missing" in faults and bool(_LOAD.get().taken_over))
        )
    if info.mismatched_keys and not load_config.ignore_mismatched_sizes:
        key, got, expected = min(info.mismatched_keys)
        raise RuntimeError(
            f"the weights in {name} must have the shapes that the configuration describes, {quoted(key)} "
            f"{tuple(expected)}, got {tuple(got)}"
            + "; ignore_mismatched_sizes=True starts such weights anew" * is_tagger
            + _value_of(model.config, _SIZED_BY, [key for key, *_ in info.mismatched_keys])
        )


def _missing_and_left_over(
    model: Any, info: Any, load_config: Any, is_adapter: bool, is_tagger: bool
) -> tuple[list[str], list[str]]:
    """List the weights that the model has and the files have not, and the other way round, as far as that is a fault.

    An adapter brings few of the weights. An encoder's files rightly lack the head, and may hold that of another task.
    Those of a stock classifier lack the parts of the head that are not taken over, and hold nothing else.
    """
    missing = _without(model._keys_to_ignore_on_load_missing, info.missing_keys)
    # In old checkpoints the numbers of the positions are weights.
    left_over = _without([*model._keys_to_ignore_on_load_unexpected, r"(^|\.)position_ids$"], info.unexpected_keys)
    if load_config.is_quantized:
        left_over = []  # a quantizer has weights of its own
    if is_adapter:
        return [], left_over
    if is_tagger:
        return missing, left_over
    prefix, taken_over = f"{model.base_model_prefix}.", _LOAD.get().taken_over
    own = [key for key in missing if key.startswith(prefix) or key.partition(".")[0] in taken_over]
    if taken_over:  # a classifier that reads or feeds something else, such as an LSTM or a CRF, is no stock one
        kept = (model.base_model_prefix, *taken_over)
        others = {key for key in model.state_dict() if key.partition(".")[0] not in kept} - info.missing_keys
        return own, sorted({*left_over, *others})
    parts = dict(model.base_model.named_children())
    return own, [key for key in left_over if key.removeprefix(prefix).partition(".")[0] in parts]


def _forget_head(model: Any, info: Any) -> None:
    """Let the host start the head anew: what has these names in an encoder's checkpoint was made for another task.

    The parts of the head that are taken over stay.
    """
    kept = {model.base_model_prefix, *_LOAD.get().taken_over}
    head = {key for key in model.state_dict() if key.partition(".")[0] not in kept}
    for key in head:
        model.get_parameter_or_buffer(key)._is_hf_initialized = False
    info.missing_keys |= head
    info.mismatched_keys = {one for one in info.mismatched_keys if one[0] not in head}


def _value_of(config: Any, fields: dict[str, str], keys: Collection[str]) -> str:
    """Name the field of the configuration that is most likely wrong where these weights are, with its value."""
    for part, field in fields.items():
        if any(part in key for key in keys):
            return f"; its `{field}` is {getattr(config, field)}" if hasattr(config, field) else ""
    return ""


def _without(patterns: Collection[str] | None, keys: Collection[str]) -> list[str]:
    """Return the keys that no pattern matches, sorted."""
    return sorted(key for key in keys if not any(re.search(pattern, key) for pattern in patterns or ()))


def _holds_a_tagger(model: Any, info: Any, load_config: Any) -> bool:
    """Say whether a checkpoint is a finished tagger, rather than an encoder for a new one."""
    try:
        saved, _ = PreTrainedConfig.get_config_dict(
            load_config.pretrained_model_name_or_path, **load_config.download_kwargs
        )
    except OSError:  # there are weights alone
        return not {f"crf.{name}" for name, _ in model.crf.named_parameters()} <= info.missing_keys
    return saved.get("model_type") == model.config_class.model_type


__all__ = ["HEAD", "ChecksWeights"]
