"""A signal's handler that raises, as that of Ctrl-C does, in the middle of any call: the process goes on with the store."""

from __future__ import annotations

import gc
import random
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog
from tests.support import stores
from tests.support.descriptors import open_files
from tests.support.processes import Worker

ROUNDS = 3000
SEEDS = range(2)
LOCKED = re.compile(r".*(\.head|\.acks|/catalog|/maintenance|/logs|-0|/store)")  # what a lock may be held on


class Interruption(Exception):
    pass


class Calls:
    """What a program does with a store. It tried to send the values in `sent`, and was told of those in `acknowledged`."""

    def __init__(self, log: EventLog, chance: random.Random) -> None:
        self.log, self.chance = log, chance
        self.sent: list[bytes] = []
        self.acknowledged: list[bytes] = []
        self.backups = 0
        log.create_topic(stores.TOPIC, config={"segment.bytes": 4096})
        log.create_topic("compacted", config={"segment.bytes": 4096, "cleanup.policy": "compact"})
        self.partition = log.partition(stores.TOPIC, 0)
        self.producer = log.producer()
        self.patient = log.producer(linger_ms=1, batch_bytes=500)
        self.consumer = log.consumer(stores.TOPIC, group="readers")

    def any(self) -> Callable[[], Any]:
        often = [self.append, self.append_many, self.send, self.let_wait, self.read, self.consumer.poll]
        rarely = [self.flush, self.values, self.consumer.commit, self.log.maintain, self.append_keyed, self.make_topic,
                  self.delete_records, self.open_and_close, self.join_and_leave, self.back_up]  # fmt: skip
        return self.chance.choice(often * 3 + rarely)

    def _values(self, count: int) -> list[bytes]:
        values = [b"%d:" % (len(self.sent) + number) + bytes(self.chance.randrange(100)) for number in range(count)]
        self.sent += values
        return values

    def append(self) -> None:
        [value] = self._values(1)
        self.partition.append(value)
        self.acknowledged.append(value)

    def append_many(self) -> None:
        values = self._values(5)
        self.partition.append_many(values, keys=self.chance.choice([None, [b"key"] * 5]))
        self.acknowledged += values

    def send(self) -> None:
        [value] = self._values(1)
        self.producer.send(stores.TOPIC, value)
        self.acknowledged.append(value)

    def let_wait(self) -> None:
        [value] = self._values(1)
        self.patient.send(stores.TOPIC, value)
        self.acknowledged.append(value)

    def flush(self) -> None:
        self.patient.flush()

    def read(self) -> None:
        if self.partition.end_offset > 0:
            self.partition.read(self.chance.randrange(self.partition.end_offset))

    def values(self) -> None:
        list(self.partition.values(max(0, self.partition.end_offset - 200)))

    def append_keyed(self) -> None:
        self.log.partition("compacted", 0).append(b"x", key=b"%d" % self.chance.randrange(5))

    def make_topic(self) -> None:
        with suppress(eventlog.TopicNotFoundError):
            self.log.delete_topic("new")  # what an interrupted call has left
        self.log.create_topic("new")
        self.log.partition("new", 0).append(b"x")


    def delete_records(self) -> None:
        partition = self.log.partition("compacted", 0)
        partition.delete_records(partition.start_offset)

    def open_and_close(self) -> None:
        with eventlog.open(self.log.path) as log:
            log.partition("compacted", 0).append(b"x", key=b"key")

    def join_and_leave(self) -> None:
        with self.log.consumer("compacted", group=f"others-{self.chance.randrange(3)}") as consumer:
            consumer.poll(0)

    def back_up(self) -> None:
        self.backups += 1  # an interrupt may leave what it was about to remove
        self.log.backup(self.log.path.parent / f"backup-{self.backups}")


