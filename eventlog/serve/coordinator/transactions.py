"""The steps of transactional producers: InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit and EndTxn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from eventlog.catalog.transactions import PendingOffset
from eventlog.errors import EventLogError, LockTimeoutError, ProducerFencedError, TransactionStateError
from eventlog.records.record import TopicPartition
from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.coordinator.classic import State
from eventlog.serve.coordinator.commits import check_may_commit, checked_commit
from eventlog.serve.coordinator.consumer_group_commits import check_member
from eventlog.serve.coordinator.names import check_group_id
from eventlog.serve.errors import RefusedError, code_of
from eventlog.serve.protocol.messages import kind
from eventlog.storage.mapped.offset_slots import NOBODY
from eventlog.transactions.states import EndingError, Identity, UnknownProducerError

NO_PRODUCER = -1
_NO_GENERATION = -1
_TIMEOUT_MS_MAX = 15 * 60 * 1000  # Kafka's default of transaction.max.timeout.ms
# The first version of each API whose clients know PRODUCER_FENCED; those before get INVALID_PRODUCER_EPOCH.
_INIT_FENCED, _FENCED = 4, 2


async def answer_init_producer_id(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """An id for an idempotent producer, which is always a new one, or the id and a new epoch for a transactional producer."""
    answer = kind("InitProducerIdResponse")
    transactions = broker.log.open_transactions
    if request.transactional_id is None:
        return answer(producer_id=await broker.in_thread(transactions.producer_ids.new), producer_epoch=0)
    if not request.transactional_id:
        return answer(error_code=errors.INVALID_REQUEST, producer_id=NO_PRODUCER, producer_epoch=-1)
    if not 0 < request.transaction_timeout_ms <= _TIMEOUT_MS_MAX:
        return answer(error_code=errors.INVALID_TRANSACTION_TIMEOUT, producer_id=NO_PRODUCER, producer_epoch=-1)
    expected = None if request.producer_id == NO_PRODUCER else (request.producer_id, request.producer_epoch)
    init = partial(
        transactions.coordinator.init, request.transactional_id, request.transaction_timeout_ms, expected=expected
    )
    try:
        state = await broker.in_thread(init)
    except EventLogError as error:
        code = _code(error, has_fenced=version >= _INIT_FENCED)
        return answer(error_code=code, producer_id=NO_PRODUCER, producer_epoch=-1)
    return answer(producer_id=state.producer_id, producer_epoch=state.epoch)


async def answer_add_partitions(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Add partitions to the transaction: all of them, or none if one does not exist."""
    await broker.topics.refresh()
    producer = Identity(
        request.v3_and_below_transactional_id, request.v3_and_below_producer_id, request.v3_and_below_producer_epoch
    )
    wanted = [TopicPartition(topic.name, number) for topic in request.v3_and_below_topics for number in topic.partitions]
    unknown = {each for each in wanted if not _exists(broker, each)}
    if unknown:
        code = errors.OPERATION_NOT_ATTEMPTED
    else:
        add = partial(broker.log.open_transactions.coordinator.add_partitions, producer, wanted)
        code = await _done(broker, add, has_fenced=version >= _FENCED)
    topic_entry = kind("AddPartitionsToTxnResponse", "AddPartitionsToTxnTopicResult")
    entry = kind("AddPartitionsToTxnResponse", "AddPartitionsToTxnPartitionResult")
    results = [
        topic_entry(
            name=topic.name,
            results_by_partition=[
                entry(
                    partition_index=number,
                    partition_error_code=(
                        errors.UNKNOWN_TOPIC_OR_PARTITION if TopicPartition(topic.name, number) in unknown else code
                    ),
                )
                for number in topic.partitions
            ],
        )
        for topic in request.v3_and_below_topics
    ]
    return kind("AddPartitionsToTxnResponse")(results_by_topic_v3_and_below=results)


