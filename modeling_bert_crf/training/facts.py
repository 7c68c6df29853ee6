"""The facts of a run: what `metrics.json` holds beside the scores, and what card and report are made from.

They are figures and names, and no text of the data.
"""

import hashlib
import json
import os
import platform
import re
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch

from .. import BiLSTMCRFForTokenClassification, __version__
from ..readers.partial import is_known, known_spans
from ..schemes import entity_types
from .arguments import SHAPE, Arguments, DataArguments
from .crf_statistics import transition_table
from .dataset import StreamingTaggingDataset, TaggingDataset
from .origins import encoder_name, stated_licence
from .split_datasets import Datasets
from .trainer import CRFTrainer

__all__ = ["SETTINGS", "command_line", "fingerprint", "learning_curve", "run_facts"]

_RECIPE = (
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "world_size",
    "learning_rate",
    "head_learning_rate",
    "crf_learning_rate",
    "frozen_steps",
    "weight_decay",
    "warmup_steps",
    "lr_scheduler_type",
    "seed",
)
_DATA = ("max_seq_length", "repair_tags")
SETTINGS = (*SHAPE, *_RECIPE, *_DATA)
"""What `settings` says in `metrics.json`: options of the run by their names, and how many processes it had."""
_PACKAGES = ("transformers", "torch", "tokenizers", "accelerate", "datasets", "numpy", "seqeval")


def run_facts(
    arguments: Arguments,
    options: Mapping[str, Any],
    trainer: CRFTrainer,
    datasets: Datasets,
    speed: Mapping[str, float | None],
    start: str,
) -> dict[str, Any]:
    """Gather the facts of a run, at its end. Paths are cut to their last part.

    Args:
        arguments: of the run.
        options: those of them that the user gave, as `given_options` returns them.
        trainer: after training.
        datasets: of each split.
        speed: words tagged in a second, of each split; None where it was not measured.
        start: the words that started the program.
    """
    training = arguments[2]
    return {
        **_origin(arguments, trainer),
        "labels": trainer.config.labels,
        "scheme": trainer.config.scheme,
        "types": sorted(entity_types(trainer.config.labels, trainer.config.span_scheme)),
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "temperature": round(trainer.temperature, 4),
        "data": {split: _count(dataset) for split, dataset in datasets.items()},
        "learning_curve": learning_curve(trainer.state.log_history),
        "best_step": _best_step(trainer),
        "best_by": "F1" if training.metric_for_best_model == "f1" else training.metric_for_best_model,
        "transitions": _transitions(trainer),
        "speed": {split: round(value, 1) for split, value in speed.items() if value is not None},
        "hardware": _hardware(training.device, training.world_size),
        "command": command_line(options, start),
        "options": fingerprint(options),
        "versions": _versions(),
    }


def _origin(arguments: Arguments, trainer: CRFTrainer) -> dict[str, Any]:
    """Say what a run was made from: model, data set and settings, and under which licences."""
    model, data, training = arguments
    base, source = Path(model.starts_from), _source(data)
    base_is_here, source_is_here = base.exists(), Path(source).exists()
    reading = model.hub | {"repo_type": "dataset"}
    settings = {name: getattr(trainer.config, name) for name in SHAPE}
    settings |= {name: getattr(training, name) for name in _RECIPE}
    settings |= {name: getattr(data, name) for name in _DATA}
    return {
        "model_name": training.repo_id,
        "base_model": encoder_name(model.starts_from),
        "encoder_family": trainer.config.host_config().model_type,
        "dataset": Path(source).name if source_is_here else source,
        "settings": {name: getattr(value, "value", value) for name, value in settings.items()},
        "hub": {
            "base_model": None if base_is_here else str(base),
            "dataset": None if data.dataset_name is None or source_is_here else source,
        },
        "license": model.card_license,
        "language": model.card_language,
        "examples": model.card_examples,
        "base_license": stated_licence(base, revision=model.revision, **model.hub),
        "dataset_license": data.dataset_license or stated_licence(source, **reading),
    }


def _transitions(trainer: CRFTrainer) -> list[list[float | None]] | None:
    """Return the table of transitions; None if the weights are spread over processes."""
    if trainer.is_fsdp_enabled:
        return None
    return transition_table(cast(BiLSTMCRFForTokenClassification, trainer.model))


