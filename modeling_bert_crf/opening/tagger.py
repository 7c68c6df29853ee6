"""Opening taggers, finished ones and stock ones, with the classes of this package: no code of a checkpoint runs.

The program, the command and the demo all open folders here, so that they say in the same words what is wrong with one.
This file travels with a Space.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.models.auto.tokenization_auto import get_tokenizer_config
from transformers.utils import logging

from .. import FAMILIES, BiLSTMCRFForTokenClassification, BiLSTMCRFPipeline, is_tagger, tagger_class
from ..configuration_crf import check_value, quoted
from ..hub.answers import hub_answers
from ..words import check_tokenizer

logger = logging.get_logger(__name__)

__all__ = [
    "OpeningError",
    "check_numbers",
    "open_model",
    "open_stock",
    "open_tagger",
    "open_tokenizer",
    "quiet",
    "read_config",
    "telling",
]

_TOKEN = (
    lambda value: value is None or (isinstance(value, str | dict) and value),
    "a text that is not empty, or None",
)
_FLAG = (lambda value: isinstance(value, bool), "true or false")
_TOKENIZER_RULES = {
    **dict.fromkeys(("unk_token", "cls_token", "sep_token", "pad_token", "mask_token"), _TOKEN),
    "do_lower_case": _FLAG,
    "tokenize_chinese_chars": _FLAG,
    "strip_accents": (lambda value: isinstance(value, bool | None), "true, false or None"),
    "model_max_length": (lambda value: isinstance(value, int | float | None), "a number or None"),
    "tokenizer_class": (lambda value: isinstance(value, str | None), "a text or None"),
    "auto_map": (lambda value: isinstance(value, dict | list) and value != [], "a dictionary or a list"),
}
"""What fields of a `tokenizer_config.json` may hold. At other values the host would fail without naming the field."""
_LONGEST = 600
"""How many characters of a host's error are repeated. Some errors show a whole file."""


class OpeningError(Exception):
    """A folder or a repository cannot be opened; one sentence says which, what is wrong, and what helps.

    The error that was raised first is its `__cause__`.
    """


def open_tagger(name: str, revision: str | None = None, device: torch.device | None = None) -> BiLSTMCRFPipeline:
    """Open a tagger and its tokenizer, and return the pipeline that joins them.

    A stock token classifier gets a chain in memory, as `BiLSTMCRFForTokenClassification.from_tagger` makes it; the log
    says so in one line.

    Args:
        name: a folder, or a repository of the Hub.
        revision: branch, tag or commit of the repository.
        device: None takes a GPU if there is one.

    Raises:
        OpeningError: if there is no such tagger, a file of it is damaged, or its files do not fit together.
    """
    with quiet():
        if _is_finished(read_config(name, revision)):
            model, tokenizer = open_model(name, revision), open_tokenizer(name, revision)
        else:
            model, tokenizer = open_stock(name, revision)
            logger.warning(
                f"{name}: a stock token classifier, read with a chain that is not fitted to any data: `bert-crf wrap "
                f"{name} FOLDER` stores it as a tagger, and fits it with --fit"
            )
        with telling(name):
            return BiLSTMCRFPipeline(model=model, tokenizer=tokenizer, device=device)


def open_model(
    name: str, revision: str | None = None, labels: Sequence[str] | None = None, **hub: Any
) -> BiLSTMCRFForTokenClassification:
    """Open the model of a finished tagger, and check that its weights are numbers.

    Args:
        name: a folder, or a repository of the Hub.
        revision: branch, tag or commit of the repository.
        labels: of a new, untrained classifier and CRF in place of those of the tagger; None keeps these.
        **hub: how to read from the Hub: `cache_dir`, `token`.

    Raises:
        OpeningError: if there is no such tagger, or a file of it is damaged.
    """
    values = read_config(name, revision, **hub)
    if not _is_finished(values):
        _refuse(name, values)
    tagger: Any = tagger_class(values["model_type"])  # its configuration has two bases, for which there is no one type
    with telling(f"{name}: its config.json cannot be used"):
        _check_stated(tagger, values, ("id2label", "label2id"))
        given = {} if labels is None else {"id2label": dict(enumerate(labels)), "tag_scheme": "auto"}
        given |= {} if labels is None else {"operating_points": None, "operating_point": None}
        config = tagger.config_class.from_pretrained(name, revision=revision, **hub, **given)
    with telling(f"{name}: its model (config.json, model.safetensors) cannot be loaded"):
        model = tagger.from_pretrained(
            name, config=config, revision=revision, ignore_mismatched_sizes=labels is not None, **hub
        )
    if labels is not None:  # what is as large as before has been loaded, although it has learnt other labels
        model.config.temperature = 1.0
        model.classifier.reset_parameters()
        for parameter in model.crf.parameters():
            parameter.data.zero_()
    check_numbers(name, model)
    return model


