"""The one module that names and parses paths inside a store.

    <store>/store.json                      format version
    <store>/logs/<topic>-<partition>/       segments; logs/ contains nothing else
    <store>/shared/<topic>-<partition>.head the mapped head
    <store>/shared/<topic>-<partition>.producers  the mapped table of its producers
    <store>/shared/<group>.acks             the mapped committed offsets of a consumer group; a name that Kafka allows, but that
                                            cannot name a file, is replaced by ~ and a hash
    <store>/shared/<group>+<topic>-<partition>.share  which records of a partition the workers of a share group have
    <store>/shared/users                    where the store is used from
    <store>/shared/signals                  the bells of waiting threads
    <store>/shared/members                  a lock for each live member of any group
    <store>/shared/maintenance              a lock for the process that does the housekeeping
    <store>/shared/bridges                  what the bridges of the store show of themselves
    <store>/shared/transactions             a lock for each transaction that is being ended
    <store>/removed/<topic>-<partition>/    bytes that recovery cut off
    <store>/meta/                           the LMDB catalog
    <backup>/backup.json                    the manifest, which makes a directory a backup and not a store
    <store>/restoring                       a backup is being restored, or its restore was interrupted
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

LOG_SUFFIX = ".log"
INDEX_SUFFIX = ".index"
TIME_INDEX_SUFFIX = ".timeindex"
EPOCH_CHECKPOINT = "leader-epoch-checkpoint"
START_CHECKPOINT = "log-start-offset-checkpoint"
CLEANER_CHECKPOINT = "cleaner-offset-checkpoint"
TOMBSTONE_CHECKPOINT = "tombstone-horizon-checkpoint"
CLEANED_SUFFIX = ".cleaned"
SWAP_SUFFIX = ".compaction"
DELETED_SUFFIX = ".deleted"

SEGMENT_SUFFIXES = (TIME_INDEX_SUFFIX, INDEX_SUFFIX, LOG_SUFFIX)  # the .log last: a segment is deleted once it is gone
ABORTED_INDEX_SUFFIX = ".txnindex"
SNAPSHOT_SUFFIX = ".snapshot"
TRANSACTION_SUFFIXES = (ABORTED_INDEX_SUFFIX, SNAPSHOT_SUFFIX)  # beside the segments of partitions with producers
CHECKPOINT_SUFFIX = "-checkpoint"
ACKS_SUFFIX = ".acks"
SHARE_SUFFIX = ".share"
CATALOG_FILE = "data.mdb"
CATALOG_LOCK_FILE = "lock.mdb"

OFFSET_MAX = 2**63 - 1  # a larger number of 20 digits is not a valid offset
_NAME_BYTES_MAX = 255
_DIGEST_CHARACTERS = 32

_PARTITION_DIRECTORY = re.compile(r"([a-zA-Z0-9._-]{1,249})-(0|[1-9][0-9]{0,5})")
_FILE_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_SWAP = re.compile(r"([0-9]{20})\.compaction")
_SEGMENT = re.compile(r"([0-9]{20})\.log")
_SNAPSHOT = re.compile(r"([0-9]{20})\.snapshot")


def format_file(store: Path) -> Path:
    """The file that names the store's format version."""
    return store / "store.json"


def logs_directory(store: Path) -> Path:
    """The directory of all partition directories."""
    return store / "logs"


def shared_directory(store: Path) -> Path:
    """The directory of the mapped heads."""
    return store / "shared"


def catalog_directory(store: Path) -> Path:
    """The directory of the LMDB environment."""
    return store / "meta"


def _fitting(name: str, suffix: str) -> str:
    """A name with a suffix. If that is too long for a file system: its beginning and, after a `~`, a hash."""
    if len(name) + len(suffix) <= _NAME_BYTES_MAX:
        return name + suffix
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{name[: _NAME_BYTES_MAX - len(suffix) - len(digest) - 1]}~{digest}{suffix}"


def partition_directory(store: Path, topic: str, partition: int) -> Path:
    """The directory of a partition's segments."""
    return logs_directory(store) / f"{topic}-{partition}"


def head_file(store: Path, topic: str, partition: int) -> Path:
    """The mapped head of a partition."""
    return shared_directory(store) / _fitting(f"{topic}-{partition}", ".head")


def producers_file(store: Path, topic: str, partition: int) -> Path:
    """The mapped table of a partition's producers."""
    return shared_directory(store) / _fitting(f"{topic}-{partition}", ".producers")


