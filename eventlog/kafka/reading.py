"""Reading at any offset: consumers of librdkafka without a group, each at one position, which go from hand to hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

from eventlog.errors import OffsetOutOfRangeError
from eventlog.kafka.cluster import Cluster
from eventlog.records.record import Record, TopicPartition

_IDLE_MAX = 4
_SLICE_SECONDS = 0.1  # Ctrl-C and a close are noticed so soon
_SETTINGS = {
    "group.id": "eventlog",  # librdkafka wants one; it joins none and commits nothing
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "fetch.wait.max.ms": 20,  # an end is reached soon: nobody waits here for what will come
    "fetch.queue.backoff.ms": 5,
    "queued.max.messages.kbytes": 16_384,
}


def as_record(message: Any) -> Record:
    """A message of librdkafka as a record."""
    headers = tuple(message.headers() or ())
    timestamp = message.timestamp()[1]
    return Record(
        message.topic(), message.partition(), message.offset(), timestamp, message.key(), message.value(), headers
    )


class _Reader:
    """One consumer. `position` is the partition and the offset of the record that comes next."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.consumer = cluster.client(cluster.library.Consumer, _SETTINGS)
        self.position: tuple[TopicPartition, int] | None = None

    def read(self, partition: TopicPartition, offset: int, max_records: int, end: int) -> list[Record]:
        """Up to `max_records` records from `offset` on, in front of `end` if there are any."""
        if self.position != (partition, offset):
            self.consumer.assign([self._cluster.library.TopicPartition(*partition, offset)])
        self.position = None  # until it is known
        records: list[Record] = []
        following = offset
        deadline = time.monotonic() + self._cluster.seconds
        while len(records) < max_records and following < end:
            found, is_at_end = self._records(max_records - len(records), partition, following, end)
            records += found
            if found:
                following = found[-1].offset + 1
                deadline = time.monotonic() + self._cluster.seconds
            if is_at_end:
                following = max(following, end)  # in between are only the ends of transactions, and what they aborted
                break
            if time.monotonic() > deadline:
                raise self._cluster.unavailable(f"{partition} cannot be read at offset {following}")
        self.position = partition, following
        return records

    def _records(self, count: int, partition: TopicPartition, offset: int, end: int) -> tuple[list[Record], bool]:
        self._cluster.check_usable()
        first = self.consumer.poll(_SLICE_SECONDS)
        if first is None:
            return [], False
        records = []
        for message in [first, *(self.consumer.consume(count - 1, 0) if count > 1 else ())]:
            error = message.error()
            if error is None:
                records.append(as_record(message))
            elif error.name() == "_PARTITION_EOF":
                if message.offset() >= end:  # else it is the end of an earlier read
                    return records, True
            elif error.name() == "_AUTO_OFFSET_RESET":
                start = self._cluster.starts([partition])[partition]
                raise OffsetOutOfRangeError(str(partition), offset, start, end)
            else:
                raise self._cluster.failed(f"{partition} cannot be read", self._cluster.library.KafkaException(error))
        return records, False


class Readers:
    """The readers of a log that nobody uses now. Safe for several threads."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._idle: list[_Reader] = []

    def read(self, partition: TopicPartition, offset: int, max_records: int) -> list[Record]:
        """Up to `max_records` records from `offset` on; [] at the end. Raises `OffsetOutOfRangeError`, `UnavailableError`."""
        start, end, readable = self._bounds(partition)
        if not start <= offset <= end:
            raise OffsetOutOfRangeError(str(partition), offset, start, end)
        if offset >= readable:
            return []
        reader = self._take(partition, offset) or _Reader(self._cluster)
        try:
            records = reader.read(partition, offset, max_records, readable)
        except BaseException:
            self._end([reader])
            raise
        self._give_back(reader)
        return records

    def _bounds(self, partition: TopicPartition) -> tuple[int, int, int]:
        """The start, the end, and the offset before which all transactions have ended. The start is asked for last, so that
        it is not before what another client has deleted meanwhile."""
        readable = self._cluster.ends([partition], is_committed=True)[partition]
        end = self._cluster.ends([partition])[partition]
        return self._cluster.starts([partition])[partition], end, readable

    def _take(self, partition: TopicPartition, offset: int) -> _Reader | None:
        """One that is at this position, else any."""
        with self._lock:
            at = next((each for each in self._idle if each.position == (partition, offset)), None)
            found = at or (self._idle[0] if self._idle else None)
            if found is not None:
                self._idle.remove(found)
            return found

    def _give_back(self, reader: _Reader) -> None:
        with self._lock:
            self._idle.append(reader)
            surplus = self._idle[:-_IDLE_MAX]
            del self._idle[:-_IDLE_MAX]
        self._end(surplus)

    def _end(self, readers: Iterable[_Reader]) -> None:
        for reader in readers:
            consumer = reader.consumer
            self._cluster.drop(consumer, consumer.close)

    def close(self) -> None:
        """End those that nobody uses now."""
        with self._lock:
            readers, self._idle = self._idle, []
        self._end(readers)
