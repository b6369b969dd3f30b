"""A producer's way into one partition: at once, or gathered into batches."""

from __future__ import annotations

import threading
from collections.abc import Callable

from eventlog.errors import StoreClosedError
from eventlog.groups.registry import Groups
from eventlog.records.batch import Headers
from eventlog.records.record import TopicPartition
from eventlog.storage.partition import Partition, check_record, record_bytes_max

Append = Callable[[bytes | None, bytes | None, Headers | None, int | None], int]

_RECORD_OVERHEAD_BYTES = 16  # a record's own fields, roughly; a batch is bounded by it, not measured


class Lane:
    """One partition as a producer has it. `last_offset` is the last offset that the producer knows to be its own."""

    def __init__(self, groups: Groups, log: Partition, compression: str | None) -> None:
        self.groups = groups
        self.log = log
        self.topic_partition = TopicPartition(log.topic, log.partition)
        self.last_offset = -1
        self.is_settled = False  # everything sent was acknowledged by all who are asked
        self._compression = compression
        self._plain_bytes_max = record_bytes_max(log)
        self.append: Append = log.append if compression is None else self._append_compressed
        self._lock = threading.Lock()
        self._batch = Batch()

    def _append_compressed(
        self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None
    ) -> int:
        return self.log.append_many(
            [value], keys=[key], headers=[headers], timestamps=[timestamp], compression=self._compression
        )[0]

    # --- batches -------------------------------------------------------------------------------------------

    def gather(
        self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None, batch_bytes: int
    ) -> tuple[Batch, int]:
        """Let a record wait; returns its batch and its place there.

        What is wrong with it is raised here, before it is accepted; and so is what keeps a full batch from being appended."""
        is_plain = type(value) is bytes and (key is None or type(key) is bytes) and headers is None and timestamp is None
        size = (len(value) if value else 0) + (len(key) if key else 0) + _RECORD_OVERHEAD_BYTES
        if not is_plain or size > self._plain_bytes_max:
            headers = None if headers is None else tuple(headers)
            check_record(self.log, value, key, headers, timestamp)
            size += sum(len(name) + len(content or b"") for name, content in headers or ())
        with self._lock:
            batch = self._batch
            if batch.bytes + size > batch_bytes and batch.records:
                self._append_batch()
                batch = self._batch
            batch.records.append((value, key, headers, timestamp))
            batch.bytes += size
            if size > batch_bytes:
                self._append_alone(batch)
            return batch, len(batch.records) - 1

    def _append_alone(self, batch: Batch) -> None:
        """Append a record that fills a batch by itself; on an error it was not accepted."""
        try:
            self._append_batch()
        except BaseException:
            batch.records.clear()
            batch.bytes = 0
            raise

    def sent(self, offset: int) -> None:
        """A record of this producer has this offset; calls of several threads may come in any order."""
        with self._lock:
            self.last_offset = max(self.last_offset, offset)

    def append_waiting(self) -> None:
        """Append what is waiting. On an error it goes on waiting, and the call may be repeated."""
        with self._lock:
            self._append_batch()

    @property
    def has_waiting(self) -> bool:
        """Is anything waiting?"""
        return bool(self._batch.records)

    def _append_batch(self) -> None:
        batch = self._batch
        if not batch.records:
            return
        values, keys, headers, timestamps = map(list, zip(*batch.records, strict=True))
        try:
            offsets = self.log.append_many(
                values, keys=keys, headers=headers, timestamps=timestamps, compression=self._compression
            )
        except StoreClosedError:
            raise StoreClosedError(
                f"{len(values)} records for {self.topic_partition} were waiting when the store was closed, and are lost"
            ) from None
        batch.first_offset = offsets[0]
        self._batch = Batch()
        self.last_offset = max(self.last_offset, offsets[-1])


class Batch:
    """Records that wait to be appended together; `first_offset` is known once they are."""

    __slots__ = ("bytes", "first_offset", "records")

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None, Headers | None, int | None]] = []
        self.bytes = 0
        self.first_offset: int | None = None
