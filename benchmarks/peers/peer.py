"""What a contender is: something that keeps streams of events, and that a process opens to append, read and consume.

Equal durability has a name. "process": what was returned survives the death of every process, a server's included. "disk": it
survives a power cut, too.
"""

from __future__ import annotations

import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal

from benchmarks.workloads import Events, Workload

Durability = Literal["process", "disk"]

RECEIVE_SECONDS_MAX = 30.0


@dataclass(frozen=True)
class Stream:
    """Where events go: the address of a peer (a directory, or a server), a name there, and how it is to be kept."""

    address: str
    name: str
    durability: Durability
    workload: Workload
    partitions: int = 1

    @property
    def directory(self) -> Path:
        """The directory of this stream alone, for peers whose address is a directory."""
        return Path(self.address) / self.name


class Session(ABC):
    """A stream that one process has open, or one partition of it. What a peer cannot do stands in its `lacks`."""

    @abstractmethod
    def appender(self) -> Callable[..., object]:
        """The fastest function that appends one event: value, key and headers, as far as the workload has them."""

    def append(self, events: Events) -> None:
        """Append one event after the other; each is kept as the durability says before the next one is begun."""
        append = self.appender()
        if events.keys is None:
            for value in events.values:
                append(value)
        else:
            for row in events.rows():
                append(*row)

    def append_timed(self, events: Events) -> list[int]:
        """The same, with the nanoseconds that each append took."""
        append, clock, times = self.appender(), time.perf_counter_ns, []
        for row in events.rows():
            start = clock()
            append(*row)
            times.append(clock() - start)
        return times

    def append_batches(self, batches: Sequence[Events]) -> None:
        """Append batch after batch; each is kept as the durability says before the next one is begun."""
        raise NotImplementedError

    def send(self, events: Events) -> None:
        """Append events in the way of many in flight, and return when all are kept."""
        raise NotImplementedError

    def produce(self, events: Events) -> None:
        """Append one event after the other by way of a producer; each is kept before the next one is begun."""
        raise NotImplementedError

    def read(self, count: int) -> None:
        """Go through the values of the first `count` events."""
        raise NotImplementedError

    def read_records(self, count: int) -> None:
        """Go through the first `count` events with everything that belongs to them."""
        raise NotImplementedError

    def read_columns(self, count: int) -> None:
        """Go through the first `count` events as columns: buffers with many values each."""
        raise NotImplementedError

    def seek(self, offsets: Sequence[int]) -> None:
        """Read one event at each of these places."""
        raise NotImplementedError

    def join(self, is_committing: bool) -> None:
        """Become a consumer, where that takes a while. It may receive one event: there is one more than will be consumed."""
        return None

    def consume(self, count: int, commit_every: int | None) -> None:
        """Read `count` events as a consumer, and keep its position after so many of them; None: never."""
        raise NotImplementedError

    def commit(self, count: int) -> None:
        """Keep a consumer's position, so many times."""
        raise NotImplementedError

    def listen(self) -> None:
        """Be ready to receive what is appended from now on."""
        return None

    def receive(self) -> None:
        """Wait, asleep, for the next event since `listen`. Raises `TimeoutError`."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the stream."""
        return None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Peer(ABC):
    """A contender. `packages` are the Python packages it needs; `settings` says how each durability is had."""

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    settings: ClassVar[dict[Durability, str]]
    # Operations (to consume and commit is "commit_each" or "commit_many"), "keys", "headers", "compression", "threads",
    # "processes", or a durability; and why there is none.
    lacks: ClassVar[dict[str, str]] = {}
    has_columns: ClassVar[bool] = False
    has_producer: ClassVar[bool] = False

    def why_not(self) -> str | None:
        """Why it cannot be run here, or None. That its packages are there is known before."""
        return None

    def versions(self) -> dict[str, str]:
        """The versions of what is measured."""
        return {package: version(package) for package in self.packages}

    @contextmanager
    def running(self, directory: Path, durability: Durability) -> Iterator[str]:
        """An address, as long as the block lasts. For one that is no server: a directory."""
        directory.mkdir(parents=True)
        yield str(directory)
        shutil.rmtree(directory)

    def create(self, stream: Stream) -> None:
        """Make a stream that can be opened."""
        stream.directory.mkdir()

    @abstractmethod
    def open(self, stream: Stream, partition: int = 0) -> Session:
        """Open a stream, or a partition of it, in this process."""

    def drop(self, stream: Stream) -> None:
        """Delete a stream that nobody has open."""
        shutil.rmtree(stream.directory)

    def why_lacking(self, *needs: str) -> str | None:
        """The reason why it has not all of these; None if it has."""
        if "read_columns" in needs and not self.has_columns:
            return "it gives one event at a time"
        if "produce" in needs and not self.has_producer:
            return "its users append as they do above"
        return next((self.lacks[need] for need in needs if need in self.lacks), None)
