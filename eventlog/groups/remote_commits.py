"""Commits of remote clients: unlike those of consumers of this library they may go back, and come with details."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from eventlog.catalog.commit_details import CommitDetails
from eventlog.errors import InvalidArgumentError, StaleMemberError
from eventlog.groups.classic import Term
from eventlog.groups.coordinator import check_is_no_share_group
from eventlog.groups.fencing import set_offsets
from eventlog.groups.persister import persist
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.offset_slots import NOBODY, NOTHING_COMMITTED, OffsetSlot


class RemoteCommit(NamedTuple):
    """A committed offset, the leader epoch of the record before it (-1: unknown), and a text of the client's own."""

    offset: int
    leader_epoch: int = -1
    metadata: str = ""


def commit_at_once(term: Term, partition: TopicPartition, commit: RemoteCommit) -> bool:
    """Commit as the coordinator of a group, without waiting for anything. False if it has to be done by `commit_in_term`, and
    then nothing was committed."""
    return commit_slot_at_once(term.find_slot(partition), commit)


def commit_slot_at_once(slot: OffsetSlot | None, commit: RemoteCommit) -> bool:
    """Commit to a slot that its member owns, without waiting for anything. False if that cannot be; nothing was committed."""
    if slot is None or commit.metadata or slot.table.committed(slot.slot) >= commit.offset or not slot.is_owned:
        return False
    try:
        return slot.commit_with_epoch(commit.offset, commit.leader_epoch)
    except StaleMemberError:
        return False  # for commit_in_term to find out why


def commit_in_term(groups: Groups, term: Term, commits: Mapping[TopicPartition, RemoteCommit]) -> None:
    """Commit as the coordinator of a group. Raises `StaleMemberError` if it no longer is, and `LockTimeoutError`."""
    term.table.make_slots(commits)
    for partition in commits:
        term.slot(partition)
    _set_back(groups, term.table, commits)
    for partition, commit in commits.items():
        _commit(term.slot(partition), commit)


def commit_from_outside(groups: Groups, name: str, commits: Mapping[TopicPartition, RemoteCommit]) -> None:
    """Commit for a group without being one of its members; it is created if it does not exist. An offset that goes back is
    a reset, which can be undone. Raises `InvalidArgumentError` while the group has live members."""
    table = groups.open(name)
    check_is_no_share_group(table.state())
    if groups.coordinator.has_members(table, table.state()):
        raise InvalidArgumentError(f"group {name!r} has members, which alone may commit")
    table.make_slots(commits)
    for partition in commits:
        slot = table.ack(partition, NOBODY)
        if not slot.take(table.acks.owner(slot.slot)):  # of a member that is gone
            raise StaleMemberError(f"a member has just joined group {name!r}")
    _set_back(groups, table, commits, "reset")
    for partition, commit in commits.items():
        _commit(table.ack(partition, NOBODY), commit)


def commit_as_member(groups: Groups, table: GroupTable, epoch: int, commits: Mapping[TopicPartition, RemoteCommit]) -> None:
    """Commit as the member with this epoch, what it owns or nobody does. Raises `StaleMemberError` if another member owns a
    partition, and then usually nothing was committed; and `LockTimeoutError`."""
    table.make_slots(commits)
    owners = {partition: table.acks.owner(table.slot(partition)) for partition in commits}
    taken = sorted(partition for partition, owner in owners.items() if owner not in (epoch, NOBODY))
    if taken:
        raise StaleMemberError(f"another member of group {table.name!r} owns {taken[0]}")
    _set_back(groups, table, commits)
    for partition, commit in commits.items():
        _commit(table.ack(partition, owners[partition]), commit)


def commit_decided(
    groups: Groups,
    name: str,
    commits: Mapping[TopicPartition, RemoteCommit],
    is_gone: Callable[[TopicPartition], bool] = lambda partition: False,
) -> None:
    """Commit what was decided before, such as the offsets of a committed transaction, whoever owns the partitions now. On
    return it is in the catalog, and the log is on disk that far, with any `fsync`: a reboot would otherwise set the group
    back behind a transaction that is complete. This may be repeated. What `is_gone` by then is left out. Raises
    `LockTimeoutError`."""
    table = groups.open(name)
    table.make_slots(commits)
    _set_back(groups, table, commits)
    for partition, commit in commits.items():
        while True:
            owner = table.acks.owner(table.slot(partition))
            if is_gone(partition):  # asked behind the owner, whom a later deletion of the topic changes
                break
            try:
                _commit(table.ack(partition, owner), commit)
                break
            except StaleMemberError:
                groups.store.check_usable()
                if table.acks.is_deleted:
                    raise
    persist(groups.store, table, flush=True)


def _commit(slot: OffsetSlot, commit: RemoteCommit) -> None:
    while not slot.commit_with_epoch(commit.offset, commit.leader_epoch):
        slot.settle()


def _set_back(
    groups: Groups, table: GroupTable, commits: Mapping[TopicPartition, RemoteCommit], kind: str = "commit"
) -> None:
    """Store the details of commits, and commit those that go back."""
    back: dict[TopicPartition, int | None] = {}
    for partition, commit in commits.items():
        committed = table.acks.committed(table.slot(partition))
        if committed != NOTHING_COMMITTED and commit.offset < committed:
            back[partition] = commit.offset
    with groups.store.catalog.groups.read(table.name) as found:
        details = {partition: found.details(partition) for partition in commits}
    changed = {
        partition: CommitDetails(commit.offset, commit.leader_epoch, commit.metadata)
        for partition, commit in commits.items()
        if commit.metadata or partition in back or _is_outdated(details[partition], commit)
    }
    if changed:
        with groups.store.catalog.groups.change(table.name) as change:
            for partition, detail in changed.items():
                change.store_details(partition, detail)
    if back:
        owners = {partition: table.acks.owner(table.slot(partition)) for partition in back}
        set_offsets(groups, table, back, kind)
        for partition, owner in owners.items():
            table.ack(partition, owner).take(NOBODY)


def _is_outdated(details: CommitDetails | None, commit: RemoteCommit) -> bool:
    return details is not None and details.offset == commit.offset and details.metadata != commit.metadata


def fetch_commits(groups: Groups, name: str) -> dict[TopicPartition, RemoteCommit]:
    """Everything that a group has committed; nothing if there is no such group."""
    table = groups.find(name)
    if table is None:
        return {}
    table.state()
    found = {}
    with groups.store.catalog.groups.read(name) as change:
        for partition, slot in table.slots().items():
            offset = table.acks.committed(slot)
            if offset != NOTHING_COMMITTED:
                details = change.details(partition)
                metadata, leader_epoch = "", table.acks.leader_epoch(slot)
                if details is not None and details.offset == offset:
                    metadata = details.metadata
                    leader_epoch = details.leader_epoch if leader_epoch < 0 else leader_epoch
                found[partition] = RemoteCommit(offset, leader_epoch, metadata)
    return found
