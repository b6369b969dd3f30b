"""CreatePartitions and DeleteRecords."""

from __future__ import annotations

from collections import Counter
from typing import Any

from eventlog.errors import EventLogError, InvalidArgumentError, TopicNotFoundError
from eventlog.options import check_partition_count
from eventlog.serve import errors
from eventlog.serve.admin.assignments import check_replicas
from eventlog.serve.broker import Broker, Client
from eventlog.serve.errors import RefusedError, noted_in
from eventlog.serve.protocol.messages import kind
from eventlog.serve.turns import in_turns

_END = -1


async def answer_create_partitions(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Give topics more partitions, or only check whether that could be done."""
    await broker.topics.refresh()
    counts = Counter(wanted.name for wanted in request.topics)
    results = []
    async for wanted in in_turns(request.topics):
        result = kind("CreatePartitionsResponse", "CreatePartitionsTopicResult")(name=wanted.name)
        with noted_in(result):
            if counts[wanted.name] > 1:
                raise RefusedError(errors.INVALID_REQUEST, f"the request has the topic {wanted.name!r} more than once")
            _check_count(broker, client, wanted)
            if not request.validate_only:
                await broker.in_thread(
                    lambda wanted=wanted: broker.log.alter_topic(wanted.name, partitions=wanted.count)  # type: ignore[misc]
                )
        results.append(result)
    return kind("CreatePartitionsResponse")(results=results)


def _check_count(broker: Broker, client: Client, wanted: Any) -> None:
    now = broker.topic(wanted.name, b"", by_id=False).partitions
    if wanted.count <= now:
        raise RefusedError(
            errors.INVALID_PARTITIONS, f"topic {wanted.name!r} has {now} partitions already; {wanted.count} are not more"
        )
    try:
        check_partition_count(wanted.count)
    except InvalidArgumentError as error:
        raise RefusedError(errors.INVALID_PARTITIONS, str(error)) from None
    if wanted.assignments is not None:
        if len(wanted.assignments) != wanted.count - now:
            raise RefusedError(
                errors.INVALID_REPLICA_ASSIGNMENT,
                f"{wanted.count - now} partitions are to be added, but replicas are assigned to {len(wanted.assignments)}",
            )
        for assignment in wanted.assignments:
            check_replicas(broker, client, assignment.broker_ids)


async def answer_delete_records(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Delete the records before an offset of each partition; -1 means all that it has."""
    await broker.topics.refresh()
    topics = []
    for topic in request.topics:
        partitions = []
        async for wanted in in_turns(topic.partitions):
            entry = kind("DeleteRecordsResponse", "DeleteRecordsPartitionResult")
            result = entry(partition_index=wanted.partition_index, low_watermark=-1)
            with noted_in(result):
                result.low_watermark = await broker.in_thread(
                    lambda topic=topic, wanted=wanted: _delete(  # type: ignore[misc]
                        broker, topic.name, wanted.partition_index, wanted.offset
                    )
                )
            partitions.append(result)
        topics.append(kind("DeleteRecordsResponse", "DeleteRecordsTopicResult")(name=topic.name, partitions=partitions))
    return kind("DeleteRecordsResponse")(topics=topics)


def _delete(broker: Broker, topic: str, number: int, offset: int) -> int:
    """Delete, and return the offset at which the partition starts now."""
    broker.topic(topic, b"", by_id=False)
    partition = broker.log.partition(topic, number)
    if "delete" not in broker.log.topic(topic).settings().text("cleanup.policy"):
        raise RefusedError(
            errors.POLICY_VIOLATION, f"records of {topic!r} are not deleted by offset: its cleanup.policy is compact"
        )
    if offset == _END:
        offset = partition.end_offset
    if not 0 <= offset <= partition.end_offset:
        raise RefusedError(errors.OFFSET_OUT_OF_RANGE, f"offset {offset} is not in 0 to {partition.end_offset}")
    try:
        return partition.delete_records(offset) if offset > partition.start_offset else partition.start_offset
    except EventLogError:
        if partition.is_deleted:  # in the middle of it: the files are gone
            raise TopicNotFoundError(f"topic {topic!r} was deleted just now") from None
        raise
