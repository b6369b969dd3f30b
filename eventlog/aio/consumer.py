"""A consumer for tasks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from re import Pattern
from types import TracebackType
from typing import Any, TypeVar, cast

from eventlog.clock import Time
from eventlog.consumer.consumer import Consumer
from eventlog.errors import ConcurrentUseError, LockTimeoutError
from eventlog.hub import Hub, Turns, Worker
from eventlog.options import check_timeout
from eventlog.records.record import Record, TopicPartition

_Result = TypeVar("_Result")
_Self = TypeVar("_Self", bound="AsyncConsumer")


class AsyncConsumer:
    """`eventlog.Consumer` for one task at a time. A rebalance listener is called in a thread of the executor."""

    def __init__(self, consumer: Consumer, hub: Hub) -> None:
        self._consumer = consumer
        self._core = consumer.core
        self._hub = hub
        self._turns = Turns()
        self._worker = Worker()
        self._is_busy = False

    async def __aenter__(self: _Self) -> _Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._worker.call(lambda: self._consumer.__exit__(kind, error, trace))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._is_busy:
            raise ConcurrentUseError(f"{self._consumer!r} is in use by another task: give each task its own consumer")
        self._is_busy = True
        try:
            yield
        finally:
            self._is_busy = False

    @property
    def group(self) -> str | None:
        """The name of the group, or None."""
        return self._consumer.group

    @property
    def in_transaction(self) -> Consumer:
        """The consumer itself, whose positions a transaction commits. The task must not poll before that has ended."""
        return self._consumer

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
        with self._alone():
            await self._worker.call(lambda: self._consumer.commit(offsets, sync=sync))

    async def close(self) -> None:
        """As `Consumer.close`."""
        is_finished = sys.exc_info()[0] is None  # read here: the thread that closes cannot see it
        await self._worker.call(lambda: self._core.close(is_finished=is_finished))

    # --- positions -------------------------------------------------------------------------------------------

    async def _call(self, function: Callable[[], _Result]) -> _Result:
        """Let the executor do what may open a partition, or read from the disk."""
        with self._alone():
            return await self._worker.call(function)

    async def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """As `Consumer.assign`."""
        await self._call(lambda: self._consumer.assign(partitions))

    async def committed(self, partition: TopicPartition) -> int | None:
        """As `Consumer.committed`."""
        return await self._call(lambda: self._consumer.committed(partition))

    async def position(self, partition: TopicPartition) -> int:
        """As `Consumer.position`."""
        return await self._call(lambda: self._consumer.position(partition))

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        """As `Consumer.seek`."""
        await self._call(lambda: self._consumer.seek(partition, offset))

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """As `Consumer.seek_to_beginning`."""
        await self._call(lambda: self._consumer.seek_to_beginning(*partitions))

    async def seek_to_end(self, *partitions: TopicPartition) -> None:
        """As `Consumer.seek_to_end`."""
        await self._call(lambda: self._consumer.seek_to_end(*partitions))

    async def seek_to_time(self, timestamp: Time, *partitions: TopicPartition) -> None:
        """As `Consumer.seek_to_time`."""
        await self._call(lambda: self._consumer.seek_to_time(timestamp, *partitions))

    async def rewind(self) -> None:
        """As `Consumer.rewind`."""
        await self._call(self._consumer.rewind)

    # --- methods that do not wait ----------------------------------------------------------------------------

    def wakeup(self) -> None:
        """As `Consumer.wakeup`; `loop.add_signal_handler` may be given this."""
        self._consumer.wakeup()

    def stop(self) -> None:
        """As `Consumer.stop`; `loop.add_signal_handler` may be given this."""
        self._consumer.stop()

    @property
    def is_stopped(self) -> bool:
        """As `Consumer.is_stopped`."""
        return self._consumer.is_stopped

    def subscribe(self, topics: str | Sequence[str] | Pattern[str]) -> None:
        """As `Consumer.subscribe`."""
        self._consumer.subscribe(topics)

    def assignment(self) -> set[TopicPartition]:
        """As `Consumer.assignment`."""
        return self._consumer.assignment()

    def subscription(self) -> tuple[str, ...]:
        """As `Consumer.subscription`."""
        return self._consumer.subscription()

    def pause(self, *partitions: TopicPartition) -> None:
        """As `Consumer.pause`."""
        self._consumer.pause(*partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        """As `Consumer.resume`."""
        self._consumer.resume(*partitions)

    def paused(self) -> set[TopicPartition]:
        """As `Consumer.paused`."""
        return self._consumer.paused()


class AsyncDeserializingConsumer(AsyncConsumer):
    """`eventlog.consumer.deserializing.DeserializingConsumer` for tasks."""

    async def poll(self, timeout: float | None = 1.0, max_records: int = 500) -> list[Any]:
        """As `Consumer.poll`. Raises `DeserializationError`, too."""
        return cast("list[Any]", await super().poll(timeout, max_records))

    def __aiter__(self) -> AsyncIterator[Any]:
        """As iteration over `Consumer`. Raises `DeserializationError`, too."""
        return super().__aiter__()