def open_stock(
    name: str, revision: str | None = None, **config: Any
) -> tuple[BiLSTMCRFForTokenClassification, PreTrainedTokenizerBase]:
    """Open a stock token classifier and its tokenizer, and put a chain on it.

    Args:
        name: a folder, or a repository of the Hub.
        revision: branch, tag or commit of the repository.
        **config: fields of the tagger's configuration.

    Raises:
        OpeningError: if there is none, it is of no family, its labels have no names, or a file of it is damaged.
    """
    values = read_config(name, revision)
    family = values.get("model_type")
    if not _is_finished(values) and not (isinstance(family, str) and family in FAMILIES):
        _refuse(name, values, f", or of a stock token classifier, one of {', '.join(FAMILIES)}")
    with telling(f"{name}: its config.json cannot be used"):
        _check_stated(tagger_class(family), values)
    tokenizer = open_tokenizer(name, revision)
    with telling(f"{name}: no tagger can be made of it"):
        model = BiLSTMCRFForTokenClassification.from_tagger(name, tokenizer, **config, revision=revision)
    check_numbers(name, model)
    return model, tokenizer


def _is_finished(values: dict[str, Any]) -> bool:
    return is_tagger(values.get("model_type"))


def _refuse(name: str, values: dict[str, Any], others: str = "") -> NoReturn:
    raise OpeningError(
        f"{name}: `model_type` in its config.json must be that of a tagger, such as 'bert_bilstm_crf', as "
        f"bert-crf train makes it{others}, got {quoted(values.get('model_type'))}"
    )


def _check_stated(tagger: Any, values: dict[str, Any], *more: tuple[str, ...]) -> None:
    """Refuse a configuration without fields on which no weight's shape depends.

    The host would take its defaults for them, and say nothing.
    """
    heads = tagger.config_class.attribute_map.get("num_attention_heads", "num_attention_heads")
    for names in ((heads,), *more):
        if not any(one in values for one in names):
            raise ValueError(f"it must have `{names[0]}`, and has not")


def read_config(name: str, revision: str | None = None, **hub: Any) -> dict[str, Any]:
    """Read the `config.json` of a folder or a repository, as it stands there; `hub` as for `open_model`.

    Raises:
        OpeningError: if there is none, or it cannot be read.
    """
    folder = Path(name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise OpeningError(f"{name}: this folder holds no model, it has no config.json; name a run's --output_dir")
    if folder.is_file() or (not folder.exists() and (name.startswith((".", "/", "~")) or name.count("/") > 1)):
        raise OpeningError(f"{name}: no such folder")
    try:
        with hub_answers():
            values, _ = PreTrainedConfig.get_config_dict(name, revision=revision, **hub)
        if not isinstance(values, dict):
            raise ValueError(f"it must hold a dictionary, got {quoted(values)}")
    except Exception as error:
        where, cure = "its config.json cannot be read", ""
        if not folder.is_dir():
            where = "no such folder, and not to be had from the Hub"
            cure = "; check the name and the network, and for a private model `hf auth login`"
        raise OpeningError(f"{name}: {where}: {_reason(error)}{cure}") from error
    return values


def open_tokenizer(name: str, revision: str | None = None, **hub: Any) -> Any:
    """Open the tokenizer of a tagger or of an encoder; `hub` as for `open_model`.

    Raises:
        OpeningError: if it is damaged, or cannot feed any model.
    """
    with telling(f"{name}: its tokenizer_config.json cannot be used"):
        for key, value in get_tokenizer_config(name, revision=revision, **hub).items():
            if key in _TOKENIZER_RULES:
                check_value(key, value, _TOKENIZER_RULES[key])
    with telling(f"{name}: its tokenizer (tokenizer.json, tokenizer_config.json) cannot be loaded"):
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False, **hub)
    with telling(name):
        check_tokenizer(tokenizer)
    return tokenizer


def check_numbers(name: str, model: torch.nn.Module) -> None:
    """Check that all weights are numbers. A single NaN makes all scores NaN, and all paths arbitrary.

    Raises:
        OpeningError: naming the first weight that is not finite.
    """
    for weight, values in model.named_parameters():
        # The sum is three times as fast as looking at each number, but large numbers can also add up to infinity.
        if values.is_floating_point() and not values.sum().isfinite() and not values.isfinite().all():
            fault = values[~values.isfinite()][0].item()
            raise OpeningError(f"{name}: its weights must be finite numbers, got {fault} in {quoted(weight)}")


@contextmanager
def telling(place: str) -> Iterator[None]:
    """Turn any error that the host raises while it reads foreign files into one sentence that begins with the place.

    Raises:
        OpeningError: with that sentence.
    """
    try:
        with hub_answers():
            yield
    except OpeningError:
        raise
    except Exception as error:
        raise OpeningError(f"{place}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Say in one line why something failed, with the name of the error if its text alone would not tell."""
    said = (getattr(error, "strerror", None) or str(error).strip() or "no reason given").splitlines()[0].rstrip(".")
    said = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in said)
    said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."
    spoken = isinstance(error, OSError | RuntimeError | SafetensorError) or type(error) in (ValueError, Exception)
    return said if spoken and not isinstance(error, RecursionError) else f"{type(error).__name__}: {said}"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the host from writing about its loading on the terminal."""
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
