"""What the library tells by `logging`: rare events, by logger and level, and nothing unless somebody listens."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import eventlog
import eventlog.aio
from eventlog import EventLog, TopicPartition
from eventlog.storage.partition.flusher import Flusher
from tests.support import stores
from tests.support.stores import TOPIC
from tests.support.tasks import one_turn

PLACE = TopicPartition(TOPIC, 0)


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "eventlog")


def told(caplog: pytest.LogCaptureFixture, name: str, level: int) -> list[str]:
    return [each.getMessage() for each in caplog.records if (each.name, each.levelno) == (f"eventlog.{name}", level)]


def damage(store: Path) -> None:
    """Change a bit of the first batch, behind which others are right."""
    stores.head_file(store).unlink()
    [segment] = stores.segments(store)
    content = bytearray(segment.read_bytes())
    content[30] ^= 1
    segment.write_bytes(content)


def test_opening_and_closing_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "new"
    log = eventlog.open(path, fsync="never")
    log.close()
    log.close()
    eventlog.open(path).close()
    eventlog.open(path, mode="r").close()
    assert told(caplog, "store", logging.INFO) == [
        f"<EventLog {path}>: opened with fsync=never", f"<EventLog {path}>: closed",
        f"<EventLog {path}>: opened with fsync=interval", f"<EventLog {path}>: closed",
        f"<EventLog {path}>: opened with fsync=interval, read-only", f"<EventLog {path}>: closed",
    ]  # fmt: skip


def test_appending_reading_and_committing_is_not_told(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    with log.producer() as producer, log.consumer(TOPIC, group="g") as consumer:
        producer.send(TOPIC, b"x")
        consumer.poll(10)
        caplog.clear()
        for _ in range(100):
            producer.send(TOPIC, b"x")
        while consumer.poll(0):
            consumer.commit()
        assert [record.getMessage() for record in caplog.records] == []


def test_a_torn_tail_and_damage_are_told(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    with eventlog.open(store) as log:
        for _ in range(10):
            log.partition(TOPIC, 0).append(b"x" * 100)
    stores.head_file(store).unlink()
    [segment] = stores.segments(store)
    with segment.open("ab") as file:
        file.write(b"half of a batch")
    with eventlog.open(store) as log:
        log.partition(TOPIC, 0)
        counted = log.metrics()["eventlog_process_recoveries_total"]
    [text] = told(caplog, "recovery", logging.WARNING)
    expected = r"<Partition events/0 in .*>: a torn tail of 15 bytes was cut off .*\.log at byte \d+, and is kept in .*"
    assert re.fullmatch(expected, text)
    assert {sample.labels["outcome"]: sample.value for sample in counted.samples}["truncated"] >= 1

    damage(store)
    with eventlog.open(store) as log:
        log.partition(TOPIC, 0)
    assert ["is damaged, and read-only" in text for text in told(caplog, "recovery", logging.ERROR)] == [True]


def test_rebalances_are_told_by_those_that_take_part(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    log.alter_topic(TOPIC, partitions=2)
    with log.consumer(TOPIC, group="g") as one:
        one.poll(0)
        with log.consumer(TOPIC, group="g") as two:
            while not (len(one.assignment()) == len(two.assignment()) == 1):
                one.poll(0)
                two.poll(0)
    consumer = told(caplog, "consumer", logging.INFO)
    assert re.search(r"member \S+ of group g: assigned events/0, events/1", consumer[0])
    assert any(re.search(r"of group g: revoked events/\d$", text) for text in consumer)
    groups = told(caplog, "groups", logging.INFO)
    assert f"process {os.getpid()} on {os.uname().nodename}, has joined: generation 1 has 1 members" in groups[0]
    assert "has 2 members" in groups[1]
    assert "has left" in groups[-1] and "has 0 members" in groups[-1]


def test_a_static_member_that_takes_over_is_told(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        with log.consumer(TOPIC, group="g", instance_id="i") as consumer:
            consumer.poll(0)
    assert sum("takes over from" in text for text in told(caplog, "groups", logging.INFO)) == 1


def test_a_member_whose_process_died_is_told_with_the_reason(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    program = (
        "import eventlog, sys\n"
        f"log = eventlog.open({str(log.path)!r})\n"
        f"consumer = log.consumer({TOPIC!r}, group='g')\n"
        "consumer.poll(0)\n"
        "print('joined', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "joined\n"
        with log.consumer(TOPIC, group="g") as consumer:
            consumer.poll(0)
            other.send_signal(signal.SIGKILL)
            other.wait()
            while consumer.assignment() != {PLACE}:
                consumer.poll(1)
    [text] = told(caplog, "groups", logging.WARNING)
    assert re.search(rf"process {other.pid} on \S+, was expelled, because it is gone: generation \d+ has 1 members", text)


def test_a_reset_is_told_to_the_member_that_loses_its_partitions(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    log.partition(TOPIC, 0).append(b"x")
    with log.consumer(TOPIC, group="g") as consumer:
        consumer.poll(10)
        log.group("g").reset({PLACE: 0})
        consumer.poll(0)
    assert any(text.endswith("of group g: lost events/0") for text in told(caplog, "consumer", logging.INFO))


def test_retention_is_told_with_the_setting_that_asked_for_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = tmp_path / "store"
    stores.create(store, segment_bytes=1024, retention_bytes=0)
    with eventlog.open(store) as log:
        for _ in range(3):
            log.partition(TOPIC, 0).append(b"x" * 800)
        log.maintain(dry_run=True)
        assert told(caplog, "maintenance", logging.INFO) == []
        log.maintain()
    [text] = told(caplog, "maintenance", logging.INFO)
    assert re.fullmatch(r"events/0: deleted \d segments with \d+ bytes before offset \d, by retention.bytes", text)


def test_a_failure_of_housekeeping_is_told(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    with eventlog.open(store) as log:
        for _ in range(2):
            log.partition(TOPIC, 0).append(b"x")
    damage(store)
    with eventlog.open(store) as log:
        log.maintain()
    assert [text[:28] for text in told(caplog, "maintenance", logging.WARNING)] == ["events/0: housekeeping failed"[:28]]


# --- warnings ----------------------------------------------------------------------------------------------------------


def test_a_partition_that_cannot_be_flushed_because_it_was_deleted_is_not_told(
    log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    partition = log.partition(TOPIC, 0)
    partition.append(b"deleted before it was flushed")
    log.delete_topic(TOPIC)
    with pytest.raises(eventlog.TopicNotFoundError):
        partition.log.flush()
    Flusher(lambda: [partition.log], 1000, flushes=True).work()
    assert told(caplog, "background", logging.WARNING) == []


def test_subscribing_to_a_topic_that_does_not_exist_is_told_with_the_one_that_was_meant(
    log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.create_topic("orders")
    log.consumer(["orders", TOPIC]).close()
    log.consumer(re.compile("nothing.*")).close()
    assert told(caplog, "consumer", logging.WARNING) == []
    log.consumer(["ordres", "orders", "xyz"], group="g").close()
    assert told(caplog, "consumer", logging.WARNING) == [
        f"<Consumer of {log!r} in group g>: topic ordres does not exist, and is waited for; there is 'orders'",
        f"<Consumer of {log!r} in group g>: topic xyz does not exist, and is waited for",
    ]


def test_waiting_for_a_group_that_nobody_knows_is_told_once(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    with log.producer() as producer:
        receipt = producer.send(TOPIC, b"x")
    for _ in range(2):
        assert not receipt.wait_acked("nobody", timeout=0)
    log.create_group("somebody")
    assert not receipt.wait_acked("somebody", timeout=0)
    expected = ["group nobody does not exist: somebody waits for it to acknowledge a record"]
    assert told(caplog, "groups", logging.WARNING) == expected


def test_a_task_that_waits_for_a_group_that_nobody_knows_is_told(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with eventlog.aio.open(store) as log, log.producer() as producer:
            receipt = await producer.send(TOPIC, b"x")
            waiting = asyncio.create_task(receipt.wait_acked("nobody"))
            while not told(caplog, "groups", logging.WARNING):
                await one_turn()
            waiting.cancel()

    asyncio.run(main())
    assert len(told(caplog, "groups", logging.WARNING)) == 1


# --- the program decides -----------------------------------------------------------------------------------------------


def test_a_program_that_configures_nothing_sees_nothing(store: Path) -> None:
    program = f"import eventlog\nwith eventlog.open({str(store)!r}) as log: log.consumer('nowhere').close()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_warnings_are_counted_by_logger(log: EventLog) -> None:
    def count() -> float:
        samples = log.metrics()["eventlog_process_warnings_total"].samples
        return {sample.labels["logger"]: sample.value for sample in samples}.get("eventlog.consumer", 0)

    before = count()
    log.consumer("nowhere").close()
    thread = threading.Thread(target=lambda: log.consumer("elsewhere").close())
    thread.start()
    thread.join()
    assert count() == before + 2
