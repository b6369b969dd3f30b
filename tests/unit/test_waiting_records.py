"""Records that wait while their topic is altered or their producer closed: each is in the log, or its receipt says why not."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, InvalidArgumentError, Receipt, RecordTooLargeError, StoreClosedError, UnsupportedCodecError
from eventlog.producer.partition_sender import PartitionSender
from tests.support import stores

TOPIC = stores.TOPIC
PATIENT = {"linger_ms": 1_000_000}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    stores.create(tmp_path / "store", partitions=2)
    with eventlog.open(tmp_path / "store", fsync="never") as opened:
        yield opened


def _values(log: EventLog, partition: int = 0) -> list[bytes | None]:
    return [record.value for record in stores.everything(stores.open_partition(log, partition))]


def _check_receipts(log: EventLog, receipts: dict[bytes, Receipt]) -> None:
    for value, receipt in receipts.items():
        [record] = log.partition(TOPIC, receipt.partition).read(receipt.offset, 1)
        assert (record.value, record.timestamp) == (value, receipt.timestamp)
        assert receipt.is_resolved


def test_a_batch_that_does_not_fit_the_smaller_segments_any_more_is_split(log: EventLog) -> None:
    with log.producer(**PATIENT) as producer:
        receipts = {b"%0100d" % number: producer.send(TOPIC, b"%0100d" % number, partition=0) for number in range(100)}
        log.alter_topic(TOPIC, config={"segment.bytes": 2048})
        stores.open_partition(log).append(b"%0100d" % 100)
        receipts[b"%0100d" % 101] = producer.send(TOPIC, b"%0100d" % 101, partition=0)
        producer.flush()
        _check_receipts(log, receipts)
        assert _values(log) == [b"%0100d" % number for number in (100, *range(100), 101)]


def test_records_that_are_too_large_by_now_are_refused_and_the_others_appended(log: EventLog) -> None:
    with log.producer(**PATIENT) as producer:
        small = {b"%d" % number: producer.send(TOPIC, b"%d" % number, partition=0) for number in range(10)}
        large = [producer.send(TOPIC, bytes(2000), partition=0) for _ in range(2)]
        small |= {b"%d" % number: producer.send(TOPIC, b"%d" % number, partition=0) for number in range(10, 20)}
        log.alter_topic(TOPIC, config={"max.message.bytes": 1000})
        with pytest.raises(RecordTooLargeError, match=r"2 records for events/0 .* refused"):
            producer.flush()
        producer.flush()  # it is told once
        _check_receipts(log, small)
        for receipt in large:
            assert not receipt.is_resolved
            with pytest.raises(RecordTooLargeError, match=r"max\.message\.bytes"):
                _ = receipt.offset
        assert _values(log) == [b"%d" % number for number in range(20)]


def test_records_without_a_key_are_refused_once_the_topic_is_compacted(log: EventLog) -> None:
    with log.producer(**PATIENT) as producer:
        keyed = {b"%d" % number: producer.send(TOPIC, b"%d" % number, b"key", partition=0) for number in range(5)}
        keyless = [producer.send(TOPIC, b"keyless", partition=0) for _ in range(3)]
        keyed |= {b"%d" % number: producer.send(TOPIC, b"%d" % number, b"key", partition=0) for number in range(5, 9)}
        log.alter_topic(TOPIC, config={"cleanup.policy": "compact"})
        keyed[b"last"] = producer.send(TOPIC, b"last", b"key", partition=0)
        _check_receipts(log, keyed)
        for receipt in keyless:
            with pytest.raises(InvalidArgumentError, match="needs a key"):
                _ = receipt.offset
        with pytest.raises(InvalidArgumentError, match=r"3 records for events/0 .* refused"):
            producer.flush()
    assert all(record.key is not None for record in log.partition(TOPIC, 0).records())


def test_what_cannot_be_compressed_any_more_is_refused(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cramjam", None)
    with log.producer(**PATIENT) as producer:
        receipts = [producer.send(TOPIC, b"value", partition=0) for _ in range(3)]
        log.alter_topic(TOPIC, config={"compression.type": "zstd"})
        with pytest.raises(UnsupportedCodecError):
            producer.send(TOPIC, b"value", partition=0)
        with pytest.raises(UnsupportedCodecError, match="3 records"):
            producer.flush()
        for receipt in receipts:
            with pytest.raises(UnsupportedCodecError):
                _ = receipt.offset
        log.alter_topic(TOPIC, config={"compression.type": "producer"})
        producer.send(TOPIC, b"another", partition=0)
    assert _values(log) == [b"another"]


def test_a_batch_in_parts_goes_on_where_an_error_has_stopped_it(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    appended: list[int] = []
    append_part = PartitionSender._append_part

    def fail_at_the_third(lane: PartitionSender, part: Any) -> None:
        if len(appended) == 2:
            appended.append(0)
            raise eventlog.DiskFullError("no room")
        append_part(lane, part)
        appended.append(part.count)

    monkeypatch.setattr(PartitionSender, "_append_part", fail_at_the_third)
    with log.producer(**PATIENT) as producer:
        receipts = {b"%0100d" % number: producer.send(TOPIC, b"%0100d" % number, partition=0) for number in range(100)}
        log.alter_topic(TOPIC, config={"segment.bytes": 2048})
        with pytest.raises(eventlog.DiskFullError):
            producer.flush()
        receipts[b"%0100d" % 100] = producer.send(TOPIC, b"%0100d" % 100, partition=0)
        _check_receipts(log, receipts)
    assert _values(log) == [b"%0100d" % number for number in range(101)]


class _Gate:
    """Holds up the first append of what waits, or ends it by an interrupt."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at_first: Callable[[], object]) -> None:
        append_part = PartitionSender._append_part
        first = [None]

        def append(lane: PartitionSender, part: Any) -> None:
            if first:
                first.pop()
                at_first()
            append_part(lane, part)

        monkeypatch.setattr(PartitionSender, "_append_part", append)


