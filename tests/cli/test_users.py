"""`eventlog serve users`, and the server that admits only them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine
from tests.serve.authentication import authenticate
from tests.serve.certificates import Authority
from tests.serve.client import RawClient


@pytest.fixture
def users(cli: CommandLine) -> CommandLine:
    cli.output(
        "serve",
        "users",
        "add",
        "alice",
        "--role",
        "writer",
        "--topic-prefix",
        "orders",
        "--password-file",
        "-",
        stdin=b"secret\nx",
    )
    return cli


def test_users_are_added_listed_altered_and_deleted(users: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("other\n")
    assert users.objects("serve", "users", "list", "--json") == [
        {
            "user": "alice",
            "role": "writer",
            "topic_prefixes": ["orders"],
            "group_prefixes": [""],
            "mechanisms": ["SCRAM-SHA-256", "SCRAM-SHA-512"],
        }
    ]
    users.output("serve", "users", "alter", "alice", "--role", "admin", "--topic-prefix", "", "--password-file", "password")
    row = users.output("serve", "users", "list").splitlines()[-1]
    assert row.split() == ["alice", "admin", "*", "*", "SCRAM-SHA-256", "SCRAM-SHA-512"]
    users.output("serve", "users", "delete", "alice")
    assert users.objects("serve", "users", "list", "--json") == []


def test_a_password_is_never_stored_nor_shown(users: CommandLine) -> None:
    assert "secret" not in users.output("serve", "users", "list")
    assert b"secret\n" not in (users.store / "meta" / "data.mdb").read_bytes()


def test_what_is_refused(users: CommandLine) -> None:
    password = ("--password-file", "-")
    assert "exists already" in users.error("serve", "users", "add", "alice", *password, stdin=b"x")
    assert "no user" in users.error("serve", "users", "delete", "nobody")
    assert "no user" in users.error("serve", "users", "alter", "nobody", "--role", "admin")
    assert "empty" in users.error("serve", "users", "add", "bob", *password, stdin=b"\n")
    assert "not a user's name" in users.error("serve", "users", "add", "b\nb", *password, stdin=b"x")
    assert "missing" in users.error("serve", "users", "add", "bob", "--password-file", "missing")
    assert "no terminal" in users.error("serve", "users", "add", "bob", status=2)
    assert "nothing to change" in users.error("serve", "users", "alter", "alice", status=2)


def test_a_password_from_the_environment(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTLOG_PASSWORD", "secret")
    cli.output("serve", "users", "add", "alice")
    assert len(cli.objects("serve", "users", "list", "--json")) == 1


def test_with_encryption_and_users_other_machines_may_connect(users: CommandLine, tmp_path: Path) -> None:
    files = Authority(tmp_path).files
    tls = ("--tls-cert", files.certificate, "--tls-key", files.key)
    assert "--users" in users.error("serve", "--listen", "0.0.0.0:0", *tls)
    assert "--tls-cert" in users.error("serve", "--listen", "0.0.0.0:0", "--users")
    assert "serving" in users.output("serve", "--listen", "0.0.0.0:0", "--users", *tls, "--stop-when-idle", "0")


def test_the_server_admits_only_users(users: CommandLine) -> None:
    process = users.start("serve", "--listen", "127.0.0.1:0", "--json", "--users", "--session-seconds", "60")
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    address = told["host"], told["port"]
    with RawClient(address) as client:
        client.send("Metadata", 9, topics=None)
        assert client.receive_frame() is None
    with RawClient(address) as client:
        assert authenticate(client, "alice", "secret").session_lifetime_ms == 60_000
        assert client.metadata("orders").topics[0].error_code == 0
        users.output("serve", "users", "alter", "alice", "--topic-prefix", "other")
        assert client.metadata("orders").topics[0].error_code == 29
