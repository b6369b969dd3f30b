"""One partition as bytes: batches in, slices of batches out, and what every process is told of it.

Records stand on top of it (`partition.py`), and whatever needs none goes by it alone: servers that pass batches on, copies,
retention, compaction.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from eventlog._native import lib
from eventlog.anchored import plain
from eventlog.errors import (
    CorruptLogError,
    EventLogError,
    ForkedProcessError,
    InvalidArgumentError,
    InvalidTypeError,
    LockTimeoutError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
    StoreClosedError,
    StoreReplacedError,
    TopicNotFoundError,
    UnsupportedCodecError,
    os_errors_as,
    translates_os_errors,
)
from eventlog.holding import Holding
from eventlog.options import TopicConfig, check_bool, check_timeout
from eventlog.storage.mapped.head import SharedHead
from eventlog.storage.mapped.limits import change_settings, is_behind, native_limits
from eventlog.storage.mapped.poison import DAMAGED, DELETED
from eventlog.storage.partition.appender import Appender
from eventlog.storage.partition.last_record import last_record_end
from eventlog.storage.partition.produced import accepted
from eventlog.storage.partition.reader import LogReader
from eventlog.storage.partition.readers import LARGE_BLOCK_BYTES, ReaderPool
from eventlog.storage.partition.segment_list import SegmentList
from eventlog.storage.partition.settings import AppendSettings
from eventlog.storage.partition.slices import Slice, Slicer
from eventlog.storage.partition.timestamps import offset_for_time
from eventlog.storage.segments import files, names
from eventlog.storage.segments.claims import Claim
from eventlog.storage.segments.indexing import rebuild_lying_indexes
from eventlog.storage.segments.lock import segments_locked
from eventlog.storage.segments.recovery import Checkpoint, RecoveryReport, recover
from eventlog.storage.segments.swap import finish_swaps
from eventlog.waiting import Signals, WaitSet, wait_for_any

_open_logs: weakref.WeakSet[PartitionLog] = weakref.WeakSet()


class Appended(NamedTuple):
    """Batches that were appended: the offset of their first record, and the one behind their last. `append_time_ms` is what all
    of them have as their timestamp, in milliseconds since the epoch, where the topic wants that; else None."""

    first_offset: int
    next_offset: int
    append_time_ms: int | None


class ActiveSegment(NamedTuple):
    """The segment that takes appends: its base offset, the partition's end offset, how many bytes of its files belong to
    records before that, and its largest timestamp, -1: none."""

    base_offset: int
    end_offset: int
    log_bytes: int
    index_bytes: int
    time_index_bytes: int
    max_timestamp: int


@translates_os_errors()
class PartitionLog:
    """The batches of one partition. Safe for use by several threads.

    `directory` is where its segments stand, `segments` lists them, `readers` reads records; `signals` and `lock_timeout_ms` are
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
        self._why_closed: EventLogError | None = None  # None: it was closed by whoever has opened it
        self._is_released = False
        self._load_settings = load_settings
        self._settings: AppendSettings
        settings = load_settings()
        with os_errors_as(f"{self!r} cannot be opened"):
            self._open(store, settings, claim)
        _open_logs.add(self)

    recovery: RecoveryReport
    """What was found and done when this process opened the partition."""

    def _open(self, store: Path, settings: TopicConfig, claim: Claim) -> None:
        limits = native_limits(settings)
        removed = names.removed_directory(store, self.topic, self.partition)

        def first(checkpoint: Checkpoint | None) -> Any:
            return recover(self.directory, removed, checkpoint, limits.index_interval_bytes)

        self._head, recovery = SharedHead.open(
            names.head_file(store, self.topic, self.partition), claim, self.directory, limits, first,
            may_have_gaps=settings.may_have_gaps, lock_timeout_ms=self.lock_timeout_ms,
        )  # fmt: skip
        self.recovery = recovery._replace(segment=plain(recovery.segment), kept_at=plain(recovery.kept_at))
        try:
            self._use_head(removed, limits)
        except BaseException:
            self._native = None
            self._head.close()
            raise

    def _use_head(self, removed: Path, limits: Any) -> None:
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
            lock_timeout_ms=self.lock_timeout_ms,
            flush_always=self.flush_always,
            damage=self.recovery.damage,
        )
        self._native = self._appender.pointer
        self.reload_settings()
        if is_behind(self._head.pointer, self._settings.config):
            with suppress(LockTimeoutError):  # it can be read nevertheless, and that there may be gaps is known
                change_settings(self._head.pointer, self.signals, self._settings.config, self.lock_timeout_ms)
            self.reload_settings()

    def __repr__(self) -> str:
        return f"<Partition {self} in {plain(self.directory).parent}>"

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"

    # --- state -------------------------------------------------------------------------------------------

    @property
    def head(self) -> Any:
        """The native `el_head`. Raises `StoreClosedError`, or why somebody has given the partition up."""
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

    @property
    def is_open(self) -> bool:
        """Was the partition neither closed nor given up?"""
        return self._native is not None

    @property
    def is_deleted(self) -> bool:
        """Was the topic deleted? Then nothing can be appended, and not everything can still be read."""
        return bool(lib.el_head_poison(self.head) == DELETED)

    @property
    def start_offset(self) -> int:
        """The offset of the first record that is still there."""
        return int(lib.el_head_start_offset(self.head))

    @property
    def end_offset(self) -> int:
        """The offset that the next record will get."""
        return int(lib.el_head_end_offset(self.head))

    @property
    def durable_offset(self) -> int:
        """Every record before this offset is on disk and survives a power cut."""
        return int(lib.el_head_durable_offset(self.head))

    @property
    def may_have_gaps(self) -> bool:
        """Has compaction or repair taken records out of the middle, or may it do so?"""
        return bool(lib.el_head_may_have_gaps(self.head))

    @property
    def settings(self) -> AppendSettings:
        """The topic's settings as they are now. Each append says by which version it was made, and is refused by a later
        one."""
        if lib.el_head_settings_version(self.head) != self._settings.version:
            self.reload_settings()
        return self._settings

    def reload_settings(self) -> None:
        """Load the topic's settings anew, and go by them."""
        version = lib.el_head_settings_version(self.head)  # before the look: a later change asks for another one
        self._take_settings(AppendSettings.of(self._load_settings(), version))

    def _take_settings(self, settings: AppendSettings) -> None:
        """Each of the two as a whole, with their version: a thread that is late with former ones has them loaded once more."""
        native = self.native
        self._settings = settings
        native.encoding = settings.encoding[0]

    def check_offset(self, offset: int) -> None:
        """Raise `OffsetOutOfRangeError` unless the offset lies between the start and the end, or at one of them, and
        `TopicNotFoundError` if the topic was deleted."""
        if not isinstance(offset, int) or isinstance(offset, bool):
            raise InvalidTypeError(f"an offset must be an int, not {type(offset).__name__}")
        head = self.head  # asked itself, for the properties would take as long as a short read
        start_offset, end_offset = int(lib.el_head_start_offset(head)), int(lib.el_head_end_offset(head))
        if lib.el_head_poison(head) == DELETED:
            self.segments.check_topic()
        if not start_offset <= offset <= end_offset:
            raise OffsetOutOfRangeError(str(self), offset, start_offset, end_offset)

    def check_still_there(self, offset: int) -> None:
        """Raise `OffsetOutOfRangeError` if what stood at this offset was deleted."""
        if offset < self.start_offset:
            self.check_offset(offset)

    # --- writing -----------------------------------------------------------------------------------------

    def append(self, batches: Any) -> Appended:
        """Append whole batches of Kafka's format (magic 2) that were made elsewhere, one behind the other in bytes or a buffer.

        They are checked first, record by record, and become visible together. They get base offsets and the leader epoch; where
        the topic's message.timestamp.type is LogAppendTime also the time, and where its compression.type is a codec, or
        uncompressed, that codec. All else stays as it is, a producer's id, epoch and sequence included. With fsync="always"
        they are on disk on return. Raises `InvalidBatchError`, and what `Partition.append_many` raises; nothing was appended
        then."""
        while True:
            settings = self.settings
            try:
                unit = accepted(batches, settings)
            except (InvalidArgumentError, RecordTooLargeError, UnsupportedCodecError):
                if self.settings is settings:
                    raise
                continue  # refused by settings that hold no longer
            offset = int(lib.el_append_unit(self.native, unit.data, unit.size_bytes, settings.version))
            if offset >= 0:
                break
            if offset != lib.EL_SETTINGS_CHANGED:
                self.resolve(offset)
        self.flush_if_always(offset + unit.record_count)
        return Appended(offset, offset + unit.record_count, unit.append_time_ms)

    def append_at_once(self, batches: Any) -> Appended | None:
        """As `append`, where neither another process nor the disk has to be waited for; else None, and nothing was appended.

        Raises `InvalidBatchError`, `RecordTooLargeError` and `UnsupportedCodecError`."""
        settings = self._settings
        if self.flush_always or lib.el_head_settings_version(self.head) != settings.version:
            return None
        unit = accepted(batches, settings)
        offset = int(lib.el_append_unit_at_once(self.native, unit.data, unit.size_bytes, settings.version))
        return Appended(offset, offset + unit.record_count, unit.append_time_ms) if offset >= 0 else None

    def resolve(self, status: int) -> None:
        """Act on a status of the native appender, so that the call can be repeated, or raise what it means."""
        self.head  # noqa: B018 - raises if another thread has closed the partition meanwhile
        self._appender.resolve(status)

    def check_writable(self) -> None:
        """Raise what every append would raise, because the partition is damaged, deleted, or a write has failed."""
        self._appender.check_writable()

    def flush(self, offset: int | None = None) -> None:
        """Return once all before this offset is on disk; None: everything appended so far, by any process."""
        end_offset = int(lib.el_head_end_offset(self.head))
        self._appender.flush(end_offset if offset is None else offset)

    def flush_if_always(self, offset: int) -> None:
        """With fsync="always", return once all records before `offset` are on disk."""
        if self.flush_always:
            self._appender.flush(offset)

    def roll(self) -> None:
        """Begin a new segment, unless the active one is empty."""
        self._appender.roll()

    def active_segment(self) -> ActiveSegment:
        """How far the partition has come at this moment. Raises `LockTimeoutError`."""
        self.head  # noqa: B018 - raises if the partition is closed
        tail = self._appender.tail()
        lengths = int(tail.position), int(tail.index_bytes), int(tail.time_index_bytes)
        return ActiveSegment(int(tail.segment_base), int(tail.end_offset), *lengths, int(tail.max_timestamp))

    # --- looking after segments --------------------------------------------------------------------------

    def locked(self) -> Holding[None]:
        """Be the only one, of all processes, who deletes, replaces or copies sealed segments; what a killed one began is
        finished first.

        The block raises `LockTimeoutError`, `FileNotFoundError` if the directory is gone, and `TopicNotFoundError` if the topic
        was deleted: what has its name may be another one."""
        return segments_locked(self.directory, self.lock_timeout_ms, self._finish_swaps)

    def _finish_swaps(self) -> None:
        if self.is_deleted:
            raise TopicNotFoundError(f"the topic of {self.directory.name} was deleted")
        if finish_swaps(self.directory):
            self.segments_changed()

    def segments_changed(self) -> None:
        """Tell every reader that sealed segments were deleted or replaced."""
        lib.el_head_segments_changed(self.head)

    def allow_gaps(self) -> None:
        """Tell every reader that records are about to be taken out of the middle."""
        lib.el_head_allow_gaps(self.head)

    def advance_start(self, offset: int) -> None:
        """Let the partition begin at `offset`, unless it begins later already, and tell those who wait."""
        lib.el_head_advance_start(self.head, self.signals.pointer, offset)

    def _rebuild_indexes(self, base_offset: int) -> None:
        rebuild_lying_indexes(self.directory, base_offset, self._settings.config.number("index.interval.bytes"))

    # --- reading -----------------------------------------------------------------------------------------

    def slice(
        self, offset: int, bytes_max: int, *, at_least_one: bool = True, durable: bool = False, stop: int | None = None
    ) -> Slice:
        """Whole batches in one file, from the batch on that holds `offset`, or comes next, and as many as take no more than
        `bytes_max` bytes; with `at_least_one` the first one even if it is larger.

        They end before `stop`, or before the end; with `durable` before what is not on disk yet. At the end a slice is empty,
        and in a gap it may be; where a segment ends, the next slice begins with the one behind. What the batches hold is not
        checked. Raises `OffsetOutOfRangeError` and `CorruptLogError`."""
        check_int("bytes_max", bytes_max, 0)
        end = self.durable_offset if check_bool("durable", durable) else self.end_offset
        self.check_offset(offset)
        return self._slicer.find(offset, end if stop is None else min(end, stop), bytes_max, at_least_one=at_least_one)

    def reader(self, offset: int) -> LogReader:
        """A reader of its own for somebody who goes through the partition from `offset` on, where a record stands."""
        self.head  # noqa: B018 - raises if the partition is closed
        reader = self.readers.new(LARGE_BLOCK_BYTES)
        reader.seek(offset)
        return reader

    def offset_for_time(self, timestamp: int) -> int | None:
        """The offset of the first record with this timestamp (milliseconds since the epoch) or a later one, or None."""
        check_int("timestamp", timestamp, 0)
        end_offset = self.end_offset
        return offset_for_time(self.directory, self.segments, self.readers.new(), timestamp, self.start_offset, end_offset)

    def bytes_from(self, offset: int) -> int:
        """How many bytes of batches stand from the batch with this offset on to the end. Raises `OffsetOutOfRangeError`."""
        end_offset = self.end_offset
        self.check_offset(offset)
        if offset == end_offset:
            return 0
        with closing(self.readers.new()) as reader:
            reader.seek(offset)
            base, position = reader.locate(end_offset)
        return self.segments.bytes_from(base) - position

    # --- waiting -----------------------------------------------------------------------------------------

    def wait(self, offset: int, timeout: float | None = None, *, durable: bool = False) -> bool:
        """Block until a record stands at `offset` or behind it (with `durable`: on disk); False after `timeout` seconds.

        What compaction has taken away, and the marker that ends a transaction, is no record. Raises `CorruptLogError` where
        none can come any more, because the partition is damaged."""
        check_int("offset", offset, 0)
        check_timeout(timeout)
        check_bool("durable", durable)

        def check() -> bool:
            self.head  # noqa: B018 - raises if the partition is closed
            self.segments.check_topic()
            return False

        check()  # what happened just before would wake nobody any more
        deadline = None if timeout is None else time.monotonic() + timeout
        wait_set, wanted = WaitSet(), offset
        while True:
            if self.recovery.damage is not None and wanted >= self.end_offset:
                raise self.recovery.damage.anew()
            wait_set.clear()
            self.await_record(wait_set, wanted, durable=durable)
            remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not wait_for_any(self.signals, wait_set, remaining, check):
                return False
            if (end := self.nothing_up_to(offset, durable=durable)) is None:
                return True
            wanted = max(offset, end)

    def await_record(self, wait_set: WaitSet, offset: int, *, durable: bool) -> None:
        """Have the set wait for a record at `offset`; with `durable` for one that is on disk."""
        wait_set.add_record(self.head, offset, durable=durable)

    def nothing_up_to(self, offset: int, *, durable: bool) -> int | None:
        """The end of the log if no record stands from `offset` on; None if one does, or `read` is to tell what is wrong."""
        head, native = self.head, self.native
        end = int(lib.el_head_durable_offset(head) if durable else lib.el_head_end_offset(head))
        if offset >= end:
            return end
        may_have_gaps = lib.el_head_may_have_gaps(head)
        if end > native.unsure_end and not may_have_gaps:
            return None
        try:
            behind_last = self.records_end(offset, end)
        except (OffsetOutOfRangeError, CorruptLogError):
            return None
        if behind_last == end and not may_have_gaps:
            native.unsure_end = -1
        return end if behind_last <= offset else None

    def records_end(self, start: int, end: int) -> int:
        """The offset behind the last record between these two offsets; `start` if there is none.

        Raises `CorruptLogError`, `OffsetOutOfRangeError`."""
        self.head  # noqa: B018 - raises if the partition is closed
        return last_record_end(self.readers.new, start, end)

    # --- life --------------------------------------------------------------------------------------------

    def let_go_of_old_files(self) -> None:
        """Close files that are of no use any more: of segments that were rolled, deleted or replaced; all, where the topic
        was."""
        if self.is_deleted:
            self.readers.let_go_of_all()
            self._slicer.let_go_of_all()
        else:
            self.readers.let_go_of_old()
            self._slicer.let_go_of_old()
        self._appender.let_go()
        if self.is_deleted:
            self._head.let_go()

    def check_in_place(self) -> None:
        """Raise `StoreReplacedError` if somebody deleted the partition's head, or the segment that takes its appends."""
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
        """Close the partition, and let whoever goes on with it hear why."""
        self._why_closed = why
        with suppress(EventLogError):  # it may be that nothing is left to be flushed or trimmed
            self.close()

    def close(self) -> None:
        """Close the files. The last process to do so flushes the partition and trims its segment.

        A call that was interrupted may be repeated, and does what is left."""
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
        self._is_released = True  # last: until then a close that was interrupted is done again

    def _retire(self, native: Any) -> None:
        lib.el_appender_retire(native)  # whoever still has a built-in function appends nothing any more
        # Threads of this process that wait find out that it is closed.
        if self._head.pointer is not None:
            lib.el_head_wake(self._head.pointer, self.signals.pointer)
        try:
            if self._head.try_exclusive():
                self._appender.trim()
        except (EventLogError, OSError):
            self._appender.close()
            raise
        finally:
            self.readers.let_go_of_all()
            self._slicer.let_go_of_all()
        self._appender.close()

    @classmethod
    def _after_fork_in_child(cls) -> None:
        """Nothing that the parent has open may be used, unlocked or trimmed here."""
        for log in list(_open_logs):
            if log._native is not None:
                log._native.is_retired = 1
            log._native = None
            log._why_closed = ForkedProcessError(f"{log!r} was opened before fork(): open the store again in the child")
            log._is_released = True


def check_int(name: str, value: object, minimum: int) -> None:
    """Raise `InvalidTypeError` or `InvalidArgumentError` for what is no int from `minimum` up to 2^63 - 1."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidTypeError(f"{name} must be an int, not {type(value).__name__}")
    if not minimum <= value < 2**63:
        raise InvalidArgumentError(f"{name} is {value}, but must be at least {minimum} and below 2**63")


os.register_at_fork(after_in_child=lambda: PartitionLog._after_fork_in_child())
