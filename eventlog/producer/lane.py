"""A producer's way into one partition: at once, or gathered into batches."""

from __future__ import annotations

import threading
from contextlib import suppress

from eventlog._native import lib
from eventlog.errors import StoreClosedError, TopicNotFoundError
from eventlog.groups.registry import Groups
from eventlog.options import TopicConfig
from eventlog.producer.native import Append, Gathered
from eventlog.records.batch import Headers
from eventlog.records.record import TopicPartition
from eventlog.storage.partition import Partition, append_placed, check_record, flush_if_always, record_bytes_max

_OVERHEAD_BYTES = lib.EL_GATHERED_OVERHEAD_BYTES
# What is appended together has to fit into a segment, however small the topic's are and whatever its batches cost.
_BATCHES_A_SEGMENT = 8


class Lane:
    """One partition as a producer has it. `last_offset` is the last offset that the producer knows to be its own;
    `sets_timestamps` says that the topic's records have the time of their append, whatever time they were given."""

    def __init__(
        self, groups: Groups, log: Partition, settings: TopicConfig, *, compression: str | None, batch_bytes: int
    ) -> None:
        self.groups = groups
        self.log = log
        self.topic_partition = TopicPartition(log.topic, log.partition)
        self.last_offset = -1
        self.is_settled = False  # everything sent was acknowledged by all who are asked
        self._compression = compression
        self._wanted_batch_bytes = batch_bytes
        self._batch = Gathered()  # native code looks for it by this name
        self.take_settings(settings)
        self.append: Append = log.append if compression is None else self._append_compressed
        self._lock = threading.Lock()
        self._is_ended = False

    def take_settings(self, settings: TopicConfig) -> None:
        """Go by these settings of the topic from now on."""
        self.sets_timestamps = settings.text("message.timestamp.type") == "LogAppendTime"
        self._batch_bytes = min(self._wanted_batch_bytes, settings.number("segment.bytes") // _BATCHES_A_SEGMENT)
        self._plain_bytes_max = record_bytes_max(settings)
        self._needs_keys = settings.is_compacted
        self._batch.is_open = False  # what comes next is looked at in Python, by these

    def _append_compressed(
        self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None
    ) -> int:
        return self.log.append_many(
            [value], keys=[key], headers=[headers], timestamps=[timestamp], compression=self._compression
        )[0]

    # --- batches -------------------------------------------------------------------------------------------

    def gather(
        self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None
    ) -> tuple[Gathered, int]:
        """Let a record wait; returns its batch and its place there. Native code does the same for plain ones behind others.

        What is wrong with it is raised here, before it is accepted; and so is what keeps a full batch from being appended."""
        headers = _as_they_stand(headers)  # the caller may change a list before it is appended
        is_timed = timestamp is None or (type(timestamp) is int and 0 <= timestamp < 2**63)
        is_keyed = not self._needs_keys if key is None else type(key) is bytes
        is_plain = type(value) is bytes and is_keyed and headers is None and is_timed
        if not is_plain or (size := len(value or b"") + len(key or b"") + _OVERHEAD_BYTES) > self._plain_bytes_max:
            size = check_record(self.log, value, key, headers, timestamp)
        with self._lock:
            if self._is_ended:
                raise StoreClosedError(f"the producer of {self.topic_partition} is closed")
            self._leave_appended()
            if self._batch.size_bytes + size > self._batch_bytes:
                self._append_batch()
            batch = self._batch
            place = batch.add(value, key, headers, timestamp, size)
            if size > self._batch_bytes:
                self._append_alone()
            return batch, place

    def admit(self, batch: Gathered) -> None:
        """Let native code add to a batch from now on. The lingering thread has been told that something waits in it."""
        with self._lock:
            if batch is self._batch and batch.count > 0 and not self._is_ended:
                batch.bytes_max = self._batch_bytes
                batch.record_bytes_max = self._plain_bytes_max
                batch.needs_keys = self._needs_keys
                batch.is_open = True

    def _append_alone(self) -> None:
        """Append a record that fills a batch by itself; on an error it was not accepted."""
        try:
            self._append_batch()
        except BaseException:
            self._batch = Gathered()
            raise

    def sent(self, offset: int) -> None:
        """A record of this producer has this offset; calls of several threads may come in any order."""
        with self._lock:
            self.last_offset = max(self.last_offset, offset)

    def append_waiting(self) -> None:
        """Append what is waiting. On an error it goes on waiting, and the call may be repeated."""
        with self._lock:
            self._append_batch()

    def flush(self) -> None:
        """Bring what was sent to the disk. Where the topic was deleted, there is nothing left of it."""
        if self.last_offset >= 0:
            with suppress(TopicNotFoundError):
                self.log.flush()

    def end(self) -> None:
        """Append what is waiting, and let nothing wait any more."""
        with self._lock:
            self._is_ended = True
            self._append_batch()

    def leave_to_parent(self) -> None:
        """In a forked child: a thread that is not there may have the lock."""
        self._lock = threading.Lock()

    @property
    def has_waiting(self) -> bool:
        """Is anything waiting?"""
        return self._batch.count > 0

    def _append_batch(self) -> None:
        self._leave_appended()
        batch = self._batch
        if batch.count == 0:
            return
        batch.is_open = False  # whoever sends meanwhile waits for the lock
        try:
            if self._compression is not None or not batch.append(self.append):
                append_placed(
                    self.log, batch.values, batch.keys, batch.headers, batch.timestamps,
                    compression=self._compression, address=batch.address,
                )  # fmt: skip
        except TopicNotFoundError:
            raise self._lose(batch) from None
        except StoreClosedError:
            raise StoreClosedError(
                f"{batch.count} records for {self.topic_partition} were waiting when the store was closed, and are lost"
            ) from None
        finally:
            self._leave_appended()
        with suppress(TopicNotFoundError):  # what was appended went with the topic
            flush_if_always(self.log, self.last_offset + 1)

    def _leave_appended(self) -> None:
        """Begin a new batch if this one is in the log. An interrupt anywhere leaves what the next call can go on from."""
        batch = self._batch
        if batch.first_offset is None:
            return
        last_offset = batch.first_offset + batch.count - 1
        if last_offset > self.last_offset:
            self.last_offset = last_offset
        batch.forget()
        self._batch = Gathered()

    def _lose(self, batch: Gathered) -> TopicNotFoundError:
        text = f"{batch.count} records for {self.topic_partition} were waiting when the topic was deleted, and are lost"
        batch.loss = TopicNotFoundError(text)
        self._batch = Gathered()
        batch.forget()
        return TopicNotFoundError(text)  # another one, because what is raised refers to all callers


def _as_they_stand(headers: Headers | None) -> Headers | None:
    """A copy of the items as native code finds them: what a subclass says of itself is not asked."""
    if isinstance(headers, list):
        return tuple(list.__iter__(headers))
    return tuple(tuple.__iter__(headers)) if isinstance(headers, tuple) else headers
