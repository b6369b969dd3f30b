"""The connection to a cluster that a log has: requests with a time limit, and the clients of librdkafka."""

from __future__ import annotations

import ctypes
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from typing import Any, TypeVar

from eventlog.errors import (
    EventLogError,
    ForkedProcessError,
    PartitionNotFoundError,
    StoreClosedError,
    TopicNotFoundError,
    UnavailableError,
)
from eventlog.kafka.address import Address
from eventlog.kafka.failures import ACCESS, ACCESS_HELP, is_named, of_kafka
from eventlog.kafka.library import admin_library, library
from eventlog.options import check_partition_number, check_topic_name
from eventlog.records.record import TopicPartition

_Key = TypeVar("_Key")

INTERNAL_TOPICS = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"})

_DEFAULTS = {
    "client.id": "eventlog",
    "log_level": 0,  # else it writes every lost connection to standard error; what matters comes as an error
    "reconnect.backoff.max.ms": 1000,
}
_SHUTDOWN_SECONDS = 5.0  # how long the threads of a client may take to end
_SLACK_SECONDS = 1.0  # librdkafka itself ends a request that takes too long
# What brokers say of a partition that is being created, or whose leader changes.
_WITHOUT_LEADER = ("NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "UNKNOWN_TOPIC_OR_PART")
_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.005, 0.2

_clients: weakref.WeakSet[Cluster] = weakref.WeakSet()


class UnstableOffsetsError(EventLogError):
    """A transaction that commits these offsets of a group is open: it is not decided yet where the group goes on."""


class Cluster:
    """The brokers that an address names. Safe for several threads, unusable after fork().

    `library` is the module confluent_kafka. `trouble` is what a client of librdkafka complained about last."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.library: Any = library()
        self.is_closed = False
        self.trouble = ""
        self._process = os.getpid()
        self._made: list[Any] = []
        self.admin = self.client(admin_library().AdminClient, {})
        _clients.add(self)

    def __repr__(self) -> str:
        return self.address.name

    def client(self, kind: Callable[[dict[str, Any]], Any], settings: Mapping[str, Any]) -> Any:
        """A client of librdkafka. Raises `InvalidArgumentError` for a setting that it does not know."""
        self.check_usable()
        chosen = {**_DEFAULTS, "error_cb": self._complain, **self.address.settings, **settings}
        try:
            made = kind(chosen)
        except (self.library.KafkaException, ValueError, TypeError) as error:
            raise of_kafka(f"{self}: a client cannot be made", error) from None
        self._made.append(made)
        return made

    def _complain(self, error: Any) -> None:
        """Called by librdkafka. A login or a certificate that is refused is the cause of the complaints that follow."""
        if error.name() in ACCESS:
            self.trouble = f"{error.str()}; {ACCESS_HELP}"
        elif ACCESS_HELP not in self.trouble:
            self.trouble = str(error.str())

    def drop(self, client: Any, end: Callable[[], object] | None = None) -> None:
        """End a client, by `end` if it has something to say before; within a bounded time, even if no broker answers."""
        if client in self._made:
            self._made.remove(client)
        # Freeing a client joins its threads: that is done by a thread that nobody need wait for.
        holder = [client, end]
        del client, end
        thread = threading.Thread(target=_end, args=(holder,), name="eventlog-kafka-end", daemon=True)
        thread.start()
        thread.join(_SHUTDOWN_SECONDS)

    # --- checks --------------------------------------------------------------------------------------------

    def check_usable(self) -> None:
        """Raise `StoreClosedError` or `ForkedProcessError`."""
        if os.getpid() != self._process:
            raise ForkedProcessError(f"{self} was opened before fork(): open it again in the child")
        if self.is_closed:
            raise StoreClosedError(f"{self} is closed")

    def check_reachable(self) -> None:
        """Raise `UnavailableError` if no broker answers within the time limit."""
        self.topics()

    # --- requests ------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """The time limit of a request."""
        return self.address.request_seconds

    def results(self, what: str, futures: Mapping[_Key, Future[Any]]) -> dict[_Key, Any]:
        """What these requests return. Raises the error of the first that failed, or `UnavailableError`."""
        deadline = time.monotonic() + self.seconds + _SLACK_SECONDS
        # A copy: librdkafka's thread goes by the mapping that it returned.
        return {key: self._result(what, future, deadline) for key, future in list(futures.items())}

    def result(self, what: str, future: Future[Any]) -> Any:
        """What this request returns. Raises its error, or `UnavailableError`."""
        return self._result(what, future, time.monotonic() + self.seconds + _SLACK_SECONDS)

    def _result(self, what: str, future: Future[Any], deadline: float) -> Any:
        try:
            return future.result(max(deadline - time.monotonic(), 0))
        except NotInTime:
            raise self.unavailable(what) from None
        except self.library.KafkaException as error:
            raise self.failed(what, error) from error

    def failed(self, what: str, error: Exception) -> EventLogError:
        """The error of ours for one of librdkafka."""
        found = of_kafka(f"{self}: {what}", error)
        return self.unavailable(what) if isinstance(found, UnavailableError) else found

    def unavailable(self, what: str, note: str = "") -> UnavailableError:
        """The error that says that no answer came in time, and what librdkafka complained about last."""
        self.admin.poll(0)  # which hears complaints
        trouble = f" ({self.trouble})" if self.trouble else ""
        text = f"{self}: {what}: no answer within {self.seconds:g} s{trouble}{note}"
        return UnavailableError(f"{text}; see that the brokers run and can be reached, and call again")

    def wait_until(self, condition: Callable[[], bool], timeout: float | None) -> bool:
        """Ask again and again until it is so; False after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _PAUSE_SECONDS_MIN
        while not condition():
            remaining = _PAUSE_SECONDS_MAX if deadline is None else deadline - time.monotonic()
            if remaining <= 0:
                return False
            time.sleep(min(pause, remaining))
            pause = min(2 * pause, _PAUSE_SECONDS_MAX)
        return True

    # --- topics --------------------------------------------------------------------------------------------

    def topics(self) -> list[str]:
        """The names of all topics but Kafka's own, sorted."""
        self.check_usable()
        try:
            metadata = self.admin.list_topics(timeout=self.seconds)
        except self.library.KafkaException as error:
            raise self.failed("the topics cannot be listed", error) from error
        return sorted(set(metadata.topics) - INTERNAL_TOPICS)

    def partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        """How many partitions these topics have; without those that do not exist."""
        self.check_usable()
        names = list(topics)
        if not names:
            return {}
        futures = self.admin.describe_topics(self.library.TopicCollection(names), request_timeout=self.seconds)
        counts = {}
        for name, future in list(futures.items()):
            try:
                counts[name] = len(self.result(f"topic {name}", future).partitions)
            except TopicNotFoundError:
                continue
        return counts

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has. Raises `TopicNotFoundError`."""
        found = self.partition_counts([check_topic_name(topic)]).get(topic)
        if found is None:
            raise TopicNotFoundError(f"no topic {topic!r} in {self}")
        return found

    def check_partition(self, topic: str, partition: int) -> TopicPartition:
        """A partition that exists. Raises `TopicNotFoundError`, `PartitionNotFoundError`, `InvalidTypeError`."""
        check_partition_number(partition)
        count = self.partition_count(topic)
        if partition not in range(count):
            raise PartitionNotFoundError(f"{topic} has {count} partitions, numbered from 0: there is no {partition}")
        return TopicPartition(topic, partition)

    # --- offsets -------------------------------------------------------------------------------------------

    def starts(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offsets of the first records."""
        return self._offsets(partitions, admin_library().OffsetSpec.earliest(), is_committed=False)

    def ends(self, partitions: Iterable[TopicPartition], *, is_committed: bool = False) -> dict[TopicPartition, int]:
        """The offsets behind the last records; with `is_committed` those before which every transaction has ended."""
        return self._offsets(partitions, admin_library().OffsetSpec.latest(), is_committed=is_committed)

    def offsets_for_time(self, partitions: Iterable[TopicPartition], timestamp: int) -> dict[TopicPartition, int | None]:
        """The offsets of the first records with this timestamp or a later one; None where there is none."""
        spec = admin_library().OffsetSpec.for_timestamp(timestamp)
        found = self._offsets(partitions, spec, is_committed=False)
        return {partition: offset if offset >= 0 else None for partition, offset in found.items()}

    def _offsets(self, partitions: Iterable[TopicPartition], spec: Any, *, is_committed: bool) -> dict[TopicPartition, int]:
        self.check_usable()
        wanted = {self.library.TopicPartition(*partition): spec for partition in partitions}
        if not wanted:
            return {}
        levels = self.library.IsolationLevel
        level = levels.READ_COMMITTED if is_committed else levels.READ_UNCOMMITTED
        deadline = time.monotonic() + self.seconds
        while True:
            futures = self.admin.list_offsets(wanted, isolation_level=level, request_timeout=self.seconds)
            try:
                found = self.results("offsets cannot be listed", futures)
            except (UnavailableError, TopicNotFoundError) as error:
                self._check_may_come(wanted, error, deadline)
                continue
            return {TopicPartition(key.topic, key.partition): result.offset for key, result in found.items()}

    def _check_may_come(self, wanted: Iterable[Any], error: EventLogError, deadline: float) -> None:
        """Raise that a topic or a partition does not exist, of which librdkafka only says that nobody leads it; or the error,
        unless the partitions are there, and the broker that leads one does not know it yet. Then wait a moment."""
        for each in wanted:
            self.check_partition(each.topic, each.partition)
        is_new = error.__cause__ is not None and is_named(error.__cause__, *_WITHOUT_LEADER)
        if not is_new or time.monotonic() >= deadline:
            raise error
        time.sleep(_PAUSE_SECONDS_MAX)

    def committed(
        self, group: str, partitions: Iterable[TopicPartition] | None = None, *, is_stable: bool = False
    ) -> dict[TopicPartition, int]:
        """What a group has committed, of these partitions or of all; nothing if there is no such group.

        With `is_stable` it raises `UnstableOffsetsError` while a transaction is open that commits some of them."""
        self.check_usable()
        of = None if partitions is None else [self.library.TopicPartition(*each) for each in partitions]
        request = self.library.ConsumerGroupTopicPartitions(group, of)
        futures = self.admin.list_consumer_group_offsets(
            [request], request_timeout=self.seconds, require_stable=is_stable
        )
        try:
            (answer,) = self.results(f"what group {group} has committed cannot be read", futures).values()
        except EventLogError as error:
            if error.__cause__ is not None and is_named(error.__cause__, "GROUP_ID_NOT_FOUND"):
                return {}
            if error.__cause__ is not None and is_named(error.__cause__, "UNSTABLE_OFFSET_COMMIT"):
                raise UnstableOffsetsError(str(error)) from error
            raise
        found = answer.topic_partitions
        for each in found:
            if each.error is not None and each.error.name() == "UNSTABLE_OFFSET_COMMIT":
                raise UnstableOffsetsError(f"{group}: {each.error.str()}")
        return {TopicPartition(each.topic, each.partition): each.offset for each in found if each.offset >= 0}

    # --- the end -------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Refuse all further use, and end the clients."""
        self.is_closed = True
        for client in list(self._made):
            self.drop(client)

    def leave_to_parent(self) -> None:
        """In a forked child: the threads of the clients are the parent's, so freeing them here would wait for ever."""
        for client in self._made:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))


def _end(holder: list[Any]) -> None:
    end = holder.pop()
    if end is not None:
        end()
    del end
    holder.clear()


def _after_fork_in_child() -> None:
    for cluster in list(_clients):
        cluster.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)
