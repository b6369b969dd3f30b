"""A process is stopped inside a critical section, at each fault point: others are told by whom, in time, and go on later."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import eventlog
from eventlog import EventLog, LockTimeoutError, TopicPartition
from tests.support import fault_points, members, payloads, stores, workers
from tests.support.bare_store import BareStore
from tests.support.fault_points import Fault
from tests.support.processes import Interpreter
from tests.support.stores import TOPIC
from torture.campaign import Run

# By what the stopped process holds. With the append mutex, or while a roll is under way, nobody else appends; with the flush
# mutex alone nobody else flushes; with a slot's mutex nobody else changes the committed offset.
_NO_APPEND = (
    "append.locked", "reserve.grown", "append.writing", "append.placed", "append.written",
    "publish.next", "publish.complete", "publish.torn_tail", "publish.tail", "publish.end", "publish.written", "publish.done",
    "index.written", "attach.locked", "attach.attached",
    "discard.log", "discard.indexes", "discard.allocated", "trim.cut", "trim.indexed",
    "roll.sealing", "roll.trimmed", "roll.synced", "roll.durable",
    "roll.unallocated", "roll.published", "roll.listed", "roll.unsealed", "roll.finished",
)  # fmt: skip
_NO_FLUSH = ("flush.locked", "flush.synced")
_NO_COMMIT = ("commit.locked", "commit.timed", "commit.stored")
_LOCK_TIMEOUT_MS = 150
_TOLD_SECONDS_MAX = 20.0
_WRITER, _OTHER, _PATIENT, _LAST = range(1, 5)
_GROUP = "stopped"


def _expect_the_name(use: Callable[[], object], pid: int) -> None:
    """The call ends in time, and says who is in the way."""
    begin = time.monotonic()
    try:
        use()
    except LockTimeoutError as error:
        assert re.search(rf"\b{pid}\b", str(error)), f"process {pid} is stopped, but: {error}"
        assert time.monotonic() - begin < _TOLD_SECONDS_MAX, "the timeout came late"
    else:
        raise AssertionError(f"nothing stood in the way, but process {pid} is stopped inside")


def _others_are_told(log: EventLog, point: str, pid: int) -> None:
    partition = stores.open_partition(log)
    if point in _NO_COMMIT:
        _expect_the_name(lambda: log.group(_GROUP).reset({TopicPartition(TOPIC, 0): 0}), pid)
    elif point in _NO_FLUSH:
        partition.append(payloads.value(_OTHER, 1, 1, 0, 1))
        _expect_the_name(partition.flush, pid)
    else:
        _expect_the_name(lambda: partition.append(b"in vain"), pid)
    assert len(stores.everything(partition)) == partition.end_offset, "readers need no mutex"


def _start(log: EventLog, store: Path, fault: Fault) -> Interpreter:
    """A process that appends, rolls and flushes, or one that commits, and comes by the point."""
    report = store.with_suffix(".report")
    if fault.point not in _NO_COMMIT:
        return fault_points.interpreter(workers.append_and_roll, store, _WRITER, 60, report=report, fault=fault)
    values = [payloads.value(_WRITER, number, number, 0, 1) for number in range(20)]
    stores.open_partition(log).append_many(values)
    return fault_points.interpreter(members.commit_and_report, store, _GROUP, 5, "never", report=report, fault=fault)


def _stop_once(run: Run, store: Path, point: str) -> None:
    """A process is stopped at the point; it goes on, or is killed; then those who have waited get through."""
    stores.create(store, segment_bytes=2 * 72_000, index_interval_bytes=1024)
    patience = {"fsync": "never", "lock_timeout_ms": 60_000}
    with eventlog.open(store, fsync="never", lock_timeout_ms=_LOCK_TIMEOUT_MS) as log:
        partition = stores.open_partition(log)
        partition.append(payloads.value(_OTHER, 0, 0, 0, 1))
        victim = _start(log, store, Fault(point, run.random.choice((1, 1, 2)), "stop"))
        with victim, Interpreter(workers.append_when_told, store, patience) as patient:
            assert patient.receive() == "ready"
            victim.wait_until_stopped()
            said = [victim.receive() for _ in iter(victim.connection.poll, False)]
            _others_are_told(log, point, victim.pid)
            patient.send(payloads.value(_PATIENT, 0, 0, 0, 1))
            if is_continued := run.random.random() < 0.5:
                victim.resume()
                said.append(victim.receive())
            victim.kill()
            said += victim.drain()
            answer, _ = patient.receive()
            assert isinstance(answer, int), f"the patient one got {answer}"
            assert partition.append(payloads.value(_LAST, 0, 0, 0, 1)) > answer
        run.count("processes continued inside a critical section" if is_continued else "processes killed while stopped inside")
        if point in _NO_COMMIT:
            acknowledged = max((offset for _, offset, _ in said), default=0)
            assert log.group(_GROUP).committed().get(TopicPartition(TOPIC, 0), 0) >= acknowledged
            said.clear()
        _check(store, partition.end_offset, [each for each in said if each != "closed"])


def _check(store: Path, end_offset: int, acknowledged: list[tuple[int, int]]) -> None:
    checker = payloads.Checker()
    found = {}
    for record in BareStore(store).records(TOPIC, 0):
        checker.check(record.offset, record.value)
        found[record.offset] = payloads.writer_of(record.value)
    assert checker.next_offset == end_offset
    for offset, sequence in acknowledged:
        assert found[offset] == (_WRITER, sequence), f"{sequence} was acknowledged at {offset}, there is {found[offset]}"


def stop_everywhere(run: Run) -> None:
    """Each point once and again; in the short form some of them."""
    points = [*_NO_APPEND, *_NO_FLUSH, *_NO_COMMIT]
    assert set(points) <= set(fault_points.points())
    if run.is_short:
        points = run.random.sample(points, 6)
    for number in range(run.amount(1, 4)):
        for point in points:
            _stop_once(run, run.directory / f"stopped-{point}-{number}", point)
