"""A producer's appends to one partition: immediate, or gathered into batches."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from eventlog._native import GATHERED_OVERHEAD_BYTES, BasePartitionSender, Gathered
from eventlog.errors import (
    EventLogError,
    InvalidArgumentError,
    RecordTooLargeError,
    StoreClosedError,
    TopicNotFoundError,
    UnsupportedCodecError,
)
from eventlog.groups.registry import Groups
from eventlog.options import TopicConfig
from eventlog.producer.exclusion import Exclusion
from eventlog.producer.sequences import Sequences
from eventlog.records.batch import Headers
from eventlog.records.compression import check_codec
from eventlog.records.record import TopicPartition
from eventlog.storage.partition.partition import Partition
from eventlog.storage.partition.settings import record_bytes_max

# A batch has to fit into a segment, however small the topic's segments are and however large its overhead is.
_BATCHES_A_SEGMENT = 8


# Errors of records that were accepted, but do not fit settings that were altered while they waited.
_REFUSALS = (RecordTooLargeError, InvalidArgumentError, UnsupportedCodecError)


class PartitionSender(BasePartitionSender):
    """A producer's view of one partition. `last_offset` is approximately the last offset that the producer knows to be its own.

    With `sequences`, batches carry the id of their producer, and the log appends each of them once.
    `note_appended` is called with (sender, first offset, count) for records that had waited, perhaps more than once;
    `note_loss` with the error for records that had waited and are refused."""

    def __init__(
        self,
        groups: Groups,
        log: Partition,
        settings: TopicConfig,
        *,
        compression: str | None,
        batch_bytes: int,
        note_appended: Callable[[PartitionSender, int, int], None],
        note_loss: Callable[[EventLogError], None],
        sequences: Sequences | None = None,
    ) -> None:
        super().__init__(log.writer)
        self.groups = groups
        self.log = log
        self.topic_partition = TopicPartition(log.topic, log.partition)
        self.last_offset = -1
        self._compression = compression
        self._wanted_batch_bytes = batch_bytes
        self._note_appended = note_appended
        self._note_loss = note_loss
        self._sequences = sequences
        self._batch = Gathered()
        self._lock = self._new_lock()
        self._is_ended = False
        self.take_settings(settings)

    def _new_lock(self) -> Exclusion:
        return Exclusion(f"is at work on what waits for {self.topic_partition}")

    def take_settings(self, settings: TopicConfig) -> None:
        """Apply these settings of the topic from now on. Calls come one after the other, each with later settings."""
        self._batch.is_open = False  # the next record is checked in Python, against these settings
        self._batch_bytes = min(self._wanted_batch_bytes, settings.number("segment.bytes") // _BATCHES_A_SEGMENT)
        self._plain_bytes_max = record_bytes_max(settings)
        self._needs_keys = settings.is_compacted
        compression = settings.text("compression.type")
        self._codec = self._compression if compression == "producer" else compression

    def append_now(
        self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None
    ) -> Gathered:
        """Append a record immediately. Raises what `Partition.append` raises."""
        batch = Gathered()
        self.log.writer.append_placed(
            [value], [key], [headers], [timestamp], compression=self._compression, address=batch.address
        )
        offset = batch.first_offset
        assert offset is not None
        self.log.log.flush_if_always(offset + 1)
        return batch

    def append_once(
        self, sequence: int, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None
    ) -> Gathered:
        """Append a record with this sequence number, unless it was appended before. Raises `OutOfOrderSequenceError`,
        `DuplicateSequenceError`, and what `Partition.append` raises."""
        assert self._sequences is not None
        size = self.log.writer.check_record(value, key, headers, timestamp)
        batch = Gathered()
        batch.add(value, key, _as_they_stand(headers), timestamp, size)
        with self._lock.held():
            self._append_waiting()
            self._sequences.append_at(sequence, self.topic_partition, self.log.writer, batch, self._compression)
            self._leave_part(batch)
        self.log.log.flush_if_always(self.last_offset + 1)
        return batch

    # --- batches -------------------------------------------------------------------------------------------

    def gather(
        self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None
    ) -> tuple[Gathered, int]:
        """Let a record wait; returns its batch and its index there. Native code does the same for plain records behind others.

        An invalid record raises its error here, before it is accepted; so does an error in appending a full batch."""
        check_codec(self._codec)
        headers = _as_they_stand(headers)  # the caller may change a list before it is appended
        is_timed = timestamp is None or (type(timestamp) is int and 0 <= timestamp < 2**63)
        is_keyed = not self._needs_keys if key is None else type(key) is bytes
        is_plain = type(value) is bytes and is_keyed and headers is None and is_timed
        if not is_plain or (size := len(value or b"") + len(key or b"") + GATHERED_OVERHEAD_BYTES) > self._plain_bytes_max:
            size = self.log.writer.check_record(value, key, headers, timestamp)
        with self._lock.held():
            if self._is_ended:
                raise StoreClosedError(f"the producer of {self.topic_partition} is closed")
            self._leave_done()
            if not self._may_grow_by(size):
                self._append_waiting()
            batch = self._batch
            index = batch.add(value, key, headers, timestamp, size)
            if size > self._batch_bytes:
                self._append_alone(batch)
            return batch, index

    def _may_grow_by(self, size: int) -> bool:
        batch = self._batch
        if batch.halves is not None or batch.size_bytes + size > self._batch_bytes:
            return False
        return self._sequences is None or not self._sequences.may_have_appended(self.topic_partition, batch)

    def admit(self, batch: Gathered) -> None:
        """Let native code add to a batch from now on. The lingering thread already knows that records wait in it."""
        with self._lock.held():
            if batch is self._batch and batch.count > 0 and not self._is_ended:
                batch.bytes_max = self._batch_bytes
                batch.record_bytes_max = self._plain_bytes_max
                batch.needs_keys = self._needs_keys
                batch.is_open = True

    def _append_alone(self, batch: Gathered) -> None:
        """Append a record that fills a batch by itself. If this raises an error, the record was not accepted."""
        try:
            self._append_part(batch)
        except BaseException:
            if batch.first_offset is None:
                self._batch = Gathered()
            raise
        finally:
            self._leave_done()
        self.log.log.flush_if_always(self.last_offset + 1)

    def append_waiting(self) -> None:
        """Append the waiting records. After an error they keep waiting, and the call may be repeated.

        Records that do not fit the altered settings of the topic are refused: their receipts raise the reason."""
        with self._lock.held():
            self._append_waiting()

    def flush(self) -> None:
        """Flush the sent records to disk. If the topic was deleted, nothing is left to flush."""
        if self.last_offset >= 0:
            with suppress(TopicNotFoundError):
                self.log.flush()

    def end(self) -> None:
        """Append the waiting records, and accept no more. After an error the call may be repeated."""
        with self._lock.held():
            self._is_ended = True
            self._append_waiting()

    def discard(self, why: EventLogError) -> None:
        """Drop the waiting records: their receipts raise `why`."""
        with self._lock.held():
            while (part := _first_waiting(self._batch)) is not None:
                self._batch.is_open = False
                part.loss = why
                self._leave_part(part)
            self._leave_done()

    def check_not_inside(self) -> None:
        """Raise `ConcurrentUseError` if this thread already holds the lock: it would wait for itself forever."""
        self._lock.held()

    def leave_to_parent(self) -> None:
        """Replace the lock in a forked child: a thread of the parent, which does not exist here, may hold it."""
        self._lock = self._new_lock()

    @property
    def has_waiting(self) -> bool:
        """Is any record waiting?"""
        batch = self._batch
        return batch.halves is not None or (batch.count > 0 and batch.first_offset is None)

    # An interrupt may come between any two steps. So the outcome of a batch, or of a part of one, is recorded in it as soon as
    # it is known, and the next call continues from there.

    def _append_waiting(self) -> None:
        known_offset = self.last_offset
        self._leave_done()
        refused: list[EventLogError] = []
        lost: list[EventLogError] = []
        try:
            while (part := _first_waiting(self._batch)) is not None:
                self._batch.is_open = False  # threads that send meanwhile wait for the lock
                self._append_or_give_up(part, refused, lost)
            self._leave_done()
        finally:
            if refused:
                what = (
                    f"{len(refused)} records for {self.topic_partition} do not fit the topic's current settings and were "
                    "refused"
                )
                self._note_loss(type(refused[0])(f"{what}: {refused[0]}"))
        if self.last_offset > known_offset:
            with suppress(TopicNotFoundError):  # the appended records were deleted with the topic
                self.log.log.flush_if_always(self.last_offset + 1)
        if lost:
            raise type(lost[0])(self._lost(len(lost), lost[0]))

    def _append_or_give_up(self, part: Gathered, refused: list[EventLogError], lost: list[EventLogError]) -> None:
        try:
            self._append_part(part)
        except (TopicNotFoundError, StoreClosedError) as error:
            told = type(error)(self._lost(part.count, error))
            if isinstance(error, StoreClosedError) and not self._is_ended:  # only `end` gives up the records
                raise told from None
            self._give_up(part, told, lost)
        except _REFUSALS as error:
            if part.count > 1 and not isinstance(error, UnsupportedCodecError):
                part.split()  # to append the good records, and to find the refused ones
            else:
                self._give_up(part, type(error)(*error.args), refused)
        finally:
            self._leave_part(part)

    def _lost(self, count: int, why: EventLogError) -> str:
        gone = "store was closed" if isinstance(why, StoreClosedError) else "topic was deleted"
        return f"{count} records for {self.topic_partition} were waiting when the {gone} and are lost"

    def _give_up(self, part: Gathered, error: EventLogError, told: list[EventLogError]) -> None:
        told += [error] * part.count
        part.loss = error  # never raised itself: its traceback would refer to all callers

    def _append_part(self, part: Gathered) -> None:
        if self._sequences is not None:
            self._sequences.append(self.topic_partition, self.log.writer, part, self._compression)
        elif self._compression is not None or not part.append(self.log.writer):
            self.log.writer.append_placed(
                part.values, part.keys, part.headers, part.timestamps,
                compression=self._compression, address=part.address,
            )  # fmt: skip

    def _leave_part(self, part: Gathered) -> None:
        """Note the appended records, and forget records that no longer wait."""
        if part.first_offset is not None:
            self.last_offset = max(self.last_offset, part.first_offset + part.count - 1)
            if part.count > 0:
                self._note_appended(self, part.first_offset, part.count)
        if _is_done(part):
            part.forget()

    def _leave_done(self) -> None:
        """Begin a new batch if no record of this one is waiting."""
        batch = self._batch
        if _is_done(batch):
            self._leave_part(batch)
            self._batch = Gathered()


def _is_done(batch: Gathered) -> bool:
    """Is the batch in the log, or lost? Its parts are appended in order, so the last one decides."""
    while batch.halves is not None:
        batch = batch.halves[2]
    return batch.first_offset is not None or batch.loss is not None


def _first_waiting(batch: Gathered) -> Gathered | None:
    """The first part that is waiting, or the batch itself if it was not split; None if nothing is waiting."""
    if batch.halves is None and batch.count == 0:
        return None
    while batch.halves is not None:
        _, first, second = batch.halves
        batch = second if _is_done(first) else first
    return None if _is_done(batch) else batch


def _as_they_stand(headers: Headers | None) -> Headers | None:
    """A copy of the items as native code finds them: an `__iter__` of a subclass is not called."""
    if isinstance(headers, list):
        return tuple(list.__iter__(headers))
    return tuple(tuple.__iter__(headers)) if isinstance(headers, tuple) else headers
