"""What is refused before anything is loaded. These functions only look: they change no option and no file.

What the program decides where the user leaves something open stands in `settings.py`.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers.integrations.integration_utils import get_available_reporting_integrations
from transformers.training_args import ParallelMode
from transformers.utils import logging

from ..opening.records import configuration_record, differences
from ..readers.formats import FORMATS
from ..schemes import SCHEMES, detect_scheme
from .arguments import FILES, LIMITS, STEPS, DataArguments, ModelArguments
from .checkpoints import checkpoints_of, find_fault, last_whole, read_object, record_in
from .errors import UserError
from .output_folder import OutputFolder, is_finished, is_trained
from .training_arguments import CRFTrainingArguments

__all__ = ["check_arguments", "check_same_run", "find_checkpoint", "host_checks"]

logger = logging.get_logger(__name__)


def check_arguments(model: ModelArguments, data: DataArguments, training: CRFTrainingArguments) -> None:
    """Refuse what cannot end well.

    Raises:
        UserError: for no step at all, a step without its data, options that exclude each other or that this machine
            cannot follow, or an output folder that cannot be written or holds a finished model or an unfinished run.
    """
    _check_steps(model, data, training)
    _check_names(model, data)
    _check_borrowed(model, data)
    _check_training(training)
    _check_streaming(model, data, training)
    _check_output(training)


def _check_steps(model: ModelArguments, data: DataArguments, training: CRFTrainingArguments) -> None:
    """Refuse a run without a step, and a step without what it needs."""
    asked = {split: step for split, step in STEPS.items() if getattr(training, step)}
    if training.wants_push and not training.do_train and not is_finished(training.folder):
        trained = "one that is trained and not evaluated" if is_trained(training.folder) else "none"
        raise UserError(f"--push_to_hub needs --do_train or a finished model, got {trained} in {training.output_dir}")
    if not asked:
        raise UserError("nothing to do: pass --do_train, --do_eval or --do_predict")
    if _resumes(training) and not training.do_train:
        raise UserError("--resume_from_checkpoint needs --do_train: pass both, or neither")
    _check_sources(data, asked)
    if model.model_name_or_path is None:
        raise UserError("--model_name_or_path must name an encoder or a finished tagger")


def _check_sources(data: DataArguments, asked: Mapping[str, str]) -> None:
    """Refuse a step without data, and data that are named twice; `asked` names the step of each split."""
    if data.dataset_name is not None:
        if any(getattr(data, name) for name in FILES.values()):
            raise UserError("--dataset_name and files exclude each other: pass one of them")
        return
    for split, step in asked.items():
        if not getattr(data, FILES[split]):
            raise UserError(f"--{step} needs --{FILES[split]} (or --dataset_name)")


def _check_names(model: ModelArguments, data: DataArguments) -> None:
    """Refuse names that nothing has, and a label list that no model can have."""
    if data.tag_scheme is not None and data.tag_scheme not in SCHEMES:
        raise UserError(f"--tag_scheme must be one of {', '.join(SCHEMES)}, got {data.tag_scheme!r}")
    if data.data_format is not None and data.data_format not in FORMATS:
        raise UserError(f"--data_format must be one of {', '.join(FORMATS)}, got {data.data_format!r}")
    if model.card_license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", model.card_license):
        raise UserError(
            f"--card_license must be a licence's short name, such as apache-2.0, got {model.card_license!r}"
        )
    for code in model.card_language or []:
        if not re.fullmatch(r"[a-z]{2,3}", code):
            raise UserError(f"--card_language must be ISO 639 codes, such as en, got {code!r}")
    data.types_annotated_in()
    labels = data.labels() or []
    if repeated := [label for index, label in enumerate(labels) if label in labels[:index]]:
        raise UserError(f"--label_list must name each tag once, got {repeated[0]!r} twice")
    try:
        detect_scheme(labels)
    except ValueError as error:
        raise UserError(f"--label_list: {error}") from None


def _check_borrowed(model: ModelArguments, data: DataArguments) -> None:
    """Refuse options of the host's example script that cannot be followed, and say which one has no effect here."""
    if model.trust_remote_code:
        raise UserError(
            "--trust_remote_code must be left away: models are opened with the classes of this package, and data sets "
            "are read without code of theirs"
        )
    for name in LIMITS.values():
        limit = getattr(data, name)
        if limit is not None and limit < 1:
            raise UserError(f"--{name} must be at least 1, got {limit}")
    if data.preprocessing_num_workers is not None:
        logger.warning(
            "--preprocessing_num_workers has no effect: one process lays out all sentences in a few seconds"
        )


def _check_training(training: CRFTrainingArguments) -> None:
    """Refuse options that this machine cannot follow, and early stopping that would never compare anything."""
    if training.fp16 and training.device.type == "cpu":
        raise UserError("--fp16 needs a GPU, and there is none here: leave it away, or pass --bf16 --use_cpu")
    available = get_available_reporting_integrations()
    if missing := [name for name in training.report_to or [] if name not in available]:
        raise UserError(
            f"--report_to {missing[0]} must be installed (pip install {missing[0]}) or one of "
            f"{', '.join(sorted(available)) or 'none'}"
        )
    if training.fsdp and training.parallel_mode != ParallelMode.DISTRIBUTED:
        raise UserError("--fsdp needs several processes: leave it away, or start the program with torchrun")
    if training.do_train and training.early_stopping_patience is not None and training.metric_for_best_model is None:
        raise UserError(
            "--early_stopping_patience needs --do_eval, evaluations (with --streaming: --eval_strategy steps "
            "--eval_steps N), and their checkpoints: leave --save_strategy away or let --save_steps be --eval_steps"
        )


