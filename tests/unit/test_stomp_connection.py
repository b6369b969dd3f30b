"""Connections to a STOMP server: login, TLS, heart-beats, and what servers do wrong."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from eventlog.bridges.stomp.connection import Address, Connection
from eventlog.errors import BridgeError, ConnectionLostError
from tests.serve.certificates import Authority
from tests.support.stomp_server import DISCONNECT, StompServer

SECRET = "not to be shown"


@contextmanager
def connected_to(*answers: bytes, heart_beat_seconds: float = 30, reads: threading.Event | None = None) -> Iterator[Connection]:
    """A connection to a server that answers whatever comes with these bytes, one after the other, then takes what comes in
    silence, once it `reads`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            accepted, _ = listener.accept()
            with accepted:
                for answer in answers:
                    accepted.recv(65536)
                    accepted.sendall(answer)
                if reads is not None:
                    reads.wait()
                with suppress(OSError):
                    while accepted.recv(65536):
                        pass

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        address = Address("127.0.0.1", listener.getsockname()[1], heart_beat_seconds=heart_beat_seconds)
        with closing(Connection(address)) as connection:
            yield connection


def address_of(server: StompServer, **more: object) -> Address:
    return Address("127.0.0.1", server.port)._replace(**more)


def test_frames_go_both_ways() -> None:
    with StompServer() as server, closing(Connection(address_of(server))) as connection:
        connection.send("SEND", [("destination", "/queue/a"), ("receipt", "1")], b"one")
        (frame,) = connection.exchange(10)
        assert (frame.command, frame.header("receipt-id")) == ("RECEIPT", "1")
        assert server.bodies("/queue/a") == [b"one"]
        assert connection.exchange(0) == []


def test_more_than_a_socket_takes_is_sent_little_by_little() -> None:
    reads = threading.Event()
    with connected_to(b"CONNECTED\nversion:1.2\n\n\0", reads=reads) as connection:
        connection.send("SEND", [("destination", "/queue/a"), ("receipt", "1")], bytes(50_000_000))
        assert connection.exchange(0) == []
        assert connection.unsent_bytes > 0
        reads.set()
        while connection.unsent_bytes:
            assert connection.exchange(0.1) == []


@pytest.mark.parametrize("name, is_artemis", [("ActiveMQ/6.3.1", False), ("ActiveMQ-Artemis/2.40.0 ActiveMQ", True)])
def test_the_server_says_which_one_it_is(name: str, is_artemis: bool) -> None:
    with StompServer(name) as server, closing(Connection(address_of(server))) as connection:
        assert (connection.server, connection.is_artemis) == (name, is_artemis)


def test_a_login_is_sent_and_a_wrong_one_is_refused_for_good() -> None:
    with StompServer() as server:
        server.users["ann"] = SECRET
        Connection(address_of(server, login="ann", password=SECRET)).close()
        with pytest.raises(BridgeError, match=r"User name \[ann\] or password is invalid"):
            Connection(address_of(server, login="ann", password="wrong"))


def test_a_password_is_in_no_message() -> None:
    with StompServer() as server:
        server.fault = lambda frame: f"what is '{frame.header('passcode')}'"
        address = address_of(server, login="ann", password=SECRET)
        with pytest.raises(ConnectionLostError) as raised:
            Connection(address)
    assert "what is '***'" in str(raised.value)
    assert SECRET not in f"{raised.value!r} {address!r} {address}"


def test_tls_checks_the_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.files.certificate, authority.files.key)
    with StompServer(tls=tls) as server:
        body = bytes(2_000_000)
        with closing(Connection(address_of(server, tls=authority.context()))) as connection:
            connection.send("SEND", [("destination", "/queue/a"), ("receipt", "1")], body)
            while not connection.exchange(10):
                pass
            assert server.bodies("/queue/a") == [body]
        with pytest.raises(BridgeError, match=r"certificate .* is not valid"):
            Connection(address_of(server, tls=ssl.create_default_context()))


def test_nobody_there_is_temporary() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionLostError, match="cannot be reached"):
        Connection(Address("127.0.0.1", port))


@pytest.mark.parametrize("fault", [DISCONNECT, "out of memory"])
def test_a_connection_that_ends_is_lost_from_then_on(fault: str) -> None:
    with StompServer() as server, closing(Connection(address_of(server))) as connection:
        server.fault = lambda frame: fault
        connection.send("SEND", [("destination", "/queue/a")], b"one")
        for _ in range(2):
            with pytest.raises(ConnectionLostError, match=r"out of memory|closed the connection|was lost"):
                while True:
                    connection.exchange(10)


def test_receipts_before_an_error_are_returned_first() -> None:
    answers = b"CONNECTED\nversion:1.2\n\n\0", b"RECEIPT\nreceipt-id:1\n\n\0ERROR\nmessage:no more\n\n\0"
    with connected_to(*answers) as connection:
        connection.send("BEGIN")
        assert [frame.command for frame in connection.exchange(10)] == ["RECEIPT"]
        with pytest.raises(ConnectionLostError, match="no more"):
            connection.exchange(10)


def test_a_missing_right_is_for_good() -> None:
    with StompServer() as server, closing(Connection(address_of(server))) as connection:
        server.fault = lambda frame: "User ann is not authorized to write to: queue://a"
        connection.send("SEND", [("destination", "/queue/a")], b"one")
        with pytest.raises(BridgeError, match="not authorized to write"):
            while True:
                connection.exchange(10)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"CONNECTED\nversion:1.2\nheart-beat:x\n\n\0"])
def test_what_is_no_stomp_server_is_not_understood(answer: bytes) -> None:
    with pytest.raises(ConnectionLostError, match="invalid"), connected_to(answer):
        pass


def test_an_old_version_of_the_protocol_is_refused() -> None:
    with pytest.raises(BridgeError, match=r"STOMP 1\.2"), connected_to(b"CONNECTED\nsession:1\n\n\0"):
        pass


def test_heart_beats_are_sent_while_nothing_else_is() -> None:
    answers = b"CONNECTED\nversion:1.2\nheart-beat:0,20\n\n\0", b"RECEIPT\n\n\0"
    with connected_to(*answers, heart_beat_seconds=0.02) as connection:
        assert [frame.command for frame in connection.exchange(10)] == ["RECEIPT"]


def test_a_server_whose_heart_beats_stop_is_lost() -> None:
    silent = connected_to(b"CONNECTED\nversion:1.2\nheart-beat:10,0\n\n\0", heart_beat_seconds=0.01)
    with silent as connection, pytest.raises(ConnectionLostError, match="has sent nothing"):
        while True:
            connection.exchange(0.01)
