"""A consumer for tasks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeVar, cast

from eventlog.aio.task_consumer import TaskConsumer
from eventlog.consumer.consumer import Consumer
from eventlog.errors import LockTimeoutError
from eventlog.hub import Hub, Worker
from eventlog.options import check_timeout
from eventlog.records.record import Record, TopicPartition

_Result = TypeVar("_Result")
_Self = TypeVar("_Self", bound="AsyncConsumer")


class AsyncConsumer(TaskConsumer[Consumer]):
    """`eventlog.Consumer` for one task at a time. A rebalance listener is called in a thread of the executor."""

    def __init__(self, consumer: Consumer, hub: Hub) -> None:
        super().__init__(consumer)
        self._core = consumer.core
        self._hub = hub
        self._worker = Worker()

    async def __aenter__(self: _Self) -> _Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._worker.call(lambda: self._consumer.__exit__(kind, error, trace))

    async def _run(self, function: Callable[[], _Result]) -> _Result:
        """Let the executor do what may open a partition, or read from the disk."""
        return await self._worker.call(function)

    async def _attend(self) -> None:
        await self._worker.settled()
        if self._core.has_group_work:
            await self._worker.call(self._core.attend)

    async def poll(self, timeout: float | None = 1.0, max_records: int = 500) -> list[Record]:
        """As `Consumer.poll`."""
        check_timeout(timeout)
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        with self._alone():
            while True:
                await asyncio.sleep(0)  # other tasks run, too, even if there are always records
                if not self.is_stopped:
                    await self._attend()
                # Nothing is awaited between the poll and the return: a cancelled task has not taken any records.
                try:
                    with self._core.commits.without_waiting():
                        records = self._consumer.poll(0, max_records)
                except LockTimeoutError:
                    await self._worker.call(self._core.settle)
                    continue
                remaining = None if deadline is None else deadline - loop.time()
                if records or self.is_stopped or (remaining is not None and remaining <= 0):
                    return records
                await self._hub.wait(self._core.conditions(), remaining)

    async def __aiter__(self) -> AsyncIterator[Record]:
        """As iteration over `Consumer`."""
        while not self.is_stopped:
            with self._alone():
                await self._attend()
            records = self._core.records(wait=False)
            while (record := next(records, None)) is not None:
                yield record
                if self._turns.is_over(record.value):
                    await asyncio.sleep(0)
            with self._alone():
                if self.is_stopped:
                    return
                await self._hub.wait(self._core.conditions(), None)

    async def commit(self, offsets: Mapping[TopicPartition, int] | None = None, *, sync: bool = False) -> None:
        """As `Consumer.commit`."""
        await self._worker.settled()
        if not sync:
            with suppress(LockTimeoutError), self._core.commits.without_waiting():
                return self._consumer.commit(offsets)
        await self._call(lambda: self._consumer.commit(offsets, sync=sync))

    async def close(self) -> None:
        """As `Consumer.close`."""
        is_finished = sys.exc_info()[0] is None  # read here: the thread that closes cannot see it
        await self._worker.call(lambda: self._core.close(is_finished=is_finished))


class AsyncDeserializingConsumer(AsyncConsumer):
    """`eventlog.consumer.deserializing.DeserializingConsumer` for tasks."""

    async def poll(self, timeout: float | None = 1.0, max_records: int = 500) -> list[Any]:
        """As `Consumer.poll`. Raises `DeserializationError`, too."""
        return cast("list[Any]", await super().poll(timeout, max_records))

    def __aiter__(self) -> AsyncIterator[Any]:
        """As iteration over `Consumer`. Raises `DeserializationError`, too."""
        return super().__aiter__()
