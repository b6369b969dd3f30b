"""A store as users see it: topics and partitions in a directory."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

from eventlog.background import BackgroundThread
from eventlog.catalog.environment import CatalogEnvironment
from eventlog.catalog.groups import GroupCatalog
from eventlog.catalog.topics import TopicCatalog, TopicDescription
from eventlog.errors import (
    EventLogError,
    ForkedProcessError,
    LockTimeoutError,
    PartitionNotFoundError,
    StoreClosedError,
    StoreReplacedError,
    TopicExistsError,
    TopicNotFoundError,
    raise_together,
    tells_failures,
)
from eventlog.holding import check_no_block_interrupted, entered_once
from eventlog.options import (
    TopicConfig,
    check_partition_count,
    check_partition_number,
    check_topic_name,
    parse_changes,
)
from eventlog.storage.mapped.foreign_heads import PartitionOffsets, PartitionSize, read_partition_offsets, read_partition_size
from eventlog.storage.mapped.gate import Gate
from eventlog.storage.mapped.limits import change_settings_of
from eventlog.storage.partition.flusher import Flusher
from eventlog.storage.partition.partition import Partition, check_in_place, give_up, is_open, let_go_of_old_files
from eventlog.storage.partition.verification import verify
from eventlog.storage.segments import files, names
from eventlog.storage.segments.inspection import VerifyReport
from eventlog.storage.segments.lock import segments_locked
from eventlog.storage.segments.recovery import create_partition, is_created
from eventlog.storage.segments.store import StoreDirectory, complete_store, existing_partitions, failures_named
from eventlog.waiting import Flag, Signals


class Internals(NamedTuple):
    """What the layers above the log build on."""

    path: Path
    signals: Signals
    topics: TopicCatalog
    groups: GroupCatalog
    partition: Callable[[str, int], Partition]
    offsets: Callable[[str, int], PartitionOffsets]
    fsync: str
    fsync_interval_ms: int
    lock_timeout_ms: int
    check_usable: Callable[[], None]
    closing: Flag
    separate_partition: Callable[[str, int], Partition]  # one that the caller closes, for work on thousands of them in turn
    copy_catalog: Callable[[Path], None]
    close_partition: Callable[[str, int], None]
    free_dead_readers: Callable[[], int]


@tells_failures("close")
class Log:
    """The log of an open store: topics and partitions. Safe for several threads; not to be used across fork()."""

    def __init__(self, path: Path, *, fsync: str, fsync_interval_ms: int, lock_timeout_ms: int, create: bool) -> None:
        self.path = path
        self._fsync = fsync
        self._lock_timeout_ms = lock_timeout_ms
        self._lock = threading.RLock()
        self._closing_lock: Any = threading.RLock()
        self._partitions: dict[tuple[str, int], Partition] = {}
        self._deleted: weakref.WeakSet[Partition] = weakref.WeakSet()  # whoever has them still is told why they are of no use
        self._left_to_close: list[Callable[[], object]] | None = None  # None: no close has begun
        self._process_id = os.getpid()
        self._is_closing = False
        self._is_closed = False
        self._replaced: StoreReplacedError | None = None
        with ExitStack() as opened:  # closed again unless all of it succeeds
            self._directory = StoreDirectory(path, create=create, lock_timeout_ms=lock_timeout_ms)
            opened.callback(self._directory.close)
            self._store = store = self._directory.path
            self._flusher = Flusher(_look_into(weakref.ref(self)), fsync_interval_ms, flushes=fsync == "interval")
            opened.callback(self._flusher.stop)
            with failures_named(path):
                self._signals = Signals(names.signals_file(store))
                self._gate = Gate(
                    names.catalog_gate_file(store), f"has been changing the catalog of {path}", lock_timeout_ms=lock_timeout_ms
                )
            opened.callback(self._gate.close)
            is_new = self._directory.is_new
            self._environment = CatalogEnvironment(names.catalog_directory(store), create=is_new, gate=self._gate.passed)
            opened.callback(self._environment.close)
            self._topics = TopicCatalog(self._environment)
            if is_new:
                complete_store(store)
            self._adopt()
            self._directory.settle()
            self._internals = Internals(
                self._store,
                self._signals,
                self._topics,
                GroupCatalog(self._environment),
                self.partition,
                self._offsets,
                fsync,
                fsync_interval_ms,
                lock_timeout_ms,
                self._check_not_closing,
                Flag(self._signals),
                self._open_partition,
                self._environment.copy_to,
                self._close_partition,
                self._environment.free_dead_readers,
            )
            self._flusher.start()
            opened.pop_all()

    def _adopt(self) -> None:
        """Make topics of partition directories that somebody put into logs/, such as a broker's."""
        if not self._unknown():
            return
        with segments_locked(names.logs_directory(self._store), self._lock_timeout_ms):  # nobody removes a deleted topic now
            for topic, partitions in sorted(self._unknown().items()):
                with suppress(TopicExistsError):  # another process was faster
                    self._topics.create(topic, partitions, TopicConfig({}))

    def _unknown(self) -> dict[str, int]:
        """The topics in logs/, with their numbers of partitions, that the catalog does not have."""
        existing = existing_partitions(self._store)
        known = {*self._topics.names(), *(topic.name for topic in self._topics.being_deleted())} if existing else set()
        return {topic: partitions for topic, partitions in existing.items() if topic not in known}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    @property
    def is_closed(self) -> bool:
        """Was `close` called? Then nothing of the store can be used any more."""
        return self._is_closed

    def _check_usable(self) -> None:
        if os.getpid() != self._process_id:
            raise ForkedProcessError(f"{self!r} was opened before fork(): open the store again in the child")
        if self._is_closed:
            raise StoreClosedError(f"{self!r} is closed")
        if self._replaced is not None:
            raise StoreReplacedError(*self._replaced.args)

    def _check_not_closing(self) -> None:
        self._check_usable()
        if self._is_closing:
            raise StoreClosedError(f"{self!r} is being closed")

    def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, object] | None = None
    ) -> TopicDescription:
        """Create a topic with Kafka's topic settings. Raises `TopicExistsError`, `InvalidArgumentError`."""
        self._check_usable()
        check_topic_name(name)
        topic = self._topics.create(name, check_partition_count(partitions), TopicConfig.parse(config))
        self._signals.catalog_changed()
        return topic

    def alter_topic(
        self, name: str, *, partitions: int | None = None, config: Mapping[str, object] | None = None
    ) -> TopicDescription:
        """Give a topic more partitions, or other settings; a setting that is None goes back to its default.

        Every process goes by them from its next append, read or look at the catalog on. Raises `TopicNotFoundError`,
        `InvalidArgumentError`, `LockTimeoutError`."""
        self._check_usable()
        check_topic_name(name)
        if partitions is not None:
            check_partition_count(partitions)
        topic = self._topics.alter(name, partitions, parse_changes(config))
        self._apply_settings(topic)
        return topic

    def _apply_settings(self, topic: TopicDescription) -> None:
        """Let everybody who has the topic open know its settings: all partitions that can be told."""
        failure = None
        for partition in range(topic.partitions):
            try:
                change_settings_of(
                    self._store, self._signals, topic.name, partition, topic.settings(), self._lock_timeout_ms
                )
            except LockTimeoutError as error:
                failure = error
        self._signals.catalog_changed()
        if failure is not None:
            raise failure

    def topic(self, name: str) -> TopicDescription:
        """A topic's partitions and settings. Raises `TopicNotFoundError`."""
        self._check_usable()
        return self._topics.find(check_topic_name(name))

    def topics(self) -> list[str]:
        """The names of all topics, sorted."""
        self._check_usable()
        return self._topics.names()

    def partition(self, topic: str, partition: int) -> Partition:
        """One partition of a topic; the same object for the same partition, closed with the store. One that was closed before
        is opened anew.

        Raises `TopicNotFoundError` and `PartitionNotFoundError`."""
        self._check_usable()
        check_topic_name(topic)
        check_partition_number(partition)
        with entered_once(self._lock, f"to open a partition of {self!r}"):
            found = self._partitions.get((topic, partition))
            if found is None or not is_open(found) or found.is_deleted:
                self._check_usable()  # once more: nothing is opened behind a thread that closes everything
                self._let_go_of_deleted()
                found = self._partitions[topic, partition] = self._open_partition(topic, partition)
            return found

    def _let_go_of_deleted(self) -> None:
        """Close what is open of topics that were deleted, by whichever process: else each would keep its files for ever."""
        for key, found in list(self._partitions.items()):
            if is_open(found) and found.is_deleted:
                let_go_of_old_files(found)
                self._deleted.add(found)
                del self._partitions[key]

    def _open_partition(self, topic: str, partition: int) -> Partition:
        description = self._topics.find(topic)
        if not 0 <= partition < description.partitions:
            raise PartitionNotFoundError(
                f"topic {topic!r} has no partition {partition}; it has 0 to {description.partitions - 1}"
            )
        self._directory.check()
        directory = names.partition_directory(self._store, topic, partition)
        if not is_created(directory):
            told = files.failures_told(f"partition {topic}-{partition} cannot be made")
            with told, self._topics.kept(topic):  # nobody deletes the topic meanwhile, and leaves behind what is made here
                create_partition(directory)
        return Partition(
            self._store,
            topic,
            partition,
            lambda: self._topics.find(topic).settings(),
            self._signals,
            fsync=self._fsync,
            lock_timeout_ms=self._lock_timeout_ms,
        )

    def _check_in_place(self) -> None:
        """Refuse everything from now on if the store is not there any more, or not the one at its path."""
        try:
            if self._replaced is None:
                self._directory.check()
                for partition in list(self._partitions.values()):
                    with suppress(StoreClosedError, OSError):  # by another thread; what cannot be told now is no answer
                        check_in_place(partition)
        except StoreReplacedError as error:
            self._replaced = error
        if self._replaced is not None:
            for partition in list(self._partitions.values()):
                give_up(partition, self._replaced)

    def _close_partition(self, topic: str, partition: int) -> None:
        with entered_once(self._lock, f"to close a partition of {self!r}"):
            found = self._partitions.pop((topic, partition), None)
        if found is not None:
            found.close()

    def offsets(self, topic: str) -> list[PartitionOffsets]:
        """Where each partition of a topic starts and ends, in order. Raises `TopicNotFoundError`."""
        return [self._offsets(topic, partition) for partition in range(self.topic(topic).partitions)]

    def _offsets(self, topic: str, partition: int) -> PartitionOffsets:
        found = read_partition_offsets(self._store, topic, partition)
        if found is None:
            log = self.partition(topic, partition)
            start, durable = log.start_offset, log.durable_offset
            found = PartitionOffsets(start, log.end_offset, durable)
        return found

    def sizes(self, topic: str) -> list[PartitionSize]:
        """How large each partition of a topic is, in order. Raises `TopicNotFoundError`."""
        return [read_partition_size(self._store, topic, partition) for partition in range(self.topic(topic).partitions)]

    def verify(self, topic: str | None = None) -> list[VerifyReport]:
        """Check every byte of a topic's partitions, or of all; one report a partition."""
        self._check_usable()
        descriptions = [self.topic(name) for name in ([topic] if topic is not None else self.topics())]
        reports = []
        for description in descriptions:
            may_have_gaps = description.settings().may_have_gaps
            for partition in range(description.partitions):
                directory = names.partition_directory(self._store, description.name, partition)
                if files.is_there(directory):
                    found = self.partition(description.name, partition)
                    reports.append(verify(found, may_have_gaps=may_have_gaps))
        return reports

    def flush(self) -> None:
        """Put everything in the partitions that are open here on disk."""
        self._check_usable()
        for partition in list(self._partitions.values()):
            with suppress(TopicNotFoundError):  # deleted: there is nothing left of it
                partition.flush()

    def close(self) -> None:
        """Flush and close everything.

        Of several threads that do so at once each returns when all is closed; a call after that does nothing. All steps are
        done, whatever goes wrong in one of them, and that is raised then. One that an interrupt has ended is done by the next
        call. Raises `ConcurrentUseError`, and closes nothing, where a signal's handler calls it in the middle of work that
        holds a lock; in the middle of a close it does nothing, for that goes on when the handler returns."""
        if os.getpid() != self._process_id or self._closing_lock._is_owned():
            return
        if isinstance(threading.current_thread(), BackgroundThread) and self._left_to_close is not None:
            return  # whoever is closing waits for this thread
        self._check_may_close()
        with self._closing_lock:
            if self._left_to_close is None:
                self._left_to_close = self._closing_steps()
            self._do_closing_steps(self._left_to_close)

    def _check_may_close(self) -> None:
        entered_once(self._lock, what := f"to close {self!r}")
        check_no_block_interrupted(what)

    def _closing_steps(self) -> list[Callable[[], object]]:
        """What closing is made of, in order. Each step may be done again."""
        self._is_closing = True
        return [self._refuse_use, self._flusher.stop, self._close_partitions, self._environment.close, self._gate.close,
                self._directory.close]  # fmt: skip

    def _do_closing_steps(self, steps: list[Callable[[], object]]) -> None:
        failures: list[BaseException] = []
        interrupts: list[BaseException] = []
        for step in list(steps):
            try:
                step()
            except (EventLogError, OSError) as error:
                failures.append(error)
            except BaseException as interrupt:
                interrupts.append(interrupt)
                continue  # what it has left is for the next call
            steps.remove(step)
        raise_together([*interrupts, *failures])

    def _refuse_use(self) -> None:
        self._is_closed = True

    def _close_partitions(self) -> None:
        with self._lock:
            partitions = [*self._deleted, *self._partitions.values()]
        self._do_closing_steps([partition.close for partition in partitions])
        self._partitions.clear()  # last: an interrupt leaves them to the next call


def internals(log: Log) -> Internals:
    """What the layers above build on. Raises `StoreClosedError`, `ForkedProcessError`."""
    log._check_usable()
    return log._internals


def _look_into(log: weakref.ref[Log]) -> Callable[[], list[Partition] | None]:
    """Is a store still in its place? The partitions that it has open; None once nobody refers to it, though nobody has closed
    it."""

    def look() -> list[Partition] | None:
        found = log()
        if found is None:
            return None
        found._check_in_place()
        return list(found._partitions.values())

    return look
