"""What the machine or its user does to a run, in one sentence that says how to go on.

Errors of the program itself are not caught here: they stay what they are, with their traceback.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..doors.lock import FolderInUseError
from ..hub.answers import HubError
from .errors import Stopped, TrainingError
from .output_folder import is_finished, is_trained, way_on

__all__ = ["faults_in_words"]

_NO_MEMORY = re.compile(
    r"out of memory|allocate memory|not enough memory|bad_alloc|can't start new thread"
    r"|could not create a primitive(?! descriptor)",  # so oneDNN says it
    re.IGNORECASE,
)
_DEAD_WORKER = re.compile(r"DataLoader worker.*(killed by signal|exited unexpectedly)", re.S)
_MACHINE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ESTALE),
    *(errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EFBIG),
}
"""Faults of disks, file systems and limits."""
_SENTENCES = HubError | TrainingError | FolderInUseError
"""Errors that are one sentence already."""


@contextmanager
def faults_in_words(output_dir: str | Path, trains: bool = True) -> Iterator[None]:
    """Turn what the machine or its user did to a run into one sentence.

    Args:
        output_dir: of the run.
        trains: whether the run trains; if not, there is nothing to go on from.

    Raises:
        Stopped: if the user pressed Ctrl-C.
        TrainingError: if memory did not suffice, a process that reads data died, the output folder went away, or a
            disk or a limit of the system stood in the way.
    """
    folder = Path(output_dir)
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(f"stopped: {_way_on(folder, trains)}") from None
    except Exception as error:
        if (reason := _reason(error, folder)) is not None:
            raise TrainingError(f"{reason}; {_way_on(folder, trains)}") from error
        if is_trained(folder) and not is_finished(folder):
            error.add_note(way_on(folder))  # for those who read the traceback
        raise


def _way_on(folder: Path, trains: bool) -> str:
    if not trains or is_finished(folder):  # the run evaluates or pushes, and has nothing to take up
        return "the same command does it from the beginning"
    return way_on(folder)


def _reason(error: Exception, folder: Path) -> str | None:
    """Say what happened, and what helps. None for an error that is a sentence already, and for one of the program."""
    if not isinstance(error, OSError | RuntimeError | MemoryError) or isinstance(error, _SENTENCES):
        return None
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or _NO_MEMORY.search(text):
        return (
            f"the memory did not suffice ({text[:120] or type(error).__name__}): give the run more, or lower "
            "--per_device_eval_batch_size if it was evaluating; a lower --per_device_train_batch_size, with "
            "--gradient_accumulation_steps to make up for it, is another run"
        )
    if _DEAD_WORKER.search(text):
        return (
            f"a process that reads the data died ({text[:120]}): it may have lacked memory, so lower "
            "--dataloader_num_workers, or leave it away"
        )
    return _reason_of_system(error, folder) if isinstance(error, OSError) else None


def _reason_of_system(error: OSError, folder: Path) -> str | None:
    names = [Path(str(name)) for name in (error.filename, error.filename2) if name is not None]
    if isinstance(error, FileNotFoundError) and any(path.is_relative_to(folder) for path in names):
        return f"{names[0]} is gone: the output folder must stay as it is while a run uses it"
    if error.errno in _MACHINE:
        return f"{error.strerror}{f': {names[0]}' if names else ''}: make room, or mend what else is wrong"
    return None
