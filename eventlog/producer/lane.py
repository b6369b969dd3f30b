"""A producer's way into one partition: at once, or gathered into batches."""

from __future__ import annotations

import threading
from collections.abc import Callable

from eventlog.errors import StoreClosedError
from eventlog.groups.registry import Groups
from eventlog.records.batch import Headers
from eventlog.records.record import TopicPartition
from eventlog.storage.partition import Partition, check_record

Append = Callable[[bytes | None, bytes | None, Headers | None, int | None], int]

_RECORD_OVERHEAD_BYTES = 16  # a record's own fields, roughly; a batch is bounded by it, not measured
_PLAIN_BYTES_MAX = 64  # no topic's max.message.bytes forbids a smaller record


class Lane:
    """One partition as a producer has it. `last_offset` is the last offset that the producer knows to be its own."""

    def __init__(self, groups: Groups, log: Partition, compression: str | None) -> None:
        self.groups = groups
        self.log = log
        self.topic_partition = TopicPartition(log.topic, log.partition)
        self.last_offset = -1
        self.is_settled = False  # everything sent was acknowledged by all who are asked
        self._compression = compression
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
        headers = None if headers is None else tuple(headers)
        size = self._checked_size(value, key, headers, timestamp)
        with self._lock:
            if self._batch.values and self._batch.bytes + size > batch_bytes:
                self._append_batch()
            batch = self._batch
            batch.add(value, key, headers, timestamp, size)
            if size > batch_bytes:
                try:
                    self._append_batch()
                except BaseException:
                    self._batch = Batch()  # the record alone: it was not accepted
                    raise
            return batch, len(batch.values) - 1

    def _checked_size(
        self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None
    ) -> int:
        is_plain = headers is None and timestamp is None and type(value) is bytes and (key is None or type(key) is bytes)
        size = (len(value) if value else 0) + (len(key) if key else 0) + _RECORD_OVERHEAD_BYTES
        if not is_plain or size > _PLAIN_BYTES_MAX:
            check_record(self.log, value, key, headers, timestamp)
            size += sum(len(name) + len(content or b"") for name, content in headers or ())
        return size

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
        return bool(self._batch.values)

    def _append_batch(self) -> None:
        batch = self._batch
        if not batch.values:
            return
        try:
            offsets = self.log.append_many(
                batch.values,
                keys=batch.keys,
                headers=batch.headers,
                timestamps=batch.timestamps,
                compression=self._compression,
            )
        except StoreClosedError:
            raise StoreClosedError(
                f"{len(batch.values)} records for {self.topic_partition} were waiting when the store was closed, and are lost"
            ) from None
        batch.first_offset = offsets[0]
        self._batch = Batch()
        self.last_offset = max(self.last_offset, offsets[-1])


class Batch:
    """Records that wait to be appended together; `first_offset` is known once they are."""

    def __init__(self) -> None:
        self.values: list[bytes | None] = []
        self.keys: list[bytes | None] = []
        self.headers: list[Headers | None] = []
        self.timestamps: list[int | None] = []
        self.bytes = 0
        self.first_offset: int | None = None

    def add(
        self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None, size: int
    ) -> None:
        """Take in one record more."""
        self.values.append(value)
        self.keys.append(key)
        self.headers.append(headers)
        self.timestamps.append(timestamp)
        self.bytes += size
