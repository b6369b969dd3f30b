"""Apache Kafka itself: its jars, its tools, and a broker of one node."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

PROJECT = Path(__file__).parent / "kafka" / "pom.xml"
JARS = PROJECT.parent / "target" / "dependency"
_MEMORY = "-Xmx512m"
_QUICK = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]  # to start, for what runs for seconds only
DOWNLOAD_SECONDS_MAX = 600
READY_SECONDS_MAX = 120
STOP_SECONDS_MAX = 60


def fetch() -> str | None:
    """Have the jars in place; None, or why that cannot be."""
    for program in ("java", "javac", "mvn"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    fetched = JARS / PROJECT.name
    with suppress(FileNotFoundError):
        if fetched.read_text() == PROJECT.read_text():
            return None
    command = ["mvn", "--quiet", "--batch-mode", "--file", str(PROJECT), "dependency:copy-dependencies"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS_MAX)
    if done.returncode != 0:
        return f"Maven could not fetch Apache Kafka: {done.stdout[-500:]}{done.stderr[-500:]}"
    shutil.copy(PROJECT, fetched)
    return None


def command(main: str, *arguments: str) -> list[str]:
    """The command that runs one of Kafka's programs, or one of ours in Java, for some seconds."""
    return ["java", _MEMORY, *_QUICK, "-cp", f"{JARS}/*", main, *arguments]


def run(main: str, *arguments: str, may_fail: bool = False) -> str:
    """Run one of Kafka's programs to its end and return what it printed."""
    done = subprocess.run(command(main, *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert may_fail or done.returncode == 0, done.stdout
    return done.stdout


class Program:
    """One of Kafka's programs, or one of ours in Java, while it runs; it is killed at the end of its block."""

    def __init__(self, output: Path, main: str, *arguments: str) -> None:
        self.output = output
        with open(output, "ab") as file:
            self._process = subprocess.Popen(command(main, *arguments), stdout=file, stderr=file, cwd=output.parent)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait until it has ended."""
        self._process.terminate()
        self._process.wait(STOP_SECONDS_MAX)

    def wait(self, seconds_max: float) -> None:
        """Until it has ended by itself, successfully."""
        assert self._process.wait(seconds_max) == 0, self.output.read_text()

    def runs_for(self, seconds: float) -> bool:
        """Wait so long; False if it has ended by then."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.poll() is None

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()


def dump_log(*files: Path, may_fail: bool = False) -> str:
    """What kafka-dump-log prints with --deep-iteration."""
    names = ",".join(map(str, files))
    options = ("--deep-iteration", "--print-data-log", "--files", names)
    return run("kafka.tools.DumpLogSegments", *options, may_fail=may_fail)


class Broker:
    """A broker and controller in one process, with its data in `directory`; start and stop it as often as you like.

    `listeners` are further ones, such as "SSL://127.0.0.1:9093", `settings` their lines for server.properties, and
    `formatting` the options that create users."""

    def __init__(
        self, directory: Path, *, listeners: Sequence[str] = (), settings: str = "", formatting: Sequence[str] = ()
    ) -> None:
        self.data = directory / "data"
        self._configuration = directory / "server.properties"
        self._output = directory / "server.log"
        port, controller_port = free_ports()
        self.address = f"127.0.0.1:{port}"
        self._configuration.write_text(
            f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners={",".join((f"PLAINTEXT://{self.address}", f"CONTROLLER://127.0.0.1:{controller_port}", *listeners))}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
controller.listener.names=CONTROLLER
log.dirs={self.data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
{settings}"""
        )
        # The first byte is 0 because an id that begins with "-" would be taken for an option.
        cluster = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        format_command = ("format", "--cluster-id", cluster, "--config", str(self._configuration), *formatting)
        run("kafka.tools.StorageTool", *format_command)
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[KafkaAdminClient]:
        """Start it, wait until it answers, and stop it cleanly at the end."""
        try:
            admin = self.start()
            try:
                yield admin
            finally:
                admin.close()
            self.stop()
        finally:
            self.kill()

    def start(self) -> KafkaAdminClient:
        """Start it, and return once it answers, with a client."""
        with open(self._output, "ab") as output:
            broker = ["java", _MEMORY, "-cp", f"{JARS}/*", "kafka.Kafka", str(self._configuration)]
            self._process = subprocess.Popen(broker, stdout=output, stderr=output, cwd=self._output.parent)
        return self._wait_until_ready(self._process)

    def stop(self) -> None:
        """SIGTERM, and wait until it has ended."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOP_SECONDS_MAX)

    def signal(self, number: int) -> None:
        """Send it this signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> KafkaAdminClient:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline and process.poll() is None:
            try:
                # Every attempt blocks until the broker answers or refuses.
                admin = KafkaAdminClient(bootstrap_servers=self.address, reconnect_backoff_max_ms=500)
                admin.list_topics()
                return admin
            except (KafkaError, OSError):
                continue
        raise AssertionError(f"the broker did not start:\n{self._output.read_text()[-3000:]}")


def free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def is_required() -> bool:
    """EVENTLOG_REQUIRE_KAFKA=1 turns a skip into a failure: for CI, which has to have it."""
    return os.environ.get("EVENTLOG_REQUIRE_KAFKA") == "1"
