"""Bridges to and from Kafka that are killed between each two steps: nothing is lost, nothing is there twice, all in order."""

from __future__ import annotations

import random
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog.bridges.appending import TopicAppender
from eventlog.consumer.consumer import Consumer
from tests.interop.kafka_clusters import KafkaCluster
from tests.support.bridges import Step, collect_and_die, ship_and_die, steps
from tests.support.processes import Worker

pytestmark = pytest.mark.clients
confluent_kafka = pytest.importorskip("confluent_kafka")
# Without the client these modules cannot be imported, either.
from eventlog.bridges.kafka.lane import Lane  # noqa: E402
from eventlog.bridges.kafka.sink import KafkaSink  # noqa: E402
from eventlog.bridges.kafka.source import KafkaSource  # noqa: E402

RECORDS = 45  # a round: several windows


@pytest.fixture
def topic(cluster: KafkaCluster) -> str:
    """A topic that no other test uses."""
    name = f"topic-{random.getrandbits(64):x}"
    cluster.create_topic(name)
    return name


class MortalProducer(confluent_kafka.Producer):  # type: ignore[misc]
    """A producer whose methods can be replaced by those that die."""

    def begin_transaction(self) -> None:
        super().begin_transaction()

    def send_offsets_to_transaction(self, *arguments: Any) -> None:
        super().send_offsets_to_transaction(*arguments)

    def commit_transaction(self, *arguments: Any) -> None:
        super().commit_transaction(*arguments)


SHIP_STEPS = [
    *steps(1, (KafkaSink, "assign")),
    *steps(2, (MortalProducer, "begin_transaction"), (Lane, "send"), (MortalProducer, "send_offsets_to_transaction")),
    *steps(2, (MortalProducer, "commit_transaction"), (KafkaSink, "outcomes"), (Consumer, "commit")),
]
COLLECT_STEPS = [
    *steps(1, (KafkaSource, "open")),
    *steps(3, (KafkaSource, "receive"), (TopicAppender, "append"), (TopicAppender, "flush"), (KafkaSource, "acknowledge")),
]


def ship_by_a_mortal(connection: Connection, store: Path, topic: str, url: str, step: Step | None) -> None:
    confluent_kafka.Producer = MortalProducer
    ship_and_die(connection, store, topic, url, step)


def values_of_round(number: int) -> list[bytes]:
    return [b"%d-%d" % (number, each) for each in range(RECORDS)]


def kill_at_each(
    all_steps: list[Step], fill: Callable[[int], object], role: Callable[..., None], *arguments: Any
) -> list[bytes]:
    """A bridge for each step, which dies there, and one that does not; returns everything that they had to move."""
    for number, step in enumerate([*all_steps, None]):
        fill(number)
        with Worker(role, *arguments, step) as worker:
            if step is None:
                assert worker.receive() == "done"
            else:
                assert worker.exit_status == -9, f"it did not come to {step}"
    return [value for number in range(len(all_steps) + 1) for value in values_of_round(number)]


def test_a_ship_that_is_killed_between_each_two_steps_sends_everything_once(
    cluster: KafkaCluster, topic: str, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    with eventlog.open(store) as log:
        log.create_topic("orders")

    def fill(number: int) -> None:
        with eventlog.open(store) as log:
            log.partition("orders", 0).append_many(values_of_round(number))

    expected = kill_at_each(SHIP_STEPS, fill, ship_by_a_mortal, store, "orders", cluster.url(topic))
    assert cluster.values(topic) == expected


def test_a_collecting_bridge_that_is_killed_between_each_two_steps_appends_everything_once(
    cluster: KafkaCluster, topic: str, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    with eventlog.open(store) as log:
        log.create_topic("orders")
    expected = kill_at_each(
        COLLECT_STEPS, lambda number: cluster.produce(topic, values_of_round(number)),
        collect_and_die, store, "orders", cluster.url(topic),
    )  # fmt: skip
    with eventlog.open(store) as log:
        assert list(log.partition("orders", 0).values()) == expected