def _check_streaming(model: ModelArguments, data: DataArguments, training: CRFTrainingArguments) -> None:
    """Refuse to stream where the length of the data, or a sentence's neighbours, must be known."""
    if data.streaming and training.do_train and training.max_steps <= 0:
        raise UserError("--streaming needs --max_steps: the length of the training data is not known")
    if data.streaming and model.context_size:
        raise UserError(
            "--context_size needs a sentence's neighbours, and --streaming reads one by one: drop one of them"
        )


def _check_output(training: CRFTrainingArguments) -> None:
    """Refuse a folder that cannot be written, or that holds what this run would overwrite."""
    output = training.folder
    existing = next(path for path in (output.absolute(), *output.absolute().parents) if path.exists())
    try:
        tempfile.TemporaryDirectory(dir=existing).cleanup()
    except OSError as error:
        raise UserError(f"--output_dir {output} must be a folder that can be written: {error.strerror}") from None
    if training.do_train and is_finished(output):
        raise UserError(f"--output_dir {output} holds a finished model: choose another folder, or move it away")
    if not training.do_train or is_trained(output) or _resumes(training):
        return
    if (last := last_whole(output)) is not None:
        raise UserError(
            f"--output_dir {output} holds an unfinished run: go on with --resume_from_checkpoint {last}, or choose "
            "another folder"
        )


def _resumes(training: CRFTrainingArguments) -> bool:
    """Say whether a run is to go on from a checkpoint."""
    return training.resume_from_checkpoint not in (None, "False", "false")


def find_checkpoint(training: CRFTrainingArguments) -> Path | None:
    """Find the checkpoint to go on from; None if the run begins anew.

    `--resume_from_checkpoint True` means the last whole one, as for `Trainer.train`. Later ones that are not whole are
    passed over, and the log says so.

    Raises:
        UserError: if there is none, or the one that is named is not whole.
    """
    if not _resumes(training):
        return None
    wanted = str(training.resume_from_checkpoint)
    return _last_whole_of(training.folder) if wanted.lower() == "true" else _named_checkpoint(Path(wanted), wanted)


def _last_whole_of(output: Path) -> Path:
    damaged: list[str] = []
    for folder in checkpoints_of(output):
        if (fault := find_fault(folder)) is None:
            for one in damaged:
                logger.warning(f"{one}; training goes on from {folder}")
            return folder
        damaged.append(f"{folder} is not whole ({fault})")
    raise UserError(f"--resume_from_checkpoint: {output} holds no whole checkpoint: leave the option away")


def _named_checkpoint(folder: Path, wanted: str) -> Path:
    if not folder.is_dir():
        raise UserError(f"--resume_from_checkpoint: {wanted} is no checkpoint's folder")
    if fault := find_fault(folder):
        last = last_whole(folder.parent)
        cure = (
            "there is no whole one beside it: leave the option away"
            if last is None
            else f"the last whole one is {last}"
        )
        raise UserError(f"--resume_from_checkpoint: {wanted} is not whole ({fault}); {cure}")
    return folder


@contextmanager
def host_checks() -> Iterator[None]:
    """Turn the host's refusal of an option into an error that is shown as those of this module are.

    Raises:
        UserError: with the host's words.
    """
    try:
        yield
    except ValueError as error:
        raise UserError(" ".join(str(error).split())) from error


def check_same_run(record: Mapping[str, Any] | None, checkpoint: Path | None, output: OutputFolder) -> None:
    """Refuse to go on with another run than this one: from a checkpoint, or after training.

    Args:
        record: of this run; None if it does not train, and so goes on from nothing.
        checkpoint: to go on from.
        output: where this run writes. It may hold a model that an earlier start has trained and not evaluated.

    Raises:
        UserError: if the earlier start was of another run; it names what differs, with both values.
    """
    if record is None:
        return
    if (unfinished := output.unfinished()) is not None:
        if differing := differences(unfinished["run"], record):
            raise UserError(
                f"--output_dir {output.folder} holds the model of another run, which is not evaluated yet and differs "
                f"in {', '.join(differing)}: choose another folder, or go on as that run was begun"
            )
    elif checkpoint is not None:
        known = record_in(checkpoint)
        if known is None:
            logger.warning(
                f"{checkpoint} holds no record of its run, as those of version 0.1: see to it that data and options "
                "are the same; only the labels and the configuration are compared"
            )
            known = configuration_record(read_object(checkpoint / "config.json") or {})
        if differing := differences(known, record):
            raise UserError(
                f"--resume_from_checkpoint: {checkpoint} is of another run, which differs in {', '.join(differing)}: "
                "go on as that run was begun, or leave the option away and choose another --output_dir"
            )
