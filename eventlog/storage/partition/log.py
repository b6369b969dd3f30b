"""One partition as bytes: batches in, slices of batches out, and the notifications that every process receives.

`partition.py` adds records on top of it. Code that does not need records uses it directly: servers that pass batches on,
copies, retention, compaction.
"""

from __future__ import annotations

import functools
import time
from contextlib import closing
from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.errors import (
    CorruptLogError,
    InvalidArgumentError,
    InvalidTypeError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
    TopicNotFoundError,
    UnsupportedCodecError,
    translates_os_errors,
)
from eventlog.holding import Holding
from eventlog.options import check_bool, check_timeout
from eventlog.records.record import Record
from eventlog.storage.partition.committed import AbortedRecords
from eventlog.storage.partition.last_record import last_record_end
from eventlog.storage.partition.open_partition import OpenPartition
from eventlog.storage.partition.produced import Unit, accepted, buffer_of
from eventlog.storage.partition.producer_checks import check_marker, check_producer
from eventlog.storage.partition.reader import LogReader
from eventlog.storage.partition.readers import LARGE_BLOCK_BYTES
from eventlog.storage.partition.sequence_search import appended_before, find_batch
from eventlog.storage.partition.slices import Slice
from eventlog.storage.partition.timestamps import largest_timestamp_before, record_for_time
from eventlog.storage.segments.aborted_index import read_aborted
from eventlog.storage.segments.epochs import read_epochs
from eventlog.storage.segments.lock import segments_locked
from eventlog.storage.segments.producer_table import Aborted, ProducerState
from eventlog.storage.segments.swap import finish_swaps
from eventlog.waiting import WaitSet, wait_for_any

_CHUNK_RECORDS = 500
_new_sequencing = functools.partial(ffi.new, "el_sequencing *")
_new_produced = functools.partial(ffi.new, "el_produced *")


class Appended(NamedTuple):
    """Batches that were appended: the offset of their first record, and the offset after their last. `append_time_ms` is the
    timestamp of all of them, in milliseconds since the epoch, if the topic uses the append time; else None. `is_duplicate`:
    the producer sent them again, and these are the offsets that they got the first time; nothing was appended."""

    first_offset: int
    next_offset: int
    append_time_ms: int | None
    is_duplicate: bool = False


class ActiveSegment(NamedTuple):
    """The segment that takes appends: its base offset, the partition's end offset, the number of bytes in each of its files
    that belong to records before that end, and its largest timestamp (-1: none)."""

    base_offset: int
    end_offset: int
    log_bytes: int
    index_bytes: int
    time_index_bytes: int
    max_timestamp: int
    aborted_index_bytes: int


