"""The way of one source partition into Kafka: transactions with the source offset, of a producer that fences its predecessor.

Records and the offset behind them become visible together or not at all. So the offset that Kafka has for the source partition
is where to go on, whatever died in between. An error ends a lane: the next one of the same name goes on from that offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from eventlog.background import BackgroundThread
from eventlog.bridges.endpoints import Outcomes, Refusal
from eventlog.bridges.kafka.cluster import SECONDS_MAX, Cluster, FoundTopic
from eventlog.bridges.message import OFFSET_HEADER, SOURCE_HEADER, without_bookkeeping
from eventlog.errors import ConnectionLostError
from eventlog.records.record import Record

_PARTITIONER = "murmur2_random"  # what Java's clients do with a key; librdkafka's own default is another
_OF_THE_KEY = -1
_TRANSACTION_MS = 60_000
_COMMIT_SECONDS_MAX = 2.5 * SECONDS_MAX  # two requests; librdkafka keeps to its own limits, but for what `_commit` says
_QUEUE_MESSAGES = 100_000
_QUEUE_KIBIBYTES = 65_536
_BATCH_OVERHEAD_BYTES = 512  # what a batch of one record has beside its key, value and headers
_MESSAGE_BYTES_MIN, _MESSAGE_BYTES_MAX = 1_000, 1_000_000_000  # librdkafka's limits
_REFUSALS = frozenset(
    (
        "MSG_SIZE_TOO_LARGE", "INVALID_MSG_SIZE", "INVALID_RECORD", "INVALID_TIMESTAMP",
        "POLICY_VIOLATION", "RECORD_LIST_TOO_LARGE",
    )
)  # fmt: skip


class Lane:
    """One source partition on its way to a topic. Not for several threads; an error of a method ends it.

    `position` is the offset of the next source record that Kafka does not have; None if it knows nothing of this source."""

    def __init__(
        self, cluster: Cluster, target: FoundTopic, partition: int, name: str, *, by_key: bool, stamp: str = ""
    ) -> None:
        """`name` is the group in which Kafka keeps the positions of all partitions of the source. Fences the lane that had
        it. Each record keeps the number of its partition, or its key decides, as in Kafka's clients. With a `stamp`, the name
        of the source, headers say where each record comes from."""
        self._topic = target.name
        name, self._number = _kept_in(target, partition, name)
        self._partition = _OF_THE_KEY if by_key else partition
        self._stamp = stamp.encode()
        self._under_way: list[Record] = []
        self._is_to_repeat = False  # what is under way is not in the open transaction
        self._has_begun = False
        self._is_stuck = False
        self._failure: KafkaError | None = None
        settings = {**self._settings(target), "transactional.id": f"{name}-{self._number}"}
        self._producer = cluster.producer({"partitioner": _PARTITIONER, **cluster.settings, **settings})
        self._producer.init_transactions(SECONDS_MAX)
        self.position: int | None
        self.position, self._group = _position(cluster, target, self._number, name)

    def _settings(self, target: FoundTopic) -> dict[str, object]:
        bytes_max = min(max(target.message_bytes_max, _MESSAGE_BYTES_MIN), _MESSAGE_BYTES_MAX)
        return {
            "transaction.timeout.ms": _TRANSACTION_MS,
            "message.max.bytes": bytes_max,
            "batch.size": min(1_000_000, max(1, bytes_max - _BATCH_OVERHEAD_BYTES)),
            "queue.buffering.max.messages": _QUEUE_MESSAGES,
            "queue.buffering.max.kbytes": _QUEUE_KIBIBYTES,
            "delivery.report.only.error": True,
            "on_delivery": self._not_delivered,
        }

    @property
    def under_way(self) -> int:
        """How many records are neither confirmed nor refused."""
        return len(self._under_way)

    def send(self, records: Sequence[Record]) -> None:
        """Put records into the open transaction, in the order of their offsets; one is begun if there is none."""
        self._under_way += records
        if not self._is_to_repeat:
            self._produce(records)

    def finish(self) -> Outcomes:
        """Commit what is under way: then it is in Kafka, and `position` behind it.

        If Kafka refuses a record for good, all before it is committed. What comes after it is committed by the next call: by
        then the refused record must be taken care of, because `position` moves past it."""
        records, self._under_way = self._under_way, []
        if self._is_to_repeat:
            self._is_to_repeat = False
            self._produce(records)
        if self._end(records):
            return Outcomes(records)
        count = self._commit_before_the_refused(records)
        if count == len(records):
            return Outcomes(records)
        assert self._failure is not None
        refusal = Refusal(records[count], self._failure.str())
        self._under_way = records[count + 1 :]
        self._is_to_repeat = True
        return Outcomes(records[:count], [refusal])

    def close(self) -> None:
        """Forget what is under way. Kafka aborts it when the next lane of this name comes, or after its timeout."""
        self._under_way = []
        if not self._is_stuck:
            with suppress(KafkaException, RuntimeError):
                self._producer.purge()
        self._producer = None

    def _produce(self, records: Sequence[Record]) -> None:
        if not self._has_begun:
            self._producer.begin_transaction()
            self._has_begun = True
            self._failure = None
        queued = 0
        while queued < len(records) and self._failure is None:
            try:
                queued += self._queue(records[queued:])
                if queued < len(records):
                    self._producer.poll(1.0)
            except KafkaException as error:
                self._note(error.args[0])

    def _queue(self, records: Sequence[Record]) -> int:
        """Hand records to the producer, as many as its queue has room for; returns how many."""
        produce, topic, partition, stamp = self._producer.produce, self._topic, self._partition, self._stamp
        queued = 0
        with suppress(BufferError):
            for _, _, offset, timestamp, key, value, given in records:
                headers = list(without_bookkeeping(given)) if given else []
                if stamp:
                    headers += [(SOURCE_HEADER, stamp), (OFFSET_HEADER, b"%d" % offset)]
                # A timestamp of 0 would mean "now" to librdkafka: 1 is nearer to the truth.
                produce(topic, value, key, partition, timestamp=timestamp if timestamp > 0 else 1, headers=headers)
                queued += 1
        return queued

    def _end(self, records: Sequence[Record]) -> bool:
        """Commit; or abort, and return False, because Kafka refused a record."""
        self._has_begun = False
        if self._failure is None:
            position = records[-1].offset + 1
            offset = TopicPartition(self._topic, self._number, position)
            try:
                self._commit(offset)
                self.position = position
                return True
            except KafkaException as error:
                self._note(error.args[0])
        if self._failure is None or self._failure.name() not in _REFUSALS:
            raise KafkaException(self._failure)
        self._producer.abort_transaction(SECONDS_MAX)
        return False

    def _commit(self, offset: TopicPartition) -> None:
        """Commit the open transaction with this offset.

        After the coordinator has ended and come back, `send_offsets_to_transaction` of librdkafka (2.16) may wait for ever,
        whatever its timeout is. Such a producer is left to the thread that waits in it; the next lane fences it."""
        producer, group = self._producer, self._group
        failures: list[Exception] = []

        def commit() -> None:
            try:
                producer.send_offsets_to_transaction([offset], group, SECONDS_MAX)
                producer.commit_transaction(SECONDS_MAX)
            except Exception as error:
                failures.append(error)

        thread = BackgroundThread("eventlog-kafka-commit", commit)
        thread.start()
        thread.join(_COMMIT_SECONDS_MAX)
        if thread.is_alive():
            self._is_stuck = True
            raise ConnectionLostError(f"{self._topic}: the cluster did not commit within {_COMMIT_SECONDS_MAX:g} s")
        if failures:
            raise failures[0]

    def _commit_before_the_refused(self, records: Sequence[Record]) -> int:
        """How many records are before the one that is refused, after committing them. It is found by halves, because the
        whole batch fails with it."""
        low, high = 0, len(records)  # those before low are committed, and one before high is refused
        while low < len(records):
            middle = low + max(1, (high - low) // 2)
            self._produce(records[low:middle])
            if self._end(records[low:middle]):
                low = middle
                high = high if low < high else len(records)
            elif middle == low + 1:
                break
            else:
                high = middle
        return low

    def _not_delivered(self, error: KafkaError | None, message: Any) -> None:
        """Called by librdkafka, from within methods of the producer, for each record that it could not deliver."""
        if error is not None:
            self._note(error)

    def _note(self, error: KafkaError) -> None:
        """The first error is the cause; the others follow from it, such as that what was queued was not sent after an abort."""
        if self._failure is None and error.name() not in ("_PURGE_QUEUE", "_PURGE_INFLIGHT"):
            self._failure = error


def read_position(cluster: Cluster, target: FoundTopic, partition: int, name: str) -> int | None:
    """The position of the lane of this name, which goes on undisturbed."""
    return _position(cluster, target, partition, name)[0]


def _position(cluster: Cluster, target: FoundTopic, partition: int, name: str) -> tuple[int | None, Any]:
    """The position, and what tells the coordinator which group it belongs to."""
    name, number = _kept_in(target, partition, name)
    consumer = cluster.consumer({"group.id": name})
    try:
        found = consumer.committed([TopicPartition(target.name, number)], SECONDS_MAX)[0]
        if found.error is not None:
            raise KafkaException(found.error)
        return found.offset if found.offset >= 0 else None, consumer.consumer_group_metadata()
    finally:
        consumer.close()


def _kept_in(target: FoundTopic, partition: int, name: str) -> tuple[str, int]:
    """The group and the partition for which Kafka keeps the position: it keeps some only for partitions that it has."""
    rest, number = divmod(partition, target.partitions)
    return f"{name}-{rest}" if rest else name, number
