"""Consumer groups by the contract: commits, sharing of partitions, lag, acknowledgements of what was sent."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

import pytest

from eventlog import (
    EventLogError,
    GroupNotFoundError,
    InvalidArgumentError,
    NotSupportedError,
    OffsetOutOfRangeError,
    Record,
    StaleMemberError,
    TopicNotFoundError,
    TopicPartition,
    contract,
)
from eventlog.kafka.consumer import KafkaConsumer
from eventlog.producer.acks import Ack
from tests.contract.implementations import those
from tests.contract.orders import GROUP, PARTITIONS, TOPIC, orders
from tests.contract.polling import join, poll_exactly


def fill(log: contract.Log, count: int = 20) -> None:
    for number in range(PARTITIONS):
        log.partition(TOPIC, number).append_many([b"%d" % offset for offset in range(count)])


def read_on(log: contract.Log, number: int = 0) -> list[int]:
    """The offsets that a consumer of the group is handed out now in one partition, up to its end."""
    end = log.partition(TOPIC, number).end_offset
    with log.consumer(group=GROUP) as consumer:
        consumer.assign([orders(number)])
        records: list[Record] = []
        while consumer.position(orders(number)) < end:
            records += consumer.poll(timeout=30)
        return [record.offset for record in records]


def commit(log: contract.Log, offset: int, number: int = 0) -> None:
    with log.consumer(group=GROUP) as consumer:
        consumer.assign([orders(number)])
        consumer.commit({orders(number): offset}, sync=True)


def test_a_group_goes_on_where_it_has_committed(log: contract.Log, other: contract.Log) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll(timeout=30)
        consumer.seek(orders(), 7)
        consumer.commit()
        assert consumer.committed(orders()) == 7
    assert read_on(other) == list(range(7, 20))


def test_what_was_not_committed_is_handed_out_again(log: contract.Log, other: contract.Log) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        assert consumer.poll(timeout=30)
    assert read_on(other) == list(range(20))


def test_a_commit_without_offsets_is_of_what_was_handed_out(log: contract.Log, other: contract.Log) -> None:
    fill(log)
    with log.consumer(group=GROUP) as consumer:
        consumer.assign([orders()])
        poll_exactly(consumer, 4)
        consumer.commit(sync=True)
        assert other.group(GROUP).committed() == {orders(): 4}
        next(iter(consumer))
        consumer.commit()
        assert other.group(GROUP).committed() == {orders(): 5}


def test_auto_commit_commits_what_was_polled_before(log: contract.Log, other: contract.Log) -> None:
    fill(log)
    with log.consumer(group=GROUP, auto_commit=True, auto_commit_interval_ms=1) as consumer:
        consumer.assign([orders()])
        poll_exactly(consumer, 4)
    assert read_on(other) == list(range(4, 20))


def test_groups_do_not_touch_each_other(log: contract.Log) -> None:
    fill(log)
    commit(log, 10)
    with log.consumer(group="another") as consumer:
        consumer.assign([orders()])
        assert consumer.committed(orders()) is None and len(poll_exactly(consumer, 20)) == 20


def test_members_share_the_partitions(log: contract.Log, other: contract.Log) -> None:
    with log.consumer(TOPIC, group=GROUP) as first, other.consumer(TOPIC, group=GROUP) as second:
        while len(first.assignment()) + len(second.assignment()) < PARTITIONS or not second.assignment():
            first.poll(timeout=0.01)
            second.poll(timeout=0.01)
        assert first.assignment() | second.assignment() == {orders(number) for number in range(PARTITIONS)}
        assert not first.assignment() & second.assignment()
        fill(log, 5)
        found: list[Record] = []
        while len(found) < PARTITIONS * 5:
            found += [*first.poll(timeout=0.01), *second.poll(timeout=0.01)]
        assert len({(record.partition, record.offset) for record in found}) == len(found)


def test_a_member_that_leaves_gives_its_partitions_to_the_others(log: contract.Log, other: contract.Log) -> None:
    with log.consumer(TOPIC, group=GROUP) as staying:
        with other.consumer(TOPIC, group=GROUP) as leaving:
            while not (leaving.assignment() and staying.assignment()):
                staying.poll(timeout=0.01)
                leaving.poll(timeout=0.01)
        while len(staying.assignment()) < PARTITIONS:
            staying.poll(timeout=0.01)


@pytest.mark.parametrize("implementation", those(lambda each: each.is_cluster), indirect=True)
def test_a_member_that_closes_while_it_joins_has_left(log: contract.Log, other: contract.Log) -> None:
    for milliseconds in range(16):
        commit(log, 0)
        with other.consumer(TOPIC, group=GROUP) as consumer:
            assert isinstance(consumer, KafkaConsumer)
            while consumer.member_id is None:
                consumer.poll(timeout=0.001)
            consumer.poll(timeout=milliseconds / 1000)
        log.group(GROUP).delete()
        assert log.groups() == []


def test_a_member_may_not_commit_for_anothers_partition(log: contract.Log, other: contract.Log) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP) as member, other.consumer(group=GROUP) as outsider:
        assert member.poll(timeout=30)
        outsider.assign([orders(1)])
        with pytest.raises(StaleMemberError):
            outsider.commit({orders(1): 3})
        assert member.committed(orders(1)) is None


def test_groups_are_listed_with_their_commits_and_lag(log: contract.Log, other: contract.Log) -> None:
    fill(log)
    assert log.groups() == []
    commit(log, 15)
    commit(log, 20, 1)
    assert other.groups() == [GROUP] and other.group(GROUP).name == GROUP
    assert other.group(GROUP).committed() == {orders(0): 15, orders(1): 20}
    lag = other.group(GROUP).lag()
    assert (lag[orders(0)], lag[orders(1)]) == (5, 0)


def test_a_reset_sets_commits_forward_and_back(log: contract.Log, other: contract.Log) -> None:
    fill(log)
    commit(log, 15)
    group = other.group(GROUP)
    group.reset({orders(0): 3, orders(1): 18})
    assert group.committed() == {orders(0): 3, orders(1): 18}
    assert read_on(log) == list(range(3, 20)) and read_on(log, 1) == [18, 19]


@pytest.mark.parametrize("implementation", those(lambda each: not each.is_cluster), indirect=True)
def test_deleted_commits_are_gone(log: contract.Log, other: contract.Log) -> None:
    fill(log)
    commit(log, 15)
    commit(log, 5, 1)
    other.group(GROUP).delete_offsets([orders(1)])
    assert log.group(GROUP).committed() == {orders(0): 15}
    assert read_on(log, 1) == list(range(20))


@pytest.mark.parametrize("implementation", those(lambda each: each.is_cluster), indirect=True)
def test_commits_are_kept_where_they_cannot_be_deleted(log: contract.Log, other: contract.Log) -> None:
    fill(log)
    commit(log, 15)
    with pytest.raises(NotSupportedError, match="kafka-consumer-groups"):
        other.group(GROUP).delete_offsets([orders(0)])
    assert log.group(GROUP).committed() == {orders(0): 15}


def test_deleted_groups_are_gone(log: contract.Log, other: contract.Log) -> None:
    fill(log)
    commit(log, 15)
    group = other.group(GROUP)
    group.delete()
    assert log.groups() == []
    with pytest.raises(GroupNotFoundError):
        group.committed()
    with pytest.raises(GroupNotFoundError):
        log.group(GROUP)
    assert read_on(log) == list(range(20))


def test_a_group_with_members_is_not_deleted(log: contract.Log, other: contract.Log) -> None:
    with log.consumer(TOPIC, group=GROUP) as consumer:
        join(consumer)
        with pytest.raises(InvalidArgumentError):
            other.group(GROUP).delete()
        assert log.groups() == [GROUP]


Refused = Callable[[contract.Group], object]

REFUSED: dict[str, tuple[Refused, type[EventLogError]]] = {
    "to behind the end": (lambda group: group.reset({orders(): 21}), OffsetOutOfRangeError),
    "of one good and one bad offset": (lambda group: group.reset({orders(): 3, orders(1): 21}), OffsetOutOfRangeError),
    "of an unknown topic": (lambda group: group.reset({TopicPartition("new", 0): 0}), TopicNotFoundError),
    "of nothing": (lambda group: group.reset({}), InvalidArgumentError),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_reset_that_cannot_be_is_refused_and_changes_nothing(log: contract.Log, what: str) -> None:
    fill(log)
    commit(log, 15)
    do, error = REFUSED[what]
    with pytest.raises(error):
        do(log.group(GROUP))
    assert log.group(GROUP).committed() == {orders(): 15}


def test_a_receipt_tells_whether_a_group_has_acknowledged_the_record(log: contract.Log, other: contract.Log) -> None:
    with log.producer() as producer:
        receipt = producer.send(TOPIC, b"value", partition=0)
        later = producer.send(TOPIC, b"value", partition=0)
        assert not receipt.is_acked(GROUP) and not receipt.wait_acked(GROUP, timeout=0)
        commit(other, 1)
        assert receipt.is_acked(GROUP) and receipt.wait_acked(GROUP)
        assert not receipt.is_acked("another") and not later.wait_acked(GROUP, timeout=0.01)


def test_a_wait_for_an_acknowledgement_ends_with_the_commit(log: contract.Log, other: contract.Log) -> None:
    with log.producer() as producer, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(producer.send(TOPIC, b"value", partition=0).wait_acked, GROUP, timeout=30)
        commit(other, 1)
        assert waiting.result()


@pytest.mark.parametrize("implementation", those(lambda each: each.calls_back), indirect=True)
def test_a_producer_hears_of_acknowledgements(log: contract.Log, other: contract.Log) -> None:
    acks: Queue[Ack] = Queue()
    with log.producer() as producer:
        producer.on_ack(GROUP, acks.put)
        producer.send(TOPIC, b"value", partition=2)
        commit(other, 1, 2)
        assert acks.get(timeout=30) == (GROUP, TOPIC, 2, 0)
