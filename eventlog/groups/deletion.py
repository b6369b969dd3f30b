"""Deleting a group: first commits are refused, then the deletion is decided, and then the mapped file is removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from eventlog.catalog.groups import GroupState
from eventlog.errors import EventLogError
from eventlog.groups.coordinator import Coordinator
from eventlog.groups.table import GroupTable
from eventlog.records.record import TopicPartition
from eventlog.storage.segments import names
from eventlog.store.store import Store


def delete_group(store: Store, group: GroupTable, may_go: Callable[[GroupState], bool]) -> bool:
    """Delete a group, with its offsets, if `may_go` agrees to its state at that time; returns whether it was deleted.

    `may_go` decides while commits are refused: it sees every commit that returned before, and later ones are refused. If the
    group is not deleted after all, for whatever reason, commits are accepted again; the next process to open the group ensures
    this, too."""
    is_refusing = False
    try:
        with store.catalog.groups.change(group.name) as change:
            group.catch_up(change)
            state = group.find_state_in(change)
            if state is None or not may_go(state):
                return False
            worked_on = list(change.offsets()) if state.share is not None else []
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
            remove_files(store, group.name, worked_on)
    return is_decided


def _accept_commits_again(store: Store, group: GroupTable) -> None:
    """Accept commits after a failed deletion, unless the catalog contains the deletion in spite of the error."""
    with suppress(EventLogError), store.catalog.groups.change(group.name) as change:
        group.catch_up(change)


def remove_files(store: Store, name: str, partitions: Iterable[TopicPartition]) -> None:
    """Remove the mapped files of a group that is no longer in the catalog; `partitions` are those that its workers have worked
    on. A group created again keeps its own files."""
    with store.catalog.groups.change(name) as change:
        if change.state is None:
            names.acks_file(store.path, name).unlink(missing_ok=True)
            for partition in partitions:
                names.share_file(store.path, name, *partition).unlink(missing_ok=True)


def remove_unused_file(store: Store, file: Path) -> None:
    """Remove a mapped file, unless there is a group that it belongs to."""
    with store.catalog.groups.change_any():
        if file not in files_in_use(store):
            file.unlink(missing_ok=True)


def files_in_use(store: Store) -> set[Path]:
    """The mapped files that groups have, or may make."""
    with store.catalog.groups.read_all() as groups:
        files = {names.acks_file(store.path, group.name) for group in groups}
        for group in groups:
            if group.state is not None and group.state.share is not None:
                files |= {names.share_file(store.path, group.name, *partition) for partition in group.offsets()}
    return files


def delete_if_unused(store: Store, coordinator: Coordinator, group: GroupTable) -> None:
    """Remove a group without live members that has never committed anything, and for which no records are waiting."""

    def is_unused(state: GroupState) -> bool:
        return not coordinator.has_members(group, state) and not group.has_committed(state)

    if not group.all_committed() and not _is_awaited(store, group):
        delete_group(store, group, is_unused)


def _is_awaited(store: Store, group: GroupTable) -> bool:
    """Are there records after the group's starting offsets? Its workers may have failed with the first of them."""
    with store.catalog.groups.read(group.name) as found:
        starts = {partition: stored.start for partition, stored in found.offsets().items() if stored.start >= 0}
    for partition, start in starts.items():
        with suppress(EventLogError, OSError):
            if start < store.partitions.offsets(*partition).end_offset:
                return True
    return False
