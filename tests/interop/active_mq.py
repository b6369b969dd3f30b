"""ActiveMQ Classic and Artemis themselves, fetched by Maven, on free ports of loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from eventlog.bridges.stomp.connection import Address, Connection
from eventlog.bridges.stomp.frames import Frame
from eventlog.errors import ConnectionLostError
from tests.interop.apache_kafka import DOWNLOAD_SECONDS_MAX, free_ports

PROJECT = Path(__file__).parent / "activemq" / "pom.xml"
TARGET = PROJECT.parent / "target"
JARS = TARGET / "dependency"
ARTEMIS_VERSION = "2.40.0"
ARTEMIS = TARGET / f"apache-artemis-{ARTEMIS_VERSION}"
LOGIN, PASSWORD = "admin", "a:secret"
READY_SECONDS_MAX = 120
STOP_SECONDS_MAX = 30
ANSWER_SECONDS_MAX = 30


def is_required() -> bool:
    """EVENTLOG_REQUIRE_SERVERS=1 turns a skip into a failure: for CI, which has to have them."""
    return os.environ.get("EVENTLOG_REQUIRE_SERVERS") == "1"


def fetch_classic() -> str | None:
    """Have the jars of Classic in place; None, or why that cannot be."""
    if list(JARS.glob("activemq-broker-*.jar")):
        return _missing("java")
    return _missing("java", "mvn") or _maven("--file", str(PROJECT), "dependency:copy-dependencies")


def fetch_artemis() -> str | None:
    """Have Artemis in place; None, or why that cannot be."""
    if ARTEMIS.is_dir():
        return _missing("java")
    archive = TARGET / f"apache-artemis-{ARTEMIS_VERSION}-bin.tar.gz"
    artifact = f"-Dartifact=org.apache.activemq:apache-artemis:{ARTEMIS_VERSION}:tar.gz:bin"
    problem = _missing("java", "mvn") or _maven("dependency:copy", artifact, f"-DoutputDirectory={TARGET}")
    if problem is None:
        with tarfile.open(archive) as packed:
            packed.extractall(TARGET / "unpacked", filter="data")
        (TARGET / "unpacked" / ARTEMIS.name).rename(ARTEMIS)
        archive.unlink()
    return problem


def _missing(*programs: str) -> str | None:
    return next((f"{program} is not installed" for program in programs if shutil.which(program) is None), None)


def _maven(*arguments: str) -> str | None:
    command = ["mvn", "--quiet", "--batch-mode", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS_MAX)
    return None if done.returncode == 0 else f"Maven could not fetch ActiveMQ: {done.stdout[-500:]}{done.stderr[-500:]}"


class Server:
    """A server with its data in `directory`; start, stop and kill it as often as you like."""

    login: str | None = None
    password: str | None = None
    name: str

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port, _ = free_ports()
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and return once it answers."""
        with open(self._directory / "output", "ab") as output:
            self._process = subprocess.Popen(
                self._command(), stdout=output, stderr=output, cwd=self._directory, start_new_session=True
            )
        for _ in range(READY_SECONDS_MAX * 20):
            with suppress(ConnectionLostError):
                Connection(self.address).close()
                return
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
                break
        self.kill()
        raise AssertionError(f"the server did not start:\n{(self._directory / 'output').read_text()[-3000:]}")

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it in an orderly way."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let it do nothing, with all connections open, until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _end(self, number: int) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._signal(number)
            self._process.wait(STOP_SECONDS_MAX)
            self._process = None

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port, self.login, self.password)

    def url(self, queue: str, options: str = "", kind: str = "queue") -> str:
        """The URL for a bridge, with the login in it."""
        login = "" if self.login is None else f"{self.login}:{str(self.password).replace(':', '%3A')}@"
        return f"stomp://{login}127.0.0.1:{self.port}/{kind}/{queue}{options}"

    def destination(self, queue: str, header: str = "destination-type") -> list[tuple[str, str]]:
        """The headers that name a queue."""
        raise NotImplementedError

    def put(self, queue: str, *messages: tuple[list[tuple[str, str]], bytes]) -> None:
        """Send messages with these headers and bodies, as another program does, and wait until the server has them."""
        with closing(Connection(self.address)) as connection:
            for number, (headers, body) in enumerate(messages):
                to = self.destination(queue)
                connection.send("SEND", [*to, ("persistent", "true"), *headers, ("receipt", str(number))], body)
            count = 0
            while count < len(messages):
                count += len(_exchange(connection))

    def take_all(self, queue: str) -> list[Frame]:
        """Take everything out of a queue, as another program does."""
        self.put(queue, ([("last", "yes")], b""))
        frames: list[Frame] = []
        with closing(Connection(self.address)) as connection:
            headers = [("id", "0"), ("ack", "client"), ("consumer-window-size", "-1")]
            headers += self.destination(queue, "subscription-type")
            connection.send("SUBSCRIBE", headers)
            acknowledged = 0
            while not frames or frames[-1].header("last") is None:
                frames += [frame for frame in _exchange(connection) if frame.command == "MESSAGE"]
                if len(frames) - acknowledged >= 50 or (frames and frames[-1].header("last")):
                    connection.send("ACK", [("id", frames[-1].header("ack") or "")])
                    acknowledged = len(frames)
            connection.send("DISCONNECT", [("receipt", "done")])
            while not any(frame.command == "RECEIPT" for frame in _exchange(connection)):
                pass
        return frames[:-1]


def _exchange(connection: Connection) -> list[Frame]:
    frames = connection.exchange(ANSWER_SECONDS_MAX)
    assert frames, "the server does not answer"
    return frames


class Classic(Server):
    """ActiveMQ Classic. It asks for no login."""

    name = "classic"

    def _command(self) -> list[str]:
        options = f"brokerName=test&useJmx=false&persistent=true&dataDirectory={self._directory}/data"
        return [
            "java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", f"{JARS}/*",
            "org.apache.activemq.console.command.ShellCommand", "start",
            f"broker:(stomp://127.0.0.1:{self.port})?{options}",
        ]  # fmt: skip

    def destination(self, queue: str, header: str = "destination-type") -> list[tuple[str, str]]:
        return [("destination", f"/queue/{queue}")]


class Artemis(Server):
    """ActiveMQ Artemis, with a login."""

    name = "artemis"
    login, password = LOGIN, PASSWORD

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        options = [
            "--user", LOGIN, "--password", PASSWORD, "--require-login", "--host", "127.0.0.1", "--default-port", str(self.port),
            "--no-web", "--no-autotune", "--nio", "--no-amqp-acceptor", "--no-mqtt-acceptor", "--no-hornetq-acceptor",
            "--no-stomp-acceptor", "--silent", "--force",
        ]  # fmt: skip
        command = [str(ARTEMIS / "bin" / "artemis"), "create", str(self._instance), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=READY_SECONDS_MAX)
        assert done.returncode == 0, done.stdout + done.stderr
        profile = self._instance / "etc" / "artemis.profile"
        profile.write_text(profile.read_text().replace("-Xms512M", "-Xms64M").replace("-Xmx2G", "-Xmx384M"))

    @property
    def _instance(self) -> Path:
        return self._directory / "instance"

    def _command(self) -> list[str]:
        return [str(self._instance / "bin" / "artemis"), "run"]

    def destination(self, queue: str, header: str = "destination-type") -> list[tuple[str, str]]:
        return [("destination", queue), (header, "ANYCAST")]


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Start a server, and end it whatever happens."""
    try:
        server.start()
        yield server
        server.stop()
    finally:
        server.kill()
