"""A server that sends its frames in pieces, or bytes that are no frames."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pika.frame
import pika.spec
import pytest

from eventlog.bridges.amqp import properties
from eventlog.bridges.endpoints import SourceContext
from eventlog.bridges.systems import make_source
from eventlog.bridges.url import Url
from eventlog.errors import ConnectionLostError

spec = pika.spec
ANSWERS = [
    (1, spec.Connection.Tune(10, 4096, 0)),
    (0, None),
    (1, spec.Connection.OpenOk()),
    (1, spec.Channel.OpenOk()),
    (1, spec.Queue.DeclareOk("q", 0, 0)),
    (1, spec.Basic.QosOk()),
    (1, spec.Basic.ConsumeOk("tag")),
]
START = spec.Connection.Start(server_properties={"capabilities": {}}, mechanisms="PLAIN", locales="en_US")


def method(channel: int, content: object) -> bytes:
    frame: bytes = pika.frame.Method(channel, content).marshal()
    return frame


def delivery(consumer: str, tag: int, body: bytes) -> bytes:
    """A message in the frames of a connection whose frames have 4096 bytes at most."""
    encoded = properties.build({"message-id": b"%d" % tag})
    header = pika.frame.Header(1, len(body), pika.BasicProperties().decode(encoded)).marshal()
    bodies = [pika.frame.Body(1, body[start : start + 4088]).marshal() for start in range(0, len(body), 4088)]
    return method(1, spec.Basic.Deliver(consumer, tag, False, "", "q")) + header + b"".join(bodies)


@contextmanager
def server(pieces: Callable[[str], list[bytes]], *, has_handshake: bool = True) -> Iterator[str]:
    """Answers one client, sends it these pieces, and hangs up once the client does, or at once without a handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.recv(8)
                for piece in pieces(greet(connection) if has_handshake else ""):
                    connection.sendall(piece)
                if has_handshake:
                    connection.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"amqp://127.0.0.1:{listening.getsockname()[1]}/%2F?queue=q&heartbeat=0"
        thread.join(30)


def greet(connection: socket.socket) -> str:
    """Answer what a source asks for until it consumes, and return the name that it gives its consumer."""
    received, consumer = b"", ""
    connection.sendall(method(0, START))
    for count, answer in ANSWERS:
        while True:
            consumed, frame = pika.frame.decode_frame(received)
            if frame is not None:
                break
            received += connection.recv(4096)
        received = received[consumed:]
        if isinstance(answer, spec.Basic.ConsumeOk):
            consumer = frame.method.consumer_tag
            answer = spec.Basic.ConsumeOk(consumer)
        if count:
            connection.sendall(method(0 if isinstance(answer, spec.Connection.Tune | spec.Connection.OpenOk) else 1, answer))
    return consumer


def source(url: str) -> Any:
    return make_source(Url(url), SourceContext("t", lambda source, partition: None, None, None, None, 100, 1 << 20, no_log))


def no_log(url: str) -> Any:
    raise AssertionError(url)


@pytest.mark.parametrize("seed", range(3))
def test_messages_are_read_however_their_frames_are_cut(seed: int) -> None:
    choices = random.Random(seed)
    bodies = [choices.randbytes(choices.choice((0, 1, 7, 100, 4087, 4088, 4089, 9000))) for _ in range(60)]

    def pieces(consumer: str) -> list[bytes]:
        stream = b"".join(delivery(consumer, number + 1, body) for number, body in enumerate(bodies))
        cuts = sorted(choices.sample(range(len(stream)), 150))
        return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    with server(pieces) as url:
        reader = source(url)
        reader.open()
        received = []
        while len(received) < len(bodies):
            received += reader.receive(10.0, 100)
        reader.close()
    assert [message.value for message in received] == bodies
    assert [dict(message.headers)["message-id"] for message in received] == [b"%d" % (each + 1) for each in range(len(bodies))]


@pytest.mark.parametrize("seed", range(12))
def test_bytes_that_are_no_frames_lose_the_connection_and_raise_nothing_else(seed: int) -> None:
    choices = random.Random(seed)

    def pieces(consumer: str) -> list[bytes]:
        stream = bytearray(b"".join(delivery(consumer, number + 1, b"x" * 50) for number in range(10)))
        for _ in range(8):
            stream[choices.randrange(len(stream))] = choices.randrange(256)
        return [bytes(stream), (bytes((spec.FRAME_METHOD, 0, 1)) + b"\xff" * 8) * 500]  # frames larger than any

    with server(pieces) as url:
        reader = source(url)
        reader.open()
        with pytest.raises(ConnectionLostError):
            for _ in range(100):
                reader.receive(5.0, 100)
        reader.close()


@pytest.mark.parametrize(
    "greeting", [b"AMQP\x00\x00\x09\x00", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\x01\x00\x00\x00\x00\x00\x04abcd\xce"]
)
def test_what_is_no_rabbitmq_is_tried_again(greeting: bytes) -> None:
    with server(lambda consumer: [greeting], has_handshake=False) as url:
        reader = source(url)
        with pytest.raises(ConnectionLostError):
            reader.open()
        reader.close()
