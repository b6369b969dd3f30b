"""The thread that notices when members of other processes die, and when members hang.

A process descriptor (pidfd_open(2)) becomes readable the moment its process ends. Where there is no such descriptor (another
process namespace, an old kernel), the thread checks once a second whether the members are alive. It also checks leases once
a second.
"""

from __future__ import annotations

import os
import select
import threading
import weakref
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol

from eventlog.background import BackgroundThread
from eventlog.catalog.groups import GroupState
from eventlog.clock import sleepers
from eventlog.errors import EventLogError
from eventlog.groups.coordinator import Coordinator
from eventlog.groups.table import GroupTable
from eventlog.logs import logger

_log = logger("background")

_ROUND_MS = 1000


class Watched(Protocol):
    """A membership. `wants_attention` is set once a second: its consumer must then show that it is at work."""

    group: GroupTable
    wants_attention: bool

    def leave(self) -> None:
        """Give up all partitions and stop being a member."""


class Watcher(BackgroundThread):
    """Watches the groups that this process has members in."""

    def __init__(self, coordinator: Coordinator) -> None:
        super().__init__("eventlog-group-watcher")
        self._coordinator = weakref.ref(coordinator)  # weak, or a store that is no longer referenced would stay open
        self._lock = threading.RLock()
        self._memberships: list[Watched] = []
        self._watched: dict[int, int] = {}  # process id by descriptor
        self._unwatchable: set[int] = set()
        self._dropped: SimpleQueue[Watched] = SimpleQueue()
        self._signal = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poller = select.poll()
        self._poller.register(self._signal, select.POLLIN)
        self._is_to_end = False
        self._is_failing = False
        sleepers.add(self)

    def add(self, membership: Watched) -> None:
        """Watch this member's group from now on."""
        with self._lock:
            self._memberships.append(membership)
        os.eventfd_write(self._signal, 1)

    def remove(self, membership: Watched) -> None:
        """Stop watching for a membership that has ended."""
        with self._lock:
            if membership in self._memberships:
                self._memberships.remove(membership)

    def drop(self, membership: Watched) -> None:
        """End, in this thread, the membership of a consumer that is no longer referenced.

        The garbage collector may call this at any point, so it takes no lock and waits for nothing."""
        self._dropped.put(membership)
        if not self._is_to_end:
            os.eventfd_write(self._signal, 1)

    def _let_dropped_leave(self) -> None:
        with suppress(Empty):
            while True:
                membership = self._dropped.get_nowait()
                with suppress(EventLogError, OSError, MemoryError):  # it has released its lock: the others treat it as dead
                    membership.leave()

    def wake(self) -> None:
        """Check the groups: one has a new generation, so there may be new members to watch."""
        os.eventfd_write(self._signal, 1)

    def run(self) -> None:
        while not self._is_to_end:
            for descriptor, _ in self._poller.poll(_ROUND_MS):
                if descriptor == self._signal:
                    os.eventfd_read(self._signal)
                else:
                    # If the member's lock is still held, by a child or in another process namespace, the process id is of no
                    # further use: a descriptor of a zombie would be readable at once, again and again.
                    self._unwatchable.add(self._watched[descriptor])
                    self._unwatch_process(descriptor)
            self._let_dropped_leave()
            if not self._is_to_end:
                self._try_round()
        if self._coordinator() is None:  # otherwise `stop` closes them
            self._close_files()

    def _try_round(self) -> None:
        try:
            self._go_round()
            self._is_failing = False
        except (EventLogError, OSError, MemoryError) as error:  # the next round may succeed
            if not self._is_failing:
                _log.warning("%s failed and tries again every second: %s: %s", self.name, type(error).__name__, error)
            self._is_failing = True

    def _go_round(self) -> None:
        coordinator = self._coordinator()
        if coordinator is None:
            self._is_to_end = True
            return
        with self._lock:
            memberships = list(self._memberships)
        present = set[int]()
        for group in {id(membership.group): membership.group for membership in memberships}.values():
            try:
                state = self._check_members(coordinator, group)
            except EventLogError:
                continue  # deleted, or the catalog cannot be read: the members find out when they poll
            local = [member for member in state.members.values() if member.remote is None]
            present |= {member.process_id for member in local if coordinator.presence.is_alive(member.epoch)}
        self._watch_processes(present)
        for membership in memberships:
            membership.wants_attention = True

    def _check_members(self, coordinator: Coordinator, group: GroupTable) -> GroupState:
        state = group.state()
        if any(coordinator.is_gone(group, member) or coordinator.is_absent(member) for member in state.members.values()):
            state = coordinator.expel_the_gone(group)
        if group.acks.generation < state.generation:
            group.acks.announce(state.generation)  # the process that created it died before announcing it
        return state

    def _watch_processes(self, present: set[int]) -> None:
        present.discard(os.getpid())
        self._unwatchable &= present
        for descriptor, process_id in list(self._watched.items()):
            if process_id not in present:
                self._unwatch_process(descriptor)
        new = present - set(self._watched.values()) - self._unwatchable
        for process_id in new:
            try:
                descriptor = os.pidfd_open(process_id)
            except OSError:
                self._unwatchable.add(process_id)
                continue
            self._poller.register(descriptor, select.POLLIN)
            self._watched[descriptor] = process_id
        if new:
            os.eventfd_write(self._signal, 1)  # before being watched, one may have died and its process id been reused

    def _unwatch_process(self, descriptor: int) -> None:
        self._poller.unregister(descriptor)
        os.close(descriptor)
        del self._watched[descriptor]

    def stop(self) -> None:
        """End the thread, and wait until it has finished its current work."""
        self._is_to_end = True
        os.eventfd_write(self._signal, 1)
        if self.is_alive() and threading.current_thread() is not self:
            self.join()
        self._close_files()

    def _close_files(self) -> None:
        sleepers.discard(self)
        for descriptor in [*self._watched, self._signal]:
            os.close(descriptor)
