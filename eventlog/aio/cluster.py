"""A cluster for tasks: what `eventlog.aio.open("kafka://…")` opens.

Each request to a cluster is a round trip, so threads make them, and tasks wait for these: a thread for each consumer, and some
for all else."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from re import Pattern
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, cast

from eventlog.aio.cluster_consumer import AsyncKafkaConsumer
from eventlog.aio.group import AsyncGroup
from eventlog.aio.producer import AckCallback, raise_of_callbacks
from eventlog.aio.requests import Requests
from eventlog.aio.scanning import scan
from eventlog.clock import Time
from eventlog.errors import EventLogError
from eventlog.groups.group import Group, GroupDescription
from eventlog.hub import Worker
from eventlog.kafka.log import KafkaLog
from eventlog.kafka.partition import KafkaPartition
from eventlog.kafka.producer import KafkaProducer, KafkaReceipt
from eventlog.kafka.topics import KafkaTopic
from eventlog.kafka.transactional import KafkaTransactionalProducer
from eventlog.options import check_group_name, check_partition_number, check_timeout, check_topic_name
from eventlog.producer.acks import Ack
from eventlog.records.batch import Headers
from eventlog.records.record import Record, TopicPartition

if TYPE_CHECKING:
    from eventlog.storage.mapped.foreign_heads import PartitionOffsets
    from eventlog.views.activity import Activity


class AsyncKafkaLog:
    """`KafkaLog` with the names of `AsyncEventLog`. Created by `eventlog.aio.open`, and opened by `async with`, or by `await`.

    What is not awaited and asks the cluster, as `consumer` and `group` do, takes a round trip in which the event loop waits.
    What only a store in a directory offers raises `NotSupportedError`."""

    def __init__(self, open_log: Callable[[], KafkaLog]) -> None:
        self._open_log = open_log
        self._opened: KafkaLog | None = None
        self._worker = Worker()
        self._requests = Requests()

    def __repr__(self) -> str:
        return "<AsyncKafkaLog, not open yet>" if self._opened is None else f"<AsyncKafkaLog {self._opened!r}>"

    def __getattr__(self, name: str) -> NoReturn:
        if not name.startswith("_"):
            getattr(self.log, name)  # which says why there is no such thing
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __await__(self) -> Generator[Any, None, AsyncKafkaLog]:
        yield from self._worker.call(self._open).__await__()
        return self

    async def __aenter__(self) -> AsyncKafkaLog:
        return await self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _open(self) -> None:
        if self._opened is None:
            self._opened = self._open_log()

    @property
    def log(self) -> KafkaLog:
        """The log itself, for threads. Raises `EventLogError` before it is open."""
        if self._opened is None:
            raise EventLogError("the log is not open yet: use 'async with', or await what eventlog.aio.open returns")
        return self._opened

    # --- topics ------------------------------------------------------------------------------------------

    async def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, object] | None = None, *, exist_ok: bool = False
    ) -> KafkaTopic:
        """As `KafkaLog.create_topic`."""
        return await self._requests.make(self.log.create_topic, name, partitions, config, exist_ok=exist_ok)

    async def alter_topic(
        self, name: str, *, partitions: int | None = None, config: Mapping[str, object] | None = None
    ) -> KafkaTopic:
        """As `KafkaLog.alter_topic`."""
        return await self._requests.make(self.log.alter_topic, name, partitions=partitions, config=config)

    async def delete_topic(self, name: str) -> None:
        """As `KafkaLog.delete_topic`."""
        await self._requests.make(self.log.delete_topic, name)

    async def topic(self, name: str) -> KafkaTopic:
        """As `KafkaLog.topic`."""
        return await self._requests.make(self.log.topic, name)

    async def topics(self) -> list[str]:
        """As `KafkaLog.topics`."""
        return await self._requests.make(self.log.topics)

    async def offsets(self, topic: str) -> list[PartitionOffsets]:
        """As `KafkaLog.offsets`."""
        return await self._requests.make(self.log.offsets, topic)

    def partition(self, topic: str, partition: int) -> AsyncKafkaPartition:
        """As `KafkaLog.partition`; its first use, or `await`, finds out whether the cluster has it."""
        find = partial(self.log.partition, check_topic_name(topic), check_partition_number(partition))
        return AsyncKafkaPartition(find, topic, partition, self._requests)

    # --- clients and groups ------------------------------------------------------------------------------

    def producer(self, **options: Any) -> AsyncKafkaProducer:
        """As `KafkaLog.producer`, with the same options. It is made by `async with`, or by its first use."""
        make = partial(self.log.producer, **options)
        if options.get("transactional_id") is not None:
            return AsyncKafkaTransactionalProducer(make, self._requests)
        return AsyncKafkaProducer(make, self._requests)

    def consumer(self, topics: str | Sequence[str] | Pattern[str] | None = None, **options: Any) -> AsyncKafkaConsumer:
        """As `KafkaLog.consumer`, with the same options."""
        return AsyncKafkaConsumer(self.log.consumer(topics, **options))

    def group(self, name: str) -> AsyncGroup:
        """As `KafkaLog.group`."""
        return AsyncGroup(cast(Group, self.log.group(name)))

    async def groups(self) -> list[str]:
        """As `KafkaLog.groups`."""
        return await self._requests.make(self.log.groups)

    async def describe_groups(self) -> list[GroupDescription]:
        """As `KafkaLog.describe_groups`."""
        return await self._requests.make(self.log.describe_groups)

    async def lags(self) -> dict[str, dict[TopicPartition, int | None]]:
        """As `KafkaLog.lags`."""
        return await self._requests.make(self.log.lags)

    async def activity(self, earlier: Activity | None = None) -> Activity:
        """As `KafkaLog.activity`."""
        return await self._requests.make(self.log.activity, earlier)

    async def flush(self) -> None:
        """As `KafkaLog.flush`."""
        await self._requests.make(self.log.flush)

    async def close(self) -> None:
        """As `KafkaLog.close`."""
        if self._opened is not None and not self._requests.have_ended:
            try:
                await self._requests.make(self._opened.close)
            finally:
                self._requests.end()


class AsyncKafkaPartition:
    """`KafkaPartition` with the names of `AsyncPartition`."""

    def __init__(self, find: Callable[[], KafkaPartition], topic: str, partition: int, requests: Requests) -> None:
        self.topic = topic
        self.partition = partition
        self._find = find
        self._found: KafkaPartition | None = None
        self._requests = requests

    def __repr__(self) -> str:
        return f"<AsyncKafkaPartition {self.topic}/{self.partition}>"

    def __await__(self) -> Generator[Any, None, AsyncKafkaPartition]:
        yield from self._requests.make(self._partition).__await__()
        return self

    def _partition(self) -> KafkaPartition:
        if self._found is None:
            self._found = self._find()
        return self._found

    @property
    def start_offset(self) -> int:
        """As `KafkaPartition.start_offset`."""
        return self._partition().start_offset

    @property
    def end_offset(self) -> int:
        """As `KafkaPartition.end_offset`."""
        return self._partition().end_offset

    @property
    def durable_offset(self) -> int:
        """As `KafkaPartition.durable_offset`."""
        return self._partition().durable_offset

    async def append(
        self,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers | None = None,
        timestamp: Time | None = None,
        *,
        expected_end_offset: int | None = None,
    ) -> int:
        """As `KafkaPartition.append`. It is completed even if the task is cancelled meanwhile."""
        return await self._requests.make(
            lambda: self._partition().append(value, key, headers, timestamp, expected_end_offset=expected_end_offset)
        )

    async def append_many(
        self,
        values: Sequence[bytes | None],
        *,
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
        timestamps: Sequence[Time | None] | None = None,
        expected_end_offset: int | None = None,
    ) -> range:
        """As `KafkaPartition.append_many`. The lists must not be changed before it returns."""
        return await self._requests.make(
            lambda: self._partition().append_many(
                values, keys=keys, headers=headers, timestamps=timestamps, expected_end_offset=expected_end_offset
            )
        )

    async def delete_records(self, before: int) -> int:
        """As `KafkaPartition.delete_records`."""
        return await self._requests.make(lambda: self._partition().delete_records(before))

    async def read(self, offset: int, max_records: int = 500, *, durable: bool = False) -> list[Record]:
        """As `KafkaPartition.read`."""
        return await self._requests.make(lambda: self._partition().read(offset, max_records, durable=durable))

    async def values(self, start: int | None = None, stop: int | None = None) -> AsyncIterator[bytes | None]:
        """As `KafkaPartition.values`, for `async for`: a thread reads ahead, up to 512 records or 256 KiB at a time."""
        async for record in self.records(start, stop):
            yield record.value

    async def records(self, start: int | None = None, stop: int | None = None) -> AsyncIterator[Record]:
        """As `KafkaPartition.records`, for `async for`, as `values`."""
        async for record in scan(lambda: self._partition().records(start, stop), _size):
            yield record

    async def offset_for_time(self, timestamp: Time) -> int | None:
        """As `KafkaPartition.offset_for_time`."""
        return await self._requests.make(lambda: self._partition().offset_for_time(timestamp))

    async def wait(self, offset: int, timeout: float | None = None, *, durable: bool = False) -> bool:
        """As `KafkaPartition.wait`."""
        check_timeout(timeout)
        return await self._requests.until(lambda: self._partition().wait(offset, 0, durable=durable), timeout)

    async def flush(self) -> None:
        """As `KafkaPartition.flush`."""
        await self._requests.make(lambda: self._partition().flush())


class AsyncKafkaReceipt:
    """`KafkaReceipt` with the names of `AsyncReceipt`."""

    def __init__(self, receipt: KafkaReceipt, requests: Requests) -> None:
        self._receipt = receipt
        self._requests = requests

    def __repr__(self) -> str:
        return repr(self._receipt)

    @property
    def topic(self) -> str:
        """As `KafkaReceipt.topic`."""
        return self._receipt.topic

    @property
    def partition(self) -> int:
        """As `KafkaReceipt.partition`."""
        return self._receipt.partition

    @property
    def is_resolved(self) -> bool:
        """As `KafkaReceipt.is_resolved`."""
        return self._receipt.is_resolved

    @property
    def offset(self) -> int:
        """As `KafkaReceipt.offset`, which may take long for a record that lingers: use `resolved` to await it."""
        return self._receipt.offset

    @property
    def timestamp(self) -> int:
        """As `KafkaReceipt.timestamp`."""
        return self._receipt.timestamp

    async def resolved(self) -> int:
        """The record's offset, once it is in the log. A record that lingers is appended now."""
        if not self._receipt.is_resolved:
            await self._requests.make(lambda: self._receipt.offset)
        return self._receipt.offset

    async def is_acked(self, group: str) -> bool:
        """As `KafkaReceipt.is_acked`."""
        return await self._requests.make(self._receipt.is_acked, group)

    async def wait_acked(self, group: str, timeout: float | None = None) -> bool:
        """As `KafkaReceipt.wait_acked`."""
        check_group_name(group)
        return await self._requests.until(lambda: self._receipt.is_acked(group), timeout)


