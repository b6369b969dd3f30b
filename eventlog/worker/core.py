"""The work of a worker: it attends to its group, claims records in turn, and waits for more.

Unlike a consumer it may be used by several threads. `attend` takes a lock, and replaces what the others use at once.
"""

from __future__ import annotations

import functools
import os
import threading
import time
import warnings
import weakref
from collections.abc import Generator
from contextlib import suppress
from typing import NamedTuple, NoReturn

from eventlog.consumer.interruption import Interruption
from eventlog.errors import EventLogError, ForkedProcessError, GroupNotFoundError, StaleMemberError, StoreClosedError
from eventlog.groups.registry import Groups
from eventlog.groups.sharing import ShareMembership, open_share_group
from eventlog.holding import Trying
from eventlog.log import Log
from eventlog.logs import logger
from eventlog.records.record import Record, TopicPartition
from eventlog.storage.mapped.offset_slots import NOTHING_COMMITTED
from eventlog.storage.mapped.share_page import ShareStates
from eventlog.waiting import WaitSet, wait_for_any
from eventlog.worker.job import Job
from eventlog.worker.settings import ShareConfig
from eventlog.worker.shared_partition import Seen, SharedPartition

_log = logger("worker")

_cores: weakref.WeakSet[WorkerCore] = weakref.WeakSet()

_CHUNK_MAX = 256
_REFUSED_SECONDS = 0.1
_CHUNK_SECONDS = 0.01  # of work that a worker reserves ahead of itself


_Topics = tuple[tuple[SharedPartition, ...], ...]  # the partitions by topic, in the order of the topics' priority


class _Reserved(NamedTuple):
    record: Record
    partition: SharedPartition
    word: int


