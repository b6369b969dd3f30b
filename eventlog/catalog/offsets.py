"""Committed offsets in the catalog.

    key     group 0x00 topic 0x00 partition (u32, big-endian)
    value   i64 offset, -1: none | i64 committed, ms since the epoch | u32 slot in the group's mapped file
            | u64 decided by | i64 start, -1: none                                                          (big-endian)

The last two are not there in what an earlier version has stored.
"""

from __future__ import annotations

import functools
import struct
from typing import NamedTuple

import lmdb

from eventlog.catalog import commit_details
from eventlog.catalog.environment import CatalogEnvironment
from eventlog.catalog.values import checked, with_checksum
from eventlog.errors import EventLogError
from eventlog.records.record import TopicPartition

DATABASE = b"offsets"

TOPIC_DELETED_MS = -2  # as the time of a commit: its topic was deleted, and only the slot is kept

_PARTITION = struct.Struct(">I")
_VALUE = struct.Struct(">qqIQq")
_FORMER_VALUE = struct.Struct(">qqI")


class StoredOffset(NamedTuple):
    """A committed offset as the catalog has it; `offset` is -1 while nothing was committed. `decided_by` is the number of the
    transaction that reset it last, 0: none has; `start` is where the group began to read, before it had committed anything."""

    offset: int
    committed_ms: int
    slot: int
    decided_by: int = 0
    start: int = -1


def _prefix(group: str) -> bytes:
    return group.encode() + b"\0"


def key_of(group: str, partition: TopicPartition) -> bytes:
    """The key of a partition of a group."""
    return _prefix(group) + partition.topic.encode() + b"\0" + _PARTITION.pack(partition.partition)


@functools.lru_cache(maxsize=8192)  # many groups have offsets of the same partitions
def _partition(key: bytes) -> TopicPartition:
    """The partition that the rest of a key, after its group, names."""
    topic, partition = key[: -_PARTITION.size - 1], key[-_PARTITION.size :]
    return TopicPartition(topic.decode(), *_PARTITION.unpack(partition))


def find_all(
    transaction: lmdb.Transaction, environment: CatalogEnvironment, group: str
) -> dict[TopicPartition, StoredOffset]:
    """All offsets of a group."""
    found = {}
    prefix = _prefix(group)
    cursor = transaction.cursor(db=environment.database(DATABASE))
    try:
        for key, value in cursor if cursor.set_range(prefix) else ():
            key = bytes(key)
            if not key.startswith(prefix):
                break
            content = checked(key, bytes(value))
            layout = _FORMER_VALUE if len(content) == _FORMER_VALUE.size else _VALUE
            found[_partition(key[len(prefix) :])] = StoredOffset(*layout.unpack(content))
    except (struct.error, ValueError) as error:
        raise EventLogError(f"the catalog's offsets of group {group!r} are damaged: {error}") from error
    return found


def store(
    transaction: lmdb.Transaction,
    environment: CatalogEnvironment,
    group: str,
    partition: TopicPartition,
    stored: StoredOffset,
) -> None:
    """Replace the offset of one partition."""
    key = key_of(group, partition)
    transaction.put(key, with_checksum(key, _VALUE.pack(*stored)), db=environment.database(DATABASE))


def delete_all(transaction: lmdb.Transaction, environment: CatalogEnvironment, group: str) -> None:
    """Remove all offsets of a group."""
    for partition in find_all(transaction, environment, group):
        key = key_of(group, partition)
        transaction.delete(key, db=environment.database(DATABASE))
        commit_details.delete(transaction, environment, key)
