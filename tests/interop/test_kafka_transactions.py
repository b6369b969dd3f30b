"""Transactions on a cluster beside those of other clients, and after the death of the process that has begun them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

import eventlog
from eventlog import TopicPartition, contract
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
