"""Transactions over the protocol: what a client sees of each step, and what others see of its records."""

from __future__ import annotations

from typing import Any

import pytest

from eventlog import EventLog, Partition, TopicPartition
from eventlog.serve import errors
from eventlog.serve.appends import Appends
from eventlog.serve.protocol.messages import kind
from eventlog.transactions.coordinator import TransactionCoordinator
from eventlog.transactions.states import Identity
from tests.serve.batches import batch
from tests.serve.client import RawClient
from tests.serve.group_client import GroupMember
from tests.support.kafka_format import parse_batches

_TRANSACTIONAL, _CONTROL = 16, 32  # attributes of a batch


class Producer:
    """A transactional producer that says exactly what a test wants."""

    def __init__(self, client: RawClient, name: str = "t", *, timeout_ms: int = 60_000) -> None:
        self.client = client
        self.name = name
        self.sequence = 0
        answer = client.ask("InitProducerId", 4, transactional_id=name, transaction_timeout_ms=timeout_ms)
        assert answer.error_code == errors.NONE
        self.producer_id, self.epoch = answer.producer_id, answer.producer_epoch

    def add(self, topic: str = "events", *partitions: int, version: int = 3) -> list[int]:
        """Add partitions to the transaction; returns their error codes."""
        wanted = [kind("AddPartitionsToTxnRequest", "AddPartitionsToTxnTopic")(name=topic, partitions=partitions or (0,))]
        answer = self.client.ask(
            "AddPartitionsToTxn",
            version,
            v3_and_below_transactional_id=self.name,
            v3_and_below_producer_id=self.producer_id,
            v3_and_below_producer_epoch=self.epoch,
            v3_and_below_topics=wanted,
        )
        results = answer.results_by_topic_v3_and_below[0].results_by_partition
        return [each.partition_error_code for each in results]

    def send(self, *values: bytes) -> int:
        """Send a batch; returns the error code."""
        data = batch(values, producer=(self.producer_id, self.epoch, self.sequence), attributes=_TRANSACTIONAL)
        entry = kind("ProduceRequest", "PartitionProduceData")(index=0, records=data)
        topics = [kind("ProduceRequest", "TopicProduceData")(name="events", partition_data=[entry])]
        answer = self.client.ask("Produce", 9, acks=-1, timeout_ms=30_000, topic_data=topics, transactional_id=self.name)
        code = int(answer.responses[0].partition_responses[0].error_code)
        if code == errors.NONE:
            self.sequence += len(values)
        return code

    def end(self, *, commit: bool = True, version: int = 3) -> int:
        """End the transaction; returns the error code."""
        answer = self.client.ask("EndTxn", version, **self._identity(), committed=commit)
        return int(answer.error_code)

    def add_offsets(self, group: str, version: int = 3) -> int:
        """Say that offsets of a group come."""
        return int(self.client.ask("AddOffsetsToTxn", version, **self._identity(), group_id=group).error_code)

    def commit_offset(self, group: str, offset: int, *, topic: str = "events", version: int = 3, **fields: Any) -> int:
        """Send an offset of partition 0; returns its error code."""
        entry = kind("TxnOffsetCommitRequest", "TxnOffsetCommitRequestPartition")(
            partition_index=0, committed_offset=offset, committed_metadata=""
        )
        topics = [kind("TxnOffsetCommitRequest", "TxnOffsetCommitRequestTopic")(name=topic, partitions=[entry])]
        answer = self.client.ask(
            "TxnOffsetCommit", version, **self._identity(), group_id=group, topics=topics, **fields
        )
        return int(answer.topics[0].partitions[0].error_code)

    def _identity(self) -> dict[str, Any]:
        return {"transactional_id": self.name, "producer_id": self.producer_id, "producer_epoch": self.epoch}


