"""Waiting until a group has acknowledged a record."""

from __future__ import annotations

import time
from contextlib import suppress

from eventlog.errors import GroupNotFoundError, TopicNotFoundError
from eventlog.groups.registry import Groups
from eventlog.logs import logger
from eventlog.records.record import TopicPartition
from eventlog.storage.partition.partition import Partition
from eventlog.waiting import WaitSet, wait_for_any

_log = logger("groups")


def is_acked(groups: Groups, group: str, log: Partition, offset: int) -> bool:
    """Has the group committed past `offset`? Raises `TopicNotFoundError` if the topic was deleted, with its commits."""
    if log.is_deleted:  # a new topic of this name has other records at these offsets
        raise TopicNotFoundError(f"topic {log.topic!r} was deleted, together with what groups had acknowledged of it")
    table = groups.find(group)
    committed = table.committed(TopicPartition(log.topic, log.partition)) if table is not None else None
    return committed is not None and committed > offset


def warn_if_unknown(groups: Groups, group: str) -> None:
    """Somebody is about to wait for a group: if it does not exist, tell the log of the program, once."""
    if group not in groups.told_unknown and groups.find(group) is None:
        groups.told_unknown.add(group)
        _log.warning("group %s does not exist: somebody waits for it to acknowledge a record", group)


def await_ack(groups: Groups, group: str, partition: TopicPartition, offset: int, wait_set: WaitSet) -> None:
    """Add to the set a wait for the group's commit past `offset`, and for events that may lead to it.

    A group that does not exist, or was deleted, may still be created: then the set waits for a change of the catalog."""
    signals = groups.store.signals
    known_version = signals.catalog_version
    table = groups.find(group)
    if table is not None:
        known_changes = table.acks.changes
        with suppress(GroupNotFoundError):  # deleted just now
            table.acks.await_commit(wait_set, table.slot(partition), offset)
            if not table.acks.is_deleted:
                table.acks.await_change(wait_set, known_changes)
                return
    wait_set.add_catalog_change(signals, known_version)


def wait_acked(groups: Groups, group: str, log: Partition, offset: int, timeout: float | None) -> bool:
    """Block until the group has committed past `offset`; False after `timeout` seconds. Raises `TopicNotFoundError`."""
    store = groups.store
    partition = TopicPartition(log.topic, log.partition)
    deadline = None if timeout is None else time.monotonic() + timeout
    while not is_acked(groups, group, log, offset):
        warn_if_unknown(groups, group)
        wait_set = WaitSet()
        wait_set.add_flag(store.closing)
        await_ack(groups, group, partition, offset, wait_set)
        remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not wait_for_any(store.signals, wait_set, remaining, store.check_usable):
            return is_acked(groups, group, log, offset)
    return True
