"""Produce: batches of clients in the log, byte for byte, and every way in which one is refused."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, Partition
from eventlog.serve import errors
from eventlog.serve.protocol.messages import kind
from tests.serve.batches import TIMESTAMP, batch, with_wrong_checksum
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server
from tests.support import workers
from tests.support.processes import Interpreter

CONTROL, TRANSACTIONAL, GZIP = 0x20, 0x10, 1


@pytest.mark.parametrize("version", range(3, 13))
def test_what_a_client_sends_is_read_by_embedded_readers_at_once(client: RawClient, partition: Partition, version: int) -> None:
    answer = client.produce("events", batch([b"a", b"b"], key=b"k"), version=version)
    assert (answer.error_code, answer.base_offset) == (0, 0)
    assert [(record.key, record.value, record.timestamp) for record in partition.read(0)] == [
        (b"k", b"a", TIMESTAMP),
        (b"k", b"b", TIMESTAMP),
    ]
    assert client.produce("events", batch([b"c"]), version=version).base_offset == 2


def test_from_version_13_on_a_topic_has_its_id(client: RawClient, partition: Partition) -> None:
    topic = client.metadata("events", version=12).topics[0]
    data = kind("ProduceRequest", "PartitionProduceData")(index=0, records=batch([b"a"]))
    for identifier in (topic.topic_id, b"x" * 16, topic.topic_id):
        code = errors.NONE if identifier == topic.topic_id else errors.UNKNOWN_TOPIC_ID
        wanted = kind("ProduceRequest", "TopicProduceData")(topic_id=identifier, partition_data=[data])
        found = client.ask("Produce", 13, acks=-1, timeout_ms=1000, topic_data=[wanted]).responses[0]
        assert (found.topic_id, found.partition_responses[0].error_code) == (identifier, code)
    assert partition.end_offset == 2


def test_compressed_batches_stay_as_they_are(client: RawClient, partition: Partition) -> None:
    sent = batch([b"x" * 1000] * 20, attributes=GZIP)
    assert client.produce("events", sent).error_code == errors.NONE
    assert [record.value for record in partition.read(0)] == [b"x" * 1000] * 20
    assert partition.log.slice(0, 2**20).read()[21:] == sent[21:]  # all that the checksum covers


def test_a_request_may_have_several_topics_and_partitions(client: RawClient, log: EventLog) -> None:
    log.create_topic("more", partitions=2)
    data = kind("ProduceRequest", "PartitionProduceData")
    topic = kind("ProduceRequest", "TopicProduceData")
    wanted = [
        topic(name="more", partition_data=[data(index=index, records=batch([b"%d" % index])) for index in (1, 0, 2)]),
        topic(name="events", partition_data=[data(index=0, records=batch([b"e"]))]),
        topic(name="missing", partition_data=[data(index=0, records=batch([b"m"]))]),
    ]
    answer = client.ask("Produce", 9, acks=1, timeout_ms=1000, topic_data=wanted)
    told = [[(each.index, each.error_code) for each in topic.partition_responses] for topic in answer.responses]
    unknown = errors.UNKNOWN_TOPIC_OR_PARTITION
    assert told == [[(1, 0), (0, 0), (2, unknown)], [(0, 0)], [(0, unknown)]]
    assert [log.partition("more", index).read(0)[0].value for index in (0, 1)] == [b"0", b"1"]
    assert "missing" not in log.topics()


@pytest.mark.parametrize(
    ("records", "code"),
    [
        (None, errors.INVALID_RECORD),
        (b"", errors.INVALID_RECORD),
        (b"\0" * 10, errors.UNSUPPORTED_FOR_MESSAGE_FORMAT),
        (b"\0" * 16 + b"\1" + b"\0" * 40, errors.UNSUPPORTED_FOR_MESSAGE_FORMAT),
        (batch([b"a"])[:40], errors.CORRUPT_MESSAGE),
        (batch([b"a"])[:-1], errors.CORRUPT_MESSAGE),
        (with_wrong_checksum(batch([b"a"])), errors.CORRUPT_MESSAGE),
        (batch([b"a"]) + batch([b"b"]), errors.INVALID_RECORD),
        (batch([b"a"], attributes=CONTROL), errors.INVALID_RECORD),
        (batch([b"a"], attributes=TRANSACTIONAL), errors.TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
        (batch([]), errors.INVALID_RECORD),
        (batch([b"x" * 2**20]), errors.MESSAGE_TOO_LARGE),
    ],
    ids=["none", "empty", "short", "magic 1", "header", "end", "checksum", "two", "control", "transaction", "count", "large"],
)
def test_what_is_no_sound_batch_is_refused_with_kafkas_code(
    client: RawClient, partition: Partition, records: bytes | None, code: int
) -> None:
    answer = client.produce("events", records)
    assert (answer.error_code, answer.base_offset) == (code, -1)
    assert answer.error_message
    assert partition.end_offset == 0
    assert client.produce("events", batch([b"and on it goes"])).error_code == errors.NONE
    assert client.produce("events", records).error_code == code  # now that the partition is open
    assert partition.end_offset == 1


def test_a_compacted_topic_refuses_a_record_without_a_key_and_says_which(client: RawClient, log: EventLog) -> None:
    log.create_topic("state", config={"cleanup.policy": "compact"})
    answer = client.produce("state", batch([b"a", b"b"]))
    assert answer.error_code == errors.INVALID_RECORD
    assert [error.batch_index for error in answer.record_errors] == [0, 1]
    assert client.produce("state", batch([b"a"], key=b"k")).error_code == errors.NONE
    assert [error.batch_index for error in client.produce("state", batch([b"a"])).record_errors] == [0]  # now that it is open


def test_log_append_time_is_told(client: RawClient, log: EventLog) -> None:
    log.create_topic("stamped", config={"message.timestamp.type": "LogAppendTime"})
    answer = client.produce("stamped", batch([b"a"]))
    assert answer.log_append_time_ms == log.partition("stamped", 0).read(0)[0].timestamp > TIMESTAMP
    answer = client.produce("stamped", batch([b"b"]))
    assert answer.log_append_time_ms == log.partition("stamped", 0).read(1)[0].timestamp > TIMESTAMP


def test_a_number_of_acks_that_there_is_not_is_refused(client: RawClient, partition: Partition) -> None:
    assert client.produce("events", batch([b"a"])).error_code == errors.NONE
    assert client.produce("events", batch([b"a"]), acks=2).error_code == errors.INVALID_REQUIRED_ACKS
    assert partition.end_offset == 1


def send_without_answer(client: RawClient, records: bytes) -> None:
    data = kind("ProduceRequest", "PartitionProduceData")(index=0, records=records)
    topics = [kind("ProduceRequest", "TopicProduceData")(name="events", partition_data=[data])]
    client.send("Produce", 9, acks=0, timeout_ms=1000, topic_data=topics)


def test_without_acks_there_is_no_answer(client: RawClient, partition: Partition) -> None:
    send_without_answer(client, batch([b"a"]))
    assert client.produce("events", batch([b"b"])).base_offset == 1  # the next answer is the next request's
    assert partition.end_offset == 2


def test_what_was_sent_without_acks_before_the_connection_ended_is_appended(server: RunningServer, log: EventLog) -> None:
    for number in range(20):
        with RawClient(server.address) as client:
            for _ in range(5):
                send_without_answer(client, batch([b"%d" % number]))
    with RawClient(server.address) as client:
        assert client.produce("events", batch([b"last"])).error_code == errors.NONE
    assert log.partition("events", 0).wait(100, 30)


def test_who_wants_no_answer_and_sends_nonsense_loses_the_connection(client: RawClient, partition: Partition) -> None:
    send_without_answer(client, with_wrong_checksum(batch([b"a"])))
    assert client.receive_frame() is None
    assert partition.end_offset == 0


def test_requests_sent_one_behind_the_other_are_answered_in_order(client: RawClient, partition: Partition) -> None:
    data = kind("ProduceRequest", "PartitionProduceData")
    topic = kind("ProduceRequest", "TopicProduceData")
    sent = []
    for number in range(200):
        wanted = topic(name="events", partition_data=[data(index=0, records=batch([b"%d" % number]))])
        sent.append(client.send("Produce", 9, acks=1, timeout_ms=1000, topic_data=[wanted]))
    offsets = [client.receive(*each).responses[0].partition_responses[0].base_offset for each in sent]
    assert offsets == list(range(200))
    assert [record.value for record in partition.records()] == [b"%d" % number for number in range(200)]


def test_with_fsync_always_an_answer_comes_after_the_disk(store: Path) -> None:
    with eventlog.open(store, fsync="always") as log, running_server(log) as server, RawClient(server.address) as client:
        client.produce("events", batch([b"a"]))
        assert log.partition("events", 0).durable_offset == 1


def test_a_partition_whose_lock_somebody_holds_delays_no_other(store: Path) -> None:
    with eventlog.open(store, lock_timeout_ms=20_000) as log:
        log.create_topic("others")
        partition = log.partition("others", 0)
        log.partition("events", 0).append(b"first")
        with running_server(log) as server, Interpreter(workers.hold_mutex, store, "append") as holder:
            assert holder.receive() == "held"
            clients = [RawClient(server.address) for _ in range(20)]
            for client in clients:
                send_produce(client, "events", batch([b"late"]))
            with RawClient(server.address) as client:
                assert client.produce("others", batch([b"a" * 100_000])).base_offset == 0
                assert client.fetch("others", 0).error_code == errors.NONE
                assert client.metadata("new").topics[0].error_code == errors.NONE
            holder.send("give it back")
            assert holder.receive() == "given back"
            holder.send("end")
            for client in clients:
                assert client.receive_frame() is not None
                client.socket.close()
        assert (log.partition("events", 0).end_offset, partition.end_offset) == (21, 1)


def send_produce(client: RawClient, topic: str, records: bytes) -> None:
    data = kind("ProduceRequest", "PartitionProduceData")(index=0, records=records)
    topics = [kind("ProduceRequest", "TopicProduceData")(name=topic, partition_data=[data])]
    client.send("Produce", 9, acks=1, timeout_ms=30_000, topic_data=topics)


def test_what_the_system_refuses_is_an_error_after_which_clients_try_again(client: RawClient, log: EventLog) -> None:
    log.create_topic("wide", 50)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 50, hard))
    try:
        codes = {client.produce("wide", batch([b"a"]), partition=number).error_code for number in range(50)}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert codes == {errors.NONE, errors.KAFKA_STORAGE_ERROR}
    assert {client.produce("wide", batch([b"a"]), partition=number).error_code for number in range(50)} == {errors.NONE}


def test_storage_errors_are_logged_but_not_each_one(caplog: pytest.LogCaptureFixture) -> None:
    log = errors.SparseLog()
    for number in range(100):
        log.write(OSError(f"error {number}"))
    assert [record.getMessage() for record in caplog.records] == ["clients are told of a storage error: error 0"]
