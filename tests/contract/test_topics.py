"""Topics by the contract: made, altered, listed and deleted by any client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from eventlog import (
    EventLogError,
    InvalidArgumentError,
    InvalidTypeError,
    PartitionNotFoundError,
    TopicExistsError,
    TopicNotFoundError,
    contract,
)
from tests.contract.implementations import Implementation
from tests.contract.orders import PARTITIONS, TOPIC
from tests.contract.polling import comes_true


def test_topics_are_listed_by_name(log: contract.Log, other: contract.Log) -> None:
    other.create_topic("a.first-one_")
    assert log.topics() == ["a.first-one_", TOPIC]


def test_a_topic_tells_its_partitions_and_settings(log: contract.Log, other: contract.Log) -> None:
    log.create_topic("kept", partitions=2, config={"retention.ms": 60_000, "cleanup.policy": "delete"})
    found = other.topic("kept")
    assert (found.name, found.partitions) == ("kept", 2)
    assert (found.config["retention.ms"], found.config["cleanup.policy"]) == (60_000, "delete")


def test_a_topic_gets_more_partitions_and_other_settings(log: contract.Log, other: contract.Log) -> None:
    other.alter_topic(TOPIC, partitions=5, config={"retention.ms": 60_000})
    assert log.topic(TOPIC).partitions == 5 and log.partition(TOPIC, 4).end_offset == 0
    assert log.topic(TOPIC).config["retention.ms"] == 60_000
    log.alter_topic(TOPIC, config={"retention.ms": None})
    assert "retention.ms" not in other.topic(TOPIC).config


def test_a_deleted_topic_is_gone_with_its_records_and_commits(
    implementation: Implementation, log: contract.Log, other: contract.Log
) -> None:
    with log.producer() as producer, log.consumer(TOPIC, group="readers") as consumer:
        producer.send(TOPIC, b"value", partition=0)
        assert consumer.poll(timeout=30)
        consumer.commit()
        consumer.close()
    other.delete_topic(TOPIC)
    assert log.topics() == []

    def commits_are_gone() -> bool:
        return log.group("readers").committed() == {}

    assert comes_true(commits_are_gone) if implementation.is_cluster else commits_are_gone()
    with pytest.raises(TopicNotFoundError):
        log.partition(TOPIC, 0)
    log.create_topic(TOPIC)
    assert other.partition(TOPIC, 0).end_offset == 0


Refused = Callable[[contract.Log], object]

REFUSED: dict[str, tuple[Refused, type[EventLogError]]] = {
    "creating a topic that exists": (lambda log: log.create_topic(TOPIC), TopicExistsError),
    "a topic without partitions": (lambda log: log.create_topic("new", partitions=0), InvalidArgumentError),
    "a number of partitions that is text": (lambda log: log.create_topic("new", partitions=_any("2")), InvalidTypeError),
    "a topic without a name": (lambda log: log.create_topic(""), InvalidArgumentError),
    "a name with a slash": (lambda log: log.create_topic("a/b"), InvalidArgumentError),
    "a name of 250 characters": (lambda log: log.create_topic("a" * 250), InvalidArgumentError),
    "a name that is bytes": (lambda log: log.create_topic(_any(b"new")), InvalidTypeError),
    "a setting that does not exist": (lambda log: log.create_topic("new", config={"no.such": 1}), InvalidArgumentError),
    "a setting without sense": (lambda log: log.create_topic("new", config={"retention.ms": "soon"}), InvalidArgumentError),
    "altering an unknown topic": (lambda log: log.alter_topic("new", partitions=2), TopicNotFoundError),
    "fewer partitions": (lambda log: log.alter_topic(TOPIC, partitions=PARTITIONS - 1), InvalidArgumentError),
    "deleting an unknown topic": (lambda log: log.delete_topic("new"), TopicNotFoundError),
    "asking about an unknown topic": (lambda log: log.topic("new"), TopicNotFoundError),
    "a partition of an unknown topic": (lambda log: log.partition("new", 0), TopicNotFoundError),
    "a partition behind the last": (lambda log: log.partition(TOPIC, PARTITIONS), PartitionNotFoundError),
    "a partition before the first": (lambda log: log.partition(TOPIC, -1), PartitionNotFoundError),
}


def _any(value: object) -> Any:
    return value


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_and_changes_nothing(log: contract.Log, what: str) -> None:
    do, error = REFUSED[what]
    before = log.topic(TOPIC).partitions, dict(log.topic(TOPIC).config)
    with pytest.raises(error):
        do(log)
    assert log.topics() == [TOPIC] and before == (log.topic(TOPIC).partitions, dict(log.topic(TOPIC).config))


def test_a_topic_that_exists_is_returned_as_it_is_if_asked_for(log: contract.Log, other: contract.Log) -> None:
    assert other.create_topic(TOPIC, partitions=9, exist_ok=True).partitions == PARTITIONS
    assert log.create_topic("new", partitions=2, exist_ok=True).partitions == 2
    with pytest.raises(TopicExistsError):
        log.create_topic(TOPIC)