class AsyncKafkaProducer:
    """`KafkaProducer` with the names of `AsyncProducer`, for any number of tasks."""

    def __init__(self, make: Callable[[], KafkaProducer], requests: Requests) -> None:
        self._make = make
        self._made: KafkaProducer | None = None
        self._callbacks: list[AckCallback] = []
        self._worker = Worker()
        self._requests = requests

    async def __aenter__(self) -> Any:
        await self._ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _ready(self) -> Any:
        if self._made is None:
            await self._worker.call(self._begin)
        return self._made

    def _begin(self) -> None:
        if self._made is None:
            self._made = self._make()

    async def send(
        self,
        topic: str,
        value: Any,
        key: Any = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp: Time | None = None,
    ) -> AsyncKafkaReceipt:
        """As `KafkaProducer.send`. It is completed even if the task is cancelled meanwhile."""
        send = (await self._ready()).send
        receipt = await self._requests.make(send, topic, value, key, headers, partition, timestamp)
        return AsyncKafkaReceipt(receipt, self._requests)

    async def on_ack(self, group: str, callback: Callable[[Ack], object]) -> None:
        """As `KafkaProducer.on_ack`; the callback is called in the event loop."""
        producer, in_loop = await self._ready(), AckCallback(callback)
        await self._worker.call(lambda: producer.on_ack(group, in_loop if callable(callback) else callback))
        self._callbacks.append(in_loop)

    async def flush(self) -> None:
        """As `KafkaProducer.flush`."""
        await self._requests.make((await self._ready()).flush)
        raise_of_callbacks(self._callbacks)

    async def close(self) -> None:
        """As `KafkaProducer.close`."""
        await self._worker.settled()
        if self._made is not None:
            await self._worker.call(self._made.close)
        raise_of_callbacks(self._callbacks)


