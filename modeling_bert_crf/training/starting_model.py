"""The model that a run starts from: a finished tagger, or a new head on an encoder."""

from collections.abc import Mapping
from typing import Any

from transformers.utils import logging

from .. import BiLSTMCRFForTokenClassification, is_tagger, tagger_class
from ..configuration_crf import quoted
from ..opening.building import configuration_for
from ..opening.tagger import OpeningError, check_numbers, open_model, read_config, telling
from ..schemes import entity_types, scheme_of
from ..words import check_tokenizer
from .arguments import SHAPE, DataArguments, ModelArguments
from .errors import UserError
from .labels import choose_labels
from .opened_tokenizer import open_tokenizer_of
from .splits import Split
from .splitter_choice import choose_splitter

__all__ = ["load_model"]

logger = logging.get_logger(__name__)


def load_model(
    arguments: ModelArguments, data: DataArguments, splits: Mapping[str, Split], options: Mapping[str, Any]
) -> tuple[BiLSTMCRFForTokenClassification, Any]:
    """Load a finished tagger, or put a new head for the tags of the training data on an encoder.

    Args:
        arguments: which model, and the shape of a new one.
        data: how its tags are chosen.
        splits: the sentences, by the names of their parts.
        options: those that the user gave, as `given_options` returns them.

    Returns:
        The model and its tokenizer.

    Raises:
        UserError: if there is no such model, its encoder is of no family, the tokenizer is not the model's, or a
            finished tagger has another shape than the one that is asked for.
    """
    name = arguments.starts_from
    try:
        stored = read_config(name, arguments.revision, **arguments.hub)
        kind = stored.get("model_type")
        if is_tagger(kind):
            return _finished_tagger(arguments, data, splits, options)
        if "train" not in splits:
            raise UserError(
                f"{name} must be a finished tagger when there is no --do_train, got model_type {quoted(kind)}"
            )
        return _new_tagger(arguments, data, splits, stored)
    except OpeningError as error:
        raise UserError(f"--model_name_or_path: {error}") from error.__cause__


def _finished_tagger(
    arguments: ModelArguments,
    data: DataArguments,
    splits: Mapping[str, Split],
    options: Mapping[str, Any],
) -> tuple[BiLSTMCRFForTokenClassification, Any]:
    model = open_model(arguments.starts_from, arguments.revision, **arguments.hub)
    tokenizer = open_tokenizer_of(arguments)
    _check_tokenizer(arguments, tokenizer, model)
    if arguments.ignore_mismatched_sizes and "train" in splits:
        labels, config = choose_labels(splits["train"], data), model.config
        if not {*entity_types(labels, scheme_of(labels))} <= {*entity_types(config.labels, config.span_scheme)}:
            model = open_model(arguments.starts_from, arguments.revision, labels, **arguments.hub)
            logger.warning(f"{arguments.starts_from} gets a new classifier and CRF, for {', '.join(labels)}")
    _check_shape(arguments.starts_from, options, model.config)
    return model, tokenizer


def _new_tagger(
    arguments: ModelArguments, data: DataArguments, splits: Mapping[str, Split], stored: dict[str, Any]
) -> tuple[BiLSTMCRFForTokenClassification, Any]:
    """Put a new head on an encoder; `stored` is what the encoder's `config.json` holds."""
    name = arguments.starts_from
    with telling(f"{name}: its config.json cannot be used"):
        family: Any = tagger_class(stored.get("model_type"))
        configuration_for(family.config_class, stored)
    tokenizer = open_tokenizer_of(arguments)
    labels = choose_labels(splits["train"], data)
    splitter = next((split.splitter for split in splits.values() if split.splitter is not None), None)
    if splitter is None:
        splitter = choose_splitter(splits.get("validation", splits["train"]).sentences or [], tokenizer)
    with telling(f"{name}: no new tagger can be made of it"):
        model = BiLSTMCRFForTokenClassification.from_encoder(
            name,
            labels,
            tokenizer,
            revision=arguments.revision,
            **arguments.hub,
            word_splitter=splitter,
            **{option: getattr(arguments, option) for option in SHAPE},
        )
    check_numbers(name, model)
    return model, tokenizer


def _check_shape(name: str, options: Mapping[str, Any], config: Any) -> None:
    """Refuse options of a new model that a finished tagger cannot follow."""
    for option in (*SHAPE, "tag_scheme"):
        learnt = config.span_scheme if option == "tag_scheme" else getattr(config, option)
        if options.get(option) not in (None, learnt):
            raise UserError(f"--{option} is for a new model: {name} has learnt {learnt}; leave it away")


def _check_tokenizer(arguments: ModelArguments, tokenizer: Any, model: BiLSTMCRFForTokenClassification) -> None:
    """Refuse a tokenizer whose words are not those that a finished tagger has learnt."""
    try:
        check_tokenizer(tokenizer, model.config.vocab_size, model.token_roles.tolist())
    except ValueError as error:
        if arguments.tokenizer_name is None:
            raise UserError(f"{arguments.model_name_or_path}: {error}") from error
        learnt = "--tokenizer_name must be the tokenizer that the tagger was trained with: leave it away"
        raise UserError(f"{learnt} ({error})") from error
