"""A producer puts records where they belong, says where they are, and loses none that it accepted."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, Producer
from eventlog.records.partitioning import partition_for_key

TOPIC = "orders"
PATIENT = {"linger_ms": 1_000_000, "batch_bytes": 2_000}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store", fsync="never") as opened:
        opened.create_topic(TOPIC, partitions=4, config={"max.message.bytes": 10_000})
        yield opened


def everything(log: EventLog) -> list[bytes | None]:
    return [value for number in range(4) for value in log.partition(TOPIC, number).values()]


@pytest.mark.parametrize("options", [{}, PATIENT], ids=["at once", "in batches"])
def test_a_receipt_says_where_the_record_is(log: EventLog, options: dict[str, Any]) -> None:
    with log.producer(**options) as producer:
        sent = [
            producer.send(TOPIC, b"%d" % number, key=b"k%d" % (number % 5), headers=[("n", b"%d" % number)], timestamp=number)
            for number in range(50)
        ]
        for number, receipt in enumerate(sent):
            [record] = log.partition(receipt.topic, receipt.partition).read(receipt.offset, max_records=1)
            assert (record.value, record.timestamp, record.headers) == (b"%d" % number, number, (("n", b"%d" % number),))
            assert receipt.is_resolved and receipt.timestamp == number


def test_a_timestamp_that_was_not_given_is_the_records(log: EventLog) -> None:
    log.create_topic("stamped", config={"message.timestamp.type": "LogAppendTime"})
    with log.producer() as producer:
        for topic, timestamp in ((TOPIC, None), ("stamped", None)):
            receipt = producer.send(topic, b"x", timestamp=timestamp)
            assert receipt.timestamp == log.partition(topic, receipt.partition).read(receipt.offset)[0].timestamp > 10**12


def test_a_key_goes_where_kafka_puts_it_and_a_number_where_it_says(log: EventLog) -> None:
    with log.producer() as producer:
        for number in range(100):
            key = b"customer-%d" % number
            assert producer.send(TOPIC, b"x", key=key).partition == partition_for_key(key, 4)
            assert producer.send(TOPIC, b"x", key=key, partition=number % 4).partition == number % 4


def test_without_a_key_partitions_take_turns_by_bytes(log: EventLog) -> None:
    with log.producer(batch_bytes=100) as producer:
        found = [producer.send(TOPIC, bytes(50)).partition for _ in range(400)]
    assert set(found) == {0, 1, 2, 3}
    assert all(found[number] == found[number + 1] for number in range(0, 400, 2))


def test_a_topic_is_created_on_first_use_unless_that_is_switched_off(log: EventLog) -> None:
    with log.producer() as producer:
        assert producer.send("new", b"x").offset == 0
    with log.producer(auto_create_topics=False) as producer, pytest.raises(eventlog.TopicNotFoundError):
        producer.send("newer", b"x")
    assert log.topics() == ["new", TOPIC]


def test_records_wait_until_they_are_asked_for(log: EventLog) -> None:
    with log.producer(**PATIENT) as producer:
        receipts = [producer.send(TOPIC, b"%d" % number, partition=0) for number in range(3)]
        assert not any(receipt.is_resolved for receipt in receipts) and log.partition(TOPIC, 0).end_offset == 0
        assert receipts[1].offset == 1
        assert all(receipt.is_resolved for receipt in receipts) and log.partition(TOPIC, 0).end_offset == 3


def test_a_full_batch_is_appended_as_one(log: EventLog) -> None:
    with log.producer(**PATIENT) as producer:
        receipts = [producer.send(TOPIC, bytes(500), partition=0) for _ in range(5)]
        assert [receipt.is_resolved for receipt in receipts] == [True] * 3 + [False] * 2
        large = producer.send(TOPIC, bytes(5_000), partition=0)
        assert large.is_resolved and large.offset == 5


def test_what_waited_long_enough_is_appended_by_itself(log: EventLog) -> None:
    with log.producer(linger_ms=1) as producer:
        for number in range(3):
            receipt = producer.send(TOPIC, b"x", partition=1)
            assert log.partition(TOPIC, 1).wait(number, timeout=60)  # nobody but the producer's thread has appended it
            assert receipt.offset == number and receipt.is_resolved


def test_flush_puts_everything_on_disk(log: EventLog) -> None:
    with log.producer(**PATIENT) as producer:
        for number in range(4):
            producer.send(TOPIC, b"x", partition=number)
        producer.flush()
        assert [log.partition(TOPIC, number).durable_offset for number in range(4)] == [1] * 4


def test_close_appends_what_waits(log: EventLog) -> None:
    with log.producer(**PATIENT) as producer:
        receipt = producer.send(TOPIC, b"waiting", partition=2)
    assert list(log.partition(TOPIC, 2).values()) == [b"waiting"] and receipt.offset == 0


def test_closing_the_store_appends_what_waits(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "other") as log:
        log.producer(**PATIENT).send(TOPIC, b"waiting")
    with eventlog.open(tmp_path / "other") as log:
        assert list(log.partition(TOPIC, 0).values()) == [b"waiting"]


@pytest.mark.parametrize("options", [{}, PATIENT], ids=["at once", "in batches"])
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"value": "text"}, eventlog.InvalidTypeError),
        ({"value": b"x", "key": 7}, eventlog.InvalidTypeError),
        ({"value": b"x", "headers": [("a", "b")]}, eventlog.InvalidTypeError),
        ({"value": b"x", "headers": {"a": b"b"}}, eventlog.InvalidTypeError),
        ({"value": b"x", "timestamp": -1}, eventlog.InvalidArgumentError),
        ({"value": b"x", "timestamp": "now"}, eventlog.InvalidTypeError),
        ({"value": b"x", "partition": 4}, eventlog.PartitionNotFoundError),
        ({"value": b"x", "partition": -1}, eventlog.PartitionNotFoundError),
        ({"value": b"x", "partition": "0"}, eventlog.InvalidTypeError),
        ({"value": bytes(10_000)}, eventlog.RecordTooLargeError),
        ({"value": b"x", "topic": "a/b"}, eventlog.InvalidArgumentError),
        ({"value": b"x", "topic": ["orders"]}, eventlog.InvalidTypeError),
    ],
)
def test_a_wrong_record_is_refused_and_spoils_nothing(
    log: EventLog, options: dict[str, Any], arguments: dict[str, Any], error: type[Exception]
) -> None:
    with log.producer(**options) as producer:
        producer.send(TOPIC, b"before", partition=0)
        with pytest.raises(error):
            producer.send(**{"topic": TOPIC, **({"partition": 0} if "key" not in arguments else {}), **arguments})
        producer.send(TOPIC, b"after", partition=0)
    assert everything(log) == [b"before", b"after"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"linger_ms": -1}, eventlog.InvalidArgumentError),
        ({"linger_ms": 1.5}, eventlog.InvalidTypeError),
        ({"batch_bytes": 0}, eventlog.InvalidArgumentError),
        ({"batch_bytes": "16k"}, eventlog.InvalidTypeError),
        ({"auto_create_topics": 1}, eventlog.InvalidTypeError),
        ({"compression": "zip"}, eventlog.InvalidArgumentError),
    ],
)
def test_wrong_options_are_refused(log: EventLog, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        log.producer(**options)


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("linger_ms", [0, 1_000_000])
def test_a_producer_compresses_what_it_sends(log: EventLog, compression: str, linger_ms: int) -> None:
    value = b"a value that is worth it " * 40
    with log.producer(compression=compression, linger_ms=linger_ms) as producer:
        for _ in range(20):
            producer.send(TOPIC, value, partition=0)
    assert everything(log) == [value] * 20
    [segment] = log.partition(TOPIC, 0).directory.glob("*.log")
    assert value not in segment.read_bytes()


@pytest.mark.parametrize("options", [{}, {"linger_ms": 1, "batch_bytes": 500}], ids=["at once", "in batches"])
def test_threads_that_share_a_producer_lose_nothing(log: EventLog, options: dict[str, Any]) -> None:
    receipts: list[tuple[bytes, eventlog.Receipt]] = []

    def send(producer: Producer, thread: int) -> None:
        for number in range(300):
            value = b"%d/%d" % (thread, number)
            receipts.append((value, producer.send(TOPIC, value, key=b"%d" % number)))

    with log.producer(**options) as producer:
        threads = [threading.Thread(target=send, args=(producer, thread)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(everything(log)) == 1200
    for value, receipt in receipts:
        assert log.partition(TOPIC, receipt.partition).read(receipt.offset, max_records=1)[0].value == value


def test_a_closed_producer_refuses_everything(log: EventLog) -> None:
    producer = log.producer()
    producer.send(TOPIC, b"x")
    producer.close()
    producer.close()
    for use in (lambda: producer.send(TOPIC, b"x"), producer.flush, lambda: producer.on_ack("group", print)):
        with pytest.raises(eventlog.StoreClosedError):
            use()


BOTH_WAYS = pytest.mark.parametrize("options", [{}, PATIENT], ids=["at once", "in batches"])


@BOTH_WAYS
@pytest.mark.parametrize("value", [5, True, 1.5, "text", bytearray(b"x"), [b"x"]])
def test_a_value_that_is_no_bytes_is_refused_where_the_producer_chooses_the_partition(
    log: EventLog, options: dict[str, Any], value: Any
) -> None:
    with log.producer(**options) as producer:
        with pytest.raises(eventlog.InvalidTypeError, match="value 0 must be bytes or None"):
            producer.send(TOPIC, value)
        producer.send(TOPIC, b"fine")
    assert everything(log) == [b"fine"]


@BOTH_WAYS
@pytest.mark.parametrize("headers", [5, "ab", {("n", b"v")}, iter([("n", b"v")]), [("n", b"v"), 5]])
def test_headers_are_checked_alike_at_once_and_in_batches(log: EventLog, options: dict[str, Any], headers: Any) -> None:
    with log.producer(**options) as producer, pytest.raises(eventlog.InvalidTypeError, match="headers of record 0"):
        producer.send(TOPIC, b"x", headers=headers)
    assert everything(log) == []


def test_a_list_of_headers_may_be_used_again_while_the_record_waits(log: EventLog) -> None:
    headers: list[tuple[str, bytes | None]] = [("n", b"1")]
    with log.producer(**PATIENT) as producer:
        producer.send(TOPIC, b"x", headers=headers, partition=0)
        headers[0] = ("n", b"2")
    assert [record.headers for record in log.partition(TOPIC, 0).records()] == [(("n", b"1"),)]


@BOTH_WAYS
def test_a_timestamp_that_the_topic_sets_itself_is_the_receipts(log: EventLog, options: dict[str, Any]) -> None:
    log.create_topic("stamped", config={"message.timestamp.type": "LogAppendTime"})
    with log.producer(**options) as producer:
        receipt = producer.send("stamped", b"x", timestamp=1234)
        assert receipt.timestamp == log.partition("stamped", 0).read(0)[0].timestamp > 10**12


@pytest.mark.parametrize("headers", [None, [("", None)] * 10, [("größe", b"x")] * 3])
@pytest.mark.parametrize("max_message_bytes", [128, 1_000_000])
def test_batches_fit_into_the_smallest_segments(log: EventLog, max_message_bytes: int, headers: Any) -> None:
    log.create_topic("small", config={"segment.bytes": 1024, "max.message.bytes": max_message_bytes})
    with log.producer(linger_ms=1_000_000) as producer:
        receipts = [
            producer.send("small", value, headers=headers, timestamp=timestamp)
            for value, timestamp in [(b"", 0), (b"x" * 9, 2**50), (None, 5), (b"\0", 2**62)] * 50
        ]
        producer.flush()
        assert [receipt.offset for receipt in receipts] == list(range(200))
    assert log.partition("small", 0).end_offset == 200


def test_a_record_larger_than_a_segment_is_refused_when_it_is_sent(log: EventLog) -> None:
    log.create_topic("small", config={"segment.bytes": 1024})
    with log.producer(linger_ms=1_000_000) as producer:
        with pytest.raises(eventlog.RecordTooLargeError, match=r"segment\.bytes"):
            producer.send("small", bytes(2000))
        assert producer.send("small", b"fine").offset == 0


def test_close_appends_what_waits_for_other_partitions_than_the_one_that_fails(log: EventLog) -> None:
    producer = log.producer(**PATIENT)
    for number in range(4):
        producer.send(TOPIC, b"%d" % number, partition=number)
    log.partition(TOPIC, 1).close()
    with pytest.raises(eventlog.StoreClosedError, match=r"1 records for orders/1 .* are lost"):
        producer.close()
    assert [log.partition(TOPIC, number).end_offset for number in (0, 2, 3)] == [1, 1, 1]


@pytest.mark.parametrize("end", ["flush", "close"])
def test_all_partitions_that_fail_are_told(log: EventLog, end: str) -> None:
    producer = log.producer(**PATIENT)
    for number in range(4):
        producer.send(TOPIC, b"%d" % number, partition=number)
    for number in (1, 2):
        log.partition(TOPIC, number).close()
    with pytest.raises(eventlog.StoreClosedError, match=r"1 records for orders/1 .* are lost") as raised:
        getattr(producer, end)()
    assert any("1 records for orders/2" in note for note in vars(raised.value)["__notes__"])
    with suppress(eventlog.StoreClosedError):
        producer.close()


def test_flush_brings_to_the_disk_what_stands_in_other_partitions_than_the_one_that_fails(log: EventLog) -> None:
    producer = log.producer(**PATIENT)
    for number in range(2):
        producer.send(TOPIC, b"x", partition=number)
    log.partition(TOPIC, 1).close()
    with pytest.raises(eventlog.StoreClosedError, match="orders/1"):
        producer.flush()
    assert log.partition(TOPIC, 0).durable_offset == 1
    with pytest.raises(eventlog.StoreClosedError, match="orders/1"):
        producer.close()


def test_a_record_that_was_accepted_while_another_thread_closes_is_appended(log: EventLog) -> None:
    switch_interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(20):
            accepted = _send_until_closed(log, f"round-{number}")
            assert log.partition(f"round-{number}", 0).end_offset == accepted
    finally:
        sys.setswitchinterval(switch_interval)


def _send_until_closed(log: EventLog, topic: str) -> int:
    producer = log.producer(linger_ms=1_000_000)
    producer.send(topic, b"the first")
    accepted = [1, 0, 0]
    is_sending = threading.Barrier(3)

    def send(thread: int) -> None:
        is_sending.wait()
        with suppress(eventlog.StoreClosedError):
            while True:
                producer.send(topic, b"x")
                accepted[thread] += 1

    threads = [threading.Thread(target=send, args=(thread,)) for thread in (1, 2)]
    for thread in threads:
        thread.start()
    is_sending.wait()
    producer.close()
    for thread in threads:
        thread.join()
    return sum(accepted)


def test_closing_the_store_closes_all_producers_whatever_one_of_them_raises(tmp_path: Path) -> None:
    log = eventlog.open(tmp_path / "other")
    is_called = threading.Event()

    def fail(ack: eventlog.Ack) -> None:
        is_called.set()
        raise ZeroDivisionError

    waiting = [log.producer(**PATIENT) for _ in range(6)]
    with log.consumer(TOPIC, group="group") as consumer:
        failing = log.producer()
        failing.on_ack("group", fail)
        failing.send(TOPIC, b"x")
        consumer.poll()
        consumer.commit()
    assert is_called.wait(60)
    for producer in waiting:
        producer.send(TOPIC, b"waiting")
    with pytest.raises(ZeroDivisionError):
        log.close()
    with eventlog.open(tmp_path / "other") as again:
        assert again.partition(TOPIC, 0).end_offset == 7

@pytest.mark.parametrize("options", [{}, PATIENT], ids=["at once", "in batches"])
def test_flush_goes_on_to_other_topics_where_one_was_deleted(log: EventLog, options: dict[str, Any]) -> None:
    log.create_topic("doomed")
    with log.producer(**options) as producer:
        lost = producer.send("doomed", b"x")
        kept = producer.send(TOPIC, b"x", partition=0)
        log.delete_topic("doomed")
        if options:
            with pytest.raises(eventlog.TopicNotFoundError, match="1 records for doomed/0 were waiting"):
                producer.flush()
            with pytest.raises(eventlog.TopicNotFoundError, match="1 records for doomed/0 were waiting"):
                _ = lost.offset
        assert kept.is_resolved
        producer.flush()
        log.flush()
        assert log.partition(TOPIC, 0).durable_offset == 1


@pytest.mark.parametrize("arguments", [{}, {"key": b"k"}, {"partition": 1}], ids=["sticky", "by key", "by number"])
def test_a_send_that_is_held_on_to_goes_by_what_the_topic_is_now(log: EventLog, arguments: dict[str, Any]) -> None:
    with log.producer() as producer:
        send = producer.send
        for number in range(10):
            assert send(TOPIC, b"%d" % number, **arguments).is_resolved
        log.alter_topic(TOPIC, config={"message.timestamp.type": "LogAppendTime"})
        assert send(TOPIC, b"x", timestamp=5, **arguments).timestamp > 10**12
        log.alter_topic(TOPIC, partitions=64)
        assert {send(TOPIC, b"x", key=b"%d" % number).partition for number in range(1000)} > set(range(4, 60))
        log.delete_topic(TOPIC)
        log.create_topic(TOPIC, 2)
        assert send(TOPIC, b"first", **arguments).offset == 0
        with pytest.raises(eventlog.PartitionNotFoundError, match="it has 0 to 1"):
            send(TOPIC, b"x", partition=2)
    with pytest.raises(eventlog.StoreClosedError):
        send(TOPIC, b"x", **arguments)


def _runs(places: list[int]) -> list[int]:
    """How many records in a row went to one partition."""
    return [len(list(run)) for _, run in itertools.groupby(places)]


def test_records_without_a_key_change_partitions_with_every_batch_of_bytes(log: EventLog) -> None:
    with log.producer(batch_bytes=1000) as producer:
        places = [producer.send(TOPIC, bytes(100)).partition for _ in range(1000)]
    assert max(_runs(places)) == 10 and len(_runs(places)) < 150  # a few are shorter where the system took its time


@pytest.mark.parametrize("value", [b"", bytes(10), bytes(100), bytes(5000), None])
@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}])
def test_each_partition_has_its_turn_among_records_without_a_key(
    log: EventLog, value: bytes | None, options: dict[str, Any]
) -> None:
    with log.producer(**options) as producer:
        places = [producer.send(TOPIC, value).partition for _ in range(400)]
    counts = [places.count(partition) for partition in range(4)]
    assert max(_runs(places)) <= 32 and max(counts) - min(counts) <= 2 * 32


def test_what_lingers_goes_to_one_partition_until_its_batch_is_full(log: EventLog) -> None:
    with log.producer(batch_bytes=1160, linger_ms=1_000_000) as producer:
        receipts = [producer.send(TOPIC, bytes(100)) for _ in range(400)]
        places = [receipt.partition for receipt in receipts]
        assert _runs(places) == [10] * 40
        assert [places.count(partition) for partition in range(4)] == [100] * 4
        assert [receipt.is_resolved for receipt in receipts] == [True] * 390 + [False] * 10


def test_a_producer_that_sends_one_record_at_a_time_reaches_all_partitions(log: EventLog) -> None:
    with log.producer(**PATIENT) as producer:
        places = []
        for _ in range(12):  # each in a batch of its own, as if it had lingered
            places.append(producer.send(TOPIC, b"x").partition)
            producer.flush()
    assert [places.count(partition) for partition in range(4)] == [3] * 4 and max(_runs(places)) == 1


def test_a_send_reports_bad_arguments_as_the_method_does(log: EventLog) -> None:
    with log.producer() as producer:
        producer.send(TOPIC, b"x")
        for arguments in ((), (TOPIC,), (TOPIC, b"x", None, None, None, None, None)):
            with pytest.raises(TypeError, match=r"send\(\)"):
                producer.send(*arguments)  # type: ignore[arg-type,call-arg]
        with pytest.raises(TypeError, match="surprise"):
            producer.send(TOPIC, b"x", surprise=1)  # type: ignore[call-arg]
        for topic in (None, [], "a/b"):
            with pytest.raises((eventlog.InvalidTypeError, eventlog.InvalidArgumentError)):
                producer.send(topic, b"x")  # type: ignore[arg-type]
        for bad in ({"value": "text"}, {"key": "text"}, {"headers": [("a", 1)]}, {"partition": True}, {"timestamp": 1.5}):
            with pytest.raises(eventlog.InvalidTypeError):
                producer.send(TOPIC, **{"value": b"x", **bad})  # type: ignore[arg-type]
        with pytest.raises(eventlog.PartitionNotFoundError):
            producer.send(TOPIC, b"x", partition=-1)
    assert everything(log) == [b"x"]


def test_a_receipt_tells_the_timestamp_also_when_the_record_is_gone(log: EventLog) -> None:
    with log.producer() as producer:
        receipts = [producer.send(TOPIC, b"x", partition=0) for _ in range(3)]
        stored = [record.timestamp for record in log.partition(TOPIC, 0).records()]
        assert [receipt.timestamp for receipt in receipts[1:]] == stored[1:]
        log.partition(TOPIC, 0).delete_records(3)
        assert [receipt.timestamp for receipt in receipts[1:]] == stored[1:]
        with pytest.raises(eventlog.OffsetOutOfRangeError):
            _ = receipts[0].timestamp  # the first send opens the topic in Python, and nobody has asked before


def test_a_receipt_is_no_container_and_can_be_formatted(log: EventLog) -> None:
    with log.producer() as producer:
        first, second = [producer.send(TOPIC, b"x", partition=1) for _ in range(2)]
        for number, receipt in enumerate((first, second)):
            assert "%s" % receipt == repr(receipt) == f"<Receipt {TOPIC}/1: {number}>"  # noqa: UP031
            assert receipt == receipt and not isinstance(receipt, tuple)
        assert first != second
        for name in ("offset", "_offset", "_timestamp"):
            with pytest.raises(AttributeError):
                setattr(second, name, 5)


@pytest.mark.parametrize("codec", ["producer", "gzip"])
def test_a_partition_gets_a_whole_batch_of_bytes_whatever_path_a_record_takes(log: EventLog, codec: str) -> None:
    log.create_topic("sticky", 2, config={"compression.type": codec})
    with log.producer(batch_bytes=100) as producer:
        places = [producer.send("sticky", bytes(50)).partition for _ in range(400)]
    assert all(places[start] == places[start + 1] for start in range(0, 400, 2))
