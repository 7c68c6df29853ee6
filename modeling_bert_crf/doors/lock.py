"""A lock that lets one run at a time use an output folder, since two would mix their files."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["LOCK", "FolderInUseError", "locked"]


LOCK = ".lock"
logger = logging.getLogger(__name__)


class FolderInUseError(RuntimeError):
    """Another run uses the folder; the message says which process it is."""


@contextmanager
def locked(folder: str | Path, is_first: bool = True, option: str = "--output_dir") -> Iterator[None]:
    """Keep other runs out of an output folder.

    The system opens the lock when the process ends, in whatever way it ends. A folder that had to be made for the lock
    is removed again if it stays empty.

    Args:
        folder: the output folder.
        is_first: whether this is the process of the run that locks. In its other processes nothing is done.
        option: what the message calls the folder.

    Raises:
        FolderInUseError: if another run has the folder.
    """
    if not is_first:
        yield
        return
    folder = Path(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _lock(folder / LOCK, option)
    except OSError:  # nothing can be written there, which is said where something is to be written
        file = None
    try:
        yield
    finally:
        if file is not None:
            if os.fstat(file).st_nlink:  # if not, the folder was removed meanwhile, and a lock there is another run's
                (folder / LOCK).unlink(missing_ok=True)
            os.close(file)
        for path in made:
            with suppress(OSError):
                path.rmdir()


def _lock(path: Path, option: str) -> int | None:
    """Open and lock a file; None where the file system cannot lock."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if fcntl is None:
                raise OSError("this system has no fcntl")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_ino == os.stat(path).st_ino:
                os.truncate(file, 0)
                os.write(file, str(os.getpid()).encode())
                return file
        except BlockingIOError:
            owner = os.read(file, 20).decode(errors="replace") or "of an unknown number"
            os.close(file)
            raise FolderInUseError(
                f"{option} {path.parent} is in use by another run, process {owner}: wait for its end, or choose "
                "another folder"
            ) from None
        except FileNotFoundError:  # the other run ended in between, and removed the file
            pass
        except OSError as error:
            logger.warning(f"{path.parent} cannot be locked ({error}): see to it that no other run writes there")
            os.close(file)
            path.unlink(missing_ok=True)
            return None
        os.close(file)
