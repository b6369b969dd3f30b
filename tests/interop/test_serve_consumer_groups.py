"""Groups of the consumer protocol (KIP-848) that real clients share with embedded consumers, while each of them is killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import Consumer, EventLog, TopicPartition
from tests.cli.command_line import CommandLine
from tests.interop import apache_kafka

pytestmark = pytest.mark.clients

GROUP = "readers"
PARTITIONS = 4
ALL = {TopicPartition("orders", number) for number in range(PARTITIONS)}
SECONDS_MAX = 60
SESSION_MS = 3000  # after which a member that was killed is gone

EMBEDDED = """
import sys, eventlog
with eventlog.open(sys.argv[1]) as log, log.consumer("orders", group=sys.argv[2], auto_offset_reset="earliest") as consumer:
    while True:
        for record in consumer.poll(0.1):
            print(record.value.decode(), flush=True)
        consumer.commit()
"""

CONFLUENT = """
import sys, confluent_kafka
options = {"bootstrap.servers": sys.argv[1], "group.id": sys.argv[2], "group.protocol": "consumer",
           "auto.offset.reset": "earliest", "enable.auto.commit": False}
consumer = confluent_kafka.Consumer(options)
consumer.subscribe(["^ord.*"] if sys.argv[3] == "pattern" else ["orders"])
while True:
    message = consumer.poll(0.1)
    if message is not None and not message.error():
        print(message.value().decode(), flush=True)
        consumer.commit(message, asynchronous=True)