async def answer_add_offsets(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Add a group to the transaction, of which offsets are going to be committed."""
    add = partial(broker.log.open_transactions.coordinator.add_group, _producer_of(request), request.group_id)
    return kind("AddOffsetsToTxnResponse")(error_code=await _done(broker, add, has_fenced=version >= _FENCED))


async def answer_txn_offset_commit(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Note offsets that are committed with the transaction."""
    await broker.topics.refresh()
    offsets: dict[TopicPartition, PendingOffset] = {}
    entries: list[tuple[TopicPartition, Any]] = []
    topics = []
    for topic in request.topics:
        of_topic = []
        for each in topic.partitions:
            entry = kind("TxnOffsetCommitResponse", "TxnOffsetCommitResponsePartition")(partition_index=each.partition_index)
            where = TopicPartition(topic.name, each.partition_index)
            try:
                offsets[broker.partition(*where)] = PendingOffset(*checked_commit(each))
                entries.append((where, entry))
            except RefusedError as error:
                entry.error_code = error.code
            of_topic.append(entry)
        topics.append(kind("TxnOffsetCommitResponse", "TxnOffsetCommitResponseTopic")(name=topic.name, partitions=of_topic))
    try:
        check = await _check_member(broker, request, list(offsets))
        coordinator = broker.log.open_transactions.coordinator
        add = partial(coordinator.add_offsets, _producer_of(request), request.group_id, offsets, check)
        code = await _done(broker, add, has_fenced=False)
    except (EventLogError, RefusedError) as error:
        code = code_of(error)
    for _, entry in entries:
        entry.error_code = code
    return kind("TxnOffsetCommitResponse")(topics=topics)


async def answer_end_txn(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Commit or abort the transaction."""
    end = partial(broker.log.open_transactions.coordinator.end, _producer_of(request), commit=request.committed)
    return kind("EndTxnResponse")(error_code=await _done(broker, end, has_fenced=version >= _FENCED))


async def _check_member(broker: Broker, request: Any, partitions: list[TopicPartition]) -> Callable[[], None]:
    """Raise `RefusedError` if the consumer whose offsets are sent may not commit them any more (KIP-447). Returns what raises
    it if it has lost its generation, or one of the partitions, since."""
    check_group_id(request.group_id)
    found = await broker.coordinator.find(request.group_id)
    if found is not None and found.group.state is not State.EMPTY:
        group, member = found.group, (request.member_id, request.group_instance_id, request.generation_id)
        check_may_commit(group, *member, is_transactional=True)
        return lambda: check_may_commit(group, *member, is_transactional=True, shows_life=False)
    elif request.member_id or request.generation_id != _NO_GENERATION:  # also while a client is about to join an empty group
        return await broker.in_thread(partial(_check_consumer, broker, request, partitions))
    return lambda: None


def _check_consumer(broker: Broker, request: Any, partitions: list[TopicPartition]) -> Callable[[], None]:
    """The same for a member of the consumer protocol. Clients know no STALE_MEMBER_EPOCH here."""
    try:
        table, member = check_member(broker.log.open_groups, request.group_id, request.member_id, request.generation_id)
    except RefusedError as error:
        is_stale = error.code == errors.STALE_MEMBER_EPOCH
        raise RefusedError(errors.ILLEGAL_GENERATION if is_stale else error.code, str(error)) from None
    slots = {partition: table.slot(partition) for partition in partitions}

    def check() -> None:
        for partition, slot in slots.items():
            if table.acks.owner(slot) not in (member.epoch, NOBODY):
                message = f"another member of group {request.group_id!r} owns {partition}"
                raise RefusedError(errors.ILLEGAL_GENERATION, message)

    check()
    return check


def _producer_of(request: Any) -> Identity:
    return Identity(request.transactional_id, request.producer_id, request.producer_epoch)


def _exists(broker: Broker, wanted: TopicPartition) -> bool:
    try:
        broker.partition(*wanted)
    except RefusedError:
        return False
    return True


async def _done(broker: Broker, step: Callable[[], object], *, has_fenced: bool) -> int:
    """Do a step, and return its error code."""
    try:
        await broker.in_thread(step)
    except EventLogError as error:
        return _code(error, has_fenced=has_fenced)
    return errors.NONE


def _code(error: EventLogError, *, has_fenced: bool) -> int:
    """The error code for a step that failed. Clients try again after CONCURRENT_TRANSACTIONS."""
    if isinstance(error, UnknownProducerError):
        return errors.INVALID_PRODUCER_ID_MAPPING
    if isinstance(error, ProducerFencedError):
        return errors.PRODUCER_FENCED if has_fenced else errors.INVALID_PRODUCER_EPOCH
    if isinstance(error, EndingError | LockTimeoutError):
        return errors.CONCURRENT_TRANSACTIONS
    return errors.INVALID_TXN_STATE if isinstance(error, TransactionStateError) else code_of(error)
