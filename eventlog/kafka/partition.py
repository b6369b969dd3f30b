"""One partition of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from eventlog.clock import Time, as_timestamp
from eventlog.errors import InvalidArgumentError, InvalidTypeError, NotSupportedError, OffsetOutOfRangeError
from eventlog.kafka.checks import check_bytes, check_headers, check_timestamp
from eventlog.kafka.cluster import Cluster
from eventlog.kafka.library import library
from eventlog.kafka.reading import Readers
from eventlog.kafka.sending import NewRecord, Sender, UnitAppender
from eventlog.options import check_bool, check_number, check_offset, check_timeout
from eventlog.records.record import Record, TopicPartition

if TYPE_CHECKING:
    from eventlog.records.batch import Headers

_CHUNK_RECORDS = 1000
_RECORDS_MAX = 2**31 - 1


class KafkaPartition:
    """As `contract.Partition`. Safe for several threads. Created by `KafkaLog.partition`.

    Every record is durable as soon as it is visible, so `durable` changes nothing. `append` and `append_many` cost a round
    trip, and `read` some more; what is read belongs to no transaction, or to one that was committed."""

    def __init__(
        self,
        cluster: Cluster,
        topic_partition: TopicPartition,
        readers: Readers,
        units: UnitAppender,
        sender: Callable[[], Sender],
    ) -> None:
        self._cluster = cluster
        self._self = topic_partition
        self._readers = readers
        self._units = units
        self._sender = sender

    def __repr__(self) -> str:
        return f"<partition {self._self} of {self._cluster}>"

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._self.topic

    @property
    def partition(self) -> int:
        """The partition's number."""
        return self._self.partition

    @property
    def start_offset(self) -> int:
        """As `contract.Partition.start_offset`."""
        return self._cluster.starts([self._self])[self._self]

    @property
    def end_offset(self) -> int:
        """As `contract.Partition.end_offset`."""
        return self._cluster.ends([self._self])[self._self]

    @property
    def durable_offset(self) -> int:
        """The end: consumers see a record once all replicas that are in sync have it."""
        return self.end_offset

    # --- appending -----------------------------------------------------------------------------------------

    def append(
        self,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers | None = None,
        timestamp: Time | None = None,
        *,
        expected_end_offset: int | None = None,
    ) -> int:
        """As `contract.Partition.append`. Raises `NotSupportedError` for `expected_end_offset`, which brokers do not check, and
        for the timestamp 0; `UnavailableError`."""
        _refuse_condition(expected_end_offset)
        record = _new_record(value, key, headers, timestamp)
        self._cluster.check_usable()
        sender = self._sender()
        return sender.settle(self._self, sender.send(self._self, record))

    def append_many(
        self,
        values: Sequence[bytes | None],
        *,
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
        timestamps: Sequence[Time | None] | None = None,
        expected_end_offset: int | None = None,
    ) -> range:
        """As `contract.Partition.append_many`: one batch, which has to fit into `max.message.bytes`. Raises what `append`
        raises."""
        _refuse_condition(expected_end_offset)
        columns = [_column(name, items) for name, items in (("values", values), ("keys", keys), ("headers", headers))]
        columns.append(_column("timestamps", timestamps))
        count = len(columns[0] or ())
        for name, column in zip(("keys", "headers", "timestamps"), columns[1:], strict=True):
            if column is not None and len(column) != count:
                raise InvalidArgumentError(f"{name} has {len(column)} items for {count} values")
        rows = zip(*([None] * count if column is None else column for column in columns), strict=True)
        records = [_new_record(*row) for row in rows]
        self._cluster.check_usable()
        return self._units.append(self._self, records) if records else range(0)

    # --- reading -------------------------------------------------------------------------------------------

    def read(self, offset: int, max_records: int = 500, *, durable: bool = False) -> list[Record]:
        """As `contract.Partition.read`."""
        self._cluster.check_usable()
        _check_position(self._self, offset)
        check_number("max_records", max_records, 1, _RECORDS_MAX)
        check_bool("durable", durable)
        return self._readers.read(self._self, offset, max_records)

    def values(self, start: int | None = None, stop: int | None = None) -> Iterator[bytes | None]:
        """As `contract.Partition.values`."""
        return (record.value for record in self.records(start, stop))

    def records(self, start: int | None = None, stop: int | None = None) -> Iterator[Record]:
        """As `contract.Partition.records`."""
        self._cluster.check_usable()
        begin, end = self.start_offset, self.end_offset
        following = begin if start is None else _check_position(self._self, start)
        if not begin <= following <= end:
            raise OffsetOutOfRangeError(str(self._self), following, begin, end)
        return self._records(following, end if stop is None else min(check_offset(stop), end))

    def _records(self, following: int, stop: int) -> Iterator[Record]:
        while following < stop:
            found = self._readers.read(self._self, following, min(_CHUNK_RECORDS, stop - following))
            for record in found:
                if record.offset >= stop:
                    return
                yield record
            if not found:
                return
            following = found[-1].offset + 1

    def offset_for_time(self, timestamp: Time) -> int | None:
        """As `contract.Partition.offset_for_time`."""
        found = check_number("timestamp", as_timestamp(timestamp), 0, 2**63 - 1)
        return self._cluster.offsets_for_time([self._self], found)[self._self]

    def wait(self, offset: int, timeout: float | None = None, *, durable: bool = False) -> bool:
        """As `contract.Partition.wait`; the broker is asked again and again, five times a second if it takes long."""
        check_offset(offset)
        check_timeout(timeout)
        check_bool("durable", durable)
        return self._cluster.wait_until(lambda: self.end_offset > offset, timeout)

    # --- the rest ------------------------------------------------------------------------------------------

    def delete_records(self, before: int) -> int:
        """As `contract.Partition.delete_records`."""
        start, end = self.start_offset, self.end_offset
        if not start <= _check_position(self._self, before) <= end:
            raise OffsetOutOfRangeError(str(self._self), before, start, end)
        request = [library().TopicPartition(*self._self, before)]
        limits = {"operation_timeout": self._cluster.seconds, "request_timeout": self._cluster.seconds}
        futures = self._cluster.admin.delete_records(request, **limits)
        (deleted,) = self._cluster.results(f"the records of {self._self} cannot be deleted", futures).values()
        return int(deleted.low_watermark)

    def flush(self) -> None:
        """As `contract.Partition.flush`: what was appended is durable already."""
        self._cluster.check_usable()


def _refuse_condition(expected_end_offset: int | None) -> None:
    if expected_end_offset is not None:
        raise NotSupportedError(
            "expected_end_offset: Kafka's brokers cannot make an append depend on where the log ends; nothing was appended. "
            "Let one producer own the partition, or use a store in a directory"
        )


def _new_record(value: Any, key: Any, headers: Any, timestamp: Any) -> NewRecord:
    return NewRecord(
        check_bytes("a value", value), check_bytes("a key", key), check_headers(headers), check_timestamp(timestamp)
    )


def _column(name: str, items: Any) -> list[Any] | None:
    if items is None and name != "values":
        return None
    if isinstance(items, str | bytes | bytearray | memoryview | Mapping | Set) or not hasattr(items, "__iter__"):
        raise InvalidTypeError(f"{name} must be a list with one item for each record, not {type(items).__name__}")
    return list(items)


def _check_position(partition: TopicPartition, offset: object) -> int:
    """An offset; one before 0 is out of range, whatever the partition has."""
    if isinstance(offset, int) and not isinstance(offset, bool) and offset < 0:
        raise OffsetOutOfRangeError(str(partition), offset, 0, 2**63 - 1)
    return check_offset(offset)
