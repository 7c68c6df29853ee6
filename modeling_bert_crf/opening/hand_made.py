"""Weights of a hand-made tagger, an encoder with a linear layer and the CRF of another library, in one of ours."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from .. import BiLSTMCRFForTokenClassification

__all__ = ["load_hand_made"]

_CRF = ("start_transitions", "end_transitions", "transitions")
"""What both libraries call the scores, with the axes that they have here: from the row's tag to the column's."""
_UNUSED = ("pooler.dense.weight", "pooler.dense.bias", "position_ids", "token_type_ids", "_constraint_mask")
"""Ends of names whose values the model makes itself, or that have no part in tagging."""


@torch.no_grad()
def load_hand_made(model: BiLSTMCRFForTokenClassification, weights: Mapping[str, Tensor]) -> None:
    """Copy the weights of a hand-made tagger into a model.

    The names of the parts do not matter: the encoder is found by what stands below it, the CRF by the names of its
    scores, and the linear layer by its shape. What constraints AllenNLP's layer had follows here from the labels. Such
    taggers often run their chain over all sub-tokens, with `[CLS]` and `[SEP]` among them; the model has
    `chain_unit="token"` for that, without these two.

    Args:
        model: made by `from_encoder` with the same encoder, the labels in the order of their ids, `num_lstm_layers=0`
            and `word_shape_size=0`.
        weights: the `state_dict` of the other tagger; from a file by `torch.load(path, weights_only=True)`.

    Raises:
        ValueError: if a part is not there, there twice, or of another shape, or a weight is left over, as that of a
            BiLSTM. The model is as it was then.
    """
    if model.lstm is not None or model.word_shapes is not None:
        raise ValueError("the model must have no BiLSTM and no word shapes: num_lstm_layers=0, word_shape_size=0")
    found = {f"crf.{name}": _one(weights, name) for name in _CRF}
    prefix = f"{model.base_model_prefix}."
    own = [name.removeprefix(prefix) for name in model.state_dict() if name.startswith(prefix)]
    encoder = _prefix_of(own, weights)
    found |= {prefix + name: encoder + name for name in own}
    for kind in ("weight", "bias"):
        found[f"classifier.{kind}"] = _linear(model, weights, found.values(), kind)
    left = sorted(name for name in weights.keys() - {*found.values()} if not name.endswith(_UNUSED))
    if left:
        raise ValueError(f"every weight must have its place in the model, got {', '.join(left[:3])} besides")
    state = model.state_dict()
    for name, given in found.items():
        if state[name].shape != weights[given].shape:
            shapes = f"{tuple(state[name].shape)}, got {tuple(weights[given].shape)}"
            raise ValueError(f"{given} must have the shape of {name}, {shapes}: are labels and encoder the same?")
    for name, given in found.items():
        state[name].copy_(weights[given])


def _one(weights: Mapping[str, Tensor], end: str) -> str:
    names = [name for name in weights if name.rpartition(".")[2] == end]
    if len(names) != 1:
        raise ValueError(f"there must be one weight called {end}, got {', '.join(names) or 'none'}")
    return names[0]


def _prefix_of(own: list[str], weights: Mapping[str, Tensor]) -> str:
    """Return what stands before the names of an encoder's weights."""
    starts = [name.removesuffix(own[0]) for name in weights if name.endswith(own[0])]
    whole = [start for start in starts if all(start + name in weights for name in own)]
    if len(whole) != 1:
        missing = next((name for name in own if not any(other.endswith(name) for other in weights)), own[0])
        raise ValueError(f"the weights must hold the model's encoder once, got {len(whole)} of them; see {missing}")
    return whole[0]


def _linear(
    model: BiLSTMCRFForTokenClassification, weights: Mapping[str, Tensor], taken: Iterable[str], kind: str
) -> str:
    """Name the weight, or the bias, of the linear layer before the CRF: the only one of its shape that is left."""
    shape = getattr(model.classifier, kind).shape
    used = {*taken}
    names = [name for name, value in weights.items() if name not in used and value.shape == shape]
    names = [name for name in names if name.endswith(f".{kind}") or name == kind]
    if len(names) != 1:
        raise ValueError(
            f"there must be one linear layer to {shape[0]} tags, a {kind} of shape {tuple(shape)}, got "
            f"{', '.join(names) or 'none'}"
        )
    return names[0]
