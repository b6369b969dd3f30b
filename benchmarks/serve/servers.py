"""The servers that are measured: `eventlog serve`, and Apache Kafka if Java and its jars are there."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import eventlog as package


class Running(NamedTuple):
    """A server that answers. `start_seconds` is the time from its start to its first answer."""

    name: str
    address: tuple[str, int]
    processes: list[int]
    start_seconds: float

    @property
    def bootstrap(self) -> str:
        """The address as clients want it."""
        return f"{self.address[0]}:{self.address[1]}"


@contextmanager
def eventlog(directory: Path) -> Iterator[Running]:
    """`eventlog serve` with one process, as long as the block lasts."""
    command = [sys.executable, "-m", "eventlog", "--store", str(directory), "serve", "--listen", "127.0.0.1:0", "--json"]
    compileall.compile_dir(Path(package.__file__).parent, quiet=1)  # as pip does where it installs the package
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield Running("eventlog serve", (told["host"], told["port"]), [process.pid], time.perf_counter() - start)
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def kafka(directory: Path) -> Iterator[Running | str]:
    """Apache Kafka with one node, as long as the block lasts; or the reason why there is none."""
    try:
        from tests.interop import apache_kafka
    except ImportError as error:
        yield str(error)
        return
    reason = apache_kafka.fetch()
    if reason is not None:
        yield reason
        return
    directory.mkdir()
    broker = apache_kafka.Broker(directory)
    before = _java_processes()
    start = time.perf_counter()
    with broker.running():
        seconds = time.perf_counter() - start
        host, _, port = broker.address.rpartition(":")
        yield Running("Apache Kafka", (host, int(port)), sorted(_java_processes() - before), seconds)


def _java_processes() -> set[int]:
    """The children of this process that run Java."""
    found = set()
    for text in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
        if os.path.basename(os.readlink(f"/proc/{text}/exe")) == "java":
            found.add(int(text))
    return found
