"""Deleting groups that have not been used for a long time, and the leftovers of killed deletions."""

from __future__ import annotations

from eventlog.catalog.groups import GroupState
from eventlog.clock import now_ms
from eventlog.errors import GroupNotFoundError
from eventlog.groups.coordinator import Coordinator
from eventlog.groups.deletion import delete_group, files_in_use, remove_unused_file
from eventlog.groups.registry import Groups
from eventlog.groups.snapshot import is_reset_unfinished
from eventlog.groups.table import GroupTable
from eventlog.storage.mapped.offset_slots import NOTHING_COMMITTED
from eventlog.storage.segments import names


def expire_groups(groups: Groups, older_than_ms: int) -> list[str]:
    """Delete the groups that have had no members for `older_than_ms` milliseconds, and whose last commit and creation are
    longer ago, too; returns their names. A static member counts for as long as its partitions are reserved for it.

    Operations on a group that a dead process left unfinished are finished."""
    before_ms = now_ms() - older_than_ms
    expired = [table.name for table in _tables_to_check(groups, before_ms) if _expire(groups, table, before_ms)]
    _remove_leftovers(groups)
    if expired:
        groups.store.announcer.announce()
    return expired


def unused_groups(groups: Groups, older_than_ms: int) -> list[str]:
    """The names of the groups that `expire_groups` would delete."""
    before_ms = now_ms() - older_than_ms
    tables = _tables_to_check(groups, before_ms)
    found = [(each, groups.store.catalog.groups.find(each.name)) for each in tables]
    return [each.name for each, state in found if _is_unused(groups.coordinator, each, state, before_ms)]


def _tables_to_check(groups: Groups, before_ms: int) -> list[GroupTable]:
    """The groups that are not certainly in use. The files of all others, usually nearly all, are not opened here."""
    names_to_check = [name for name in groups.store.catalog.groups.names() if _needs_check(groups, name, before_ms)]
    return [table for name in names_to_check if (table := groups.find(name)) is not None]


def _needs_check(groups: Groups, name: str, before_ms: int) -> bool:
    with groups.store.catalog.groups.read(name) as group:
        state, offsets = group.state, group.offsets()
    if state is None:
        return False  # deleted just now
    if is_reset_unfinished(groups.store.path, state, offsets):
        return True
    if state.members:
        return not groups.coordinator.is_in_use(state)
    if groups.coordinator.has_live_classic_members(state):
        return False
    # If the offset in the mapped file differs from this one, it was committed later.
    committed_ms = (stored.committed_ms for stored in offsets.values() if stored.offset != NOTHING_COMMITTED)
    return max([_used_ms(state), *committed_ms]) < before_ms


def _used_ms(state: GroupState) -> int:
    """When a group without live members was last used, apart from its commits."""
    return max(state.created_ms, state.emptied_ms, state.classic.stored_ms if state.classic is not None else 0)


def _expire(groups: Groups, table: GroupTable, before_ms: int) -> bool:
    """Delete the group if it was last used before this time; returns whether it was deleted."""
    try:
        state = table.state()
    except GroupNotFoundError:
        return False  # deleted just now
    if state.members and not groups.coordinator.has_members(table, state):
        groups.coordinator.expel_the_gone(table)  # the group counts as empty from now on
        return False
    coordinator = groups.coordinator  # before a transaction: its first access takes a lock
    if not _is_unused(coordinator, table, state, before_ms):
        return False
    return delete_group(groups.store, table, lambda state: _is_unused(coordinator, table, state, before_ms))


def _is_unused(coordinator: Coordinator, table: GroupTable, state: GroupState | None, before_ms: int) -> bool:
    if state is None or state.members or coordinator.has_live_classic_members(state):
        return False
    committed = (slot for slot in range(state.slots) if table.acks.committed(slot) != NOTHING_COMMITTED)
    return max([_used_ms(state), *map(table.acks.committed_ms, committed)]) < before_ms


def _remove_leftovers(groups: Groups) -> None:
    """Remove the mapped files of groups whose deletion was decided by a process that died before removing the files."""
    path = groups.store.path
    suffixes = (names.ACKS_SUFFIX, names.SHARE_SUFFIX)
    files = {file for suffix in suffixes for file in names.shared_directory(path).glob(f"*{suffix}")}
    for file in files - files_in_use(groups.store):
        remove_unused_file(groups.store, file)
