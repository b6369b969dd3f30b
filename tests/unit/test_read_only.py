"""Stores that are opened to be read: nothing in them is written, created or locked, whoever else uses them."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import eventlog
import eventlog.aio
from eventlog import (
    CorruptLogError,
    EventLog,
    InvalidArgumentError,
    NotSupportedError,
    ReadOnlyStoreError,
    StoreOpenError,
    TopicNotFoundError,
    TopicPartition,
)
from tests.support import stores
from tests.support.namespaces import OTHER_MOUNTS, OTHER_PROCESSES, run_elsewhere
from tests.support.processes import Worker
from tests.support.stores import TOPIC
from tests.support.workers import append_when_told
from tests.unit.test_access import as_nobody, needs_root, reachable

__all__ = ["reachable"]

PAID = "paid"
PARTITION = TopicPartition(TOPIC, 0)
FILLED = 40


def state(store: Path) -> dict[str, tuple[object, ...]]:
    """Of each file and directory the content, and all that changes when it is written, locked or made anew."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (store, *store.rglob("*")):
        status = path.stat()
        content = path.read_bytes() if path.is_file() else sorted(os.listdir(path))
        found[str(path)] = status.st_ino, status.st_mode, status.st_mtime_ns, status.st_ctime_ns, content
    files = {locked_name(path.stat()) for path in (store, *store.rglob("*"))}
    held = [line for line in Path("/proc/locks").read_text().splitlines() if files & set(line.split())]
    return {**found, "locks": tuple(sorted(line.partition(":")[2] for line in held))}


def locked_name(status: os.stat_result) -> str:
    """How /proc/locks names a file."""
    return f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"


def fill(store: Path) -> None:
    """Several segments, a group with committed offsets and a producer with a committed transaction."""
    stores.create(store, 2, segment_bytes=2048)
    with eventlog.open(store) as log:
        for number in range(FILLED):
            stores.open_partition(log).append(b"%d" % number + b"x" * 100, key=b"key", timestamp=1000 + number)
        with log.consumer(TOPIC, group="workers") as consumer:
            consumer.poll(max_records=5)
            consumer.commit()
        with log.producer(transactional_id="t") as producer:
            producer.begin()
            producer.send(PAID, b"in a transaction")
            producer.commit()


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    fill(store)
    return store


LOOKS: dict[str, Callable[[EventLog], Any]] = {
    "topics": lambda log: log.topics(),
    "topic": lambda log: log.topic(TOPIC),
    "offsets": lambda log: log.offsets(TOPIC),
    "sizes": lambda log: log.sizes(TOPIC),
    "values": lambda log: list(log.partition(TOPIC, 0).values()),
    "records": lambda log: list(log.partition(PAID, 0).records()),
    "read": lambda log: log.partition(TOPIC, 0).read(7, max_records=3),
    "search": lambda log: list(log.partition(TOPIC, 0).search(b"39x")),
    "columns": lambda log: [columns.offsets.tolist() for columns in log.partition(TOPIC, 0).columns()],
    "by time": lambda log: log.partition(TOPIC, 0).offset_for_time(1020),
    "bytes": lambda log: log.partition(TOPIC, 0).bytes_from(10),
    "latest": lambda log: log.partition(TOPIC, 0).log.latest_record(),
    "producers": lambda log: log.partition(PAID, 0).log.producers(),
    "stable": lambda log: log.partition(PAID, 0).stable_offset,
    "poll": lambda log: poll(log),
    "groups": lambda log: log.groups(),
    "committed": lambda log: log.group("workers").committed(),
    "lag": lambda log: log.group("workers").lag(),
    "describe group": lambda log: log.group("workers").describe(),
    "describe groups": lambda log: log.describe_groups(),
    "history": lambda log: log.group("workers").history(),
    "progress": lambda log: sorted(log.group("workers").progress()),
    "lags": lambda log: log.lags(),
    "transactions": lambda log: log.transactions(),
    "describe topic": lambda log: log.describe_topic(TOPIC)._replace(partitions=()),
    "activity": lambda log: log.activity().topics,
    "metrics": lambda log: sorted(log.metrics()),
    "verify": lambda log: [(report.batches, report.problems) for report in log.verify()],
}


