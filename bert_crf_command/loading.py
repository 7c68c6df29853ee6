"""A finished tagger from a folder or the Hub, by this package's own classes: no code of the model's is run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer
from transformers.utils import logging

from modeling_bert_crf import BertBiLSTMCRFConfig, BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFPipeline

from .errors import CommandError, reason


def load_tagger(name: str, revision: str | None = None, device: str | None = None) -> BertBiLSTMCRFPipeline:
    """Load a tagger, its tokenizer, and the pipeline that joins them.

    Args:
        name: a folder, or a model of the Hub.
        revision: branch, tag or commit of the Hub's.
        device: as torch writes it; None takes a GPU if there is one.

    Raises:
        CommandError: if there is no such model, it is no tagger of ours, or the device is not there.
    """
    target = _device(device)
    with _quiet():
        _check_config(name, revision)
        try:
            model, info = BertBiLSTMCRFForTokenClassification.from_pretrained(
                name, revision=revision, output_loading_info=True
            )
            tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise CommandError(f"{name}: cannot be loaded: {reason(error)}") from None
        if info["missing_keys"]:
            raise CommandError(f"{name}: the weights lack {', '.join(sorted(info['missing_keys']))}; save them anew")
        try:
            return BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer, device=target)
        except (AssertionError, RuntimeError, ValueError) as error:  # as the device's own code pleases
            raise CommandError(f"--device {device}: cannot be used: {reason(error)}") from None


def _device(name: str | None) -> torch.device | None:
    try:
        return None if name is None else torch.device(name)
    except RuntimeError:
        raise CommandError(f"--device {name}: must be a device of torch's such as cpu, cuda:0 or mps") from None


def _check_config(name: str, revision: str | None) -> None:
    folder = Path(name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise CommandError(f"{name}: this folder holds no model, it has no config.json; name a run's --output_dir")
    if folder.is_file() or (not folder.exists() and (name.startswith((".", "/", "~")) or name.count("/") > 1)):
        raise CommandError(f"{name}: no such folder")
    try:
        config, _ = BertBiLSTMCRFConfig.get_config_dict(name, revision=revision)
    except (OSError, ValueError) as error:
        where = (
            "its config.json cannot be read" if folder.is_dir() else "no such folder, and not to be had from the Hub"
        )
        cure = "" if folder.is_dir() else "; check the name and the network, and for a private model `hf auth login`"
        raise CommandError(f"{name}: {where}: {reason(error)}{cure}") from None
    ours, kind = BertBiLSTMCRFConfig.model_type, config.get("model_type")
    if kind != ours:
        raise CommandError(f"{name}: must be a {ours} model, as run_ner.py trains it, got {kind or 'no model_type'}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the host's notes on loading off the terminal."""
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
