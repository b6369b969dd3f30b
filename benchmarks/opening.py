"""Opening and recovery: how long it takes until a partition can be used, by how large it is and how it was left."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import eventlog
from benchmarks.figures import Figure
from benchmarks.run import Run, timed
from benchmarks.targets import ALMOST_EMPTY
from benchmarks.workloads import LARGE, SMALL
from tests.support.heads import simulate_reboot
from tests.support.processes import Worker
from tests.support.stores import TOPIC, create, head_file

SUITE = "opening"
_UNDURABLE_RECORDS = 20_000

Leave = Callable[[Path], None]


def _append_and_wait(connection: Connection, store: str) -> None:
    """Append what no disk has yet, and be there until killed."""
    with eventlog.open(store, fsync="never") as log:
        partition = log.partition(TOPIC, 0)
        for value in SMALL.events(_UNDURABLE_RECORDS, 1).values:
            partition.append(value)
        connection.send("appended")
        connection.recv()


def _kill_its_only_user(store: Path) -> None:
    with Worker(_append_and_wait, str(store)) as worker:
        worker.receive()
        worker.kill()


def _after_close(store: Path) -> None:
    """The last user has closed it."""


def _after_kill(store: Path) -> None:
    """kill -9 of the last user: shared memory is still there."""
    _kill_its_only_user(store)


def _after_power_cut(store: Path) -> None:
    """Every process is gone, and the boot is another one: what was not durable has to be scanned."""
    _kill_its_only_user(store)
    simulate_reboot(head_file(store))


BEFORE: dict[str, Leave] = {
    "after close": _after_close,
    "after kill -9": _after_kill,
    "after a power cut": _after_power_cut,
}


_opened: list[eventlog.EventLog] = []


def open_store(store: Path) -> None:
    """Open a store and its partition. What was opened is closed by `close_opened`, so that closing is not measured."""
    log = eventlog.open(store, fsync="never")
    log.partition(TOPIC, 0)
    _opened.append(log)


def close_opened() -> None:
    """Close what `open_store` opened."""
    while _opened:
        _opened.pop().close()


def fill(store: Path, gibibytes: float) -> None:
    """A new store with about so much in it, and a thousand records at least."""
    create(store)
    unit = LARGE.events(1000, 1).values
    with eventlog.open(store, fsync="never") as log:
        partition = log.partition(TOPIC, 0)
        for _ in range(max(int(gibibytes * 2**30) // (LARGE.value_bytes * len(unit)), 1)):
            partition.append_many(unit)


def run_opening(run: Run) -> None:
    """An almost empty store and a large one, left in each way, are opened."""
    with run.fresh_directory() as directory:
        stores = {ALMOST_EMPTY: directory / "small", f"{run.growth_gib:g} GiB": directory / "large"}
        fill(directory / "small", 0)
        fill(directory / "large", run.growth_gib)
        for number in range(1, run.rounds + 1):
            for bench, leave in BEFORE.items():
                for name, store in stores.items():
                    leave(store)
                    milliseconds = timed(lambda store=store: open_store(store)) * 1000  # type: ignore[misc]
                    close_opened()
                    figure = Figure(SUITE, "embedded", name, f"open {bench}", "process", "time", "ms", milliseconds, number)
                    run.add(figure)
