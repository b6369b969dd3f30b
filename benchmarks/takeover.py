"""Group hand-over: from `kill -9` of a member to the first record of its partition that the other member polls."""

from __future__ import annotations

import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import eventlog
from benchmarks.figures import Figure, percentiles
from benchmarks.run import Run
from tests.support.processes import Worker

SUITE = "takeover"


def _be_a_member(connection: Connection, store: str) -> None:
    """Report the partitions after each poll, and before that, with the time, those of which a record came."""
    with eventlog.open(store, fsync="never") as log, log.consumer("work", group="workers") as consumer:
        while not connection.poll():
            records = consumer.poll(timeout=0.2)
            now = time.monotonic_ns()
            connection.send(
                (
                    [(record.partition, now) for record in records],
                    sorted(partition.partition for partition in consumer.assignment()),
                )
            )
            consumer.commit()
        connection.recv()


def _wait_for_one_partition(member: Worker) -> int:
    while True:
        _, owned = member.receive()
        if len(owned) == 1:
            partition: int = owned[0]
            return partition


def _wait_for_record(member: Worker, partition: int) -> int:
    while True:
        for found, polled_at in member.receive()[0]:
            if found == partition:
                return int(polled_at)


def _take_overs_ms(directory: Path, deaths: int) -> list[float]:
    store = directory / "store"
    times = []
    with eventlog.open(store, fsync="never") as log, ExitStack() as stack:
        log.create_topic("work", partitions=2)
        partitions = [log.partition("work", number) for number in range(2)]
        members = [stack.enter_context(Worker(_be_a_member, str(store))) for _ in range(2)]
        for _ in range(deaths):
            owned = [_wait_for_one_partition(member) for member in members]
            victim = members.pop(0)
            killed_at = time.monotonic_ns()
            victim.kill()
            partitions[owned[0]].append(b"a record of the one who is gone")
            times.append((_wait_for_record(members[0], owned[0]) - killed_at) / 1e6)
            members.append(stack.enter_context(Worker(_be_a_member, str(store))))
    return times


def run_takeover(run: Run) -> None:
    """Members of a group of two are killed one after the other."""
    with run.fresh_directory() as directory:
        times = _take_overs_ms(directory, run.amount(2, 30))
    for statistic, milliseconds in percentiles(times).items():
        detail = {"deaths": len(times)}
        run.add(Figure(SUITE, "embedded", "eventlog", "take-over", "process", statistic, "ms", milliseconds, 1, detail))
