"""Files on this machine, and wherever else Arrow or fsspec can read and write: `s3://`, `gs://`, `hf://` and so on."""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from ..doors.files import whole
from ..readers.sentences import DataError

__all__ = ["STAGING", "Place", "find_files", "place_of"]

STAGING = ".saving-"
"""How the names of files begin that are still being written."""


@dataclass(frozen=True)
class Place:
    """A file or a folder.

    Attributes:
        system: where it is; can be sent to another process, with its credentials.
        path: in that system.
        name: what messages call it.
    """

    system: fs.FileSystem
    path: str
    name: str

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine."""
        return isinstance(self.system, fs.LocalFileSystem)

    @property
    def info(self) -> fs.FileInfo:
        """What the system says of it; of a file that is not there, too."""
        return self.system.get_file_info(self.path)

    def inside(self, name: str) -> "Place":
        """Return a place in this folder."""
        return Place(self.system, f"{self.path}/{name}", f"{self.name.rstrip('/')}/{name}")

    def names(self) -> list[str]:
        """List the names in this folder; none if it is not there."""
        found = self.system.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return sorted(info.base_name for info in found)

    def files(self) -> list["Place"]:
        """List the files in this folder and in those inside it, but none that is hidden."""
        found = self.system.get_file_info(fs.FileSelector(self.path, recursive=True))
        ends = sorted(info.path[len(self.path) :].strip("/") for info in found if info.is_file)
        return [self.inside(end) for end in ends if not re.search(r"(?:^|/)[._]", end)]

    def make_folder(self) -> None:
        """Make this folder and those around it, if they are not there yet."""
        self.system.create_dir(self.path, recursive=True)

    def remove(self) -> None:
        """Remove this file, if it is there."""
        if self.info.type != fs.FileType.NotFound:
            self.system.delete_file(self.path)

    def read(self) -> bytes | None:
        """Return what this file holds; None if it is not there."""
        if not self.info.is_file:
            return None
        with self.system.open_input_stream(self.path, compression=None) as file:
            return file.read()

    @contextmanager
    def written(self) -> Iterator[Any]:
        """Give a stream of bytes to write to; the file appears when it is whole, and not before."""
        if self.is_here:
            with whole(self.path) as place, place.open("wb") as file:
                yield file
            return
        folder, _, name = self.path.rpartition("/")
        staging = f"{folder}/{STAGING}{uuid.uuid4().hex}-{name}"
        try:
            with self.system.open_output_stream(staging, compression=None) as file:
                yield file
            self.system.move(staging, self.path)
        except BaseException:
            if self.system.get_file_info(staging).is_file:
                self.system.delete_file(staging)
            raise


def place_of(name: str) -> Place:
    """Find the system that a name is in: that of its scheme, or this machine's.

    Raises:
        DataError: if neither Arrow nor fsspec knows the scheme, or they cannot reach it.
    """
    if "://" not in name:
        return Place(fs.LocalFileSystem(), os.path.abspath(name), name)
    try:
        try:
            system, path = fs.FileSystem.from_uri(name)
        except pa.ArrowInvalid:
            from fsspec.core import url_to_fs

            known, path = url_to_fs(name)
            system = fs.PyFileSystem(fs.FSSpecHandler(known))
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"{_shown(name)}: cannot be reached: {str(error).splitlines()[0]}") from None
    return Place(system, path.rstrip("/"), _shown(name))


def _shown(name: str) -> str:
    """Return what may be said of an address: no keys, and no options."""
    return re.sub(r"(?<=://)[^/@]*@", "", name.partition("?")[0])


def find_files(pattern: str) -> list[Place]:
    """Find the files that a name or a pattern means, in the order of their names; those of a folder, too.

    `*` stands for anything but a slash, `**` for anything.

    Raises:
        DataError: if they cannot be listed.
    """
    place = place_of(pattern)
    if not place.is_here:
        try:
            return _find_elsewhere(place, pattern)
        except OSError as error:
            raise DataError(f"{place.name}: cannot be read: {str(error).splitlines()[0]}") from None
    if not has_magic(pattern) or os.path.exists(pattern):
        return place.files() if os.path.isdir(pattern) else [place] if os.path.exists(pattern) else []
    return [place_of(name) for name in sorted(glob(pattern, recursive=True)) if Path(name).is_file()]


def _find_elsewhere(place: Place, pattern: str) -> list[Place]:
    scheme = pattern.partition("://")[0]
    if "*" not in place.path:
        return place.files() if place.info.type == fs.FileType.Directory else [place] if place.info.is_file else []
    base = place.path.partition("*")[0].rpartition("/")[0]
    rule = re.escape(place.path).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    found = place.system.get_file_info(fs.FileSelector(base, recursive=True, allow_not_found=True))
    paths = sorted(info.path for info in found if info.is_file and re.fullmatch(rule, info.path))
    return [Place(place.system, path, f"{scheme}://{path.lstrip('/')}") for path in paths]
