"""Requests that are valid by their schema, and absurd: the server answers or disconnects, and has no error of its own."""

from __future__ import annotations

import logging
import random
import socket

import pytest

from eventlog import EventLog
from eventlog.serve.broker import Settings
from eventlog.serve.offered import APIS
from eventlog.serve.protocol.messages import message
from eventlog.serve.security.accounts import add_user
from tests.serve.authentication import authenticate
from tests.serve.client import RawClient, request_frame
from tests.serve.conftest import running_server
from tests.serve.test_messages import any_struct

REQUESTS = 5  # of each API and version


def ask(client: RawClient, name: str, version: int, chance: random.Random) -> None:
    """Send a request, leave, and wait for the answer or the end of the connection."""
    request = any_struct(message(f"{name}Request"), version, chance)
    for field in ("max_wait_ms", "rebalance_timeout_ms", "session_timeout_ms", "timeout_ms"):
        if field in request.field_names:
            setattr(request, field, min(getattr(request, field), 10))
    client.socket.sendall(request_frame(name, version, request))
    client.socket.shutdown(socket.SHUT_WR)
    client.receive_frame()


@pytest.mark.parametrize("name", sorted(api.name for api in APIS.values()))
@pytest.mark.parametrize("has_users", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["anyone", "user"])
def test_absurd_requests_end_nothing_but_their_connection(
    log: EventLog, caplog: pytest.LogCaptureFixture, name: str, has_users: bool
) -> None:
    add_user(log, "alice", "secret", "writer", topic_prefixes=["a"], group_prefixes=["b"])
    versions = next(api.versions for api in APIS.values() if api.name == name)
    with running_server(log, Settings(has_users=has_users)) as server:
        for version in versions:
            chance = random.Random(f"{name} {version}")
            for _ in range(1 if has_users else REQUESTS):
                with RawClient(server.address) as client:
                    if has_users:
                        authenticate(client, "alice", "secret")
                    ask(client, name, version, chance)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
