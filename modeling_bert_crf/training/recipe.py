"""Recipes: learning rates and number of epochs that suit the size of an encoder, and what its head has learnt."""

import math
from typing import Any, NamedTuple

from torch import nn

from ..weights import HEAD

__all__ = ["RECIPES", "Recipe", "has_learnt", "is_new", "recipe_for"]


class Recipe(NamedTuple):
    """What suits encoders of a size where the user says nothing else."""

    size: str
    up_to: float  # weights beside the word embeddings
    learning_rate: float  # of the encoder
    epochs: int
    reason: str


RECIPES = (
    Recipe("small", 30e6, 1e-4, 4, "what served MiniLM best on three data sets (benchmarks/accuracy.md)"),
    Recipe("base", 150e6, 5e-5, 3, "the rate of the BERTimbau taggers, with a head of 1e-3 as here"),
    Recipe("large", math.inf, 1e-5, 3, "large encoders come apart at more; published taggers use 5e-6 to 1e-5"),
)
"""The recipes, the smallest encoders first. A new head and its CRF have the same rates in all of them, since they
start from nothing whatever the encoder is."""


def recipe_for(model: Any) -> tuple[Recipe, int]:
    """Choose the recipe for a tagger's encoder.

    Returns:
        The recipe, and the size of the encoder: its weights beside the word embeddings. ALBERT's layers share their
        weights; they are counted for each layer, since the work of a layer is what the size stands for.
    """
    weights = sum(parameter.numel() for parameter in model.base_model.parameters())
    weights -= model.get_input_embeddings().weight.numel()
    weights *= model.config.num_hidden_layers if hasattr(model.config, "num_hidden_groups") else 1
    return next(recipe for recipe in RECIPES if weights <= recipe.up_to), weights


def has_learnt(model: Any) -> bool:
    """Say whether the head of a tagger has been trained. Its CRF may be new, as in one that was a stock classifier."""
    parts = {name: getattr(model, name) for name in HEAD if name not in ("word_shapes", "crf")}
    return not any(is_new(name, part) for name, part in parts.items() if part is not None)


def is_new(name: str, part: nn.Module) -> bool:
    """Say whether a part of the head was never trained.

    In a new part the biases, or the scores of the CRF, are exactly 0, which is hardly ever so in a trained part.
    """
    zeros = (values for key, values in part.named_parameters() if name == "crf" or "bias" in key)
    return not any(values.detach().any() for values in zeros)
