"""The pytest plugin, as other projects use it: stores that are cloned, a clock that is moved, functions that are killed."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, TopicPartition
from eventlog.testing import ManualClock, clone_store
from tests.support import stores
from tests.support.stores import TOPIC

pytest_plugins = ["pytester"]

PLACE = TopicPartition(TOPIC, 0)


def passes(pytester: pytest.Pytester, source: str, **outcomes: int) -> pytest.RunResult:
    pytester.makepyfile(test_theirs=source)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--strict-markers")
    result.assert_outcomes(**outcomes)
    return result


# --- stores ------------------------------------------------------------------------------------------------------------


def test_another_suite_gets_clones_of_a_store_that_is_filled_once(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
        import pytest

        calls, paths = [], []

        def fill(log):
            calls.append(log.path)
            log.create_topic("orders", config={"segment.bytes": 4096})
            for number in range(100):
                log.partition("orders", 0).append(b"%d" % number * 50)
            with log.consumer("orders", group="billing") as consumer:
                consumer.poll(10, max_records=40)
                consumer.commit()

        @pytest.mark.eventlog_store(fill=fill)
        @pytest.mark.parametrize("number", range(3))
        def test_clone(eventlog_store, number):
            orders = eventlog_store.partition("orders", 0)
            assert orders.end_offset == 100
            assert eventlog_store.group("billing").lag() == {("orders", 0): 60}
            orders.append(b"more")
            orders.delete_records(50)
            eventlog_store.create_topic("mine")
            paths.append(eventlog_store.path)

        def test_empty(eventlog_store):
            assert eventlog_store.topics() == []
            assert len(calls) == 1 and len(set(paths)) == 3

        @pytest.mark.eventlog_store(3)
        def test_wrong_use(eventlog_store):
            pass
        """,
        passed=4,
        errors=1,
    ).stdout.fnmatch_lines(["*takes a function by name*"])


def contents(directory: Path) -> dict[str, str]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_whatever_a_clone_does_leaves_the_original_as_it_was(tmp_path: Path) -> None:
    original, clone = tmp_path / "original", tmp_path / "clone"
    stores.create(original, segment_bytes=2048, cleanup_policy="compact", min_cleanable_dirty_ratio=0)
    with eventlog.open(original) as log:
        partition = log.partition(TOPIC, 0)
        for number in range(60):
            partition.append(b"x" * 100, key=b"%d" % (number % 7))
    before = contents(original)
    clone_store(original, clone)
    shared = [each for each in stores.segments(clone) if each.stat().st_nlink == 2]
    assert shared == stores.segments(clone)[:-1] and len(shared) >= 3
    with eventlog.open(clone) as log:
        partition = log.partition(TOPIC, 0)
        assert partition.recovery.outcome == "clean"
        assert [record.key for record in stores.everything(partition)] == [b"%d" % (number % 7) for number in range(60)]
        for number in range(60):
            partition.append(b"y" * 100, key=b"%d" % (number % 7))
        log.maintain(compact_all=True)
        partition.delete_records(70)
        log.maintain()
        log.create_topic("more")
    assert contents(original) == before
    with eventlog.open(original) as log:
        assert log.partition(TOPIC, 0).end_offset == 60
    assert contents(clone) != before


def test_the_segment_that_takes_appends_is_never_shared(tmp_path: Path) -> None:
    stores.create(tmp_path / "original")
    with eventlog.open(tmp_path / "original") as log:
        log.partition(TOPIC, 0)
    clone_store(tmp_path / "original", tmp_path / "clone")
    [of_original], [of_clone] = stores.segments(tmp_path / "original"), stores.segments(tmp_path / "clone")
    assert of_original.stat().st_ino != of_clone.stat().st_ino
    with eventlog.open(tmp_path / "original") as log, eventlog.open(tmp_path / "clone") as other:
        assert log.partition(TOPIC, 0).append(b"x") == other.partition(TOPIC, 0).append(b"y") == 0
        assert log.partition(TOPIC, 0).read(0)[0].value == b"x"


def test_a_clone_has_a_directory_of_its_own(tmp_path: Path) -> None:
    stores.create(tmp_path / "original")
    (tmp_path / "clone").mkdir()
    with pytest.raises(FileExistsError):
        clone_store(tmp_path / "original", tmp_path / "clone")


# --- the clock ---------------------------------------------------------------------------------------------------------


