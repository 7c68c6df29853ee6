"""The record of a run: what decides its result, so that going on with a run can be told from beginning another one.

That is the data, the labels, the model that it starts from, the tokenizer and the options. The record stands in every
checkpoint, and beside a trained model until that is evaluated. Of the data it holds digests and labels, and no text.
"""

import hashlib
import json
from dataclasses import fields
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedModel

from ..opening.records import configuration_record, digested, tokenizer_record, weights_record
from .arguments import SHAPE, STEPS, Arguments, ModelArguments
from .dataset import StreamingTaggingDataset, TaggingDataset
from .split_datasets import Datasets

__all__ = ["MAY_CHANGE", "STREAMED", "run_record"]

MAY_CHANGE = (
    # What the record holds in another form: files and models are compared by their content, not by their names, and
    # the options of a new model by its configuration.
    *("model_name_or_path", "tokenizer_name", "revision", *SHAPE, "tag_scheme", "label_list"),
    *("*_file", "dataset_*", "*_column_name", "repair_tags", "max_*_samples", "ignore_mismatched_sizes"),
    *("data_format", "annotator", "on_misaligned", "on_overlap"),
    # How the Hub is read, and what other scripts have these options for.
    *("cache_dir", "token", "trust_remote_code", "preprocessing_num_workers", "return_entity_level_metrics"),
    # How long to train: a longer run goes on from a shorter one, on the schedule of its new length.
    *("num_train_epochs", "max_steps", "early_stopping_patience"),
    # What is evaluated after training, and in which portions anything is.
    *("do_predict", "per_device_eval_batch_size", "eval_accumulation_steps", "eval_use_gather_object"),
    # What is written, logged and pushed.
    *("output_dir", "save_*", "enable_jit_checkpoint", "logging_*", "log_*", "disable_tqdm", "report_to", "run_name"),
    *("project", "trackio_*", "skip_memory_metrics", "include_*", "debug", "push_to_hub", "hub_*", "card_*"),
    # Where and how fast it runs; another machine rounds otherwise, but it is the same run.
    *("use_cpu", "tf32", "torch_compile*", "torch_empty_cache_steps", "activation_checkpointing*"),
    *("gradient_checkpointing*", "full_determinism", "ddp_*", "local_rank", "parallelism_config", "deepspeed"),
    *("dataloader_num_workers", "dataloader_pin_memory", "dataloader_persistent_workers", "dataloader_in_order"),
    *("dataloader_prefetch_factor", "dataloader_multiprocessing_context"),
    # How to resume.
    *("resume_from_checkpoint", "ignore_data_skip", "restore_callback_states_from_checkpoint"),
)
"""Options, by their names or by patterns of names, that may have other values when a run goes on. All other options
decide the result of a run, and must keep the values that it was begun with."""

STREAMED = 1000
"""How many sentences of streamed data are compared; reading all of them would take as long as training."""


def run_record(arguments: Arguments, model: PreTrainedModel, tokenizer: Any, datasets: Datasets) -> dict[str, Any]:
    """Return what decides a run; called before it begins.

    Args:
        arguments: of the run.
        model: as training starts from it.
        tokenizer: of the model.
        datasets: of each split.

    Returns:
        Values by the names that they have in a message; all can be written as JSON, and are read again as they are.
    """
    model_arguments, data, training = arguments
    record: dict[str, Any] = {"--deepspeed": bool(training.deepspeed)}
    for part in arguments:
        for name in [field.name for field in fields(part) if not _may_change(field.name)]:
            record |= _option(name, getattr(part, name))
    if data.streaming:  # the workers deal the sentences out among them
        record["--dataloader_num_workers"] = training.dataloader_num_workers
    record["the number of processes"] = training.world_size * max(1, training.n_gpu)
    record |= configuration_record(model.config.to_dict())
    record["the model to start from"] = _weights(model_arguments, model)
    record["the tokenizer"] = tokenizer_record(tokenizer)
    record |= {f"the {name} data": _data(one) for name, one in datasets.items() if not _may_change(STEPS[name])}
    return json.loads(json.dumps(record, default=lambda value: getattr(value, "value", None) or str(value)))


def _option(name: str, value: Any) -> dict[str, Any]:
    """Return an option's value; those of an option that holds several settings, each by itself."""
    settings = value if isinstance(value, dict) else vars(value) if name == "accelerator_config" else None
    return {f"--{name}": value} if settings is None else {f"--{name} {one}": settings[one] for one in settings}


def _weights(arguments: ModelArguments, model: PreTrainedModel) -> dict[str, str]:
    """Digest the weights that training starts from: all, or of a new tagger the encoder's.

    Those of a new head are drawn, and the seed, which is in the record, decides them.
    """
    config = AutoConfig.from_pretrained(arguments.starts_from, revision=arguments.revision, **arguments.hub)
    part = model if config.model_type == model.config.model_type else model.base_model
    return weights_record(Path(arguments.starts_from).name, part)


def _data(dataset: TaggingDataset | StreamingTaggingDataset) -> dict[str, str]:
    """Digest the sentences of a data set as they were read. The names of its files do not count."""
    streamed = isinstance(dataset, StreamingTaggingDataset)
    sentences = list(islice(dataset.read(), STREAMED)) if streamed else dataset.sentences
    digest, sources = hashlib.blake2b(digest_size=8), {}
    for one in sentences:
        source = sources.setdefault(one.source, len(sources))  # which sentences stand in one file does count
        digest.update(json.dumps([one.words, one.tags, source, one.document]).encode())
    return digested(f"{'the first ' if streamed else ''}{len(sentences)} sentences", digest)


def _may_change(option: str) -> bool:
    return any(fnmatchcase(option, pattern) for pattern in MAY_CHANGE)
