"""Thousands of connections that are slow, half-open or silent: the server stays small, and serves the others.

There are 10,000 of them with EVENTLOG_CONNECTIONS=10000."""

from __future__ import annotations

import json
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import eventlog
from eventlog.serve.security.accounts import add_user
from tests.cli.command_line import CommandLine
from tests.serve.authentication import authenticate
from tests.serve.certificates import Authority
from tests.serve.client import RawClient

pytestmark = pytest.mark.slow

CONNECTIONS = int(os.environ.get("EVENTLOG_CONNECTIONS", "2000"))
MEMORY_KIB_MAX = 200 * 1024
HALF_OF_A_REQUEST = b"\0\0\0\x40\0\3\0\x09"
HALF_OF_A_HANDSHAKE = b"\x16\x03\x01\x02\x00\x01"


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CONNECTIONS + 1000:
        pytest.skip(f"this process may open only {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., tuple[int, tuple[str, int]]]]:
    """Starts the program; returns the process and the address."""
    command_line = CommandLine(tmp_path / "store")
    with eventlog.open(command_line.store) as log:
        log.create_topic("events")
        add_user(log, "alice", "secret")

    def start(*options: str) -> tuple[int, tuple[str, int]]:
        process = command_line.start("serve", "--listen", "127.0.0.1:0", "--json", *options)
        assert process.stdout is not None and process.stderr is not None
        threading.Thread(target=process.stderr.read, daemon=True).start()
        told = json.loads(process.stdout.readline())
        return process.pid, (told["host"], told["port"])

    yield start
    command_line.kill_all()


def memory_kib(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def connect_many(address: tuple[str, int], data: bytes, meanwhile: Callable[[], object]) -> list[socket.socket]:
    connections = []
    for number in range(CONNECTIONS):
        connections.append(socket.create_connection(address, timeout=30))
        with suppress(ConnectionError):  # the server may have closed it already
            connections[-1].sendall(data)
        if number % 500 == 0:
            meanwhile()
    return connections


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "tls"])
def test_connections_that_never_authenticate(
    start: Callable[..., tuple[int, tuple[str, int]]], tmp_path: Path, is_encrypted: bool
) -> None:
    authority = Authority(tmp_path)
    tls = ("--tls-cert", authority.files.certificate, "--tls-key", authority.files.key) if is_encrypted else ()
    process, address = start("--users", *tls)

    def new_client() -> None:
        with RawClient(address, authority.context() if is_encrypted else None) as late:
            assert authenticate(late, "alice", "secret").error_code == 0
            assert late.metadata().topics

    with RawClient(address, authority.context() if is_encrypted else None) as early:
        assert authenticate(early, "alice", "secret").error_code == 0
        half = HALF_OF_A_HANDSHAKE if is_encrypted else HALF_OF_A_REQUEST
        connections = connect_many(address, half, new_client)
        assert early.metadata().topics
        assert memory_kib(process) < MEMORY_KIB_MAX
        assert len(list(Path(f"/proc/{process}/fd").iterdir())) < 1000
        for connection in connections:
            connection.close()


def test_connections_without_users_are_refused_beyond_the_limit(start: Callable[..., tuple[int, tuple[str, int]]]) -> None:
    process, address = start()
    with RawClient(address) as client:
        connections = connect_many(address, HALF_OF_A_REQUEST, client.metadata)
        assert client.metadata().topics
        assert memory_kib(process) < MEMORY_KIB_MAX
        for connection in connections:
            connection.close()