def test_timestamps_are_those_of_the_clock(log: EventLog, eventlog_clock: ManualClock) -> None:
    partition = log.partition(TOPIC, 0)
    eventlog_clock.set(datetime(2030, 1, 1, tzinfo=timezone.utc))
    with log.producer() as producer, log.producer(linger_ms=1) as lingering:
        partition.append(b"native")
        partition.append_many([b"many", b"more"])
        eventlog_clock.advance(1.5)
        assert producer.send(TOPIC, b"sent").timestamp == 1_893_456_001_500
        eventlog_clock.advance(timedelta(days=1))
        lingering.send(TOPIC, b"lingered")
        lingering.flush()
    times = [record.timestamp - 1_893_456_000_000 for record in partition.read(0)]
    assert times == [0, 0, 0, 1500, 86_401_500]
    assert eventlog_clock.now_ms == 1_893_456_000_000 + 86_401_500
    assert eventlog_clock.now == datetime(2030, 1, 2, 0, 0, 1, 500_000, tzinfo=timezone.utc)


def test_records_expire_when_the_clock_says_so(tmp_path: Path, eventlog_clock: ManualClock) -> None:
    stores.create(tmp_path / "store", retention_ms=3_600_000)
    with eventlog.open(tmp_path / "store") as log:
        partition = log.partition(TOPIC, 0)
        partition.append(b"old")
        log.maintain()
        assert partition.start_offset == 0
        eventlog_clock.advance(3601)
        partition.append(b"new")
        log.maintain()
        assert partition.start_offset == 0  # the new record is in the same segment
        eventlog_clock.advance(3601)
        log.maintain()
        assert partition.start_offset == 2


def test_the_lease_of_a_member_that_hangs_runs_out_by_the_clock(log: EventLog, eventlog_clock: ManualClock) -> None:
    log.partition(TOPIC, 0).append(b"x")
    hanging, waiting = (log.consumer(TOPIC, group="g", max_poll_interval_ms=300_000) for _ in range(2))
    with hanging, waiting:
        hanging.poll(0)
        waiting.poll(0)
        assert hanging.assignment() == {PLACE}
        for _ in range(4):
            eventlog_clock.advance(80)
            waiting.poll(0)
        while waiting.assignment() != {PLACE}:
            waiting.poll(0.1)
        with pytest.raises(eventlog.StaleMemberError):
            hanging.commit({PLACE: 1})


def test_auto_commit_is_due_by_the_clock(log: EventLog, eventlog_clock: ManualClock) -> None:
    log.partition(TOPIC, 0).append(b"x")
    with log.consumer(TOPIC, group="g", auto_commit=True, auto_commit_interval_ms=5000) as consumer:
        assert len(consumer.poll(10)) == 1
        consumer.poll(0)
        assert consumer.committed(PLACE) is None
        eventlog_clock.advance(5)
        consumer.poll(0)
        assert consumer.committed(PLACE) == 1


def test_a_transaction_runs_into_its_timeout_by_the_clock(log: EventLog, eventlog_clock: ManualClock) -> None:
    producer = log.producer(transactional_id="t", transaction_timeout_ms=60_000)
    producer.begin()
    producer.send(TOPIC, b"x")
    producer.flush()
    eventlog_clock.advance(61)
    log.maintain()
    assert log.abort_transaction("t") is False  # it was aborted
    with pytest.raises(eventlog.ProducerFencedError):
        producer.commit()
    producer.close()


def test_a_clock_that_makes_no_sense_is_refused(eventlog_clock: ManualClock) -> None:
    before = eventlog_clock.now_ms
    with pytest.raises(ValueError, match="time does not go back by -1"):
        eventlog_clock.advance(-1)
    with pytest.raises(ValueError, match="has no time zone"):
        eventlog_clock.set(datetime(2030, 1, 1))
    with pytest.raises(ValueError, match="is before 1970"):
        eventlog_clock.set(-1)
    assert eventlog_clock.now_ms == before


