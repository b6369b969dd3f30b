"""DescribeLogDirs and AlterReplicaLogDirs: a store has one directory with partitions."""

from __future__ import annotations

import os
from typing import Any

from eventlog.serve import errors
from eventlog.serve.admin.replicas import check_partition
from eventlog.serve.broker import Broker, Client
from eventlog.serve.errors import RefusedError, noted_in
from eventlog.serve.lists import encoded_items
from eventlog.serve.protocol.encoding import Encoded
from eventlog.serve.protocol.messages import kind
from eventlog.serve.turns import in_turns
from eventlog.storage.mapped.foreign_heads import read_partition_size

_PARTITIONS_IN_THREAD = 500  # whose sizes are read before other requests get the thread


async def answer_describe_log_dirs(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The sizes of the partitions, of all or of those that the request names and that exist; and the room on the disk."""
    await broker.topics.refresh()
    name = "DescribeLogDirsResponse"
    wanted = {topic.name: set(range(topic.partitions)) for topic in broker.topics.by_name.values()}
    if request.topics is not None:
        named: dict[str, set[int]] = {}
        for topic in request.topics:
            named.setdefault(topic.topic, set()).update(wanted.get(topic.topic, set()) & set(topic.partitions))
        wanted = {topic: numbers for topic, numbers in named.items() if numbers}
    topics = [
        kind(name, "DescribeLogDirsTopic")(name=topic, partitions=await _sizes(broker, version, topic, sorted(numbers)))
        for topic, numbers in wanted.items()
    ]
    room = await broker.in_thread(lambda: os.statvfs(broker.log.store.path))
    result = kind(name, "DescribeLogDirsResult")(
        log_dir=broker.log_dir, topics=topics, total_bytes=room.f_blocks * room.f_frsize,
        usable_bytes=room.f_bavail * room.f_frsize,
    )  # fmt: skip
    return kind(name)(results=[result])


async def _sizes(broker: Broker, version: int, topic: str, numbers: list[int]) -> Encoded:
    message, inside = "DescribeLogDirsResponse", "DescribeLogDirsPartition"
    path, entry = broker.log.store.path, kind(message, inside)

    def read(some: list[int]) -> Encoded:
        sizes = (read_partition_size(path, topic, number).size_bytes for number in some)
        items = (entry(partition_index=each, partition_size=size) for each, size in zip(some, sizes, strict=True))
        return encoded_items(message, inside, version, items)

    pieces: list[Any] = []
    for start in range(0, len(numbers), _PARTITIONS_IN_THREAD):
        some = numbers[start : start + _PARTITIONS_IN_THREAD]
        pieces += (await broker.in_thread(lambda some=some: read(some))).pieces  # type: ignore[misc]
    return Encoded(len(numbers), pieces)


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
                    check_partition(broker, topic.name, number)
                partitions.append(result)
            results.append(kind(name, "AlterReplicaLogDirTopicResult")(topic_name=topic.name, partitions=partitions))
    return kind(name)(results=results)
