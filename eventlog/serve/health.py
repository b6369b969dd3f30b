"""Does a server answer? For the health checks of containers and supervisors, which run every few seconds: quick to import."""

from __future__ import annotations

import socket
import ssl
import struct
import time

from eventlog.errors import EventLogError

_API_VERSIONS = 18
_CLIENT = b"eventlog-check"
_CORRELATION_ID = 1
_ANSWER_BYTES_MAX = 64 * 1024
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def check_health(host: str, port: int, *, is_encrypted: bool, seconds: float) -> float:
    """Ask the server at an address which APIs it offers, and return the time in seconds that it took to answer.

    A server that listens on all addresses is asked at that of this machine. An encrypted connection only shows that the server
    speaks TLS: its certificate is not checked, and no request is sent, because it may demand a certificate of the client.
    Raises `EventLogError`."""
    host = _ANY_ADDRESS.get(host, host)
    start = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection:
            if is_encrypted:
                _shake_hands(connection)
            else:
                _ask(connection)
    except (OSError, ValueError) as error:
        raise EventLogError(f"no server answers at {host}:{port} within {seconds:g} s: {error}") from error
    return time.monotonic() - start


def _shake_hands(connection: socket.socket) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.wrap_socket(connection).close()


def _ask(connection: socket.socket) -> None:
    request = struct.pack(f">hhih{len(_CLIENT)}s", _API_VERSIONS, 0, _CORRELATION_ID, len(_CLIENT), _CLIENT)
    connection.sendall(struct.pack(">i", len(request)) + request)
    (length,) = struct.unpack(">i", _received(connection, 4))
    if not 6 <= length <= _ANSWER_BYTES_MAX:
        raise ValueError("what answers there does not speak Kafka's protocol")
    correlation_id, error_code = struct.unpack_from(">ih", _received(connection, length))
    if (correlation_id, error_code) != (_CORRELATION_ID, 0):
        raise ValueError(f"its answer to ApiVersions has the error code {error_code}")


def _received(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ValueError("the connection was closed without an answer")
        data += piece
    return data
