"""Deleting a group: commits are refused first, then it is decided, and then its mapped file goes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from eventlog.catalog.groups import GroupState
from eventlog.errors import EventLogError
from eventlog.groups.coordinator import Coordinator
from eventlog.groups.table import GroupTable
from eventlog.storage.segments import names
from eventlog.store.store import Store


def delete_group(store: Store, group: GroupTable, may_go: Callable[[GroupState], bool]) -> bool:
    """Delete a group, with its offsets, if it `may_go` as it is then; tells whether it was.

    `may_go` decides while no commit comes through: what has returned until then it sees, what comes later is refused. Where the
    group stays after all, for whatever reason, commits come through again; whoever opens the group next sees to that, too."""
    is_refusing = False
    try:
        with store.catalog.groups.change(group.name) as change:
            group.catch_up(change)
            state = group.find_state_in(change)
            if state is None or not may_go(state):
                return False
            is_refusing = True
            group.acks.refuse_commits(state.slots)
            is_decided = may_go(state)
            if is_decided:
                change.delete()
            else:
                group.acks.accept_commits()
    except BaseException:
        if is_refusing:
            _accept_commits_again(store, group)
        raise
    if is_decided:
        group.acks.set_deleted(state.slots)
        with suppress(EventLogError):  # housekeeping removes it, too
            remove_file(store, group.name)
    return is_decided


def _accept_commits_again(store: Store, group: GroupTable) -> None:
    """After a deletion that failed: unless the catalog has it in spite of the error."""
    with suppress(EventLogError), store.catalog.groups.change(group.name) as change:
        group.catch_up(change)


def remove_file(store: Store, name: str) -> None:
    """Remove the mapped file of a group that is not in the catalog any more; one that was made anew keeps its own."""
    with store.catalog.groups.change(name) as change:
        if change.state is None:
            names.acks_file(store.path, name).unlink(missing_ok=True)


def delete_if_unused(store: Store, coordinator: Coordinator, group: GroupTable) -> None:
    """Remove a group without live members that has never committed anything, and that nothing is waiting for."""

    def is_unused(state: GroupState) -> bool:
        return not coordinator.has_members(group, state) and not group.has_committed(state)

    if not group.all_committed() and not _is_awaited(store, group):
        delete_group(store, group, is_unused)


def _is_awaited(store: Store, group: GroupTable) -> bool:
    """Are there records behind where the group began? Its workers may have failed with the first of them."""
    with store.catalog.groups.read(group.name) as found:
        starts = {partition: stored.start for partition, stored in found.offsets().items() if stored.start >= 0}
    for partition, start in starts.items():
        with suppress(EventLogError, OSError):
            if start < store.partitions.offsets(*partition).end_offset:
                return True
    return False
