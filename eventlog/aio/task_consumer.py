"""What consumers for tasks share, whatever they consume from: one task at a time, positions, and what does not wait."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from re import Pattern
from typing import TYPE_CHECKING, Generic, TypeVar

from eventlog.clock import Time
from eventlog.errors import ConcurrentUseError
from eventlog.hub import Turns
from eventlog.records.record import TopicPartition

if TYPE_CHECKING:
    from eventlog.consumer.consumer import Consumer
    from eventlog.kafka.consumer import KafkaConsumer

_Consumer = TypeVar("_Consumer", bound="Consumer | KafkaConsumer")
_Result = TypeVar("_Result")


class TaskConsumer(ABC, Generic[_Consumer]):
    """A consumer, for one task at a time."""

    def __init__(self, consumer: _Consumer) -> None:
        self._consumer = consumer
        self._turns = Turns()
        self._is_busy = False

    @abstractmethod
    async def _run(self, function: Callable[[], _Result]) -> _Result:
        """Let a thread do what may wait. It is completed even if the task is cancelled."""

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._is_busy:
            raise ConcurrentUseError(f"{self._consumer!r} is in use by another task: give each task its own consumer")
        self._is_busy = True
        try:
            yield
        finally:
            self._is_busy = False

    async def _call(self, function: Callable[[], _Result]) -> _Result:
        with self._alone():
            return await self._run(function)

    @property
    def group(self) -> str | None:
        """The name of the group, or None."""
        return self._consumer.group

    @property
    def in_transaction(self) -> _Consumer:
        """The consumer itself, whose positions a transaction commits. The task must not poll before that has ended."""
        return self._consumer

    # --- positions -------------------------------------------------------------------------------------------

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
