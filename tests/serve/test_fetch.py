"""Fetch: what is there at once, what comes while a client waits, and what a client may ask for that is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from eventlog import EventLog, Partition
from eventlog.serve import errors
from eventlog.serve.protocol.messages import kind
from tests.serve.batches import batch
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer
from tests.support.kafka_format import parse_batches

LONG_MS = 60_000


def values(records: bytes) -> list[bytes | None]:
    return [record.value for each in parse_batches(bytes(records)) for record in each.records]


@pytest.mark.parametrize("version", range(4, 13))
def test_embedded_appends_are_fetched(client: RawClient, partition: Partition, version: int) -> None:
    partition.append_many([b"a", b"b"])
    partition.append(b"c")
    found = client.fetch("events", 0, version=version)
    assert (found.error_code, found.high_watermark, values(found.records)) == (0, 3, [b"a", b"b", b"c"])
    assert values(client.fetch("events", 2, version=version).records) == [b"c"]
    assert values(client.fetch("events", 1, version=version).records) == [b"a", b"b", b"c"]  # whole batches
    at_end = client.fetch("events", 3, version=version)
    assert (at_end.error_code, at_end.high_watermark, bytes(at_end.records)) == (0, 3, b"")


@pytest.mark.parametrize("version", range(13, 18))
def test_from_version_13_on_a_topic_has_its_id(client: RawClient, partition: Partition, version: int) -> None:
    partition.append(b"a")
    topic_id = client.metadata("events", version=12).topics[0].topic_id
    for identifier, code, found in ((topic_id, errors.NONE, [b"a"]), (b"x" * 16, errors.UNKNOWN_TOPIC_ID, [])):
        wanted = kind("FetchRequest", "FetchPartition")(partition=0, fetch_offset=0, partition_max_bytes=1000)
        topic = kind("FetchRequest", "FetchTopic")(topic_id=identifier, partitions=[wanted])
        answer = client.ask("Fetch", version, max_wait_ms=0, min_bytes=1, topics=[topic]).responses[0]
        assert answer.topic_id == identifier
        assert (answer.partitions[0].error_code, values(answer.partitions[0].records)) == (code, found)


def test_a_client_that_waits_is_woken_by_another_process(client: RawClient, store: Path, partition: Partition) -> None:
    sent = client.send_fetch("events", 0, max_wait_ms=LONG_MS)
    program = "import eventlog, sys\nwith eventlog.open(sys.argv[1]) as log: log.partition('events', 0).append(b'news')"
    subprocess.run([sys.executable, "-c", program, str(store)], check=True)
    assert values(client.receive(*sent).responses[0].partitions[0].records) == [b"news"]


def test_a_client_that_waits_is_woken_by_another_client(server: RunningServer, partition: Partition) -> None:
    with RawClient(server.address) as consumer, RawClient(server.address) as producer:
        sent = consumer.send_fetch("events", 0, max_wait_ms=LONG_MS)
        producer.produce("events", batch([b"news"]))
        assert values(consumer.receive(*sent).responses[0].partitions[0].records) == [b"news"]


@pytest.mark.parametrize("isolation_level", [0, 1])
def test_a_client_that_follows_the_end_gets_each_record_once(
    server: RunningServer, partition: Partition, isolation_level: int
) -> None:
    with RawClient(server.address) as consumer, RawClient(server.address) as producer:
        for number in range(30):
            sent = consumer.send_fetch("events", number, max_wait_ms=LONG_MS, isolation_level=isolation_level)
            if number % 3:
                producer.produce("events", batch([b"%d" % number]))
            else:
                partition.append(b"%d" % number)
            found = consumer.receive(*sent).responses[0].partitions[0]
            assert (values(found.records), found.high_watermark, found.last_stable_offset) == (
                [b"%d" % number], number + 1, number + 1,
            )  # fmt: skip


def test_a_client_that_wants_more_bytes_waits_for_them(client: RawClient, partition: Partition) -> None:
    partition.append(b"a")
    sent = client.send_fetch("events", 0, max_wait_ms=LONG_MS, min_bytes=1000)
    partition.append(b"b")
    partition.append(b"x" * 1000)
    assert values(client.receive(*sent).responses[0].partitions[0].records) == [b"a", b"b", b"x" * 1000]


def test_a_client_that_has_waited_long_enough_gets_what_is_there(client: RawClient, partition: Partition) -> None:
    partition.append(b"a")
    assert values(client.fetch("events", 0, max_wait_ms=20, min_bytes=1000).records) == [b"a"]
    assert values(client.fetch("events", 1, max_wait_ms=20).records) == []


def test_the_first_batch_comes_whole_however_small_the_limit(client: RawClient, partition: Partition) -> None:
    partition.append(b"x" * 1000)
    partition.append(b"y")
    found = client.fetch("events", 0, partition_max_bytes=10, max_bytes=10)
    assert values(found.records) == [b"x" * 1000]
    assert values(client.fetch("events", 0, max_bytes=0).records) == [b"x" * 1000]


def test_what_is_fetched_goes_on_over_the_end_of_a_segment(client: RawClient, log: EventLog) -> None:
    log.create_topic("rolled", config={"segment.bytes": 1024})
    partition = log.partition("rolled", 0)
    for number in range(50):
        partition.append(b"%d" % number * 50)
    assert values(client.fetch("rolled", 0).records) == [b"%d" % number * 50 for number in range(50)]


@pytest.mark.parametrize("offset", [-1, 1, 2**62])
def test_an_offset_that_is_not_there_is_out_of_range(client: RawClient, partition: Partition, offset: int) -> None:
    assert client.fetch("events", offset, max_wait_ms=LONG_MS).error_code == errors.OFFSET_OUT_OF_RANGE


def test_what_was_deleted_is_out_of_range(client: RawClient, partition: Partition) -> None:
    partition.append_many([b"a", b"b", b"c"])
    partition.delete_records(2)
    assert client.fetch("events", 1).error_code == errors.OFFSET_OUT_OF_RANGE
    assert client.fetch("events", 2).log_start_offset == 2


@pytest.mark.parametrize(("topic", "number"), [("missing", 0), ("events", 1), ("events", -1)])
def test_a_partition_that_is_not_there_is_unknown(client: RawClient, partition: Partition, topic: str, number: int) -> None:
    found = client.fetch(topic, 0, partition=number, max_wait_ms=LONG_MS)
    assert found.error_code == errors.UNKNOWN_TOPIC_OR_PARTITION


def test_damage_is_an_error_and_what_stands_before_it_is_fetched(client: RawClient, partition: Partition) -> None:
    partition.append(b"good")
    partition.append(b"bad" * 100)
    segment = next(partition.directory.glob("*.log"))
    data = bytearray(segment.read_bytes())
    data[data.index(b"badbad")] ^= 1
    with segment.open("r+b") as file:
        file.write(data)
    assert values(client.fetch("events", 0).records) == [b"good"]
    assert client.fetch("events", 1).error_code == errors.KAFKA_STORAGE_ERROR


def test_a_client_that_waits_hears_that_the_topic_was_deleted(client: RawClient, log: EventLog) -> None:
    sent = client.send_fetch("events", 0, max_wait_ms=LONG_MS)
    log.delete_topic("events")
    found = client.receive(*sent).responses[0].partitions[0]
    assert found.error_code == errors.UNKNOWN_TOPIC_OR_PARTITION


def test_a_client_that_waits_does_not_keep_the_server_from_stopping(server: RunningServer, partition: Partition) -> None:
    with RawClient(server.address) as client:
        sent = client.send_fetch("events", 0, max_wait_ms=LONG_MS)
        assert client_is_known(server)
        server.run(server.server.stop())
        assert client.receive(*sent).responses[0].partitions[0].error_code == errors.NONE


def client_is_known(server: RunningServer) -> bool:
    with RawClient(server.address) as other:
        return bool(other.metadata().topics)


def test_a_broken_header_is_an_error_and_what_stands_before_it_is_fetched(client: RawClient, partition: Partition) -> None:
    partition.append(b"good")
    good_bytes = partition.log.active_segment().log_bytes
    partition.append(b"bad")
    segment = next(partition.directory.glob("*.log"))
    with segment.open("r+b") as file:
        file.seek(good_bytes + 16)
        file.write(b"\x07")  # a magic byte that there is not
    assert values(client.fetch("events", 0).records) == [b"good"]
    assert client.fetch("events", 1).error_code == errors.KAFKA_STORAGE_ERROR


@pytest.mark.parametrize("limit", ["partition_max_bytes", "max_bytes"])
def test_an_answer_that_can_hold_no_more_is_not_waited_with(client: RawClient, partition: Partition, limit: str) -> None:
    partition.append(b"a" * 1000)
    partition.append(b"b" * 1000)
    found = client.fetch("events", 0, min_bytes=100_000, max_wait_ms=24 * 3600 * 1000, **{limit: 1500})
    assert values(found.records) == [b"a" * 1000]


def test_a_client_reaches_the_end_where_compaction_has_left_nothing(client: RawClient, log: EventLog) -> None:
    log.create_topic("latest", 1, {"cleanup.policy": "compact", "delete.retention.ms": 0, "min.cleanable.dirty.ratio": 0})
    partition = log.partition("latest", 0)
    for value in (b"a", b"b", None):
        partition.append(value, key=b"k")
    partition.log.roll()
    for _ in range(3):
        log.maintain()
    assert (partition.read(0), partition.end_offset) == ([], 3)
    (empty,) = parse_batches(bytes(client.fetch("latest", 1, max_wait_ms=LONG_MS).records))
    assert (empty.base_offset, empty.last_offset, empty.records) == (1, 2, [])
    assert bytes(client.fetch("latest", 3).records) == b""
