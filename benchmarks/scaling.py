"""More than one writer, and more than one partition: what processes and threads gain, and what partitions cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection

from benchmarks import peers
from benchmarks.figures import Figure, Skip
from benchmarks.peers.peer import Durability, Peer, Session, Stream
from benchmarks.run import Run, timed
from benchmarks.throughput import stream_of
from benchmarks.workloads import KEYED, PARTITIONS, PROCESSES, SMALL
from tests.support.processes import Worker

SUITE = "scaling"
_EVENTS_MAX = 400_000
_THREADS = 16


@dataclass(frozen=True)
class Crowd:
    """How many write at once. With `is_shared` all of them to one partition, else each to one of its own."""

    processes: int = 1
    threads: int = 1
    is_shared: bool = False
    durability: Durability = "process"

    @property
    def name(self) -> str:
        """As the bench is called in the figures."""
        who = f"{self.threads} threads" if self.threads > 1 else f"{self.processes} process" + "es" * (self.processes > 1)
        return f"append 100 B, {who}, " + ("one partition" if self.is_shared else "a partition each")

    def needs(self) -> list[str]:
        """What a contender must not lack."""
        return [self.durability, *(["processes"] if self.processes > 1 else []), *(["threads"] if self.threads > 1 else [])]


CROWDS = [
    *(Crowd(processes=number) for number in PROCESSES),
    *(Crowd(processes=number, is_shared=True) for number in PROCESSES),
    Crowd(is_shared=True, durability="disk"),
    Crowd(threads=_THREADS, is_shared=True, durability="disk"),
    Crowd(processes=PROCESSES[-1], is_shared=True, durability="disk"),
]


def _write(connection: Connection, name: str, stream: Stream, partition: int, count: int, seed: int) -> None:
    """Append when told to, and say from when to when that took."""
    events = stream.workload.events(count, seed)
    with peers.get(name).open(stream, partition) as session:
        connection.send("ready")
        connection.recv()
        start = time.monotonic_ns()
        session.append(events)
        connection.send((start, time.monotonic_ns()))
        connection.recv()


def _seconds_of_processes(peer: Peer, stream: Stream, crowd: Crowd, count: int, seed: int) -> float:
    with ExitStack() as stack:
        partitions = [0 if crowd.is_shared else number for number in range(crowd.processes)]
        workers = [stack.enter_context(Worker(_write, peer.name, stream, place, count, seed)) for place in partitions]
        for message in ("go", "end"):
            answers = [worker.receive() for worker in workers]
            for worker in workers:
                worker.send(message)
        for worker in workers:
            worker.join()
    return float(max(stop for _, stop in answers) - min(start for start, _ in answers)) / 1e9


def _seconds_of_threads(peer: Peer, stream: Stream, crowd: Crowd, count: int, seed: int) -> float:
    events = stream.workload.events(count, seed)
    with peer.open(stream) as session:
        threads = [threading.Thread(target=session.append, args=(events,)) for _ in range(crowd.threads)]

        def work() -> None:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return timed(work)


def _seconds(peer: Peer, address: str, crowd: Crowd, count: int, seed: int) -> float:
    measure = _seconds_of_threads if crowd.threads > 1 else _seconds_of_processes
    with stream_of(peer, address, crowd.durability, SMALL, crowd.processes) as stream:
        return measure(peer, stream, crowd, count, seed)


def run_scaling(run: Run) -> None:
    """Crowds of writers on what several processes may open, then one producer and many partitions."""
    contenders = [peer for peer in run.found(SUITE, peers.EMBEDDED) if _is_able(run, peer, ["processes"], "all of it")]
    with run.fresh_directory() as directory, ExitStack() as stack:
        addresses = {peer: stack.enter_context(peer.running(directory / peer.name, "process")) for peer in contenders}
        counts = {
            (peer, durability): run.calibrate(
                lambda count, peer=peer, durability=durability: _seconds(  # type: ignore[misc]
                    peer, addresses[peer], Crowd(durability=durability), count, run.seed
                ),
                20 if durability == "disk" else 100,
                _EVENTS_MAX,
            )
            for peer in contenders
            for durability in ("process", "disk")
        }
        for number in range(1, run.rounds + 1):
            for crowd in CROWDS[:: run.amount(4, 1)]:
                for peer in contenders:
                    if _is_able(run, peer, crowd.needs(), crowd.name):
                        writers = crowd.processes * crowd.threads
                        each = max(counts[peer, crowd.durability] * 2 // (writers + 1), 10)
                        seconds = _seconds(peer, addresses[peer], crowd, each, run.seed)
                        _add(run, peer.name, crowd.name, crowd.durability, number, each * writers, seconds)
    _run_partitions(run)


def _is_able(run: Run, peer: Peer, needs: Sequence[str], bench: str) -> bool:
    reason = peer.why_lacking(*needs)
    if reason is not None:
        run.journal.skip(Skip(SUITE, peer.name, bench, reason))
    return reason is None


def _add(run: Run, name: str, bench: str, durability: str, number: int, events: int, seconds: float) -> None:
    detail = {"events": events, "seconds": seconds}
    run.add(Figure(SUITE, "embedded", name, bench, durability, "rate", "/s", events / seconds, number, detail))


def _run_partitions(run: Run) -> None:
    """A producer that sends keyed events to 1 up to 64 partitions, and a consumer that reads them all."""
    peer = peers.get("eventlog")
    count = run.amount(2000, 100_000)
    events = KEYED.events(count, run.seed)
    with run.fresh_directory() as directory, peer.running(directory / peer.name, "process") as address:
        for number in range(1, run.rounds + 1):
            for partitions in PARTITIONS:
                with stream_of(peer, address, "process", KEYED, partitions) as stream, peer.open(stream) as session:
                    session.produce(KEYED.events(1, run.seed))  # opens them all
                    for bench, work in _partition_work(session, count, lambda: session.produce(events)):
                        name = f"{bench}, {partitions} partition" + "s" * (partitions > 1)
                        _add(run, peer.name, name, "process", number, count, timed(work))


def _partition_work(
    session: Session, count: int, send: Callable[[], object]
) -> list[tuple[str, Callable[[], object]]]:
    def consume() -> None:
        session.join(is_committing=False)
        session.consume(count - 1, None)

    return [("send with key", send), ("consume", consume)]
