"""A producer with a name recognises what it has appended before, also after a crash."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import eventlog
from eventlog import (
    DuplicateSequenceError,
    EventLog,
    InvalidArgumentError,
    InvalidTypeError,
    OutOfOrderSequenceError,
    Partition,
    PartitionNotFoundError,
)
from tests.support.processes import Interpreter

_ROWS = [b"%d" % number for number in range(20)]


def send_some(connection: Connection, store: Path) -> None:
    """Send ten rows, report it, and be killed."""
    with eventlog.open(store) as log, log.producer(name="relay") as producer:
        for number, row in enumerate(_ROWS[:10]):
            producer.send_once("events", 0, number, row)
        connection.send("sent")
        connection.recv()


def test_what_a_killed_process_has_sent_is_not_appended_again(store: Path) -> None:
    with Interpreter(send_some, store) as sender:
        assert sender.receive() == "sent"
        sender.kill()
    with eventlog.open(store) as log, log.producer(name="relay") as producer:
        assert producer.next_sequence("events", 0) == 10
        for number in range(7, 20):
            assert producer.send_once("events", 0, number, _ROWS[number]).offset == number
        assert list(log.partition("events", 0).values()) == _ROWS


def test_records_are_numbered_on_from_the_last_ones(store: Path) -> None:
    for _ in range(2):
        with eventlog.open(store) as log, log.producer(name="relay", linger_ms=5) as producer:
            for row in _ROWS:
                producer.send("events", row)
    with eventlog.open(store) as log, log.producer(name="relay") as producer:
        assert producer.next_sequence("events", 0) == 2 * len(_ROWS)
        assert list(log.partition("events", 0).values()) == 2 * _ROWS


def test_numbers_out_of_order_are_refused(log: EventLog, partition: Partition) -> None:
    with log.producer(name="relay") as producer:
        for number in range(10):
            producer.send_once("events", 0, number, b"x")
        with pytest.raises(OutOfOrderSequenceError):
            producer.send_once("events", 0, 11, b"x")
        assert producer.send_once("events", 0, 0, b"x").offset == 0
        assert producer.send_once("events", 0, 10, b"x").offset == 10
    assert partition.end_offset == 11


def test_a_record_that_the_log_no_longer_has_is_refused(log: EventLog, partition: Partition) -> None:
    with log.producer(name="relay") as producer:
        for number in range(10):
            producer.send_once("events", 0, number, b"x")
        partition.delete_records(3)
        with pytest.raises(DuplicateSequenceError, match="has sent record 2 to events/0 before"):
            producer.send_once("events", 0, 2, b"x")
        assert producer.send_once("events", 0, 3, b"x").offset == 3


def test_every_record_is_known_again_whatever_batch_it_was_sent_in(store: Path) -> None:
    with eventlog.open(store) as log:
        with log.producer(name="relay", linger_ms=10_000) as producer:
            for number, row in enumerate(_ROWS):
                producer.send("events", row, timestamp=number)
        with log.producer(name="relay") as producer:
            for number in range(20, 30):
                producer.send_once("events", 0, number, b"x", timestamp=number)
            log.partition("events", 0).log.roll()
    with eventlog.open(store) as log, log.producer(name="relay") as producer:
        receipts = [producer.send_once("events", 0, number, b"again") for number in range(30)]
        assert [(receipt.offset, receipt.timestamp) for receipt in receipts] == [(each, each) for each in range(30)]
        assert log.partition("events", 0).end_offset == 30


def test_a_record_is_appended_behind_one_that_was_there_or_was_refused(log: EventLog, partition: Partition) -> None:
    with log.producer(name="relay") as producer:
        for number in range(10):
            producer.send_once("events", 0, number, b"x")
        producer.send_once("events", 0, 7, b"x")
        assert producer.send("events", b"new").offset == 10
        with pytest.raises(OutOfOrderSequenceError):
            producer.send_once("events", 0, 12, b"x")
        assert producer.send("events", b"new").offset == 11
    assert partition.end_offset == 12


def test_names_have_numbers_of_their_own(log: EventLog) -> None:
    with log.producer(name="one") as one, log.producer(name="two") as two:
        assert one.send_once("events", 0, 0, b"1").offset == 0
        assert two.send_once("events", 0, 0, b"2").offset == 1


def test_wrong_arguments_are_refused(log: EventLog, partition: Partition) -> None:
    with log.producer(name="relay") as producer:
        for sequence in (-1, 2**31):
            with pytest.raises(InvalidArgumentError, match="sequence"):
                producer.send_once("events", 0, sequence, b"x")
        with pytest.raises(PartitionNotFoundError):
            producer.send_once("events", 7, 0, b"x")
        with pytest.raises(InvalidTypeError):
            producer.send_once("events", 0, 0, "text")  # type: ignore[arg-type]
        assert producer.next_sequence("events", 0) == partition.end_offset == 0
    with pytest.raises(InvalidTypeError, match="name must be a str"):
        log.producer(name=7)  # type: ignore[call-overload]
