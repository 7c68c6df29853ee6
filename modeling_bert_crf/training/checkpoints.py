"""What a run that broke off can go on from: checkpoints, and a model that is trained; what is said when one cannot be
written."""

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers.trainer_pt_utils import safe_globals

STATE = "trainer_state.json"
"""The file that the Trainer writes last."""

SEAL = "run.json"
"""What a checkpoint begins and ends with: the record of its run, to which the digests of all files are added at the
end. Checkpoints of version 0.1 have none, and end with `STATE`."""

UNFINISHED = ".run.json"
"""Stands beside a trained model until its run has come to its end: what the rest of the run needs to know."""

# What training goes on from, under the names of the Trainer, FSDP or DeepSpeed (which keeps all in one folder).
_PARTS = {
    "weights": ("*.safetensors", "pytorch_model_fsdp*", "global_step*"),
    "optimiser": ("optimizer*", "global_step*"),
    "schedule": ("scheduler.pt", "global_step*"),
    "random state": ("rng_state*.pth",),
}
_PICKLES = (".pt", ".pth", ".bin")
_UNREAD = "training_args.bin"


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why, and where it can be taken up again."""


def find_fault(folder: Path) -> str | None:
    """Say why training cannot go on from a checkpoint; None if it is whole.

    A killed run leaves a checkpoint half-written or half-deleted, a power cut one with files cut off. The Trainer's
    checkpoints hold pickles; one that would run code is refused here, in words, before torch refuses it.
    """
    if read_object(folder / STATE) is None:
        return f"{STATE} is missing or cut off"
    if (folder / "config.json").exists() and read_object(folder / "config.json") is None:
        return "config.json is cut off"
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
        if path.suffix in _PICKLES and path.name != _UNREAD:
            try:
                names = _foreign_names(path)
            except Exception:  # bytes that are no pickle raise anything
                return f"{path.name} is damaged"
            if names:
                return f"{path.name} holds more than numbers: it would run {names[0]}"
    return find_damage(folder)


def begin(folder: Path, run: Any) -> None:
    """Make the folder of a checkpoint, empty but for the record of its run: not whole before it is sealed.

    Args:
        folder: the checkpoint; what a killed run may have left there is deleted.
        run: the record, as JSON has it; None where there is none.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / SEAL).write_text(json.dumps({"run": run}), encoding="utf-8")


def seal(folder: Path) -> None:
    """Add the digests of all files to what `begin` wrote: the last that is done to a checkpoint."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (SEAL, _UNREAD))
    files = {path.relative_to(folder).as_posix(): digest_of(path) for path in paths}
    content = {"run": record_in(folder), "files": files}
    (folder / SEAL).write_text(json.dumps(content, indent=1), encoding="utf-8")


def find_damage(folder: Path) -> str | None:
    """Compare the files of a checkpoint with the digests in its seal.

    Returns:
        What differs; None if all are as they were written, or if there is no seal.
    """
    if not folder.is_dir():
        return "it is gone"
    if not (folder / SEAL).exists():
        return None
    files = (read_object(folder / SEAL) or {}).get("files")
    if not isinstance(files, dict):
        return f"{SEAL} is cut off, or the last files were not written"
    for name, digest in files.items():
        if not (folder / name).is_file():
            return f"it lacks {name}"
        try:
            if digest_of(folder / name) != digest:
                return f"{name} is damaged"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
    return None


def digest_of(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def record_in(folder: Path) -> dict[str, Any] | None:
    """Return the record of the run that a checkpoint is of; None if it has none."""
    run = (read_object(folder / SEAL) or {}).get("run")
    return run if isinstance(run, dict) else None


def read_object(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


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


def checkpoints_of(folder: Path) -> list[Path]:
    """List the checkpoints of a run in a folder, the last one first, whole or not."""
    steps = {path: re.fullmatch(r"checkpoint-(\d+)", path.name) for path in folder.glob("checkpoint-*")}
    return sorted((path for path in steps if steps[path]), key=lambda path: -int(steps[path][1]))


def last_whole(folder: Path) -> Path | None:
    """Return the last whole checkpoint of a run in a folder, if there is one."""
    return next((path for path in checkpoints_of(folder) if find_fault(path) is None), None)


def is_trained(folder: str | Path) -> bool:
    """Say whether a folder holds a model: its configuration is put there last."""
    return Path(folder, "config.json").is_file()


def is_finished(folder: str | Path) -> bool:
    """Say whether a folder holds a model and all else that its run was to leave there."""
    return is_trained(folder) and not Path(folder, UNFINISHED).exists()


def way_on(folder: Path) -> str:
    """Say where a run in a folder can be taken up again."""
    if is_trained(folder) and not is_finished(folder):
        return f"the model in {folder} is whole, and the same command goes on with what is left"
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
