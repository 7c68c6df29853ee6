"""What an output folder says of its job: what decides it, which shards are there, and which rows were bad.

_job/job.json       what decides the result, and how many rows the inputs have
_job/errors/        the bad rows of each shard that has some, as long as the job is not finished
_job/errors.jsonl   all bad rows; this file is there if, and only if, the job is finished

Readers of tables pass over names that begin with `_` or a dot, so that the folder can be read as one table.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from ..opening.records import differences
from ..readers.sentences import DataError
from .places import STAGING, Place
from .shards import Job, Shard

__all__ = ["Ledger"]


class Ledger:
    """The ledger of a folder.

    Raises:
        DataError: if the folder holds something else than a job, or cannot be read.
    """

    def __init__(self, folder: Place):
        self._folder, self._file = folder, folder.inside("_job/job.json")
        self.errors = folder.inside("_job/errors.jsonl")
        try:
            content = json.loads(self._file.read() or b"{}")
        except ValueError:
            raise DataError(f"{self._file.name}: must be JSON, as a job has written it") from None
        except OSError as error:
            raise DataError(f"{folder.name}: cannot be read: {error}") from None
        self._record: dict[str, Any] | None = content.get("job")
        self.counted: dict[str, Any] = content.get("counted", {})
        others = [name for name in folder.names() if not name.startswith((".", "part-")) and name != "_job"]
        if others:
            raise DataError(f"{folder.name}: must be a new folder, or one of a job, got one that holds {others[0]}")

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to be done."""
        return self.errors.info.is_file

    def begin(self, record: Mapping[str, Any], counted: Mapping[str, Any], start_over: bool) -> None:
        """Note what decides the job, or see that it is the one that the folder has.

        Args:
            record: what decides the job.
            counted: what should not be counted again when it is resumed.
            start_over: whether to remove what another job has made.

        Raises:
            DataError: if the folder has another one.
        """
        record = json.loads(json.dumps(record))
        parts = [name for name in self._folder.names() if name.startswith("part-")]
        if start_over:
            self._clear(parts)
        elif self._record is not None:
            if changed := differences(self._record, record):
                raise DataError(
                    f"{self._folder.name}: holds a job with other {'; '.join(changed)}: choose another --output, or "
                    "--start_over to remove its shards"
                )
            return
        elif parts:
            raise DataError(f"{self._folder.name}: holds {parts[0]} of no known job: --start_over removes it")
        self._folder.inside("_job/errors").make_folder()
        with self._file.written() as file:
            file.write(json.dumps({"job": record, "counted": counted}, indent=1).encode() + b"\n")

    def _clear(self, parts: Sequence[str]) -> None:
        """Remove what a job has made; first that by which it could be resumed."""
        self._file.remove()
        self.errors.remove()
        errors = self._folder.inside("_job/errors")
        for place in [*map(self._folder.inside, parts), *map(errors.inside, errors.names())]:
            place.remove()

    def sweep(self) -> None:
        """Remove what killed processes have left half written. No other process may be writing here."""
        for folder in (self._folder, self._folder.inside("_job"), self._folder.inside("_job/errors")):
            for name in folder.names():
                if name.startswith(STAGING):
                    folder.inside(name).remove()

    def left(self, job: Job, shards: Sequence[Shard]) -> list[Shard]:
        """Return the shards that are not there."""
        names = {*self._folder.names()}
        return [shard for shard in shards if job.file_of(shard.number).name.rpartition("/")[2] not in names]

    def finish(self) -> int:
        """Gather the bad rows of all shards in one file; return how many there are."""
        folder = self._folder.inside("_job/errors")
        if not self.is_finished:
            with self.errors.written() as file:
                for name in folder.names():
                    file.write(folder.inside(name).read() or b"")
        for name in folder.names():
            folder.inside(name).remove()
        if folder.is_here:
            shutil.rmtree(folder.path, ignore_errors=True)
        return (self.errors.read() or b"").count(b"\n")
