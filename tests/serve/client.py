"""A client of one connection that speaks Kafka's protocol by the server's own codec, and shows what comes back."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from eventlog.serve.offered import APIS
from eventlog.serve.protocol.messages import codec, is_flexible, kind

_KEYS = {api.name: key for key, api in APIS.items()}
SECONDS_MAX = 30


def request_frame(api: str, version: int, request: Any, correlation_id: int = 1) -> bytes:
    """The bytes of a request, with its length in front."""
    name = f"{api}Request"
    pieces: list[Any] = [struct.pack(">hhih", _KEYS[api], version, correlation_id, 4), b"test"]
    if is_flexible(name, version):
        pieces.append(b"\0")
    codec(name, version).encode(request, pieces)
    body = b"".join(pieces)
    return struct.pack(">i", len(body)) + body


class RawClient:
    """Sends requests, and bytes that are none."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext | None = None) -> None:
        """With a `context` the connection is encrypted."""
        self.socket = socket.create_connection(address, timeout=SECONDS_MAX)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname=address[0])
        self._correlation_id = 0
        self._held: list[bytes] | None = None

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()

    def send(self, api: str, version: int, **fields: Any) -> tuple[str, int, int]:
        """Send a request, and return what `receive` needs."""
        self._correlation_id += 1
        request = kind(f"{api}Request")(**fields)
        frame = request_frame(api, version, request, self._correlation_id)
        if self._held is None:
            self.socket.sendall(frame)
        else:
            self._held.append(frame)
        return api, version, self._correlation_id

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send the requests of a block in one piece, so that the server gets them at the same time."""
        self._held = []
        yield
        held, self._held = self._held, None
        self.socket.sendall(b"".join(held))

    def receive(self, api: str, version: int, correlation_id: int) -> Any:
        """The answer to a request."""
        frame = self.receive_frame()
        assert frame is not None, "the connection was closed"
        assert struct.unpack_from(">i", frame)[0] == correlation_id
        name = f"{api}Response"
        start = 4 + (api != "ApiVersions" and is_flexible(name, version))
        response, end = codec(name, version).decode(memoryview(frame)[start:])
        assert start + end == len(frame)
        return response

    def ask(self, api: str, version: int, **fields: Any) -> Any:
        """Send a request and return the answer."""
        return self.receive(*self.send(api, version, **fields))

    def receive_frame(self) -> bytes | None:
        """The next answer without its length; None if the server has closed the connection."""
        try:
            head = self._receive_bytes(4)
            return None if head is None else self._receive_bytes(struct.unpack(">i", head)[0])
        except ConnectionResetError:
            return None

    def _receive_bytes(self, count: int) -> bytes | None:
        received = b""
        while len(received) < count:
            piece = self.socket.recv(count - len(received))
            if not piece:
                return None
            received += piece
        return received

    # --- what tests ask for again and again ------------------------------------------------------------------

    def produce(self, topic: str, records: bytes | None, *, version: int = 9, partition: int = 0, acks: int = -1) -> Any:
        """Send one batch; returns the partition's part of the answer."""
        data = kind("ProduceRequest", "PartitionProduceData")(index=partition, records=records)
        topics = [kind("ProduceRequest", "TopicProduceData")(name=topic, partition_data=[data])]
        response = self.ask("Produce", version, acks=acks, timeout_ms=30_000, topic_data=topics)
        return response.responses[0].partition_responses[0]

    def fetch(self, topic: str, offset: int, *, version: int = 12, partition: int = 0, **fields: Any) -> Any:
        """Fetch from one partition; returns its part of the answer."""
        response = self.receive(*self.send_fetch(topic, offset, version=version, partition=partition, **fields))
        return response.responses[0].partitions[0]

    def send_fetch(
        self, topic: str, offset: int, *, version: int = 12, partition: int = 0, partition_max_bytes: int = 2**20, **fields: Any
    ) -> tuple[str, int, int]:
        """Send a request to fetch from one partition."""
        wanted = kind("FetchRequest", "FetchPartition")(
            partition=partition, fetch_offset=offset, partition_max_bytes=partition_max_bytes
        )
        topics = [kind("FetchRequest", "FetchTopic")(topic=topic, partitions=[wanted])]
        fields = {"max_wait_ms": 0, "min_bytes": 1, "max_bytes": 2**24, **fields}
        return self.send("Fetch", version, topics=topics, **fields)

    def metadata(self, *topics: str, version: int = 9, allow_auto_topic_creation: bool = True) -> Any:
        """Ask for topics by name; without names for all."""
        entry = kind("MetadataRequest", "MetadataRequestTopic")
        wanted = [entry(name=name) for name in topics] if topics else None
        return self.ask("Metadata", version, topics=wanted, allow_auto_topic_creation=allow_auto_topic_creation)
