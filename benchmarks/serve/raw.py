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
