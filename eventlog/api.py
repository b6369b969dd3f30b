"""A store as users see it: the log, with its producers, consumers and consumer groups."""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from re import Pattern
from types import TracebackType

from eventlog.consumer.consumer import Consumer
from eventlog.consumer.options import ConsumerOptions
from eventlog.consumer.rebalance import RebalanceListener
from eventlog.errors import InvalidArgumentError, InvalidTypeError
from eventlog.groups.group import Group
from eventlog.groups.progress import lags_by_group
from eventlog.groups.registry import Groups
from eventlog.log import Log, internals
from eventlog.options import check_bool, check_fsync, check_group_name, check_milliseconds
from eventlog.producer.producer import Producer
from eventlog.records.record import TopicPartition

_CLOSE_SECONDS = 5.0  # how long a thread may take to let go of a consumer

_open_logs: weakref.WeakSet[EventLog] = weakref.WeakSet()


class EventLog(Log):
    """An open store. Safe for several threads; not to be used across fork(). Made by `eventlog.open`."""

    def __init__(self, path: Path, *, fsync: str, fsync_interval_ms: int, lock_timeout_ms: int, create: bool) -> None:
        super().__init__(
            path, fsync=fsync, fsync_interval_ms=fsync_interval_ms, lock_timeout_ms=lock_timeout_ms, create=create
        )
        self._groups = Groups(internals(self))
        self._clients: weakref.WeakSet[Producer | Consumer] = weakref.WeakSet()
        _open_logs.add(self)

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def producer(
        self,
        *,
        compression: str | None = None,
        linger_ms: int = 0,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
    ) -> Producer:
        """A producer, which may be shared by threads.

        With `linger_ms` records wait that long, or until a partition has `batch_bytes` of them, and are appended together: a
        third of the bytes for small records, faster reads, and far more throughput with fsync="always" or compression. But a
        record is in the log only once its receipt is resolved. `compression` is "gzip", "snappy",
        "lz4" or "zstd", and yields to the topic's own `compression.type`. A topic that does not exist is created with one
        partition, unless `auto_create_topics` is False. Raises `InvalidArgumentError`, `UnsupportedCodecError`."""
        self._check_usable()
        producer = Producer(
            self,
            self._groups,
            compression=compression,
            linger_ms=linger_ms,
            batch_bytes=batch_bytes,
            auto_create_topics=auto_create_topics,
        )
        self._clients.add(producer)
        return producer

    def consumer(
        self,
        topics: str | Sequence[str] | Pattern[str] | None = None,
        *,
        group: str | None = None,
        auto_offset_reset: str = "earliest",
        auto_commit: bool = False,
        auto_commit_interval_ms: int = 1000,
        assignor: str = "cooperative-sticky",
        instance_id: str | None = None,
        max_poll_interval_ms: int = 300_000,
        session_timeout_ms: int = 45_000,
        durable: bool = False,
        listener: RebalanceListener | None = None,
    ) -> Consumer:
        """A consumer of a topic, of several, or of all that match a compiled pattern; for one thread at a time.

        Consumers with the same `group` share the partitions, and commit how far they are; one without a group reads all
        partitions. Where nothing was committed it begins by `auto_offset_reset`: "earliest", "latest" or "error". With
        `auto_commit` each poll commits what earlier ones returned. `assignor` is "range", "round-robin" or
        "cooperative-sticky", the same for all members. A member that does not poll for `max_poll_interval_ms` loses its
        partitions. One with an `instance_id` is static: it keeps them for `session_timeout_ms` when its process is gone, and
        gets them back when it returns. With `durable` only records that are on disk are read. Raises
        `InvalidArgumentError`, `InvalidTypeError`."""
        self._check_usable()
        options = ConsumerOptions(
            group=group,
            auto_offset_reset=auto_offset_reset,
            auto_commit=auto_commit,
            auto_commit_interval_ms=auto_commit_interval_ms,
            assignor=assignor,
            instance_id=instance_id,
            max_poll_interval_ms=max_poll_interval_ms,
            session_timeout_ms=session_timeout_ms,
            durable=durable,
            listener=listener,
        )
        consumer = Consumer(self, self._groups, topics, options)
        self._clients.add(consumer)
        return consumer

    def groups(self) -> list[str]:
        """The names of all consumer groups, sorted."""
        return internals(self).groups.names()

    def group(self, name: str) -> Group:
        """A consumer group. Raises `GroupNotFoundError`."""
        self._check_usable()
        return Group(self._groups, check_group_name(name))

    def lags(self) -> dict[str, dict[TopicPartition, int | None]]:
        """`Group.lag` of every consumer group, by its name: cheaper than to ask one after the other."""
        self._check_usable()
        return lags_by_group(self._groups)

    def close(self) -> None:
        """Close consumers and producers, bring every commit to disk, flush and close the log. A second call does nothing."""
        if self._is_closed or os.getpid() != self._process_id:
            return
        self._is_closing = True
        self._internals.closing.raise_()
        with ExitStack() as steps:  # all of them, whatever the others raise
            steps.callback(super().close)
            steps.callback(self._groups.close)
            for client in list(self._clients):
                steps.callback(client.close_with_store, _CLOSE_SECONDS)


def open(
    path: str | os.PathLike[str],
    *,
    fsync: str = "interval",
    fsync_interval_ms: int = 1000,
    lock_timeout_ms: int = 30_000,
    create: bool = True,
) -> EventLog:
    """Open the store in a directory, and create it where there is none.

    `fsync` is when an append is on disk: "always" before it returns, "interval" within `fsync_interval_ms`, "never"
    when the system writes it. Every choice survives the death of any process. `lock_timeout_ms` bounds every wait for
    another process. Raises `StoreOpenError`, `DiskFullError`, `InvalidArgumentError`."""
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidTypeError(f"path is a str or a path, not {type(path).__name__}")
    if path == "" or "\0" in str(path):
        raise InvalidArgumentError(f"{str(path)!r} names no directory")
    check_bool("create", create)
    check_fsync(fsync)
    check_milliseconds("fsync_interval_ms", fsync_interval_ms)
    check_milliseconds("lock_timeout_ms", lock_timeout_ms)
    return EventLog(
        Path(path).absolute(),
        fsync=fsync,
        fsync_interval_ms=fsync_interval_ms,
        lock_timeout_ms=lock_timeout_ms,
        create=create,
    )


@atexit.register
def _close_all() -> None:
    """A store that was never closed is closed at exit, so that its segments end cleanly."""
    for log in list(_open_logs):
        log.close()
