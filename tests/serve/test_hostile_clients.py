"""Clients that send nonsense, too much, too slowly, or nothing: they lose their connection, and nobody else notices."""

from __future__ import annotations

import logging
import random
import select
import socket
import struct
from typing import Any

import pytest

from eventlog import EventLog, Partition
from eventlog.serve.connection import Limits
from eventlog.serve.protocol.frames import BUFFER_BYTES
from eventlog.serve.protocol.messages import kind
from tests.serve.batches import batch
from tests.serve.client import SECONDS_MAX, RawClient, request_frame
from tests.serve.conftest import RunningServer, running_server

METADATA = request_frame("Metadata", 9, kind("MetadataRequest")(topics=None))


def framed(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        framed(b"")[:4] + b"\0" * 100,
        struct.pack(">i", -1),
        struct.pack(">i", 2**31 - 1),
        framed(b"\0\3\0\x09\0\0\0\1\xff\xfe"),
        framed(struct.pack(">hhih", 999, 0, 1, -1)),
        framed(struct.pack(">hhih", 3, 99, 1, -1)),
        framed(struct.pack(">hhih", 0, 0, 1, -1) + b"\0" * 50),
        framed(struct.pack(">hhih", 3, 4, 1, -1) + b"\x7f\xff\xff\xff"),
        METADATA[:20] + b"\xff" * (len(METADATA) - 20),
    ],
    ids=["http", "no length", "negative", "huge", "header", "api", "version", "produce 0", "count", "body"],
)
def test_nonsense_ends_the_connection_and_is_told_in_one_line(
    server: RunningServer, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    with RawClient(server.address) as hostile:
        hostile.socket.sendall(data)
        assert hostile.receive_frame() is None
    with RawClient(server.address) as client:
        assert client.metadata().topics
    lines = [record for record in caplog.records if record.name == "eventlog.serve"]
    assert [(record.levelno, record.exc_info) for record in lines] == [(logging.WARNING, None)]
    assert "closed: " in lines[0].getMessage()


def test_bytes_by_chance_never_end_the_server(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(7)
    for _ in range(100):
        data = bytearray(METADATA if chance.random() < 0.7 else framed(chance.randbytes(50)))
        for _ in range(3):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with RawClient(server.address) as hostile:
            hostile.socket.sendall(data)
            hostile.socket.shutdown(socket.SHUT_WR)
            while hostile.receive_frame() is not None:
                pass
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    with RawClient(server.address) as client:
        assert client.metadata().error_code == 0


def test_a_request_that_was_half_sent_is_forgotten_with_its_client(server: RunningServer, partition: Partition) -> None:
    with RawClient(server.address) as hostile:
        hostile.socket.sendall(produce_frame(b"x" * 100)[:-1])
    with RawClient(server.address) as client:
        assert client.produce("events", batch([b"a"])).base_offset == 0


def produce_frame(value: bytes) -> bytes:
    data = kind("ProduceRequest", "PartitionProduceData")(index=0, records=batch([value]))
    topic = kind("ProduceRequest", "TopicProduceData")(name="events", partition_data=[data])
    return request_frame("Produce", 9, kind("ProduceRequest")(acks=1, timeout_ms=1000, topic_data=[topic]))


def test_one_more_connection_than_allowed_is_refused(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(connections_max=2)
    with running_server(log, limits=limits) as server, RawClient(server.address) as first, RawClient(server.address) as second:
        assert first.metadata().topics and second.metadata().topics
        with RawClient(server.address) as third:
            assert third.receive_frame() is None
        assert first.metadata().topics
    assert any("refused" in record.getMessage() for record in caplog.records)


def test_a_client_that_is_silent_loses_its_connection(log: EventLog) -> None:
    with running_server(log, limits=Limits(idle_seconds=0.1)) as server, RawClient(server.address) as client:
        assert client.metadata().topics
        assert client.receive_frame() is None


def test_a_client_that_stops_in_the_middle_of_a_request_loses_its_connection(log: EventLog) -> None:
    with running_server(log, limits=Limits(stalled_seconds=0.1)) as server, RawClient(server.address) as client:
        client.socket.sendall(METADATA[:-1])
        assert client.receive_frame() is None


def test_a_client_that_waits_for_records_is_not_taken_for_silent(log: EventLog) -> None:
    limits = Limits(idle_seconds=0.1, stalled_seconds=0.1)
    with running_server(log, limits=limits) as server, RawClient(server.address) as client:
        assert client.fetch("events", 0, max_wait_ms=2500).error_code == 0


def test_a_client_that_takes_no_answers_loses_its_connection(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log.partition("events", 0).append(b"x" * 1_000_000)
    with running_server(log, limits=Limits(stalled_seconds=0.1)) as server, RawClient(server.address) as client:
        for _ in range(50):
            client.send_fetch("events", 0)
        with RawClient(server.address) as other:
            while not any("stuck" in record.getMessage() for record in caplog.records):
                assert other.metadata().topics


def test_large_requests_share_the_memory_that_there_is_and_all_come_through(log: EventLog) -> None:
    limits = Limits(memory_bytes_max=2 * BUFFER_BYTES)
    frames = [produce_frame(bytes([number]) * (10 * BUFFER_BYTES)) for number in range(4)]
    with running_server(log, limits=limits) as server:
        clients = [RawClient(server.address) for _ in frames]
        for client in clients:
            client.socket.setblocking(False)
        left: dict[int, Any] = {number: memoryview(frame) for number, frame in enumerate(frames)}
        send_all_by_turns(clients, left)
        for client in clients:
            client.socket.settimeout(SECONDS_MAX)
            assert client.receive_frame() is not None
            client.socket.close()
    sizes = {(record.value or b"")[:1]: len(record.value or b"") for record in log.partition("events", 0).records()}
    assert sizes == {bytes([number]): 10 * BUFFER_BYTES for number in range(4)}


def send_all_by_turns(clients: list[RawClient], left: dict[int, Any]) -> None:
    """Send to each connection as much as it takes, until all have taken all."""
    poll = select.poll()
    numbers = {client.socket.fileno(): number for number, client in enumerate(clients)}
    for descriptor in numbers:
        poll.register(descriptor, select.POLLOUT)
    while left:
        for descriptor, _ in poll.poll(SECONDS_MAX * 1000):
            number = numbers[descriptor]
            sent = clients[number].socket.send(left[number][:30_000])
            left[number] = left[number][sent:]
            if not left[number]:
                del left[number]
                poll.unregister(descriptor)


def test_clients_that_take_no_answers_do_not_keep_others_from_reading(log: EventLog) -> None:
    large = log.partition("events", 0)
    log.create_topic("small")
    for _ in range(4):
        large.append(b"x" * 1_000_000)
    log.partition("small", 0).append(b"news")
    with running_server(log, limits=Limits(stalled_seconds=600)) as server:
        hostile = [RawClient(server.address) for _ in range(70)]
        for each in hostile:
            for _ in range(4):  # more than the system's buffers take
                each.send_fetch("events", 0, partition_max_bytes=2**22)
        with RawClient(server.address) as client:
            while not server.run(is_full(server)):
                assert client.metadata().topics
            assert client.fetch("small", 0).records
        for each in hostile:
            each.socket.close()


async def is_full(server: RunningServer) -> bool:
    return bool(server.server._broker.answers_with_records.locked())
