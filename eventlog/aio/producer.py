"""A producer for tasks, and receipts that can be awaited."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, TypeVar, cast

from eventlog.aio.consumer import AsyncConsumer
from eventlog.clock import Time
from eventlog.errors import EventLogError, StoreClosedError
from eventlog.groups.acknowledgement import await_ack, warn_if_unknown
from eventlog.groups.registry import Groups
from eventlog.hub import Hub, Turns, Worker
from eventlog.options import check_group_name, check_timeout
from eventlog.producer.acks import Ack
from eventlog.producer.idempotent import NamedProducer
from eventlog.producer.producer import Producer, send_at_once
from eventlog.producer.receipt import Receipt
from eventlog.producer.serializing import Serializers, Serializing
from eventlog.producer.transactional import TransactionalProducer
from eventlog.records.batch import Headers
from eventlog.records.record import TopicPartition
from eventlog.waiting import WaitSet

_AT_ONCE_BYTES_MAX = 64 * 1024

_Self = TypeVar("_Self", bound="AsyncProducer")


class AsyncReceipt:
    """`eventlog.Receipt`, with a wait for acknowledgements that leaves the event loop free."""

    def __init__(self, receipt: Receipt, groups: Groups, hub: Hub) -> None:
        self._receipt = receipt
        self._groups = groups
        self._hub = hub

    def __repr__(self) -> str:
        return repr(self._receipt)

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._receipt.topic

    @property
    def partition(self) -> int:
        """The partition's number."""
        return self._receipt.partition

    @property
    def is_resolved(self) -> bool:
        """Is the record in the log?"""
        return self._receipt.is_resolved

    @property
    def offset(self) -> int:
        """The record's offset. Raises `EventLogError` while the record still waits to be appended: `resolved` awaits it."""
        if not self._receipt.is_resolved:
            raise EventLogError(f"{self!r} has no offset yet: await receipt.resolved()")
        return self._receipt.offset

    @property
    def timestamp(self) -> int:
        """The record's timestamp. Raises `EventLogError` while the record is still waiting to be appended."""
        if not self._receipt.is_resolved:
            raise EventLogError(f"{self!r} has no timestamp yet: await receipt.resolved()")
        return self._receipt.timestamp

    async def resolved(self) -> int:
        """The record's offset, once it is in the log. A record that is still waiting is appended now, in the executor."""
        if not self._receipt.is_resolved:
            await asyncio.to_thread(lambda: self._receipt.offset)
        return self._receipt.offset

    async def is_acked(self, group: str) -> bool:
        """As `Receipt.is_acked`."""
        return await asyncio.to_thread(self._receipt.is_acked, group)

    async def wait_acked(self, group: str, timeout: float | None = None) -> bool:
        """As `Receipt.wait_acked`."""
        check_group_name(group)
        check_timeout(timeout)
        where = TopicPartition(self.topic, self.partition)

        def conditions() -> WaitSet:
            warn_if_unknown(self._groups, group)
            wait_set = WaitSet()
            await_ack(self._groups, group, where, self._receipt.offset, wait_set)
            return wait_set

        return await self._hub.wait_until(lambda: self._receipt.is_acked(group), conditions, timeout, in_thread=True)


class AckCallback:
    """Calls a function of the event loop for each `Ack`. Once it has raised an error it is not called any more."""

    def __init__(self, callback: Callable[[Ack], object]) -> None:
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._has_failed = False
        self.failure: Exception | None = None

    def __call__(self, ack: Ack) -> None:
        """Called by the thread that reports acknowledgements."""
        with suppress(RuntimeError):  # the event loop was closed
            self._loop.call_soon_threadsafe(self._call, ack)

    def _call(self, ack: Ack) -> None:
        if not self._has_failed:
            try:
                self._callback(ack)
            except Exception as error:
                self._has_failed, self.failure = True, error


