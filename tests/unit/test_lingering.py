"""Records that wait to be appended together: native code gathers them, behind the first of a batch."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventlog
from eventlog import EventLog

TOPIC = "orders"
PATIENT = {"linger_ms": 1_000_000}


class OddBytes(bytes):
    """As good as bytes, but nothing that native code takes."""


_bytes = st.binary(max_size=40)
_headers = st.lists(st.tuples(st.text(max_size=5), st.none() | _bytes), max_size=3)
_record = st.fixed_dictionaries(
    {"value": st.none() | _bytes | _bytes.map(OddBytes)},
    optional={
        "key": st.none() | _bytes,
        "headers": st.none() | _headers | _headers.map(tuple),
        "timestamp": st.none() | st.integers(0, 2**63 - 1),
    },
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store", fsync="never") as opened:
        opened.create_topic(TOPIC)
        yield opened


@given(sent=st.lists(_record | st.just("flush"), max_size=40), batch_bytes=st.sampled_from([1, 200, 16_384]))
def test_what_waited_is_in_the_log_as_it_was_sent(
    tmp_path_factory: pytest.TempPathFactory, sent: list[Any], batch_bytes: int
) -> None:
    receipts = []
    with eventlog.open(tmp_path_factory.mktemp("store"), fsync="never") as log:
        with log.producer(batch_bytes=batch_bytes, **PATIENT) as producer:
            for record in sent:
                if record == "flush":
                    producer.flush()
                else:
                    receipts.append((producer.send(TOPIC, partition=0, **record), record))
        found = list(log.partition(TOPIC, 0).records()) if receipts else []
        assert [receipt.offset for receipt, _ in receipts] == [record.offset for record in found]
        for (receipt, record), stored in zip(receipts, found, strict=True):
            assert (stored.value, stored.key) == (record["value"], record.get("key"))
            assert stored.headers == tuple(record.get("headers") or ())
            assert stored.timestamp == receipt.timestamp
            assert record.get("timestamp") in (None, stored.timestamp)


def test_a_list_of_headers_may_be_changed_after_it_was_sent(log: EventLog) -> None:
    with log.producer(**PATIENT) as producer:
        for _ in range(3):
            headers: list[tuple[str, bytes | None]] = [("a", b"1")]
            producer.send(TOPIC, b"x", headers=headers)
            headers.append(("b", b"2"))
    assert [record.headers for record in log.partition(TOPIC, 0).records()] == [(("a", b"1"),)] * 3


def test_a_wrong_record_is_refused_and_those_around_it_are_appended(log: EventLog) -> None:
    log.create_topic("compacted", config={"cleanup.policy": "compact", "max.message.bytes": 1000})
    with log.producer(**PATIENT) as producer:
        for key in (b"a", b"b"):
            producer.send("compacted", b"x", key=key)
            with pytest.raises(eventlog.InvalidArgumentError, match="needs a key"):
                producer.send("compacted", b"x")
            with pytest.raises(eventlog.RecordTooLargeError, match=r"max\.message\.bytes"):
                producer.send("compacted", bytes(1000), key=key)
            with pytest.raises(eventlog.RecordTooLargeError, match=r"max\.message\.bytes"):
                producer.send("compacted", b"x", key=key, headers=[("h", bytes(100))] * 10)
            with pytest.raises(eventlog.InvalidTypeError, match="timestamp"):
                producer.send("compacted", b"x", key=key, timestamp="now")  # type: ignore[arg-type]
    assert [record.key for record in log.partition("compacted", 0).records()] == [b"a", b"b"]


def test_records_that_wait_go_by_what_the_topic_is_when_it_was_altered_meanwhile(log: EventLog) -> None:
    with log.producer(**PATIENT) as producer:
        for _ in range(2):
            producer.send(TOPIC, b"x", key=b"k", timestamp=5)
        log.alter_topic(TOPIC, config={"message.timestamp.type": "LogAppendTime", "max.message.bytes": 500})
        with pytest.raises(eventlog.RecordTooLargeError):
            producer.send(TOPIC, bytes(500), key=b"k")
        receipts = [producer.send(TOPIC, b"x", key=b"k", timestamp=5) for _ in range(2)]
        producer.flush()
        for receipt in receipts:
            assert receipt.timestamp == log.partition(TOPIC, 0).read(receipt.offset)[0].timestamp > 10**12


def test_a_receipt_does_not_keep_what_was_appended(log: EventLog) -> None:
    value = bytes(range(100))
    with log.producer(**PATIENT) as producer:
        before = sys.getrefcount(value)
        receipts = [producer.send(TOPIC, value) for _ in range(10)]
        assert sys.getrefcount(value) == before + 10
        producer.flush()
        assert sys.getrefcount(value) == before
        assert [receipt.offset for receipt in receipts] == list(range(10))


def test_a_batch_that_is_appended_while_a_record_joins_it_loses_nothing(log: EventLog) -> None:
    """Making a list for the first key may run the garbage collector, and that any code."""
    with log.producer(**PATIENT) as producer:
        send = producer.send
        receipts = [send(TOPIC, b"0"), send(TOPIC, b"1")]
        gc.collect()
        threshold = gc.get_threshold()
        gc.callbacks.append(lambda *_: producer.flush())
        try:
            gc.set_threshold(1)
            receipts.append(send(TOPIC, b"2", b"key"))
        finally:
            gc.set_threshold(*threshold)
            gc.callbacks.pop()
        receipts.append(send(TOPIC, b"3"))
    found = list(log.partition(TOPIC, 0).records())
    assert [(record.value, record.key) for record in found] == [(b"0", None), (b"1", None), (b"2", b"key"), (b"3", None)]
    assert [receipt.offset for receipt in receipts] == [0, 1, 2, 3]
