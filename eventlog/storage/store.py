"""The directory of a store: made private, checked before anything is changed, and known partitions found."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventlog.access import refuse_link, refuse_strangers_store
from eventlog.errors import DiskFullError, StoreOpenError, is_disk_full
from eventlog.storage import files, names

FORMAT_VERSION = 1

_READ_WRITE = os.R_OK | os.W_OK | os.X_OK


def prepare_store(path: Path, *, create: bool) -> bool:
    """Check the directory of a store, or make one; True for a new one, which `complete_store` has to finish.

    Raises `StoreOpenError` or `DiskFullError`."""
    with failures_named(path):
        if path.is_dir():
            refuse_strangers_store(path)
        is_new = not _is_store(path, create)
        if is_new:
            _make_directories(path)
        else:
            _check_version(path)
    with failures_named(path):
        for directory in (names.logs_directory(path), names.shared_directory(path), names.catalog_directory(path)):
            refuse_link(directory)
    for directory in (path, names.logs_directory(path), names.shared_directory(path), names.catalog_directory(path)):
        if not os.access(directory, _READ_WRITE):
            raise StoreOpenError(f"{directory} is not readable and writable for this user (id {os.getuid()})")
    return is_new


def complete_store(path: Path) -> None:
    """Write what makes a directory a store, once everything else is there; two makers at once write the same."""
    content = {"format": "eventlog", "version": FORMAT_VERSION}
    with failures_named(path):
        files.sync_directory(names.catalog_directory(path))
        files.replace_file(names.format_file(path), [(json.dumps(content) + "\n").encode()])


@contextmanager
def failures_named(path: Path) -> Iterator[None]:
    """Let an `OSError` become `DiskFullError` or `StoreOpenError`, with the store's path."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error.errno):
            raise DiskFullError(f"no space for a store in {path}: {error.strerror}") from error
        where = f"{error.filename}: " if error.filename and str(error.filename) != str(path) else ""
        raise StoreOpenError(f"{path} cannot be opened as a store: {where}{error.strerror}") from error


def _is_store(path: Path, create: bool) -> bool:
    if files.is_there(path) and not path.is_dir():
        raise StoreOpenError(f"{path} is a file; a store is a directory")
    if files.is_there(names.manifest_file(path)):
        raise StoreOpenError(f"{path} is a backup: 'eventlog restore' makes a store of it, elsewhere")
    if files.is_there(names.restoring_marker(path)):
        raise StoreOpenError(f"{path} is being restored, or that was interrupted: then delete it, and restore once more")
    if files.is_there(names.format_file(path)):
        files.refuse_network_file_system(path)
        return True
    if not create:
        raise StoreOpenError(f"there is no store in {path}")
    if files.is_there(path) and not all(map(_may_stand_in_a_new_store, os.listdir(path))):
        raise StoreOpenError(f"{path} holds other files and is no store; choose a new or an empty directory")
    return False


def _may_stand_in_a_new_store(name: str) -> bool:
    # Another process may be making the store right now, or may have died before it renamed the last file.
    is_temporary = name.startswith(names.format_file(Path()).name) and name.endswith(".tmp")
    return is_temporary or name in ("logs", "shared", "meta", "lost+found")


def _make_directories(path: Path) -> None:
    files.make_private_directory(path)
    files.refuse_network_file_system(path)
    for directory in (names.logs_directory(path), names.shared_directory(path), names.catalog_directory(path)):
        files.make_directory(directory)


def _check_version(path: Path) -> None:
    file = names.format_file(path)
    try:
        content = json.loads(file.read_bytes())
        is_ours = content["format"] == "eventlog"
        version = content["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        is_ours = False
        version = None
    if not is_ours or type(version) is not int or version < 1:
        raise StoreOpenError(f"{file} is damaged: it does not name the store's format")
    if version > FORMAT_VERSION:
        raise StoreOpenError(
            f"{path} was written in format {version} by a newer eventlog; this one knows {FORMAT_VERSION}: upgrade it"
        )


def existing_partitions(path: Path) -> dict[str, int]:
    """How many partitions each topic has by the directories in logs/."""
    counts: dict[str, int] = {}
    for name in os.listdir(names.logs_directory(path)):
        parsed = names.parse_partition_directory(name)
        if parsed is not None and not (names.logs_directory(path) / name).is_symlink():
            topic, partition = parsed
            counts[topic] = max(counts.get(topic, 0), partition + 1)
    return counts
