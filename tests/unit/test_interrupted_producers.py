"""What a signal's handler raises inside a producer with an id loses no record, and has none appended twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, TopicPartition, TransactionStateError
from eventlog.producer.idempotent import NamedProducer
from eventlog.producer.partition_sender import PartitionSender
from tests.support.interrupts import Interrupt, interrupted_at

FIRST, SECOND = [b"1", b"2", b"3"], [b"4", b"5", b"6"]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store", fsync="never") as opened:
        opened.create_topic("events")
        opened.create_topic("sums", 2)
        yield opened


def stored(log: EventLog, start: int) -> list[bytes | None]:
    return list(log.partition("events", 0).values(start))


def send_each(producer: NamedProducer, accepted: list[bytes]) -> None:
    for value in FIRST:
        producer.send("events", value)
        accepted.append(value)


def send_and_flush(producer: NamedProducer, accepted: list[bytes]) -> None:
    for value in FIRST:
        producer.send("events", value)
        accepted.append(value)
    producer.flush()


@pytest.mark.parametrize("has_sent_before", [False, True], ids=["first batch", "later batch"])
@pytest.mark.parametrize(("linger_ms", "use"), [(0, send_each), (60_000, send_and_flush)], ids=["at once", "lingering"])
def test_an_interrupt_anywhere_loses_no_accepted_record_and_repeats_none(
    log: EventLog, use: Callable[[NamedProducer, list[bytes]], None], linger_ms: int, has_sent_before: bool
) -> None:
    for number in count(1):
        start = log.partition("events", 0).end_offset
        with log.producer(name=f"relay-{number}", linger_ms=linger_ms) as producer:
            accepted: list[bytes] = []
            if has_sent_before:
                producer.send("events", b"0")
                producer.flush()
                accepted.append(b"0")
            with suppress(Interrupt), interrupted_at(number, "producer") as interrupted:
                use(producer, accepted)
            for value in SECOND:
                producer.send("events", value)
                accepted.append(value)
        found = stored(log, start)
        assert [value for value in found if value in accepted] == accepted, interrupted
        assert len(set(found)) == len(found), interrupted
        if not interrupted:
            assert number > len(FIRST)
            return


def test_a_record_whose_sending_was_interrupted_is_appended_once_if_it_is_sent_again(log: EventLog) -> None:
    for number in count(1):
        with log.producer(name=f"relay-{number}") as producer:
            done = 0
            with suppress(Interrupt), interrupted_at(number, "producer") as interrupted:
                for sequence, value in enumerate(FIRST):
                    producer.send_once("events", 0, sequence, value)
                    done += 1
            for sequence in range(max(0, done - 1), len(FIRST)):
                producer.send_once("events", 0, sequence, FIRST[sequence])
            producer.send("events", b"4")
        assert stored(log, 4 * (number - 1)) == [*FIRST, b"4"], interrupted
        if not interrupted:
            assert log.partition("events", 0).end_offset == 4 * number
            return


def test_a_transaction_that_is_interrupted_anywhere_is_committed_as_a_whole_or_not_at_all(log: EventLog) -> None:
    jobs = TopicPartition("events", 0)
    with (
        log.producer(transactional_id="adder") as producer,
        log.consumer("events", group="adders", auto_commit=False) as consumer,
        log.consumer("sums") as reader,
    ):
        for number in count(1):
            log.partition(*jobs).append_many(FIRST)
            with suppress(Interrupt), interrupted_at(number, "producer") as interrupted:
                add_up(producer, consumer)
            found = values(reader)
            if producer.is_in_transaction:  # it was interrupted as it ended
                producer.abort()
                found += values(reader)
            assert len(found) in (0, len(FIRST)), interrupted
            if not found:
                add_up(producer, consumer)
                found = values(reader)
            assert sorted(found) == FIRST, interrupted
            assert log.group("adders").committed() == {jobs: number * len(FIRST)}, interrupted
            assert not [each for each in log.transactions() if each.is_open], interrupted
            if not interrupted:
                assert number > len(FIRST)
                return


def add_up(producer: eventlog.TransactionalProducer, consumer: eventlog.Consumer) -> None:
    with producer.transaction(consumer):
        for record in consumer.poll(timeout=1):
            producer.send("sums", record.value, partition=record.offset % 2)


def values(consumer: eventlog.Consumer) -> list[bytes]:
    found: list[bytes] = []
    while records := consumer.poll(timeout=0):
        found += [record.value for record in records if record.value is not None]
    return found


def test_an_end_that_was_interrupted_leaves_nothing_but_to_abort(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupt

    with log.producer(transactional_id="adder") as producer:
        producer.begin()
        producer.send("events", b"waits")
        with monkeypatch.context() as patched:
            patched.setattr(PartitionSender, "discard", interrupt)
            with pytest.raises(Interrupt):
                producer.abort()
        for use in (producer.commit, lambda: producer.send("events", b"x"), producer.begin):
            with pytest.raises(TransactionStateError, match="abort"):
                use()
        producer.abort()
        with producer.transaction():
            producer.send("events", b"next")
    with log.consumer("events") as reader:
        assert values(reader) == [b"next"]
