"""Calls of the library, and the arguments that nobody in his right mind would make."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import eventlog
from eventlog.records.partitioning import partition_for_key


class _Bytes(bytes):
    """A kind of bytes that is not bytes itself."""


class _Number(int):
    """A kind of int."""


class _List(list[Any]):
    """A list that says that it is longer than it is."""

    def __len__(self) -> int:
        return 7


class _Text(str):
    """A kind of str."""


_NUMBERS = (-(2**63) - 1, -(2**63), -(2**31), -1, 0, 1, 2, 500, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 2**200)
_PLACE = eventlog.TopicPartition("events", 0)
_OTHERS: tuple[Any, ...] = (
    None, True, False, 1.5, float("nan"), float("inf"), -1e300, "", "events", "\ud800", "a\0b", "../x", "é" * 300,
    b"", b"v" * 3_000, bytearray(b"v"), memoryview(b"v"), _Bytes(b"v"), _Number(1), _Text("events"), _List([b"v"]),
    [], [None], [b"v", "v"], (), {}, {"a": 1}, [("n", b"v")], [("n", "v")], [("\udc80", None)], [("n",)], ("n", b"v"),
    {b"v"}, range(3), object(), int, re.compile(b"v"), re.compile("v"), ("events", 1), ("events", True),
    _PLACE, [_PLACE], {_PLACE: 2**64}, {_PLACE: 0}, {("events", 1): -1}, eventlog.TopicPartition("events", 2**70),
    {"segment.bytes": 2**64}, {"compression.type": "gzip"}, {"cleanup.policy": ["compact"]}, ["value", "key"],
)  # fmt: skip


class Argument:
    """Makes arguments out of what a fuzzer chooses: mostly from the lists above, at times from its own bytes."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def __call__(self) -> Any:
        kind = self._provider.ConsumeIntInRange(0, 9)
        if kind == 0:
            return self._provider.ConsumeIntInRange(-(2**63), 2**63 - 1)
        if kind == 1:
            return self._provider.ConsumeBytes(20)
        if kind == 2:
            return self._provider.ConsumeUnicode(10)
        if kind == 3:
            return [self() for _ in range(self._provider.ConsumeIntInRange(0, 3))]
        choice = _NUMBERS if kind < 6 else _OTHERS
        return choice[self._provider.ConsumeIntInRange(0, len(choice) - 1)]


def _partition(log: eventlog.EventLog) -> eventlog.Partition:
    return log.partition("events", 0)


def _consume(log: eventlog.EventLog, a: Argument) -> None:
    with log.consumer(group=a()) as consumer:
        consumer.subscribe(a())
        consumer.poll(0, a())
        consumer.commit(a())


def _assign(log: eventlog.EventLog, a: Argument) -> None:
    with log.consumer(group="readers") as consumer:
        consumer.assign([eventlog.TopicPartition("events", 0)])
        uses = (consumer.assign, consumer.committed, consumer.position, consumer.pause, consumer.resume, consumer.seek_to_end)
        for use in uses:
            try:
                use(a())
            except eventlog.EventLogError:
                continue
        consumer.seek(a(), a())
        consumer.seek_to_time(a(), a())


def _produce(log: eventlog.EventLog, a: Argument) -> None:
    with log.producer(linger_ms=a()) as producer:
        producer.send(a(), a(), key=a(), headers=a(), timestamp=a(), partition=a())


def _move(log: eventlog.EventLog, a: Argument) -> None:
    group = log.create_group("moved")
    for use in (group.plan_reset, group.reset, group.delete_offsets, group.history):
        try:
            use(a())
        except eventlog.EventLogError:
            continue


CALLS: tuple[Callable[[eventlog.EventLog, Argument], Any], ...] = (
    lambda log, a: _partition(log).append(a(), a(), a(), a()),
    lambda log, a: _partition(log).append_many(a(), keys=a(), headers=a(), timestamps=a()),
    lambda log, a: _partition(log).append_many([b"v", None], keys=a(), headers=a(), timestamps=a()),
    lambda log, a: _partition(log).append_many([b"v"], headers=[a()], compression=a()),
    lambda log, a: _partition(log).read(a(), a(), durable=a()),
    lambda log, a: next(_partition(log).values(a(), a()), None),
    lambda log, a: next(_partition(log).records(a(), a()), None),
    lambda log, a: next(iter(_partition(log).search(a(), a(), a(), fields=a(), ignore_case=a(), invert=a())), None),
    lambda log, a: _partition(log).offset_for_time(a()),
    lambda log, a: _partition(log).bytes_from(a()),
    lambda log, a: _partition(log).wait(a(), 0, durable=a()),
    lambda log, a: _partition(log).delete_records(a()),
    lambda log, a: log.partition(a(), a()),
    lambda log, a: log.topic(a()),
    lambda log, a: log.offsets(a()),
    lambda log, a: log.verify(a()),
    lambda log, a: log.describe_topic(a()),
    lambda log, a: log.alter_topic("events", config=a()),
    lambda log, a: log.alter_topic(a(), partitions=a(), config=a()),
    lambda log, a: log.create_topic(a(), 1, a()),
    lambda log, a: log.create_topic("events", a(), a()),
    lambda log, a: log.maintain(group_retention_ms=a()),
    lambda log, a: log.create_group(a()),
    lambda log, a: log.group(a()),
    lambda log, a: log.check_offsets(a()),
    lambda log, a: log.repair(a(), a()),
    lambda log, a: partition_for_key(a(), a()),
    _consume,
    _assign,
    _produce,
    _move,
)
