"""`log.serve()`: a server in a thread of the process that has the store open."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import eventlog
import eventlog.aio
from eventlog import EventLog, EventLogError, InvalidArgumentError, InvalidTypeError, StoreClosedError, StoreReplacedError
from eventlog.serve.security.accounts import add_user
from tests.serve.authentication import authenticate
from tests.serve.batches import batch
from tests.serve.certificates import Authority
from tests.serve.client import RawClient
from tests.support.descriptors import open_files


def server_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(("eventlog-server", "eventlog-serve"))]


def address_of(bootstrap: str) -> tuple[str, int]:
    host, _, port = bootstrap.rpartition(":")
    return host, int(port)


def test_clients_and_the_process_share_the_store(log: EventLog) -> None:
    with log.serve(port=0) as server, RawClient(address_of(server.bootstrap)) as client:
        assert client.metadata("orders").topics[0].error_code == 0
        assert server.is_running and server.connections == 1
        assert client.produce("orders", batch([b"from a client"])).base_offset == 0
        assert log.partition("orders", 0).append(b"embedded") == 1
        assert [record.value for record in log.partition("orders", 0).read(0)] == [b"from a client", b"embedded"]
    assert not server.is_running and server.connections == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address_of(server.bootstrap))
    assert log.partition("orders", 0).append(b"the store is open") == 2


def test_several_servers_of_one_store(log: EventLog) -> None:
    threads = len(server_threads())
    for _ in range(3):
        with log.serve(port=0) as one, log.serve(port=0) as other:
            assert one.port != other.port
            for server in (one, other):
                with RawClient((server.host, server.port)) as client:
                    assert client.metadata("orders").topics[0].error_code == 0
    assert len(server_threads()) == threads


def test_a_stopped_server_leaves_nothing_open(log: EventLog) -> None:
    with log.serve(port=0) as server, RawClient((server.host, server.port)) as client:
        client.metadata("orders")
    before = open_files(log.path)
    with log.serve(port=0) as server, RawClient((server.host, server.port)) as client:
        client.metadata("orders")
    server.stop()
    assert open_files(log.path) == before


def test_options_reach_the_clients(log: EventLog) -> None:
    options = {"advertise": ("broker.example", 1234), "partitions": 3}
    with log.serve("localhost", 0, **options) as server, RawClient((server.host, server.port)) as client:  # type: ignore[arg-type]
        answer = client.metadata("orders")
        assert len(answer.topics[0].partitions) == 3
        assert [(broker.host, broker.port) for broker in answer.brokers] == [("broker.example", 1234)]
    with log.serve(port=0, auto_create_topics=False) as server, RawClient((server.host, server.port)) as client:
        assert client.metadata("others").topics[0].error_code != 0


def test_it_is_encrypted_and_admits_only_users_if_that_is_wanted(log: EventLog, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    add_user(log, "alice", "secret")
    tls = (authority.files.certificate, authority.files.key)
    with (
        log.serve("0.0.0.0", 0, tls=tls, users=True) as server,
        RawClient(("127.0.0.1", server.port), authority.context()) as client,
    ):
        assert authenticate(client, "alice", "secret").error_code == 0
        assert client.metadata().brokers
    for options in ({"tls": tls}, {"users": True}):
        with pytest.raises(InvalidArgumentError, match="other machines"):
            log.serve("0.0.0.0", 0, **options)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="certificate"):
        log.serve(port=0, tls="server.pem")  # type: ignore[arg-type]


def test_a_request_that_waits_is_answered_when_the_server_stops(log: EventLog) -> None:
    log.create_topic("orders")
    with log.serve(port=0) as server, RawClient((server.host, server.port)) as client:
        with client.together():
            before = client.send("Metadata", 9, topics=[])
            asked = client.send_fetch("orders", 0, max_wait_ms=60_000)
        client.receive(*before)  # the server has begun with the fetch, too
        server.stop()
        assert client.receive(*asked) is not None
        assert client.receive_frame() is None


def test_closing_the_store_stops_its_servers(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "store") as log:
        server = log.serve(port=0)
        with RawClient((server.host, server.port)) as client:
            client.metadata("orders")
            log.close()
            assert client.receive_frame() is None
    assert not server.is_running
    server.stop()
    with pytest.raises(StoreClosedError):
        log.serve(port=0)


def test_a_port_in_use_is_an_error_of_ours(log: EventLog) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(EventLogError, match="in use"):
        log.serve(port=taken.getsockname()[1])
    assert not [thread for thread in server_threads() if thread.name == "eventlog-server"]


def test_what_cannot_be_served_is_refused(log: EventLog) -> None:
    for options in ({"host": "0.0.0.0"}, {"host": "no such host"}, {"port": -1}, {"port": 65_536}, {"partitions": 0}):
        with pytest.raises(InvalidArgumentError):
            log.serve(**options)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="advertise"):
        log.serve(port=0, advertise="broker:9092")  # type: ignore[arg-type]
    for wrong in ({"host": 1}, {"port": "0"}, {"partitions": 1.0}, {"insecure": 1}):
        with pytest.raises(InvalidTypeError):
            log.serve(**wrong)  # type: ignore[arg-type]


def test_a_server_ends_with_its_store(tmp_path: Path) -> None:
    log = eventlog.open(tmp_path / "store")
    server = log.serve(port=0)
    with RawClient((server.host, server.port)) as client:
        client.metadata("orders")
        shutil.rmtree(tmp_path / "store")
        assert client.receive_frame() is None
    with pytest.raises(StoreReplacedError):
        server.stop()
    server.stop()  # the error is told once
    assert not server.is_running
    log.close()


def test_a_forked_child_keeps_no_connection_open(log: EventLog) -> None:
    server = log.serve(port=0)
    with RawClient((server.host, server.port)) as client:
        client.metadata("orders")
        waits, goes = os.pipe()
        if (child := os.fork()) == 0:
            os.close(goes)
            server.stop()
            os.read(waits, 1)
            os._exit(int(server.is_running))
        os.close(waits)
        server.stop()
        assert client.receive_frame() is None
        os.close(goes)
    assert os.waitpid(child, 0)[1] == 0


def test_a_program_that_stops_nothing_ends(tmp_path: Path) -> None:
    text = (
        "import eventlog, socket\n"
        f"server = eventlog.open({str(tmp_path / 'store')!r}).serve(port=0)\n"
        "socket.create_connection((server.host, server.port))\n"
        "print(server.bootstrap)\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("127.0.0.1:")


def test_tasks_serve_a_store(tmp_path: Path) -> None:
    async def main() -> None:
        async with eventlog.aio.open(tmp_path / "store") as log, log.serve(port=0) as server:
            assert server.is_running and server.bootstrap == f"{server.host}:{server.port}"

            def produce() -> int:
                with RawClient((server.host, server.port)) as client:
                    client.metadata("orders")
                    return int(client.produce("orders", batch([b"x"])).base_offset)

            assert await asyncio.to_thread(produce) == 0
            assert [record.value for record in await log.partition("orders", 0).read(0)] == [b"x"]
            await server.start()
            await server.stop()
            assert not server.is_running
            not_started = log.serve(port=0)
            with pytest.raises(EventLogError, match="not been started"):
                _ = not_started.bootstrap
            await not_started.stop()
            with pytest.raises(InvalidArgumentError):
                await log.serve("0.0.0.0", 0).start()

    asyncio.run(main())
