"""Checking a backup: every file against the manifest, every batch, record and index entry, and every committed offset."""

from __future__ import annotations

import os
from pathlib import Path

from eventlog.access import as_path
from eventlog.admin.manifest import BackupFile, BackupPartition, Manifest, read_manifest
from eventlog.admin.new_directory import os_errors_of_backup
from eventlog.catalog.environment import FrozenCatalog
from eventlog.catalog.groups import GroupCatalog
from eventlog.errors import EventLogError
from eventlog.records.record import TopicPartition
from eventlog.storage.cleaning.copying import checksum
from eventlog.storage.segments import names
from eventlog.storage.segments.inspection import Problem, VerifyReport, verify_partition


def verify_backup(path: str | os.PathLike[str]) -> list[VerifyReport]:
    """Check every byte of a backup: a report on its catalog and on what does not belong to it, then one for each partition.

    Nothing is written. Raises `BackupError` if there is no complete backup in the directory `path`."""
    backup = as_path("path", path)
    with os_errors_of_backup(backup):
        manifest = read_manifest(backup)
        return verify_files(backup, manifest)


def verify_files(backup: Path, manifest: Manifest) -> list[VerifyReport]:
    """The same for a manifest that was read already."""
    own = VerifyReport(names.catalog_directory(backup), bytes=manifest.catalog.size_bytes)
    _check_file(own, backup, manifest.catalog)
    if not own.problems:
        _check_committed(own, backup, manifest)
    known = {backup / file.path for file in manifest.files()} | {names.manifest_file(backup)}
    for found in sorted(_files_below(backup) - known):
        own.problems.append(Problem(found, 0, "it does not belong to the backup: it is not in the manifest"))
    return [own, *(_verify_partition(backup, partition) for partition in manifest.partitions)]


def _files_below(directory: Path) -> set[Path]:
    return {Path(parent) / name for parent, _, found in os.walk(directory) for name in found}


def _check_file(report: VerifyReport, backup: Path, file: BackupFile) -> None:
    path = backup / file.path
    try:
        size_bytes, crc32c = checksum(path)
    except OSError as error:
        report.problems.append(Problem(path, 0, f"it cannot be read: {error.strerror}"))
        return
    if size_bytes != file.size_bytes:
        position = min(size_bytes, file.size_bytes)
        report.problems.append(Problem(path, position, f"it has {size_bytes} bytes, but {file.size_bytes} were backed up"))
    elif crc32c != file.crc32c:
        report.problems.append(Problem(path, 0, "its content differs from what was backed up: the CRC32C does not match"))


def _check_committed(report: VerifyReport, backup: Path, manifest: Manifest) -> None:
    """A committed offset past the end of the log would skip what is appended after a restore."""
    path = backup / manifest.catalog.path
    ends = {TopicPartition(each.topic, each.partition): each.end_offset for each in manifest.partitions}
    try:
        environment = FrozenCatalog(path.parent)
    except EventLogError as error:
        report.problems.append(Problem(path, 0, str(error)))
        return
    try:
        catalog = GroupCatalog(environment)
        for name in catalog.names():
            with catalog.read(name) as group:
                for partition, stored in group.offsets().items():
                    end = ends.get(partition, 0)
                    if stored.offset > end:
                        where = f"{partition.topic}/{partition.partition}"
                        reason = f"group {name!r} has committed {stored.offset} of {where}, which ends at {end}"
                        report.problems.append(Problem(path, 0, reason))
    except EventLogError as error:
        report.problems.append(Problem(path, 0, str(error)))
    finally:
        environment.close()


def _verify_partition(backup: Path, partition: BackupPartition) -> VerifyReport:
    directory = names.partition_directory(backup, partition.topic, partition.partition)
    if directory.is_dir():
        start_offset, end_offset = partition.start_offset, partition.end_offset
        report = verify_partition(directory, start_offset, end_offset, may_have_gaps=partition.may_have_gaps)
    else:
        report = VerifyReport(directory)
    for file in partition.files:
        _check_file(report, backup, file)
    return report
