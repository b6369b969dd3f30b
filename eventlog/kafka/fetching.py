"""The consumer of librdkafka behind one of ours: what it fetches, and its membership of a group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Set
from functools import partial
from typing import Any

from eventlog.consumer.options import ConsumerOptions
from eventlog.errors import StaleMemberError
from eventlog.kafka.cluster import Cluster
from eventlog.records.record import TopicPartition

_ASSIGNORS = {"cooperative-sticky": "cooperative-sticky", "range": "range", "round-robin": "roundrobin"}
_HEARTBEAT_MS_MAX = 3000
_REBALANCE_SECONDS_MAX = 60.0
_PAUSE_SECONDS = 0.01

Changed = Callable[[list[TopicPartition]], None]


class Fetcher:
    """Fetches from positions that ours decides, and never commits by itself.

    `assigned`, `revoked` and `lost` are called, inside `receive`, when partitions come and go by the group."""

    def __init__(self, cluster: Cluster, options: ConsumerOptions, assigned: Changed, revoked: Changed, lost: Changed) -> None:
        self._cluster = cluster
        self._fetching: set[TopicPartition] = set()
        self._assigned, self._revoked, self._lost = assigned, revoked, lost
        self._is_eager = options.group is not None and options.assignor != "cooperative-sticky"
        self._is_closing = False
        self._leaves_by_itself = options.instance_id is None and not self._is_assigned_by_brokers
        self._client = cluster.client(cluster.library.Consumer, self._settings(options))

    def _settings(self, options: ConsumerOptions) -> dict[str, Any]:
        settings = {
            "group.id": options.group or "eventlog",  # librdkafka wants one, but without a group none is joined
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # which ours decides
            "isolation.level": options.isolation,
            "topic.metadata.refresh.interval.ms": 10_000,
            **({"group.instance.id": options.instance_id} if options.instance_id is not None else {}),
            "max.poll.interval.ms": max(options.max_poll_interval_ms, options.session_timeout_ms),
        }
        if self._is_assigned_by_brokers:
            self._is_eager = False  # there the brokers assign, in steps, and know the time limits
            return settings
        return {
            **settings,
            "partition.assignment.strategy": _ASSIGNORS[options.assignor],
            "session.timeout.ms": options.session_timeout_ms,
            "heartbeat.interval.ms": min(_HEARTBEAT_MS_MAX, max(options.session_timeout_ms // 3, 1)),
        }

    @property
    def _is_assigned_by_brokers(self) -> bool:
        return self._cluster.address.settings.get("group.protocol") == "consumer"

    def _named(self, partitions: Iterable[TopicPartition]) -> list[Any]:
        return [self._cluster.library.TopicPartition(*each) for each in partitions]

    @property
    def member_id(self) -> str | None:
        """The id that the coordinator gave; None while there is none."""
        return self._client.memberid() or None

    @property
    def group_metadata(self) -> Any:
        """What tells the coordinator of transactions which member this is."""
        return self._client.consumer_group_metadata()

    # --- the group -----------------------------------------------------------------------------------------

    def subscribe(self, topics: list[str]) -> None:
        """Join the group for these topics, or leave it if there are none."""
        if topics:
            self._client.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        else:
            self._client.unsubscribe()

    def _on_assign(self, client: Any, partitions: list[Any]) -> None:
        if self._is_eager:
            self._fetching = set()
            client.assign([])
        else:
            client.incremental_assign([])  # they are fetched once their positions are known
        if not self._is_closing:
            self._assigned([TopicPartition(each.topic, each.partition) for each in partitions])

    def _on_revoke(self, client: Any, partitions: list[Any]) -> None:
        self._take_away(client, partitions, self._revoked)

    def _on_lost(self, client: Any, partitions: list[Any]) -> None:
        self._take_away(client, partitions, self._lost)

    def _take_away(self, client: Any, partitions: list[Any], tell: Changed) -> None:
        names = [TopicPartition(each.topic, each.partition) for each in partitions]
        try:
            if not self._is_closing:
                tell(names)
        finally:
            if self._is_eager:
                self._fetching = set()
                client.unassign()
            else:
                gone = self._fetching & set(names)
                self._fetching -= gone
                client.incremental_unassign(self._named(gone))

    # --- fetching ------------------------------------------------------------------------------------------

    def point(self, positions: Mapping[TopicPartition, int], moved: Set[TopicPartition]) -> None:
        """Fetch exactly these partitions, from these offsets; `moved` are those whose offset was changed meanwhile."""
        current = self._fetching
        if positions.keys() == current and not moved & current:
            return
        make = self._cluster.library.TopicPartition
        if self._is_eager:
            self._client.assign([make(*each, offset) for each, offset in positions.items()])
        else:
            gone = (current - positions.keys()) | (current & moved)
            if gone:
                self._client.incremental_unassign(self._named(gone))
                self._fetching = current - gone
            new = positions.keys() - self._fetching
            if new:
                self._client.incremental_assign([make(*each, positions[each]) for each in new])
        self._fetching = set(positions)

    def receive(self, timeout: float, max_messages: int) -> list[Any]:
        """What librdkafka has: the first message within `timeout` seconds, and up to so many that are there then."""
        first = self._client.poll(timeout)
        if first is None:
            return []
        return [first, *(self._client.consume(max_messages - 1, 0) if max_messages > 1 else ())]

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit, and wait for the answer. Raises `StaleMemberError`, `UnavailableError`."""
        what = f"{', '.join(map(str, offsets))} cannot be committed"
        make, failure = self._cluster.library.TopicPartition, self._cluster.library.KafkaException
        try:
            done = self._client.commit(
                offsets=[make(*each, offset) for each, offset in offsets.items()], asynchronous=False
            )
        except failure as error:
            raise self._cluster.failed(what, error) from error
        for each in done or ():
            if each.error is not None:
                raise self._cluster.failed(what, failure(each.error))

    def failure(self, error: Any) -> Exception | None:
        """The error of ours for one that came instead of a message; None for what passes by itself."""
        name = error.name()
        if name in ("_FATAL", "FENCED_INSTANCE_ID", "_FENCED"):
            return StaleMemberError(f"{self._cluster}: another process took over this member: {error.str()}")
        found = self._cluster.failed("the consumer failed", self._cluster.library.KafkaException(error))
        passes = name.startswith("_") or error.retriable() or name in ("UNKNOWN_TOPIC_OR_PART", "UNKNOWN_MEMBER_ID")
        return None if passes and name not in ("_AUTHENTICATION", "_SSL") else found

    def close(self) -> None:
        """Leave the group; within a bounded time, even if no broker answers."""
        self._is_closing = True
        client = self.__dict__.pop("_client", None)
        if client is not None:
            self._cluster.drop(client, partial(_leave, client) if self._leaves_by_itself else client.close)


def _leave(client: Any) -> None:
    """End a member that nobody knows by its name. While a group is rebalancing, librdkafka closes a member that has no
    partitions without telling the coordinator, which then counts on it for a whole session; but it does not forget that
    it is to leave once the rebalance is over. A member without an id is in no group."""
    deadline = time.monotonic() + _REBALANCE_SECONDS_MAX
    client.unsubscribe()
    while client.memberid() and time.monotonic() < deadline:
        client.poll(_PAUSE_SECONDS)
    client.close()
