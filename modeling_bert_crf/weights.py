"""Weights: from safetensors alone, and all of those that the configuration describes. Ships with every checkpoint."""

import os
import re
from collections.abc import Collection
from contextvars import ContextVar
from typing import Any

from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from .configuration_crf import quoted

HEAD = ("word_shapes", "lstm", "classifier", "crf")
"""The modules that a new tagger starts with untrained; one that is left out is None."""
_UNCHECKED: ContextVar[Collection[str]] = ContextVar("what the caller of from_pretrained looks at himself", default=())


class ChecksWeights(PreTrainedModel):
    """A `PreTrainedModel` that loads its weights safely, or not at all."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike | None, *args: Any, **kwargs: Any
    ) -> Any:
        """Load a tagger, or an encoder for a new one, as the host does: but from safetensors alone.

        The host falls back to pickles, files that are able to run code when they are read. With other labels and
        `ignore_mismatched_sizes=True` classifier and CRF start anew, and the temperature, which was theirs, is 1.

        Raises:
            ValueError: if other weights are asked for, by `use_safetensors=False` or a `gguf_file`; or if weights that
                the configuration describes are missing, or others left over, unless `output_loading_info=True` asks
                for a list of them. Of an encoder, for a new tagger, only its own weights count.
            RuntimeError: if their shapes are others, and `ignore_mismatched_sizes=True` does not say to start such
                weights anew.
            OSError: if there are no safetensors.
        """
        if kwargs.pop("use_safetensors", None) is False or kwargs.get("gguf_file") is not None:
            raise ValueError("weights must be safetensors: use_safetensors=False and gguf_file cannot be followed")
        told = kwargs.pop("output_loading_info", False)
        unchecked = _UNCHECKED.set(kwargs.pop("_unchecked", _FAULTS if told else ()))
        try:
            model, info = super().from_pretrained(
                pretrained_model_name_or_path, *args, use_safetensors=True, output_loading_info=True, **kwargs
            )
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
            _UNCHECKED.reset(unchecked)
        if any(name.split(".")[0] in HEAD for name, *_ in info["mismatched_keys"]):
            model.config.temperature = 1.0
        return (model, info) if told else model

    @staticmethod
    def _load_pretrained_model(
        model: Any,
        state_dict: dict[str, Tensor] | None,
        checkpoint_files: list[str] | None,
        load_config: Any,
        **kwargs: Any,
    ) -> Any:
        """Read the files of weights, unless one is no safetensors or lies elsewhere; check that they are the model's.

        `use_safetensors` alone does not see to it: the index of a sharded checkpoint names what it likes, and so does
        the configuration (`transformers_weights`).
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
        return loaded


_FAULTS = ("missing", "left over")
# Parts of the weights' names, and the fields that say how many of them there are, or how large they are.
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
    """Refuse weights that are not what the configuration describes, and those of a head that is not a tagger's.

    The host would start anew what is missing and drop what is left over, for no more than a line in the log. Of an
    encoder for a new tagger the weights of other heads are rightly dropped; an adapter brings few of the weights.
    """
    name = load_config.pretrained_model_name_or_path
    if name is None:
        return  # the caller's own weights, as a `state_dict`
    missing = _without(model._keys_to_ignore_on_load_missing, info.missing_keys)
    # The positions' numbers were weights once.
    left_over = _without([*model._keys_to_ignore_on_load_unexpected, r"(^|\.)position_ids$"], info.unexpected_keys)
    if load_config.is_quantized:
        left_over = []  # a quantizer has weights of its own
    is_tagger = is_adapter or _holds_a_tagger(model, info, load_config)
    if is_adapter:
        missing = []
    elif not is_tagger:
        prefix, parts = f"{model.base_model_prefix}.", dict(model.base_model.named_children())
        missing = [key for key in missing if key.startswith(prefix)]
        left_over = [key for key in left_over if key.removeprefix(prefix).partition(".")[0] in parts]
        _forget_head(model, info, prefix)
    faults = zip(_FAULTS, (missing, left_over), strict=True)
    if faults := {fault: keys for fault, keys in faults if keys and fault not in _UNCHECKED.get()}:
        listed = " and ".join(
            f"{len(keys)} {fault}, {quoted(keys[0])}" + " first" * (len(keys) > 1) for fault, keys in faults.items()
        )
        raise ValueError(
            f"the weights in {name} must be those that the configuration describes, got {listed}"
            + _value_of(model.config, _COUNTED_BY, next(iter(faults.values()))[:1])
        )
    if info.mismatched_keys and not load_config.ignore_mismatched_sizes:
        key, got, expected = min(info.mismatched_keys)
        raise RuntimeError(
            f"the weights in {name} must have the shapes that the configuration describes, {quoted(key)} "
            f"{tuple(expected)}, got {tuple(got)}"
            + "; ignore_mismatched_sizes=True starts such weights anew" * is_tagger
            + _value_of(model.config, _SIZED_BY, [key for key, *_ in info.mismatched_keys])
        )


def _forget_head(model: Any, info: Any, prefix: str) -> None:
    """Let the host start the head anew: what an encoder's checkpoint calls so is a classifier for something else."""
    head = {key for key in model.state_dict() if not key.startswith(prefix)}
    for key in head:
        model.get_parameter_or_buffer(key)._is_hf_initialized = False
    info.missing_keys |= head
    info.mismatched_keys = {one for one in info.mismatched_keys if one[0] not in head}


def _value_of(config: Any, fields: dict[str, str], keys: Collection[str]) -> str:
    """Say what the configuration says, in the field that is most likely at fault for these weights."""
    field = next((field for part, field in fields.items() if any(part in key for key in keys)), None)
    return "" if not hasattr(config, field or "") else f"; its `{field}` is {getattr(config, field)}"


def _without(patterns: Collection[str] | None, keys: Collection[str]) -> list[str]:
    return sorted(key for key in keys if not any(re.search(pattern, key) for pattern in patterns or ()))


def _holds_a_tagger(model: Any, info: Any, load_config: Any) -> bool:
    """Say whether a checkpoint is a finished tagger, not an encoder for a new one."""
    try:
        saved, _ = PreTrainedConfig.get_config_dict(
            load_config.pretrained_model_name_or_path, **load_config.download_kwargs
        )
    except OSError:  # weights alone
        return not {f"crf.{name}" for name, _ in model.crf.named_parameters()} <= info.missing_keys
    return saved.get("model_type") == model.config_class.model_type


__all__ = ["ChecksWeights"]
