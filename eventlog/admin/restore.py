"""Creating a store from a backup."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from eventlog.access import as_path
from eventlog.admin.manifest import Manifest, read_manifest
from eventlog.admin.new_directory import check_new_directory, fill_new_directory, os_errors_of_backup
from eventlog.admin.verification import verify_files
from eventlog.catalog.environment import CatalogEnvironment
from eventlog.catalog.producer_ids import ProducerIdCatalog
from eventlog.errors import BackupError, DiskFullError
from eventlog.storage.cleaning.copying import copy_file, sync_files
from eventlog.storage.segments import files, names
from eventlog.storage.segments.store import complete_store


@dataclass(frozen=True)
class RestoreReport:
    """A store created from a backup: where, when the backup was taken (ms since the epoch), and how much is in it."""

    path: Path
    created_ms: int
    topics: int
    partitions: int
    records: int
    size_bytes: int


def restore(backup: str | os.PathLike[str], destination: str | os.PathLike[str]) -> RestoreReport:
    """Create a store from a backup, in a directory that is new or empty. The backup is verified first, and is not changed.

    The store opens like any other, and its groups continue from their committed offsets. Raises `BackupError`, `DiskFullError`
    or `StoreOpenError` (a network file system), and then nothing was created."""
    source, target = as_path("backup", backup), as_path("destination", destination)
    with os_errors_of_backup(target):
        check_new_directory(target)
        manifest = read_manifest(source)
        if target == source or source in target.parents:
            raise BackupError(f"{target} is inside the backup: choose a directory outside it")
        _check_room(target, manifest)
        problems = [problem for report in verify_files(source, manifest) for problem in report.problems]
        if problems:
            first = problems[0]
            raise BackupError(
                f"{source} is damaged, in {len(problems)} places, such as {first.path}: {first.reason}; "
                "'eventlog verify --backup' lists them all. Use another backup; nothing was restored"
            )
    with fill_new_directory(target):
        _fill(source, target, manifest)
    topics = {partition.topic for partition in manifest.partitions}
    return RestoreReport(
        target, manifest.created_ms, len(topics), len(manifest.partitions), manifest.records, manifest.size_bytes
    )


def _check_room(target: Path, manifest: Manifest) -> None:
    above = next(path for path in (target, *target.parents) if files.is_there(path))
    free = shutil.disk_usage(above).free
    if free < manifest.size_bytes:
        raise DiskFullError(f"{target} needs {manifest.size_bytes} bytes, but {free} are free; nothing was restored")


def _fill(source: Path, target: Path, manifest: Manifest) -> None:
    """As long as the marker exists, the directory cannot be opened."""
    files.refuse_network_file_system(target)
    marker = names.restoring_marker(target)
    files.replace_file(marker, [os.fsencode(source), b"\n"])
    for directory in (names.logs_directory(target), names.shared_directory(target), names.catalog_directory(target)):
        files.make_directory(directory)
    parents = {(target / file.path).parent for file in manifest.files()}
    for directory in sorted(parents):
        files.make_directory(directory)
    for file in manifest.files():
        copied = copy_file(source / file.path, target / file.path)
        if (copied.size_bytes, copied.crc32c) != (file.size_bytes, file.crc32c):
            raise BackupError(f"{source / file.path} changed during the restore: nothing was restored")
    sync_files(target / file.path for file in manifest.files())
    for directory in parents:
        files.sync_directory(directory)
    _skip_producer_ids(target)
    complete_store(target)
    marker.unlink()
    files.sync_directory(target)


def _skip_producer_ids(target: Path) -> None:
    """Producers may have got ids since the backup was taken, and some of those producers may still be there."""
    environment = CatalogEnvironment(names.catalog_directory(target), create=False)
    try:
        ProducerIdCatalog(environment).skip()
    finally:
        environment.close()
