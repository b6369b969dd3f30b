"""Clients that authenticate by SASL, or fail to; and what a client may do before."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventlog import EventLog
from eventlog.catalog.users import Credential
from eventlog.serve.broker import Settings
from eventlog.serve.connection import Limits
from eventlog.serve.security.accounts import add_user, alter_user, delete_user
from eventlog.serve.security.scram import AuthenticationError, ScramExchange, credential_of, new_credential
from tests.serve.authentication import ScramClient, authenticate, authenticate_plainly
from tests.serve.certificates import Authority
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server

ILLEGAL_SASL_STATE, UNSUPPORTED_SASL_MECHANISM, SASL_AUTHENTICATION_FAILED = 34, 33, 58
WITH_USERS = Settings(has_users=True)


@pytest.fixture
def server(log: EventLog) -> Iterator[RunningServer]:
    add_user(log, "alice", "secret", "admin")
    with running_server(log, WITH_USERS) as server:
        yield server


# --- SCRAM ---------------------------------------------------------------------------------------------------


def test_the_example_of_rfc_7677(monkeypatch: pytest.MonkeyPatch) -> None:
    import base64
    import hashlib

    monkeypatch.setattr("secrets.token_urlsafe", lambda size: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", salt, 4096)
    exchange = ScramExchange("SCRAM-SHA-256", lambda name: credential_of("SCRAM-SHA-256", salted, salt, 4096))
    first = exchange.first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
    assert first == b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    final = exchange.final(
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert final == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_names_and_passwords_of_any_characters(mechanism: str) -> None:
    credential = new_credential(mechanism, "p,=ä☃")
    names = []

    def find(name: str) -> Credential:
        names.append(name)
        return credential

    exchange = ScramExchange(mechanism, find)
    client = ScramClient(mechanism, "ä=2C=3D☃", "p,=ä☃")
    proof = client.proof(exchange.first(client.first))
    assert exchange.final(proof) == client.signature
    assert names == ["ä,=☃"]


@pytest.mark.parametrize(
    "message",
    [b"", b"n", b"n,,", b"n,,n=,r=x", b"n,,n=a", b"n,,n=a,r=", b"p=tls-unique,,n=a,r=x", b"n,a=b,n=a,r=x", b"n,,m=x,n=a,r=x",
     b"n,,n=a=2,r=x", b"n,,n=a,r=\xff", b"\xff" * 100, b"n,,n=a,r=x y", b"x,,n=a,r=x"],
)  # fmt: skip
def test_first_messages_that_are_wrong(message: bytes) -> None:
    with pytest.raises(AuthenticationError):
        ScramExchange("SCRAM-SHA-256", lambda name: new_credential("SCRAM-SHA-256", "x")).first(message)


@pytest.mark.parametrize(
    "change", [(b"c=biws", b"c=eSws"), (b",r=", b",r=a"), (b"p=", b"p=AA"), (b",p=", b",q="), (b"p=", b"p=!")]
)
def test_last_messages_that_are_wrong(change: tuple[bytes, bytes]) -> None:
    credential = new_credential("SCRAM-SHA-256", "x")
    exchange = ScramExchange("SCRAM-SHA-256", lambda name: credential)
    client = ScramClient("SCRAM-SHA-256", "a", "x")
    proof = client.proof(exchange.first(client.first))
    with pytest.raises(AuthenticationError):
        exchange.final(proof.replace(*change))


# --- a connection --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_client_that_authenticates_is_served(server: RunningServer, mechanism: str) -> None:
    with RawClient(server.address) as client:
        assert client.ask("ApiVersions", 3, client_software_name="a", client_software_version="1").error_code == 0
        answer = authenticate(client, "alice", "secret", mechanism)
        assert (answer.error_code, answer.session_lifetime_ms) == (0, 0)
        assert [topic.name for topic in client.metadata().topics] == ["events"]


def test_nothing_is_done_before(server: RunningServer, caplog: pytest.LogCaptureFixture) -> None:
    from eventlog.serve.offered import APIS

    for api in APIS.values():
        if api.name in ("ApiVersions", "SaslHandshake", "SaslAuthenticate"):
            continue
        with RawClient(server.address) as client:
            client.send(api.name, api.versions[-1])
            assert client.receive_frame() is None, api.name
    assert len(caplog.records) == len(APIS) - 3
    assert all("before it is authenticated" in record.getMessage() for record in caplog.records)


def test_nor_in_the_middle_of_authentication(server: RunningServer) -> None:
    with RawClient(server.address) as client:
        client.ask("SaslHandshake", 1, mechanism="SCRAM-SHA-256")
        scram = ScramClient("SCRAM-SHA-256", "alice", "secret")
        client.ask("SaslAuthenticate", 2, auth_bytes=scram.first)
        client.send("Metadata", 9, topics=None)
        assert client.receive_frame() is None


@pytest.mark.parametrize(("name", "password"), [("alice", "wrong"), ("alice", ""), ("nobody", "secret")])
def test_a_client_that_fails_is_told_so_and_disconnected(
    server: RunningServer, caplog: pytest.LogCaptureFixture, name: str, password: str
) -> None:
    with RawClient(server.address) as client:
        answer = authenticate(client, name, password)
        assert answer.error_code == SASL_AUTHENTICATION_FAILED
        assert answer.error_message == "authentication failed: invalid credentials"
        assert client.receive_frame() is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "secret" not in caplog.text and "wrong" not in caplog.text


def first_answer(server: RunningServer, name: str) -> list[bytes]:
    with RawClient(server.address) as client:
        client.ask("SaslHandshake", 1, mechanism="SCRAM-SHA-256")
        answer = client.ask("SaslAuthenticate", 2, auth_bytes=ScramClient("SCRAM-SHA-256", name, "x").first)
        fields: list[bytes] = answer.auth_bytes.split(b",")
        return fields[1:]


def test_a_name_that_is_unknown_looks_like_that_of_a_user(server: RunningServer, log: EventLog) -> None:
    assert first_answer(server, "nobody") == first_answer(server, "nobody") != first_answer(server, "somebody")
    salt, iterations = first_answer(server, "nobody")
    known_salt, known_iterations = first_answer(server, "alice")
    assert (len(salt), iterations) == (len(known_salt), known_iterations)
    with running_server(log, WITH_USERS) as again:
        assert first_answer(again, "nobody") == [salt, iterations]


def test_another_mechanism_is_refused(server: RunningServer) -> None:
    with RawClient(server.address) as client:
        answer = client.ask("SaslHandshake", 1, mechanism="PLAIN")
        assert answer.error_code == UNSUPPORTED_SASL_MECHANISM
        assert answer.mechanisms == ["SCRAM-SHA-256", "SCRAM-SHA-512"]
        assert client.receive_frame() is None


def test_a_token_without_a_handshake_is_refused(server: RunningServer) -> None:
    with RawClient(server.address) as client:
        assert client.ask("SaslAuthenticate", 2, auth_bytes=b"\0alice\0secret").error_code == ILLEGAL_SASL_STATE
        assert client.receive_frame() is None


def test_a_server_without_users_does_not_authenticate(log: EventLog) -> None:
    with running_server(log) as server, RawClient(server.address) as client:
        assert client.ask("SaslHandshake", 1, mechanism="SCRAM-SHA-256").error_code == ILLEGAL_SASL_STATE


def test_tokens_without_headers(server: RunningServer) -> None:
    def exchange(client: RawClient, token: bytes) -> bytes | None:
        client.socket.sendall(struct.pack(">i", len(token)) + token)
        return client.receive_frame()

    with RawClient(server.address) as client:
        assert client.ask("SaslHandshake", 0, mechanism="SCRAM-SHA-512").error_code == 0
        scram = ScramClient("SCRAM-SHA-512", "alice", "secret")
        answer = exchange(client, scram.first)
        assert answer is not None
        assert exchange(client, scram.proof(answer)) == scram.signature
        assert client.metadata().topics
    with RawClient(server.address) as client:
        client.ask("SaslHandshake", 0, mechanism="SCRAM-SHA-512")
        assert exchange(client, b"x") is None


def test_plain_is_for_encrypted_connections(log: EventLog, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    add_user(log, "alice", "secret")
    with running_server(log, Settings(tls=authority.files, has_users=True)) as server:
        for name, password, is_right in [("alice", "secret", True), ("alice", "wrong", False), ("nobody", "secret", False)]:
            with RawClient(server.address, authority.context()) as client:
                answer = authenticate_plainly(client, name, password)
                assert (answer.error_code == 0) == is_right
                if is_right:
                    assert client.metadata().topics
                else:
                    assert client.receive_frame() is None


# --- how long a session lasts --------------------------------------------------------------------------------


def test_a_session_ends_unless_the_client_authenticates_again(log: EventLog) -> None:
    add_user(log, "alice", "secret")
    add_user(log, "bob", "secret")
    with running_server(log, Settings(has_users=True, session_seconds=0.05)) as server:
        with RawClient(server.address) as client:
            assert authenticate(client, "alice", "secret").session_lifetime_ms == 50
            assert authenticate(client, "alice", "secret").error_code == 0
            while client.send("Metadata", 9, topics=None) and client.receive_frame() is not None:
                pass
        with RawClient(server.address) as client:
            authenticate(client, "alice", "secret")
            assert authenticate(client, "bob", "secret").error_code == SASL_AUTHENTICATION_FAILED
            assert client.receive_frame() is None


def change_password(log: EventLog) -> None:
    alter_user(log, "alice", password="other")


def delete(log: EventLog) -> None:
    delete_user(log, "alice")


@pytest.mark.parametrize("change", [change_password, delete])
def test_a_user_that_is_deleted_or_gets_another_password_is_disconnected(
    server: RunningServer, log: EventLog, change: Any
) -> None:
    with RawClient(server.address) as client:
        authenticate(client, "alice", "secret")
        assert client.metadata().topics
        change(log)
        client.send("Metadata", 9, topics=None)
        assert client.receive_frame() is None
    with RawClient(server.address) as client:
        assert authenticate(client, "alice", "secret").error_code == SASL_AUTHENTICATION_FAILED


# --- clients that take their time, or too much ---------------------------------------------------------------


def test_a_client_that_does_not_authenticate_loses_its_connection(log: EventLog) -> None:
    add_user(log, "alice", "secret")
    with (
        running_server(log, WITH_USERS, Limits(newcomer_seconds=0.5)) as server,
        RawClient(server.address) as client,
        RawClient(server.address) as slow,
    ):
        authenticate(client, "alice", "secret")
        assert slow.ask("SaslHandshake", 1, mechanism="SCRAM-SHA-256").error_code == 0
        assert slow.receive_frame() is None
        assert client.metadata().topics


def test_clients_that_never_authenticate_keep_nobody_out(log: EventLog) -> None:
    add_user(log, "alice", "secret")
    with running_server(log, WITH_USERS, Limits(connections_max=2, newcomers_max=5)) as server:
        slow = [RawClient(server.address) for _ in range(50)]
        with RawClient(server.address) as client:
            assert authenticate(client, "alice", "secret").error_code == 0
            assert client.metadata().topics
        for each in slow:
            each.socket.close()


def test_a_large_request_before_authentication_ends_the_connection(server: RunningServer) -> None:
    with RawClient(server.address) as client:
        client.socket.sendall(struct.pack(">i", 512 * 1024 + 1))
        assert client.receive_frame() is None
    with RawClient(server.address) as client:
        authenticate(client, "alice", "secret")
        client.socket.sendall(struct.pack(">i", 512 * 1024 + 1) + b"x")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.receive_frame() is None  # it is waited for, until the client leaves
