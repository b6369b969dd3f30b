"""A producer for tasks, and receipts that can be awaited."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

from eventlog.aio.consumer import AsyncConsumer
from eventlog.clock import Time
from eventlog.groups.acknowledgement import await_ack, warn_if_unknown
from eventlog.groups.registry import Groups
from eventlog.hub import Hub, Turns, Worker
from eventlog.options import check_group_name, check_timeout
from eventlog.producer.producer import Producer, send_at_once
from eventlog.producer.receipt import Receipt
from eventlog.producer.serializing import Serializing
from eventlog.producer.transactional import TransactionalProducer
from eventlog.records.batch import Headers
from eventlog.records.record import TopicPartition
from eventlog.waiting import WaitSet

_AT_ONCE_BYTES_MAX = 64 * 1024


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
        """As `Receipt.offset`, which appends a record that is still waiting, and may take long: use `resolved` to await it."""
        return self._receipt.offset

    @property
    def timestamp(self) -> int:
        """As `Receipt.timestamp`."""
        return self._receipt.timestamp

    async def resolved(self) -> int:
        """The record's offset, once it is in the log. A record that is still waiting is appended now, in the executor."""
        if not self._receipt.is_resolved:
            await asyncio.to_thread(lambda: self._receipt.offset)
        return self._receipt.offset

    def is_acked(self, group: str) -> bool:
        """As `Receipt.is_acked`."""
        return self._receipt.is_acked(group)

    async def wait_acked(self, group: str, timeout: float | None = None) -> bool:
        """As `Receipt.wait_acked`."""
        check_group_name(group)
        check_timeout(timeout)
        where = TopicPartition(self.topic, self.partition)

        def conditions() -> WaitSet:
            warn_if_unknown(self._groups, group)
            wait_set = WaitSet()
            await_ack(self._groups, group, where, self.offset, wait_set)
            return wait_set

        return await self._hub.wait_until(lambda: self._receipt.is_acked(group), conditions, timeout, in_thread=True)


class AsyncProducer:
    """`eventlog.Producer` for any number of tasks."""

    def __init__(self, producer: Producer, groups: Groups, hub: Hub) -> None:
        self._producer = producer
        self._serializers = producer.serializers if isinstance(producer, Serializing) else None
        self._groups = groups
        self._hub = hub
        self._turns = Turns()
        self._worker = Worker()

    async def __aenter__(self) -> AsyncProducer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

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
        if self._serializers is not None:
            value, key = self._serializers.apply(topic, value, key)
        if self._turns.is_over(value):
            await asyncio.sleep(0)
        is_small = not isinstance(value, bytes) or len(value) <= _AT_ONCE_BYTES_MAX
        receipt = send_at_once(self._producer, topic, value, key, headers, partition, timestamp) if is_small else None
        if receipt is None:
            loop = asyncio.get_running_loop()
            arguments = (topic, value, key, headers, partition, timestamp)
            receipt = await loop.run_in_executor(None, Producer.send, self._producer, *arguments)
        return AsyncReceipt(receipt, self._groups, self._hub)

    async def flush(self) -> None:
        """As `Producer.flush`."""
        await self._worker.call(self._producer.flush)

    async def close(self) -> None:
        """As `Producer.close`."""
        await self._worker.call(self._producer.close)


class AsyncTransactionalProducer(AsyncProducer):
    """`eventlog.TransactionalProducer` for tasks: what begins and ends transactions is awaited."""

    def __init__(self, producer: TransactionalProducer, groups: Groups, hub: Hub) -> None:
        super().__init__(producer, groups, hub)
        self._transactional = producer

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
        offsets = consumer.in_transaction if isinstance(consumer, AsyncConsumer) else consumer
        await self._worker.call(lambda: self._transactional.send_offsets(offsets, group=group))

    async def begin(self) -> None:
        """As `TransactionalProducer.begin`."""
        self._transactional.begin()

    async def commit(self) -> None:
        """As `TransactionalProducer.commit`. It is completed even if the task is cancelled meanwhile."""
        await self._worker.call(self._transactional.commit)

    async def abort(self) -> None:
        """As `TransactionalProducer.abort`."""
        await self._worker.call(self._transactional.abort)

    @asynccontextmanager
    async def transaction(self, *consumers: AsyncConsumer) -> AsyncIterator[AsyncTransactionalProducer]:
        """As `TransactionalProducer.transaction`, for `async with`."""
        block = self._transactional.transaction(*(consumer.in_transaction for consumer in consumers))
        block.__enter__()
        try:
            yield self
        except BaseException:
            failure = sys.exc_info()
            await self._worker.call(lambda: block.__exit__(*failure))
            raise
        await self._worker.call(lambda: block.__exit__(None, None, None))
