"""A consumer of a cluster for tasks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from re import Pattern
from types import TracebackType
from typing import Any, TypeVar

from eventlog.clock import Time
from eventlog.errors import ConcurrentUseError
from eventlog.hub import Turns
from eventlog.kafka.consumer import KafkaConsumer
from eventlog.options import check_timeout
from eventlog.records.record import Record, TopicPartition

_Result = TypeVar("_Result")

_SLICE_SECONDS = 0.25  # for which its thread waits: a task that is cancelled keeps the next call so long


class AsyncKafkaConsumer:
    """`KafkaConsumer` with the names of `AsyncConsumer`, for one task at a time.

    A thread of its own polls, and calls a rebalance listener."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._thread = ThreadPoolExecutor(1, "eventlog-aio-kafka-consumer")
        self._abandoned: asyncio.Future[list[Any]] | None = None  # a poll whose task was cancelled
        self._turns = Turns()
        self._is_busy = False

    async def __aenter__(self) -> AsyncKafkaConsumer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end(is_finished=kind is None)

    # --- its thread ------------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._is_busy:
            raise ConcurrentUseError(f"{self._consumer!r} is in use by another task: give each task its own consumer")
        self._is_busy = True
        try:
            yield
        finally:
            self._is_busy = False

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

    async def _call(self, function: Callable[[], _Result]) -> _Result:
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
        with self._alone():
            await self._call(lambda: self._consumer.commit(offsets, sync=sync))

    async def close(self) -> None:
        """As `KafkaConsumer.close`."""
        await self._end(is_finished=sys.exc_info()[0] is None)  # read here: the thread that closes cannot see it

    async def _end(self, *, is_finished: bool) -> None:
        if self._consumer.is_closed:
            return
        await self._call(lambda: self._consumer.end(is_finished=is_finished))
        self._thread.shutdown(wait=False)

    @property
    def in_transaction(self) -> KafkaConsumer:
        """The consumer itself, whose positions a transaction commits. The task must not poll before that has ended."""
        return self._consumer

    # --- positions -------------------------------------------------------------------------------------------

    async def _alone_in_thread(self, function: Callable[[], _Result]) -> _Result:
        with self._alone():
            return await self._call(function)

    async def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """As `KafkaConsumer.assign`."""
        await self._alone_in_thread(lambda: self._consumer.assign(partitions))

    async def committed(self, partition: TopicPartition) -> int | None:
        """As `KafkaConsumer.committed`."""
        return await self._alone_in_thread(lambda: self._consumer.committed(partition))

    async def position(self, partition: TopicPartition) -> int:
        """As `KafkaConsumer.position`."""
        return await self._alone_in_thread(lambda: self._consumer.position(partition))

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        """As `KafkaConsumer.seek`."""
        await self._alone_in_thread(lambda: self._consumer.seek(partition, offset))

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """As `KafkaConsumer.seek_to_beginning`."""
        await self._alone_in_thread(lambda: self._consumer.seek_to_beginning(*partitions))

    async def seek_to_end(self, *partitions: TopicPartition) -> None:
        """As `KafkaConsumer.seek_to_end`."""
        await self._alone_in_thread(lambda: self._consumer.seek_to_end(*partitions))

    async def seek_to_time(self, timestamp: Time, *partitions: TopicPartition) -> None:
        """As `KafkaConsumer.seek_to_time`."""
        await self._alone_in_thread(lambda: self._consumer.seek_to_time(timestamp, *partitions))

    async def rewind(self) -> None:
        """As `KafkaConsumer.rewind`."""
        await self._alone_in_thread(self._consumer.rewind)

    # --- what does not wait ----------------------------------------------------------------------------------

    def wakeup(self) -> None:
        """As `KafkaConsumer.wakeup`; `loop.add_signal_handler` may be given this."""
        self._consumer.wakeup()

    def stop(self) -> None:
        """As `KafkaConsumer.stop`; `loop.add_signal_handler` may be given this."""
        self._consumer.stop()

    @property
    def is_stopped(self) -> bool:
        """As `KafkaConsumer.is_stopped`."""
        return self._consumer.is_stopped

    @property
    def group(self) -> str | None:
        """As `KafkaConsumer.group`."""
        return self._consumer.group

    def subscribe(self, topics: str | Sequence[str] | Pattern[str]) -> None:
        """As `KafkaConsumer.subscribe`, which asks the cluster for its topics."""
        self._consumer.subscribe(topics)

    def assignment(self) -> set[TopicPartition]:
        """As `KafkaConsumer.assignment`."""
        return self._consumer.assignment()

    def subscription(self) -> tuple[str, ...]:
        """As `KafkaConsumer.subscription`."""
        return self._consumer.subscription()

    def pause(self, *partitions: TopicPartition) -> None:
        """As `KafkaConsumer.pause`."""
        self._consumer.pause(*partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        """As `KafkaConsumer.resume`."""
        self._consumer.resume(*partitions)

    def paused(self) -> set[TopicPartition]:
        """As `KafkaConsumer.paused`."""
        return self._consumer.paused()
