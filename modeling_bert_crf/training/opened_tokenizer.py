"""The tokenizer of the model that a run starts from."""

from itertools import islice
from typing import Any

from transformers.utils import logging

from ..opening.tagger import OpeningError, open_tokenizer
from ..words import blank_mark
from .arguments import ModelArguments
from .errors import UserError

__all__ = ["open_tokenizer_of"]

logger = logging.get_logger(__name__)

TRIED = 100
"""How many capitalised words of a vocabulary are tried, to find out whether the tokenizer keeps capitals."""


def open_tokenizer_of(arguments: ModelArguments) -> Any:
    """Open the tokenizer that a run asks for, by default that of the model that it starts from.

    Raises:
        UserError: if there is none.
    """
    name = arguments.tokenizer_name or arguments.starts_from
    try:
        tokenizer = open_tokenizer(name, arguments.revision, **arguments.hub)
    except OpeningError as error:
        option = "model_name_or_path" if arguments.tokenizer_name is None else "tokenizer_name"
        raise UserError(f"--{option}: {error}; --tokenizer_name can name another") from error.__cause__
    if _loses_its_capitals(tokenizer):
        logger.warning_once(
            f"the tokenizer {name} writes everything in lower case, but its vocabulary is cased: set "
            '"do_lower_case": false in its tokenizer_config.json, or name another with --tokenizer_name'
        )
    return tokenizer


def _loses_its_capitals(tokenizer: Any) -> bool:
    """Say whether a tokenizer has words with capitals in its vocabulary, and writes none of them."""
    mark = blank_mark(tokenizer)
    words = (token.removeprefix(mark) for token in tokenizer.get_vocab())
    capitals = list(islice((word for word in words if word.isalpha() and word[0].isupper()), TRIED))
    return bool(capitals) and not any(
        "".join(tokenizer.tokenize(word)).removeprefix(mark) == word for word in capitals
    )
