"""Transactions on a cluster beside those of other clients, and after the death of the process that has begun them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import eventlog
from eventlog import TopicPartition, UnavailableError, contract
from tests.cli.command_line import CommandLine
from tests.contract.polling import comes_true, poll_exactly
from tests.interop.kafka_clusters import SECONDS_MAX, KafkaCluster
from tests.support.processes import Worker

confluent_kafka = pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.clients

VALUES = [b"1", b"2", b"3"]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses: they share a cluster."""
    return f"{request.node.originalname}-{os.getpid()}"


@pytest.fixture
def log(cluster: KafkaCluster) -> Iterator[contract.Log]:
    with eventlog.open(cluster.url()) as log:
        yield log


def test_a_member_waits_for_the_transaction_that_commits_its_offsets(
    cluster: KafkaCluster, log: contract.Log, name: str
) -> None:
    """Otherwise it would go on before them, and process records a second time."""
    log.create_topic(name)
    log.partition(name, 0).append_many(VALUES)
    producer = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap, "transactional.id": name})
    producer.init_transactions(SECONDS_MAX)
    producer.begin_transaction()
    member = confluent_kafka.Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": name})
    offsets = [confluent_kafka.TopicPartition(name, 0, 2)]
    producer.send_offsets_to_transaction(offsets, member.consumer_group_metadata(), SECONDS_MAX)
    with log.consumer(name, group=name) as consumer:
        while not consumer.assignment():
            assert consumer.poll(timeout=0.1) == []
        assert consumer.poll(timeout=0.1) == []
        producer.commit_transaction(SECONDS_MAX)
        assert [record.value for record in poll_exactly(consumer, 1)] == VALUES[2:]
    member.close()


def begin_and_wait(connection: Connection, url: str, name: str) -> None:
    with eventlog.open(url) as log, log.producer(transactional_id=name) as producer:
        producer.begin()
        producer.send(name, b"of the dead", partition=0)
        producer.send_offsets({TopicPartition(name, 0): 1}, group=name)
        producer.flush()
        connection.send(None)
        connection.recv()


def test_what_a_killed_process_has_begun_is_aborted_by_its_successor(
    cluster: KafkaCluster, log: contract.Log, name: str
) -> None:
    log.create_topic(name)
    with Worker(begin_and_wait, cluster.url(), name) as worker:
        worker.receive()
        worker.kill()
    with log.producer(transactional_id=name) as producer, producer.transaction():
        producer.send(name, b"of the living", partition=0)
    with log.consumer(name) as consumer:
        assert [record.value for record in poll_exactly(consumer, 1)] == [b"of the living"]
        assert consumer.poll(timeout=0) == []
    assert comes_true(lambda: cluster.values(name) == [b"of the living"])
    assert name not in log.groups()


@pytest.fixture
def stoppable(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a server, and its process."""
    command_line = CommandLine(tmp_path / "served")
    process = command_line.start("serve", "--listen", "127.0.0.1:0", "--json")
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    yield f"{told['host']}:{told['port']}", process
    command_line.kill_all()


@pytest.mark.parametrize(
    ("end", "has_offsets", "values"),
    [("commit", True, [b"value", b"another"]), ("abort", False, [b"value", b"another"]), ("abort", True, [b"another"])],
    ids=["it is repeated", "it may have been decided", "it had only begun"],
)
def test_a_commit_that_was_not_answered_is_completed_if_it_may_have_been_decided(
    stoppable: tuple[str, subprocess.Popen[bytes]], end: str, has_offsets: bool, values: list[bytes]
) -> None:
    address, process = stoppable
    partition = TopicPartition("orders", 0)
    with eventlog.open(f"kafka://{address}?socket.timeout.ms=1000") as log:
        log.create_topic("orders")
        with log.producer(transactional_id="one") as producer:
            producer.begin()
            producer.send("orders", b"value", partition=0)
            if has_offsets:
                producer.send_offsets({partition: 1}, group="billing")
            producer.flush()
            process.send_signal(signal.SIGSTOP)
            with pytest.raises(UnavailableError):
                producer.commit()
            process.send_signal(signal.SIGCONT)
            assert comes_true(lambda: ends(producer, end))
            assert not producer.is_in_transaction
            with producer.transaction():
                producer.send("orders", b"another", partition=0)
        with log.consumer("orders") as consumer:
            assert [record.value for record in poll_exactly(consumer, len(values))] == values
        assert ("billing" in log.groups()) == (has_offsets and b"value" in values)


def ends(producer: contract.TransactionalProducer, end: str) -> bool:
    try:
        getattr(producer, end)()
    except UnavailableError:
        return False
    return True
