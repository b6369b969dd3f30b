"""The topic that the tests of the contract use."""

from __future__ import annotations

from eventlog import TopicPartition

TOPIC = "orders"
PARTITIONS = 3
GROUP = "billing"


def orders(number: int = 0) -> TopicPartition:
    return TopicPartition(TOPIC, number)