def visible(client: RawClient) -> list[bytes | None]:
    """What a client sees that reads only what is committed."""
    found = client.fetch("events", 0, isolation_level=1)
    aborted = sorted((each.first_offset, each.producer_id) for each in found.aborted_transactions)
    ending: set[int] = set()  # the producers whose records are left out, up to their next marker
    values: list[bytes | None] = []
    for each in parse_batches(bytes(found.records)):
        while aborted and aborted[0][0] <= each.base_offset:
            ending.add(aborted.pop(0)[1])
        if each.attributes & _CONTROL:
            ending.discard(each.producer_id)
        elif each.producer_id not in ending:
            values += [record.value for record in each.records]
    return values


@pytest.fixture
def producer(client: RawClient) -> Producer:
    return Producer(client)


def test_a_transaction_is_committed(producer: Producer, partition: Partition) -> None:
    assert producer.add() == [errors.NONE]
    assert producer.send(b"1", b"2") == errors.NONE
    assert visible(producer.client) == []
    assert producer.end() == errors.NONE
    assert producer.end() == errors.NONE  # the answer was lost, and it is asked again
    assert visible(producer.client) == [b"1", b"2"]
    assert partition.end_offset == 3


def test_a_transaction_is_aborted(producer: Producer) -> None:
    producer.add()
    producer.send(b"1")
    assert producer.end(commit=False) == errors.NONE
    producer.add()
    producer.send(b"2")
    assert producer.end() == errors.NONE
    assert visible(producer.client) == [b"2"]


def test_each_step_needs_the_one_before(producer: Producer, partition: Partition) -> None:
    assert producer.end() == errors.INVALID_TXN_STATE
    assert producer.send(b"1") == errors.INVALID_TXN_STATE
    assert producer.commit_offset("readers", 0) == errors.INVALID_TXN_STATE
    assert producer.add("events", 0, 7) == [errors.OPERATION_NOT_ATTEMPTED, errors.UNKNOWN_TOPIC_OR_PARTITION]
    assert partition.end_offset == 0
    producer.add()
    producer.send(b"1")
    producer.end()
    assert producer.end(commit=False) == errors.INVALID_TXN_STATE
    assert producer.send(b"2") == errors.INVALID_TXN_STATE
    assert partition.end_offset == 2


def test_offsets_are_committed_with_it(producer: Producer, log: EventLog, partition: Partition) -> None:
    partition.append_many([b"1", b"2"])
    for commit, expected in ((False, {}), (True, {TopicPartition("events", 0): 2})):
        assert producer.add_offsets("readers") == errors.NONE
        assert producer.commit_offset("readers", 2) == errors.NONE
        assert producer.end(commit=commit) == errors.NONE
        groups = log.groups()
        assert (log.group("readers").committed() if groups else {}) == expected


@pytest.mark.usefixtures("partition")
def test_offsets_of_a_topic_that_is_deleted_are_not_committed_for_the_next_one_of_its_name(
    producer: Producer, log: EventLog
) -> None:
    log.create_topic("others")
    producer.add_offsets("readers")
    producer.commit_offset("readers", 2)
    producer.commit_offset("readers", 3, topic="others")
    log.delete_topic("events")
    log.create_topic("events")
    assert producer.end() == errors.NONE
    assert log.group("readers").committed() == {TopicPartition("others", 0): 3}