def _done_beside(connection: Connection, store: Path) -> None:
    """What needs every lock, by somebody else."""
    with eventlog.open(store, lock_timeout_ms=2000) as log:
        report = log.maintain(compact_all=True)
        assert (report.is_elsewhere, report.failures) == (False, [])
        for topic in (stores.TOPIC, "compacted"):
            log.partition(topic, 0).delete_records(log.partition(topic, 0).start_offset)
            log.partition(topic, 0).flush()
        log.create_topic("by-another")
    connection.send("done")


def _interrupt_again_and_again(connection: Connection, store: Path, seed: int) -> None:
    is_armed = False

    def interrupt(*_: object) -> None:
        if is_armed:
            raise Interruption

    signal.signal(signal.SIGALRM, interrupt)
    sys.unraisablehook = lambda _: None  # a handler may also raise where nobody can be told
    chance = random.Random(seed)
    with eventlog.open(store, lock_timeout_ms=5000) as log:
        calls = Calls(log, chance)
        for _ in range(ROUNDS):
            call = calls.any()
            try:
                is_armed = True
                signal.setitimer(signal.ITIMER_REAL, 1e-6 + chance.choice([2e-5, 1e-4, 1e-3]) * chance.random())
                call()
                is_armed = False
            except Interruption:
                is_armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send("interrupted")
        connection.recv()
        del calls.consumer, calls.producer, calls.patient, calls.partition
    del call, log, calls.log
    gc.collect()
    connection.send((calls.sent, calls.acknowledged, open_files(store)))


@pytest.mark.parametrize("seed", SEEDS)
def test_an_interrupt_anywhere_loses_nothing_repeats_nothing_and_stops_nobody(tmp_path: Path, seed: int) -> None:
    store = tmp_path / "store"
    with Worker(_interrupt_again_and_again, store, seed) as program:
        assert program.receive() == "interrupted"
        with Worker(_done_beside, store) as another:
            assert another.receive() == "done"
        program.send("close")
        sent, acknowledged, left_open = program.receive()
    with eventlog.open(store) as log:
        assert not [report for report in log.verify() if report.problems]
        found = [value for value in log.partition(stores.TOPIC, 0).values() if value is not None]
    assert not [path for path in left_open if LOCKED.fullmatch(path.removesuffix(" (deleted)"))]
    counts = Counter(found)
    assert set(counts.values()) == {1}
    assert set(acknowledged) <= set(found) <= set(sent)


def _send_until_closed(log: EventLog, options: dict[str, Any], chance: random.Random) -> list[bytes]:
    """Send until a signal handler closes the store or is refused; returns the values that were accepted."""
    attempts: list[str] = []

    def handler(*_: object) -> None:
        try:
            log.close()
            attempts.append("closed")
        except eventlog.ConcurrentUseError:
            attempts.append("refused")

    former = signal.signal(signal.SIGALRM, handler)
    accepted: list[bytes] = []
    try:
        producer = log.producer(**options)
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(5e-5, 1e-2))
        with suppress(eventlog.StoreClosedError):
            while not attempts:
                value = b"%d:" % len(accepted) + bytes(chance.randrange(200))
                producer.send(stores.TOPIC, value, partition=0)
                accepted.append(value)
                if chance.random() < 0.01:
                    producer.flush()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    log.close()
    return accepted


@pytest.mark.parametrize("options", [{}, {"linger_ms": 1}, {"linger_ms": 1000, "compression": "gzip"}], ids=str)
def test_a_handler_that_closes_the_store_at_any_moment_of_sending_loses_nothing_that_was_accepted(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    chance = random.Random(str(options))
    for number in range(20):
        store = tmp_path / str(number)
        log = eventlog.open(store)
        log.create_topic(stores.TOPIC, config={"segment.bytes": 4096})
        accepted = _send_until_closed(log, options, chance)
        with eventlog.open(store) as log:
            found = list(log.partition(stores.TOPIC, 0).values())
        assert found[: len(accepted)] == accepted and len(found) <= len(accepted) + 1
