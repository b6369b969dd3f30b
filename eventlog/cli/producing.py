"""Appending records to the partitions of a topic, in batches, and counting them; creating the topic with the first of them."""

from __future__ import annotations

import contextlib
import random
import signal
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from eventlog.cli.inputs import BadLineError
from eventlog.cli.sources import SourceRecord
from eventlog.cli.store import open_partitions, open_store
from eventlog.errors import EventLogError, RecordTooLargeError, StoreOpenError, TopicExistsError, TopicNotFoundError
from eventlog.options import TopicConfig, check_topic_name
from eventlog.records.batch import encoded
from eventlog.records.partitioning import partition_for_key
from eventlog.storage.partition.settings import AppendSettings

if TYPE_CHECKING:
    from types import TracebackType

    from eventlog import EventLog, Partition

_BATCH_RECORDS = 1_000
# Kafka's default limit for a whole batch, max.message.bytes, is 1 MiB: half of it leaves room for keys and
# framing.
_BATCH_BYTES = 1 << 19


class Written(NamedTuple):
    """What was appended to one partition."""

    records: int
    first_offset: int
    last_offset: int


class _Batch:
    """The records that wait to be appended to one partition together."""

    def __init__(self) -> None:
        self.records: list[SourceRecord] = []
        self.size_bytes = 0

    def add(self, record: SourceRecord) -> None:
        self.records.append(record)
        self.size_bytes += _size(record)

    def is_full_with(self, record: SourceRecord) -> bool:
        return len(self.records) >= _BATCH_RECORDS or (bool(self.records) and self.size_bytes + _size(record) > _BATCH_BYTES)


def _size(record: SourceRecord) -> int:
    size = len(record.value or b"") + len(record.key or b"")
    for name, value in record.headers:
        size += len(name) + len(value or b"")
    return size


class Topic:
    """The topic that is written to. What `is_created` if it is missing, the store included, is created by `open` alone."""

    def __init__(self, name: str, partitions: Sequence[int], *, is_created: bool) -> None:
        self.name = name
        self._partitions = partitions  # none: all
        self._is_created = is_created
        self._has_created = False
        self._log: EventLog | None = None
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Topic:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.__exit__(kind, error, trace)

    def find(self) -> None:
        """Raise what `open` would raise for a topic, a partition or a store that is not there, and create nothing."""
        if self._is_created:
            check_topic_name(self.name)
        try:
            self._log = self._closing.enter_context(open_store())
            open_partitions(self._log, self.name, self._partitions)
        except (StoreOpenError, TopicNotFoundError):
            is_topic_there = self._log is not None and self.name in self._log.topics()
            if not self._is_created or is_topic_there:
                raise
            if any(self._partitions):
                raise click.UsageError(
                    f"--create creates a topic with one partition, so that there is no partition {max(self._partitions)}: "
                    f"use 'eventlog topics create {self.name} --partitions N'"
                ) from None

    def open(self, first: SourceRecord | None) -> list[Partition]:
        """The partitions to write to, this record first. Raises `BadLineError` if it is too large for a topic in a new store,
        which then is not created."""
        if self._log is None and self._is_created and first is not None:
            _check_fits(first)
        if self._log is None:
            self._log = self._closing.enter_context(open_store(create=self._is_created))
        if self._is_created and self.name not in self._log.topics():
            # Another process may create it at the same time; that is as good.
            with contextlib.suppress(TopicExistsError):
                self._log.create_topic(self.name)
                self._has_created = True
        return open_partitions(self._log, self.name, self._partitions)

    def undo(self) -> None:
        """Delete the topic again if it was created here."""
        if self._has_created and self._log is not None:
            with contextlib.suppress(EventLogError):  # the error that led here says more
                self._log.delete_topic(self.name)


def _check_fits(record: SourceRecord) -> None:
    """Raise `BadLineError` for a record that a new topic would refuse."""
    settings = AppendSettings.of(TopicConfig({}), 0)
    try:
        with encoded([record.value], [record.key], [record.headers], None, settings.encoding):
            pass
    except RecordTooLargeError as error:
        raise BadLineError(record.line, str(error)) from None


class Writer:
    """Gathers records into one batch a partition, appends them, and counts what was written.

    A record goes to the partition that was asked for, else to its own or the one of its key. Records without a key fill
    one partition's batch after the other's; the first is chosen at random, or many short runs would all meet
    in one.
    """

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self._partitions: list[Partition] = []
        self._batches: list[_Batch] = []
        self._keyless = 0
        self.written: dict[int, Written] = {}

    @property
    def records(self) -> int:
        """How many records were appended."""
        return sum(written.records for written in self.written.values())

    def _open(self, first: SourceRecord | None) -> None:
        if not self._partitions:
            self._partitions = self.topic.open(first)
            self._batches = [_Batch() for _ in self._partitions]
            self._keyless = random.randrange(len(self._partitions))

    def add(self, record: SourceRecord) -> None:
        """Append a record, once enough have come together. Raises `BadLineError`."""
        self._open(record)
        index = self._index(record)
        if self._batches[index].is_full_with(record):
            self._append(index)
            index = self._index(record)
        self._batches[index].add(record)

    def _index(self, record: SourceRecord) -> int:
        count = len(self._partitions)
        if count == 1 and not record.partition:
            return 0
        if record.partition is not None:
            if record.partition >= count:
                raise BadLineError(record.line, f"no partition {record.partition}: {self.topic.name} has {count}")
            return record.partition
        if record.key is None:
            return self._keyless
        return partition_for_key(record.key, count)

    def append_all(self) -> None:
        """Append what waits, so that others see it."""
        for index, batch in enumerate(self._batches):
            if batch.records:
                self._append(index)

    def flush(self) -> None:
        """Append what waits and put it on disk; a topic that is to be created is there now."""
        self._open(None)
        self.append_all()
        for partition in self._partitions:
            if partition.partition in self.written:
                partition.flush()

    def give_up(self) -> None:
        """Append what waits and put it on disk, unless nothing was ever to be appended: then leave nothing behind."""
        try:
            if self._partitions:
                self.flush()
        finally:
            if not self.written:
                self.topic.undo()

    def _append(self, index: int) -> None:
        batch, self._batches[index] = self._batches[index], _Batch()
        if index == self._keyless:
            self._keyless = (index + 1) % len(self._partitions)
        try:
            self._append_together(index, batch.records)
        except RecordTooLargeError:
            # Too large together, or is a single record? Appending one by one finds it, and writes all that come before it.
            self._append_singly(index, batch.records)

    def _append_singly(self, index: int, records: list[SourceRecord]) -> None:
        for record in records:
            try:
                self._append_together(index, [record])
            except RecordTooLargeError as error:
                raise BadLineError(record.line, str(error)) from None

    def _append_together(self, index: int, records: list[SourceRecord]) -> None:
        partition = self._partitions[index]
        _, keys, values, headers, timestamps, _ = zip(*records, strict=True)
        with _interrupts_wait():
            offsets = partition.append_many(
                values,
                keys=keys if any(key is not None for key in keys) else None,
                headers=headers if any(headers) else None,
                timestamps=timestamps if any(time is not None for time in timestamps) else None,
            )
            before = self.written.get(partition.partition)
            self.written[partition.partition] = Written(
                (before.records if before else 0) + len(values),
                before.first_offset if before else offsets[0],
                offsets[-1],
            )


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Raise `KeyboardInterrupt` only after the block, so that what was appended in it is counted, too."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if came:
            raise KeyboardInterrupt
