"""Chronicle Queue, in a Java process that does the work by itself: Python only says what and how much."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.peers import server
from benchmarks.peers.peer import Peer, Session, Stream
from benchmarks.workloads import Events

_PROJECT = Path(__file__).with_name("chronicle_queue")
_SOURCE = _PROJECT / "src" / "main" / "java" / "Workloads.java"
_CLASSES = _PROJECT / "target" / "classes"
_JARS = _PROJECT / "target" / "dependency"
_BUILD_SECONDS_MAX = 600
_STOCK_EVENTS = 20_000
# What it uses of Java's inside, as its documentation wants it for Java 17.
_ACCESS = [
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-exports=jdk.unsupported/sun.misc=ALL-UNNAMED",
    "--add-exports=jdk.compiler/com.sun.tools.javac.file=ALL-UNNAMED",
    "--add-opens=jdk.compiler/com.sun.tools.javac=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.lang.reflect=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
]


@functools.cache
def _build() -> str | None:
    """Compile the Java side with Maven; None, or why that cannot be."""
    for program in ("java", "javac", "mvn"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    compiled = _CLASSES / "Workloads.class"
    if compiled.exists() and compiled.stat().st_mtime > _SOURCE.stat().st_mtime and list(_JARS.glob("chronicle-queue-*.jar")):
        return None
    command = ["mvn", "--quiet", "--batch-mode", "--file", str(_PROJECT / "pom.xml"), "package"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_SECONDS_MAX, check=False)
    return None if done.returncode == 0 else f"Maven could not build it: {done.stdout[-500:]}{done.stderr[-500:]}"


class _Session(Session):
    def __init__(self, stream: Stream) -> None:
        self._value_bytes = stream.workload.value_bytes
        command = ["java", *_ACCESS, "-cp", f"{_CLASSES}:{_JARS}/*", "Workloads", str(stream.directory)]
        self._java = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
        )
        self._receive()  # once it has warmed up

    def _receive(self) -> str:
        assert self._java.stdout is not None
        answer = self._java.stdout.readline()
        if not answer:
            raise RuntimeError("the Java side of Chronicle Queue has ended")
        return answer

    def _ask(self, operation: str, count: int, number: int) -> str:
        assert self._java.stdin is not None
        self._java.stdin.write(f"{operation} {count} {number}\n")
        return self._receive()

    def appender(self) -> Callable[..., object]:
        raise NotImplementedError("events are appended in Java")

    def append(self, events: Events) -> None:
        self._ask("append", len(events), self._value_bytes)

    def append_timed(self, events: Events) -> list[int]:
        return list(map(int, self._ask("append_timed", len(events), self._value_bytes).split()))

    def read(self, count: int) -> None:
        self._ask("read", count, 0)

    def seek(self, offsets: Sequence[int]) -> None:
        self._ask("seek", len(offsets), _STOCK_EVENTS)

    def consume(self, count: int, commit_every: int | None) -> None:
        self._ask("consume", count, 0)

    def close(self) -> None:
        assert self._java.stdin is not None and self._java.stdout is not None
        self._java.stdin.close()
        self._java.wait()
        self._java.stdout.close()


class Contender(Peer):
    """One queue, written and read in Java."""

    name = "chronicle"
    settings: ClassVar = {"process": "mapped files; a named tailer stores its place with each event"}
    lacks: ClassVar = {
        "disk": "an appender cannot ask for a sync in the open-source edition",
        "keys": "an excerpt holds bytes",
        "headers": "an excerpt holds bytes",
        "compression": "it has none",
        "append_batches": "it writes one at a time",
        "send": "there is nothing in flight",
        "read_records": "an excerpt is a record: see read",
        "consume": "see read",
        "commit_many": "a named tailer stores its place with each event",
        "commit": "a named tailer stores its place with each event",
        "receive": "its tailers spin instead of sleeping",
        "processes": "the measurement runs in one Java process",
        "threads": "an appender belongs to one thread",
    }

    def why_not(self) -> str | None:
        return _build()

    def versions(self) -> dict[str, str]:
        jar = next(_JARS.glob("chronicle-queue-*.jar"))
        return {
            "Chronicle Queue": jar.stem.removeprefix("chronicle-queue-"),
            "Java": server.version_in("java", "-version"),
        }

    def open(self, stream: Stream, partition: int = 0) -> Session:
        return _Session(stream)
