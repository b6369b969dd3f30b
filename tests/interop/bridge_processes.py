"""Bridges in processes of their own, which tests kill, stop and watch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import eventlog
from eventlog import Consumer, EventLog
from eventlog.bridges.appending import TopicAppender
from eventlog.bridges.progress import BridgeProgress
from tests.interop.far_ends import WINDOW_RECORDS, FarEnd
from tests.support.bridges import Step, act_at
from tests.support.processes import Worker

TOPIC, BACK, GROUP = "orders", "back", "far-away"
SECONDS_MAX = 120.0
_PAUSE_SECONDS = 0.01
_NEVER_MS = 86_400_000
_LEASE_MS = 1000  # of a ship that is stopped: with the default it would be replaced after minutes


def make_store(directory: Path, partitions: int = 1) -> Path:
    """A store with a topic to ship from and one to collect to."""
    directory.mkdir(exist_ok=True)
    with eventlog.open(directory / "store") as log:
        log.create_topic(TOPIC, partitions)
        log.create_topic(BACK)
    return directory / "store"


def ship(connection: Connection, store: Path, url: str, step: Step | None = None, signal: int = 0) -> None:
    """Ship until this is killed, or told to end; with a `step`, send this signal to this process there."""
    if step is not None:
        _have_short_leases()
        act_at(step, signal)
    with _opened(store, step) as log:
        _run(connection, log.ship(TOPIC, url, group=GROUP, window=WINDOW_RECORDS))


def collect(connection: Connection, store: Path, url: str, step: Step | None = None, signal: int = 0) -> None:
    """Collect until this is killed, or told to end; with a `step`, send this signal to this process there."""
    if step is not None:
        act_at(step, signal)
    with _opened(store, step) as log:
        _run(connection, log.collect(BACK, url, window=WINDOW_RECORDS))


def _opened(store: Path, step: Step | None) -> EventLog:
    """If it is to be stopped, its threads do nothing: others would wait for a lock that one of them holds."""
    return eventlog.open(store) if step is None else eventlog.open(store, fsync_interval_ms=_NEVER_MS)


def _run(connection: Connection, bridge: Any) -> None:
    with bridge:
        while not connection.poll(0.1):
            assert bridge.is_alive, bridge.progress()
    connection.send(bridge.progress())


def _have_short_leases() -> None:
    consumer = EventLog.consumer

    def of_short_lease(self: EventLog, *arguments: Any, **options: Any) -> Any:
        return consumer(self, *arguments, max_poll_interval_ms=_LEASE_MS, **options)

    EventLog.consumer = of_short_lease  # type: ignore[method-assign]


class BridgeProcess(Worker):
    """A bridge by one of these roles."""

    def end(self) -> BridgeProgress:
        """Let it settle what it has begun, and end; returns how far it came."""
        self.send(None)
        progress: BridgeProgress = self.receive()
        assert self.exit_status == 0
        return progress

    def wait_until_stopped(self) -> None:
        """Until SIGSTOP has stopped it."""
        while (state := Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]) != "T":
            assert state not in "ZX", self.drain()
            self.connection.poll(_PAUSE_SECONDS)

    @property
    def resident_bytes(self) -> int:
        """The memory that it has, without that of files."""
        _, resident, of_files, *_ = Path(f"/proc/{self.pid}/statm").read_text().split()
        return (int(resident) - int(of_files)) * os.sysconf("SC_PAGE_SIZE")


def values_from(start: int, count: int) -> list[bytes]:
    """So many values, each of them another."""
    return [b"%d" % number for number in range(start, start + count)]


def step(far_end: FarEnd, moment: str) -> Step:
    """The moment in the life of a bridge that is named like "before append 2", after the method that is called."""
    when, method, number = moment.split()
    kinds = {
        "commit": Consumer, "append": TopicAppender, "acknowledge": far_end.source,
        "assign": far_end.sink, "send": far_end.sink, "outcomes": far_end.sink,
    }  # fmt: skip
    return Step(kinds[method], method, when == "after", int(number))


def check_shipped(far_end: FarEnd, queue: str, sent: Sequence[bytes], deaths: int) -> int:
    """Everything has arrived, in order, and no more of it twice than so many deaths may cause; returns how much."""
    arrived = far_end.arrived(queue)
    assert list(dict.fromkeys(arrived)) == list(sent), "lost, or not in order"
    twice = len(arrived) - len(sent)
    assert twice <= far_end.repeats_max * deaths, f"{twice} twice"
    return twice


def check_collected(log: EventLog, expected: Sequence[bytes]) -> None:
    """Each message has become a record, once."""
    assert sorted(log.partition(BACK, 0).values(), key=bytes) == sorted(expected)  # type: ignore[arg-type]