class WorkerCore:
    """`config` are the settings of the group, `ended` says why the worker cannot be used any more. No component refers back to
    the core but jobs do: it is finalized once there are neither a `Worker` nor jobs nor iterators."""

    def __init__(self, log: Log, groups: Groups, topics: tuple[str, ...], group: str, config: ShareConfig) -> None:
        self.name = f"<Worker of {log!r} in group {group}>"
        self.group = group
        self.topics = topics
        self.config = config
        self.ended: EventLogError | None = None
        self.interruption = Interruption(log.store.signals, self.name)
        self._log = log
        self._store = log.store
        self._groups = groups
        self._lock = threading.RLock()
        self._membership: ShareMembership | None = None
        self._catalog_version = -1
        self._partitions: _Topics = ()
        self._turn = 0
        self._is_refused = False  # by a page, the last time
        _cores.add(self)

    # --- claiming ------------------------------------------------------------------------------------------

    def claim(self, count: int, timeout: float | None) -> list[Job]:
        """As `Worker.claim`."""
        claimed = self._claim(count, timeout, ahead=False)
        lock = threading.RLock()
        return [Job.of(record, partition.slot, word, self, lock) for record, partition, word in claimed]

    def jobs(self) -> Generator[Job, None, None]:
        """As the iteration over a `Worker`, for one thread: more is reserved ahead, the quicker the jobs are done."""
        chunk_max = 1
        lock = threading.RLock()
        while chunk := self._claim(chunk_max, None, ahead=chunk_max > 1):
            began = time.monotonic()
            chunk.reverse()
            try:
                while chunk and not self.interruption.is_due and self.ended is None:
                    record, partition, word = chunk.pop()
                    started = partition.slot.start(record.offset, word)
                    if started is not None:  # otherwise another worker, which had nothing to do, has taken it
                        yield Job.of(record, partition.slot, started, self, lock)
            finally:
                self._give_back(chunk)
            if time.monotonic() - began < _CHUNK_SECONDS / 2:
                chunk_max = min(2 * chunk_max, _CHUNK_MAX)
            elif time.monotonic() - began > _CHUNK_SECONDS:
                chunk_max = max(1, chunk_max // 2)

    def _give_back(self, chunk: list[_Reserved]) -> None:
        for record, partition, word in chunk:
            with suppress(EventLogError):
                if self.ended is None:
                    partition.slot.release(record.offset, word, counted=False)

    def _claim(self, count: int, timeout: float | None, *, ahead: bool) -> list[_Reserved]:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.interruption.ends():
            self._attend()
            partitions, seen = self._partitions, list[Seen]()
            found = self._claim_now(partitions, count, ahead, seen)
            if found:
                return found
            if partitions is self._partitions and not self._wait(deadline, seen):
                return []
        self._check_open()
        return []

    def _claim_now(self, topics: _Topics, count: int, ahead: bool, seen: list[Seen]) -> list[_Reserved]:
        """Claim from one partition after the other; each is the first in turn, among those of its topic. Adds to `seen` what
        there was."""
        found: list[_Reserved] = []
        self._turn = turn = self._turn + 1
        try:
            for partitions in topics:
                first = turn % len(partitions)
                for partition in partitions[first:] + partitions[:first]:
                    seen.append(partition.seen())
                    claimed = partition.claim(count - len(found), seen[-1].end, ahead=ahead)
                    found += [_Reserved(record, partition, word) for record, word in claimed]
                    if len(found) >= count:
                        return found
            self._is_refused = False
        except (StaleMemberError, StoreClosedError):  # the group was reset, or another thread has dropped a partition
            self._check_open()
            self._retry_soon()
        except BaseException:
            self._check_open()
            self._give_back(found)
            raise
        return found

    def _retry_soon(self) -> None:
        """Review the group at once; if that does not help, wait a moment."""
        membership = self._membership
        if membership is not None and not self._is_refused:
            membership.known_changes = -1
        self._is_refused = True

    def stop(self) -> None:
        """As `Worker.stop`."""
        self.interruption.stop()

    def states(self) -> ShareStates:
        """As `Worker.states`."""
        self._attend()
        states = [partition.slot.page.states() for each in self._partitions for partition in each]
        return ShareStates(*map(sum, zip(*states, strict=True))) if states else ShareStates(0, 0, 0, 0, 0, 0)

    def tell_archived(self, record: Record, reason: str) -> None:
        """Log that a record was archived."""
        _log.warning(
            "group %s: archived the record at offset %d of %s/%d, because %s",
            self.group, record.offset, record.topic, record.partition, reason,
        )  # fmt: skip

    # --- the group -----------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        ended = self.ended
        if ended is not None:
            raise type(ended)(*ended.args)
        self._store.check_usable()

    def _attend(self) -> None:
        """Join the group, and react to changes: topics were created or deleted, workers died, the group was reset."""
        self._check_open()
        membership, version = self._membership, self._store.signals.catalog_version
        if membership is not None and membership.has_joined and not membership.has_changed:
            if membership.wants_attention:
                membership.seen()
            if version == self._catalog_version:
                return
        with self._lock:
            self._check_open()
            self._attend_alone(version)

    def _attend_alone(self, version: int) -> None:
        membership = self._membership
        if membership is None or not membership.has_joined:
            membership = self._join()
        while membership.has_changed:
            try:
                if membership.review().is_expelled:
                    membership = self._join()
                self._follow(membership)
            except GroupNotFoundError:
                self._drop_membership()
                raise
            except BaseException:
                membership.known_changes = -1  # the next call does it again
                raise
        if version != self._catalog_version:
            self._open_partitions(membership)
            self._catalog_version = version

    def _join(self) -> ShareMembership:
        while True:
            self._drop_membership()
            table, settings = open_share_group(self._groups, self.group, None)
            self.config = ShareConfig.of(settings)
            membership = self._membership = ShareMembership(self._groups, table, self.topics)
            with suppress(GroupNotFoundError):  # deleted just now
                membership.join()
                return membership

    def _drop_membership(self) -> None:
        membership, self._membership = self._membership, None
        self._partitions, self._catalog_version = (), -1
        if membership is not None:
            membership.abandon()

    def _follow(self, membership: ShareMembership) -> None:
        membership.follow_starts(self._starting_offset)
        archived = membership.reap_the_gone()
        if archived:
            _log.warning(
                "group %s: archived %d records that were in the hands of workers that died, %d times",
                self.group, archived, self.config.limits.delivery_limit,
            )  # fmt: skip

    def _open_partitions(self, membership: ShareMembership) -> None:
        known = {partition.name: partition for each in self._partitions for partition in each}
        topics = []
        for topic in self.topics:
            with suppress(LookupError):  # not created yet
                names = [TopicPartition(topic, number) for number in range(self._log.topic(topic).partitions)]
                topics.append(tuple(self._opened(membership, name, known.pop(name, None)) for name in names))
        self._partitions = tuple(topics)
        for name, partition in known.items():
            membership.drop(name)
            partition.close_reader()
        membership.reap_the_gone()

    def _opened(self, membership: ShareMembership, name: TopicPartition, known: SharedPartition | None) -> SharedPartition:
        if known is not None and not known.is_deleted:
            return known
        if name in membership.slots:
            membership.drop(name)
        log = self._store.partitions.open(*name)
        membership.open(name, self.config.limits, self._starting_offset)
        return SharedPartition(name, log, membership.slots[name])

    def _starting_offset(self, name: TopicPartition) -> int:
        """Where a group begins in a partition on which it has never worked."""
        with suppress(EventLogError, OSError):
            bounds = self._store.partitions.offsets(*name)
            return bounds.end_offset if self.config.offset_reset == "latest" else bounds.start_offset
        return NOTHING_COMMITTED

    # --- waiting -------------------------------------------------------------------------------------------

    def _wait(self, deadline: float | None, seen: list[Seen]) -> bool:
        """Sleep until there may be something to do that was not seen before; False once the time is up."""
        remaining = None if deadline is None else deadline - time.monotonic()
        if remaining is not None and remaining <= 0:
            return False
        timeouts = [] if remaining is None else [remaining]
        if self._is_refused:
            timeouts.append(_REFUSED_SECONDS)
        wait_set = WaitSet()
        try:
            timeouts += self._add_conditions(wait_set, seen)
        except StoreClosedError:
            self._check_open()
            return True  # another thread has dropped a partition
        if not self.interruption.is_due:
            wait_for_any(self._store.signals, wait_set, min(timeouts, default=None), self._check)
        return True

    def _add_conditions(self, wait_set: WaitSet, seen: list[Seen]) -> list[float]:
        """Everything that can end a wait; returns after how many seconds something is due."""
        wait_set.add_flag(self._store.closing)
        self.interruption.add_to(wait_set)
        wait_set.add_catalog_change(self._store.signals, self._catalog_version)
        membership = self._membership
        if membership is not None:
            membership.group.acks.await_change(wait_set, membership.known_changes)
        for each in seen:
            each.partition.await_more(wait_set, each)
        due = [each.partition.due_ms for each in seen]
        return [due_ms / 1000 for due_ms in due if due_ms is not None]

    def _check(self) -> bool:
        self._check_open()
        membership = self._membership
        if membership is not None and membership.wants_attention:
            membership.seen()
        return self.interruption.is_due

    # --- the end -------------------------------------------------------------------------------------------

    def close(self) -> None:
        """As `Worker.close`."""
        if self.ended is None:
            with self._lock:
                self._close()

    def _close(self) -> None:
        if self.ended is not None:
            return
        membership = self._membership
        if membership is not None and not self._store.is_closed:
            membership.leave()
        self._membership = None
        partitions, self._partitions = self._partitions, ()
        self.ended = StoreClosedError(f"{self.name} is closed")
        for partition in (partition for each in partitions for partition in each):
            partition.close_reader()
        self.stop()

    def close_with_store(self, timeout: float) -> None:
        """Close, if the thread that is attending to the group is done with that within `timeout` seconds."""
        acquire = functools.partial(self._lock.acquire, timeout=timeout)
        with suppress(_StillInUseError), Trying(acquire, self._lock.release, _give_up):
            self._close()

    def leave_to_parent(self) -> None:
        """In a forked child, refuse all use."""
        self.ended = ForkedProcessError(f"{self.name} was made before fork(): open the store again in the child")
        self._lock = threading.RLock()

    def __del__(self) -> None:
        """A worker that nothing refers to any more leaves its group, by a thread of the store."""
        membership = getattr(self, "_membership", None)
        if membership is None or self.ended is not None or self._store.is_closed:
            return
        self._groups.drop(membership)
        what = f"unclosed {self.name}: it leaves its group, and gives back what it has"
        warnings.warn(what, ResourceWarning, stacklevel=2, source=self)


class _StillInUseError(Exception):
    """The thread that attends to the group did not finish in time."""


def _give_up() -> NoReturn:
    raise _StillInUseError


def _after_fork_in_child() -> None:
    for core in list(_cores):
        core.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)
