"""A store for tasks."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Mapping, Sequence
from re import Pattern
from types import TracebackType
from typing import Any, overload

from eventlog import api
from eventlog.aio.bridge import AsyncBridge, AsyncMirror
from eventlog.aio.consumer import AsyncConsumer
from eventlog.aio.partition import AsyncPartition
from eventlog.aio.producer import AsyncProducer, AsyncTransactionalProducer
from eventlog.aio.server import AsyncServer
from eventlog.api import EventLog
from eventlog.catalog.topics import TopicDescription
from eventlog.errors import NotSupportedError
from eventlog.groups.group import Group
from eventlog.hub import Hub
from eventlog.options import check_partition_number
from eventlog.producer.transactional import TransactionalProducer
from eventlog.records.record import TopicPartition


class AsyncEventLog:
    """`eventlog.EventLog` for tasks. Created by `eventlog.aio.open`; usable with `async with`.

    `log` is the store itself, for everything that this class does not offer."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._hub = Hub(log.store.signals)

    async def __aenter__(self) -> AsyncEventLog:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, object] | None = None, *, exist_ok: bool = False
    ) -> TopicDescription:
        """As `EventLog.create_topic`."""
        return await asyncio.to_thread(self.log.create_topic, name, partitions, config, exist_ok=exist_ok)

    def topic(self, name: str) -> TopicDescription:
        """As `EventLog.topic`."""
        return self.log.topic(name)

    def topics(self) -> list[str]:
        """As `EventLog.topics`."""
        return self.log.topics()

    def groups(self) -> list[str]:
        """As `EventLog.groups`."""
        return self.log.groups()

    async def lags(self) -> dict[str, dict[TopicPartition, int | None]]:
        """As `EventLog.lags`."""
        return await asyncio.to_thread(self.log.lags)

    def group(self, name: str) -> Group:
        """As `EventLog.group`."""
        return self.log.group(name)

    def partition(self, topic: str, partition: int) -> AsyncPartition:
        """As `EventLog.partition`; the partition is opened by its first use."""
        open_partition = functools.partial(self.log.partition, topic, partition)
        if check_partition_number(partition) not in range(self.log.topic(topic).partitions):
            open_partition()  # raises the error that says so
        return AsyncPartition(open_partition, self._hub)

    @overload
    def producer(self, *, transactional_id: str, **options: Any) -> AsyncTransactionalProducer: ...

    @overload
    def producer(self, **options: Any) -> AsyncProducer: ...

    def producer(self, **options: Any) -> AsyncProducer:
        """As `EventLog.producer`, with the same options."""
        producer = self.log.producer(**options)
        if isinstance(producer, TransactionalProducer):
            return AsyncTransactionalProducer(producer, self.log.open_groups, self._hub)
        return AsyncProducer(producer, self.log.open_groups, self._hub)

    def consumer(self, topics: str | Sequence[str] | Pattern[str] | None = None, **options: Any) -> AsyncConsumer:
        """As `EventLog.consumer`, with the same options."""
        return AsyncConsumer(self.log.consumer(topics, **options), self._hub)

    def serve(self, host: str = "127.0.0.1", port: int = 9092, **options: Any) -> AsyncServer:
        """As `EventLog.serve`, with the same options. The server starts with `async with`, or with `await server.start()`, and
        runs in a thread of its own, so that tasks that compute for long do not keep its clients waiting."""
        return AsyncServer(functools.partial(self.log.serve, host, port, **options))

    def ship(self, topic: str, url: str, **options: Any) -> AsyncBridge:
        """As `EventLog.ship`, with the same options. It is made, and begins, with `async with`, `await bridge.run()` or
        `await bridge.start()`."""
        return AsyncBridge(functools.partial(self.log.ship, topic, url, **options))

    def collect(self, topic: str, url: str, **options: Any) -> AsyncBridge:
        """As `EventLog.collect`, with the same options; it begins as `ship` does."""
        return AsyncBridge(functools.partial(self.log.collect, topic, url, **options))

    def mirror(self, topics: str | Sequence[str], url: str | None = None, **options: Any) -> AsyncMirror:
        """As `EventLog.mirror`, with the same options; it begins as `ship` does. `on_difference` is called in its thread."""
        return AsyncMirror(functools.partial(self.log.mirror, topics, url, **options))

    async def flush(self) -> None:
        """As `EventLog.flush`."""
        await asyncio.to_thread(self.log.flush)

    async def close(self) -> None:
        """As `EventLog.close`. In tasks that are still waiting, it raises `StoreClosedError`."""
        await asyncio.to_thread(self._hub.stop)
        await asyncio.to_thread(self.log.close)


@functools.wraps(api.open)
def open(path: str | os.PathLike[str], **options: Any) -> AsyncEventLog:
    _refuse_cluster(path)
    return AsyncEventLog(api.open(path, **options))


def _refuse_cluster(path: object) -> None:
    if isinstance(path, str) and path.lower().startswith("kafka://"):
        raise NotSupportedError(
            "eventlog.aio needs a store in a directory, in which one thread waits for all tasks; in tasks, call what "
            "eventlog.open(url) returns by asyncio.to_thread"
        )
