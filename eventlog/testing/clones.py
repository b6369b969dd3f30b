"""Cloning a store that nobody uses, in milliseconds: what never changes is shared, the rest is copied.

A sealed segment is deleted or replaced, and never written to, so a clone may share its inode. The last segment of each
partition, its index, and the catalog are written in place: these are copied, as reflinks where the file system has them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

from eventlog.storage.segments import files, names

_FICLONE = 0x40049409  # ioctl_ficlone(2)
_LEFT_OUT = ("shared", "removed", "lock.mdb")  # what processes that have a store open make anew, and what recovery cut off


def clone_store(source: str | os.PathLike[str], destination: str | os.PathLike[str]) -> None:
    """Make a store in a new directory that has the same content as another one, which must not be open in any process.

    On one file system, sealed segments become hard links: whatever is done to one of the stores leaves the other as it is.
    Raises `FileExistsError`, and other kinds of `OSError`."""
    _clone(Path(source), Path(destination))


def _clone(source: Path, destination: Path) -> None:
    destination.mkdir()
    sealed = _sealed_segments(source)
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _LEFT_OUT:
                    _clone(source / entry.name, destination / entry.name)
            elif entry.name not in _LEFT_OUT:
                _copy(source / entry.name, destination / entry.name, is_shareable=entry.name in sealed)


def _sealed_segments(directory: Path) -> set[str]:
    """The names of the segments in a partition's directory that take no more appends."""
    return {names.segment_name(base) for base in files.segment_bases(directory)[:-1]}


def _copy(source: Path, destination: Path, *, is_shareable: bool) -> None:
    if is_shareable:
        with suppress(OSError):  # another file system, or one without links
            os.link(source, destination)
            return
    with open(source, "rb") as original, open(destination, "xb") as copy:
        try:
            fcntl.ioctl(copy, _FICLONE, original.fileno())
        except OSError:
            shutil.copyfileobj(original, copy)
