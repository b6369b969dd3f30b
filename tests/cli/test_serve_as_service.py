"""`eventlog serve` as containers and supervisors run it: what it says, as process 1, under systemd, and its health check."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import eventlog
from tests.cli.command_line import PROGRAM, CommandLine
from tests.serve.batches import batch
from tests.serve.client import RawClient
from tests.support import namespaces


def test_it_tells_where_and_how_it_serves_and_that_it_has_stopped(cli: CommandLine) -> None:
    process = cli.start("serve", "--listen", "localhost:0", "--stop-when-idle", "0")
    printed, complaint = process.communicate(timeout=30)
    where, how, end = printed.decode().splitlines()
    assert where.startswith(f"serving {cli.store} at 127.0.0.1:")
    assert how.startswith(f"version {eventlog.__version__}, process {process.pid}, fsync interval;")
    assert (end, process.returncode, complaint) == ("stopped", 0, b"")


def test_process_1_of_a_container_stops_in_good_order(cli: CommandLine) -> None:
    """The kernel drops the signals for which this process has no handler."""
    if refused := namespaces.refusal(namespaces.OTHER_PROCESSES):
        pytest.skip(refused)
    command = ["unshare", *namespaces.OTHER_PROCESSES, PROGRAM, "serve", "--listen", "127.0.0.1:0", "--json"]
    with subprocess.Popen(command, env=cli.environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["process"] == 1
        with RawClient((told["host"], told["port"])) as client:
            client.metadata("orders")
            assert client.produce("orders", batch([b"x"])).error_code == 0
            os.kill(_child_of(process.pid), signal.SIGTERM)
            assert process.wait(30) == 0
    with eventlog.open(cli.store) as log:
        assert log.partition("orders", 0).recovery.outcome == "trusted"


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def test_systemd_is_told_when_clients_can_connect(cli: CommandLine, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        command = [PROGRAM, "serve", "--listen", "127.0.0.1:0"]
        environment = {**cli.environment(), "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            told = systemd.recv(4096).decode().splitlines()
            host, _, port = told[1].rpartition(" at ")[2].rpartition(":")
            with RawClient((host, int(port))) as client:
                assert client.metadata().error_code == 0
            process.terminate()
            assert process.wait(30) == 0
    assert told[0] == "READY=1" and f"MAINPID={process.pid}" in told


def test_a_check_asks_whether_a_server_answers(cli: CommandLine) -> None:
    process = cli.start("serve", "--listen", "127.0.0.1:0", "--json")
    assert process.stdout is not None
    port = json.loads(process.stdout.readline())["port"]
    answer = cli.objects("serve", "--check", "--listen", f"127.0.0.1:{port}", "--json")[0]
    assert (answer["host"], answer["port"]) == ("127.0.0.1", port) and answer["seconds"] > 0
    assert "a server answers at" in cli.output("serve", "--check", "--listen", f"0.0.0.0:{port}")
    process.terminate()
    assert process.wait(30) == 0
    assert "no server answers" in cli.error("serve", "--check", "--listen", f"127.0.0.1:{port}")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n", b"\0\0\0\6\0\0\0\1\0\43", b"\0\0\0\1\0"])
def test_a_check_of_something_else_fails(cli: CommandLine, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, ThreadPoolExecutor(1) as pool:

        def reply() -> None:
            with other.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(answer)

        pool.submit(reply)
        assert "no server answers" in cli.error("serve", "--check", "--listen", f"127.0.0.1:{other.getsockname()[1]}")
