"""Storing committed offsets from the mapped slots in the catalog: in batches, and never ahead of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from eventlog.catalog.commit_details import CommitDetails
from eventlog.catalog.groups import GroupChange
from eventlog.catalog.history import OffsetChange
from eventlog.catalog.offsets import StoredOffset
from eventlog.errors import EventLogError, TopicNotFoundError
from eventlog.groups.classic_members import remote_owner_ids
from eventlog.groups.table import GroupTable
from eventlog.logs import logger
from eventlog.periodic import PeriodicThread
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.offset_slots import NOBODY, NOTHING_COMMITTED, none_if_nothing
from eventlog.storage.partition.partition import Partition
from eventlog.store.store import Store

_log = logger("background")


def persist(store: Store, group: GroupTable, *, flush: bool) -> None:
    """Store every committed offset that the catalog does not have, as far as the log itself is on disk.

    With `flush` the log is flushed first; if a partition cannot be flushed, its error is raised once the other offsets are
    stored."""
    dirty = set(group.acks.dirty(group.acks.capacity))
    if not dirty:
        return
    slots = {partition: slot for partition, slot in group.slots().items() if slot in dirty}
    logs, failure = _open_partitions(store, group, slots, flush)
    stored = {}
    changes = []
    with store.catalog.groups.change(group.name) as change:
        group.catch_up(change)
        state = group.find_state_in(change)
        if state is None:
            return
        former, remote_owners = change.offsets(), remote_owner_ids(state)
        for partition, log in logs.items():
            slot = slots[partition]
            # Both are read inside the transaction. Transactions are serialised, so a later one never stores an earlier offset.
            committed, leader_epoch = group.acks.committed(slot), group.acks.leader_epoch(slot)
            # A remote client may commit an offset that the log does not have.
            offset = committed if committed > log.end_offset else min(committed, log.durable_offset)
            before = former.get(partition, StoredOffset(NOTHING_COMMITTED, -1, slot))
            stored[slot] = before._replace(offset=offset, committed_ms=group.acks.committed_ms(slot))
            change.store_offset(partition, stored[slot])
            if leader_epoch >= 0 and offset == committed:
                _store_leader_epoch(change, partition, offset, leader_epoch)
            owner = state.members.get(group.acks.owner(slot))
            member_id = owner.member_id if owner is not None else remote_owners.get(partition)
            if offset != before.offset:
                changes.append(OffsetChange(partition, none_if_nothing(before.offset), offset, member_id))
        change.note("commit", changes)
    for slot, after in stored.items():
        group.acks.ack(slot, NOBODY).set_persisted(after.offset, after.decided_by)
    if failure is not None:
        raise failure


def _store_leader_epoch(change: GroupChange, partition: TopicPartition, offset: int, leader_epoch: int) -> None:
    found = change.details(partition)
    if found is None or found.offset != offset:
        found = CommitDetails(offset)
    change.store_details(partition, found._replace(leader_epoch=leader_epoch))


def _open_partitions(
    store: Store, group: GroupTable, slots: dict[TopicPartition, int], flush: bool
) -> tuple[dict[TopicPartition, Partition], EventLogError | None]:
    """The partitions, flushed if `flush` is set; a partition whose topic is gone, or that cannot be opened, is left out."""
    partitions = {}
    failure = None
    for partition, slot in slots.items():
        try:
            log = store.partitions.open(*partition)
            if flush and log.durable_offset < group.acks.committed(slot):
                log.flush()
            partitions[partition] = log
        except TopicNotFoundError:
            continue
        except EventLogError as error:
            failure = error
    return partitions, failure


class Persister(PeriodicThread):
    """Calls `persist` periodically for every group that is open here, for the commits of any process, living or dead.

    `in_use` returns the store with its groups; None, when the store is no longer referenced, ends the thread."""

    def __init__(self, in_use: Callable[[], tuple[Store, Iterable[GroupTable]] | None], interval_ms: int) -> None:
        super().__init__("eventlog-persister", interval_ms)
        self._in_use = in_use
        self._failing: set[str] = set()

    def work(self) -> None:
        found = self._in_use()
        if found is None:
            self.end()
            return
        store, groups = found
        for group in groups:
            try:
                if group.acks.begin_persist(store.options.fsync_interval_ms):
                    persist(store, group, flush=store.options.fsync != "never")
                self._failing.discard(group.name)
            except EventLogError as error:
                # Nothing is lost: the slots still have the offsets, and `commit(sync=True)` and close raise the error.
                if group.name not in self._failing:
                    _log.warning("group %s: commits cannot be stored yet: %s", group.name, error)
                self._failing.add(group.name)
