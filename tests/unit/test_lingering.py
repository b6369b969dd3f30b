"""Records that wait to be appended together: native code gathers them, behind the first of a batch."""

from __future__ import annotations

import gc
import itertools
import random
import signal
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eventlog
from eventlog import EventLog
from tests.support import stores, workers
from tests.support.processes import Interpreter

TOPIC = stores.TOPIC
PATIENT = {"linger_ms": 1_000_000}


class OddBytes(bytes):
    """As good as bytes, but nothing that native code takes."""

    def __len__(self) -> int:
        return 0


class OddList(list[Any]):
    """What it says of itself is not what it is."""

    def __iter__(self) -> Iterator[Any]:
        return iter([("no", "header")])


_bytes = st.binary(max_size=40)
_headers = st.lists(st.tuples(st.text("aß€", max_size=5), st.none() | _bytes), max_size=3)
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


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
        receipts = [producer.send(TOPIC, b"x", key=b"k", timestamp=5) for _ in range(2)]
        log.alter_topic(TOPIC, config={"message.timestamp.type": "LogAppendTime", "max.message.bytes": 500})
        with pytest.raises(eventlog.RecordTooLargeError):
            producer.send(TOPIC, bytes(500), key=b"k")
        receipts += [producer.send(TOPIC, b"x", key=b"k", timestamp=5) for _ in range(2)]
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


class Interruption(Exception):
    """What a signal's handler raises."""


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}], ids=["plain", "compressed"])
def test_an_interrupt_at_any_moment_neither_repeats_nor_forgets_a_batch(log: EventLog, options: dict[str, Any]) -> None:
    is_armed = False

    def interrupt(*_: object) -> None:
        if is_armed:
            raise Interruption

    former = signal.signal(signal.SIGALRM, interrupt)
    receipts = []
    with log.producer(**PATIENT, **options) as producer:
        for number in range(0, 1500, 3):
            receipts += [producer.send(TOPIC, b"%d" % (number + place)) for place in range(3)]
            try:
                is_armed = True
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 1e-4))
                producer.flush()
                is_armed = False
            except Interruption:
                is_armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, former)
    values = [record.value for record in log.partition(TOPIC, 0).records()]
    assert values == [b"%d" % number for number in range(1500)]
    assert [receipt.offset for receipt in receipts] == list(range(1500))


def test_a_batch_of_which_the_flush_fails_is_in_the_log_once(tmp_path: Path) -> None:
    store = tmp_path / "durable"
    with eventlog.open(store, fsync="always", lock_timeout_ms=50) as log:
        log.create_topic(TOPIC)
        log.partition(TOPIC, 0).append(b"first")  # its segment is open
        producer = log.producer(**PATIENT)
        receipts = [producer.send(TOPIC, b"%d" % number) for number in range(3)]
        with Interpreter(workers.hold_mutex, store, "flush") as holder:
            assert holder.receive() == "held"
            for _ in range(2):
                with pytest.raises(eventlog.LockTimeoutError):
                    producer.flush()
            holder.send("give it back")
            assert holder.receive() == "given back"
            holder.send("end")
        producer.flush()
        assert log.partition(TOPIC, 0).durable_offset == log.partition(TOPIC, 0).end_offset == 4
        assert [receipt.offset for receipt in receipts] == [1, 2, 3]


def test_what_a_deleted_topic_has_taken_is_told_also_if_the_lingering_thread_found_it(log: EventLog) -> None:
    for number in itertools.count():
        producer = log.producer(linger_ms=100)
        log.create_topic("doomed")
        receipt = producer.send("doomed", b"x")
        producer.send(TOPIC, b"x")  # the thread comes to this one later
        log.delete_topic("doomed")
        assert log.partition(TOPIC, 0).wait(number, timeout=60)
        if not receipt.is_resolved:
            break
        producer.close()  # the thread came before the deletion: once more
    with pytest.raises(eventlog.TopicNotFoundError, match="are lost"):
        producer.close()


def test_a_batch_that_a_deleted_topic_has_taken_does_not_keep_its_callers(log: EventLog) -> None:
    class Local:
        pass

    def flush(producer: eventlog.Producer) -> weakref.ref[Local]:
        local = Local()
        with pytest.raises(eventlog.TopicNotFoundError):
            producer.flush()
        return weakref.ref(local)

    producer = log.producer(**PATIENT)
    receipt = producer.send(TOPIC, b"x")
    log.delete_topic(TOPIC)
    local = flush(producer)
    gc.collect()
    assert local() is None
    with pytest.raises(eventlog.TopicNotFoundError, match="are lost"):
        print(receipt.offset)
    producer.close()


@pytest.mark.parametrize("place", range(2), ids=["first in its batch", "behind another"])
def test_headers_are_what_they_are_and_not_what_they_say(log: EventLog, place: int) -> None:
    with log.producer(**PATIENT) as producer:
        for _ in range(place):
            producer.send(TOPIC, b"x")
        producer.send(TOPIC, b"x", headers=OddList([("a", b"1")]))
    assert list(log.partition(TOPIC, 0).records())[place].headers == (("a", b"1"),)


@pytest.mark.parametrize("place", range(2), ids=["first in its batch", "behind another"])
def test_a_value_is_as_long_as_it_is_and_not_as_it_says(log: EventLog, place: int) -> None:
    log.create_topic("small", config={"segment.bytes": 1024})
    with log.producer(**PATIENT) as producer:
        for _ in range(place):
            producer.send("small", b"x")
        for _ in range(20):
            producer.send("small", OddBytes(b"y" * 300))
    assert log.partition("small", 0).end_offset == place + 20
