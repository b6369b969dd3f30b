"""A client of one connection that sends requests made in advance, so that the server is all that is measured."""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Any, NamedTuple

from eventlog.serve.protocol.messages import codec, is_flexible, kind
from tests.serve.batches import batch

_PRODUCE, _PRODUCE_VERSION = 0, 9
_FETCH, _FETCH_VERSION = 1, 12
_CREATE_TOPICS, _CREATE_TOPICS_VERSION = 19, 5
_CORRELATION = 7
_TICKS = os.sysconf("SC_CLK_TCK")


class Measured(NamedTuple):
    """So many requests or records took `seconds`, and `cpu_seconds` of the server."""

    requests: int
    seconds: float
    cpu_seconds: float


def cpu_seconds(processes: list[int]) -> float:
    """The processor time that processes have used, in the kernel and outside."""
    total = 0
    for process in processes:
        with open(f"/proc/{process}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def memory_mb(processes: list[int]) -> float:
    """The resident memory of processes, in MB; pages that they share count for each of them."""
    total = 0
    for process in processes:
        with open(f"/proc/{process}/statm") as file:
            total += int(file.read().split()[1])
    return total * os.sysconf("SC_PAGESIZE") / 1e6


def _frame(key: int, name: str, version: int, request: Any) -> bytes:
    pieces: list[Any] = [struct.pack(">hhih", key, version, _CORRELATION, 3), b"raw"]
    if is_flexible(name, version):
        pieces.append(b"\0")
    codec(name, version).encode(request, pieces)
    body = b"".join(pieces)
    return struct.pack(">i", len(body)) + body


def produce_frame(topic: str, records: int, record_bytes: int) -> bytes:
    """A request to append one batch to partition 0."""
    values = [b"x" * record_bytes] * records
    data = kind("ProduceRequest", "PartitionProduceData")(index=0, records=batch(values))
    topics = [kind("ProduceRequest", "TopicProduceData")(name=topic, partition_data=[data])]
    request = kind("ProduceRequest")(acks=1, timeout_ms=30_000, topic_data=topics)
    return _frame(_PRODUCE, "ProduceRequest", _PRODUCE_VERSION, request)


def _fetch_frame(topic: str, offset: int) -> bytes:
    """A request for the records of partition 0 from an offset on, or the next one that comes."""
    wanted = kind("FetchRequest", "FetchPartition")(partition=0, fetch_offset=offset, partition_max_bytes=2**20)
    topics = [kind("FetchRequest", "FetchTopic")(topic=topic, partitions=[wanted])]
    request = kind("FetchRequest")(max_wait_ms=5000, min_bytes=1, max_bytes=2**24, topics=topics)
    return _frame(_FETCH, "FetchRequest", _FETCH_VERSION, request)


class RawConnection:
    """Sends frames, and checks the answers' correlation ids."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()

    def close(self) -> None:
        self._socket.close()

    def create(self, topic: str) -> None:
        """Create a topic of one partition."""
        wanted = kind("CreateTopicsRequest", "CreatableTopic")(name=topic, num_partitions=1, replication_factor=1)
        request = kind("CreateTopicsRequest")(topics=[wanted], timeout_ms=30_000)
        self._socket.sendall(_frame(_CREATE_TOPICS, "CreateTopicsRequest", _CREATE_TOPICS_VERSION, request))
        answer, _ = codec("CreateTopicsResponse", _CREATE_TOPICS_VERSION).decode(memoryview(self._answer())[5:])
        assert answer.topics[0].error_code == 0, answer.topics[0].error_message

    def produce(self, frame: bytes) -> int:
        """Send a produce request, and return the offset that its record got."""
        self._socket.sendall(frame)
        response, _ = codec("ProduceResponse", _PRODUCE_VERSION).decode(memoryview(self._answer())[5:])
        assert response.responses[0].partition_responses[0].error_code == 0
        return int(response.responses[0].partition_responses[0].base_offset)

    def begin_fetch(self, topic: str, offset: int) -> None:
        """Ask for the record at an offset, which `end_fetch` waits for."""
        self._socket.sendall(_fetch_frame(topic, offset))

    def end_fetch(self) -> None:
        """Wait for the answer."""
        response, _ = codec("FetchResponse", _FETCH_VERSION).decode(memoryview(self._answer())[5:])
        partition = response.responses[0].partitions[0]
        assert partition.error_code == 0 and len(partition.records) > 0

    def _answer(self) -> bytes:
        while len(self._received) < 4 or len(self._received) < 4 + struct.unpack_from(">i", self._received)[0]:
            self._receive()
        end = 4 + int(struct.unpack_from(">i", self._received)[0])
        answer = bytes(self._received[4:end])
        del self._received[:end]
        assert struct.unpack_from(">i", answer)[0] == _CORRELATION
        return answer

    def _receive(self) -> None:
        piece = self._socket.recv(1 << 18)
        if not piece:
            raise ConnectionError("the server has closed the connection")
        self._received += piece

    def send_all(self, frame: bytes, count: int, in_flight: int) -> None:
        """Send a produce request `count` times, with so many without an answer; all answers have the same size."""
        self._socket.sendall(frame)
        size = 4 + len(self._check_produced(self._answer()))
        sent, received = 1, size
        group = max(1, in_flight // 4)
        while received < count * size:
            allowed = min(count, received // size + in_flight) - sent
            if allowed >= min(group, count - sent) and allowed > 0:
                self._socket.sendall(frame * allowed)
                sent += allowed
            self._receive()
            received += len(self._received)
            self._received.clear()

    def _check_produced(self, answer: bytes) -> bytes:
        response, _ = codec("ProduceResponse", _PRODUCE_VERSION).decode(memoryview(answer)[5:])
        code = response.responses[0].partition_responses[0].error_code
        assert code == 0, f"error {code}"
        return answer


def measure(address: tuple[str, int], processes: list[int], frame: bytes, count: int, in_flight: int = 200) -> Measured:
    """Send a request that often over one connection."""
    connection = RawConnection(address)
    before, start = cpu_seconds(processes), time.perf_counter()
    connection.send_all(frame, count, in_flight)
    seconds = time.perf_counter() - start
    connection.close()
    return Measured(count, seconds, cpu_seconds(processes) - before)


def produce_one_by_one(address: tuple[str, int], topic: str, count: int) -> list[float]:
    """Send a request of one record, and wait for its answer, again and again: the seconds of each."""
    connection, frame, times = RawConnection(address), produce_frame(topic, 1, 100), []
    connection.produce(frame)
    for _ in range(count):
        start = time.perf_counter()
        connection.produce(frame)
        times.append(time.perf_counter() - start)
    connection.close()
    return times


def end_to_end(address: tuple[str, int], topic: str, count: int) -> list[float]:
    """Send a record that a consumer waits for, again and again: the seconds until it has the record."""
    producer, consumer, frame, times = RawConnection(address), RawConnection(address), produce_frame(topic, 1, 100), []
    offset = producer.produce(frame)
    for _ in range(count):
        offset += 1
        consumer.begin_fetch(topic, offset)
        time.sleep(0.001)  # until the server has it
        start = time.perf_counter()
        producer.produce(frame)
        consumer.end_fetch()
        times.append(time.perf_counter() - start)
    producer.close()
    consumer.close()
    return times
