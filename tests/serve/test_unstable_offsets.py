"""Embedded members that take over a partition while a remote member's transaction is still open."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from eventlog import Consumer, EventLog, Partition, TopicPartition
from eventlog.serve import errors
from eventlog.transactions.coordinator import TransactionCoordinator
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer
from tests.serve.consumer_group import RemoteConsumer
from tests.serve.group_client import GroupMember
from tests.serve.test_transactions import Producer

GROUP = "readers"
JOBS = TopicPartition("events", 0)


@pytest.fixture
def member(client: RawClient, partition: Partition) -> RemoteConsumer:
    partition.append_many([b"0", b"1", b"2"])
    member = RemoteConsumer(client, "remote", GROUP)
    member.join("events")
    return member


@pytest.fixture
def producer(client: RawClient, member: RemoteConsumer) -> Producer:
    """A producer with an open transaction, in which the member has sent the offset behind two records."""
    producer = Producer(client)
    assert producer.add_offsets(GROUP) == errors.NONE
    assert producer.commit_offset(GROUP, 2, member_id=member.id, generation_id=member.epoch) == errors.NONE
    return producer


@pytest.fixture
def consumer(log: EventLog, producer: Producer, member: RemoteConsumer) -> Iterator[Consumer]:
    """An embedded member that has taken over from the remote one."""
    with log.consumer("events", group=GROUP, auto_commit=False) as consumer:
        consumer.poll(timeout=0)
        member.leave()
        yield consumer


def values(consumer: Consumer, *, timeout: float = 0) -> list[bytes | None]:
    return [record.value for record in consumer.poll(timeout=timeout)]


@pytest.mark.parametrize(("commits", "following"), [(True, [b"2"]), (False, [b"0", b"1", b"2"])])
def test_a_member_takes_a_partition_once_the_transaction_has_ended(
    consumer: Consumer, producer: Producer, commits: bool, following: list[bytes]
) -> None:
    assert values(consumer) == []
    assert consumer.assignment() == set()
    assert producer.end(commit=commits) == errors.NONE
    assert values(consumer) == following
    assert consumer.assignment() == {JOBS}


def test_the_end_of_the_transaction_wakes_a_member_that_waits(consumer: Consumer, producer: Producer) -> None:
    with ThreadPoolExecutor(1) as executor:
        found = executor.submit(values, consumer, timeout=60)
        assert producer.end() == errors.NONE
        assert found.result() == [b"2"]


def test_a_transaction_that_hangs_is_waited_for_until_it_is_aborted(
    consumer: Consumer, log: EventLog, producer: Producer
) -> None:
    assert values(consumer) == []
    assert log.abort_transaction(producer.name)
    assert values(consumer) == [b"0", b"1", b"2"]


def test_a_member_that_reads_what_is_not_committed_does_not_wait(
    log: EventLog, producer: Producer, member: RemoteConsumer
) -> None:
    with log.consumer("events", group=GROUP, auto_commit=False, isolation="read_uncommitted") as consumer:
        consumer.poll(timeout=0)
        member.leave()
        assert values(consumer) == [b"0", b"1", b"2"]


def test_a_former_member_sends_no_offsets_once_the_partition_is_taken(
    server: RunningServer, log: EventLog, producer: Producer, member: RemoteConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is checked and then loses the partition, before its offset is noted."""
    producer.end(commit=False)
    producer.add_offsets(GROUP)
    real = TransactionCoordinator.add_offsets
    with log.consumer("events", group=GROUP, auto_commit=False) as consumer, RawClient(server.address) as another:
        consumer.poll(timeout=0)

        def take_before(*arguments: object) -> None:
            member.client = another
            member.leave()
            assert values(consumer) == [b"0", b"1", b"2"]
            real(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(TransactionCoordinator, "add_offsets", take_before)
        code = producer.commit_offset(GROUP, 2, member_id=member.id, generation_id=member.epoch)
        assert code in (errors.ILLEGAL_GENERATION, errors.UNKNOWN_MEMBER_ID)
        assert log.store.catalog.transactions.pending(GROUP) == set()


def test_a_member_whose_generation_has_ended_meanwhile_sends_no_offsets(
    server: RunningServer, client: RawClient, log: EventLog, worker: GroupMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for a group of the classic protocol."""
    producer = Producer(client)
    producer.add_offsets(worker.group)
    real = TransactionCoordinator.add_offsets
    with RawClient(server.address) as another:

        def leave_before(*arguments: object) -> None:
            worker.client = another
            assert worker.leave() == errors.NONE
            real(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(TransactionCoordinator, "add_offsets", leave_before)
        code = producer.commit_offset(worker.group, 2, member_id=worker.id, generation_id=worker.generation)
    assert code in (errors.UNKNOWN_MEMBER_ID, errors.NOT_COORDINATOR)  # the group is empty, or already removed
    assert log.store.catalog.transactions.pending(worker.group) == set()
