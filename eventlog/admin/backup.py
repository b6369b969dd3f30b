"""Taking a backup while other processes append, consume, commit and delete old segments.

The catalog is copied first and the logs after it, so that no committed offset of the copy is past the end of its log. What
marks the backup as complete is written last.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from eventlog.admin.manifest import BackupFile, BackupPartition, Manifest, begin_manifest, write_manifest
from eventlog.admin.new_directory import fill_new_directory
from eventlog.catalog.environment import FrozenCatalog
from eventlog.catalog.groups import GroupCatalog
from eventlog.catalog.topics import TopicCatalog, TopicDescription
from eventlog.clock import now_ms
from eventlog.errors import BackupError, CorruptLogError, TopicNotFoundError
from eventlog.groups.persister import persist
from eventlog.groups.registry import Groups
from eventlog.log import Log
from eventlog.storage.cleaning.copying import CopiedPartition, checksum, copy_partition
from eventlog.storage.segments import files, names

_ATTEMPTS = 5


@dataclass(frozen=True)
class BackupReport:
    """A backup that was taken: where, when (ms since the epoch), and how much is in it.

    Of its `size_bytes`, `linked_bytes` are in files that it shares with the store."""

    path: Path
    created_ms: int
    topics: int
    partitions: int
    groups: int
    records: int
    size_bytes: int
    linked_bytes: int


class _ChangedMeanwhile(Exception):
    """A topic was deleted, recreated or altered between the copies of the catalog and of its log."""


def back_up(log: Log, groups: Groups, destination: Path, *, link: bool) -> BackupReport:
    """Copy the store to a new or empty directory, as it is at one moment. Raises `BackupError` and what reading raises."""
    source = log.store.path
    resolved, own = (Path(os.path.realpath(path)) for path in (destination, source))  # which a loop of links is none of
    if resolved == own or own in resolved.parents:
        raise BackupError(f"{destination} is inside the store {source}: choose a directory outside it")
    with fill_new_directory(destination):
        begin_manifest(destination)
        for directory in (names.logs_directory(destination), names.catalog_directory(destination)):
            files.make_directory(directory)
        for _ in range(_ATTEMPTS):
            with suppress(_ChangedMeanwhile):
                return _attempt(log, groups, destination, link)
            _empty(names.logs_directory(destination))
            _empty(names.catalog_directory(destination))
        raise BackupError(f"topics of {source} were deleted or altered during each of {_ATTEMPTS} attempts: try again")


def _empty(directory: Path) -> None:
    for path in list(directory.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _attempt(log: Log, groups: Groups, destination: Path, link: bool) -> BackupReport:
    store = log.store
    created_ms = now_ms()
    for name in store.catalog.groups.names():
        table = groups.find(name)
        if table is not None:
            persist(store, table, flush=True)
    catalog = names.catalog_directory(destination) / names.CATALOG_FILE
    store.catalog.environment.copy_to(catalog)
    files.sync_directory(catalog.parent)
    topics, group_count = _content_of(catalog.parent)
    partitions, linked_bytes = [], 0
    for topic in topics:
        for number in range(topic.partitions):
            copied = _copy(log, topic, number, destination, link)
            if copied is not None:
                partitions.append(_entry(topic, number, copied))
                linked_bytes += sum(file.size_bytes for file in copied.files if file.is_link)
        _check_unchanged(log, topic)
    files.sync_directory(names.logs_directory(destination))
    entry = BackupFile(f"{catalog.parent.name}/{catalog.name}", *checksum(catalog))
    manifest = Manifest(created_ms, os.fspath(store.path), entry, tuple(partitions))
    write_manifest(destination, manifest)
    return BackupReport(
        destination, created_ms, len(topics), len(partitions), group_count, manifest.records, manifest.size_bytes, linked_bytes
    )


def _content_of(directory: Path) -> tuple[list[TopicDescription], int]:
    """The topics of a copied catalog, and the number of its groups."""
    environment = FrozenCatalog(directory)
    try:
        catalog = TopicCatalog(environment)
        return [catalog.find(name) for name in catalog.names()], len(GroupCatalog(environment).names())
    finally:
        environment.close()


def _copy(log: Log, topic: TopicDescription, number: int, destination: Path, link: bool) -> CopiedPartition | None:
    """Copy a partition; None if nothing was ever appended to it."""
    store = log.store
    if not files.is_there(names.partition_directory(store.path, topic.name, number)):
        return None  # if the topic is being deleted, the check after the copies finds out
    try:
        partition = store.partitions.open_separately(topic.name, number)
    except TopicNotFoundError:
        raise _ChangedMeanwhile from None
    try:
        if partition.recovery.damage is not None:
            raise partition.recovery.damage
        target = names.partition_directory(destination, topic.name, number)
        return copy_partition(partition.log, target, link=link)
    except FileNotFoundError:
        _check_unchanged(log, topic)
        raise
    except CorruptLogError as damage:
        raise BackupError(
            f"{topic.name}/{number} is damaged, and would be so in the backup: {damage.path}, byte {damage.position}: "
            f"{damage.reason}; 'eventlog repair {topic.name}/{number}' shows what can be kept"
        ) from damage
    finally:
        partition.close()


def _check_unchanged(log: Log, topic: TopicDescription) -> None:
    try:
        now = log.topic(topic.name)
    except TopicNotFoundError:
        raise _ChangedMeanwhile from None
    if now.created_ms != topic.created_ms or now.settings().may_have_gaps != topic.settings().may_have_gaps:
        raise _ChangedMeanwhile


def _entry(topic: TopicDescription, number: int, copied: CopiedPartition) -> BackupPartition:
    directory = f"logs/{topic.name}-{number}"
    entries = tuple(BackupFile(f"{directory}/{file.name}", file.size_bytes, file.crc32c) for file in copied.files)
    may_have_gaps = topic.settings().may_have_gaps
    return BackupPartition(topic.name, number, copied.start_offset, copied.end_offset, may_have_gaps, entries)
