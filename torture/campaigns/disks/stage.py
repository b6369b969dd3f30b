"""What a workload works with: all is done through it, so that each outcome is judged, and what was acknowledged is known."""

from __future__ import annotations

import errno
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import eventlog
from eventlog import (
    Consumer,
    DiskFullError,
    EventLog,
    EventLogError,
    InvalidArgumentError,
    Partition,
    PoisonedError,
    TopicExistsError,
    TopicPartition,
)
from tests.support.faults import Call, Fault, Part
from torture.campaigns.disks.ledger import Ledger

_FULL = (errno.ENOSPC, errno.EDQUOT)
# These do not write: for them a full disk is an error like any other.
_CONSEQUENCES = (TopicExistsError, LookupError, InvalidArgumentError)  # of something that was not done before
_NOT_WRITES = frozenset({Call.SYNC, Call.CLOSE})


class Stage:
    """One workload in one process. `fault` is None while calls are only counted; `problems` are broken promises."""

    def __init__(self, directory: Path, ledger: Ledger, fault: Fault | None) -> None:
        self.directory = directory
        self.store = directory / "store"
        self.ledger = ledger
        self.fault = fault
        self.problems: list[str] = []
        self.failures: list[type[EventLogError]] = []  # an error itself would keep what it was raised in open
        self.results: dict[str, Any] = {}
        self._log: EventLog | None = None
        self._others: list[Any] = []
        self._number = 0
        threading.excepthook = lambda raised: self._uncaught(f"a thread ended: {raised.thread}", raised.exc_value)
        sys.unraisablehook = lambda raised: self._unraisable(raised.object, raised.exc_value)

    def _uncaught(self, what: str, error: BaseException | None) -> None:
        self.problems.append(f"{what}: {''.join(traceback.format_exception(error))}")

    def _unraisable(self, thing: object, error: BaseException | None) -> None:
        # Of a file that Python closes by itself nobody waits for an answer.
        if self.fault is None or Call.CLOSE not in self.fault.calls:
            self._uncaught(f"nobody could be told: {thing}", error)

    @property
    def log(self) -> EventLog:
        """The open store."""
        assert self._log is not None
        return self._log

    @property
    def is_open(self) -> bool:
        """Did opening the store succeed?"""
        return self._log is not None

    def attempt(self, what: str, call: Callable[[], Any]) -> bool:
        """Do something; False if it fails, as it may while the disk is not well, with one of the library's errors."""
        try:
            self.results[what] = call()
        except EventLogError as error:
            self.failures.append(type(error))
            self._judge(what, error)
            return False
        except BaseException:
            self.problems.append(f"{what} raised no error of the library:\n{traceback.format_exc()}")
            return False
        return True

    def _judge(self, what: str, error: EventLogError) -> None:
        if self.fault is None:
            self.problems.append(f"{what} failed on a disk that is well:\n{traceback.format_exc()}")
            return
        if not names_something(str(error), self.directory):
            self.problems.append(f"{what} raised an error that does not tell what failed: {error!r}")
        # LMDB takes a write that does only a part for a failure without a reason.
        is_full = self.fault.error_number in _FULL and not self.fault.calls & _NOT_WRITES and self.fault.part == Part.WHOLE
        if is_full and not isinstance(error, (DiskFullError, PoisonedError, *_CONSEQUENCES)):
            self.problems.append(f"{what} found the disk full, and raised:\n{traceback.format_exc()}")

    def open(self, **options: Any) -> bool:
        """Open the store. No thread of it works by the clock unless the workload asks for that."""
        options = {"fsync_interval_ms": 10_000_000, "lock_timeout_ms": 5_000, **options}

        def open_it() -> None:
            self._log = eventlog.open(self.store, **options)

        return self.is_open or self.attempt("open", open_it)

    def close(self) -> None:
        """Close the store."""
        if self._log is not None:
            log, self._log = self._log, None
            self._others.clear()
            self.attempt("close", log.close)
            self.results = {what: type(result) for what, result in self.results.items()}  # nothing else keeps files open

    def create_topic(self, name: str, partitions: int = 1, **config: Any) -> bool:
        """Make a topic, with settings as `stores.create` has them."""
        settings = {key.replace("_", "."): value for key, value in config.items()}
        done = self.attempt(f"create {name}", lambda: self.log.create_topic(name, partitions, settings))
        self.ledger.topics[name] = True if done else self.ledger.topics.get(name)
        for partition in range(partitions):
            self.ledger.of(name, partition).is_compacted = config.get("cleanup_policy") == "compact"
        return done

    def value(self, size_bytes: int = 100) -> bytes:
        """A value that nobody has appended before."""
        self._number += 1
        return f"{os.getpid()}/{self._number} ".encode() * (1 + size_bytes // 12)

    def partition(self, topic: str, number: int = 0) -> Partition | None:
        """A partition, if it can be opened."""
        what = f"open {topic}-{number}"
        return self.results[what] if self.attempt(what, lambda: self.log.partition(topic, number)) else None

    def append(self, topic: str, count: int = 1, size_bytes: int = 100, key: bytes | None = None, number: int = 0) -> bool:
        """Append records as one unit, and note what was said about it."""
        partition = self.partition(topic, number)
        if partition is None:
            return False
        values = [self.value(size_bytes) for _ in range(count)]
        known = self.ledger.of(topic, number)
        before = len(self.failures)
        what = f"append to {topic}-{number}"
        if self.attempt(what, lambda: _append(partition, values, key)):
            known.acknowledged.update((offset, (key, value)) for offset, value in zip(self.results[what], values, strict=True))
            return True
        is_refused = len(self.failures) > before and self.failures[-1] is DiskFullError
        (known.refused if is_refused else known.doubtful).update(values)
        return False

    def commit(self, consumer: Consumer, topic: str, *, sync: bool) -> bool:
        """Commit what was handed out of partition 0, and note that it was acknowledged."""
        place = TopicPartition(topic, 0)
        what = f"commit {'to disk ' if sync else ''}{topic}"
        position = consumer.position(place)
        done = self.attempt(what, lambda: consumer.commit(sync=sync))
        if done:
            assert consumer.group is not None
            self.ledger.committed[consumer.group, place] = position
        return done

    def keep(self, thing: Any) -> Any:
        """Keep something until the store is closed."""
        self._others.append(thing)
        return thing


def _append(partition: Partition, values: list[bytes], key: bytes | None) -> range:
    if len(values) == 1:
        offset = partition.append(values[0], key)
        return range(offset, offset + 1)
    return partition.append_many(values, keys=None if key is None else [key] * len(values))


def names_something(text: str, directory: Path) -> bool:
    """Does the text of an error say what it is about: a path, a topic, a partition, a group or the catalog?"""
    return str(directory) in text or any(word in text.lower() for word in ("catalog", "topic", "partition", "group", "member"))
