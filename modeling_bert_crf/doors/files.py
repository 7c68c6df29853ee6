"""Files and folders that appear whole or not at all."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Give a place to write a file or a folder at, which takes the place of `path` once all is written.

    It lies beside `path`, and is gone if the writing fails. What a killed process has left of its writing is removed.

    Raises:
        OSError: if `path` cannot be replaced: a folder that is not empty cannot.
    """
    path = Path(path)
    staging = path.with_name(f".saving-{os.getpid()}-{path.name}")
    for left in path.parent.glob(".saving-*"):
        process = re.fullmatch(rf"\.saving-([0-9]+)-{re.escape(path.name)}", left.name)
        if left == staging or (process and not _is_alive(int(process[1]))):
            _remove(left)
    try:
        yield staging
        os.replace(staging, path)
    finally:
        _remove(staging)


def _is_alive(process: int) -> bool:
    if os.name == "nt":  # there the question would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    """Remove a file or a folder, if there is one and it is ours to remove."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
