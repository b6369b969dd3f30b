"""ListOffsets and OffsetForLeaderEpoch: where a partition starts and ends, which offset a time has, and where an epoch ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.epochs import NO_EPOCH, LeaderEpochList, end_of_epoch, epoch_at, epochs_in
from eventlog.serve.errors import RefusedError, noted_in
from eventlog.serve.lists import encoded_items
from eventlog.serve.protocol.encoding import Encoded
from eventlog.serve.protocol.messages import kind
from eventlog.storage.mapped.foreign_heads import read_partition_offsets

_LATEST, _EARLIEST, _LARGEST_TIME, _EARLIEST_LOCAL, _LATEST_TIERED = -1, -2, -3, -4, -5
_FIRST_VERSIONS = {_LATEST: 1, _EARLIEST: 1, _LARGEST_TIME: 7, _EARLIEST_LOCAL: 8, _LATEST_TIERED: 9}
_READ_COMMITTED = 1
_PARTITIONS_IN_THREAD = 200  # before other requests get the thread


class _Found(NamedTuple):
    offset: int = -1
    timestamp: int = -1
    epoch: int = NO_EPOCH


async def answer_list_offsets(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """An offset for each partition; -1 if there is no such record."""
    await broker.topics.refresh()
    message, inside = "ListOffsetsResponse", "ListOffsetsPartitionResponse"

    counts = Counter((topic.name, wanted.partition_index) for topic in request.topics for wanted in topic.partitions)

    def answer(topic: Any, wanted: Any) -> Any:
        entry = kind(message, inside)(partition_index=wanted.partition_index)
        with noted_in(entry):
            if counts[topic.name, wanted.partition_index] > 1:
                raise RefusedError(errors.INVALID_REQUEST, "the request has the partition more than once")
            found = _find(broker, topic.name, wanted, version)
            if request.isolation_level == _READ_COMMITTED and wanted.timestamp not in (_EARLIEST, _EARLIEST_LOCAL):
                found = _within_stable(broker, topic.name, wanted, found)
            entry.offset, entry.timestamp, entry.leader_epoch = found
        return entry

    topics = [
        kind(message, "ListOffsetsTopicResponse")(
            name=topic.name, partitions=await _in_threads(broker, message, inside, version, topic, answer)
        )
        for topic in request.topics
    ]
    return kind(message)(topics=topics)


async def _in_threads(
    broker: Broker, message: str, inside: str, version: int, topic: Any, answer: Callable[[Any, Any], Any]
) -> Encoded:
    """The answers for the partitions of a topic, as bytes, some at a time."""
    pieces: list[Any] = []
    for start in range(0, len(topic.partitions), _PARTITIONS_IN_THREAD):
        some = topic.partitions[start : start + _PARTITIONS_IN_THREAD]

        def encode(some: list[Any] = some) -> Encoded:
            return encoded_items(message, inside, version, [answer(topic, wanted) for wanted in some])

        pieces += (await broker.in_thread(encode)).pieces
    return Encoded(len(topic.partitions), pieces)


class _Bounds(NamedTuple):
    start_offset: int
    end_offset: int
    epochs: LeaderEpochList


def _bounds(broker: Broker, topic: str, number: int) -> _Bounds:
    """Where a partition starts and ends; it is opened only if that cannot be found otherwise."""
    log, path = broker.partitions.find(topic, number), broker.log.store.path
    offsets = read_partition_offsets(path, topic, number) if log is None else None
    if offsets is not None:
        return _Bounds(offsets.start_offset, offsets.end_offset, epochs_in(path, topic, number))
    log = log or broker.partitions.open(topic, number)
    return _Bounds(log.start_offset, log.end_offset, log.leader_epochs)


def _find(broker: Broker, topic: str, wanted: Any, version: int) -> _Found:
    timestamp = wanted.timestamp
    if timestamp < 0 and timestamp not in _FIRST_VERSIONS:
        raise RefusedError(errors.INVALID_REQUEST, f"{timestamp} is not a time")
    if version < _FIRST_VERSIONS.get(timestamp, version):
        raise RefusedError(errors.UNSUPPORTED_VERSION, f"version {version} has no time {timestamp}")
    number = wanted.partition_index
    broker.partition(topic, number)
    bounds = _bounds(broker, topic, number)
    broker.epochs.check(broker.topic(topic, b"", by_id=False), number, bounds.epochs, wanted.current_leader_epoch)
    if timestamp == _LATEST:
        return _Found(bounds.end_offset, -1, bounds.epochs[-1][0])
    if timestamp in (_EARLIEST, _EARLIEST_LOCAL):
        return _Found(bounds.start_offset, -1, epoch_at(bounds.epochs, bounds.start_offset))
    if timestamp == _LATEST_TIERED:
        return _Found()
    log = broker.partitions.open(topic, number)
    found = log.latest_record() if timestamp == _LARGEST_TIME else log.record_for_time(timestamp)
    return _Found() if found is None else _Found(found.offset, found.timestamp, epoch_at(log.leader_epochs, found.offset))


def _within_stable(broker: Broker, topic: str, wanted: Any, found: _Found) -> _Found:
    """What a client may know that reads only records of transactions that have ended."""
    stable_offset = broker.partitions.open(topic, wanted.partition_index).stable_offset
    if found.offset < stable_offset:
        return found
    return found._replace(offset=min(found.offset, stable_offset)) if wanted.timestamp == _LATEST else _Found()


async def answer_offset_for_leader_epoch(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Where the leader epochs end that clients name: a client whose position lies behind that has read lost records."""
    await broker.topics.refresh()
    message, inside = "OffsetForLeaderEpochResponse", "EpochEndOffset"

    def answer(topic: Any, wanted: Any) -> Any:
        entry = kind(message, inside)(partition=wanted.partition)
        with noted_in(entry):
            broker.partition(topic.topic, wanted.partition)
            bounds, known = _bounds(broker, topic.topic, wanted.partition), broker.topic(topic.topic, b"", by_id=False)
            broker.epochs.check(known, wanted.partition, bounds.epochs, wanted.current_leader_epoch)
            entry.leader_epoch, entry.end_offset = end_of_epoch(bounds.epochs, wanted.leader_epoch, bounds.end_offset)
        return entry

    topics = [
        kind(message, "OffsetForLeaderTopicResult")(
            topic=topic.topic, partitions=await _in_threads(broker, message, inside, version, topic, answer)
        )
        for topic in request.topics
    ]
    return kind(message)(topics=topics)
