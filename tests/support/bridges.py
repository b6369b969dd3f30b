"""The other end of a bridge, in memory, and bridges that die between two steps."""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import eventlog
from eventlog import ConnectionLostError, Consumer, EventLog, Record, TopicPartition
from eventlog.bridges.appending import TopicAppender
from eventlog.bridges.collect import Collect
from eventlog.bridges.endpoints import Outcomes, Refusal
from eventlog.bridges.message import Message
from eventlog.bridges.refused import Refused
from eventlog.bridges.ship import Ship, ShipOptions
from eventlog.bridges.store.sink import StoreSink
from eventlog.bridges.store.source import StoreSource
from eventlog.bridges.topics import topic_id

GROUP = "to-memory"


class MemorySink:
    """Takes records at once, and confirms them late, in any order; refuses some; loses its connection.

    `taken` are the records in the order in which they came, again after each loss. `refusals` are the values that it refuses,
    `loss` the probability that a call loses the connection."""

    system = "memory"
    label = "memory:"

    def __init__(self, choices: random.Random, *, refusals: frozenset[bytes] = frozenset(), loss: float = 0.0) -> None:
        self.taken: list[Record] = []
        self.loss = loss
        self.positions: dict[TopicPartition, int] = {}
        self.assigned: set[TopicPartition] = set()
        self.in_flight_max = 0
        self.room_now = 1000
        self.on_call: Callable[[], object] = lambda: None
        self._choices = choices
        self._refusals = refusals
        self._under_way: list[Record] = []
        self._is_open = False

    def _call(self) -> None:
        self.on_call()
        assert self._is_open
        if self._choices.random() < self.loss:
            raise ConnectionLostError("memory: the connection was lost")

    def open(self) -> None:
        assert not self._is_open
        self._is_open, self._under_way, self.assigned = True, [], set()
        self._call()

    def assign(self, partitions: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        self._call()
        assert not self.assigned & partitions.keys()
        self.assigned.update(partitions)
        return {each: self.positions[each] for each in partitions if each in self.positions}

    def revoke(self, partitions: Sequence[TopicPartition]) -> None:
        self._call()
        self.assigned.difference_update(partitions)
        self._under_way = [each for each in self._under_way if TopicPartition(each.topic, each.partition) in self.assigned]

    def room(self) -> int:
        return self.room_now

    def send(self, records: Sequence[Record]) -> None:
        assert len(records) <= self.room_now
        for record in records:
            assert TopicPartition(record.topic, record.partition) in self.assigned
            if record.value not in self._refusals:
                self.taken.append(record)
            self._under_way.append(record)
            self.in_flight_max = max(self.in_flight_max, len(self._under_way))
            self._call()  # after some of them

    def outcomes(self, timeout: float) -> Outcomes:
        self._call()
        settled = self._choices.sample(self._under_way, self._choices.randint(0, len(self._under_way)))
        self._under_way = [each for each in self._under_way if each not in settled]
        return Outcomes(
            [each for each in settled if each.value not in self._refusals],
            [Refusal(each, "it was to be refused") for each in settled if each.value in self._refusals],
        )

    def close(self) -> None:
        self._is_open = False


class MemorySource:
    """A queue that gives again what was not acknowledged, and loses its connection. `queue` are the messages in it; those that
    the topic cannot take are put into `refused`."""

    system = "memory"
    label = "memory:"

    def __init__(self, choices: random.Random, queue: list[Message], *, loss: float = 0.0) -> None:
        self.queue = queue
        self.refused: list[Message] = []
        self.loss = loss
        self._choices = choices
        self._given: list[Message] = []
        self._is_open = False

    def _call(self) -> None:
        assert self._is_open
        if self._choices.random() < self.loss:
            raise ConnectionLostError("memory: the connection was lost")

    def open(self) -> None:
        self._is_open = True
        self._call()

    def receive(self, timeout: float, count_max: int) -> Sequence[Message]:
        self._call()
        given = self.queue[: self._choices.randint(0, count_max)]
        del self.queue[: len(given)]
        self._given += given
        return given

    def acknowledge(self, messages: Sequence[Message]) -> None:
        assert list(messages) == self._given[: len(messages)]
        self._call()
        del self._given[: len(messages)]

    def refuse(self, message: Message, reason: str) -> None:
        self.refused.append(message)

    def depth(self) -> int | None:
        return len(self.queue)

    def close(self) -> None:
        self._is_open = False
        self.queue[:0] = [each._replace(is_redelivered=True) for each in self._given]
        self._given = []


def ship_to(
    log: EventLog, topic: str, sink: Any, *, refused: str = "stop", window: int = 100, give_up_after: float | None = None,
    group: str = GROUP, window_bytes: int = 2**20,
) -> Ship:  # fmt: skip
    """A ship to a sink of the test's."""
    options = ShipOptions(group, window, window_bytes, give_up_after, topic_id(log.topic(topic)))
    return Ship(
        log, topic, sink, lambda listener: log.consumer(topic, group=group, listener=listener), Refused(log, refused), options
    )


def collect_from(log: EventLog, topic: str, source: Any, *, refused: str = "stop", window: int = 100) -> Collect:
    """A collecting bridge from a source of the test's."""
    policy = Refused(log, refused, may_be_left_there=True)
    return Collect(log, TopicAppender(log, topic), source, policy, window, None)


class Step(NamedTuple):
    """A moment in a bridge's life: before or after a method's `number`-th call, counted from 1."""

    kind: type
    method: str
    is_after: bool
    number: int

    def __str__(self) -> str:
        return f"{'after' if self.is_after else 'before'} {self.kind.__name__}.{self.method} {self.number}"


def steps(number: int, *methods: tuple[type, str]) -> list[Step]:
    """Before and after the `number`-th call of each of these methods."""
    return [Step(kind, method, is_after, number) for kind, method in methods for is_after in (False, True)]


SHIP_STEPS = [
    *steps(1, (StoreSink, "open"), (StoreSink, "assign")),
    *steps(2, (StoreSink, "send"), (StoreSink, "outcomes"), (TopicAppender, "append"), (TopicAppender, "flush")),
    *steps(3, (Consumer, "commit")),
]
COLLECT_STEPS = [
    *steps(1, (StoreSource, "open"), (TopicAppender, "position")),
    *steps(3, (StoreSource, "receive"), (TopicAppender, "append"), (TopicAppender, "flush"), (StoreSource, "acknowledge")),
]


def die_at(step: Step) -> None:
    """Let this process get SIGKILL at that moment."""
    act_at(step, signal.SIGKILL)


def act_at(step: Step, number: int) -> None:
    """Let this process get this signal at that moment."""
    calls: Counter[str] = Counter()
    method = getattr(step.kind, step.method)

    @wraps(method)
    def counted(*arguments: Any, **options: Any) -> Any:
        calls[step.method] += 1
        is_due = calls[step.method] == step.number
        if is_due and not step.is_after:
            _raise_here(number)
        result = method(*arguments, **options)
        if is_due and step.is_after:
            _raise_here(number)
        return result

    setattr(step.kind, step.method, counted)


def _raise_here(number: int) -> None:
    """To this thread: one to the process would stop another thread first, while this one went on, perhaps to hold a lock."""
    signal.pthread_kill(threading.get_ident(), number)


def ship_and_die(connection: Connection, store: Path, topic: str, url: str, step: Step | None) -> None:
    """Ship what there is in small windows; with a `step`, die there."""
    if step is not None:
        die_at(step)
    with eventlog.open(store) as log:
        log.ship(topic, url, group=GROUP, window=10).run(until_idle=0)
    connection.send("done")


def collect_and_die(connection: Connection, store: Path, topic: str, url: str, step: Step | None) -> None:
    """Collect what there is in small batches; with a `step`, die there."""
    if step is not None:
        die_at(step)
    with eventlog.open(store) as log:
        log.collect(topic, url, window=10).run(until_idle=0.3)
    connection.send("done")
