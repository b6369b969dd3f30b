"""A store as users see it: the log, with its producers, consumers and consumer groups."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from re import Pattern
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from eventlog.access import as_path
from eventlog.catalog.topics import TopicDescription
from eventlog.clock import Time
from eventlog.consumer.consumer import Consumer
from eventlog.consumer.core import ConsumerCore
from eventlog.consumer.options import ConsumerOptions
from eventlog.consumer.rebalance import RebalanceListener
from eventlog.errors import InvalidArgumentError, NotSupportedError, translates_os_errors
from eventlog.groups.group import Group, GroupDescription, checked_offsets, describe_all
from eventlog.groups.registry import Groups
from eventlog.log import Log
from eventlog.maintenance.deletion import delete_topic, finish_deletion
from eventlog.options import (
    GROUP_RETENTION_MS,
    StoreOptions,
    check_any_group_name,
    check_bool,
    check_fsync,
    check_group_name,
    check_milliseconds,
    check_mode,
    check_number,
    check_text,
    check_topic_name,
)
from eventlog.producer.producer import Producer
from eventlog.records.record import TopicPartition
from eventlog.store.closing import Step
from eventlog.transactions.transactions import Transactions

if TYPE_CHECKING:
    from eventlog.admin.backup import BackupReport
    from eventlog.admin.repair import RepairPlan
    from eventlog.bridges.bridge import Bridge
    from eventlog.bridges.collect import Collect
    from eventlog.bridges.kafka.mirror.differences import Difference
    from eventlog.bridges.kafka.mirror.mirror import Mirror
    from eventlog.bridges.ship import Ship
    from eventlog.consumer.deserializing import Deserializer, DeserializingConsumer
    from eventlog.maintenance.report import MaintenanceReport
    from eventlog.maintenance.upkeep import Housekeeper
    from eventlog.producer.idempotent import NamedProducer
    from eventlog.producer.serializing import (
        Serializer,
        Serializers,
        SerializingNamedProducer,
        SerializingProducer,
        SerializingTransactionalProducer,
    )
    from eventlog.producer.transactional import TransactionalProducer
    from eventlog.serve.background import BackgroundServer
    from eventlog.transactions.description import TransactionDescription
    from eventlog.views.activity import Activity
    from eventlog.views.columns import TopicColumns
    from eventlog.views.metrics import Metrics
    from eventlog.views.topic import TopicOverview
    from eventlog.worker.core import WorkerCore
    from eventlog.worker.worker import Worker

_AnyProducer = TypeVar("_AnyProducer", bound=Producer)

_CLOSE_SECONDS = 5.0  # how long a thread may take to release a consumer
_BRIDGE_SECONDS = 30.0  # the same, to settle what a bridge has begun
_ID_CHARACTERS_MAX = 2**15 - 1  # of a transactional id in Kafka's protocol


class _Clients:
    """The servers, bridges, producers and consumers of an open store, and its housekeeper: they are closed before the store
    is."""

    def __init__(self) -> None:
        self.bridges: weakref.WeakSet[Bridge] = weakref.WeakSet()
        self.servers: weakref.WeakSet[BackgroundServer] = weakref.WeakSet()
        self.open: weakref.WeakSet[Producer | ConsumerCore | WorkerCore] = weakref.WeakSet()
        self.housekeeper: Housekeeper | None = None

    def check_not_replaced(self) -> None:
        """Nothing to check: they use no files of their own."""

    def check_may_close(self) -> None:
        for client in list(self.open):
            if isinstance(client, Producer):
                client.check_may_close()

    def closing_steps(self) -> list[Step]:
        stops = [server.stop for server in list(self.servers)]
        stops += [functools.partial(bridge.close_with_store, _BRIDGE_SECONDS) for bridge in list(self.bridges)]
        closes = [functools.partial(client.close_with_store, _CLOSE_SECONDS) for client in list(self.open)]
        return [*stops, *closes, self._stop_housekeeping]

    def _stop_housekeeping(self) -> None:
        if self.housekeeper is not None:
            self.housekeeper.stop()


@translates_os_errors("close")
class EventLog(Log):
    """An open store. Safe for several threads; unusable after fork(). Created by `eventlog.open`.

    `open_groups` are the consumer groups in use here, `open_transactions` its transactions; both are for the rest of this
    library only."""

    def __init__(self, path: Path, options: StoreOptions, *, create: bool) -> None:
        try:
            super().__init__(path, options, create=create)
            self.open_groups = Groups(self.store)
            self.open_transactions = Transactions(self.open_groups)
            self._clients = _Clients()
            self.store.close_first(self.open_groups)
            self.store.close_first(self.open_transactions)
            self.store.close_first(self._clients)
        except BaseException:
            if "store" in vars(self):  # otherwise nothing is open
                self.store.abandon()
            raise

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, object] | None = None, *, exist_ok: bool = False
    ) -> TopicDescription:
        """Create a topic with Kafka's topic settings; with `exist_ok`, one that exists is returned as it is.

        Raises `TopicExistsError`, `InvalidArgumentError`."""
        self.store.check_writable()
        finish_deletion(self.open_groups, check_topic_name(name))  # one that a killed process began
        return super().create_topic(name, partitions, config, exist_ok=exist_ok)

    def delete_topic(self, name: str) -> None:
        """Delete a topic with its records and the offsets that groups have committed for it, even while others use it.

        Their appends and reads raise `TopicNotFoundError` from then on, and consumers that subscribe to it drop it.
        Raises `TopicNotFoundError`."""
        self.store.check_writable()
        delete_topic(self.open_groups, check_topic_name(name))

    def maintain(
        self, *, compact_all: bool = False, group_retention_ms: int = GROUP_RETENTION_MS, dry_run: bool = False
    ) -> MaintenanceReport:
        """Do one round of housekeeping: delete what retention.ms, retention.bytes and retention.acked no longer keep, compact
        the partitions that have reached min.cleanable.dirty.ratio (with `compact_all`, all that can be compacted), and remove
        groups that have had no member and committed nothing for `group_retention_ms`.

        With `dry_run` nothing is changed: the report says what would be deleted, and why.

        Safe beside any other use, and safe to kill at any point. One process at a time does it; if another one is doing it,
        the report's `is_elsewhere` is True. Failures are in the report; they do not stop the rest."""
        from eventlog.maintenance.upkeep import maintain

        self.store.check_writable()
        check_bool("compact_all", compact_all)
        check_bool("dry_run", dry_run)
        check_number("group_retention_ms", group_retention_ms, 0, 2**63 - 1)
        return maintain(
            self.open_groups, compact_all=compact_all, group_retention_ms=group_retention_ms, dry_run=dry_run
        )

    def start_maintenance(self, interval_ms: int = 60_000, *, group_retention_ms: int = GROUP_RETENTION_MS) -> None:
        """Let a thread of this process do a round of housekeeping every `interval_ms` until the store is closed.

        Any number of processes may do so: the first one whose time has come does the round. A second call does nothing."""
        from eventlog.maintenance.upkeep import Housekeeper

        self.store.check_writable()
        check_milliseconds("interval_ms", interval_ms)
        check_number("group_retention_ms", group_retention_ms, 0, 2**63 - 1)
        if self._clients.housekeeper is None:
            housekeeper = Housekeeper(self.open_groups, interval_ms, group_retention_ms)
            housekeeper.start()
            self._clients.housekeeper = housekeeper

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
    ) -> BackgroundServer:
        """Serve the store to clients that speak Kafka's protocol, in any language, from a thread of this process.

        Returns once clients can connect to the result's `bootstrap`; with port 0 the system chooses a free port. The server
        runs until its `stop`, until the end of a `with` block with it, or until the store is closed. `advertise` is the host
        and port that clients are told to connect to, if it is not where they have connected. A topic that a client names is
        created with so many `partitions`, unless `auto_create_topics` is False. `tls` has the paths of a certificate and its
        key, and optionally of the authorities of clients; with `users` clients authenticate as users of the store (`eventlog
        serve users`). Only clients on this machine can connect, unless there are both, or `insecure` allows an address that
        others reach: then anyone who reaches it can read and write everything. Raises
        `EventLogError` (the port is in use), `InvalidArgumentError`, `InvalidTypeError`, `ThreadStartError`."""
        from eventlog.serve.background import start_server

        self.store.check_writable()
        server = start_server(
            self, host, port, advertise=advertise, partitions=partitions, auto_create_topics=auto_create_topics,
            tls=tls, users=users, insecure=insecure,
        )  # fmt: skip
        self._clients.servers.add(server)
        return server

    @overload
    def producer(
        self,
        *,
        value_serializer: Serializer | None,
        key_serializer: Serializer | None = None,
        transactional_id: str,
        transaction_timeout_ms: int = 60_000,
        compression: str | None = None,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
    ) -> SerializingTransactionalProducer: ...

    @overload
    def producer(
        self,
        *,
        value_serializer: Serializer | None,
        key_serializer: Serializer | None = None,
        name: str,
        compression: str | None = None,
        linger_ms: int = 0,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
    ) -> SerializingNamedProducer: ...

    @overload
    def producer(
        self,
        *,
        value_serializer: Serializer | None,
        key_serializer: Serializer | None = None,
        compression: str | None = None,
        linger_ms: int = 0,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
    ) -> SerializingProducer: ...

    @overload
    def producer(
        self,
        *,
        transactional_id: str,
        transaction_timeout_ms: int = 60_000,
        compression: str | None = None,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
    ) -> TransactionalProducer: ...

    @overload
    def producer(
        self,
        *,
        name: str,
        compression: str | None = None,
        linger_ms: int = 0,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
    ) -> NamedProducer: ...

    @overload
    def producer(
        self,
        *,
        compression: str | None = None,
        linger_ms: int = 0,
        batch_bytes: int = 16_384,
        auto_create_topics: bool = True,
    ) -> Producer: ...

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
    ) -> Producer:
        """A producer, which may be shared by threads.

        With `linger_ms` records wait that many milliseconds, or until a partition has `batch_bytes` of them, and are appended
        together: a third of the bytes for small records, faster sends and reads, and far more throughput with fsync="always" or
        compression. But a record is in the log only once its receipt is resolved. `compression` is "gzip", "snappy", "lz4" or
        "zstd", and yields to the topic's own `compression.type`. A topic that does not exist is created with one partition,
        unless `auto_create_topics` is False.

        With a `transactional_id`, its records and the offsets of consumers become visible in transactions. An earlier producer
        of the same id is fenced, and its open transaction aborted, as is one that takes longer than `transaction_timeout_ms`.
        With a `name`, records are numbered, so that `NamedProducer.send_once` recognises what was appended before a crash.
        With serializers, `send` takes objects, of which these functions make the bytes of keys and values, as
        `eventlog.json.dumps` does; None stays None. Raises `InvalidArgumentError`, `InvalidTypeError`,
        `UnsupportedCodecError`."""
        self.store.check_writable()
        options: dict[str, Any] = {
            "compression": compression, "batch_bytes": batch_bytes, "auto_create_topics": auto_create_topics,
        }  # fmt: skip
        serializers = _serializers(key_serializer, value_serializer)
        producer = self._make_producer(transactional_id, transaction_timeout_ms, name, linger_ms, serializers, options)
        self._clients.open.add(producer)
        return producer

    def _make_producer(
        self,
        transactional_id: str | None,
        timeout_ms: int,
        name: str | None,
        linger_ms: int,
        serializers: Serializers | None,
        options: dict[str, Any],
    ) -> Producer:
        groups, transactions = self.open_groups, self.open_transactions
        if transactional_id is not None:
            from eventlog.producer.transactional import TransactionalProducer

            if name is not None or linger_ms:
                raise InvalidArgumentError("a producer with a transactional_id has no name, and no linger_ms")
            make = _maker(TransactionalProducer, serializers)
            return make(self, groups, transactions, transactional_id, timeout_ms=timeout_ms, **options)
        if name is not None:
            from eventlog.producer.idempotent import NamedProducer

            make_named = _maker(NamedProducer, serializers)
            return make_named(self, groups, transactions.producer_ids, name, linger_ms=linger_ms, **options)
        return _maker(Producer, serializers)(self, groups, linger_ms=linger_ms, **options)

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
    ) -> DeserializingConsumer: ...

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
    ) -> Consumer: ...

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
    ) -> Consumer:
        """A consumer of a topic, of several, or of all that match a compiled pattern; for one thread at a time.

        Consumers with the same `group` share the partitions, and commit their positions; one without a group reads all
        partitions. If nothing was committed, it begins by `auto_offset_reset`: "earliest", "latest" or "error". With
        `auto_commit` each poll commits what earlier ones returned, and iteration the records before the current one; see
        `docs/guarantees.md` for what counts as finished. `assignor` is "range", "round-robin" or
        "cooperative-sticky", the same for all members. A member that does not poll for `max_poll_interval_ms` loses its
        partitions. A member with an `instance_id` is static: it keeps them for `session_timeout_ms` after its process is gone,
        and gets them back when it returns. With `durable`, only records that are on disk are read. With the `isolation`
        "read_committed", records of a transaction are read once it is committed, in the order of their offsets; with
        "read_uncommitted" at once, and even if it is aborted.

        With deserializers, keys and values of records are what these functions make of the bytes, as `eventlog.json.loads`
        does; None stays None. A record that one of them refuses raises `DeserializationError` ("stop"), goes to another topic
        ("dead-letter:TOPIC"), or is passed over ("drop"), as `refused` says. Raises `InvalidArgumentError`,
        `InvalidTypeError`."""
        self.store.check_open() if group is None else self.store.check_writable()
        options = ConsumerOptions(
            group, auto_offset_reset, auto_commit, auto_commit_interval_ms, assignor, instance_id, max_poll_interval_ms,
            session_timeout_ms, durable, isolation, listener,
        )  # fmt: skip
        options.check()
        make = self._consumer_maker(key_deserializer, value_deserializer, refused)
        self.open_transactions.attend()  # this consumer must not wait for one whose process is dead
        consumer = make(self, self.open_groups, topics, options)
        self._clients.open.add(consumer.core)
        return consumer

    def worker(self, topics: str | Sequence[str], group: str, *, config: Mapping[str, object] | None = None) -> Worker:
        """A worker of a share group: it hands out records as jobs, each of which is accepted, released or rejected by itself.

        Any number of workers, in any processes, work on the same partitions; no record is handed out to two of them at once. If
        a process dies, the others get what it had at once; if it hangs, after `share.record.lock.duration.ms`. Of several
        topics those that come first are worked on first. `config` sets the settings of the group, by the names in
        `docs/queues.md`; None keeps those that it has. A group is either a share group or a consumer group. Raises
        `InvalidArgumentError`, `InvalidTypeError`."""
        from eventlog.worker.making import make_worker

        self.store.check_writable()
        worker = make_worker(self, self.open_groups, topics, group, config)
        self._clients.open.add(worker.core)
        return worker

    def _consumer_maker(
        self, key_deserializer: Deserializer | None, value_deserializer: Deserializer | None, refused: str
    ) -> Callable[..., Consumer]:
        if key_deserializer is None and value_deserializer is None and refused == "stop":
            return Consumer
        from eventlog.bridges.refused import checked_deserializers
        from eventlog.consumer.deserializing import DeserializingConsumer

        deserializers = checked_deserializers(self, key_deserializer, value_deserializer, refused)
        assert deserializers is not None
        return functools.partial(DeserializingConsumer, deserializers=deserializers)

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
    ) -> Ship:
        """A bridge that ships the records of a topic to another system: RabbitMQ (`amqp:`), ActiveMQ (`stomp:`), Kafka
        (`kafka:`), or another store (`eventlog:/DIR#TOPIC`). `docs/bridges.md` has the URLs, and what each way promises.

        It is a member of `group`, by default one named after the target, and commits what the other system has confirmed. At
        most `window` records, by default 2,000, or 20,000 to Kafka, or about `window_bytes`, are under way. A record that the
        other system refuses stops the bridge ("stop"), goes to another topic ("dead-letter:TOPIC"), or is dropped ("drop").
        `password` is used instead of one in the URL. `create` is the kind of queue or topic to create there ("": the default
        kind); None creates none. The bridge tries to reach the other system for ever, or until it has had no success for
        `give_up_after` seconds. Nothing happens before `run`, `start` or a `with` block. Raises `TopicNotFoundError`,
        `InvalidArgumentError`, and `BridgeError` if the client of the other system is not installed."""
        from eventlog.bridges.making import make_ship

        self.store.check_writable()
        bridge = make_ship(
            self, topic, url, make_consumer=self._consumer_of_bridge, open_log=_open_existing, group=group, window=window,
            window_bytes=window_bytes, refused=refused, password=password, create=create, give_up_after=give_up_after,
        )  # fmt: skip
        self._clients.bridges.add(bridge)
        return bridge

    def _consumer_of_bridge(self, topic: str, group: str, listener: RebalanceListener) -> Consumer:
        return self.consumer(topic, group=group, listener=listener)

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
    ) -> Collect:
        """A bridge that collects messages of another system into a topic; URLs and the other options are as for `ship`.

        `key` says where a record's key comes from: "routing-key", "message-id", "correlation-id", "header:NAME", or None, as
        the other system has it. `identity` says how a message that comes again is recognised: by its "message-id",
        "header:NAME" or "content", or not at all ("none"); None is what is best for the other system. At most `window`
        messages are received before they are acknowledged: by default 1,000, of RabbitMQ 2,000, of Kafka 5,000. `refused` may
        also be "dead-letter": the other system puts the message where it puts such messages. Raises what `ship` raises."""
        from eventlog.bridges.making import make_collect

        self.store.check_writable()
        bridge = make_collect(
            self, topic, url, open_log=_open_existing, key=key, identity=identity, window=window, refused=refused,
            password=password, create=create, give_up_after=give_up_after,
        )  # fmt: skip
        self._clients.bridges.add(bridge)
        return bridge

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
    ) -> Mirror:
        """A bridge that copies topics, with their settings, partitions, records and the committed offsets of groups, from a
        Kafka cluster at `url`, or `to` one; `docs/bridges.md` says what is promised.

        `topics` and `groups` are patterns as in a shell, such as "orders.*". It works in rounds, `every` so many seconds.
        `on_difference` is called, in the bridge's thread, with each `Difference` that was made up for; `differences()` of the
        result returns those that there are, and changes nothing. The other options, and when it begins, are as for `ship`.
        Raises `InvalidArgumentError`, `InvalidTypeError`, and `BridgeError` if confluent-kafka is not installed."""
        from eventlog.bridges.making import make_mirror

        self.store.check_open()
        bridge = make_mirror(
            self, self.open_groups, topics, url, to=to, make_consumer=self.consumer, open_log=_open_existing,
            of_groups=groups, every=every, password=password, give_up_after=give_up_after, on_difference=on_difference,
        )  # fmt: skip
        self._clients.bridges.add(bridge)
        return bridge

    def groups(self) -> list[str]:
        """The names of all consumer groups, sorted."""
        self.store.check_open()
        return self.store.catalog.groups.names()

    def group(self, name: str) -> Group:
        """A consumer group. Raises `GroupNotFoundError`."""
        self.store.check_open()
        return Group(self.open_groups, check_any_group_name(name))

    def backup(self, destination: str | os.PathLike[str], *, link: bool = True) -> BackupReport:
        """Copy the store, as it is at one moment, to a new or empty directory while others append, consume and commit.

        With `link`, sealed segments become hard links if the file system supports them: these take no space, but share the
        store's disk. `restore` creates a store from a backup, `verify_backup` checks one. Raises `BackupError`,
        `DiskFullError` or `LockTimeoutError`, and then leaves nothing in the directory."""
        from eventlog.admin.backup import back_up

        self.store.check_writable()
        check_bool("link", link)
        return back_up(self, self.open_groups, as_path("destination", destination), link=link)

    def repair(self, topic: str, partition: int, *, execute: bool = False) -> RepairPlan:
        """Return what repairing a damaged partition would drop and rebuild; with `execute`, repair it.

        Valid batches stay, with their offsets; the other bytes are kept in the store's removed/, and their offsets are never
        used again. Executing needs exclusive access to the partition: this store's own handle is closed, and if another process
        has the partition open, `EventLogError` names it. Raises `TopicNotFoundError`, `PartitionNotFoundError`."""
        from eventlog.admin.repair import plan_by_name, repair_partition

        self.store.check_writable()
        return plan_by_name(repair_partition(self, self.open_groups, topic, partition, execute=execute))

    def describe_topic(self, name: str) -> TopicOverview:
        """A topic in detail: settings, offsets, sizes, times, rates, and its groups' lag.

        Opens each partition that has records. Raises `TopicNotFoundError`, `InvalidArgumentError`."""
        from eventlog.views.topic import describe_topic

        self.store.check_open()
        return describe_topic(self, self.open_groups, name)

    def columns(
        self,
        topic: str,
        partitions: Iterable[int] | None = None,
        *,
        since: Time | None = None,
        until: Time | None = None,
        headers: bool = False,
        durable: bool = False,
    ) -> TopicColumns:
        """The records of a topic as columns, which polars, pandas, pyarrow and DuckDB take as a table without a copy.

        `partitions` are the numbers of those to be read, None all; otherwise as `Partition.columns`. Raises
        `TopicNotFoundError`, `PartitionNotFoundError`, `InvalidTypeError`, `InvalidArgumentError`."""
        from eventlog.views.columns import open_columns

        self.store.check_open()
        return open_columns(self, topic, partitions, since, until, headers=headers, durable=durable)

    def activity(self, earlier: Activity | None = None) -> Activity:
        """What all topics and groups contain; with an `earlier` activity of this store, also the rates between the two.

        Raises `InvalidTypeError`."""
        from eventlog.views.activity import measure_activity

        self.store.check_open()
        return measure_activity(self, self.open_groups, earlier)

    def metrics(self) -> Metrics:
        """Counters and gauges of the store for monitoring, by name; `prometheus()` of the result is text for Prometheus.

        They are read when this is called; nothing is counted before, so they do not slow down appends."""
        from eventlog.views.metrics import take_metrics

        self.store.check_open()
        open_partitions, open_clients = len(self.store.partitions.in_use()), len(self._clients.open)
        return take_metrics(self, self.open_groups, open_partitions=open_partitions, open_clients=open_clients)

    def lags(self) -> dict[str, dict[TopicPartition, int | None]]:
        """`Group.lag` of every consumer group, by its name; cheaper than one call for each group."""
        self.store.check_open()
        return {description.name: dict(description.lag) for description in self.describe_groups()}

    def describe_groups(self) -> list[GroupDescription]:
        """`Group.describe` of every consumer group, sorted by name; cheaper than one call for each group."""
        self.store.check_open()
        return describe_all(self.open_groups)

    def transactions(self) -> list[TransactionDescription]:
        """The transactional producers that have used this store, sorted by their transactional ids, with their transactions."""
        from eventlog.transactions.description import described

        self.store.check_open()
        return [described(state) for state in self.store.catalog.transactions.all()]

    def abort_transaction(self, transactional_id: str) -> bool:
        """Abort the open transaction of a producer, which can then only begin anew; one of which it is decided how it ends is
        completed that way. Returns whether one was open. Raises `LockTimeoutError`."""
        self.store.check_writable()
        return self.open_transactions.coordinator.abort(check_text("transactional_id", transactional_id, _ID_CHARACTERS_MAX))

    def create_group(self, name: str) -> Group:
        """A consumer group, created if it does not exist, for example to set its offsets before its first member joins."""
        self.store.check_writable()
        self.open_groups.open(check_group_name(name))
        return Group(self.open_groups, name)

    def check_offsets(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Raise the error that `Group.reset` would raise for these offsets, for any group.

        Raises `OffsetOutOfRangeError`, `TopicNotFoundError`, `InvalidArgumentError`, `InvalidTypeError`."""
        self.store.check_open()
        checked_offsets(self.open_groups, offsets)


def _serializers(key: Serializer | None, value: Serializer | None) -> Serializers | None:
    if key is None and value is None:
        return None
    from eventlog.producer.serializing import Serializers

    serializers = Serializers(key, value)
    serializers.check()
    return serializers


def _maker(kind: type[_AnyProducer], serializers: Serializers | None) -> Callable[..., _AnyProducer]:
    """What makes producers of this kind, with these serializers."""
    if serializers is None:
        return kind
    from eventlog.producer.serializing import maker

    return maker(kind, serializers)


def open(
    path: str | os.PathLike[str],
    *,
    mode: str = "rw",
    fsync: str = "interval",
    fsync_interval_ms: int = 1000,
    lock_timeout_ms: int = 30_000,
    create: bool = True,
) -> EventLog:
    """Open the store in a directory; with `create`, create it if it does not exist.

    With the mode "r" nothing is written, created, locked or recovered, so a read-only mount, a snapshot, a copy, or a store of
    another user can be read, also while others write to it. Whatever would change the store raises `ReadOnlyStoreError`.

    `fsync` says when an append is on disk: "always" before it returns, "interval" within `fsync_interval_ms`, "never"
    when the operating system writes it. With each of them, appends survive the death of any process. `lock_timeout_ms` bounds
    every wait for another process. Raises `StoreOpenError`, `DiskFullError`, `InvalidArgumentError`.

    A URL such as "kafka://host:9092" opens a cluster of Apache Kafka instead: a `contract.Log`, to which the options make no
    difference (`docs/kafka.md`). Raises `UnavailableError`, and `StoreOpenError` without confluent-kafka."""
    is_read_only = check_mode(mode) == "r"
    if isinstance(path, str) and path.lower().startswith("kafka://"):
        from eventlog.kafka.log import KafkaLog

        if is_read_only:
            raise NotSupportedError('a cluster cannot be opened with mode="r": give the client rights to read only')
        return cast(EventLog, KafkaLog(path))
    directory = as_path("path", path)
    check_bool("create", create)
    check_fsync(fsync)
    check_milliseconds("fsync_interval_ms", fsync_interval_ms)
    check_milliseconds("lock_timeout_ms", lock_timeout_ms)
    options = StoreOptions(fsync, fsync_interval_ms, lock_timeout_ms, is_read_only)
    return EventLog(directory, options, create=create and not is_read_only)


def _open_existing(path: str) -> EventLog:
    """Open the other store of a bridge."""
    return open(path, create=False)
