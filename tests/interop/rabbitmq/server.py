"""A RabbitMQ server of one's own on free ports of loopback, as Debian's package installs it: started, stopped and killed."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pika

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # without Debian's change to another user
_TOOL = PROGRAM.with_name("rabbitmqctl")
_READY_SECONDS_MAX = 120
_STOP_SECONDS_MAX = 60
_ATTEMPTS = 500  # to end the name server, in milliseconds each
# Erlang's nodes listen on every interface, for one another: this one is for this machine alone.
_ONLY_LOOPBACK = "-kernel inet_dist_use_interface {127,0,0,1}"
# Schedulers that wait without spinning leave the processors to the tests.
_CALM = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
_NOT_EPHEMERAL = range(20_000, 32_000)
MESSAGE_BYTES_MAX = 2_000_000
MEMORY = "400MB"
CONFIGURATION = f"""vm_memory_high_watermark.absolute = {MEMORY}
disk_free_limit.absolute = 50MB
max_message_size = {MESSAGE_BYTES_MAX}
"""


def why_not() -> str | None:
    """None, or why there is no RabbitMQ here."""
    return None if PROGRAM.exists() else "rabbitmq-server is not installed as Debian does it"


def is_required() -> bool:
    """EVENTLOG_REQUIRE_SERVERS=1 turns a skip into a failure: for CI, which has to have it."""
    return os.environ.get("EVENTLOG_REQUIRE_SERVERS") == "1"


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, and that the system gives to no connection while the server starts."""
    free = []
    for port in random.sample(_NOT_EPHEMERAL, 100):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            free.append(port)
        if len(free) == count:
            return free
    raise AssertionError("no ports are free")


class Server:
    """One node with its data in `directory`, which may be started again after it was stopped or killed."""

    def __init__(self, directory: Path, configuration: str = CONFIGURATION, emulator: str = _CALM) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port, distribution_port, self._names_port = _free_ports(3)
        (directory / "rabbitmq.conf").write_text(configuration)
        self._directory = directory
        self._output = directory / "output"
        self._environment = {
            "HOME": str(directory),
            "RABBITMQ_NODENAME": f"eventlog-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            "ERL_EPMD_PORT": str(self._names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{emulator} {_ONLY_LOOPBACK}",
            "RABBITMQ_CTL_ERL_ARGS": _ONLY_LOOPBACK,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address for clients, with the login that it has from the start."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    @property
    def environment(self) -> Mapping[str, str]:
        """What RabbitMQ's programs need to find this node."""
        return {**os.environ, **self._environment}

    @contextmanager
    def running(self) -> Iterator[Server]:
        """Run it as long as the block lasts."""
        try:
            self.start()
            yield self
            self.stop()
        finally:
            self.close()

    def start(self) -> None:
        """Start it, and return once it takes connections."""
        with self._output.open("ab") as output:
            # A process group of its own, because the server is a script that starts others.
            self._process = subprocess.Popen(
                [PROGRAM], stdout=output, stderr=output, cwd=self._directory, env=self.environment, start_new_session=True
            )
        self._wait_until_ready(self._process)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        for _ in range(10 * _READY_SECONDS_MAX):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                self.connect().close()
                return
            except (OSError, pika.exceptions.AMQPError):
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
                    break
        raise AssertionError(f"RabbitMQ did not start:\n{self._output.read_text('utf-8')[-3000:]}")

    def connect(self) -> Any:
        """A connection of pika that blocks."""
        return pika.BlockingConnection(pika.URLParameters(self.url))

    def stop(self) -> None:
        """Let it end by itself."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it, as it is."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Kill it, and Erlang's name server, which it has started, and which goes on without it."""
        self.kill()
        for _ in range(_ATTEMPTS):  # it refuses until it has noticed that the node is gone
            done = subprocess.run(["epmd", "-port", str(self._names_port), "-kill"], capture_output=True, check=False)
            if b"living nodes" not in done.stdout + done.stderr:
                break

    def pause(self) -> None:
        """Let it do nothing, with all connections open, until `resume`."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            self._process.wait(_STOP_SECONDS_MAX)
            if number == signal.SIGKILL:
                self._process = None

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` prints, which has to succeed."""
        done = subprocess.run([_TOOL, "--quiet", *arguments], env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def settle(self) -> None:
        """Have on disk what exists: RabbitMQ says that a queue is declared before a kill could not undo that."""
        self.control("eval", "mnesia:sync_log(), [dets:sync(Table) || Table <- dets:all()].")

    @contextmanager
    def short_of_memory(self) -> Iterator[None]:
        """In the block RabbitMQ has less memory than it uses: it takes nothing from those that publish."""
        self.control("set_vm_memory_high_watermark", "absolute", "10MB")
        try:
            yield
        finally:
            self.control("set_vm_memory_high_watermark", "absolute", MEMORY)
