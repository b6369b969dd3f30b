"""An open partition: its head, its appender and its segments, from opening to closing."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from eventlog._native import lib
from eventlog.anchored import plain
from eventlog.counters import RECOVERIES, count
from eventlog.errors import (
    EventLogError,
    ForkedProcessError,
    InvalidTypeError,
    LockTimeoutError,
    OffsetOutOfRangeError,
    StoreClosedError,
    StoreReplacedError,
    TopicNotFoundError,
    os_errors_as,
    translates_os_errors,
)
from eventlog.logs import logger
from eventlog.options import TopicConfig
from eventlog.storage.mapped.head import Head, SharedHead
from eventlog.storage.mapped.limits import change_settings, is_behind, native_limits
from eventlog.storage.mapped.poison import DAMAGED, DELETED
from eventlog.storage.mapped.producer_page import ProducerPage
from eventlog.storage.partition.appender import Appender
from eventlog.storage.partition.readers import ReaderPool
from eventlog.storage.partition.segment_list import SegmentList
from eventlog.storage.partition.settings import AppendSettings
from eventlog.storage.partition.slices import Slicer
from eventlog.storage.segments import files, names
from eventlog.storage.segments.claims import Claim
from eventlog.storage.segments.indexing import rebuild_lying_indexes
from eventlog.storage.segments.producer_snapshots import recover_producers, snapshot_offsets
from eventlog.storage.segments.recovery import Checkpoint, RecoveryReport, recover
from eventlog.waiting import Signals

_log = logger("recovery")

_open_partitions: weakref.WeakSet[OpenPartition] = weakref.WeakSet()


@translates_os_errors()
class OpenPartition:
    """What a process holds open of a partition, and the partition's current offsets. Safe for use by several threads.

    `directory` contains its segments, `segments` lists them, `readers` reads records; `signals` and `lock_timeout_ms` are
    the store's; `flush_always` is fsync="always"."""

    def __init__(
        self,
        store: Path,
        topic: str,
        partition: int,
        load_settings: Callable[[], TopicConfig],
        signals: Signals,
        claim: Claim,
        *,
        fsync: str,
        lock_timeout_ms: int,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.signals = signals
        self.lock_timeout_ms = lock_timeout_ms
        self.flush_always = fsync == "always"
        self.directory = names.partition_directory(store, topic, partition)
        self._flush_at_close = fsync != "never"
        self._native: Any = None  # the native appender: None makes a native call fail, at no cost to those that succeed
        self._why_closed: EventLogError | None = None  # None: its owner closed it
        self._is_released = False
        self._load_settings = load_settings
        self._settings: AppendSettings
        settings = load_settings()
        with os_errors_as(f"{self!r} cannot be opened"):
            self._open(store, settings, claim)
        _open_partitions.add(self)

    recovery: RecoveryReport
    """What recovery found and did when this process opened the partition."""

    def _open(self, store: Path, settings: TopicConfig, claim: Claim) -> None:
        limits = native_limits(settings)
        self._head, recovery = self._opened_head(store, claim, limits, may_have_gaps=settings.may_have_gaps)
        self.recovery = recovery._replace(segment=plain(recovery.segment), kept_at=plain(recovery.kept_at))
        try:
            self._use_head(store, limits)
            self._tell_recovery()
        except BaseException:
            self._native = None
            self._head.close()
            raise

    def _opened_head(self, store: Path, claim: Claim, limits: Any, *, may_have_gaps: bool) -> tuple[Head, RecoveryReport]:
        """The head, and what recovery found if this process is the first one that opens it."""
        removed = names.removed_directory(store, self.topic, self.partition)
        producers = names.producers_file(store, self.topic, self.partition)

        def first(checkpoint: Checkpoint | None) -> Any:
            recovered = recover(self.directory, removed, checkpoint, limits.index_interval_bytes)
            if files.is_there(producers) or snapshot_offsets(self.directory):
                recover_producers(self.directory, recovered.tail, change=recovered.report.damage is None)
            return recovered

        return SharedHead.open(
            names.head_file(store, self.topic, self.partition), claim, self.directory, limits, first, producers,
            may_have_gaps=may_have_gaps, lock_timeout_ms=self.lock_timeout_ms,
        )  # fmt: skip

    def _tell_recovery(self) -> None:
        found = self.recovery
        if found.outcome in ("clean", "trimmed", "truncated"):
            count(RECOVERIES, found.outcome)
            _log.debug("%r: recovered, %s; %d bytes were read", self, found.outcome, found.scanned_bytes)
        if found.outcome == "truncated":
            _log.warning(
                "%r: a torn tail of %d bytes was cut off %s at byte %s, and is kept in %s",
                self, found.truncated_bytes, found.segment, found.truncated_at, found.kept_at,
            )  # fmt: skip
        if found.damage is not None:
            count(RECOVERIES, "damaged")
            _log.error("%r: is damaged, and read-only: %s", self, found.damage)

    def _use_head(self, store: Path, limits: Any) -> None:
        removed = names.removed_directory(store, self.topic, self.partition)
        producers = names.producers_file(store, self.topic, self.partition)
        if self._head.poison == DELETED:
            raise TopicNotFoundError(f"topic {self.topic!r} was deleted just now")
        if self._head.poison == DAMAGED and self.recovery.damage is None:
            checkpoint = self._head.checkpoint()
            self.recovery = recover(self.directory, removed, checkpoint, limits.index_interval_bytes, change=False).report
        self.segments = SegmentList(self.directory, self._head, self._rebuild_indexes)
        self.readers = ReaderPool(self.directory, self.segments, self.topic, self.partition)
        self._slicer = Slicer(self.segments)
        self._appender = Appender(
            self.directory,
            self._head,
            self.signals,
            ProducerPage(producers, self.directory),
            lock_timeout_ms=self.lock_timeout_ms,
            flush_always=self.flush_always,
            damage=self.recovery.damage,
        )
        self._native = self._appender.pointer
        self.reload_settings()
        if is_behind(self._head.pointer, self._settings.config):
            with suppress(LockTimeoutError):  # reading still works, and the head already says that there may be gaps
                change_settings(self._head.pointer, self.signals, self._settings.config, self.lock_timeout_ms)
            self.reload_settings()

    def __repr__(self) -> str:
        return f"<Partition {self} in {plain(self.directory).parent}>"

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"

    def _rebuild_indexes(self, base_offset: int) -> None:
        rebuild_lying_indexes(self.directory, base_offset, self._settings.config.number("index.interval.bytes"))

    # --- state -------------------------------------------------------------------------------------------

    @property
    def head(self) -> Any:
        """The native `el_head`. Raises `StoreClosedError`, or the reason that was passed to `give_up`."""
        head = self._head.pointer
        if self._native is None or head is None:
            self._refuse()
        return head

    @property
    def native(self) -> Any:
        """The native `el_appender`. Raises what `head` raises."""
        native = self._native
        if native is None:
            self._refuse()
        return native

    def _refuse(self) -> NoReturn:
        if self._why_closed is not None:
            raise type(self._why_closed)(*self._why_closed.args)
        raise StoreClosedError(f"{self!r} is closed")

    def check_open(self) -> None:
        """Raise what `head` raises."""
        if self._native is None:
            self._refuse()

    @property
    def is_open(self) -> bool:
        """Was the partition neither closed nor given up?"""
        return self._native is not None

    @property
    def is_deleted(self) -> bool:
        """Was the topic deleted? Appends then fail, and some records can no longer be read."""
        return bool(lib.el_head_poison(self.head) == DELETED)

    @property
    def start_offset(self) -> int:
        """The offset of the first record that has not been deleted."""
        return int(lib.el_head_start_offset(self.head))

    @property
    def end_offset(self) -> int:
        """The offset that the next record will get."""
        return int(lib.el_head_end_offset(self.head))

    @property
    def stable_offset(self) -> int:
        """The last stable offset: every transaction that has records before it has been committed or aborted."""
        return int(lib.el_head_stable_offset(self.head))

    @property
    def durable_offset(self) -> int:
        """Every record before this offset is on disk and survives a power cut."""
        return int(lib.el_head_durable_offset(self.head))

    @property
    def may_have_gaps(self) -> bool:
        """May records be missing from the middle, because compaction or repair has removed them or may do so?"""
        return bool(lib.el_head_may_have_gaps(self.head))

    @property
    def settings(self) -> AppendSettings:
        """The topic's current settings. Each append names the version of the settings that encoded it, and is refused if the
        settings have a later version."""
        if lib.el_head_settings_version(self.head) != self._settings.version:
            self.reload_settings()
        return self._settings

    def reload_settings(self) -> None:
        """Load the topic's settings again, and use them."""
        version = lib.el_head_settings_version(self.head)  # read before loading: a later change causes another reload
        self._take_settings(AppendSettings.of(self._load_settings(), version))

    def _take_settings(self, settings: AppendSettings) -> None:
        """Store both copies, each as a whole with its version: a thread that stores older ones late causes another reload."""
        native = self.native
        self._settings = settings
        native.encoding = settings.encoding[0]

    def check_offset(self, offset: int) -> None:
        """Raise `OffsetOutOfRangeError` unless the offset lies between the start and the end, or at one of them, and
        `TopicNotFoundError` if the topic was deleted."""
        if not isinstance(offset, int) or isinstance(offset, bool):
            raise InvalidTypeError(f"an offset must be an int, not {type(offset).__name__}")
        head = self.head  # read directly, because the properties would take as long as a short read
        start_offset, end_offset = int(lib.el_head_start_offset(head)), int(lib.el_head_end_offset(head))
        if lib.el_head_poison(head) == DELETED:
            self.segments.check_topic()
        if not start_offset <= offset <= end_offset:
            raise OffsetOutOfRangeError(str(self), offset, start_offset, end_offset)

    def check_still_there(self, offset: int) -> None:
        """Raise `OffsetOutOfRangeError` if the record at this offset was deleted."""
        if offset < self.start_offset:
            self.check_offset(offset)

    def flush(self, offset: int | None = None) -> None:
        """Return once every record before this offset is on disk; None: everything appended so far, by any process."""
        end_offset = int(lib.el_head_end_offset(self.head))
        self._appender.flush(end_offset if offset is None else offset)

    # --- life --------------------------------------------------------------------------------------------

    def release_old_files(self) -> None:
        """Close files that are no longer needed: those of segments that were rolled, deleted or replaced, or all files if the
        topic was deleted."""
        if self.is_deleted:
            self.readers.release_all()
            self._slicer.release_all()
        else:
            self.readers.release_old()
            self._slicer.release_old()
        self._appender.release()
        if self.is_deleted:
            self._head.release()

    def rest(self) -> bool:
        """Close the files of segments until the next append or read opens them again. Returns whether that could be done: not
        while somebody appends or flushes, or before everything is on disk."""
        self.readers.release_all()
        self._slicer.release_all()
        return self._appender.rest(durable=self._flush_at_close)

    @property
    def activity(self) -> tuple[int, int]:
        """Two numbers that have changed whenever something was appended, or read in slices."""
        return self.end_offset, self._slicer.uses

    def check_in_place(self) -> None:
        """Raise `StoreReplacedError` if the partition's head, or the segment that takes its appends, has been deleted."""
        if self.is_deleted:
            return
        try:
            self._head.check_in_place()
            base = self.segments.active_base()
            segment = names.segment_file(self.directory, base)
            if not files.is_there(segment) and base == self.segments.active_base():
                raise StoreReplacedError.of_part(segment)
        except StoreReplacedError:
            if not self.is_deleted:
                raise

    def give_up(self, why: EventLogError) -> None:
        """Close the partition; later calls on it raise this reason."""
        self._why_closed = why
        with suppress(EventLogError):  # there may be nothing left to flush or trim
            self.close()

    def close(self) -> None:
        """Close the files. The last process to do so flushes the partition and trims its segment.

        After an interrupted call, call it again: it does the rest."""
        if self._is_released:
            return
        try:
            if self._native is not None and self._flush_at_close and not self.is_deleted:
                self.flush()
        except (EventLogError, OSError):
            self._release()
            raise
        self._release()

    def _release(self) -> None:
        pointer = self._appender.pointer
        self._native = None
        try:
            if pointer is not None:
                self._retire(pointer)
        except (EventLogError, OSError):
            self._head.close()
            raise
        self._head.close()
        self._is_released = True  # last: until then, close() after an interrupt runs again

    def _retire(self, native: Any) -> None:
        lib.el_appender_retire(native)  # from here on, a call in progress appends nothing
        # Wake the threads of this process that wait: they notice that it is closed.
        if self._head.pointer is not None:
            lib.el_head_wake(self._head.pointer, self.signals.pointer)
        try:
            if self._head.try_exclusive():
                self._appender.trim()
                self._appender.save_producers()
        except (EventLogError, OSError):
            self._appender.close()
            raise
        finally:
            self.readers.release_all()
            self._slicer.release_all()
        self._appender.close()

    def leave_to_parent(self) -> None:
        """In a forked child: do not use, unlock or trim anything that the parent has open."""
        if self._native is not None:
            self._native.is_retired = 1
        self._native = None
        self._why_closed = ForkedProcessError(f"{self!r} was opened before fork(): open the store again in the child")
        self._is_released = True


def _after_fork_in_child() -> None:
    for partition in list(_open_partitions):
        partition.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)
