"""`eventlog serve --workers N`: several processes, one of which may die at any time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

import eventlog
from eventlog.serve import errors
from eventlog.serve.security.accounts import add_user, alter_user
from tests.cli.command_line import CommandLine
from tests.serve.authentication import authenticate
from tests.serve.batches import batch
from tests.serve.certificates import Authority
from tests.serve.client import SECONDS_MAX, RawClient

Address = tuple[str, int]


def start(cli: CommandLine, *options: str) -> tuple[subprocess.Popen[bytes], list[Address]]:
    """The program, and the addresses of its workers."""
    process = cli.start("serve", "--json", *options)
    assert process.stdout is not None and process.stderr is not None
    line = process.stdout.readline()
    told = json.loads(line or process.stderr.read())
    addresses = [each.rsplit(":", 1) for each in told["bootstrap"].split(",")]
    return process, [(host, int(port)) for host, port in addresses]


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    return [int(text) for text in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def wait_for_brokers(client: RawClient, addresses: list[Address]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while sorted((broker.host, broker.port) for broker in client.metadata().brokers) != sorted(addresses):
        assert time.monotonic() < deadline


def wait_until_somebody_listens(address: Address) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            socket.create_connection(address).close()
            return
        except OSError:
            assert time.monotonic() < deadline


def wait_until_nobody_listens(address: Address) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            socket.create_connection(address).close()
        except OSError:
            return
        assert time.monotonic() < deadline


def test_a_killed_worker_is_started_again_where_it_was(cli: CommandLine) -> None:
    process, addresses = start(cli, "--listen", "127.0.0.1:0", "--workers", "3", "--partitions", "3")
    assert len(set(addresses)) == 3
    with RawClient(addresses[0]) as client:
        wait_for_brokers(client, addresses)
        leaders = {partition.leader_id for partition in client.metadata("orders").topics[0].partitions}
        assert leaders == {1, 2, 3}
        assert client.produce("orders", batch([b"a"])).base_offset == 0
    workers = workers_of(process)
    os.kill(workers[1], signal.SIGKILL)
    with RawClient(addresses[2]) as client:
        wait_for_brokers(client, addresses)
        deadline = time.monotonic() + SECONDS_MAX
        while workers[1] in workers_of(process) or len(workers_of(process)) < 3:
            assert time.monotonic() < deadline
        wait_for_brokers(client, addresses)
    wait_until_somebody_listens(addresses[1])  # until then it is listed because it is expected back
    with RawClient(addresses[1]) as client:
        assert client.produce("orders", batch([b"b"])).base_offset == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert b"worker 2 was killed by signal 9" in process.stderr.read()
    with eventlog.open(cli.store) as log:
        assert log.partition("orders", 0).end_offset == 2


def bind_at_once(taken: socket.socket, address: Address) -> None:
    """Take an address as soon as nobody has it."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            taken.bind(address)
            return
        except OSError:
            assert time.monotonic() < deadline


def test_a_killed_worker_waits_for_its_port_while_the_others_serve(cli: CommandLine) -> None:
    process, addresses = start(cli, "--listen", "127.0.0.1:0", "--workers", "2")
    assert process.stderr is not None
    with socket.socket() as taken:
        os.kill(workers_of(process)[1], signal.SIGKILL)
        bind_at_once(taken, addresses[1])
        while b"another program uses its port" not in (line := process.stderr.readline()):
            assert line
    wait_until_somebody_listens(addresses[1])
    with RawClient(addresses[0]) as client:
        wait_for_brokers(client, addresses)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_workers_end_with_their_parent(cli: CommandLine, number: signal.Signals) -> None:
    process, addresses = start(cli, "--listen", "127.0.0.1:0", "--workers", "2")
    process.send_signal(number)
    assert process.wait(30) == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    for address in addresses:
        wait_until_nobody_listens(address)


def consecutive_ports() -> int:
    """The first of two ports that nobody listens on."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def test_the_ports_are_the_one_given_and_those_after_it(cli: CommandLine) -> None:
    port = consecutive_ports()
    _, addresses = start(
        cli, "--listen", f"127.0.0.1:{port}", "--workers", "2", "--advertise", "broker.example:1000"
    )
    assert addresses == [("127.0.0.1", port), ("127.0.0.1", port + 1)]
    with RawClient(addresses[1]) as client:
        wait_for_brokers(client, [("broker.example", 1000), ("broker.example", 1001)])


def test_a_worker_that_cannot_listen_ends_all(cli: CommandLine) -> None:
    port = consecutive_ports()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port + 1))
        taken.listen()
        process = cli.start("serve", "--listen", f"127.0.0.1:{port}", "--workers", "2")
        printed, complaint = process.communicate(timeout=30)
    assert (process.returncode, printed) == (1, b"")
    assert b"in use" in complaint
    wait_until_nobody_listens(("127.0.0.1", port))


@pytest.mark.parametrize("option", ["--stop-when-idle", "--session-seconds"])
def test_what_is_not_a_number_of_seconds_is_wrong_usage(cli: CommandLine, option: str) -> None:
    assert option in cli.error("serve", "--listen", "127.0.0.1:0", option, "nan", status=2)


def test_workers_need_as_many_ports(cli: CommandLine) -> None:
    assert "no ports" in cli.error("serve", "--listen", "127.0.0.1:65535", "--workers", "2", status=2)
    assert "single process" in cli.error("serve", "--workers", "2", "--stop-when-idle", "1", status=2)


def test_users_and_encryption_hold_for_every_worker_also_one_that_was_killed(cli: CommandLine, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with eventlog.open(cli.store) as log:
        log.create_topic("orders", 2)
        log.create_topic("secrets")
        add_user(log, "ann", "x", "writer", topic_prefixes=["orders"])
    tls = ("--tls-cert", authority.files.certificate, "--tls-key", authority.files.key)
    process, addresses = start(cli, "--listen", "127.0.0.1:0", "--workers", "2", "--users", *tls)

    def check(address: Address, password: str) -> None:
        with RawClient(address, authority.context()) as client:
            assert authenticate(client, "ann", "wrong").error_code != errors.NONE
        with RawClient(address, authority.context()) as client:
            assert authenticate(client, "ann", password).error_code == errors.NONE
            assert client.produce("orders", batch([b"a"]), partition=1).error_code == errors.NONE
            assert client.produce("secrets", batch([b"a"])).error_code == errors.TOPIC_AUTHORIZATION_FAILED
            wait_for_brokers(client, addresses)

    for address in addresses:
        check(address, "x")
        with pytest.raises((ConnectionError, AssertionError)), RawClient(address) as plain:
            plain.metadata()
    with eventlog.open(cli.store) as log:
        alter_user(log, "ann", password="another")
    killed = workers_of(process)[0]
    os.kill(killed, signal.SIGKILL)
    check(addresses[1], "another")
    deadline = time.monotonic() + SECONDS_MAX
    while killed in workers_of(process) or len(workers_of(process)) < 2:
        assert time.monotonic() < deadline
    wait_until_somebody_listens(addresses[0])
    check(addresses[0], "another")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
