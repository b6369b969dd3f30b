"""The new directory that a backup or a restored store is written to."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventlog.errors import BackupError, DiskFullError, EventLogError, is_disk_full, os_errors_as
from eventlog.storage.segments import files

_OF_THE_FILE_SYSTEM = ("lost+found",)


def check_new_directory(path: Path) -> None:
    """Raise `BackupError` unless there is nothing at `path`, or an empty directory."""
    if path.is_dir():
        if any(name not in _OF_THE_FILE_SYSTEM for name in os.listdir(path)):
            raise BackupError(f"{path} already contains files: choose a new or empty directory")
    elif files.is_there(path) or path.is_symlink():
        raise BackupError(f"{path} is a file: choose a new or empty directory")


def os_errors_of_backup(path: Path) -> os_errors_as:
    """A block that writes or reads a backup at `path`, or a store restored from it: an `OSError` becomes `DiskFullError` or
    `BackupError`."""
    return os_errors_as(functools.partial(_backup_error, path))


def _backup_error(path: Path, error: OSError) -> EventLogError:
    if is_disk_full(error.errno):
        return DiskFullError(f"no space for {path}: {error.strerror}")
    where = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes, os.PathLike)) else str(path)
    return BackupError(f"{where}: {error.strerror or error}")


@contextmanager
def fill_new_directory(path: Path) -> Iterator[None]:
    """Create a private directory, or use an empty one; if filling it fails, its former state is restored."""
    with os_errors_of_backup(path):
        check_new_directory(path)
        was_there = files.is_there(path)
        files.make_private_directory(path)
        try:
            yield
        except BaseException:
            _clear(path)
            if not was_there:
                path.rmdir()
            raise


def _clear(directory: Path) -> None:
    for path in list(directory.iterdir()):
        if path.name in _OF_THE_FILE_SYSTEM:
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
