"""Appending through a producer of librdkafka, and what became of each record."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from eventlog.background import BackgroundThread
from eventlog.errors import EventLogError, NotSupportedError, RecordTooLargeError, UnavailableError
from eventlog.kafka.cluster import Cluster
from eventlog.kafka.failures import is_named, of_kafka
from eventlog.records.record import TopicPartition

_SLICE_SECONDS = 0.1  # the thread that hears of deliveries notices the end so soon
_SLACK_SECONDS = 2.0  # librdkafka itself gives up a record that takes too long
_LINGER_MS_MAX = 900_000  # of librdkafka
_UNIT_RECORDS_MAX = 1_000_000
_UNIT_BYTES_MAX = 1_000_000_000

# The broker knows how large a record may be, and says so.
_SETTINGS = {
    "enable.idempotence": True,  # which is also acks=all: a record that was acknowledged survives the loss of a broker
    "message.max.bytes": _UNIT_BYTES_MAX,
    "queue.buffering.max.messages": _UNIT_RECORDS_MAX,
}


class NewRecord(NamedTuple):
    """A record that was checked, to be appended to a partition."""

    value: bytes | None
    key: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp: int


class Delivery:
    """What became of one record: `offset` and `timestamp` once it is in the log, `error` once it will not be."""

    __slots__ = ("error", "offset", "timestamp")

    def __init__(self) -> None:
        self.offset: int | None = None
        self.timestamp = -1
        self.error: EventLogError | None = None

    @property
    def is_done(self) -> bool:
        """Is it known?"""
        return self.offset is not None or self.error is not None

    def settled_offset(self) -> int:
        """The offset of a record that is done. Raises the reason why it is not in the log."""
        if self.error is not None:
            raise type(self.error)(*self.error.args)
        assert self.offset is not None
        return self.offset


class Sender:
    """A producer of librdkafka, and the thread that hears of its deliveries. Safe for several threads.

    `linger_ms`, `batch_bytes` and `compression` are as for `contract.Log.producer`. `heard` is called, by that thread, for
    each record that is in the log. `more` are further settings of librdkafka."""

    def __init__(
        self,
        cluster: Cluster,
        linger_ms: int = 0,
        batch_bytes: int = 1_000_000,
        compression: str | None = None,
        heard: Callable[[TopicPartition, int], object] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        self._cluster = cluster
        self._heard = heard
        self._changed = threading.Condition()
        self._waiting = 0  # how many threads wait for deliveries
        self._under_way = 0
        self._failures = 0  # of records that lingered; the first of them is told
        self._first_failure: EventLogError | None = None
        self._is_stopped = False
        delivery_ms = round(cluster.address.delivery_seconds * 1000)
        linger_ms = min(linger_ms, _LINGER_MS_MAX)
        settings = {"linger.ms": linger_ms, "batch.size": batch_bytes, "message.timeout.ms": linger_ms + delivery_ms}
        self._lingers = linger_ms > 0
        compressed = {"compression.type": compression} if compression else {}
        self._producer = _producer(cluster, {**settings, **compressed, **(more or {})})
        self._thread = BackgroundThread("eventlog-kafka-deliveries", self._hear)
        self._thread.start()

    def send(self, partition: TopicPartition, record: NewRecord) -> Delivery:
        """Give a record to librdkafka, which appends it at once or after lingering. Waits where its queue is full; raises
        `UnavailableError` if it stays so, `RecordTooLargeError`."""
        delivery = Delivery()

        def delivered(error: Any, message: Any) -> None:
            self._note(partition, delivery, error, message)

        deadline = time.monotonic() + self._cluster.address.delivery_seconds
        with self._changed:
            self._under_way += 1
        try:
            while not self._accepts(partition, record, delivered):
                self._cluster.check_usable()
                if time.monotonic() > deadline:
                    raise self._unavailable(partition, "the record was not appended: the queue is full of earlier ones")
                with suppress(self._cluster.library.KafkaException):
                    self._producer.flush(_SLICE_SECONDS)
        except BaseException:
            with self._changed:
                self._under_way -= 1
            raise
        return delivery

    def _accepts(self, partition: TopicPartition, record: NewRecord, delivered: Callable[[Any, Any], None]) -> bool:
        try:
            _produce(self._cluster, self._producer, partition, record, delivered)
        except BufferError:
            return False
        except self._cluster.library.KafkaException as error:
            raise of_kafka(f"{partition}: a record cannot be appended", error) from error
        return True

    def _note(self, partition: TopicPartition, delivery: Delivery, error: Any, message: Any) -> None:
        """What librdkafka says of a record."""
        if error is None:
            delivery.timestamp = message.timestamp()[1]
            delivery.offset = message.offset()
            if self._heard is not None:
                self._heard(partition, message.offset())
        else:
            delivery.error = _failure(self._cluster, partition, error)
        with self._changed:
            self._under_way -= 1
            if delivery.error is not None and self._lingers:
                self._failures += 1
                self._first_failure = self._first_failure or delivery.error
            if self._waiting:
                self._changed.notify_all()

    def _hear(self) -> None:
        producer = self._producer
        while not self._is_stopped:
            with suppress(self._cluster.library.KafkaException):  # that it can do nothing any more, which each call says
                producer.poll(_SLICE_SECONDS)

    def settle(self, partition: TopicPartition, delivery: Delivery) -> int:
        """The offset of a record, once it is in the log; lingering ends for it. Raises why it cannot be there."""
        if not delivery.is_done:
            self._wait_until(lambda: delivery.is_done, partition)
        return delivery.settled_offset()

    def flush(self) -> None:
        """Return once everything that was sent is in the log. Raises the errors of lingering records that cannot be there."""
        self._wait_until(lambda: self._under_way == 0, None)
        failure = self.take_failure()
        if failure is not None:
            raise failure

    def take_failure(self) -> EventLogError | None:
        """Why lingering records are not in the log, if there are such; each is returned once."""
        with self._changed:
            first, count = self._first_failure, self._failures
            self._first_failure, self._failures = None, 0
        return first and type(first)(f"{first}{f' (and {count - 1} more records)' if count > 1 else ''}")

    def forget_failures(self) -> None:
        """Records that are not in the log are no failure: they were to be dropped. Returns once all are settled."""
        self._wait_until(lambda: self._under_way == 0, None)
        self.take_failure()

    def use(self, step: Callable[..., object], *arguments: object) -> None:
        """Call a function with the producer of librdkafka. Raises what that raises."""
        step(self._producer, *arguments)

    def _wait_until(self, condition: Callable[[], bool], partition: TopicPartition | None) -> None:
        deadline = time.monotonic() + self._cluster.address.delivery_seconds + _SLACK_SECONDS
        while not self._waited(condition):
            self._cluster.check_usable()
            if time.monotonic() > deadline:
                raise self._unavailable(partition, "what was sent may be appended yet: call again")

    def _waited(self, condition: Callable[[], bool]) -> bool:
        if self._lingers and not condition():
            with suppress(self._cluster.library.KafkaException):
                self._producer.flush(_SLICE_SECONDS)  # only while this runs, records do not linger
        with self._changed:
            self._waiting += 1
            try:
                return self._changed.wait_for(condition, 0 if self._lingers else _SLICE_SECONDS)
            finally:
                self._waiting -= 1

    def _unavailable(self, partition: TopicPartition | None, note: str) -> UnavailableError:
        seconds = self._cluster.address.delivery_seconds
        trouble = f" ({self._cluster.trouble})" if self._cluster.trouble else ""
        where = partition or self._cluster
        return UnavailableError(f"{where}: no broker has acknowledged within {seconds:g} s{trouble}; {note}")

    def close(self) -> None:
        """End. What was not appended by now is given up."""
        self._is_stopped = True
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()
        producer = self.__dict__.pop("_producer", None)
        if producer is not None:
            self._cluster.drop(producer, producer.purge)


class UnitAppender:
    """Appends several records as one batch, so that all become visible at once. Units of one log go one after the other."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._producer: Any = None

    def append(self, partition: TopicPartition, records: Sequence[NewRecord]) -> range:
        """Append records, and return their offsets. Raises `RecordTooLargeError` if they do not fit into one batch."""
        if len(records) > _UNIT_RECORDS_MAX:
            raise RecordTooLargeError(f"a unit has {len(records)} records, and a batch at most {_UNIT_RECORDS_MAX}")
        with self._lock:
            self._cluster.check_usable()
            deliveries: list[tuple[Any, int]] = []
            self._produce(partition, records, lambda error, message: deliveries.append((error, message.offset())))
            # Records wait until now, so librdkafka makes one batch of them.
            self._producer.flush(self._cluster.address.delivery_seconds + _SLACK_SECONDS)
            return self._offsets(partition, len(records), deliveries)

    def _produce(
        self, partition: TopicPartition, records: Sequence[NewRecord], delivered: Callable[[Any, Any], None]
    ) -> None:
        producer = self._opened()
        try:
            for record in records:
                _produce(self._cluster, producer, partition, record, delivered)
        except BaseException as error:
            self._drop()  # with what it was given: nothing of it was sent
            if isinstance(error, BufferError):
                raise RecordTooLargeError(f"{partition}: a unit of {len(records)} records does not fit into a batch") from None
            if isinstance(error, self._cluster.library.KafkaException):
                raise of_kafka(f"{partition}: a unit of records cannot be appended", error) from error
            raise

    def _opened(self) -> Any:
        if self._producer is None:
            delivery_ms = round(self._cluster.address.delivery_seconds * 1000)
            lingering = {"linger.ms": min(delivery_ms - 1, _LINGER_MS_MAX), "message.timeout.ms": delivery_ms}
            batch = {"batch.num.messages": _UNIT_RECORDS_MAX, "batch.size": 2**31 - 1}
            self._producer = _producer(self._cluster, {**lingering, **batch, "sticky.partitioning.linger.ms": 0})
        return self._producer

    def _drop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            self._cluster.drop(producer, producer.purge)

    def _offsets(self, partition: TopicPartition, count: int, deliveries: list[tuple[Any, int]]) -> range:
        failure = next((error for error, _ in deliveries if error is not None), None)
        if failure is not None or len(deliveries) < count:
            if failure is None or failure.fatal():
                self._drop()
            if failure is None:
                raise self._cluster.unavailable(f"{partition}", "; whether the records were appended is not known")
            raise _failure(self._cluster, partition, failure)
        first = deliveries[0][1]
        if [offset for _, offset in deliveries] != list(range(first, first + count)):
            raise NotSupportedError(f"{partition}: the records from offset {first} on were appended, but not as one unit")
        return range(first, first + count)

    def close(self) -> None:
        """End, after an append that is under way."""
        with self._lock:
            self._drop()


