"""What administrators see of transactions: ListTransactions, DescribeTransactions and DescribeProducers."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Any

from eventlog.catalog.transactions import (
    COMPLETE_ABORT,
    COMPLETE_COMMIT,
    EMPTY,
    ONGOING,
    PREPARE_ABORT,
    PREPARE_COMMIT,
    TransactionState,
)
from eventlog.clock import now_ms
from eventlog.errors import EventLogError
from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.errors import RefusedError, code_of
from eventlog.serve.protocol.messages import kind
from eventlog.storage.segments.producer_table import ProducerState

_STATES = {EMPTY, ONGOING, PREPARE_COMMIT, PREPARE_ABORT, COMPLETE_COMMIT, COMPLETE_ABORT}
_OTHER_STATES = {"Dead", "PrepareEpochFence"}  # of a broker's coordinator: no transaction is ever in one here


async def answer_list_transactions(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The transactional producers: all of them, or those in some states, of some ids, or with a transaction of that age."""
    try:
        found = await broker.in_thread(broker.log.store.catalog.transactions.all)
    except EventLogError as error:
        return kind("ListTransactionsResponse")(error_code=code_of(error))
    wanted, ids, now = set(request.state_filters), set(request.producer_id_filters), now_ms()
    entry = kind("ListTransactionsResponse", "TransactionState")
    return kind("ListTransactionsResponse")(
        unknown_state_filters=sorted(wanted - _STATES - _OTHER_STATES),
        transaction_states=[
            entry(
                transactional_id=state.transactional_id, producer_id=state.producer_id, transaction_state=state.state
            )
            for state in found
            if (not wanted or state.state in wanted)
            and (not ids or state.producer_id in ids)
            and (request.duration_filter < 0 or (state.started_ms > 0 and now - state.started_ms > request.duration_filter))
        ],
    )  # fmt: skip


async def answer_describe_transactions(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Transactional producers by their ids."""
    catalog = broker.log.store.catalog.transactions
    states = []
    for transactional_id in dict.fromkeys(request.transactional_ids):
        try:
            found = await broker.in_thread(partial(catalog.find, transactional_id))
            states.append(_unknown(transactional_id, errors.TRANSACTIONAL_ID_NOT_FOUND) if found is None else _described(found))
        except EventLogError as error:
            states.append(_unknown(transactional_id, code_of(error)))
    return kind("DescribeTransactionsResponse")(transaction_states=states)


def _unknown(transactional_id: str, code: int) -> Any:
    return kind("DescribeTransactionsResponse", "TransactionState")(transactional_id=transactional_id, error_code=code)


def _described(state: TransactionState) -> Any:
    by_topic: defaultdict[str, list[int]] = defaultdict(list)
    for topic, number in sorted(state.partitions):
        by_topic[topic].append(number)
    topic_entry = kind("DescribeTransactionsResponse", "TopicData")
    return kind("DescribeTransactionsResponse", "TransactionState")(
        transactional_id=state.transactional_id,
        transaction_state=state.state,
        transaction_timeout_ms=state.timeout_ms,
        transaction_start_time_ms=state.started_ms or -1,
        producer_id=state.producer_id,
        producer_epoch=state.epoch,
        topics=[topic_entry(topic=topic, partitions=numbers) for topic, numbers in by_topic.items()],
    )


async def answer_describe_producers(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """The producers of partitions, with their open transactions."""
    await broker.topics.refresh()
    topic_entry = kind("DescribeProducersResponse", "TopicResponse")
    topics = []
    for topic in request.topics:
        partitions = [await _producers_of(broker, topic.name, number) for number in topic.partition_indexes]
        topics.append(topic_entry(name=topic.name, partitions=partitions))
    return kind("DescribeProducersResponse")(topics=topics)


async def _producers_of(broker: Broker, topic: str, number: int) -> Any:
    entry = kind("DescribeProducersResponse", "PartitionResponse")(partition_index=number)
    try:
        broker.partition(topic, number)
        producers = await broker.in_thread(lambda: broker.partitions.open(topic, number).producers())
    except (EventLogError, RefusedError) as error:
        entry.error_code, entry.error_message = code_of(error), str(error)
        return entry
    entry.active_producers = [_producer(each) for each in producers]
    return entry


def _producer(state: ProducerState) -> Any:
    return kind("DescribeProducersResponse", "ProducerState")(
        producer_id=state.producer_id,
        producer_epoch=state.epoch,
        last_sequence=state.last_sequence,
        last_timestamp=state.last_timestamp,
        coordinator_epoch=state.coordinator_epoch,
        current_txn_start_offset=-1 if state.transaction_start is None else state.transaction_start,
    )
