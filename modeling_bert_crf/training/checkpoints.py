"""Checkpoints that training can go on from, and what is said when one cannot be written."""

import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers.trainer_pt_utils import safe_globals

STATE = "trainer_state.json"
"""The file that the Trainer writes last: a checkpoint without it is half-written."""

# What training goes on from, under the names of the Trainer, FSDP or DeepSpeed (which keeps all in one folder).
_PARTS = {
    "weights": ("*.safetensors", "pytorch_model_fsdp*", "global_step*"),
    "optimiser": ("optimizer*", "global_step*"),
    "schedule": ("scheduler.pt", "global_step*"),
    "random state": ("rng_state*.pth",),
}
_PICKLES = (".pt", ".pth", ".bin")


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why, and where it can be taken up again."""


def find_fault(folder: Path) -> str | None:
    """Say why training cannot go on from a checkpoint; None if it is whole.

    A killed run leaves a checkpoint half-written or half-deleted, a power cut one with files cut off. The Trainer's
    checkpoints hold pickles; one that would run code is refused here, in words, before torch refuses it.
    """
    try:
        json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return f"{STATE} is missing or cut off"
    for part, patterns in _PARTS.items():
        if not any(path for pattern in patterns for path in folder.glob(pattern)):
            return f"it lacks the {part}"
    for index in folder.glob("*.safetensors.index.json"):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return f"{index.name} is cut off"
        if missing := sorted(shard for shard in shards if not (folder / shard).is_file()):
            return f"it lacks {missing[0]}"
    cut = [path.name for path in sorted(folder.rglob("*")) if _is_cut_off(path)]
    if cut:
        return f"{cut[0]} is cut off"
    for path in sorted(folder.rglob("*")):
        if path.suffix in _PICKLES and path.name != "training_args.bin" and (names := _foreign_names(path)):
            return f"{path.name} holds more than numbers: it would run {names[0]}"
    return None


def _foreign_names(path: Path) -> list[str]:
    """List the functions in a pickle that torch refuses to call; the random state's are the host's to allow."""
    with safe_globals():
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))


def _is_cut_off(path: Path) -> bool:
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "pt"):  # compares the file's length with what its head announces
                return False
        except (OSError, SafetensorError):
            return True
    return path.suffix in _PICKLES and not zipfile.is_zipfile(path)  # a zip's directory stands at its end


def last_whole(folder: Path) -> Path | None:
    """Return the last whole checkpoint of a run in a folder, if there is one."""
    steps = {path: re.fullmatch(r"checkpoint-(\d+)", path.name) for path in folder.glob("checkpoint-*")}
    newest_first = sorted((path for path in steps if steps[path]), key=lambda path: -int(steps[path][1]))
    return next((path for path in newest_first if find_fault(path) is None), None)


def way_on(folder: Path) -> str:
    """Say where a run in a folder can be taken up again."""
    last = last_whole(folder)
    return "there is no checkpoint to go on from" if last is None else f"go on with --resume_from_checkpoint {last}"


@contextmanager
def writing(what: str, folder: Path) -> Iterator[None]:
    """Turn a failure to write something of the run in a folder, such as a full disk, into one sentence.

    Raises:
        TrainingError: what could not be written, why, and how to go on.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or (str(error).strip() or repr(error)).splitlines()[0]
        free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
        raise TrainingError(
            f"{what} could not be written: {reason} ({free / 1e6:,.0f} MB are free there); make room, or mend what "
            f"else is wrong, then {way_on(folder)}"
        ) from error
