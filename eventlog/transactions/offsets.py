"""The offsets that belong to a transaction: who has sent them, and how they are committed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from eventlog.catalog.transactions import Offsets
from eventlog.errors import PartitionNotFoundError, StaleMemberError, TopicNotFoundError
from eventlog.groups.registry import Groups
from eventlog.groups.remote_commits import RemoteCommit, commit_decided
from eventlog.groups.table import GroupTable
from eventlog.records.record import TopicPartition

_ATTEMPTS = 3  # a group may be deleted while its offsets are committed


def commit_offsets(groups: Groups, load: Callable[[], Offsets]) -> None:
    """Commit the offsets of a transaction that was decided, whoever owns the partitions by now; on return they are in the
    catalog. May be repeated. Those of topics that were deleted are left out. Raises `LockTimeoutError`.

    `load` returns the offsets. It is called again once the partitions are open: if one of them belongs to the next topic of its
    name, the deletion has removed its offset by then; if not, a deletion from then on shows in the open partition."""
    logs = {}
    for partition in {partition for of_group in load().values() for partition in of_group}:
        with suppress(TopicNotFoundError, PartitionNotFoundError):
            logs[partition] = groups.store.partitions.open(*partition).log
    for name, of_group in load().items():
        commits = {
            partition: RemoteCommit(pending.offset, pending.leader_epoch, pending.metadata)
            for partition, pending in of_group.items()
            if partition in logs
        }
        for attempt in range(_ATTEMPTS):
            try:
                commit_decided(groups, name, commits, is_gone=lambda partition: logs[partition].is_deleted)
                break
            except StaleMemberError:
                if attempt == _ATTEMPTS - 1:
                    raise


class Owners:
    """The members that have sent offsets, to be asked inside the catalog's transaction: what that needs is opened before."""

    def __init__(self, groups: Groups, offsets: Offsets) -> None:
        self._sent: list[tuple[GroupTable, TopicPartition, int, int]] = []
        for name, of_group in offsets.items():
            sent = {partition: pending.owner for partition, pending in of_group.items() if pending.owner is not None}
            table = groups.find(name) if sent else None
            for partition, owner in sent.items():
                slot = None if table is None else table.find_slot(partition)
                if table is None or slot is None:
                    raise _lost(partition, name)
                self._sent.append((table, partition, slot, owner))

    def check(self) -> None:
        """Raise `StaleMemberError` if one of them does not own its partition any more."""
        for table, partition, slot, owner in self._sent:
            if table.acks.is_deleted or table.acks.owner(slot) != owner:
                raise _lost(partition, table.name)


def _lost(partition: TopicPartition, group: str) -> StaleMemberError:
    return StaleMemberError(
        f"{partition} belongs to another member of group {group!r} by now, or its offsets were reset: the transaction cannot "
        "be committed, because somebody else processes the same records"
    )
