"""Waiting until a group has acknowledged a record."""

from __future__ import annotations

import time

from eventlog.errors import GroupNotFoundError, TopicNotFoundError
from eventlog.groups.registry import Groups
from eventlog.records.record import TopicPartition
from eventlog.storage.partition.partition import Partition
from eventlog.waiting import Awaited, wait_for_any


def is_acked(groups: Groups, group: str, log: Partition, offset: int) -> bool:
    """Has the group committed past `offset`? Raises `TopicNotFoundError` if the topic was deleted, with its commits."""
    if log.is_deleted:  # what is called like it now has other records at these offsets
        raise TopicNotFoundError(f"topic {log.topic!r} was deleted, and what groups had acknowledged of it is forgotten")
    table = groups.find(group)
    committed = table.committed(TopicPartition(log.topic, log.partition)) if table is not None else None
    return committed is not None and committed > offset


def await_ack(groups: Groups, group: str, partition: TopicPartition, offset: int, awaited: Awaited, place: int) -> None:
    """Let one place of `awaited` be for the group's commit past `offset`, and the next one for what may bring that nearer.

    A group that does not exist, or was deleted, may yet be created: then the catalog is waited for."""
    signals = groups.store.signals
    known_version = signals.catalog_version
    signals.await_catalog(awaited, place, known_version)
    signals.await_catalog(awaited, place + 1, known_version)
    table = groups.find(group)
    if table is None:
        return
    known_changes = table.acks.changes
    try:
        slot = table.slot(partition)
    except GroupNotFoundError:  # deleted just now
        return
    table.acks.await_commit(awaited, place, slot, offset)
    if not table.acks.is_deleted:
        table.acks.await_change(awaited, place + 1, known_changes)


def wait_acked(groups: Groups, group: str, log: Partition, offset: int, timeout: float | None) -> bool:
    """Block until the group has committed past `offset`; False after `timeout` seconds. Raises `TopicNotFoundError`."""
    store = groups.store
    partition = TopicPartition(log.topic, log.partition)
    deadline = None if timeout is None else time.monotonic() + timeout
    while not is_acked(groups, group, log, offset):
        awaited = Awaited(3)
        store.closing.await_raise(awaited, 2, 0)
        await_ack(groups, group, partition, offset, awaited, 0)
        remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not wait_for_any(store.signals, awaited, remaining, store.check_usable):
            return is_acked(groups, group, log, offset)
    return True
