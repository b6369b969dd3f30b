"""The partitions of a store that this process has open."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from contextlib import suppress

from eventlog.catalog.topics import TopicCatalog, TopicDescription
from eventlog.errors import EventLogError, PartitionNotFoundError, StoreClosedError, os_errors_as, translates_os_errors
from eventlog.holding import entered_once
from eventlog.logs import logger
from eventlog.options import StoreOptions, check_partition_number, check_topic_name
from eventlog.storage.mapped.foreign_heads import PartitionOffsets, read_partition_offsets
from eventlog.storage.partition.log import PartitionLog
from eventlog.storage.partition.partition import Partition
from eventlog.storage.partition.read_only import ReadOnlyPartitionLog
from eventlog.storage.segments import names
from eventlog.storage.segments.claims import Claims
from eventlog.storage.segments.recovery import create_partition, is_created
from eventlog.storage.segments.store import OpenDirectory
from eventlog.store.closing import do_steps
from eventlog.waiting import Signals

_log = logger("recovery")


@translates_os_errors()
class Partitions:
    """Opens partitions, each once. `check_open` raises an error if the store cannot be used. Safe for several threads."""

    def __init__(
        self,
        directory: OpenDirectory,
        claims: Claims,
        topics: TopicCatalog,
        signals: Signals,
        options: StoreOptions,
        check_open: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._claims = claims
        self._topics = topics
        self._signals = signals
        self._options = options
        self._check_open = check_open
        self._lock = threading.RLock()
        self._in_use: dict[tuple[str, int], Partition] = {}
        self._deleted: weakref.WeakSet[Partition] = weakref.WeakSet()  # still open, so that their users get the reason

    def __repr__(self) -> str:
        return f"<the partitions of {self._directory.path}>"

    def in_use(self) -> list[Partition]:
        """The partitions that are open here, except for those that were opened separately."""
        return list(self._in_use.values())

    def open(self, topic: str, partition: int) -> Partition:
        """One partition of a topic; the same object for the same partition, closed with the store. If it was closed before, it
        is opened again.

        Raises `TopicNotFoundError`, `PartitionNotFoundError` and `ConcurrentUseError`."""
        self._check_open()
        check_topic_name(topic)
        check_partition_number(partition)
        with entered_once(self._lock, f"to open a partition of {self._directory.path}"):
            found = self._in_use.get((topic, partition))
            if found is None or not found.log.is_open or found.is_deleted:
                self._check_open()  # again: nothing may be opened after another thread has closed everything
                self._release_deleted()
                found = self._in_use[topic, partition] = self.open_separately(topic, partition)
            return found

    def _release_deleted(self) -> None:
        """Close the files of topics that any process has deleted: otherwise they would stay open forever."""
        for key, found in list(self._in_use.items()):
            if found.log.is_open and found.is_deleted:
                found.log.release_old_files()
                self._deleted.add(found)
                del self._in_use[key]

    def open_separately(self, topic: str, partition: int) -> Partition:
        """One partition in a separate object, which the caller closes: for work on thousands of partitions in turn.

        Raises `TopicNotFoundError` and `PartitionNotFoundError`."""
        while True:
            description = self._topics.find(topic)
            try:
                return self._open_described(description, partition)
            except (EventLogError, OSError):
                if self._topics.find(topic).made_by(0) == description.made_by(0):
                    raise
                # otherwise it was deleted meanwhile, and created again

    def _open_described(self, topic: TopicDescription, partition: int) -> Partition:
        if not 0 <= partition < topic.partitions:
            raise PartitionNotFoundError(
                f"topic {topic.name!r} has no partition {partition}; it has 0 to {topic.partitions - 1}"
            )
        self._directory.check()
        directory = names.partition_directory(self._directory.path, topic.name, partition)
        if not is_created(directory) and not self._options.is_read_only:
            translated = os_errors_as(f"partition {topic.name}-{partition} cannot be created")
            with translated, self._topics.pinned(topic.name):  # a deletion of it now would leave this partition behind
                create_partition(directory)
        log = (ReadOnlyPartitionLog if self._options.is_read_only else PartitionLog)(
            self._directory.path,
            topic.name,
            partition,
            lambda: self._topics.find(topic.name).settings(),
            self._signals,
            self._claims.of("partition", f"{topic.name}-{partition}", topic.made_by(partition)),
            fsync="never" if self._options.is_read_only else self._options.fsync,
            lock_timeout_ms=self._options.lock_timeout_ms,
        )
        if self._options.is_read_only:
            _tell_what_is_not_read(log)
        elif log.recovery.outcome == "truncated":  # which has begun a leader epoch: servers tell it to their clients
            self._signals.catalog_changed(self._signals.catalog_announced)
        return Partition(log)

    def offsets(self, topic: str, partition: int) -> PartitionOffsets:
        """The start and end offsets of a partition, which is opened only if they cannot be found otherwise.

        Raises `TopicNotFoundError` and `PartitionNotFoundError`."""
        found = read_partition_offsets(self._directory.path, topic, partition)
        if found is None:
            log = self.open(topic, partition)
            start, durable = log.start_offset, log.durable_offset
            found = PartitionOffsets(start, log.end_offset, durable)
        return found

    def check_not_replaced(self) -> None:
        """Raise `StoreReplacedError` if files of a partition that is open here were deleted."""
        for partition in self.in_use():
            with suppress(StoreClosedError, OSError):  # closed by another thread; an inconclusive check proves nothing
                partition.log.check_in_place()

    def give_up(self, why: EventLogError) -> None:
        """Close all partitions, and let their later use raise `why`."""
        for partition in self.in_use():
            partition.log.give_up(why)

    def check_may_close(self) -> None:
        """Raise `ConcurrentUseError` if this thread is opening or closing a partition."""
        entered_once(self._lock, f"to close {self!r}")

    def close(self, topic: str, partition: int) -> None:
        """Close a partition if it is open here."""
        with entered_once(self._lock, f"to close a partition of {self._directory.path}"):
            found = self._in_use.pop((topic, partition), None)
        if found is not None:
            found.close()

    def close_all(self) -> None:
        """Close all partitions. The next call closes those that an interrupt has left open."""
        with self._lock:
            partitions = [*self._deleted, *self._in_use.values()]
        do_steps([partition.close for partition in partitions])
        self._in_use.clear()  # last, so that after an interrupt the next call still finds them


def _tell_what_is_not_read(log: PartitionLog) -> None:
    """Recovery would cut it off, or has found damage; here the log just ends before it."""
    report = log.recovery
    if report.damage is not None:
        _log.warning("%s is damaged, and is read up to there: %s", log, report.damage)
    elif report.outcome == "truncated":
        _log.warning(
            "%s is read up to offset %d, as far as its files have whole batches: %d bytes follow", log, log.end_offset,
            report.truncated_bytes,
        )  # fmt: skip
