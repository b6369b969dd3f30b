"""`eventlog serve`: how it starts, what it says, and how it ends."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

import eventlog
from tests.cli.command_line import CommandLine
from tests.serve.batches import batch
from tests.serve.certificates import Authority
from tests.serve.client import RawClient


def start(cli: CommandLine, *options: str) -> tuple[subprocess.Popen[bytes], tuple[str, int]]:
    """The program, and the address that it has told."""
    process = cli.start("serve", "--listen", "127.0.0.1:0", "--json", *options)
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert told["store"] == str(cli.store)
    return process, (told["host"], told["port"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(cli: CommandLine, number: signal.Signals) -> None:
    process, address = start(cli)
    with RawClient(address) as client:
        assert client.metadata("orders").topics[0].error_code == 0
        assert client.produce("orders", batch([b"Hello World!"])).base_offset == 0
        with eventlog.open(cli.store) as log:
            assert [record.value for record in log.partition("orders", 0).read(0)] == [b"Hello World!"]
        client.send_fetch("orders", 1, max_wait_ms=60_000)
        process.send_signal(number)
        assert process.wait(30) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    with eventlog.open(cli.store) as log:
        assert log.partition("orders", 0).recovery.outcome == "trusted"
        assert log.partition("orders", 0).end_offset == 1


def test_the_first_line_tells_where(cli: CommandLine) -> None:
    process = cli.start("serve", "--listen", "localhost:0", "--stop-when-idle", "0")
    printed, complaint = process.communicate(timeout=30)
    assert printed.decode().startswith(f"serving {cli.store} at 127.0.0.1:")
    assert (process.returncode, complaint) == (0, b"")


def test_it_stops_once_nobody_was_connected_for_so_long(cli: CommandLine) -> None:
    process, address = start(cli, "--stop-when-idle", "0.5")
    with RawClient(address) as client:
        assert client.metadata().error_code == 0
    assert process.wait(30) == 0


def test_options_reach_the_clients(cli: CommandLine) -> None:
    _, address = start(cli, "--partitions", "3", "--advertise", "broker.example:1234")
    with RawClient(address) as client:
        answer = client.metadata("orders")
        assert len(answer.topics[0].partitions) == 3
        assert [(broker.host, broker.port) for broker in answer.brokers] == [("broker.example", 1234)]
    _, address = start(cli, "--no-auto-create")
    with RawClient(address) as client:
        assert client.metadata("others").topics[0].error_code != 0


def test_clients_cannot_be_told_to_connect_to_port_0(cli: CommandLine) -> None:
    assert "--advertise needs the port" in cli.error("serve", "--advertise", "broker.example:0", status=2)
    assert not cli.store.exists()


def test_with_fsync_always_an_answer_means_that_the_records_are_on_disk(cli: CommandLine) -> None:
    _, address = start(cli, "--fsync", "always")
    with RawClient(address) as client, eventlog.open(cli.store, fsync="never") as log:
        client.metadata("orders")
        for number in range(1, 4):
            client.produce("orders", batch([b"a"]))
            assert log.partition("orders", 0).durable_offset == number


def test_an_address_in_use_is_one_error(cli: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        message = cli.error("serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert "in use" in message


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1"])
def test_an_address_that_other_machines_reach_has_to_be_wanted(cli: CommandLine, host: str) -> None:
    assert "--insecure" in cli.error("serve", "--listen", f"{host}:0")
    assert not cli.store.exists()


def test_an_address_that_other_machines_reach_can_be_wanted(cli: CommandLine) -> None:
    assert "serving" in cli.output("serve", "--listen", "0.0.0.0:0", "--insecure", "--stop-when-idle", "0")


@pytest.mark.parametrize("address", ["", "localhost", ":9092", "localhost:port", "localhost:65536", "::1:9092"])
def test_what_is_no_address_is_wrong_usage(cli: CommandLine, address: str) -> None:
    assert "HOST:PORT" in cli.error("serve", "--listen", address, status=2)


def test_a_client_that_sends_nonsense_is_told_in_one_line(cli: CommandLine) -> None:
    process, address = start(cli)
    with RawClient(address) as client:
        client.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.receive_frame() is None
    process.terminate()
    _, complaint = process.communicate(timeout=30)
    assert complaint.count(b"\n") == 1
    assert b"WARNING" in complaint and b"closed: a request of" in complaint


def test_connections_are_encrypted_if_it_has_a_certificate(cli: CommandLine, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    _, address = start(cli, "--tls-cert", authority.files.certificate, "--tls-key", authority.files.key)
    with RawClient(address, authority.context()) as client:
        assert client.metadata("orders").topics[0].error_code == 0


def test_files_for_tls_that_are_missing_are_one_error(cli: CommandLine, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    assert "missing.pem" in cli.error("serve", "--tls-cert", missing, "--tls-key", missing)
    assert "--tls-key" in cli.error("serve", "--tls-cert", missing, status=2)
    assert not cli.store.exists()


def test_it_opens_as_many_files_as_the_system_lets_it(cli: CommandLine) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        process, address = start(cli, "--partitions", "100")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with RawClient(address) as client:
        assert client.metadata("wide").topics[0].error_code == 0
        assert {client.produce("wide", batch([b"x"]), partition=number).error_code for number in range(100)} == {0}
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_it_ends_with_an_error_if_the_store_is_deleted(cli: CommandLine) -> None:
    process, address = start(cli)
    with RawClient(address) as client:
        assert client.metadata("orders").topics[0].error_code == 0
        assert client.produce("orders", batch([b"x"])).error_code == 0
        shutil.rmtree(cli.store)
        assert process.wait(30) == 1
    assert process.stderr is not None
    assert b"was deleted or replaced while the store was open" in process.stderr.read()
