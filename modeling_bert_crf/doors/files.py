"""Files and folders that appear whole or not at all. Nothing else in the package writes aside and moves into place."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["aside", "follow_umask", "move_in", "replaced", "whole"]


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Give a place to write a file or a folder at; it takes the place of `path` once all is written.

    The place lies beside `path`, and is removed if the writing fails. What killed processes have left of their writing
    of this path is removed, too.

    Raises:
        OSError: if `path` cannot be replaced: a folder that is not empty cannot.
    """
    path = Path(path)
    staging = _place_beside(path)
    try:
        yield staging
        follow_umask(staging)
        os.replace(staging, path)
    finally:
        _remove(staging)


@contextmanager
def replaced(folder: str | Path) -> Iterator[Path]:
    """Give a place to write a folder anew at; if something is there at the end, it takes the folder's place.

    Between the two moves that this takes, nothing bears the folder's name. A process that is killed just then leaves
    the old folder beside, as `.replaced-...`, and the new one as `.saving-...`.

    Raises:
        OSError: if the folder cannot be moved; then it is as it was.
    """
    folder = Path(folder)
    staging, before = _place_beside(folder), folder.with_name(f".replaced-{os.getpid()}-{folder.name}")
    try:
        yield staging
        if staging.exists():
            try:
                os.rename(folder, before)
                os.rename(staging, folder)
            except BaseException:
                if before.exists() and not folder.exists():
                    os.rename(before, folder)
                raise
            _remove(before)
    finally:
        _remove(staging)


def _place_beside(path: Path) -> Path:
    """Name the place where `path` is written first, and remove what killed processes have left of their writing it."""
    staging = path.with_name(f".saving-{os.getpid()}-{path.name}")
    for left in path.parent.glob(".saving-*"):
        process = re.fullmatch(rf"\.saving-([0-9]+)-{re.escape(path.name)}", left.name)
        if left == staging or (process and not _is_alive(int(process[1]))):
            _remove(left)
    return staging


@contextmanager
def aside(folder: str | Path, writes: bool = True) -> Iterator[Path]:
    """Give a place in a folder to write files at that `move_in` then puts into the folder itself.

    This is for a folder that holds other things and so cannot be replaced as a whole. The place is removed at the end.

    Args:
        folder: where the files will go.
        writes: whether this process is the one that moves the files. Several processes may write one folder together,
            so the place has the same name in all of them; the caller has to see to it that no other run writes there.
    """
    staging = Path(folder) / ".saving-model"
    try:
        if writes:  # a killed process may have left something there
            _remove(staging)
        yield staging
    finally:
        if writes:
            _remove(staging)


def move_in(staging: Path, folder: str | Path, last: str) -> None:
    """Move the files at a place into a folder, one by one; they replace files of the same names.

    The file `last` is moved last. It makes the folder complete: while it is missing, others may be missing, too.
    """
    follow_umask(staging)
    for path in sorted(staging.iterdir(), key=lambda path: path.name == last):
        os.replace(path, Path(folder) / path.name)


def follow_umask(path: Path) -> None:
    """Let others read and write a file, or all files in a folder, as far as the umask lets them.

    Safetensors writes its files for their owner alone, so that a colleague on a shared disk could not load a model.
    """
    umask = os.umask(0o077)  # it can only be read by setting it
    os.umask(umask)
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file() and not file.is_symlink():
            mode = file.stat().st_mode
            if wanted := 0o666 & ~umask & ~mode:
                with suppress(OSError):  # a disk without permissions hides nothing from others
                    file.chmod(mode | wanted)


def _is_alive(process: int) -> bool:
    if os.name == "nt":  # there the question would end the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    """Remove a file or a folder, if there is one and this process may."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
