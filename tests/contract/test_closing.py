"""The end of a log and its clients by the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from eventlog import StoreClosedError, contract
from tests.contract.orders import GROUP, TOPIC


def test_closing_again_does_nothing(log: contract.Log) -> None:
    producer, consumer = log.producer(), log.consumer(TOPIC, group=GROUP)
    producer.send(TOPIC, b"value", partition=0)
    consumer.poll(timeout=30)
    for each in (consumer, producer, log):
        each.close()
        each.close()


USES: dict[str, Callable[[contract.Log, contract.Producer, contract.Consumer, contract.Partition], object]] = {
    "topics": lambda log, producer, consumer, partition: log.topics(),
    "creating a topic": lambda log, producer, consumer, partition: log.create_topic("new"),
    "making a producer": lambda log, producer, consumer, partition: log.producer(),
    "making a consumer": lambda log, producer, consumer, partition: log.consumer(TOPIC),
    "sending": lambda log, producer, consumer, partition: producer.send(TOPIC, b"value"),
    "flushing": lambda log, producer, consumer, partition: producer.flush(),
    "polling": lambda log, producer, consumer, partition: consumer.poll(timeout=0),
    "committing": lambda log, producer, consumer, partition: consumer.commit(),
    "appending": lambda log, producer, consumer, partition: partition.append(b"value"),
    "reading": lambda log, producer, consumer, partition: partition.read(0),
    "waiting": lambda log, producer, consumer, partition: partition.wait(100, timeout=0),
}


@pytest.mark.parametrize("what", USES)
def test_what_was_closed_with_its_log_is_not_used_any_more(log: contract.Log, other: contract.Log, what: str) -> None:
    producer, consumer, partition = log.producer(), log.consumer(TOPIC, group=GROUP), log.partition(TOPIC, 0)
    producer.send(TOPIC, b"value", partition=0)
    assert consumer.poll(timeout=30)
    log.close()
    with pytest.raises(StoreClosedError):
        USES[what](log, producer, consumer, partition)
    assert list(other.partition(TOPIC, 0).values()) == [b"value"] and other.topics() == [TOPIC]


def test_a_closed_client_leaves_the_others_alone(log: contract.Log) -> None:
    with log.producer() as producer, log.consumer(TOPIC, group=GROUP) as consumer:
        producer.send(TOPIC, b"value", partition=0)
        assert consumer.poll(timeout=30)
    for use in (lambda: producer.send(TOPIC, b"value"), lambda: consumer.poll(timeout=0)):
        with pytest.raises(StoreClosedError):
            use()
    with log.producer() as another:
        assert another.send(TOPIC, b"value", partition=0).offset == 1


def test_what_was_appended_is_there_when_the_log_is_opened_again(log: contract.Log, other: contract.Log) -> None:
    with log.producer(linger_ms=600_000) as producer, log.consumer(TOPIC, group=GROUP) as consumer:
        producer.send(TOPIC, b"value", partition=0)
        producer.flush()
        assert consumer.poll(timeout=30)
        consumer.commit()
    log.close()
    assert list(other.partition(TOPIC, 0).values()) == [b"value"]
    assert list(other.group(GROUP).committed().values()) == [1]