class AsyncProducer:
    """`eventlog.Producer` for any number of tasks."""

    def __init__(self, make: Callable[[], Producer], groups: Groups, hub: Hub) -> None:
        self._make = make
        self._made: Producer | None = None
        self._serializers: Serializers | None = None
        self._is_closed = False
        self._groups = groups
        self._hub = hub
        self._turns = Turns()
        self._worker = Worker()
        self._callbacks: list[AckCallback] = []

    async def __aenter__(self: _Self) -> _Self:
        await self._ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _make_once(self) -> None:
        if self._made is None:
            if self._is_closed:
                raise StoreClosedError("the producer is closed")
            producer = self._make()
            self._serializers = producer.serializers if isinstance(producer, Serializing) else None
            self._made = producer

    async def _ready(self) -> Producer:
        """The producer. Making one with an id or a name may have to wait for another process."""
        if self._made is None:
            await self._worker.call(self._make_once)
        return cast(Producer, self._made)

    @property
    def _producer(self) -> Producer:
        if self._made is None:
            raise EventLogError("the producer has not been made yet: use 'async with', or await one of its methods")
        return self._made

    async def send(
        self,
        topic: str,
        value: Any,
        key: Any = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp: Time | None = None,
    ) -> AsyncReceipt:
        """As `Producer.send`. A send that has to wait for another process or the disk does so in the executor; it is completed
        even if the task is cancelled meanwhile."""
        producer = self._made if self._made is not None else await self._ready()
        if self._serializers is not None:
            value, key = self._serializers.apply(topic, value, key)
        if self._turns.is_over(value):
            await asyncio.sleep(0)
        is_small = not isinstance(value, bytes) or len(value) <= _AT_ONCE_BYTES_MAX
        receipt = send_at_once(producer, topic, value, key, headers, partition, timestamp) if is_small else None
        if receipt is None:
            loop = asyncio.get_running_loop()
            arguments = (topic, value, key, headers, partition, timestamp)
            receipt = await loop.run_in_executor(None, Producer.send, producer, *arguments)
        return AsyncReceipt(receipt, self._groups, self._hub)

    async def on_ack(self, group: str, callback: Callable[[Ack], object]) -> None:
        """As `Producer.on_ack`; the callback is called in the event loop."""
        producer = await self._ready()
        in_loop = AckCallback(callback)
        await self._worker.call(lambda: producer.on_ack(group, in_loop if callable(callback) else callback))
        self._callbacks.append(in_loop)

    async def flush(self) -> None:
        """As `Producer.flush`."""
        await self._worker.call((await self._ready()).flush)
        raise_of_callbacks(self._callbacks)

    async def close(self) -> None:
        """As `Producer.close`."""
        self._is_closed = True
        if self._made is not None or not self._worker.is_idle:
            await self._worker.call(self._close_made)
        raise_of_callbacks(self._callbacks)

    def _close_made(self) -> None:
        if self._made is not None:
            self._made.close()


def raise_of_callbacks(callbacks: Iterable[AckCallback]) -> None:
    """Raise the error of a callback, once."""
    for each in callbacks:
        failure, each.failure = each.failure, None
        if failure is not None:
            raise failure


class AsyncNamedProducer(AsyncProducer):
    """`eventlog.NamedProducer` for tasks."""

    @property
    def name(self) -> str:
        """The producer's name."""
        return cast(NamedProducer, self._producer).name

    async def next_sequence(self, topic: str, partition: int) -> int:
        """As `NamedProducer.next_sequence`."""
        producer = cast(NamedProducer, await self._ready())
        return await self._worker.call(lambda: producer.next_sequence(topic, partition))

    async def send_once(
        self,
        topic: str,
        partition: int,
        sequence: int,
        value: Any,
        key: Any = None,
        headers: Headers | None = None,
        timestamp: Time | None = None,
    ) -> AsyncReceipt:
        """As `NamedProducer.send_once`. It is completed even if the task is cancelled meanwhile."""
        producer = cast(NamedProducer, await self._ready())
        receipt = await self._worker.call(
            lambda: producer.send_once(topic, partition, sequence, value, key, headers, timestamp)
        )
        return AsyncReceipt(receipt, self._groups, self._hub)


class AsyncTransactionalProducer(AsyncProducer):
    """`eventlog.TransactionalProducer` for tasks: what begins and ends transactions is awaited."""

    @property
    def _transactional(self) -> TransactionalProducer:
        return cast(TransactionalProducer, self._producer)

    @property
    def is_in_transaction(self) -> bool:
        """As `TransactionalProducer.is_in_transaction`."""
        return self._made is not None and self._transactional.is_in_transaction

    @property
    def position(self) -> bytes | None:
        """As `TransactionalProducer.position`."""
        return self._transactional.position

    def set_position(self, position: bytes) -> None:
        """As `TransactionalProducer.set_position`."""
        self._transactional.set_position(position)

    async def send_offsets(
        self, consumer: AsyncConsumer | Mapping[TopicPartition, int], *, group: str | None = None
    ) -> None:
        """As `TransactionalProducer.send_offsets`."""
        await self._ready()
        offsets = consumer.in_transaction if isinstance(consumer, AsyncConsumer) else consumer
        await self._worker.call(lambda: self._transactional.send_offsets(offsets, group=group))

    async def begin(self) -> None:
        """As `TransactionalProducer.begin`."""
        await self._ready()
        self._transactional.begin()

    async def commit(self) -> None:
        """As `TransactionalProducer.commit`. It is completed even if the task is cancelled meanwhile."""
        await self._ready()
        await self._worker.call(self._transactional.commit)

    async def abort(self) -> None:
        """As `TransactionalProducer.abort`."""
        await self._ready()
        await self._worker.call(self._transactional.abort)

    @asynccontextmanager
    async def transaction(self, *consumers: AsyncConsumer) -> AsyncIterator[AsyncTransactionalProducer]:
        """As `TransactionalProducer.transaction`, for `async with`."""
        await self._ready()
        block = self._transactional.transaction(*(consumer.in_transaction for consumer in consumers))
        block.__enter__()
        try:
            yield self
        except BaseException:
            failure = sys.exc_info()
            await self._worker.call(lambda: block.__exit__(*failure))
            raise
        await self._worker.call(lambda: block.__exit__(None, None, None))