@translates_os_errors()
class PartitionLog(OpenPartition):
    """The batches of one partition. Safe for use by several threads."""

    # --- writing -----------------------------------------------------------------------------------------

    def append(self, batches: Any) -> Appended:
        """Append whole batches in Kafka's format (magic 2) that were encoded elsewhere, one after another in bytes or a buffer.

        They are checked first, record by record, and become visible together. They get base offsets and the leader epoch. If
        the topic's message.timestamp.type is LogAppendTime, they also get the time; if its compression.type is a codec, or
        uncompressed, they get that codec. Everything else is unchanged.

        A batch with a producer's id is appended alone, and only if it is the producer's next one; one of its last five is not
        appended again. With fsync="always" they are on disk on return. Raises `InvalidBatchError`,
        `ProducerFencedError`, `OutOfOrderSequenceError`, `DuplicateSequenceError`, `TransactionStateError`, and what
        `Partition.append_many` raises; then nothing was appended, unless it was the flush that failed."""
        appended = self.append_unflushed(batches)
        self.flush_if_always(appended.next_offset)
        return appended

    def append_unflushed(self, batches: Any, *, is_private: bool = False) -> Appended:
        """Like `append`, but the batches may not be on disk yet: with fsync="always" the caller must call `flush_if_always`. It
        can thus record what was appended before a failed flush raises. A buffer that `is_private` may be changed, which saves a
        copy: nobody writes to it meanwhile, and it is not read again."""
        while True:
            settings = self.settings
            try:
                unit = accepted(batches, settings, is_private=is_private)
            except (InvalidArgumentError, RecordTooLargeError, UnsupportedCodecError):
                if self.settings is settings:
                    raise
                continue  # the settings that refused them are out of date
            appended = self._append_unit(unit, settings.version)
            if isinstance(appended, Appended):
                return appended
            if appended != lib.EL_SETTINGS_CHANGED:
                self.resolve(appended)

    def append_at_once(self, batches: Any) -> Appended | None:
        """Like `append` if that need not wait for another process or the disk; otherwise append nothing and return None.

        Raises `InvalidBatchError`, `RecordTooLargeError` and `UnsupportedCodecError`."""
        settings, produced, sequencing = self._settings, _new_produced(), _new_sequencing()
        if self.flush_always:
            return None
        data = buffer_of(batches)
        offset = int(
            lib.el_append_produced_at_once(self.native, data, len(data), settings.rules, settings.version, produced, sequencing)
        )
        if offset >= 0:
            append_time_ms = None if produced.append_time_ms < 0 else int(produced.append_time_ms)
            return Appended(offset, offset + produced.record_count, append_time_ms, bool(sequencing.is_duplicate))
        if offset == lib.EL_NOT_ACCEPTED:
            accepted(batches, settings)  # raises the reason
        elif offset != lib.EL_DUPLICATE_SEQUENCE:
            check_producer(offset, data, len(data), sequencing)
        return None

    def _append_unit(self, unit: Unit, settings_version: int) -> Appended | int:
        """What was appended, or the status that says why nothing was. Raises what depends on the producer."""
        sequencing = _new_sequencing()
        data, size_bytes = unit.data, unit.size_bytes
        offset = int(lib.el_append_produced(self.native, data, size_bytes, settings_version, True, sequencing))
        if offset == lib.EL_DUPLICATE_SEQUENCE and (batch := appended_before(self.segments, data, size_bytes)) is not None:
            return Appended(batch.base_offset, batch.next_offset, None, is_duplicate=True)
        if offset < 0:
            check_producer(offset, data, size_bytes, sequencing)
            return offset
        is_duplicate = bool(sequencing.is_duplicate)
        return Appended(offset, offset + unit.record_count, None if is_duplicate else unit.append_time_ms, is_duplicate)

    def append_marker(self, producer_id: int, epoch: int, coordinator_epoch: int, *, commit: bool) -> int | None:
        """End the transaction that a producer has open here, and return the offset of the marker that says so.

        None: the producer has no open transaction in this partition, because it never had, or because it was ended before. An
        `epoch` above the producer's fences the instance that began the transaction; to abort it writes a marker even where none
        is open, since that instance may be about to begin here. Raises `ProducerFencedError` for a lower
        one, `CoordinatorFencedError` if a later coordinator has ended a transaction of the producer, and what `append`
        raises."""
        check_int("producer_id", producer_id, 0)
        while True:
            offset = int(lib.el_append_marker(self.native, producer_id, epoch, coordinator_epoch, commit))
            if offset == lib.EL_NO_TRANSACTION:
                return None
            if offset >= 0:
                self.flush_if_always(offset + 1)
                return offset
            check_marker(offset, producer_id, epoch, coordinator_epoch)
            if offset != lib.EL_SETTINGS_CHANGED:
                self.resolve(offset)

    def offset_of_sequence(self, producer_id: int, epoch: int, sequence: int) -> int | None:
        """The offset of the record to which this epoch of a producer gave a sequence number; None if the log does not have it.

        Reads headers of batches back to that record, or to the log's start. Raises `OSError`, `CorruptLogError`."""
        self.check_open()
        batch = find_batch(self.segments, producer_id, epoch, sequence)
        return None if batch is None else batch.base_offset + (sequence - batch.base_sequence) % 2**31

    def producers(self) -> list[ProducerState]:
        """The producers with an id that have appended here, sorted by it. Raises `LockTimeoutError`."""
        self.check_open()
        return self._appender.producers()

    def save_producers(self) -> None:
        """Write a snapshot of the producers, as a copy of the partition needs one. Raises `LockTimeoutError`."""
        self.check_open()
        self._appender.save_producers()

    def aborted(self, from_offset: int, to_offset: int) -> list[Aborted]:
        """The aborted transactions that have records between two offsets, sorted by their first offsets."""
        end_offset = self.end_offset  # before the list of segments: it contains all that end before it
        found: list[Aborted] = []
        if not self.has_aborted:
            return found
        for base in self.segments.bases():
            following = self.segments.after(base)
            if following is None or following > from_offset:
                found += read_aborted(self.directory, base, end_offset)
        overlapping = (each for each in found if each.last_offset >= from_offset and each.first_offset < to_offset)
        return sorted(overlapping, key=lambda each: each.first_offset)

    def resolve(self, status: int) -> None:
        """Handle a status of the native appender, so that the call can be repeated, or raise the error that it means."""
        self.check_open()  # another thread may have closed the partition meanwhile
        self._appender.resolve(status)

    def check_writable(self) -> None:
        """Raise what every append would raise if the partition is damaged or deleted, or if a write has failed."""
        self._appender.check_writable()

    def flush_if_always(self, offset: int) -> None:
        """With fsync="always", return once all records before `offset` are on disk."""
        if self.flush_always:
            self._appender.flush(offset)

    def roll(self) -> None:
        """Start a new segment, unless the active one is empty."""
        self._appender.roll()

    def active_segment(self) -> ActiveSegment:
        """The current state of the segment that takes appends. Raises `LockTimeoutError`."""
        self.check_open()
        tail = self._appender.tail()
        lengths = int(tail.position), int(tail.index_bytes), int(tail.time_index_bytes)
        others = int(tail.max_timestamp), int(tail.aborted_index_bytes)
        return ActiveSegment(int(tail.segment_base), int(tail.end_offset), *lengths, *others)

    # --- looking after segments --------------------------------------------------------------------------

    def locked(self) -> Holding[None]:
        """Hold the lock, shared by all processes, that protects sealed segments from being deleted, replaced or copied by
        others. Swaps that a killed process left unfinished are finished first.

        The block raises `LockTimeoutError`, `FileNotFoundError` if the directory is gone, and `TopicNotFoundError` if the topic
        was deleted: the directory may now belong to another topic of that name."""
        return segments_locked(self.directory, self.lock_timeout_ms, self._finish_swaps)

    def complete_swaps(self) -> None:
        """Complete what a killed process left unfinished, so that it is not mistaken for damage. Raises what `locked` does."""
        with self.locked():
            pass

    def _finish_swaps(self) -> None:
        if self.is_deleted:
            raise TopicNotFoundError(f"the topic of {self.directory.name} was deleted")
        if finish_swaps(self.directory):
            self.segments_changed()

    def segments_changed(self) -> None:
        """Tell every reader that sealed segments were deleted or replaced."""
        lib.el_head_segments_changed(self.head)

    def allow_gaps(self) -> None:
        """Tell every reader that records are about to be removed from the middle of the partition."""
        lib.el_head_allow_gaps(self.head)

    def advance_start(self, offset: int) -> None:
        """Move the start offset up to `offset`, unless it is already higher, and wake the threads that wait."""
        lib.el_head_advance_start(self.head, self.signals.pointer, offset)

    @property
    def leader_epochs(self) -> list[tuple[int, int]]:
        """The leader epochs and their first offsets; at least one. None begins while a partition is open."""
        if not self._leader_epochs:
            self._leader_epochs = read_epochs(self.directory) or [(0, 0)]
        return self._leader_epochs

    _leader_epochs: list[tuple[int, int]] | None = None

    # --- reading -----------------------------------------------------------------------------------------

    def slice(
        self, offset: int, bytes_max: int, *, at_least_one: bool = True, durable: bool = False, stop: int | None = None
    ) -> Slice:
        """Whole batches in one file, starting with the batch that holds `offset` (or else the next one), and as many as fit in
        `bytes_max` bytes; with `at_least_one` the first one even if it is larger.

        They end before `stop`, or before the end; with `durable`, before the first record that is not on disk yet. At the end
        a slice is empty, and in a gap it may be; where a segment ends, the next slice starts with the following segment. The
        contents of the batches are not checked. Raises `OffsetOutOfRangeError` and `CorruptLogError`."""
        check_int("bytes_max", bytes_max, 0)
        end = self.durable_offset if check_bool("durable", durable) else self.end_offset
        self.check_offset(offset)
        return self._slicer.find(offset, end if stop is None else min(end, stop), bytes_max, at_least_one=at_least_one)

    def read_at_once(self, offset: int, stop: int, bytes_max: int) -> bytes | None:
        """The batches from `offset`, at which an earlier slice ended, up to `stop`: for readers that follow the end of the log.

        None unless they are in memory, take at most `bytes_max` bytes, and are right: use `slice`."""
        return self._slicer.read_at_once(offset, stop, bytes_max)

    @property
    def has_aborted(self) -> bool:
        """Can `aborted` find a transaction?"""
        return bool(lib.el_head_aborts(self.head))

    def reader(self, offset: int, *, committed: bool = False) -> LogReader:
        """A new reader, for the caller alone, that reads on from `offset`, which must be the offset of a record.

        With `committed`, its `records` leaves out those of aborted transactions; it must not read past `stable_offset`."""
        self.check_open()
        reader = self.readers.new(LARGE_BLOCK_BYTES)
        if committed:
            reader.skip_aborted(AbortedRecords(self))
        reader.seek(offset)
        return reader

    def offset_for_time(self, timestamp: int) -> int | None:
        """The offset of the first record with this timestamp (milliseconds since the epoch) or a later one, or None."""
        found = self.record_for_time(timestamp)
        return None if found is None else found.offset

    def record_for_time(self, timestamp: int) -> Record | None:
        """The first record with this timestamp (milliseconds since the epoch) or a later one, or None."""
        check_int("timestamp", timestamp, 0)
        end_offset = self.end_offset
        return record_for_time(self.directory, self.segments, self.readers.new(), timestamp, self.start_offset, end_offset)

    def latest_record(self) -> Record | None:
        """The record with the largest timestamp, of several the first one; None if no record has a timestamp."""
        active = self.active_segment()
        start = self.start_offset
        if start >= active.end_offset:
            return None
        sealed = largest_timestamp_before(self.directory, self.segments.bases(), start, active.base_offset)
        largest = max(active.max_timestamp, sealed)
        found = self.record_for_time(largest) if largest >= 0 else None
        if found is None and largest >= 0:  # it was that of a record that has been deleted
            with closing(self.reader(start)) as reader:
                while records := reader.records(_CHUNK_RECORDS, active.end_offset):
                    latest = max(records, key=lambda record: record.timestamp)
                    found = latest if found is None or latest.timestamp > found.timestamp else found
        return found

    def bytes_from(self, offset: int) -> int:
        """The number of bytes of batches from the batch with this offset to the end. Raises `OffsetOutOfRangeError`."""
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
        """Block until there is a record at `offset` or later (with `durable`: on disk); False after `timeout` seconds.

        Records that compaction removed, and the marker that ends a transaction, do not count. Raises `CorruptLogError` if the
        partition is damaged, so that no such record can arrive."""
        check_int("offset", offset, 0)
        check_timeout(timeout)
        check_bool("durable", durable)

        def check() -> bool:
            self.check_open()
            self.segments.check_topic()
            return False

        check()  # an event before the wait started does not wake it
        deadline = None if timeout is None else time.monotonic() + timeout
        wait_set, wanted = WaitSet(), offset
        while True:
            if self.recovery.damage is not None and wanted >= self.end_offset:
                raise self.recovery.damage.without_traceback()
            wait_set.clear()
            self.await_record(wait_set, wanted, durable=durable)
            remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not wait_for_any(self.signals, wait_set, remaining, check):
                return False
            if (end := self.nothing_up_to(offset, durable=durable)) is None:
                return True
            wanted = max(offset, end)

    def await_record(self, wait_set: WaitSet, offset: int, *, durable: bool) -> None:
        """Add to the set a wait for a record at `offset`; with `durable`, for one that is on disk."""
        wait_set.add_record(self.head, offset, durable=durable)

    def await_committed(self, wait_set: WaitSet, offset: int, *, durable: bool) -> None:
        """Like `await_record`, for a record before the last stable offset: it may come with any append that follows."""
        end_offset = self.end_offset  # read first: a marker that is appended from now on lies behind it
        self.await_record(wait_set, end_offset if self.stable_offset <= offset < end_offset else offset, durable=durable)

    def nothing_up_to(self, offset: int, *, durable: bool) -> int | None:
        """The end of the log if there is no record from `offset` on; None if there is one, or if `read` should report an
        error."""
        head, native = self.head, self.native
        end = int(lib.el_head_durable_offset(head) if durable else lib.el_head_end_offset(head))
        if offset >= end:
            return end
        may_have_gaps = lib.el_head_may_have_gaps(head)
        if end > native.unsure_end and end > lib.el_head_marker_end(head) and not may_have_gaps:
            return None
        try:
            behind_last = self.records_end(offset, end)
        except (OffsetOutOfRangeError, CorruptLogError):
            return None
        if behind_last == end and not may_have_gaps:
            native.unsure_end = -1
        return end if behind_last <= offset else None

    def records_end(self, start: int, end: int) -> int:
        """The offset after the last record between these two offsets; `start` if there are no records.

        Raises `CorruptLogError`, `OffsetOutOfRangeError`."""
        self.check_open()
        return last_record_end(self.readers.new, start, end)


def check_int(name: str, value: object, minimum: int) -> None:
    """Raise `InvalidTypeError` or `InvalidArgumentError` unless the value is an int from `minimum` up to 2^63 - 1."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidTypeError(f"{name} must be an int, not {type(value).__name__}")
    if not minimum <= value < 2**63:
        raise InvalidArgumentError(f"{name} is {value}, but must be at least {minimum} and below 2**63")
