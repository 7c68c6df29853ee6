"""A finished tagger from a folder or the Hub, on the device that is asked for."""

import torch

from modeling_bert_crf import BiLSTMCRFPipeline
from modeling_bert_crf.opening.tagger import OpeningError, open_tagger

from .errors import CommandError, reason


def load_tagger(name: str, revision: str | None = None, device: str | None = None) -> BiLSTMCRFPipeline:
    """Load a tagger, its tokenizer, and the pipeline that joins them.

    Args:
        name: a folder, or a model of the Hub.
        revision: branch, tag or commit of the Hub's.
        device: as torch writes it; None takes a GPU if there is one.

    Raises:
        CommandError: if there is no such model, it is no tagger of ours or a damaged one, or the device is not there.
    """
    target = _device(device)
    try:
        return open_tagger(name, revision, target)
    except OpeningError as error:
        raise CommandError(str(error)) from error.__cause__


def _device(name: str | None) -> torch.device | None:
    try:
        device = None if name is None else torch.device(name)
    except RuntimeError as error:
        raise CommandError(f"--device {name}: must be a device of torch's such as cpu, cuda:0 or mps") from error
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError, NotImplementedError) as error:  # as the device's own code pleases
        raise CommandError(f"--device {name}: cannot be used: {reason(error)}") from error
    return device
