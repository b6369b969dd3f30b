"""ListOffsets: the log start and log end offset of a partition, and the offset for a time."""

from __future__ import annotations

from typing import Any

from eventlog.errors import EventLogError
from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.errors import RefusedError, code_of
from eventlog.serve.protocol.messages import kind
from eventlog.storage.partition.partition import Partition

_LATEST, _EARLIEST = -1, -2


async def answer_list_offsets(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """An offset for each partition; -1 if all records are older than the time."""
    await broker.topics.refresh()
    topics = await broker.in_thread(lambda: [_topic(broker, wanted) for wanted in request.topics])
    return kind("ListOffsetsResponse")(topics=topics)


def _topic(broker: Broker, wanted: Any) -> Any:
    entries = []
    for each in wanted.partitions:
        entry = kind("ListOffsetsResponse", "ListOffsetsPartitionResponse")(partition_index=each.partition_index)
        try:
            name = broker.topic(wanted.name, b"", by_id=False).name
            partition = broker.log.store.partitions.open(name, each.partition_index)
            entry.offset, entry.timestamp = _find(partition, each.timestamp)
        except (EventLogError, RefusedError) as error:
            entry.error_code = code_of(error)
        entries.append(entry)
    return kind("ListOffsetsResponse", "ListOffsetsTopicResponse")(name=wanted.name, partitions=entries)


def _find(partition: Partition, timestamp: int) -> tuple[int, int]:
    """The offset, and the timestamp of the record there, if a time was asked for."""
    if timestamp == _LATEST:
        return partition.end_offset, -1
    if timestamp == _EARLIEST:
        return partition.start_offset, -1
    if timestamp < 0:
        raise RefusedError(errors.INVALID_REQUEST, f"{timestamp} is not a time")
    offset = partition.offset_for_time(timestamp)
    if offset is None:
        return -1, -1
    records = partition.read(offset, 1)
    return (records[0].offset, records[0].timestamp) if records else (-1, -1)
