"""The groups that one store has open in this process, with the threads that maintain them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Container, Iterable
from contextlib import ExitStack, suppress
from typing import Any

from eventlog.errors import GroupNotFoundError, StoreClosedError
from eventlog.groups.coordinator import Coordinator
from eventlog.groups.persister import Persister, persist
from eventlog.groups.presence import ObservedPresence, ProcessPresence
from eventlog.groups.table import GroupTable, create_group
from eventlog.groups.watcher import Watched, Watcher
from eventlog.holding import entered_once
from eventlog.records.record import TopicPartition
from eventlog.storage.segments import names
from eventlog.store.closing import Step
from eventlog.store.store import Store


class Groups:
    """Opens groups. Safe for several threads.

    `told_unknown` are the names of groups that did not exist when somebody began to wait for them, which was logged.
    `before_reading` is called with a group's name before a member asks for offsets. It returns the partitions whose offsets an
    open transaction of somebody else may still commit, whoever owns them then."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.before_reading: Callable[[str], Container[TopicPartition]] = lambda group: frozenset()
        self._lock = threading.RLock()
        self._tables: dict[str, GroupTable] = {}
        self._presence: ProcessPresence | ObservedPresence | None = None
        self._coordinator: Coordinator | None = None
        self._watcher: Watcher | None = None
        self._persister: Persister | None = None
        self.told_unknown: set[str] = set()

    @property
    def coordinator(self) -> Coordinator:
        """Decides on members, by whether their processes are alive. The first access opens its file."""
        with self._entered():
            if self._coordinator is None:
                members, options = names.members_file(self.store.path), self.store.options
                self._presence = (
                    ObservedPresence(members) if options.is_read_only
                    else ProcessPresence.claimed(members, self.store.claims, lock_timeout_ms=options.lock_timeout_ms)
                )  # fmt: skip
                self._coordinator = Coordinator(self.store, self._presence)
            return self._coordinator

    def in_use(self) -> list[GroupTable]:
        """The groups that are open in this process."""
        return list(self._tables.values())

    def find(self, name: str) -> GroupTable | None:
        """The group, or None if it does not exist."""
        self.store.check_usable()
        with self._entered():
            table = self._tables.get(name)
            if table is not None and not table.acks.is_deleted:
                return table
            if self.store.catalog.groups.find(name) is None:
                return None
            self._drop_deleted()
            try:
                return self._open(name)
            except GroupNotFoundError:
                return None  # deleted just now

    def open(self, name: str) -> GroupTable:
        """The group, which is created if it does not exist."""
        while (found := self.find(name)) is None:
            with self.store.catalog.groups.change(name) as change:
                create_group(change)
            self.store.announcer.announce()
        return found

    def _open(self, name: str) -> GroupTable:
        with self.store.catalog.groups.change(name) as change:
            table = GroupTable(self.store, change)
            table.catch_up(change)
        if self._persister is None:
            persister = Persister(_in_use(weakref.ref(self)), self.store.options.fsync_interval_ms)
            weakref.finalize(self, persister.end).atexit = False
            persister.start()
            self._persister = persister
        self._tables[name] = table
        return table

    def watch(self, membership: Watched) -> None:
        """Notice when other members of this group die or hang."""
        self.start_watching().add(membership)

    def start_watching(self) -> Watcher:
        """The thread that watches, started if necessary. Raises `ThreadStartError` if it cannot be started."""
        coordinator = self.coordinator
        with self._entered():
            if self._watcher is None:
                self._watcher = self._started_watcher(coordinator)
            return self._watcher

    def _started_watcher(self, coordinator: Coordinator) -> Watcher:
        watcher = Watcher(coordinator)
        try:
            watcher.start()
        except BaseException:
            watcher.stop()
            raise
        return watcher

    def check_not_replaced(self) -> None:
        """Raise `StoreReplacedError` if a file that members or commits rely on has been deleted."""
        with suppress(StoreClosedError, OSError):  # closed by another thread; a failed check proves nothing
            if self._presence is not None:
                self._presence.check_not_replaced()
            for table in self.in_use():
                table.check_not_replaced()

    def check_may_close(self) -> None:
        """Raise `ConcurrentUseError` if this thread is already inside a call that finds a group."""
        self._entered()

    def closing_steps(self) -> list[Step]:
        """The steps that close the groups."""
        return [self.close]

    def _entered(self) -> Any:
        return entered_once(self._lock, f"to find a group of {self.store.path}")

    def _drop_deleted(self) -> None:
        """Forget deleted groups, no matter which process deleted them; each file is closed once nothing here uses it."""
        for name, table in list(self._tables.items()):
            if table.acks.is_deleted:
                del self._tables[name]

    def unwatch(self, membership: Watched) -> None:
        """Stop watching for a membership that ends."""
        if self._watcher is not None:
            self._watcher.remove(membership)

    def drop(self, membership: Watched) -> None:
        """End the membership of a consumer that was never closed and is no longer referenced. Takes no lock."""
        if self._watcher is not None:
            self._watcher.drop(membership)

    def wake_watcher(self) -> None:
        """Tell the watcher that a group has a new generation."""
        if self._watcher is not None:
            self._watcher.wake()

    def close(self) -> None:
        """Store every committed offset in the catalog, and close the groups."""
        for thread in (self._watcher, self._persister):
            if thread is not None:
                thread.stop()
        with ExitStack() as steps:  # run all of them, whatever any of them raises
            if self._presence is not None:
                steps.callback(self._presence.close)
            for table in self._tables.values():
                steps.callback(table.acks.close)
                if not table.acks.is_deleted:
                    steps.callback(persist, self.store, table, flush=self.store.options.fsync != "never")
                steps.callback(table.acks.end_commits)  # runs first: commits that returned earlier are stored


def _in_use(groups: weakref.ref[Groups]) -> Callable[[], tuple[Store, Iterable[GroupTable]] | None]:
    """Returns what the persister goes through; None once the store is no longer referenced, though it was not closed."""

    def in_use() -> tuple[Store, Iterable[GroupTable]] | None:
        found = groups()
        return None if found is None else (found.store, found.in_use())

    return in_use
