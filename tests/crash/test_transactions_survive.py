"""A transactional producer is killed at each step of an append or a marker: nothing twice, nothing lost, nothing half done."""

from __future__ import annotations

from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

import eventlog
from eventlog import EventLog
from eventlog.storage.partition.log import PartitionLog
from tests.support import fault_points, heads, made_batches, stores
from tests.support.fault_points import Fault, Report
from tests.support.made_batches import Made
from tests.support.stores import TOPIC

PRODUCER = 7
ROUNDS = 3  # each has two batches and a marker; the transaction of every other round is aborted
STEPS = [(number, part) for number in range(ROUNDS) for part in ("first", "second", "marker")]
PREFIXES = ("append.", "publish.", "producers.", "aborted.")
NUMBERS = {"publish.": (2, 3, 6)}
AFTER_REBOOT = ("publish.complete", "producers.slot", "aborted.written")


def faults() -> list[Fault]:
    """Each point is passed by the first append or marker that gets there; some are for a batch, a commit and an abort."""
    named = [point for point in fault_points.points() if point.startswith(PREFIXES)]
    return [
        Fault(point, number)
        for point in named
        for number in next((numbers for prefix, numbers in NUMBERS.items() if point.startswith(prefix)), (1,))
    ]


def take_step(partition: PartitionLog, step: tuple[int, str]) -> None:
    number, part = step
    if part == "marker":
        partition.append_marker(PRODUCER, 0, 0, commit=number % 2 == 0)
        return
    sequence = 2 * number + (part == "second")
    batch = made_batches.batch(
        [Made(b"%d" % sequence)], producer_id=PRODUCER, producer_epoch=0, base_sequence=sequence, attributes=0x10
    )
    partition.append(batch)


def produce(connection: Connection, store: Path) -> None:
    with eventlog.open(store, fsync="never") as log:
        partition = stores.open_partition(log).log
        for step in STEPS:
            take_step(partition, step)
            connection.send(step)


def check(log: EventLog) -> None:
    partition = stores.open_partition(log)
    assert list(partition.values()) == [b"%d" % sequence for sequence in range(2 * ROUNDS)]
    assert partition.stable_offset == partition.end_offset == len(STEPS)
    assert partition.log.aborted(0, 100) == [(PRODUCER, 3, 5, 6)]
    (state,) = partition.log.producers()
    assert (state.last_sequence, state.transaction_start) == (2 * ROUNDS - 1, None)
    with log.consumer(TOPIC) as consumer:
        found = [record.value for record in consumer.poll(timeout=0)]
    assert found == [b"%d" % sequence for sequence in range(2 * ROUNDS) if sequence // 2 % 2 == 0]
    assert [report.problems for report in log.verify()] == [[]]


CASES = [
    (fault, others)
    for fault in faults()
    for others in ("others have it open", "nobody has it open", "reboot")
    if others != "reboot" or fault.point in AFTER_REBOOT
]


def marked(fault: Fault, others: str) -> ParameterSet:
    """One case of each point is for every run of the tests."""
    is_slow = others == "others have it open" or fault.number > 2
    name = f"{fault.point}-{fault.number}-{others}"
    return pytest.param(fault, others, id=name, marks=[pytest.mark.slow] if is_slow else [])


@pytest.mark.parametrize(("fault", "others"), [marked(*case) for case in CASES])
def test_a_producer_that_is_killed_goes_on_where_it_was(tmp_path: Path, fault: Fault, others: str) -> None:
    store, report = tmp_path / "store", tmp_path / "report"
    stores.create(store, segment_bytes=2**20, segment_ms=2**62)
    with ExitStack() as stack:
        if others == "others have it open":
            stores.open_partition(stack.enter_context(eventlog.open(store, lock_timeout_ms=10_000)))
        with fault_points.interpreter(produce, store, report=report, fault=fault) as producer:
            acknowledged = producer.drain()
        assert Report(report).hit() == fault.point
        if others == "reboot":
            heads.simulate_reboot(stores.head_file(store))
        with eventlog.open(store, lock_timeout_ms=10_000) as log:
            partition = stores.open_partition(log).log
            assert partition.stable_offset <= partition.end_offset
            for step in STEPS[len(acknowledged) :]:
                take_step(partition, step)
            check(log)
    with eventlog.open(store) as log:
        check(log)
