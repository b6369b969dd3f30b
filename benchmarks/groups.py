"""Acknowledgements, sends, wake-ups and take-over after a death, in one run: `python -m benchmarks.groups`.

Beside them, in the same rounds, what they are measured against: LMDB with `sync=False`, and a bare futex between two processes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import lmdb

import eventlog
from benchmarks.clock import Clock
from benchmarks.futex import FutexWord

VALUE = b"x" * 100
UNIT = [VALUE] * 1000
_CONTEXT = multiprocessing.get_context("spawn")


def measure_acks(clock: Clock, directory: Path, records: int) -> None:
    """Consume and commit: after every record, and after every 1,000; and beside it reading without commits."""
    with eventlog.open(directory / "store", fsync="never") as log:
        log.create_topic("events")
        partition = log.partition("events", 0)
        for _ in range(records // 1000):
            partition.append_many(UNIT)

        def one_by_one() -> None:
            with log.consumer("events", group="one") as consumer:
                for count, _ in enumerate(consumer, 1):
                    consumer.commit()
                    if count == records:
                        return

        def by_thousands(group: str | None) -> None:
            with log.consumer("events", group=group) as consumer:
                count = 0
                while count < records:
                    count += len(consumer.poll(max_records=1000))
                    if group is not None:
                        consumer.commit()

        clock.measure("iterate, commit each", records, one_by_one)
        clock.measure("poll 1000, commit", records, lambda: by_thousands("many"))
        clock.measure("poll 1000", records, lambda: by_thousands(None))
    shutil.rmtree(directory / "store")


def measure_commits(clock: Clock, directory: Path, records: int) -> None:
    """The commit alone, and LMDB's put of an offset in a transaction of its own."""
    with eventlog.open(directory / "store", fsync="never") as log:
        log.create_topic("events")
        log.partition("events", 0).append_many(UNIT)
        with log.consumer("events", group="one") as consumer:
            iterator = iter(consumer)
            next(iterator)

            def commit() -> None:
                for _ in range(records):
                    consumer.commit()

            clock.measure("commit", records, commit)
    shutil.rmtree(directory / "store")
    environment = lmdb.open(str(directory / "lmdb"), map_size=2**30, sync=False)

    def put() -> None:
        for number in range(records // 10):
            with environment.begin(write=True) as transaction:
                transaction.put(b"one/events/0", b"%20d" % number)

    clock.measure("LMDB put, sync=False", records // 10, put)
    environment.close()
    shutil.rmtree(directory / "lmdb")


def measure_sends(clock: Clock, directory: Path, records: int) -> None:
    """`producer.send` without a key, with one, and gathered into batches."""
    with eventlog.open(directory / "store", fsync="never") as log:
        log.create_topic("events", partitions=4)

        def send(producer: eventlog.Producer, key: bytes | None) -> None:
            for _ in range(records):
                producer.send("events", VALUE, key)

        with log.producer() as producer:
            clock.measure("send", records, lambda: send(producer, None))
            clock.measure("send with a key", records, lambda: send(producer, b"customer-7"))
        with log.producer(linger_ms=5, batch_bytes=65_536) as producer:

            def send_all() -> None:
                send(producer, None)
                producer.flush()

            clock.measure("send, linger_ms=5", records, send_all)
    shutil.rmtree(directory / "store")


# --- latencies ---------------------------------------------------------------------------------------------


def _half_trips_us(rounds: int, trip: Callable[[int], None]) -> list[float]:
    """Half of each round trip in microseconds, without those that warm up."""
    times = []
    for number in range(rounds):
        start = time.perf_counter_ns()
        trip(number)
        times.append((time.perf_counter_ns() - start) / 2000)
    return times[rounds // 10 :]


@contextmanager
def _answered_by(echo: Callable[[str, int], None], directory: Path, rounds: int) -> Iterator[eventlog.EventLog]:
    """A store with two topics, and a process that answers to "answers" what comes to "questions"."""
    store = directory / "store"
    with eventlog.open(store, fsync="never") as log:
        log.create_topic("questions")
        log.create_topic("answers")
        process = _CONTEXT.Process(target=echo, args=(str(store), rounds))
        process.start()
        yield log
        process.join()
    shutil.rmtree(store)


def _futex_echo(path: str, rounds: int) -> None:
    here, there = FutexWord(path, 0), FutexWord(path, 64)
    for number in range(1, rounds + 1):
        here.wait_for(number)
        there.set(number)


def futex_round_trips_us(directory: Path, rounds: int) -> list[float]:
    """Half of each round trip between two processes that wait on bare futexes, in microseconds."""
    path = directory / "futex"
    path.write_bytes(bytes(4096))
    process = _CONTEXT.Process(target=_futex_echo, args=(str(path), rounds))
    process.start()
    here, there = FutexWord(str(path), 64), FutexWord(str(path), 0)

    def trip(number: int) -> None:
        there.set(number + 1)
        here.wait_for(number + 1)

    times = _half_trips_us(rounds, trip)
    process.join()
    return times


def _log_echo(store: str, rounds: int) -> None:
    with (
        eventlog.open(store, fsync="never") as log,
        log.producer() as producer,
        log.consumer("questions", group="echo") as consumer,
    ):
        producer.send("answers", b"ready")
        for _ in range(rounds):
            while not consumer.poll(timeout=10):
                pass
            producer.send("answers", VALUE)


def log_round_trips_us(directory: Path, rounds: int) -> list[float]:
    """Half of each round trip of a record that is sent, polled in another process and answered, in microseconds."""
    with (
        _answered_by(_log_echo, directory, rounds) as log,
        log.producer() as producer,
        log.consumer("answers", group="asker") as consumer,
    ):
        while not consumer.poll(timeout=10):
            pass

        def trip(number: int) -> None:
            producer.send("questions", VALUE)
            while not consumer.poll(timeout=10):
                pass

        return _half_trips_us(rounds, trip)


def _partition_echo(store: str, rounds: int) -> None:
    with eventlog.open(store, fsync="never") as log:
        questions, answers = log.partition("questions", 0), log.partition("answers", 0)
        for number in range(rounds):
            questions.wait(number)
            answers.append(VALUE)


def wake_ups_us(directory: Path, rounds: int) -> list[float]:
    """Half of each round trip of an append that wakes a `Partition.wait` in another process, in microseconds."""
    with _answered_by(_partition_echo, directory, rounds) as log:
        questions, answers = log.partition("questions", 0), log.partition("answers", 0)

        def trip(number: int) -> None:
            questions.append(VALUE)
            answers.wait(number)

        return _half_trips_us(rounds, trip)


# --- take-over ---------------------------------------------------------------------------------------------


def _be_a_member(connection: Connection, store: str) -> None:
    with eventlog.open(store, fsync="never") as log, log.consumer("work", group="workers") as consumer:
        while not connection.poll():
            records = consumer.poll(timeout=0.2)
            now = time.monotonic_ns()
            if records:
                connection.send([(record.partition, now) for record in records])
            consumer.commit()
            connection.send(sorted(partition.partition for partition in consumer.assignment()))


def take_overs_ms(directory: Path, rounds: int) -> list[float]:
    """From `kill -9` of a member to the first record of its partition that the other one polls, in milliseconds."""
    store = directory / "store"
    times = []
    with eventlog.open(store, fsync="never") as log:
        log.create_topic("work", partitions=2)
        partitions = [log.partition("work", number) for number in range(2)]
        members = [_start_member(store), _start_member(store)]
        for _ in range(rounds):
            owned = [_wait_for_one_partition(connection) for _, connection in members]
            victim = members.pop(0)
            assert victim[0].pid is not None
            _drain(members[0][1])
            os.kill(victim[0].pid, signal.SIGKILL)
            killed_at = time.monotonic_ns()
            partitions[owned[0]].append(VALUE)
            times.append((_wait_for_record(members[0][1], owned[0]) - killed_at) / 1e6)
            victim[0].join()
            members.append(_start_member(store))
        for process, connection in members:
            connection.send("end")
            drain = threading.Thread(target=_drain_all, args=(connection,))
            drain.start()
            process.join()
            drain.join()
    shutil.rmtree(store)
    return times


_Member = tuple[multiprocessing.process.BaseProcess, Connection]


def _start_member(store: Path) -> _Member:
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_be_a_member, args=(theirs, str(store)))
    process.start()
    theirs.close()
    return process, ours


def _wait_for_one_partition(connection: Connection) -> int:
    while True:
        message = connection.recv()
        if len(message) == 1 and isinstance(message[0], int):
            owned: int = message[0]
            return owned


def _drain(connection: Connection) -> None:
    while connection.poll():
        connection.recv()


def _drain_all(connection: Connection) -> None:
    try:
        while True:
            connection.recv()
    except (EOFError, ConnectionResetError):
        pass


def _wait_for_record(connection: Connection, partition: int) -> int:
    while True:
        for item in connection.recv():
            if isinstance(item, tuple) and item[0] == partition:
                polled_at: int = item[1]
                return polled_at


def _percentiles(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    found = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in shares.items()}
    return {**found, "max": ordered[-1], "count": len(ordered)}


def main() -> None:
    """Measure, and print a table or JSON Lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000, help="records a round and workload")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trips", type=int, default=5_000, help="round trips between two processes, each way")
    parser.add_argument("--deaths", type=int, default=30, help="members that are killed")
    parser.add_argument("--directory", type=Path, default=None, help="where to write; a local disk")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    clock = Clock()
    directory = Path(tempfile.mkdtemp(prefix="eventlog-bench-", dir=arguments.directory))
    try:
        for _ in range(arguments.rounds):
            for measure in (measure_acks, measure_commits, measure_sends):
                measure(clock, directory, arguments.records)
        latencies = {
            "futex ping, us": _percentiles(futex_round_trips_us(directory, arguments.trips)),
            "append to wait, us": _percentiles(wake_ups_us(directory, arguments.trips)),
            "send to poll, us": _percentiles(log_round_trips_us(directory, arguments.trips)),
            "take-over, ms": _percentiles(take_overs_ms(directory, arguments.deaths)),
        }
    finally:
        shutil.rmtree(directory)
    _print(clock.medians(), latencies, arguments.json)


RATIOS = [
    ("iterate, commit each", "LMDB put, sync=False", 5.0),
    ("commit", "LMDB put, sync=False", 5.0),
    ("poll 1000, commit", "poll 1000", 0.9),
]


def _print(medians: dict[str, float], latencies: dict[str, dict[str, float]], as_json: bool) -> None:
    rates = {name: 1e9 / nanoseconds for name, nanoseconds in medians.items()}
    ratios = [(ours, theirs, rates[ours] / rates[theirs], target) for ours, theirs, target in RATIOS]
    if as_json:
        print(json.dumps({"records_a_second": rates, "latencies": latencies}))
        return
    for name, rate in rates.items():
        print(f"{name:<24} {rate:>12,.0f} /s")
    for ours, theirs, ratio, target in ratios:
        print(f"{ours} : {theirs} = {ratio:.2f} (target {target})")
    for name, figures in latencies.items():
        print(f"{name:<24} " + "  ".join(f"{key} {value:,.2f}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