def poll(log: EventLog) -> list[bytes | None]:
    with log.consumer(TOPIC) as consumer:
        return sorted(record.value or b"" for record in consumer.poll(timeout=10))


@pytest.mark.parametrize("name", list(LOOKS))
def test_each_way_to_look_finds_what_a_writer_finds_and_leaves_the_store_as_it_was(filled: Path, name: str) -> None:
    with eventlog.open(filled) as log:
        expected = LOOKS[name](log)
    before = state(filled)
    with eventlog.open(filled, mode="r") as log:
        assert LOOKS[name](log) == expected
        assert state(filled) == before
    assert state(filled) == before


@pytest.mark.parametrize("name", list(LOOKS))
def test_the_same_holds_for_a_copy_without_what_processes_share(filled: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    with eventlog.open(filled) as log:
        expected = LOOKS[name](log)
        log.flush()
    shutil.copytree(filled, copy)
    shutil.rmtree(copy / "shared")
    before = state(copy)
    with eventlog.open(copy, mode="r") as log:
        assert LOOKS[name](log) == expected
    assert state(copy) == before


CHANGES: dict[str, Callable[[EventLog], Any]] = {
    "append": lambda log: log.partition(TOPIC, 0).append(b"x"),
    "append with a header": lambda log: log.partition(TOPIC, 0).append(b"x", headers=[("a", b"b")]),
    "append_many": lambda log: log.partition(TOPIC, 0).append_many([b"x"]),
    "append_many as a tuple": lambda log: log.partition(TOPIC, 0).append_many((b"x",), compression="gzip"),
    "append marker": lambda log: log.partition(TOPIC, 0).log.append_marker(1, 0, 0, commit=False),
    "delete_records": lambda log: log.partition(TOPIC, 0).delete_records(3),
    "flush a partition": lambda log: log.partition(TOPIC, 0).flush(),
    "roll": lambda log: log.partition(TOPIC, 0).log.roll(),
    "save producers": lambda log: log.partition(TOPIC, 0).log.save_producers(),
    "flush": lambda log: log.flush(),
    "create_topic": lambda log: log.create_topic("more"),
    "alter_topic": lambda log: log.alter_topic(TOPIC, partitions=3),
    "delete_topic": lambda log: log.delete_topic(TOPIC),
    "producer": lambda log: log.producer(),
    "named producer": lambda log: log.producer(name="n"),
    "transactional producer": lambda log: log.producer(transactional_id="t"),
    "member of a group": lambda log: log.consumer(TOPIC, group="workers"),
    "create_group": lambda log: log.create_group("more"),
    "reset": lambda log: log.group("workers").reset({PARTITION: 0}),
    "delete a group": lambda log: log.group("workers").delete(),
    "delete_offsets": lambda log: log.group("workers").delete_offsets([PARTITION]),
    "maintain": lambda log: log.maintain(),
    "start_maintenance": lambda log: log.start_maintenance(),
    "repair": lambda log: log.repair(TOPIC, 0, execute=True),
    "backup": lambda log: log.backup(log.path.with_name("backup")),
    "serve": lambda log: log.serve(port=0),
    "worker": lambda log: log.worker(TOPIC, "resizers"),
    "ship": lambda log: log.ship(TOPIC, "eventlog:elsewhere#orders"),
    "collect": lambda log: log.collect(TOPIC, "eventlog:elsewhere#orders"),
    "abort_transaction": lambda log: log.abort_transaction("t"),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_each_change_is_refused_before_anything_is_changed(filled: Path, name: str) -> None:
    before = state(filled)
    with eventlog.open(filled, mode="r") as log:
        with pytest.raises(ReadOnlyStoreError, match="read only"):
            CHANGES[name](log)
        assert len(list(log.partition(TOPIC, 0).values())) == FILLED  # reading goes on
    assert state(filled) == before


def test_what_a_writer_appends_is_seen_at_once(filled: Path) -> None:
    with eventlog.open(filled) as writer, eventlog.open(filled, mode="r") as log:
        appending, reading = writer.partition(TOPIC, 0), log.partition(TOPIC, 0)
        assert reading.recovery.outcome == "trusted"
        for number in range(100):  # over several segments
            offset = appending.append(b"%d" % number + b"y" * 100)
            assert reading.end_offset == offset + 1
            assert [record.value for record in reading.read(offset)] == [b"%d" % number + b"y" * 100]
        assert len(list(reading.values())) == FILLED + 100
        appending.delete_records(90)
        assert reading.start_offset == 90
        assert next(reading.records()).offset == 90


def test_one_who_waits_is_woken_by_the_append_of_another_process(filled: Path) -> None:
    with Worker(append_when_told, filled, {}) as worker, eventlog.open(filled, mode="r") as log:
        worker.receive()
        partition = log.partition(TOPIC, 0)
        end, woken = partition.end_offset, []
        waiting = threading.Thread(target=lambda: woken.append(partition.wait(end, timeout=60)))
        waiting.start()
        worker.send(b"news")
        waiting.join()
        assert woken == [True]
        assert [record.value for record in partition.read(end)] == [b"news"]


def test_a_consumer_follows_topics_that_are_created_and_deleted_meanwhile(filled: Path) -> None:
    with (
        eventlog.open(filled) as writer,
        eventlog.open(filled, mode="r") as log,
        log.consumer(["later"]) as consumer,
    ):
        assert consumer.poll(timeout=0) == []
        writer.create_topic("later")
        writer.partition("later", 0).append(b"first")
        assert [record.value for record in consumer.poll(timeout=60)] == [b"first"]
        partition = log.partition("later", 0)
        writer.delete_topic("later")
        assert log.topics() == [TOPIC, PAID]
        with pytest.raises(TopicNotFoundError):
            partition.read(0)
        with pytest.raises(TopicNotFoundError):
            log.partition("later", 0)


def test_what_a_group_commits_beside_it_is_seen(filled: Path) -> None:
    with eventlog.open(filled) as writer, eventlog.open(filled, mode="r") as log:
        with writer.consumer(TOPIC, group="workers") as consumer:
            seen = consumer.poll(timeout=10, max_records=10)
            consumer.commit()
            described = log.group("workers").describe()
            assert [member.process_id for member in described.members] == [os.getpid()]
            assert log.group("workers").committed() == writer.group("workers").committed()
            assert log.group("workers").committed()[PARTITION] == seen[-1].offset + 1
        assert log.group("workers").describe().members == ()


def test_a_partition_that_others_open_later_is_followed_from_then_on(filled: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(filled, copy)
    with eventlog.open(copy, mode="r") as log:
        partition = log.partition(TOPIC, 0)
        assert partition.recovery.outcome != "trusted"
        with eventlog.open(copy) as writer:
            writer.partition(TOPIC, 0).append(b"news")
            assert [record.value for record in partition.read(FILLED)] == [b"news"]
            assert partition.wait(FILLED, timeout=60)


def test_a_copy_is_read_up_to_its_last_whole_batch_and_that_is_told(
    filled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(filled, copy)
    last = stores.segments(copy)[-1]
    last.write_bytes(last.read_bytes() + b"torn off")
    before = state(copy)
    with eventlog.open(copy, mode="r") as log:
        partition = log.partition(TOPIC, 0)
        assert (partition.recovery.outcome, partition.recovery.truncated_bytes) == ("truncated", 8)
        assert partition.end_offset == FILLED == len(list(partition.values()))
    assert f"{partition.log} is read up to offset {FILLED}" in caplog.text
    assert state(copy) == before


def test_a_damaged_partition_is_read_up_to_the_damage(filled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(filled, copy)
    last = stores.segments(copy)[-1]
    last.write_bytes(last.read_bytes()[:70] + b"?" + last.read_bytes()[71:])
    with eventlog.open(copy, mode="r") as log:
        partition, values = log.partition(TOPIC, 0), []
        with pytest.raises(CorruptLogError):
            for value in partition.values():
                values.append(value)
        with pytest.raises(ReadOnlyStoreError):
            partition.append(b"x")
    assert values
    assert "is damaged" in caplog.text


def test_a_topic_that_was_never_used_is_empty(tmp_path: Path) -> None:
    stores.create(tmp_path / "store", 2)
    with eventlog.open(tmp_path / "store", mode="r") as log:
        assert list(log.partition(TOPIC, 1).values()) == []
        assert log.partition(TOPIC, 1).recovery.outcome == "created"
        assert not stores.partition_directory(tmp_path / "store", 1).exists()
        with eventlog.open(tmp_path / "store") as writer:
            writer.partition(TOPIC, 1).append(b"first")
            assert list(log.partition(TOPIC, 1).values()) == [b"first"]


def test_the_catalog_is_read_as_it_was_at_one_moment_while_others_change_it(store: Path) -> None:
    stop = threading.Event()

    def change() -> None:
        with eventlog.open(store) as log:
            while not stop.is_set():
                log.create_topic("pair-a")
                log.create_topic("pair-b")
                log.delete_topic("pair-b")
                log.delete_topic("pair-a")

    changing = threading.Thread(target=change)
    changing.start()
    try:
        with eventlog.open(store, mode="r") as log:
            seen = {tuple(log.topics()) for _ in range(500)}
    finally:
        stop.set()
        changing.join()
    assert seen <= {(TOPIC,), (TOPIC, "pair-a"), (TOPIC, "pair-a", "pair-b")}


def test_the_catalog_is_followed_by_each_of_several_threads(filled: Path) -> None:
    failures: list[BaseException] = []

    def look(log: EventLog) -> None:
        try:
            for _ in range(100):
                assert log.describe_groups()[0].name == "workers"
        except BaseException as error:
            failures.append(error)

    with eventlog.open(filled) as writer, eventlog.open(filled, mode="r") as log:
        threads = [threading.Thread(target=look, args=(log,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(50):
            writer.create_topic(f"topic-{number}")
        for thread in threads:
            thread.join()
        assert len(log.topics()) == 52
    assert failures == []


def test_tasks_read_it_too(filled: Path) -> None:
    async def read() -> bytes | None:
        async with (
            eventlog.aio.open(filled) as writer,
            eventlog.aio.open(filled, mode="r") as log,
            log.consumer(TOPIC, auto_offset_reset="latest") as consumer,
        ):
            assert await consumer.poll(timeout=0) == []
            await writer.partition(TOPIC, 0).append(b"news")
            async for record in consumer:
                return record.value
        return None

    assert asyncio.run(read()) == b"news"


READ_ONLY_MOUNT = """
import subprocess, sys, eventlog
store, mounted = sys.argv[1:]
subprocess.run(["mount", "--bind", store, mounted], check=True)
subprocess.run(["mount", "-o", "remount,ro,bind", mounted], check=True)
try:
    open(mounted + "/written", "w")
except OSError as error:
    print(error.strerror)
with eventlog.open(mounted, mode="r") as log:
    print(log.topics(), len(list(log.partition("events", 0).values())), log.group("workers").committed() != {})
    print(sum(len(report.problems) for report in log.verify()))
print({finding.severity for finding in eventlog.diagnose(mounted, deep=True, mode="r")})
"""


@pytest.mark.parametrize("is_live", [True, False], ids=["beside a writer", "alone"])
def test_a_read_only_mount(filled: Path, tmp_path: Path, is_live: bool) -> None:
    (tmp_path / "mounted").mkdir()
    if is_live:
        with eventlog.open(filled) as writer:
            writer.partition(TOPIC, 0).append(b"one more")
            done = run_elsewhere(OTHER_MOUNTS, READ_ONLY_MOUNT, filled, tmp_path / "mounted")
    else:
        done = run_elsewhere(OTHER_MOUNTS, READ_ONLY_MOUNT, filled, tmp_path / "mounted")
    expected = ["Read-only file system", f"['events', 'paid'] {FILLED + is_live} True", "0", "{'note'}"]
    assert done.stdout.splitlines() == expected, done


def test_a_process_in_another_container_reads_beside_a_writer(filled: Path) -> None:
    program = "import sys, eventlog; print(len(list(eventlog.open(sys.argv[1], mode='r').partition('events', 0).values())))"
    with eventlog.open(filled) as writer:
        writer.partition(TOPIC, 0).append(b"one more")
        assert run_elsewhere(OTHER_PROCESSES, program, filled).stdout.split() == [str(FILLED + 1)]


@needs_root
def test_another_user_who_may_read_reads(reachable: Path) -> None:
    store = reachable / "store"
    fill(store)
    for path in (store, *store.rglob("*")):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    before = state(store)

    def look() -> None:
        with eventlog.open(store, mode="r") as log:
            assert len(list(log.partition(TOPIC, 0).values())) == FILLED
            assert log.describe_groups()[0].name == "workers"
            assert log.verify()[0].problems == []
        assert not [each for each in eventlog.diagnose(store, deep=True, mode="r") if each.severity == "error"]

    assert as_nobody(look) == ""
    assert state(store) == before
    assert as_nobody(lambda: eventlog.open(store).close()).startswith("StoreOpenError")


@needs_root
def test_another_user_who_may_not_read_is_told(reachable: Path) -> None:
    stores.create(reachable / "store")
    assert "Permission denied" in as_nobody(lambda: eventlog.open(reachable / "store", mode="r").close())


@pytest.mark.parametrize("is_deep", [True, False])
def test_the_doctor_leaves_everything_as_it_was(filled: Path, is_deep: bool) -> None:
    before = state(filled)
    findings = eventlog.diagnose(filled, deep=is_deep, mode="r")
    assert {finding.severity for finding in findings} == {"note"}
    assert state(filled) == before


def test_what_cannot_be_read_is_told(tmp_path: Path, filled: Path) -> None:
    with pytest.raises(StoreOpenError, match="there is no store"):
        eventlog.open(tmp_path / "nothing", mode="r")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreOpenError, match="there is no store"):
        eventlog.open(tmp_path / "empty", mode="r")
    assert os.listdir(tmp_path / "empty") == []
    with pytest.raises(InvalidArgumentError, match="mode is 'a'"):
        eventlog.open(filled, mode="a")
    with pytest.raises(NotSupportedError, match="cluster"):
        eventlog.open("kafka://localhost:1", mode="r")
    catalog = filled / "meta" / "data.mdb"
    content = catalog.read_bytes()
    for damaged in (b"", content[:100], b"?" * len(content), content[: len(content) // 2]):
        catalog.write_bytes(damaged)
        with pytest.raises(StoreOpenError, match="catalog"):
            eventlog.open(filled, mode="r")
    catalog.unlink()
    with pytest.raises(StoreOpenError, match="catalog"):
        eventlog.open(filled, mode="r")


@pytest.fixture
def descriptors() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.usefixtures("descriptors")
def test_closing_lets_go_of_everything(filled: Path) -> None:
    for _ in range(3):
        with eventlog.open(filled, mode="r") as log:
            list(log.partition(TOPIC, 0).values())
            log.describe_groups()