@pytest.mark.usefixtures("partition")
def test_offsets_of_a_topic_that_is_deleted_as_they_come_are_refused(
    producer: Producer, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TransactionCoordinator.add_offsets

    def delete_before(*arguments: object) -> None:
        log.delete_topic("events")
        real(*arguments)  # type: ignore[arg-type]

    producer.add_offsets("readers")
    monkeypatch.setattr(TransactionCoordinator, "add_offsets", delete_before)
    assert producer.commit_offset("readers", 2) == errors.UNKNOWN_TOPIC_OR_PARTITION
    assert log.store.catalog.transactions.pending("readers") == set()


def test_a_batch_that_comes_as_its_transaction_is_committed_is_refused_and_leaves_nothing_open(
    producer: Producer, log: EventLog, partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction is open when the batch is checked, and has ended when it is appended."""
    real = Appends.append_at_once
    identity = Identity(producer.name, producer.producer_id, producer.epoch)

    def commit_before(*arguments: Any) -> Any:
        monkeypatch.undo()
        log.open_transactions.coordinator.end(identity, commit=True)
        return real(*arguments)

    producer.add()
    assert producer.send(b"1") == errors.NONE
    assert producer.send(b"2") == errors.NONE
    monkeypatch.setattr(Appends, "append_at_once", commit_before)
    assert producer.send(b"3") == errors.INVALID_TXN_STATE
    while partition.log.stable_offset < partition.end_offset:
        assert visible(producer.client) == [b"1", b"2"]
    assert visible(producer.client) == [b"1", b"2"]


@pytest.mark.parametrize("version", [7, 8, 9])
def test_offsets_of_an_open_transaction_are_not_stable(client: RawClient, producer: Producer, version: int) -> None:
    def fetched(*, require_stable: bool) -> tuple[int, int]:
        if version < 8:
            topics = [kind("OffsetFetchRequest", "OffsetFetchRequestTopic")(name="events", partition_indexes=[0])]
            answer = client.ask("OffsetFetch", version, group_id="g", topics=topics, require_stable=require_stable)
        else:
            topics = [kind("OffsetFetchRequest", "OffsetFetchRequestTopics")(name="events", partition_indexes=[0])]
            group = kind("OffsetFetchRequest", "OffsetFetchRequestGroup")(group_id="g", topics=topics)
            answer = client.ask("OffsetFetch", version, groups=[group], require_stable=require_stable).groups[0]
        entry = answer.topics[0].partitions[0]
        return entry.error_code, entry.committed_offset

    assert fetched(require_stable=True) == (errors.NONE, -1)
    producer.add_offsets("g")
    producer.commit_offset("g", 2)
    assert fetched(require_stable=True) == (errors.UNSTABLE_OFFSET_COMMIT, -1)
    assert fetched(require_stable=False) == (errors.NONE, -1)
    producer.end()
    assert fetched(require_stable=True) == (errors.NONE, 2)


def test_a_former_member_sends_no_offsets_while_others_are_about_to_join(
    producer: Producer, client: RawClient
) -> None:
    producer.add_offsets("billing")
    next_member = GroupMember(client, "billing")
    next_member.send_join()
    assert next_member.joined() == errors.MEMBER_ID_REQUIRED  # the group exists now, without a member
    former = {"member_id": "gone", "generation_id": 3}
    assert producer.commit_offset("billing", 1, **former) == errors.UNKNOWN_MEMBER_ID
    assert producer.commit_offset("billing", 1, generation_id=3) == errors.UNKNOWN_MEMBER_ID
    assert producer.commit_offset("billing", 1) == errors.NONE  # of a consumer that is not a member of anything


def test_a_newer_producer_fences_an_older_one(client: RawClient, producer: Producer) -> None:
    producer.add()
    producer.send(b"of the older")
    newer = Producer(client)
    assert (newer.producer_id, newer.epoch) == (producer.producer_id, producer.epoch + 1)
    assert producer.add() == [errors.PRODUCER_FENCED]
    assert producer.add(version=1) == [errors.INVALID_PRODUCER_EPOCH]
    assert producer.end() == producer.add_offsets("g") == errors.PRODUCER_FENCED
    assert producer.end(version=1) == producer.add_offsets("g", version=1) == errors.INVALID_PRODUCER_EPOCH
    assert producer.send(b"too late") in (errors.INVALID_PRODUCER_EPOCH, errors.PRODUCER_FENCED)
    newer.add()
    newer.send(b"of the newer")
    newer.end()
    assert visible(producer.client) == [b"of the newer"]


def test_ids_that_do_not_belong_together_are_refused(producer: Producer) -> None:
    producer.producer_id += 1
    assert producer.add() == [errors.INVALID_PRODUCER_ID_MAPPING]
    assert producer.end() == errors.INVALID_PRODUCER_ID_MAPPING


def test_a_producer_goes_on_with_its_id_and_a_new_epoch(client: RawClient, producer: Producer) -> None:
    def again(producer_id: int, epoch: int) -> tuple[int, int, int]:
        answer = client.ask(
            "InitProducerId", 4, transactional_id="t", transaction_timeout_ms=1000,
            producer_id=producer_id, producer_epoch=epoch,
        )  # fmt: skip
        return answer.error_code, answer.producer_id, answer.producer_epoch

    known = producer.producer_id
    assert again(known, 0) == (errors.NONE, known, 1)
    assert again(known, 0) == (errors.NONE, known, 1)  # the answer was lost
    assert again(known, 1) == (errors.NONE, known, 2)
    assert again(known, 0) == (errors.PRODUCER_FENCED, -1, -1)
    assert again(known + 1, 2) == (errors.PRODUCER_FENCED, -1, -1)


def test_the_last_epoch_is_followed_by_a_new_id(client: RawClient, producer: Producer, log: EventLog) -> None:
    with log.store.catalog.transactions.change("t") as change:
        assert change.state is not None
        change.store(change.state._replace(epoch=2**15 - 2))
    newer = Producer(client)
    assert newer.producer_id != producer.producer_id
    assert newer.epoch == 0


def test_what_cannot_be_a_producer_is_refused(client: RawClient) -> None:
    def code(**fields: Any) -> int:
        return int(client.ask("InitProducerId", 4, **fields).error_code)

    assert code(transactional_id="", transaction_timeout_ms=1000) == errors.INVALID_REQUEST
    for timeout_ms in (0, -1, 15 * 60 * 1000 + 1):
        assert code(transactional_id="t", transaction_timeout_ms=timeout_ms) == errors.INVALID_TRANSACTION_TIMEOUT


def test_transactions_are_listed_and_described(client: RawClient, producer: Producer) -> None:
    Producer(client, "idle")
    producer.add()
    producer.send(b"1")
    everything = client.ask("ListTransactions", 1).transaction_states
    assert [(each.transactional_id, each.transaction_state) for each in everything] == [("idle", "Empty"), ("t", "Ongoing")]
    chosen = client.ask("ListTransactions", 0, state_filters=["Ongoing", "Odd"])
    assert chosen.unknown_state_filters == ["Odd"]
    assert [each.producer_id for each in chosen.transaction_states] == [producer.producer_id]
    assert client.ask("ListTransactions", 1, duration_filter=3_600_000).transaction_states == []
    known, unknown = client.ask("DescribeTransactions", 0, transactional_ids=["t", "x"]).transaction_states
    assert (known.transaction_state, known.producer_id, known.producer_epoch) == ("Ongoing", producer.producer_id, 0)
    assert [(topic.topic, list(topic.partitions)) for topic in known.topics] == [("events", [0])]
    assert unknown.error_code == errors.TRANSACTIONAL_ID_NOT_FOUND


def test_the_producers_of_a_partition_are_described(client: RawClient, producer: Producer) -> None:
    producer.add()
    producer.send(b"1", b"2")
    wanted = kind("DescribeProducersRequest", "TopicRequest")(name="events", partition_indexes=[0, 9])
    known, unknown = client.ask("DescribeProducers", 0, topics=[wanted]).topics[0].partitions
    (state,) = known.active_producers
    assert (state.producer_id, state.producer_epoch, state.last_sequence) == (producer.producer_id, 0, 1)
    assert state.current_txn_start_offset == 0
    assert unknown.error_code == errors.UNKNOWN_TOPIC_OR_PARTITION
    producer.end()
    (state,) = client.ask("DescribeProducers", 0, topics=[wanted]).topics[0].partitions[0].active_producers
    assert state.current_txn_start_offset == -1
