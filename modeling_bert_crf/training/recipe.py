"""Recipes: the learning rate and the number of epochs that suit encoders of a size."""

import math
from typing import Any, NamedTuple

__all__ = ["RECIPES", "Recipe", "recipe_for"]


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
"""The recipes, the smallest encoders first. Head and CRF have the same rates in all of them, since they start from
nothing whatever the encoder is."""


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