"""


class Served:
    """A store with a server of its own process, which can be killed and started again at the same address."""

    def __init__(self, store: Path, session_ms: int) -> None:
        self.command_line = CommandLine(store)
        self._options = ["--consumer-session-timeout", str(session_ms), "--json"]
        self.process = self.command_line.start("serve", "--listen", "127.0.0.1:0", *self._options)
        self.address = self._address()

    def _address(self) -> str:
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        return f"{told['host']}:{told['port']}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def start_again(self) -> None:
        self.process = self.command_line.start("serve", "--listen", self.address, *self._options)
        assert self._address() == self.address


@pytest.fixture
def log(store: Path) -> Iterator[EventLog]:
    with eventlog.open(store) as log:
        log.create_topic("orders", partitions=PARTITIONS)
        yield log


@pytest.fixture
def served(request: pytest.FixtureRequest, store: Path, log: EventLog) -> Iterator[Served]:
    """With another session timeout, in milliseconds, if a test has one as its parameter."""
    served = Served(store, getattr(request, "param", SESSION_MS))
    yield served
    served.command_line.kill_all()


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Any]:
    """Starts programs, whose output goes to files; they are killed at the end."""
    started = []

    def start(name: str, *command: str) -> tuple[subprocess.Popen[bytes], Path]:
        output = tmp_path / name
        with open(output, "wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=tmp_path)
        started.append(process)
        return process, output

    yield start
    for process in started:
        process.kill()
        process.wait()


def python(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", program, *arguments]


def console(address: str) -> list[str]:
    options = ["--topic", "orders", "--group", GROUP, "--consumer-property", "group.protocol=consumer"]
    start = ["--from-beginning", "--bootstrap-server", address]
    return apache_kafka.command("org.apache.kafka.tools.consumer.ConsoleConsumer", *start, *options)


def wait_until(is_true: Callable[[], bool], told: Callable[[], object] = lambda: None) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    pause = threading.Event()  # leaves the processor to the programs
    while not is_true():
        assert time.monotonic() < deadline, told()
        pause.wait(0.05)


def shares(log: EventLog) -> list[int]:
    """The numbers of partitions that the members own, sorted."""
    return sorted(len(member.partitions) for member in log.group(GROUP).describe().members)


def wait_for_shares(log: EventLog, *wanted: int, consumer: Consumer | None = None) -> None:
    def is_shared() -> bool:
        if consumer is not None:
            consumer.poll(0)
        return GROUP in log.groups() and shares(log) == list(wanted)

    wait_until(is_shared, lambda: log.group(GROUP).describe())


def append(log: EventLog, numbers: range) -> set[str]:
    for number in numbers:
        log.partition("orders", number % PARTITIONS).append(b"%d" % number)
    return {str(number) for number in numbers}


def consumed(*outputs: Path) -> set[str]:
    return {line for output in outputs for line in output.read_text().splitlines()}


@pytest.mark.parametrize("subscription", ["names", "pattern"])
def test_confluent_and_embedded_consumers_share_a_group_and_replace_each_other_when_killed(
    served: Served, log: EventLog, store: Path, programs: Any, subscription: str
) -> None:
    pytest.importorskip("confluent_kafka")
    _, a = programs("a", *python(CONFLUENT, served.address, GROUP, subscription))
    wait_for_shares(log, 4)
    second, b = programs("b", *python(CONFLUENT, served.address, GROUP, subscription))
    wait_for_shares(log, 2, 2)
    embedded, c = programs("c", *python(EMBEDDED, str(store), GROUP))
    wait_for_shares(log, 1, 1, 2)
    sent = append(log, range(100))
    wait_until(lambda: consumed(a, b, c) >= sent)
    second.kill()
    wait_for_shares(log, 2, 2)
    embedded.kill()
    wait_for_shares(log, 4)
    sent |= append(log, range(100, 200))
    wait_until(lambda: consumed(a, b, c) >= sent)
    wait_until(lambda: set(log.group(GROUP).lag().values()) == {0})


@pytest.mark.parametrize("served", [60_000], indirect=True)  # it may take long to start, and clients to connect again
def test_the_members_outlive_the_server(served: Served, log: EventLog, programs: Any) -> None:
    pytest.importorskip("confluent_kafka")
    _, a = programs("a", *python(CONFLUENT, served.address, GROUP, "names"))
    wait_for_shares(log, 4)
    members = log.group(GROUP).describe().members
    sent = append(log, range(100))
    wait_until(lambda: consumed(a) >= sent)
    wait_until(lambda: set(log.group(GROUP).lag().values()) == {0})
    served.kill()
    served.start_again()
    sent |= append(log, range(100, 200))
    wait_until(lambda: consumed(a) >= sent)
    wait_until(lambda: set(log.group(GROUP).lag().values()) == {0})
    assert log.group(GROUP).describe().members == members
    lines = a.read_text().splitlines()
    assert len([line for line in lines if line.isdigit()]) == 200, "nothing was consumed twice"


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_kafkas_own_consumers_share_a_group_with_an_embedded_one(served: Served, log: EventLog, programs: Any) -> None:
    first, a = programs("a", *console(served.address))
    wait_for_shares(log, 4)
    with log.consumer("orders", group=GROUP, auto_offset_reset="earliest") as consumer:
        wait_for_shares(log, 2, 2, consumer=consumer)
        second, b = programs("b", *console(served.address))
        wait_for_shares(log, 1, 1, 2, consumer=consumer)
        tool = ["--bootstrap-server", served.address, "--group", GROUP, "--describe"]
        command = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
        members = apache_kafka.run(command, *tool, "--members", "--verbose")
        assert sum(GROUP in line for line in members.splitlines()) == 3, members
        state = apache_kafka.run(command, *tool, "--state")
        assert "Stable" in state
        assert "uniform" in state
        sent = append(log, range(100))
        mine = set()

        def is_consumed() -> bool:
            mine.update(record.value.decode() for record in consumer.poll(0) if record.value is not None)
            consumer.commit()
            return mine | consumed(a, b) >= sent

        wait_until(is_consumed)
        second.kill()
        wait_for_shares(log, 2, 2, consumer=consumer)
        first.send_signal(signal.SIGTERM)
        wait_for_shares(log, 4, consumer=consumer)
        assert consumer.assignment() == ALL
    offsets = apache_kafka.run(command, *tool, "--offsets", may_fail=True)
    assert "orders" in offsets