def test_another_suite_moves_the_clock_and_time_goes_on_after_the_test(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
        import time

        def test_moved(eventlog_store, eventlog_clock):
            eventlog_store.create_topic("orders")
            eventlog_clock.advance(1_000_000)
            eventlog_store.partition("orders", 0).append(b"x")
            assert eventlog_store.partition("orders", 0).read(0)[0].timestamp == eventlog_clock.now_ms
            assert eventlog_clock.now_ms > time.time() * 1000 + 900_000_000

        def test_after(eventlog_store):
            eventlog_store.create_topic("orders")
            eventlog_store.partition("orders", 0).append(b"x")
            assert abs(eventlog_store.partition("orders", 0).read(0)[0].timestamp - time.time() * 1000) < 600_000
        """,
        passed=2,
    )


# --- crashes -----------------------------------------------------------------------------------------------------------

PIPELINE = """
import sqlite3

import pytest

def fill(log):
    log.create_topic("orders")
    log.create_topic("totals")
    for number in range(2):
        log.partition("orders", 0).append(b"%d" % number)
    connection = sqlite3.connect(log.path.parent / "sums.db")
    connection.executescript("create table sums (value); create table progress (next)")
    connection.close()

def totals(log):
    return [record.value for record in log.partition("totals", 0).read(0)]
"""


def test_a_function_that_works_exactly_once_passes(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        PIPELINE
        + """
def work(log):
    producer = log.producer(transactional_id="totals")
    with producer, log.consumer("orders", group="totals") as consumer:
        while True:
            with producer.transaction(consumer):
                records = consumer.poll(0)
                for record in records:
                    producer.send("totals", record.value)
            if not records:
                return

def check(log):
    with log.consumer("totals") as consumer:
        assert [record.value for record in consumer.poll(0)] == [b"0", b"1"]

@pytest.mark.eventlog_store(fill=fill)
def test_it(crash_points):
    points = crash_points(work, check)
    assert points[0].startswith("before EventLog.producer at test_theirs.py:")
    assert sum(point.startswith("before TransactionalProducer.send") for point in points) == 2
    assert any(point.startswith("after Consumer.poll") for point in points)
    assert len(points) > 10
""",
        passed=1,
    )


def test_a_function_that_repeats_work_after_a_crash_fails_at_the_step_that_shows_it(pytester: pytest.Pytester) -> None:
    result = passes(
        pytester,
        PIPELINE
        + """
def work(log):
    with log.producer() as producer, log.consumer("orders", group="totals") as consumer:
        while records := consumer.poll(0):
            for record in records:
                producer.send("totals", record.value)
            consumer.commit()

def check(log):
    assert totals(log) == [b"0", b"1"]

@pytest.mark.eventlog_store(fill=fill)
def test_it(crash_points):
    crash_points(work, check)
""",
        failed=1,
    )
    result.stdout.fnmatch_lines(["*AssertionError: after a kill after Producer.send at test_theirs.py:*"])


def test_what_a_function_keeps_elsewhere_is_new_each_time(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        PIPELINE
        + """
def work(log):
    connection = sqlite3.connect(log.path.parent / "sums.db", isolation_level=None)
    with connection:
        [begin] = connection.execute("select coalesce(max(next), 0) from progress").fetchone()
        orders = log.partition("orders", 0)
        for record in orders.records(begin):
            connection.execute("begin")
            connection.execute("insert into sums values (?)", (int(record.value),))
            connection.execute("insert into progress values (?)", (record.offset + 1,))
            connection.execute("commit")
    orders.flush()

def check(log):
    connection = sqlite3.connect(log.path.parent / "sums.db")
    assert connection.execute("select value from sums").fetchall() == [(0,), (1,)]

@pytest.mark.eventlog_store(fill=fill)
def test_it(crash_points):
    assert len(crash_points(work, check)) > 2
""",
        passed=1,
    )


def test_failures_of_the_function_itself_are_told(pytester: pytest.Pytester) -> None:
    result = passes(
        pytester,
        """
        import os
        import signal

        def test_raises(crash_points):
            crash_points(lambda log: log.topic("nowhere"), lambda log: None)

        def test_dies(crash_points):
            crash_points(lambda log: os.kill(os.getpid(), signal.SIGABRT), lambda log: None)

        def test_cannot_be_repeated(crash_points):
            crash_points(lambda log: log.create_topic("orders"), lambda log: None)
        """,
        failed=3,
    )
    result.stdout.fnmatch_lines([
        "*the function fails when it runs without a kill*", "*TopicNotFoundError*",
        "*dies of signal 6 when it runs without a kill*",
        "*fails when it runs again after a kill after EventLog.create_topic*", "*TopicExistsError*",
    ])  # fmt: skip


def test_processes_that_are_forked_share_the_clock(log: EventLog, eventlog_clock: ManualClock) -> None:
    eventlog_clock.set(1_900_000_000_000)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with eventlog.open(log.path) as own:
                own.partition(TOPIC, 0).append(b"x")
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert log.partition(TOPIC, 0).read(0)[0].timestamp == 1_900_000_000_000
