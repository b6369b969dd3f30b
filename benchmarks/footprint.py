"""What a process pays for a library before and while it uses it: the time of its import, and private memory.

The time of an import is that of a fresh interpreter with it, less that of one which imports nothing, in the same round."""

from __future__ import annotations

import re
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks import peers
from benchmarks.figures import Figure
from benchmarks.peers.peer import Peer, Stream
from benchmarks.run import Run, timed
from benchmarks.throughput import fill, stream_of
from benchmarks.workloads import SMALL
from tests.support.processes import Interpreter

SUITE = "footprint"
_NOTHING = "sys"
_MODULES = {
    "eventlog": "eventlog",
    "sqlite": "sqlite3",
    "lmdb": "lmdb",
    "rocksdb": "rocksdict",
    "queuelib": "queuelib",
    "persist_queue": "persistqueue",
    "eventsourcing": "eventsourcing.sqlite",
    "redis": "redis",
    "nats": "nats",
    "rabbitmq": "pika",
    "kafka": "confluent_kafka",
}


def _start_ms(module: str) -> float:
    command = [sys.executable, "-c", f"import {module}"]
    return timed(lambda: subprocess.run(command, check=True, stderr=subprocess.DEVNULL)) * 1000


def _private_kib() -> int:
    text = Path("/proc/self/smaps_rollup").read_text("utf-8")
    return sum(int(size) for size in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE))


def _use(connection: Connection, name: str, stream: Stream, count: int, seed: int) -> None:
    """Append, and report how much private memory that took; what this function needs itself is there before."""
    events = SMALL.events(count, seed)
    peer = peers.get(name)
    before = _private_kib()
    with peer.open(stream) as session:
        fill(peer, session, events)
        session.append(SMALL.events(1000, seed))
        connection.send(_private_kib() - before)
        connection.recv()


def _private_mib(peer: Peer, address: str, count: int, seed: int) -> float:
    with (
        stream_of(peer, address, "process", SMALL) as stream,
        Interpreter(_use, peer.name, stream, count, seed) as worker,
    ):
        kibibytes: int = worker.receive()
        worker.send("end")
        worker.join()
    return kibibytes / 1024


def run_footprint(run: Run) -> None:
    """A fresh interpreter imports each library, then uses each embedded contender."""
    importable = run.found(SUITE, list(_MODULES))
    embedded = [peer for peer in run.found(SUITE, peers.EMBEDDED) if peer.name in _MODULES]
    count = run.amount(1000, 100_000)
    _start_ms(_NOTHING)  # the first one reads its files from the disk
    with run.fresh_directory() as directory:
        for number in range(1, run.rounds + 1):
            start_ms = _start_ms(_NOTHING)
            run.add(Figure(SUITE, "embedded", "python", "start", "process", "time", "ms", start_ms, number))
            for peer in importable:
                milliseconds = _start_ms(_MODULES[peer.name]) - start_ms
                run.add(Figure(SUITE, "embedded", peer.name, "import", "process", "time", "ms", milliseconds, number))
            for peer in embedded:
                with peer.running(directory / peer.name, "process") as address:
                    mebibytes = _private_mib(peer, address, count, run.seed)
                bench = "private memory of a writer"
                run.add(Figure(SUITE, "embedded", peer.name, bench, "process", "memory", "MiB", mebibytes, number))
