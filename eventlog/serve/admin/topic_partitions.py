"""DescribeTopicPartitions: what Metadata tells about topics, a part at a time."""

from __future__ import annotations

from typing import Any

from eventlog.errors import EventLogError
from eventlog.options import check_topic_name
from eventlog.serve import errors, operations
from eventlog.serve.broker import Broker, Client
from eventlog.serve.catalog import Topic
from eventlog.serve.lists import encoded_partitions
from eventlog.serve.metadata import INTERNAL_TOPICS
from eventlog.serve.nodes import Node
from eventlog.serve.protocol.messages import kind
from eventlog.serve.security.users import Resource
from eventlog.serve.turns import in_turns

_MESSAGE = "DescribeTopicPartitionsResponse"
_PARTITIONS_MAX = 2_000  # Kafka's max.request.partition.size.limit


async def answer_describe_topic_partitions(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The topics that the request names, or all, by name; a number of their partitions, and where to continue."""
    await broker.topics.refresh()
    names, first = _from_cursor(sorted({topic.name for topic in request.topics} or broker.topics.by_name), request.cursor)
    left = min(max(1, request.response_partition_limit), _PARTITIONS_MAX)
    await broker.load_epochs([broker.topics.by_name[name] for name in names[:left] if name in broker.topics.by_name])
    nodes, topics, next_cursor = broker.nodes(client), list[Any](), None
    async for name in in_turns(names):
        topic = broker.topics.by_name.get(name)
        numbers = range(0) if topic is None else range(min(first, topic.partitions), topic.partitions)
        if left == 0 or (topic is None and len(topics) >= _PARTITIONS_MAX):
            next_cursor = kind(_MESSAGE, "Cursor")(topic_name=name, partition_index=first)
            break
        topics.append(_missing(name) if topic is None else _described(broker, client, version, topic, numbers[:left], nodes))
        if len(numbers) > left:
            next_cursor = kind(_MESSAGE, "Cursor")(topic_name=name, partition_index=numbers[left])
            break
        left -= len(numbers)
        first = 0
    return kind(_MESSAGE)(topics=topics, next_cursor=next_cursor)


def _from_cursor(names: list[str], cursor: Any) -> tuple[list[str], int]:
    """The names from a cursor on, and the first partition of the first of them."""
    if cursor is None:
        return names, 0
    rest = [name for name in names if name >= cursor.topic_name]
    return rest, max(0, cursor.partition_index) if rest and rest[0] == cursor.topic_name else 0


def _missing(name: str) -> Any:
    code = errors.UNKNOWN_TOPIC_OR_PARTITION
    try:
        check_topic_name(name)
    except EventLogError:
        code = errors.INVALID_TOPIC_EXCEPTION
    return kind(_MESSAGE, "DescribeTopicPartitionsResponseTopic")(name=name, error_code=code)


def _described(broker: Broker, client: Client, version: int, topic: Topic, numbers: range, nodes: list[Node]) -> Any:
    entry, epochs = "DescribeTopicPartitionsResponsePartition", broker.epochs.of(topic)
    return kind(_MESSAGE, "DescribeTopicPartitionsResponseTopic")(
        name=topic.name,
        topic_id=topic.id,
        is_internal=topic.name in INTERNAL_TOPICS,
        partitions=encoded_partitions(_MESSAGE, entry, version, topic, numbers, nodes, epochs, has_epoch=True),
        topic_authorized_operations=operations.allowed(client, Resource.TOPIC, topic.name),
    )