def _producer(cluster: Cluster, settings: dict[str, Any]) -> Any:
    """A producer that has its id. Without these requests librdkafka takes half a second for it."""
    producer = cluster.client(cluster.library.Producer, {**_SETTINGS, **settings})
    try:
        for _ in range(2):
            producer.list_topics(timeout=cluster.seconds)
    except cluster.library.KafkaException as error:
        cluster.drop(producer)
        raise cluster.failed("a producer cannot be made", error) from error
    return producer


def _produce(
    cluster: Cluster, producer: Any, partition: TopicPartition, record: NewRecord, delivered: Callable[[Any, Any], None]
) -> None:
    topic, number = partition
    value, key, headers, timestamp = record
    options = {"on_delivery": delivered, "timestamp": timestamp, "headers": headers or None}
    try:
        producer.produce(topic, value, key, number, **options)
    except cluster.library.KafkaException as error:
        if not is_named(error, "_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC"):
            raise
        producer.list_topics(topic, timeout=cluster.seconds)  # it has not heard yet of what was added
        producer.produce(topic, value, key, number, **options)


def _failure(cluster: Cluster, partition: TopicPartition, error: Any) -> EventLogError:
    found = of_kafka(f"{partition}: the record was not appended", error)
    if not isinstance(found, UnavailableError):
        return found
    seconds = cluster.address.delivery_seconds
    trouble = f" ({cluster.trouble})" if cluster.trouble else ""
    return UnavailableError(
        f"{partition}: no broker has acknowledged the record within {seconds:g} s{trouble}; it may have been appended or not"
    )
