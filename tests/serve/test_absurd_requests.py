"""Requests that are valid by their schema, and absurd: the server answers or disconnects, and has no error of its own."""

from __future__ import annotations

import logging
import random
import socket

import pytest

from eventlog.serve.offered import APIS
from eventlog.serve.protocol.messages import message
from tests.serve.client import RawClient, request_frame
from tests.serve.conftest import RunningServer
from tests.serve.test_messages import any_struct

REQUESTS = 5  # of each API and version


@pytest.mark.parametrize("name", sorted(api.name for api in APIS.values()))
def test_absurd_requests_end_nothing_but_their_connection(
    server: RunningServer, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    api = next(api for api in APIS.values() if api.name == name)
    for version in api.versions:
        chance = random.Random(f"{name} {version}")
        for _ in range(REQUESTS):
            request = any_struct(message(f"{name}Request"), version, chance)
            for field in ("max_wait_ms", "rebalance_timeout_ms", "session_timeout_ms", "timeout_ms"):
                if field in request.field_names:
                    setattr(request, field, min(getattr(request, field), 10))
            with RawClient(server.address) as client:
                client.socket.sendall(request_frame(name, version, request))
                client.socket.shutdown(socket.SHUT_WR)
                client.receive_frame()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    with RawClient(server.address) as client:
        assert client.metadata().brokers
