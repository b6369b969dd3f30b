"""A consumer that turns the bytes of keys and values into objects.

After an error the position is the record that cannot be deserialized, as with Kafka's consumer (KIP-334): the records before it
are handed out first, and it raises its error until the caller seeks past it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from re import Pattern
from typing import Any, NamedTuple

from eventlog.consumer.consumer import Consumer
from eventlog.consumer.core import ConsumerCore
from eventlog.consumer.options import ConsumerOptions
from eventlog.errors import DeserializationError, InvalidTypeError, OffsetOutOfRangeError
from eventlog.groups.registry import Groups
from eventlog.log import Log
from eventlog.logs import logger
from eventlog.records.record import Record, TopicPartition

_log = logger("consumer")

Deserializer = Callable[[bytes], Any]


class Deserializers(NamedTuple):
    """The functions that make a key and a value of bytes; None leaves them as they are. They never get a None.

    `pass_over` disposes of a record that cannot be deserialized, which then counts as handed out; None raises its error."""

    key: Deserializer | None
    value: Deserializer | None
    pass_over: Callable[[DeserializationError], object] | None = None

    def check(self) -> None:
        """Raise `InvalidTypeError` unless both are functions or None."""
        for name, function in (("key_deserializer", self.key), ("value_deserializer", self.value)):
            if function is not None and not callable(function):
                raise InvalidTypeError(f"{name} must be a function that takes bytes, not {type(function).__name__}")

    def apply(self, record: Record) -> Any:
        """The record with what its key and value stand for; None if it was passed over. Raises `DeserializationError`."""
        topic, partition, offset, timestamp, key, value, headers = record
        try:
            if key is not None and self.key is not None:
                key = _deserialized(record, "key", self.key, key)
            if value is not None and self.value is not None:
                value = _deserialized(record, "value", self.value, value)
        except DeserializationError as error:
            if self.pass_over is None:
                raise
            self.pass_over(error)
            return None
        return Record(topic, partition, offset, timestamp, key, value, headers)


def _deserialized(record: Record, field: str, deserializer: Deserializer, data: bytes) -> Any:
    try:
        return deserializer(data)
    except Exception as error:
        failure = DeserializationError(record, field, f"{type(error).__name__}: {error}")
        failure.topic_partition = TopicPartition(record.topic, record.partition)
        raise failure from error


def drop(error: DeserializationError) -> None:
    """Pass over a record by telling only the log of the program."""
    _log.warning("dropped: %s", error)


class DeserializingCore(ConsumerCore):
    """The work of a consumer with deserializers."""

    def __init__(self, log: Log, groups: Groups, options: ConsumerOptions, deserializers: Deserializers) -> None:
        super().__init__(log, groups, options)
        self._deserializers = deserializers

    def poll(self, timeout: float | None, records_max: int) -> list[Record]:
        """As `Consumer.poll`, up to a record that cannot be deserialized: it raises its error once it comes first."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while records := super().poll(timeout, records_max):
            if found := self._until_failure(records):
                return found
            self.handout.has_returned = True  # all of them were passed over
            timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        return []

    def _until_failure(self, records: list[Record]) -> list[Record]:
        found: list[Record] = []
        for index, record in enumerate(records):
            try:
                deserialized = self._deserializers.apply(record)
            except DeserializationError:
                self.handout.give_back(records[index:])
                if found:
                    return found
                self.handout.has_returned = True  # the position is that of the first record
                raise
            if deserialized is not None:
                found.append(deserialized)
        return found

    def records(self, *, wait: bool) -> Generator[Record, None, None]:
        """As `ConsumerCore.records`. After an error the next iteration begins with the same record."""
        with closing(super().records(wait=wait)) as records:
            for record in records:
                try:
                    deserialized = self._deserializers.apply(record)
                except DeserializationError as error:
                    with suppress(OffsetOutOfRangeError), self.use.alone:  # deleted just now
                        self.handout.seek(self.assignment.find(error.topic_partition), error.offset)
                    raise
                if deserialized is not None:
                    yield deserialized


class DeserializingConsumer(Consumer):
    """A `Consumer` whose records have as key and value what the deserializers return. Created by `EventLog.consumer`."""

    def __init__(
        self,
        log: Log,
        groups: Groups,
        topics: str | Sequence[str] | Pattern[str] | None,
        options: ConsumerOptions,
        deserializers: Deserializers,
    ) -> None:
        super().__init__(log, groups, topics, options, DeserializingCore(log, groups, options, deserializers))

    def poll(self, timeout: float | None = 1.0, max_records: int = 500) -> list[Any]:
        """As `Consumer.poll`. Raises `DeserializationError`, too."""
        return super().poll(timeout, max_records)

    def __iter__(self) -> Iterator[Any]:
        """As iteration over `Consumer`. Raises `DeserializationError`, too."""
        return super().__iter__()