def test_of_two_closes_at_once_none_returns_before_everything_is_appended(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_inside, may_go_on = threading.Event(), threading.Event()

    def wait() -> None:
        is_inside.set()
        may_go_on.wait()

    _Gate(monkeypatch, wait)
    producer = log.producer(**PATIENT)
    for number in range(2):
        producer.send(TOPIC, b"value", partition=number)
    ends: list[list[int]] = []

    def close() -> None:
        producer.close()
        ends.append([log.partition(TOPIC, number).end_offset for number in range(2)])

    threads = [threading.Thread(target=close) for _ in range(2)]
    threads[0].start()
    is_inside.wait()
    threads[1].start()
    threads[1].join(timeout=0.1)  # one that does not wait is through by then
    may_go_on.set()
    for thread in threads:
        thread.join()
    assert ends == [[1, 1]] * 2
    with pytest.raises(StoreClosedError):
        producer.send(TOPIC, b"late")


def test_a_close_that_was_interrupted_is_done_by_the_next_one(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    _Gate(monkeypatch, interrupt)
    producer = log.producer(**PATIENT)
    receipts = {b"%d" % number: producer.send(TOPIC, b"%d" % number, partition=number % 2) for number in range(20)}
    with pytest.raises(KeyboardInterrupt):
        producer.close()
    with pytest.raises(StoreClosedError):
        producer.send(TOPIC, b"late")
    producer.close()
    _check_receipts(log, receipts)
    producer.close()


def test_the_store_appends_what_an_interrupted_close_has_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    _Gate(monkeypatch, interrupt)
    stores.create(tmp_path / "store", partitions=2)
    with eventlog.open(tmp_path / "store") as log:
        producer = log.producer(**PATIENT)
        for number in range(20):
            producer.send(TOPIC, b"%d" % number, partition=number % 2)
        with pytest.raises(KeyboardInterrupt):
            producer.close()
    with eventlog.open(tmp_path / "store") as log:
        assert [offsets.end_offset for offsets in log.offsets(TOPIC)] == [10, 10]


def test_who_comes_in_between_in_the_same_thread_is_refused_and_waits_for_nothing(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = log.producer(**PATIENT)
    refused: list[str] = []

    def come_in_between() -> None:
        for come in (lambda: producer.send(TOPIC, b"x", partition=0), producer.flush):
            with pytest.raises(eventlog.ConcurrentUseError) as raised:
                come()
            refused.append(str(raised.value))

    _Gate(monkeypatch, come_in_between)
    producer.send(TOPIC, b"value", partition=0)
    producer.flush()
    assert len(refused) == 2 and "signal handler" in refused[0]
    assert _values(log) == [b"value"]


def test_a_lane_that_lacks_memory_is_tried_again_by_the_lingering_thread(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack_memory() -> None:
        raise MemoryError

    _Gate(monkeypatch, lack_memory)
    with log.producer(linger_ms=1) as producer:
        producer.send(TOPIC, b"value", partition=0)
        assert log.partition(TOPIC, 0).wait(0, timeout=60)
