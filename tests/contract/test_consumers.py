"""Consumers by the contract: what they hand out, in which order, and where they go on."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from eventlog import (
    EventLogError,
    InvalidArgumentError,
    InvalidTypeError,
    NoCommittedOffsetError,
    OffsetOutOfRangeError,
    Record,
    StaleMemberError,
    TopicNotFoundError,
    TopicPartition,
    WakeupError,
    contract,
)
from tests.contract.orders import GROUP, PARTITIONS, TOPIC, orders
from tests.contract.polling import join, poll_exactly

EVERYTHING = [(number, offset) for number in range(PARTITIONS) for offset in range(20)]


def fill(log: contract.Log) -> None:
    for number in range(PARTITIONS):
        values = [b"%d" % offset for offset in range(20)]
        log.partition(TOPIC, number).append_many(values, timestamps=[1000 * (offset + 1) for offset in range(20)])


def drain(consumer: contract.Consumer, count: int, max_records: int = 500) -> list[Record]:
    """So many records, which is everything that is there now; over a network they come within a moment."""
    records: list[Record] = []
    while len(records) < count:
        found = consumer.poll(timeout=30, max_records=max_records)
        assert len(found) <= max_records
        records += found
    assert consumer.poll(timeout=0) == []
    return records


def positions(records: list[Record]) -> list[tuple[int, int]]:
    return [(record.partition, record.offset) for record in records]


def values(records: list[Record]) -> list[bytes | None]:
    return [record.value for record in records]


@pytest.mark.parametrize("group", [None, GROUP])
@pytest.mark.parametrize("max_records", [1, 7, 500])
def test_every_record_is_handed_out_once_and_in_order(log: contract.Log, group: str | None, max_records: int) -> None:
    fill(log)
    with log.consumer(TOPIC, group=group) as consumer:
        found = positions(drain(consumer, len(EVERYTHING), max_records))
        assert sorted(found) == EVERYTHING
        for number in range(PARTITIONS):
            assert [offset for each, offset in found if each == number] == list(range(20))
        assert consumer.poll(timeout=0.01) == []


def test_iteration_hands_out_the_same_records(log: contract.Log) -> None:
    fill(log)
    with log.consumer(TOPIC) as consumer:
        assert sorted(positions(list(islice(consumer, len(EVERYTHING))))) == EVERYTHING


def test_a_poll_ends_when_another_client_appends(log: contract.Log, other: contract.Log) -> None:
    with log.consumer(TOPIC, group=GROUP) as consumer:
        assert consumer.poll(timeout=0) == []
        other.partition(TOPIC, 2).append(b"value")
        assert values(consumer.poll(timeout=30)) == [b"value"]


def test_a_consumer_begins_where_it_is_told_to(log: contract.Log) -> None:
    fill(log)
    with log.consumer(TOPIC, group="earliest") as earliest, log.consumer(
        TOPIC, group="latest", auto_offset_reset="latest"
    ) as latest, log.consumer(TOPIC, group="error", auto_offset_reset="error") as careful:
        join(latest)
        with pytest.raises(NoCommittedOffsetError):
            careful.poll(timeout=30)
        log.partition(TOPIC, 0).append(b"new")
        assert values(drain(latest, 1)) == [b"new"]
        assert len(drain(earliest, len(EVERYTHING) + 1)) == len(EVERYTHING) + 1


def test_several_topics_and_a_pattern_are_read(log: contract.Log, other: contract.Log) -> None:
    for name in ("new.one", "new.two", "old"):
        log.create_topic(name)
        log.partition(name, 0).append(name.encode())
    with log.consumer(["new.one", "old"]) as some, log.consumer(re.compile(r"new\..*")) as matching:
        assert some.subscription() == ("new.one", "old")
        assert sorted(record.topic for record in drain(some, 2)) == ["new.one", "old"]
        assert sorted(record.topic for record in drain(matching, 2)) == ["new.one", "new.two"]
        other.create_topic("new.three")
        other.partition("new.three", 0).append(b"value")
        assert [record.topic for record in matching.poll(timeout=30)] == ["new.three"]


def test_partitions_may_be_assigned_by_hand(log: contract.Log) -> None:
    fill(log)
    with log.consumer() as consumer:
        assert consumer.assignment() == set()
        consumer.assign([orders(0), orders(2)])
        assert consumer.assignment() == {orders(0), orders(2)}
        assert {number for number, _ in positions(drain(consumer, 40))} == {0, 2}


def test_the_position_is_behind_what_was_handed_out(log: contract.Log) -> None:
    fill(log)
    with log.consumer() as consumer:
        consumer.assign([orders()])
        assert consumer.position(orders()) == 0
        assert len(poll_exactly(consumer, 7)) == 7 and consumer.position(orders()) == 7
        assert next(iter(consumer)).offset == 7 and consumer.position(orders()) == 8


def test_seeking_goes_to_an_offset_a_time_and_either_end(log: contract.Log) -> None:
    fill(log)
    with log.consumer() as consumer:
        consumer.assign([orders(0), orders(1)])
        consumer.seek(orders(0), 15)
        consumer.seek(orders(1), 20)
        assert positions(drain(consumer, 5)) == [(0, offset) for offset in range(15, 20)]
        consumer.seek_to_time(18_500, orders(1))
        assert positions(drain(consumer, 2)) == [(1, 18), (1, 19)]
        consumer.seek_to_time(50_000)
        assert drain(consumer, 0) == []
        consumer.seek_to_beginning(orders(1))
        assert (consumer.position(orders(0)), consumer.position(orders(1))) == (20, 0)
        consumer.seek_to_beginning()
        assert len(drain(consumer, 40)) == 40
        consumer.seek_to_beginning()
        consumer.seek_to_end()
        assert drain(consumer, 0) == [] and consumer.position(orders(0)) == 20


def test_a_paused_partition_hands_out_nothing(log: contract.Log) -> None:
    fill(log)
    with log.consumer() as consumer:
        consumer.assign([orders(0), orders(1)])
        consumer.pause(orders(0))
        assert consumer.paused() == {orders(0)}
        assert positions(drain(consumer, 20)) == [(1, offset) for offset in range(20)]
        consumer.resume(orders(0))
        assert consumer.paused() == set() and positions(drain(consumer, 20)) == [(0, offset) for offset in range(20)]


def test_only_durable_records_are_handed_out_where_that_is_wanted(log: contract.Log) -> None:
    fill(log)
    log.flush()
    with log.consumer(TOPIC, durable=True) as consumer:
        assert sorted(positions(drain(consumer, len(EVERYTHING)))) == EVERYTHING


def test_a_consumer_tells_its_group(log: contract.Log) -> None:
    with log.consumer(TOPIC, group=GROUP) as member, log.consumer(TOPIC) as alone:
        assert (member.group, alone.group) == (GROUP, None)


def test_a_position_before_the_start_goes_by_the_reset(log: contract.Log, other: contract.Log) -> None:
    fill(log)
    with log.consumer() as consumer, log.consumer(auto_offset_reset="error") as careful:
        for each in (consumer, careful):
            each.assign([orders()])
            each.seek(orders(), 3)
        other.partition(TOPIC, 0).delete_records(10)
        assert consumer.poll(timeout=30)[0].offset == 10
        with pytest.raises(OffsetOutOfRangeError):
            careful.poll(timeout=30)


def _any(value: object) -> Any:
    return value


Refused = Callable[[contract.Consumer], object]

REFUSED: dict[str, tuple[Refused, type[EventLogError]]] = {
    "subscribing after assigning": (lambda c: c.subscribe(TOPIC), InvalidArgumentError),
    "assigning an unknown topic": (lambda c: c.assign([TopicPartition("new", 0)]), TopicNotFoundError),
    "assigning a text": (lambda c: c.assign(_any(TOPIC)), InvalidTypeError),
    "seeking behind the end": (lambda c: c.seek(orders(), 21), OffsetOutOfRangeError),
    "seeking to a text": (lambda c: c.seek(orders(), _any("0")), InvalidTypeError),
    "seeking in another's partition": (lambda c: c.seek(orders(1), 0), StaleMemberError),
    "the position in another's partition": (lambda c: c.position(orders(1)), StaleMemberError),
    "pausing another's partition": (lambda c: c.pause(orders(1)), StaleMemberError),
    "polling no records": (lambda c: c.poll(max_records=0), InvalidArgumentError),
    "polling with a timeout that is text": (lambda c: c.poll(timeout=_any("1")), InvalidTypeError),
    "committing without a group": (lambda c: c.commit(), InvalidArgumentError),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_and_changes_nothing(log: contract.Log, what: str) -> None:
    fill(log)
    do, error = REFUSED[what]
    with log.consumer() as consumer:
        consumer.assign([orders()])
        poll_exactly(consumer, 5)
        with pytest.raises(error):
            do(consumer)
        assert consumer.assignment() == {orders()} and consumer.position(orders()) == 5
        assert [record.offset for record in drain(consumer, 15)] == list(range(5, 20))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"auto_offset_reset": "middle"}, InvalidArgumentError),
        ({"assignor": "random"}, InvalidArgumentError),
        ({"auto_commit": True}, InvalidArgumentError),  # without a group
        ({"group": "a/b"}, InvalidArgumentError),
        ({"group": b"bytes"}, InvalidTypeError),
        ({"durable": "yes"}, InvalidTypeError),
    ],
)
def test_options_that_cannot_be_are_refused(log: contract.Log, options: Any, error: type[EventLogError]) -> None:
    with pytest.raises(error):
        log.consumer(TOPIC, **options)


@pytest.mark.parametrize("group", [None, GROUP])
def test_a_poll_that_waits_is_woken_and_loses_nothing(log: contract.Log, group: str | None) -> None:
    with log.consumer(TOPIC, group=group) as consumer:
        thread = threading.Thread(target=consumer.wakeup)
        thread.start()
        with pytest.raises(WakeupError):
            consumer.poll(timeout=None)
        thread.join()
        fill(log)
        assert len(drain(consumer, len(EVERYTHING))) == len(EVERYTHING)


@pytest.mark.parametrize("group", [None, GROUP])
def test_an_iteration_that_is_stopped_ends_after_the_record_in_hand(log: contract.Log, group: str | None) -> None:
    fill(log)
    found = []
    with log.consumer(TOPIC, group=group) as consumer:
        for record in consumer:
            found.append((record.partition, record.offset))
            if len(found) == 3:
                consumer.stop()
        assert consumer.is_stopped
        assert consumer.poll(timeout=None) == []
    assert len(found) == 3


def test_a_poll_that_waits_is_stopped(log: contract.Log) -> None:
    with log.consumer(TOPIC) as consumer:
        thread = threading.Thread(target=consumer.stop)
        thread.start()
        assert consumer.poll(timeout=None) == []
        thread.join()
