"""DescribeLogDirs and AlterReplicaLogDirs: a store has one directory with partitions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.catalog import Topic
from eventlog.serve.epochs import created_partitions
from eventlog.serve.errors import RefusedError, noted_in
from eventlog.serve.lists import encoded_items
from eventlog.serve.nodes import Node, leader_of
from eventlog.serve.protocol.encoding import Encoded
from eventlog.serve.protocol.messages import kind
from eventlog.serve.turns import in_turns
from eventlog.storage.mapped.foreign_heads import read_partition_size

_PARTITIONS_IN_THREAD = 500  # whose sizes are read before other requests get the thread


async def answer_describe_log_dirs(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The sizes of the partitions that this server leads, of all or of those that a request names; and the room on the disk."""
    await broker.topics.refresh()
    name = "DescribeLogDirsResponse"
    nodes, topics = broker.nodes(client), list[Any]()
    async for topic, numbers in in_turns(_wanted(broker, request)):
        partitions = await _sizes(broker, version, topic, numbers, nodes)
        if len(partitions):
            topics.append(kind(name, "DescribeLogDirsTopic")(name=topic.name, partitions=partitions))
    room = await broker.in_thread(lambda: os.statvfs(broker.log.store.path))
    result = kind(name, "DescribeLogDirsResult")(
        log_dir=broker.log_dir, topics=topics, total_bytes=room.f_blocks * room.f_frsize,
        usable_bytes=room.f_bavail * room.f_frsize,
    )  # fmt: skip
    return kind(name)(results=[result])


def _wanted(broker: Broker, request: Any) -> list[tuple[Topic, Sequence[int]]]:
    """The topics and numbers of partitions that a request means, as far as they exist."""
    known = broker.topics.by_name
    if request.topics is None:
        return [(topic, range(topic.partitions)) for topic in known.values()]
    named: dict[str, set[int]] = {}
    for each in request.topics:
        if each.topic in known:
            named.setdefault(each.topic, set()).update(each.partitions)
    return [
        (known[name], sorted(number for number in numbers if 0 <= number < known[name].partitions))
        for name, numbers in named.items()
    ]


async def _sizes(broker: Broker, version: int, topic: Topic, numbers: Sequence[int], nodes: list[Node]) -> Encoded:
    """The sizes of partitions as bytes, some at a time: of each one that this server leads, so that none is told twice."""
    message, inside = "DescribeLogDirsResponse", "DescribeLogDirsPartition"
    path, entry = broker.log.store.path, kind(message, inside)
    created = set(await broker.in_thread(lambda: created_partitions(path, topic)))

    def read(some: Sequence[int]) -> Encoded:
        own = [number for number in some if leader_of(nodes, topic.name, number).id == broker.node_id]
        sizes = [read_partition_size(path, topic.name, number).size_bytes if number in created else 0 for number in own]
        items = (entry(partition_index=number, partition_size=size) for number, size in zip(own, sizes, strict=True))
        return encoded_items(message, inside, version, items)

    pieces, count = list[Any](), 0
    for start in range(0, len(numbers), _PARTITIONS_IN_THREAD):
        some = numbers[start : start + _PARTITIONS_IN_THREAD]
        encoded = await broker.in_thread(lambda some=some: read(some))  # type: ignore[misc]
        pieces += encoded.pieces
        count += len(encoded)
    return Encoded(count, pieces)


async def answer_alter_replica_log_dirs(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """A partition can be moved to the directory where it is, and to no other."""
    await broker.topics.refresh()
    name = "AlterReplicaLogDirsResponse"
    results = []
    for directory in request.dirs:
        for topic in directory.topics:
            partitions = []
            async for number in in_turns(topic.partitions):
                result = kind(name, "AlterReplicaLogDirPartitionResult")(partition_index=number)
                with noted_in(result):
                    if directory.path != broker.log_dir:
                        raise RefusedError(errors.LOG_DIR_NOT_FOUND, f"there is no log directory {directory.path!r}")
                    broker.partition(topic.name, number)
                partitions.append(result)
            results.append(kind(name, "AlterReplicaLogDirTopicResult")(topic_name=topic.name, partitions=partitions))
    return kind(name)(results=results)
