"""Checkpoints: whether training can go on from one, and the seal by which a whole one is known.

A killed run leaves a checkpoint half-written or half-deleted, and a power cut leaves files that are cut off. So a
checkpoint begins and ends with a file of ours, the seal: at the beginning it holds the record of the run, and at the
end the digests of all other files are added to it. A checkpoint whose seal lacks the digests was never finished.
"""

import hashlib
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers.trainer_pt_utils import safe_globals

__all__ = [
    "SEAL",
    "STATE",
    "begin_checkpoint",
    "checkpoints_of",
    "digest_of",
    "find_damage",
    "find_fault",
    "last_whole",
    "read_object",
    "record_in",
    "seal_checkpoint",
]

STATE = "trainer_state.json"
"""The file that the Trainer writes last."""

SEAL = "run.json"
"""The seal. Checkpoints of version 0.1 have none, and end with `STATE`."""

# What training goes on from, under the names of the Trainer, FSDP or DeepSpeed (which keeps all in one folder).
_PARTS = {
    "weights": ("*.safetensors", "pytorch_model_fsdp*", "global_step*"),
    "optimiser": ("optimizer*", "global_step*"),
    "schedule": ("scheduler.pt", "global_step*"),
    "random state": ("rng_state*.pth",),
}
_PICKLES = (".pt", ".pth", ".bin")
_UNREAD = "training_args.bin"


def find_fault(folder: Path) -> str | None:
    """Say why training cannot go on from a checkpoint; None if it can.

    The Trainer's checkpoints hold pickles, and a pickle can run code when it is read. One that would is refused here,
    in words that a user understands, before torch refuses it.
    """
    looks = (_unreadable_state, _missing_part, _missing_shard, _file_cut_off, _unsafe_pickle, find_damage)
    return next((fault for look in looks if (fault := look(folder)) is not None), None)


def _unreadable_state(folder: Path) -> str | None:
    if read_object(folder / STATE) is None:
        return f"{STATE} is missing or cut off"
    if (folder / "config.json").exists() and read_object(folder / "config.json") is None:
        return "config.json is cut off"
    return None


def _missing_part(folder: Path) -> str | None:
    for part, patterns in _PARTS.items():
        if not any(path for pattern in patterns for path in folder.glob(pattern)):
            return f"it lacks the {part}"
    return None


def _missing_shard(folder: Path) -> str | None:
    for index in folder.glob("*.safetensors.index.json"):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return f"{index.name} is cut off"
        if missing := sorted(shard for shard in shards if not (folder / shard).is_file()):
            return f"it lacks {missing[0]}"
    return None


def _file_cut_off(folder: Path) -> str | None:
    cut = (path.name for path in sorted(folder.rglob("*")) if _is_cut_off(path))
    return next((f"{name} is cut off" for name in cut), None)


def _is_cut_off(path: Path) -> bool:
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "pt"):  # compares the length of the file with what its head announces
                return False
        except (OSError, SafetensorError):
            return True
    return path.suffix in _PICKLES and not zipfile.is_zipfile(path)  # the directory of a zip stands at its end


def _unsafe_pickle(folder: Path) -> str | None:
    for path in sorted(folder.rglob("*")):
        if path.suffix in _PICKLES and path.name != _UNREAD:
            try:
                names = _foreign_names(path)
            except Exception:  # bytes that are no pickle can raise any error
                return f"{path.name} is damaged"
            if names:
                return f"{path.name} holds more than numbers: it would run {names[0]}"
    return None


def _foreign_names(path: Path) -> list[str]:
    """List the functions in a pickle that torch refuses to call; the host allows those of the random state."""
    with safe_globals():
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))


def begin_checkpoint(folder: Path, run: Any) -> None:
    """Make the folder of a checkpoint, empty but for a seal that says that the rest is still to come.

    Args:
        folder: the checkpoint; what a killed run may have left there is deleted.
        run: the record of the run, as JSON has it; None where there is none.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / SEAL).write_text(json.dumps({"run": run}), encoding="utf-8")


def seal_checkpoint(folder: Path) -> None:
    """Add the digests of all files to the seal. Nothing may be written into the checkpoint after that."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (SEAL, _UNREAD))
    files = {path.relative_to(folder).as_posix(): digest_of(path) for path in paths}
    content = {"run": record_in(folder), "files": files}
    (folder / SEAL).write_text(json.dumps(content, indent=1), encoding="utf-8")


def find_damage(folder: Path) -> str | None:
    """Compare the files of a checkpoint with the digests in its seal.

    Returns:
        What differs; None if all files are as they were written, or if the checkpoint has no seal.
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
    """Return the record of the run that wrote a checkpoint; None if the checkpoint has none."""
    run = (read_object(folder / SEAL) or {}).get("run")
    return run if isinstance(run, dict) else None


def read_object(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None if there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def checkpoints_of(folder: Path) -> list[Path]:
    """List the checkpoints of a run in a folder, the last one first, whether they are whole or not."""
    steps = {
        path: int(match[1])
        for path in folder.glob("checkpoint-*")
        if (match := re.fullmatch(r"checkpoint-(\d+)", path.name))
    }
    return sorted(steps, key=lambda path: -steps[path])


def last_whole(folder: Path) -> Path | None:
    """Return the last whole checkpoint of a run in a folder, if there is one."""
    return next((path for path in checkpoints_of(folder) if find_fault(path) is None), None)