class AsyncKafkaTransactionalProducer(AsyncKafkaProducer):
    """`KafkaTransactionalProducer` with the names of `AsyncTransactionalProducer`."""

    @property
    def is_in_transaction(self) -> bool:
        """As `KafkaTransactionalProducer.is_in_transaction`."""
        return isinstance(self._made, KafkaTransactionalProducer) and self._made.is_in_transaction

    async def send_offsets(
        self, consumer: AsyncKafkaConsumer | Mapping[TopicPartition, int], *, group: str | None = None
    ) -> None:
        """As `KafkaTransactionalProducer.send_offsets`."""
        offsets = consumer.in_transaction if isinstance(consumer, AsyncKafkaConsumer) else consumer
        await self._call("send_offsets", offsets, group=group)

    async def begin(self) -> None:
        """As `KafkaTransactionalProducer.begin`."""
        await self._call("begin")

    async def commit(self) -> None:
        """As `KafkaTransactionalProducer.commit`. It is completed even if the task is cancelled meanwhile."""
        await self._call("commit")

    async def abort(self) -> None:
        """As `KafkaTransactionalProducer.abort`."""
        await self._call("abort")

    async def _call(self, name: str, *arguments: Any, **options: Any) -> None:
        method = getattr(await self._ready(), name)
        await self._worker.call(lambda: method(*arguments, **options))

    @asynccontextmanager
    async def transaction(self, *consumers: AsyncKafkaConsumer) -> AsyncIterator[AsyncKafkaTransactionalProducer]:
        """As `KafkaTransactionalProducer.transaction`, for `async with`."""
        block = (await self._ready()).transaction(*(consumer.in_transaction for consumer in consumers))
        await self._worker.call(block.__enter__)
        try:
            yield self
        except BaseException:
            failure = sys.exc_info()
            await self._worker.call(lambda: block.__exit__(*failure))
            raise
        await self._worker.call(lambda: block.__exit__(None, None, None))


def _size(record: Record) -> int:
    return len(record.value or b"") + len(record.key or b"")
