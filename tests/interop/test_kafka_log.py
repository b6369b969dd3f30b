"""`eventlog.open("kafka://…")` beyond the contract: clusters that are away, units, groups, transactions, fork, secrets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import eventlog
from eventlog import (
    EventLog,
    InvalidArgumentError,
    NotSupportedError,
    RebalanceListener,
    RecordTooLargeError,
    StaleMemberError,
    TopicPartition,
    UnavailableError,
    contract,
)
from eventlog.kafka.log import KafkaLog
from tests.contract.polling import comes_true, poll_exactly
from tests.interop.apache_kafka import free_ports

pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.clients

TOPIC = "orders"
QUICK = "socket.timeout.ms=300&message.timeout.ms=300"  # for clusters of which no answer is expected
PATIENT = "socket.timeout.ms=1500&message.timeout.ms=1500"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "served") as store:
        store.create_topic(TOPIC, 3)
        yield store


@pytest.fixture
def url(store: EventLog) -> Iterator[str]:
    with store.serve(port=0, auto_create_topics=False) as server:
        yield f"kafka://{server.bootstrap}"


@pytest.fixture
def log(url: str) -> Iterator[KafkaLog]:
    with KafkaLog(url) as log:
        yield log


def orders(number: int) -> TopicPartition:
    return TopicPartition(TOPIC, number)


# --- a cluster that is away ----------------------------------------------------------------------------


def test_a_cluster_that_nobody_serves_is_unavailable() -> None:
    port, _ = free_ports()
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{port}.*no answer within 0.3 s"):
        eventlog.open(f"kafka://127.0.0.1:{port}?{QUICK}")


def test_what_is_asked_of_a_cluster_that_went_away_is_unavailable(store: EventLog) -> None:
    server = store.serve(port=0)
    with pytest.raises(UnavailableError), KafkaLog(f"kafka://{server.bootstrap}?{PATIENT}") as log:
        partition, producer, consumer = log.partition(TOPIC, 0), log.producer(), log.consumer(TOPIC, group="billing")
        lingering = log.producer(linger_ms=60_000)
        partition.append(b"value")
        poll_exactly(consumer, 1)
        server.stop()
        receipt = lingering.send(TOPIC, b"lingers", partition=0)
        asks = [
            log.topics, log.flush, lambda: partition.append(b"value"), lambda: partition.append_many([b"value"]),
            lambda: partition.wait(9, timeout=60), lambda: producer.send(TOPIC, b"v", partition=0), lambda: receipt.offset,
            lambda: consumer.commit(), lambda: consumer.poll(timeout=None),
        ]  # fmt: skip
        for ask in asks:
            with pytest.raises(UnavailableError):
                ask()
    # The end of the block says that a record that lingers could not be appended.


def test_a_cluster_that_comes_back_is_used_again(store: EventLog) -> None:
    port, _ = free_ports()
    with store.serve(port=port) as server, KafkaLog(f"kafka://127.0.0.1:{port}?socket.timeout.ms=3000") as log:
        partition, producer, consumer = log.partition(TOPIC, 0), log.producer(), log.consumer(TOPIC, group="billing")
        partition.append(b"before")
        poll_exactly(consumer, 1)
        server.stop()
        with pytest.raises(UnavailableError):
            log.topics()
        with store.serve(port=port):
            assert comes_true(lambda: _is_available(log))
            assert (partition.append(b"first"), producer.send(TOPIC, b"second", partition=0).offset) == (1, 2)
            assert [record.value for record in poll_exactly(consumer, 2)] == [b"first", b"second"]


def _is_available(log: KafkaLog) -> bool:
    try:
        log.topics()
    except UnavailableError:
        return False
    return True


# --- appending -----------------------------------------------------------------------------------------


def test_units_of_several_clients_are_not_mixed(url: str, log: KafkaLog) -> None:
    def append(client: contract.Log, name: bytes) -> list[range]:
        partition = client.partition(TOPIC, 0)
        return [partition.append_many([b"%b-%d" % (name, unit)] * 300) for unit in range(10)]

    with KafkaLog(url) as other, ThreadPoolExecutor(4) as pool:
        clients = [(log, b"a"), (other, b"b"), (log, b"c"), (other, b"d")]
        units = list(pool.map(append, *zip(*clients, strict=True)))
        values = list(log.partition(TOPIC, 0).values())
    assert len(values) == 12_000
    for (_, name), ranges in zip(clients, units, strict=True):
        for unit, offsets in enumerate(ranges):
            assert values[offsets.start : offsets.stop] == [b"%b-%d" % (name, unit)] * 300


def test_a_unit_is_one_batch_and_too_large_as_a_whole(log: KafkaLog, store: EventLog) -> None:
    partition = log.partition(TOPIC, 0)
    with pytest.raises(RecordTooLargeError):
        partition.append_many([bytes(100_000)] * 20)
    assert (partition.end_offset, store.partition(TOPIC, 0).end_offset) == (0, 0)
    assert partition.append_many([bytes(100_000)] * 5) == range(5)


def test_threads_share_a_producer(log: KafkaLog) -> None:
    with log.producer() as producer, ThreadPoolExecutor(4) as pool:
        receipts = list(pool.map(lambda number: producer.send(TOPIC, b"%d" % number, partition=1), range(100)))
    records = list(log.partition(TOPIC, 1).records())
    assert {receipt.offset: b"%d" % number for number, receipt in enumerate(receipts)} == {
        record.offset: record.value for record in records
    }


def test_a_lingering_record_that_cannot_be_appended_says_so_twice(log: KafkaLog) -> None:
    with log.producer(linger_ms=60_000, batch_bytes=10_000_000) as producer:
        receipt = producer.send(TOPIC, bytes(2_000_000), partition=0)
        with pytest.raises(RecordTooLargeError):
            producer.flush()
        with pytest.raises(RecordTooLargeError):
            _ = receipt.offset
        assert not receipt.is_resolved
        assert producer.send(TOPIC, b"value", partition=0).offset == 0


def test_a_callback_that_raises_is_told_by_flush(log: KafkaLog) -> None:
    def refuse(ack: object) -> None:
        raise ZeroDivisionError

    with log.producer() as producer, log.consumer(group="billing") as consumer:
        producer.on_ack("billing", refuse)
        producer.send(TOPIC, b"value", partition=0)
        consumer.assign([orders(0)])
        consumer.commit({orders(0): 1})
        told: list[BaseException] = []

        def is_told() -> bool:
            try:
                producer.flush()
            except ZeroDivisionError as error:
                told.append(error)
            return bool(told)

        assert comes_true(is_told)


def test_partitions_that_were_added_are_used(log: KafkaLog, store: EventLog) -> None:
    with log.producer() as producer:
        assert producer.send(TOPIC, b"value").partition in range(3)
        store.alter_topic(TOPIC, partitions=5)
        assert producer.send(TOPIC, b"value", partition=4).offset == 0


# --- groups --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("assignor", ["range", "round-robin", "cooperative-sticky"])
def test_members_share_partitions_by_every_assignor(url: str, log: KafkaLog, assignor: str) -> None:
    with KafkaLog(url) as other, log.consumer(TOPIC, group="billing", assignor=assignor) as first:
        with other.consumer(TOPIC, group="billing", assignor=assignor) as second:
            while not (first.assignment() and second.assignment()):
                first.poll(timeout=0.01)
                second.poll(timeout=0.01)
            for number in range(3):
                log.partition(TOPIC, number).append_many([b"%d" % offset for offset in range(5)])
            found: set[tuple[int, int]] = set()
            while len(found) < 15:
                for member in (first, second):
                    found |= {(record.partition, record.offset) for record in member.poll(timeout=0.01)}
                    member.commit()
        while len(first.assignment()) < 3:
            first.poll(timeout=0.01)
        log.partition(TOPIC, 2).append(b"new")
        assert [record.value for record in poll_exactly(first, 1)] == [b"new"]


class _Calls(RebalanceListener):
    def __init__(self) -> None:
        self.calls: list[tuple[str, list[TopicPartition]]] = []
        self.consumer: contract.Consumer | None = None

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.calls.append(("assigned", list(partitions)))

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.calls.append(("revoked", list(partitions)))
        assert self.consumer is not None
        self.consumer.commit()


def test_a_listener_may_commit_what_it_gives_up(log: KafkaLog, store: EventLog) -> None:
    calls = _Calls()
    for number in range(3):
        log.partition(TOPIC, number).append(b"value")
    calls.consumer = consumer = log.consumer(TOPIC, group="billing", listener=calls)
    with consumer:
        poll_exactly(consumer, 3)
    everything = [orders(number) for number in range(3)]
    assert calls.calls == [("assigned", everything), ("revoked", everything)]
    assert store.group("billing").committed() == dict.fromkeys(everything, 1)


def test_a_listener_hears_of_each_partition_that_goes_to_another_member(url: str, log: KafkaLog) -> None:
    calls = _Calls()
    calls.consumer = first = log.consumer(TOPIC, group="billing", listener=calls)
    with first, KafkaLog(url) as other, other.consumer(TOPIC, group="billing") as second:
        while not (first.assignment() and second.assignment()):
            first.poll(timeout=0.01)
            second.poll(timeout=0.01)
        owned: set[TopicPartition] = set()
        for what, partitions in calls.calls:
            owned = owned | set(partitions) if what == "assigned" else owned - set(partitions)
        assert owned == first.assignment() and not owned & second.assignment()


def test_a_static_member_is_replaced_by_its_successor(url: str, log: KafkaLog) -> None:
    with KafkaLog(url) as other, log.consumer(TOPIC, group="billing", instance_id="one") as older:
        while not older.assignment():
            older.poll(timeout=0.01)
        with other.consumer(TOPIC, group="billing", instance_id="one") as younger:
            while not younger.assignment():
                younger.poll(timeout=0.01)
            with pytest.raises(StaleMemberError):
                while True:
                    older.poll(timeout=0.01)


def test_a_commit_for_a_partition_that_is_not_assigned_is_refused(log: KafkaLog) -> None:
    with log.consumer(group="billing") as consumer:
        consumer.assign([orders(0)])
        with pytest.raises(StaleMemberError):
            consumer.commit({orders(0): 1, orders(1): 1})
        assert consumer.committed(orders(0)) is None


def test_a_reset_needs_a_group_without_members(log: KafkaLog) -> None:
    log.partition(TOPIC, 0).append(b"value")
    with log.consumer(TOPIC, group="billing") as consumer:
        poll_exactly(consumer, 1)
        consumer.commit()
        with pytest.raises(InvalidArgumentError, match="live members"):
            log.group("billing").reset({orders(0): 0})
        assert log.lags()["billing"] == {orders(0): 0, orders(1): None, orders(2): None}


# --- what is read --------------------------------------------------------------------------------------


def test_records_of_transactions_are_read_by_isolation(log: KafkaLog, store: EventLog) -> None:
    store.create_topic("paid")
    with store.producer(transactional_id="pay") as producer:
        for number, ends in enumerate((producer.commit, producer.abort, producer.commit)):
            producer.begin()
            producer.send("paid", b"%d" % number)
            producer.flush()  # else an abort would forget the record without having appended it
            ends()
    with log.consumer("paid") as committed, log.consumer("paid", isolation="read_uncommitted") as all_of_them:
        assert [record.value for record in poll_exactly(committed, 2)] == [b"0", b"2"]
        assert [record.value for record in poll_exactly(all_of_them, 3)] == [b"0", b"1", b"2"]
    assert list(log.partition("paid", 0).values()) == [b"0", b"2"]


def test_iterations_of_one_partition_do_not_disturb_each_other(log: KafkaLog) -> None:
    partition = log.partition(TOPIC, 0)
    partition.append_many([b"%d" % number for number in range(3000)])
    pairs = list(zip(partition.values(), partition.values(1000), strict=False))
    assert len(pairs) == 2000 and all(int(second or b"") - int(first or b"") == 1000 for first, second in pairs)


# --- limits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["backup", "maintain", "serve", "describe_topic", "metrics"])
def test_what_only_a_directory_has_is_refused_with_the_reason(log: KafkaLog, name: str) -> None:
    with pytest.raises(NotSupportedError, match=f"{name} is only for a store in a directory"):
        getattr(log, name)
    assert not hasattr(log, "no_such_method")


def test_producers_that_only_a_directory_has_are_refused(log: KafkaLog) -> None:
    with pytest.raises(NotSupportedError, match="a producer with a name"):
        log.producer(name="pay")
    with log.producer(transactional_id="pay") as producer:
        with pytest.raises(NotSupportedError, match="nothing with a transaction but offsets"):
            _ = producer.position
        with pytest.raises(NotSupportedError, match="nothing with a transaction but offsets"):
            producer.set_position(b"x")


def test_a_setting_that_librdkafka_does_not_know_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"no\.such\.setting"):
        eventlog.open(f"{url}?no.such.setting=1")


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    port, _ = free_ports()
    login = "security.protocol=SASL_PLAINTEXT&sasl.mechanisms=PLAIN"
    with pytest.raises(UnavailableError) as caught:
        eventlog.open(f"kafka://me:geheim@127.0.0.1:{port}?{QUICK}&{login}")
    assert "geheim" not in str(caught.value)


FORK = """
import os, sys
import eventlog
from eventlog import ForkedProcessError
log = eventlog.open(sys.argv[1])
partition, producer, consumer = log.partition("orders", 0), log.producer(), log.consumer("orders", group="billing")
partition.append(b"value")
partition.read(0)
if os.fork() == 0:
    uses = [log.topics, lambda: partition.append(b"v"), lambda: producer.send("orders", b"v"), lambda: consumer.poll(0)]
    for use in uses:
        try:
            use()
        except ForkedProcessError:
            continue
        sys.exit(3)
    with eventlog.open(sys.argv[1]) as again:
        again.partition("orders", 0).append(b"of the child")
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.wait()[1]))
print(list(partition.values()))
log.close()
"""


def test_a_forked_child_has_to_open_the_cluster_again(url: str) -> None:
    done = subprocess.run([sys.executable, "-c", FORK, url], capture_output=True, text=True, timeout=120, env={**os.environ})
    assert done.stdout.splitlines() == ["7", "[b'value', b'of the child']"], done.stderr
    assert re.sub(r"(?m)^.*DeprecationWarning.*\n.*\n", "", done.stderr) == ""