def acks_file(store: Path, group: str) -> Path:
    """The mapped committed offsets of a consumer group."""
    name = group if _FILE_NAME.fullmatch(group) else f"~{hashlib.sha256(group.encode()).hexdigest()[:_DIGEST_CHARACTERS]}"
    return shared_directory(store) / f"{name}{ACKS_SUFFIX}"


def share_file(store: Path, group: str, topic: str, partition: int) -> Path:
    """The mapped page of a share group and a partition."""
    name = acks_file(store, group).name.removesuffix(ACKS_SUFFIX)
    return shared_directory(store) / _fitting(f"{name}+{topic}-{partition}", SHARE_SUFFIX)


def users_file(store: Path) -> Path:
    """The file with the machine and the namespaces that the store is used from."""
    return shared_directory(store) / "users"


def signals_file(store: Path) -> Path:
    """The bells of waiting threads."""
    return shared_directory(store) / "signals"


def members_file(store: Path) -> Path:
    """The file in which each live member of a group holds a lock."""
    return shared_directory(store) / "members"


def catalog_gate_file(store: Path) -> Path:
    """The gate that a process must enter to change the catalog."""
    return shared_directory(store) / "catalog"


def manifest_file(backup: Path) -> Path:
    """The manifest of a backup: the list of its contents."""
    return backup / "backup.json"


def restoring_marker(store: Path) -> Path:
    """A file that exists in a store while a backup is copied to it."""
    return store / "restoring"


def removed_directory(store: Path, topic: str, partition: int) -> Path:
    """Where recovery saves the bytes that it cut off."""
    return store / "removed" / f"{topic}-{partition}"


def deleted_directory(store: Path, topic: str, partition: int) -> Path:
    """Where the files of a deleted topic's partition are until they are removed."""
    return store / "removed" / _fitting(f"{topic}-{partition}", DELETED_SUFFIX)


def maintenance_file(store: Path) -> Path:
    """The file that the process that does the housekeeping has locked."""
    return shared_directory(store) / "maintenance"


def servers_file(store: Path) -> Path:
    """The file with the addresses of the store's servers, in which each live one holds locks."""
    return shared_directory(store) / "servers"


def server_counters_file(store: Path) -> Path:
    """The file in which the store's servers show what they count."""
    return shared_directory(store) / "server-counters"


def bridges_file(store: Path) -> Path:
    """The file in which the store's bridges show how they do."""
    return shared_directory(store) / "bridges"


def transactions_file(store: Path) -> Path:
    """The file in which whoever ends a transaction holds a lock."""
    return shared_directory(store) / "transactions"


SHARED_FILES = (
    users_file, signals_file, members_file, catalog_gate_file, maintenance_file, servers_file, server_counters_file,
    bridges_file, transactions_file,
)  # fmt: skip
"""The files in shared/ other than those of partitions and groups."""


def parse_partition_directory(name: str) -> tuple[str, int] | None:
    """Topic and partition of a directory name, or None for another name."""
    match = _PARTITION_DIRECTORY.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def cleaned_file(directory: Path, base_offset: int, suffix: str = LOG_SUFFIX) -> Path:
    """A file that compaction writes, and that will become a segment's."""
    return directory / f"{base_offset:020d}{suffix}{CLEANED_SUFFIX}"


def swap_file(directory: Path, base_offset: int) -> Path:
    """The file that says that a compacted segment is replacing others."""
    return directory / f"{base_offset:020d}{SWAP_SUFFIX}"


def parse_swap_file(name: str) -> int | None:
    """The base offset of a swap file's name, or None for another name."""
    match = _SWAP.fullmatch(name)
    return int(match[1]) if match and int(match[1]) <= OFFSET_MAX else None


def segment_file(directory: Path, base_offset: int, suffix: str = LOG_SUFFIX) -> Path:
    """A file of the segment that begins at `base_offset`."""
    return directory / segment_name(base_offset, suffix)


def segment_name(base_offset: int, suffix: str = LOG_SUFFIX) -> str:
    """The name of a segment's file in the partition's directory."""
    return f"{base_offset:020d}{suffix}"


def parse_segment(name: str) -> int | None:
    """The base offset of a .log file name, or None for another name."""
    match = _SEGMENT.fullmatch(name)
    return int(match[1]) if match and int(match[1]) <= OFFSET_MAX else None


def parse_snapshot(name: str) -> int | None:
    """The offset of a snapshot's name, or None for another name."""
    match = _SNAPSHOT.fullmatch(name)
    return int(match[1]) if match and int(match[1]) <= OFFSET_MAX else None
