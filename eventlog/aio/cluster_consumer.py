"""A consumer of a cluster for tasks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeVar

from eventlog.aio.task_consumer import TaskConsumer
from eventlog.kafka.consumer import KafkaConsumer
from eventlog.options import check_timeout
from eventlog.records.record import Record, TopicPartition

_Result = TypeVar("_Result")

_SLICE_SECONDS = 0.25  # for which its thread waits: a task that is cancelled keeps the next call so long


class AsyncKafkaConsumer(TaskConsumer[KafkaConsumer]):
    """`KafkaConsumer` with the names of `AsyncConsumer`, for one task at a time.

    A thread of its own polls, and calls a rebalance listener. `subscribe` asks the cluster for its topics."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        super().__init__(consumer)
        self._thread = ThreadPoolExecutor(1, "eventlog-aio-kafka-consumer")
        self._abandoned: asyncio.Future[list[Any]] | None = None  # a poll whose task was cancelled

    async def __aenter__(self) -> AsyncKafkaConsumer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end(is_finished=kind is None)

    # --- its thread ------------------------------------------------------------------------------------------

    def _begin(self, function: Callable[[], _Result]) -> asyncio.Future[_Result]:
        return asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _settled(self) -> None:
        """Wait for the poll that a cancelled task left running, and give back what it got; its error concerned only that
        task."""
        while (abandoned := self._abandoned) is not None:
            with suppress(Exception):
                await asyncio.shield(abandoned)
            if self._abandoned is abandoned:
                self._abandoned = None
                if abandoned.done() and not abandoned.cancelled() and abandoned.exception() is None and abandoned.result():
                    self._consumer.give_back(abandoned.result())

    async def _run(self, function: Callable[[], _Result]) -> _Result:
        await self._settled()
        return await asyncio.shield(self._begin(function))

    async def _receive(self, poll: Callable[[], list[Any]]) -> list[Any]:
        await self._settled()
        running = self._begin(poll)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self._abandoned = running
            raise

    # --- reading and committing ------------------------------------------------------------------------------

    async def poll(self, timeout: float | None = 1.0, max_records: int = 500) -> list[Record]:
        """As `KafkaConsumer.poll`. A poll that is cancelled has taken no records."""
        check_timeout(timeout)
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        with self._alone():
            while True:
                remaining = _SLICE_SECONDS if deadline is None else max(deadline - loop.time(), 0.0)
                seconds = min(remaining, _SLICE_SECONDS)
                records = await self._receive(lambda seconds=seconds: self._consumer.poll(seconds, max_records))  # type: ignore[misc]
                if records or self.is_stopped or (deadline is not None and loop.time() >= deadline):
                    return records

    async def __aiter__(self) -> AsyncIterator[Record]:
        """As iteration over `KafkaConsumer`."""
        while True:
            with self._alone():
                if self._abandoned is None and self._consumer.has_next:
                    found = self._consumer.take_next(0)
                else:
                    found = await self._receive(lambda: self._consumer.take_next(_SLICE_SECONDS))
                if self.is_stopped and not found:
                    return
            for record in found:
                yield record
                if self._turns.is_over(record.value):
                    await asyncio.sleep(0)

    async def commit(self, offsets: Mapping[TopicPartition, int] | None = None, *, sync: bool = False) -> None:
        """As `KafkaConsumer.commit`."""
        await self._call(lambda: self._consumer.commit(offsets, sync=sync))

    async def close(self) -> None:
        """As `KafkaConsumer.close`."""
        await self._end(is_finished=sys.exc_info()[0] is None)  # read here: the thread that closes cannot see it

    async def _end(self, *, is_finished: bool) -> None:
        if self._consumer.is_closed:
            return
        await self._run(lambda: self._consumer.end(is_finished=is_finished))
        self._thread.shutdown(wait=False)
