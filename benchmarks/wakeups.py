"""How long it takes until a process that sleeps knows of the event that another one appends, and until it has the event: half
of each round trip.

Beside it, in the same rounds, a bare futex between two processes: what any wake-up costs at least.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import eventlog
from benchmarks import peers
from benchmarks.figures import Figure, Skip, percentiles
from benchmarks.futex import FutexWord
from benchmarks.peers.peer import RECEIVE_SECONDS_MAX, Peer, Stream
from benchmarks.run import Run
from benchmarks.throughput import stream_of
from benchmarks.workloads import SMALL
from tests.support.processes import Worker

SUITE = "wakeups"
_VALUE = SMALL.events(1, 0).values[0]
_FUTEX_BYTES = 4096


def _half_trips_us(trips: int, trip: Callable[[int], None]) -> list[float]:
    """Half of each round trip in microseconds, without the first tenth, which warms up."""
    times = []
    for number in range(trips):
        start = time.perf_counter_ns()
        trip(number)
        times.append((time.perf_counter_ns() - start) / 2000)
    return times[trips // 10 :]


# --- a bare futex ------------------------------------------------------------------------------------------


def _echo_futex(connection: Connection, path: str, trips: int) -> None:
    here, there = FutexWord(path, 0), FutexWord(path, 64)
    connection.send("ready")
    for number in range(1, trips + 1):
        here.wait_for(number)
        there.set(number)


def _futex_us(directory: Path, trips: int) -> list[float]:
    path = directory / "futex"
    path.write_bytes(bytes(_FUTEX_BYTES))
    with Worker(_echo_futex, str(path), trips) as worker:
        worker.receive()
        here, there = FutexWord(str(path), 64), FutexWord(str(path), 0)

        def trip(number: int) -> None:
            there.set(number + 1)
            here.wait_for(number + 1)

        return _half_trips_us(trips, trip)


# --- a contender -------------------------------------------------------------------------------------------


@contextmanager
def _two_streams(peer: Peer, address: str) -> Iterator[tuple[Stream, Stream]]:
    with stream_of(peer, address, "process", SMALL) as questions, stream_of(peer, address, "process", SMALL) as answers:
        yield questions, answers


def _echo(connection: Connection, name: str, questions: Stream, answers: Stream, trips: int) -> None:
    peer = peers.get(name)
    with peer.open(questions) as ears, peer.open(answers) as mouth:
        append = mouth.appender()
        ears.listen()
        connection.send("ready")
        for _ in range(trips):
            ears.receive()
            append(_VALUE)


def _peer_us(peer: Peer, address: str, trips: int) -> list[float]:
    with (
        _two_streams(peer, address) as (questions, answers),
        peer.open(questions) as mouth,
        peer.open(answers) as ears,
        Worker(_echo, peer.name, questions, answers, trips) as worker,
    ):
        worker.receive()
        ears.listen()
        append = mouth.appender()

        def trip(number: int) -> None:
            append(_VALUE)
            ears.receive()

        times = _half_trips_us(trips, trip)
        worker.join()
        return times


# --- eventlog's partitions ---------------------------------------------------------------------------------


def _wait_for(partition: eventlog.Partition, offset: int) -> None:
    if not partition.wait(offset, RECEIVE_SECONDS_MAX):
        raise TimeoutError("no event came")


def _echo_waits(connection: Connection, store: str, trips: int) -> None:
    with eventlog.open(store, fsync="never") as log:
        questions, answers = log.partition("questions", 0), log.partition("answers", 0)
        connection.send("ready")
        for number in range(trips):
            _wait_for(questions, number)
            answers.append(_VALUE)


def _waits_us(directory: Path, trips: int) -> list[float]:
    store = str(directory / "waits")
    with eventlog.open(store, fsync="never") as log:
        log.create_topic("questions")
        log.create_topic("answers")
        questions, answers = log.partition("questions", 0), log.partition("answers", 0)
        with Worker(_echo_waits, store, trips) as worker:
            worker.receive()

            def trip(number: int) -> None:
                questions.append(_VALUE)
                _wait_for(answers, number)

            times = _half_trips_us(trips, trip)
            worker.join()
            return times


# --- eventlog's producer and consumer ----------------------------------------------------------------------


def _poll_one(consumer: eventlog.Consumer) -> None:
    if not consumer.poll(timeout=RECEIVE_SECONDS_MAX):
        raise TimeoutError("no event came")


def _echo_clients(connection: Connection, store: str, trips: int) -> None:
    with (
        eventlog.open(store, fsync="never") as log,
        log.producer() as producer,
        log.consumer("questions", group="echo") as consumer,
    ):
        producer.send("answers", b"ready")
        for _ in range(trips):
            _poll_one(consumer)
            producer.send("answers", _VALUE)
        connection.send("done")


def _clients_us(directory: Path, trips: int) -> list[float]:
    store = str(directory / "clients")
    with eventlog.open(store, fsync="never") as log:
        log.create_topic("questions")
        log.create_topic("answers")
        with (
            log.producer() as producer,
            log.consumer("answers", group="asker") as consumer,
            Worker(_echo_clients, store, trips) as worker,
        ):
            _poll_one(consumer)

            def trip(number: int) -> None:
                producer.send("questions", _VALUE)
                _poll_one(consumer)

            times = _half_trips_us(trips, trip)
            assert worker.receive() == "done"
            return times


def _add(run: Run, lineup: str, name: str, bench: str, number: int, times: list[float]) -> None:
    for statistic, microseconds in percentiles(times).items():
        detail = {"trips": len(times)}
        run.add(Figure(SUITE, lineup, name, bench, "process", statistic, "us", microseconds, number, detail))


def run_wakeups(run: Run) -> None:
    """A bare futex, eventlog in three ways, and each contender that can wake somebody."""
    trips = run.amount(200, 2000)
    embedded = [peer for peer in run.found(SUITE, peers.EMBEDDED) if _can_wake(run, peer)]
    for number in range(1, run.rounds + 1):
        with ExitStack() as stack:
            directory = stack.enter_context(run.fresh_directory())
            _add(run, "embedded", "futex", "futex to wake", number, _futex_us(directory, trips))
            _add(run, "embedded", "eventlog", "append to wake", number, _waits_us(directory, trips))
            _add(run, "embedded", "eventlog", "send to poll", number, _clients_us(directory, trips))
            for peer in embedded:
                address = stack.enter_context(peer.running(directory / peer.name, "process"))
                _add(run, "embedded", peer.name, "append to receive", number, _peer_us(peer, address, trips))
    ours = peers.get("eventlog")
    for server in filter(lambda peer: _can_wake(run, peer), run.found(SUITE, peers.SERVERS)):
        with ExitStack() as stack:
            directory = stack.enter_context(run.fresh_directory())
            addresses = {
                peer: stack.enter_context(peer.running(directory / peer.name, "process")) for peer in (ours, server)
            }
            for number in range(1, run.rounds + 1):
                for peer, address in addresses.items():
                    _add(run, server.name, peer.name, "append to receive", number, _peer_us(peer, address, trips // 5))


def _can_wake(run: Run, peer: Peer) -> bool:
    reason = peer.why_lacking("receive")
    if reason is not None:
        run.journal.skip(Skip(SUITE, peer.name, "append to receive", reason))
    return reason is None
