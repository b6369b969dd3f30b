"""Produce: batches of clients are checked, and appended to the log unchanged."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import nullcontext
from functools import partial
from typing import Any

from eventlog.errors import EventLogError, InvalidBatchError
from eventlog.records.record import TopicPartition
from eventlog.serve import errors
from eventlog.serve.appends import Appended
from eventlog.serve.batches import Batch, read_batch
from eventlog.serve.broker import Broker, Client
from eventlog.serve.coordinator.transactional_appends import append_in_transaction
from eventlog.serve.errors import DisconnectError, RefusedError, code_of
from eventlog.serve.protocol.messages import kind
from eventlog.transactions.states import Identity

_WITH_IDS = 13
_WRONG_RECORDS_MAX = 10_000  # that an answer names, of all its partitions, or one of each
_ALL_REPLICAS, _NONE, _LEADER = -1, 0, 1


async def answer_produce(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Append a batch to each of the partitions. If the request of a client that wants no answer fails, the client is
    disconnected, as with Kafka: nothing else can report the error."""
    await broker.topics.refresh()
    batches = sum(len(data.partition_data) for data in request.topic_data)
    wrong_records_max = max(1, _WRONG_RECORDS_MAX // max(1, batches))
    by_topic = [
        [_Append(broker, version, request, data, partition, wrong_records_max) for partition in data.partition_data]
        for data in request.topic_data
    ]
    appends = [append for partitions in by_topic for append in partitions]
    done = 0
    while done < len(appends) and appends[done].at_once():
        done += 1
    if done < len(appends):
        await _append_in_threads(broker, appends[done:])
    if request.acks == _NONE:
        failed = [append.entry.error_message for append in appends if append.entry.error_code]
        if failed:
            raise DisconnectError(f"it wants no answer, and {failed[0]}")
        return None
    answer = kind("ProduceResponse", "TopicProduceResponse")
    responses = [
        answer(name=data.name, topic_id=data.topic_id, partition_responses=[append.entry for append in partitions])
        for data, partitions in zip(request.topic_data, by_topic, strict=True)
    ]
    return kind("ProduceResponse")(responses=responses)


async def _append_in_threads(broker: Broker, appends: Iterable[_Append]) -> None:
    """Append to several partitions at the same time, but in order to each one."""
    by_partition: defaultdict[tuple[str, int], list[_Append]] = defaultdict(list)
    for append in appends:
        if append.is_left:
            by_partition[append.topic, append.partition].append(append)
    await asyncio.gather(*(_append_in_thread(broker, *key, these) for key, these in by_partition.items()))


async def _append_in_thread(broker: Broker, topic: str, partition: int, appends: list[_Append]) -> None:
    decompressed_bytes = max(append.decompressed_bytes_max for append in appends)
    async with broker.decompressed.taken(decompressed_bytes) if decompressed_bytes else nullcontext():
        await broker.in_append_thread(topic, partition, partial(_append_all, appends))


def _append_all(appends: list[_Append]) -> None:
    for append in appends:
        append.in_thread()


class _Append:
    """A request's batch for one partition, and its entry in the answer."""

    def __init__(
        self, broker: Broker, version: int, request: Any, data: Any, partition: Any, wrong_records_max: int
    ) -> None:
        self._broker = broker
        self._appends = broker.appends
        self._transactional_id: str | None = request.transactional_id
        self.partition: int = partition.index
        self.topic = ""
        self._wrong_records_max = wrong_records_max
        self._batch: Batch | None = None  # None: nothing has to be appended
        self.entry = kind("ProduceResponse", "PartitionProduceResponse")(index=partition.index, base_offset=-1)
        try:
            if request.acks not in (_ALL_REPLICAS, _NONE, _LEADER):
                raise RefusedError(errors.INVALID_REQUIRED_ACKS, f"acks is {request.acks}, and not -1, 0 or 1")
            topic = broker.topic(data.name, data.topic_id, by_id=version >= _WITH_IDS)
            if not 0 <= partition.index < topic.partitions:
                raise RefusedError(errors.UNKNOWN_TOPIC_OR_PARTITION, f"{topic.name!r} has no partition {partition.index}")
            self.topic = topic.name
            self._batch = read_batch(partition.records)
        except RefusedError as error:
            self._refuse(error)

    @property
    def is_left(self) -> bool:
        """Does a batch have to be appended?"""
        return self._batch is not None

    @property
    def decompressed_bytes_max(self) -> int:
        """The memory in bytes that checking its records can take."""
        return 0 if self._batch is None else self._batch.decompressed_bytes_max

    def at_once(self) -> bool:
        """Append on the event loop. False if that would have to wait; then nothing was appended."""
        if self._batch is None:
            return True
        if self._batch.is_transactional:
            return False  # the catalog is asked
        try:
            appended = self._appends.append_at_once(self.topic, self.partition, self._batch.data)
        except (EventLogError, RefusedError) as error:
            self._refuse(error)
            return True
        if appended is not None:
            self._tell(appended)
        return appended is not None

    def in_thread(self) -> None:
        """Append in a thread."""
        if self._batch is not None:
            try:
                self._tell(self._append(self._batch))
            except (EventLogError, RefusedError) as error:
                self._refuse(error)

    def _append(self, batch: Batch) -> Appended:
        append = partial(self._appends.append, self.topic, self.partition, batch)
        if not batch.is_transactional:
            return append()
        if self._transactional_id is None:
            what = "the batch belongs to a transaction, and the request names no transactional id"
            raise RefusedError(errors.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, what)
        producer = Identity(self._transactional_id, batch.producer_id, batch.epoch)
        where = TopicPartition(self.topic, self.partition)
        return append_in_transaction(self._broker.log, producer, where, append)

    def _tell(self, appended: Appended) -> None:
        self.entry.base_offset, self.entry.log_start_offset = appended.offset, appended.log_start_offset
        self.entry.log_append_time_ms = appended.append_time_ms

    def _refuse(self, error: EventLogError | RefusedError) -> None:
        self.entry.error_code, self.entry.error_message = code_of(error), str(error)
        if isinstance(error, InvalidBatchError):
            wrong = kind("ProduceResponse", "BatchIndexAndErrorMessage")
            records = error.records[: self._wrong_records_max]
            self.entry.record_errors = [wrong(batch_index=record, batch_index_error_message=None) for record in records]
            if records:
                self.entry.record_errors[0].batch_index_error_message = error.reason
