"""Produce and InitProducerId: batches of clients go to the log as they are, once they have been checked."""

from __future__ import annotations

from typing import Any

from eventlog.errors import EventLogError, InvalidBatchError
from eventlog.serve import errors
from eventlog.serve.batches import Batch, read_batch
from eventlog.serve.broker import Broker, Client
from eventlog.serve.errors import RefusedError, code_of
from eventlog.serve.producers import NO_PRODUCER, new_producer_id
from eventlog.serve.protocol.messages import kind

_WITH_IDS = 13
_ALL_REPLICAS, _NONE, _LEADER = -1, 0, 1


async def answer_produce(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Append a batch to each of the partitions. Who wants no answer, and has asked for what cannot be done, loses the
    connection, as with Kafka: it has no other way to hear of it."""
    await broker.topics.refresh()
    topics = [_Topic(broker, version, request.acks, data) for data in request.topic_data]
    if any(topic.batches for topic in topics):
        await broker.in_thread(lambda: _append_all(topics))
    if request.acks == _NONE:
        failed = [entry.error_message for topic in topics for entry in topic.entries if entry.error_code]
        if failed:
            raise ConnectionRefusedError(f"it wants no answer, and {failed[0]}")
        return None
    return kind("ProduceResponse")(responses=[topic.response() for topic in topics])


def _append_all(topics: list[_Topic]) -> None:
    for topic in topics:
        topic.append()


class _Topic:
    """What a request has for one topic, and what becomes of it: an entry of the answer for each partition."""

    def __init__(self, broker: Broker, version: int, acks: int, data: Any) -> None:
        self._broker = broker
        self._data = data
        self.batches: list[tuple[str, int, Batch, Any]] = []
        self.entries: list[Any] = []
        new_entry = kind("ProduceResponse", "PartitionProduceResponse")
        for partition in data.partition_data:
            entry = new_entry(index=partition.index, base_offset=-1)
            self.entries.append(entry)
            try:
                if acks not in (_ALL_REPLICAS, _NONE, _LEADER):
                    raise RefusedError(errors.INVALID_REQUIRED_ACKS, f"acks is {acks}, and not -1, 0 or 1")
                topic = broker.topic(data.name, data.topic_id, by_id=version >= _WITH_IDS)
                self.batches.append((topic.name, partition.index, read_batch(partition.records), entry))
            except RefusedError as error:
                entry.error_code, entry.error_message = error.code, str(error)

    def append(self) -> None:
        """Append all batches; what goes wrong with one is in its entry."""
        for topic, partition, batch, entry in self.batches:
            try:
                appended = self._broker.appends.append(topic, partition, batch)
                entry.base_offset, entry.log_start_offset = appended.offset, appended.log_start_offset
                entry.log_append_time_ms = appended.append_time_ms
            except (EventLogError, RefusedError) as error:
                entry.error_code, entry.error_message = code_of(error), str(error)
                if isinstance(error, InvalidBatchError) and error.record is not None:
                    wrong = kind("ProduceResponse", "BatchIndexAndErrorMessage")
                    entry.record_errors = [wrong(batch_index=error.record, batch_index_error_message=error.reason)]

    def response(self) -> Any:
        """The part of the answer that is for this topic."""
        new_response = kind("ProduceResponse", "TopicProduceResponse")
        return new_response(name=self._data.name, topic_id=self._data.topic_id, partition_responses=self.entries)


async def answer_init_producer_id(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """An id for a producer that wants to be idempotent; one that has an id gets another one, with which it begins anew."""
    if request.transactional_id is not None:
        return kind("InitProducerIdResponse")(error_code=errors.UNSUPPORTED_VERSION, producer_id=NO_PRODUCER, producer_epoch=-1)
    return kind("InitProducerIdResponse")(producer_id=new_producer_id(), producer_epoch=0)
