"""A store for tasks."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from re import Pattern
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast, overload

from eventlog import api
from eventlog.aio.bridge import AsyncBridge, AsyncMirror
from eventlog.aio.consumer import AsyncConsumer, AsyncDeserializingConsumer
from eventlog.aio.group import AsyncGroup
from eventlog.aio.partition import AsyncPartition
from eventlog.aio.producer import AsyncNamedProducer, AsyncProducer, AsyncTransactionalProducer
from eventlog.aio.server import AsyncServer
from eventlog.api import EventLog
from eventlog.catalog.topics import TopicDescription
from eventlog.clock import Time
from eventlog.consumer.rebalance import RebalanceListener
from eventlog.errors import EventLogError
from eventlog.groups.group import GroupDescription
from eventlog.hub import Hub
from eventlog.options import GROUP_RETENTION_MS, check_partition_number
from eventlog.records.record import TopicPartition

if TYPE_CHECKING:
    from eventlog.admin.backup import BackupReport
    from eventlog.admin.repair import RepairPlan
    from eventlog.bridges.kafka.mirror.differences import Difference
    from eventlog.consumer.deserializing import Deserializer
    from eventlog.maintenance.report import MaintenanceReport
    from eventlog.producer.serializing import Serializer
    from eventlog.storage.mapped.foreign_heads import PartitionOffsets, PartitionSize
    from eventlog.storage.segments.inspection import VerifyReport
    from eventlog.transactions.description import TransactionDescription
    from eventlog.views.activity import Activity
    from eventlog.views.columns import TopicColumns
    from eventlog.views.metrics import Metrics
    from eventlog.views.topic import TopicOverview


class AsyncEventLog:
    """`eventlog.EventLog` for tasks. Created by `eventlog.aio.open`, and opened by `async with`, or by `await`.

    `log` is the store itself."""

    def __init__(self, open_log: Callable[[], EventLog]) -> None:
        self._open_log = open_log
        self._opening: asyncio.Future[EventLog] | None = None
        self._log: EventLog | None = None
        self._hub_of_log: Hub | None = None

    def __repr__(self) -> str:
        return "<AsyncEventLog, not open yet>" if self._log is None else f"<AsyncEventLog {self._log.path}>"

    def __await__(self) -> Generator[Any, None, AsyncEventLog]:
        return self._open().__await__()

    async def _open(self) -> AsyncEventLog:
        if self._opening is None:
            self._opening = asyncio.ensure_future(asyncio.to_thread(self._open_log))
        try:
            log = await asyncio.shield(self._opening)
        except asyncio.CancelledError:
            await asyncio.to_thread((await self._opening).close)
            raise
        if self._log is None:
            self._log, self._hub_of_log = log, Hub(log.store.signals)
        return self

    async def __aenter__(self) -> AsyncEventLog:
        return await self._open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def log(self) -> EventLog:
        """The store itself, for threads. Raises `EventLogError` before it is open."""
        if self._log is None:
            raise EventLogError("the store is not open yet: use 'async with', or await what eventlog.aio.open returns")
        return self._log

    @property
    def _hub(self) -> Hub:
        assert self.log is not None and self._hub_of_log is not None
        return self._hub_of_log

    @property
    def path(self) -> Path:
        """The store's directory."""
        return self.log.path

    @property
    def is_closed(self) -> bool:
        """As `EventLog.is_closed`."""
        return self._log is not None and self._log.is_closed

    # --- topics ------------------------------------------------------------------------------------------

    async def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, object] | None = None, *, exist_ok: bool = False
    ) -> TopicDescription:
        """As `EventLog.create_topic`."""
        return await asyncio.to_thread(self.log.create_topic, name, partitions, config, exist_ok=exist_ok)

    async def alter_topic(
        self, name: str, *, partitions: int | None = None, config: Mapping[str, object] | None = None
    ) -> TopicDescription:
        """As `EventLog.alter_topic`."""
        return await asyncio.to_thread(self.log.alter_topic, name, partitions=partitions, config=config)

    async def delete_topic(self, name: str) -> None:
        """As `EventLog.delete_topic`. It is completed even if the task is cancelled meanwhile."""
        await asyncio.to_thread(self.log.delete_topic, name)

    async def topic(self, name: str) -> TopicDescription:
        """As `EventLog.topic`."""
        return await asyncio.to_thread(self.log.topic, name)

    async def topics(self) -> list[str]:
        """As `EventLog.topics`."""
        return await asyncio.to_thread(self.log.topics)

    async def describe_topic(self, name: str) -> TopicOverview:
        """As `EventLog.describe_topic`."""
        return await asyncio.to_thread(self.log.describe_topic, name)

    async def offsets(self, topic: str) -> list[PartitionOffsets]:
        """As `EventLog.offsets`."""
        return await asyncio.to_thread(self.log.offsets, topic)

    async def sizes(self, topic: str) -> list[PartitionSize]:
        """As `EventLog.sizes`."""
        return await asyncio.to_thread(self.log.sizes, topic)

    async def columns(
        self,
        topic: str,
        partitions: Iterable[int] | None = None,
        *,
        since: Time | None = None,
        until: Time | None = None,
        headers: bool = False,
        durable: bool = False,
    ) -> TopicColumns:
        """As `EventLog.columns`. Whoever takes the result as a table reads the log: let a thread do that, by
        `asyncio.to_thread`."""
        columns = self.log.columns
        return await asyncio.to_thread(
            columns, topic, partitions, since=since, until=until, headers=headers, durable=durable
        )

    def partition(self, topic: str, partition: int) -> AsyncPartition:
        """As `EventLog.partition`; the partition is opened by its first use, or by awaiting this."""
        open_partition = functools.partial(self.log.partition, topic, partition)
        if check_partition_number(partition) not in range(self.log.topic(topic).partitions):
            open_partition()  # raises the error that says so
        return AsyncPartition(open_partition, topic, partition, self._hub)

    # --- producers and consumers -------------------------------------------------------------------------

    @overload
    def producer(
        self,
        *,
        transactional_id: str,
        transaction_timeout_ms: int = 60_000,
        compression: str | None = None,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
        value_serializer: Serializer | None = None,
        key_serializer: Serializer | None = None,
    ) -> AsyncTransactionalProducer: ...

    @overload
    def producer(
        self,
        *,
        name: str,
        compression: str | None = None,
        linger_ms: int = 0,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
        value_serializer: Serializer | None = None,
        key_serializer: Serializer | None = None,
    ) -> AsyncNamedProducer: ...

    @overload
    def producer(
        self,
        *,
        compression: str | None = None,
        linger_ms: int = 0,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
        value_serializer: Serializer | None = None,
        key_serializer: Serializer | None = None,
    ) -> AsyncProducer: ...

    def producer(
        self,
        *,
        transactional_id: str | None = None,
        transaction_timeout_ms: int = 60_000,
        name: str | None = None,
        compression: str | None = None,
        linger_ms: int = 0,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
        value_serializer: Serializer | None = None,
        key_serializer: Serializer | None = None,
    ) -> AsyncProducer:
        """As `EventLog.producer`. It is made by `async with`, or by what is awaited first, which raise its errors."""
        options: dict[str, Any] = {
            "transactional_id": transactional_id, "transaction_timeout_ms": transaction_timeout_ms, "name": name,
            "compression": compression, "linger_ms": linger_ms, "batch_bytes": batch_bytes,
            "auto_create_topics": auto_create_topics, "value_serializer": value_serializer, "key_serializer": key_serializer,
        }  # fmt: skip
        kind = AsyncNamedProducer if name is not None else AsyncProducer
        if transactional_id is not None:
            kind = AsyncTransactionalProducer
        return kind(functools.partial(self.log.producer, **options), self.log.open_groups, self._hub)

    @overload
    def consumer(
        self,
        topics: str | Sequence[str] | Pattern[str] | None = None,
        *,
        value_deserializer: Deserializer | None,
        key_deserializer: Deserializer | None = None,
        refused: str = "stop",
        group: str | None = None,
        auto_offset_reset: str = "earliest",
        auto_commit: bool = False,
        auto_commit_interval_ms: int = 1000,
        assignor: str = "cooperative-sticky",
        instance_id: str | None = None,
        max_poll_interval_ms: int = 300_000,
        session_timeout_ms: int = 45_000,
        durable: bool = False,
        isolation: str = "read_committed",
        listener: RebalanceListener | None = None,
    ) -> AsyncDeserializingConsumer: ...

    @overload
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
        isolation: str = "read_committed",
        listener: RebalanceListener | None = None,
    ) -> AsyncConsumer: ...

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
        isolation: str = "read_committed",
        listener: RebalanceListener | None = None,
        value_deserializer: Deserializer | None = None,
        key_deserializer: Deserializer | None = None,
        refused: str = "stop",
    ) -> AsyncConsumer:
        """As `EventLog.consumer`. Deserializers are called in the event loop."""
        options: dict[str, Any] = {
            "group": group, "auto_offset_reset": auto_offset_reset, "auto_commit": auto_commit,
            "auto_commit_interval_ms": auto_commit_interval_ms, "assignor": assignor, "instance_id": instance_id,
            "max_poll_interval_ms": max_poll_interval_ms, "session_timeout_ms": session_timeout_ms, "durable": durable,
            "isolation": isolation, "listener": listener, "value_deserializer": value_deserializer,
            "key_deserializer": key_deserializer, "refused": refused,
        }  # fmt: skip
        has_deserializer = value_deserializer is not None or key_deserializer is not None
        kind = AsyncDeserializingConsumer if has_deserializer else AsyncConsumer
        return kind(self.log.consumer(topics, **options), self._hub)

    # --- groups and transactions -------------------------------------------------------------------------

    def group(self, name: str) -> AsyncGroup:
        """As `EventLog.group`."""
        return AsyncGroup(self.log.group(name))

    async def create_group(self, name: str) -> AsyncGroup:
        """As `EventLog.create_group`."""
        return AsyncGroup(await asyncio.to_thread(self.log.create_group, name))

    async def groups(self) -> list[str]:
        """As `EventLog.groups`."""
        return await asyncio.to_thread(self.log.groups)

    async def describe_groups(self) -> list[GroupDescription]:
        """As `EventLog.describe_groups`."""
        return await asyncio.to_thread(self.log.describe_groups)

    async def lags(self) -> dict[str, dict[TopicPartition, int | None]]:
        """As `EventLog.lags`."""
        return await asyncio.to_thread(self.log.lags)

    async def check_offsets(self, offsets: Mapping[TopicPartition, int]) -> None:
        """As `EventLog.check_offsets`."""
        await asyncio.to_thread(self.log.check_offsets, offsets)

    async def transactions(self) -> list[TransactionDescription]:
        """As `EventLog.transactions`."""
        return await asyncio.to_thread(self.log.transactions)

    async def abort_transaction(self, transactional_id: str) -> bool:
        """As `EventLog.abort_transaction`. It is completed even if the task is cancelled meanwhile."""
        return await asyncio.to_thread(self.log.abort_transaction, transactional_id)

    # --- servers and bridges -----------------------------------------------------------------------------

    def serve(
        self,
        host: str = "127.0.0.1",
        port: int = 9092,
        *,
        advertise: tuple[str, int] | None = None,
        partitions: int = 1,
        auto_create_topics: bool = True,
        tls: tuple[str, ...] | None = None,
        users: bool = False,
        insecure: bool = False,
    ) -> AsyncServer:
        """As `EventLog.serve`. The server starts with `async with`, or with `await server.start()`, and runs in a thread of its
        own, so that tasks that compute for long do not keep its clients waiting."""
        start = functools.partial(
            self.log.serve, host, port, advertise=advertise, partitions=partitions, auto_create_topics=auto_create_topics,
            tls=tls, users=users, insecure=insecure,
        )  # fmt: skip
        return AsyncServer(start)

    def ship(
        self,
        topic: str,
        url: str,
        *,
        group: str | None = None,
        window: int | None = None,
        window_bytes: int = 8 * 2**20,
        refused: str = "stop",
        password: str | None = None,
        create: str | None = None,
        give_up_after: float | None = None,
    ) -> AsyncBridge:
        """As `EventLog.ship`. It is made, and begins, with `async with`, `await bridge.run()` or `await bridge.start()`."""
        make = functools.partial(
            self.log.ship, topic, url, group=group, window=window, window_bytes=window_bytes, refused=refused,
            password=password, create=create, give_up_after=give_up_after,
        )  # fmt: skip
        return AsyncBridge(make)

    def collect(
        self,
        topic: str,
        url: str,
        *,
        key: str | None = None,
        identity: str | None = None,
        window: int | None = None,
        refused: str = "stop",
        password: str | None = None,
        create: str | None = None,
        give_up_after: float | None = None,
    ) -> AsyncBridge:
        """As `EventLog.collect`; it begins as `ship` does."""
        make = functools.partial(
            self.log.collect, topic, url, key=key, identity=identity, window=window, refused=refused, password=password,
            create=create, give_up_after=give_up_after,
        )  # fmt: skip
        return AsyncBridge(make)

    def mirror(
        self,
        topics: str | Sequence[str],
        url: str | None = None,
        *,
        to: str | None = None,
        groups: str | Sequence[str] = "*",
        every: float = 1.0,
        password: str | None = None,
        give_up_after: float | None = None,
        on_difference: Callable[[Difference], object] | None = None,
    ) -> AsyncMirror:
        """As `EventLog.mirror`; it begins as `ship` does. `on_difference` is called in its thread."""
        make = functools.partial(
            self.log.mirror, topics, url, to=to, groups=groups, every=every, password=password, give_up_after=give_up_after,
            on_difference=on_difference,
        )  # fmt: skip
        return AsyncMirror(make)

    # --- care --------------------------------------------------------------------------------------------

    async def maintain(
        self, *, compact_all: bool = False, group_retention_ms: int = GROUP_RETENTION_MS, dry_run: bool = False
    ) -> MaintenanceReport:
        """As `EventLog.maintain`. It is completed even if the task is cancelled meanwhile."""
        return await asyncio.to_thread(
            self.log.maintain, compact_all=compact_all, group_retention_ms=group_retention_ms, dry_run=dry_run
        )

    async def start_maintenance(
        self, interval_ms: int = 60_000, *, group_retention_ms: int = GROUP_RETENTION_MS
    ) -> None:
        """As `EventLog.start_maintenance`."""
        await asyncio.to_thread(self.log.start_maintenance, interval_ms, group_retention_ms=group_retention_ms)

    async def activity(self, earlier: Activity | None = None) -> Activity:
        """As `EventLog.activity`."""
        return await asyncio.to_thread(self.log.activity, earlier)

    async def metrics(self) -> Metrics:
        """As `EventLog.metrics`."""
        return await asyncio.to_thread(self.log.metrics)

    async def verify(self, topic: str | None = None) -> list[VerifyReport]:
        """As `EventLog.verify`."""
        return await asyncio.to_thread(self.log.verify, topic)

    async def repair(self, topic: str, partition: int, *, execute: bool = False) -> RepairPlan:
        """As `EventLog.repair`. It is completed even if the task is cancelled meanwhile."""
        return await asyncio.to_thread(self.log.repair, topic, partition, execute=execute)

    async def backup(self, destination: str | os.PathLike[str], *, link: bool = True) -> BackupReport:
        """As `EventLog.backup`. It is completed even if the task is cancelled meanwhile."""
        return await asyncio.to_thread(self.log.backup, destination, link=link)

    async def flush(self) -> None:
        """As `EventLog.flush`."""
        await asyncio.to_thread(self.log.flush)

    async def close(self) -> None:
        """As `EventLog.close`. In tasks that are still waiting, it raises `StoreClosedError`."""
        if self._log is not None:
            await asyncio.to_thread(self._hub.stop)
            await asyncio.to_thread(self._log.close)


def open(
    path: str | os.PathLike[str],
    *,
    mode: str = "rw",
    fsync: str = "interval",
    fsync_interval_ms: int = 1000,
    lock_timeout_ms: int = 30_000,
    create: bool = True,
) -> AsyncEventLog:
    """As `eventlog.open`. `async with`, or `await`, opens the store, in a thread; they raise its errors.

    A URL such as "kafka://host:9092" gives the same for a cluster of Apache Kafka, as far as that can (`docs/kafka.md`)."""
    open_log = functools.partial(
        api.open, path, mode=mode, fsync=fsync, fsync_interval_ms=fsync_interval_ms, lock_timeout_ms=lock_timeout_ms,
        create=create,
    )  # fmt: skip
    if isinstance(path, str) and path.lower().startswith("kafka://"):
        from eventlog.aio.cluster import AsyncKafkaLog

        return cast(AsyncEventLog, AsyncKafkaLog(cast(Any, open_log)))
    return AsyncEventLog(open_log)