def _versions() -> dict[str, str]:
    return {
        "modeling_bert_crf": __version__,
        **{name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _best_step(trainer: CRFTrainer) -> int | None:
    """Return the step whose weights were kept; None if those of the last step were."""
    kept = trainer.state.best_model_checkpoint
    return int(kept.rsplit("-", 1)[1]) if kept and trainer.args.load_best_model_at_end else None


def _source(data: DataArguments) -> str:
    """Name the data set, or the folder of the files."""
    files = data.train_file or data.validation_file or data.test_file or ["."]  # one of them is given, or a name
    return data.dataset_name or str(Path(files[0]).resolve().parent)


def _count(dataset: TaggingDataset | StreamingTaggingDataset) -> dict[str, int] | None:
    """Count sentences, words, entities and, if there are any, words that are not fully known; None for streamed data.

    Entities are those that are there whatever is not known.
    """
    if isinstance(dataset, StreamingTaggingDataset):
        return None
    tags = dataset.gold
    counts = {"sentences": len(tags), "words": sum(map(len, tags))}
    if dataset.scheme is not None:
        counts["entities"] = sum(len(known_spans(one, dataset.scheme)) for one in tags)
    partly = sum(not is_known(tag) for one in tags for tag in one)
    return counts | ({"partly_known": partly} if partly else {})


def learning_curve(log: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, float]]]:
    """Pick the learning curve out of a Trainer's `log_history`.

    Returns:
        `training`, points with `step`, `epoch` and `loss`, and `validation`, points that also have `f1`. Both are
        empty for a run that does not train.
    """

    def points(names: dict[str, str], mark: str) -> list[dict[str, float]]:
        return [{new: entry[old] for old, new in names.items() if old in entry} for entry in log if mark in entry]

    where = {"step": "step", "epoch": "epoch"}
    return {
        "training": points({**where, "loss": "loss"}, "loss"),
        "validation": points({**where, "eval_loss": "loss", "eval_f1": "f1"}, "eval_loss"),
    }


def _hardware(device: torch.device, processes: int) -> str:
    """Name the kind of hardware, and nothing that would tell one machine from another of its kind."""
    names = {"cpu": f"CPU, {torch.get_num_threads()} thread" + "s" * (torch.get_num_threads() > 1)}
    if device.type == "cuda":
        names["cuda"] = torch.cuda.get_device_name(device)
    name = names.get(device.type, device.type)
    return name if processes == 1 else f"{processes} processes, each on {name}"


def command_line(options: Mapping[str, Any], start: str) -> str:
    """Write the command that makes a run again; `start` is what it begins with.

    It leaves out what a second run does not need: where the first one was pushed to, with which token, where it kept
    what it read from the Hub, and from where it was resumed. Paths are cut to their last part.

    >>> options = {"do_train": True, "train_file": ["/home/ada/a.conll", "b.conll"], "hub_token": "hf_secret"}
    >>> command_line(options, "bert-crf train")
    'bert-crf train --do_train --train_file a.conll b.conll'
    """
    words = start.split()
    for name, value in _own(options).items():
        values = value if isinstance(value, list) else [value]
        words += [f"--{name}"] + ([] if value is True else [_shorten(str(one), name) for one in values])
    return shlex.join(words)


def fingerprint(options: Mapping[str, Any]) -> str:
    """Return a digest of a run's options, which is the same for two commands that ask for the same run.

    It is taken of what `command_line` writes, but with whole paths, and without the output folder.
    """
    own = {name: value for name, value in _own(options).items() if name != "output_dir"}
    return hashlib.sha256(json.dumps(own, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _own(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options without tokens, and without those that say where a run is pushed, reads or goes on from."""

    def elsewhere(name: str) -> bool:
        return (
            name in ("resume_from_checkpoint", "cache_dir")
            or name.startswith(("hub_", "push_to_hub"))
            or name.endswith("token")
        )

    return {name: value for name, value in options.items() if not elsewhere(name)}


def _shorten(value: str, option: str) -> str:
    """Cut a path to its last part; a name on the Hub stays whole."""
    if value.startswith("{"):  # JSON, which may hold paths
        return re.sub(r'(?<=")(?:~|\.{1,2}|[A-Za-z]:)?[/\\][^"]*[/\\](?=[^"])', "", value)
    if option == "output_dir" or os.path.exists(value) or value.startswith(("/", "~", "./", "../")):
        return Path(value).name or Path(value).resolve().name
    return value
