"""What all handlers share: the store, its topics and open partitions, and the threads for work that may block."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from eventlog.anchored import plain
from eventlog.errors import EventLogError
from eventlog.records.record import TopicPartition
from eventlog.serve import errors
from eventlog.serve.appends import Appends
from eventlog.serve.catalog import Topic, TopicCache, cluster_id
from eventlog.serve.coordinator.consumer_group_registry import ConsumerGroups, ConsumerGroupSettings
from eventlog.serve.coordinator.registry import GroupCoordinator, GroupSettings
from eventlog.serve.epochs import LeaderEpochs
from eventlog.serve.errors import RefusedError
from eventlog.serve.fetch_sessions import FetchSession, FetchSessions
from eventlog.serve.memory import ByteBudget
from eventlog.serve.nodes import Node, Nodes, node_of_key
from eventlog.serve.partitions import OpenPartitions
from eventlog.serve.security.session import Session
from eventlog.serve.security.tls import TlsFiles
from eventlog.serve.security.users import Users
from eventlog.serve.served import ServedLog
from eventlog.serve.waiting_fetches import WaitingFetches
from eventlog.storage.segments import names

_THREADS_MAX = 16
_APPEND_THREADS_MAX = 16
_APPENDS_TO_PARTITION_MAX = 8  # in threads; if a stopped process has its lock, others still get appends
_DECOMPRESSED_BYTES_MAX = 128 * 1024 * 1024  # of all batches that are being checked
_ANSWERS_WITH_RECORDS_MAX = 64  # being sent at a time
_LARGE_ANSWERS_MAX = 16  # as above, of those that describe very many partitions

_Result = TypeVar("_Result")

log = logging.getLogger("eventlog.serve")


class Settings(NamedTuple):
    """How to create a topic that a client names and that does not exist, and the number of partitions of a topic whose creator
    leaves it to the server. With `accept_replication` a client may ask for several replicas of each partition; there is one.
    Without files for TLS, connections are not encrypted. `number` is the one by which clients know the server, if no other
    server of the store has it. `consumer_groups` are the timeouts of members of the consumer protocol, `groups` the limits of
    classic groups. With `has_users` clients have to authenticate as users of the store, and again after `session_seconds`, if
    that is not None."""

    auto_create_topics: bool = True
    partitions: int = 1
    accept_replication: bool = False
    tls: TlsFiles | None = None
    number: int = 1
    consumer_groups: ConsumerGroupSettings = ConsumerGroupSettings()
    groups: GroupSettings = GroupSettings()
    has_users: bool = False
    session_seconds: float | None = None


class Client:
    """The sender of requests over one connection: the address at which it reaches the server, its own address, the state of its
    connection, and how it calls itself in the request that is being answered.

    `when_sent` calls a function once the client has read the answer to its request, or has disconnected; `is_gone` returns
    whether it has ended the connection, so that it no longer waits for an answer. `end` disconnects it once it has its answer.
    `session` says who it is; None: clients need not authenticate, and may do everything."""

    __slots__ = ("address", "client_id", "end", "fetch_session", "host", "is_gone", "port", "session", "when_sent")

    def __init__(
        self,
        host: str,
        port: int,
        when_sent: Callable[[Callable[[], None]], None],
        is_gone: Callable[[], bool],
        end: Callable[[], None],
        session: Session | None = None,
        address: str = "",
    ) -> None:
        self.host = host
        self.port = port
        self.when_sent = when_sent
        self.is_gone = is_gone
        self.end = end
        self.session = session
        self.address = address
        self.client_id = ""
        self.fetch_session: FetchSession | None = None


class Turn:
    """A slot of a semaphore, held from `begin` to `end`; `end` may be called at any time."""

    def __init__(self, semaphore: asyncio.Semaphore) -> None:
        self._semaphore = semaphore
        self._is_taken = False

    async def begin(self) -> None:
        """Wait for a free slot, unless one is held."""
        if not self._is_taken:
            await self._semaphore.acquire()
            self._is_taken = True

    @property
    def is_free(self) -> bool:
        """Does `begin` return immediately?"""
        return self._is_taken or not self._semaphore.locked()

    def end(self) -> None:
        """Free the slot, if one is held."""
        if self._is_taken:
            self._is_taken = False
            self._semaphore.release()


class Broker:
    """A store as a broker. Everything here runs on the event loop, except what `in_thread` runs."""

    def __init__(self, log: ServedLog, settings: Settings) -> None:
        self.log = log
        self.settings = settings
        log.open_transactions.attend()
        self.cluster_id = cluster_id(log.store.path)
        self.servers = Nodes(log.store.path, settings.number)
        self.log_dir = str(plain(names.logs_directory(log.store.path)).absolute())
        self._executor = ThreadPoolExecutor(_THREADS_MAX, thread_name_prefix="eventlog-serve")
        self._append_executor = ThreadPoolExecutor(_APPEND_THREADS_MAX, thread_name_prefix="eventlog-append")
        self._append_turns: weakref.WeakValueDictionary[tuple[str, int], asyncio.Semaphore] = weakref.WeakValueDictionary()
        self.partitions = OpenPartitions(log.store.partitions)
        self.topics = TopicCache(log.store, self._executor, self._forget_partitions)
        self.epochs = LeaderEpochs(log.store)
        self.users = Users(log.store, self._executor)
        self.waiting_fetches = WaitingFetches(log.store.signals)
        self.fetch_sessions = FetchSessions()
        self.appends = Appends(self.partitions, self.waiting_fetches)
        self.consumer_groups = ConsumerGroups(log.open_groups, settings.consumer_groups, self.in_thread)
        self.coordinator = GroupCoordinator(log.open_groups, settings.groups, self.in_thread, self.is_coordinator)
        self.large_answers = asyncio.Semaphore(_LARGE_ANSWERS_MAX)
        self.decompressed = ByteBudget(_DECOMPRESSED_BYTES_MAX)
        self.when_topics_change: Callable[[], None] = lambda: None
        """Called whenever the topics have been loaded again."""
        self.answers_with_records = asyncio.Semaphore(_ANSWERS_WITH_RECORDS_MAX)

    def _forget_partitions(self) -> None:
        self.when_topics_change()
        self.partitions.forget(set(self.topics.by_name))
        self.epochs.forget(set(self.topics.by_id))

    async def in_thread(self, function: Callable[[], _Result]) -> _Result:
        """Run a function that may wait for the disk or for another process. It is completed even if the client leaves."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    def start_in_thread(self, function: Callable[[], object]) -> None:
        """As `in_thread`, but nobody waits for it."""

        def run() -> None:
            try:
                function()
            except (EventLogError, OSError) as error:
                log.warning("what nobody waits for failed: %s", error)

        self._executor.submit(run)

    async def in_append_thread(self, topic: str, partition: int, function: Callable[[], _Result]) -> _Result:
        """As `in_thread`, for a function that appends to a partition. While it waits, it can delay only other appends, and few
        of those to other partitions."""
        turns = self._append_turns.setdefault((topic, partition), asyncio.Semaphore(_APPENDS_TO_PARTITION_MAX))
        async with turns:
            return await asyncio.get_running_loop().run_in_executor(self._append_executor, function)

    @property
    def node_id(self) -> int:
        """The number by which clients know this server."""
        return self.servers.own_id

    def nodes(self, client: Client) -> list[Node]:
        """The live servers of the store that a client may use, by their numbers; the first one is the controller."""
        return self.servers.live(client.host, client.port)

    def node_of_key(self, key: str, client: Client) -> Node:
        """The server that coordinates a group, or the transactions of a transactional id."""
        return node_of_key(self.nodes(client), key)

    async def load_epochs(self, topics: Sequence[Topic]) -> None:
        """Read the leader epochs of topics, unless they are known."""
        missing = self.epochs.missing(topics)
        if missing:
            await self.in_thread(lambda: self.epochs.read(missing))

    def topic(self, name: str, topic_id: bytes, *, by_id: bool) -> Topic:
        """The topic that a request names, by name or by id. Raises `RefusedError`."""
        found = self.topics.by_id.get(topic_id) if by_id else self.topics.by_name.get(name)
        if found is None and by_id:
            raise RefusedError(errors.UNKNOWN_TOPIC_ID, "there is no topic of this id")
        if found is None:
            raise RefusedError(errors.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {name!r}")
        return found

    def partition(self, topic: str, number: int) -> TopicPartition:
        """The partition that a request names. Raises `RefusedError` if there is none."""
        if not 0 <= number < self.topic(topic, b"", by_id=False).partitions:
            raise RefusedError(errors.UNKNOWN_TOPIC_OR_PARTITION, f"{topic!r} has no partition {number}")
        return TopicPartition(topic, number)

    def is_coordinator(self, key: str) -> bool:
        """Is this server the one that coordinates the group or transaction of this name? Reads a file."""
        return node_of_key(self.servers.live("", 0), key).id == self.servers.own_id

    def close(self) -> None:
        """Wait for the threads to finish."""
        self.servers.close()
        self.consumer_groups.close()
        self._append_executor.shutdown()
        self._executor.shutdown()
