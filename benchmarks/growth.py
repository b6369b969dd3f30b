"""What size costs: the same work in an almost empty store and in a large one, in the same rounds.

First a partition grows, step by step, to `--growth-gib`; then there are 1,000 partitions, then 100 groups.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import eventlog
from benchmarks.figures import Figure
from benchmarks.run import Run, timed
from benchmarks.targets import ALMOST_EMPTY
from benchmarks.workloads import LARGE, SMALL
from eventlog import EventLog, TopicPartition

SUITE = "growth"
_TOPIC = "events"
_FIRST_RECORDS = 20_000  # what an almost empty store has, so that there is something to read and to seek
_UNIT = 16  # records a batch: 16 KiB, as Kafka's producers make them unless told otherwise
_STEPS = (1 / 64, 1 / 8, 1.0)
_IN_CACHE = ("read", "seek")  # measured at the second time


def _grow(log: EventLog, records: int) -> range:
    """Append so many records; their offsets."""
    unit = LARGE.events(_UNIT, 1).values
    partition = log.partition(_TOPIC, 0)
    first = partition.end_offset
    for _ in range(records // len(unit)):
        partition.append_many(unit)
    return range(first, partition.end_offset)


def _new_store(path: Path, partitions: int = 1) -> EventLog:
    log = eventlog.open(path, fsync="never")
    log.create_topic(_TOPIC, partitions)
    _grow(log, _FIRST_RECORDS)
    return log


def _work(log: EventLog, run: Run, grown: range) -> dict[str, tuple[int, Callable[[], object]]]:
    """What is measured in each store: how many records it handles, and the work. What is read is among those that it has
    `grown` by, not what is appended here: records of one size are compared, in batches of one size."""
    partition = log.partition(_TOPIC, 0)
    values = SMALL.events(run.amount(200, 50_000), run.seed).values
    sought = random.Random(run.seed).choices(grown, k=run.amount(50, 5000))
    first = random.Random(run.seed).choice(grown[: len(grown) - _FIRST_RECORDS + 1])

    def append() -> None:
        for value in values:
            partition.append(value)

    def seek() -> None:
        for offset in sought:
            partition.read(offset, 1)

    def commit() -> None:
        with log.consumer(group="measured") as consumer:
            consumer.assign([TopicPartition(_TOPIC, 0)])
            consumer.seek(TopicPartition(_TOPIC, 0), first)
            for _ in range(len(sought)):
                consumer.poll(max_records=1)
                consumer.commit()

    return {
        "append": (len(values), append),
        "read": (_FIRST_RECORDS, lambda: deque(partition.values(first, first + _FIRST_RECORDS), maxlen=0)),
        "seek": (len(sought), seek),
        "consume, commit each": (len(sought), commit),
    }


def _compare(
    run: Run, lineup: str, stores: dict[str, EventLog], detail: dict[str, float], grown: range = range(_FIRST_RECORDS)
) -> None:
    for number in range(run.rounds + 1):  # the first one warms up
        for name, log in stores.items():
            offsets = range(_FIRST_RECORDS) if name == ALMOST_EMPTY else grown
            for bench, (records, work) in _work(log, run, offsets).items():
                if bench in _IN_CACHE:
                    work()  # else the disk is measured: the system does not keep 10 GiB in memory for long
                rate = records / timed(work)
                if number > 0:
                    run.add(Figure(SUITE, lineup, name, bench, "process", "rate", "/s", rate, number, detail))


def _open_partitions(log: EventLog, count: int) -> None:
    for number in range(count):
        log.partition(_TOPIC, number).append(b"a record for each")


def _make_groups(log: EventLog, count: int) -> None:
    for number in range(count):
        with log.consumer(_TOPIC, group=f"group-{number}") as consumer:
            consumer.poll(max_records=1)
            consumer.commit()


def run_growth(run: Run) -> None:
    """By size, by partitions, by groups."""
    with run.fresh_directory() as directory, ExitStack() as stack:
        small = stack.enter_context(_new_store(directory / "small"))
        run.warm_up()
        large = stack.enter_context(_new_store(directory / "large"))
        for step in _STEPS:
            gibibytes = run.growth_gib * step
            missing = int(gibibytes * 2**30) - large.partition(_TOPIC, 0).end_offset * LARGE.value_bytes
            grown = _grow(large, max(missing // LARGE.value_bytes, _FIRST_RECORDS))
            stores = {ALMOST_EMPTY: small, "grown": large}
            _compare(run, f"{gibibytes:.3g} GiB", stores, {"gibibytes": gibibytes}, grown)
    partitions, groups = run.amount(20, 1000), run.amount(3, 100)
    with run.fresh_directory() as directory, ExitStack() as stack:
        small = stack.enter_context(_new_store(directory / "small"))
        large = stack.enter_context(_new_store(directory / "partitions", partitions))
        _open_partitions(large, partitions)
        _compare(run, f"{partitions:,} partitions", {ALMOST_EMPTY: small, "grown": large}, {"partitions": partitions})
    with run.fresh_directory() as directory, ExitStack() as stack:
        small = stack.enter_context(_new_store(directory / "small"))
        large = stack.enter_context(_new_store(directory / "groups"))
        _make_groups(large, groups)
        _compare(run, f"{groups} groups", {ALMOST_EMPTY: small, "grown": large}, {"groups": groups})
