"""What a consumer of a cluster hands out: its partitions, where each goes on, and the records that wait."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from eventlog.consumer.deserializing import Deserializers
from eventlog.consumer.options import ConsumerOptions
from eventlog.consumer.rebalance import RebalanceListener
from eventlog.errors import (
    DeserializationError,
    InvalidArgumentError,
    NoCommittedOffsetError,
    OffsetOutOfRangeError,
    StaleMemberError,
    TopicNotFoundError,
)
from eventlog.kafka.cluster import Cluster, UnstableOffsetsError
from eventlog.kafka.fetching import Fetcher
from eventlog.kafka.reading import as_record
from eventlog.kafka.subscription import Subscription
from eventlog.records.record import Record, TopicPartition

_SLICE_SECONDS = 0.1  # Ctrl-C, a close and what the subscription has become are noticed so soon


class Assigned:
    """A partition that is this consumer's. `position` is the offset that is handed out next, `following` the one that is
    fetched next; None while they are not known. `is_moved` says that the position is not committed yet."""

    def __init__(self, name: TopicPartition) -> None:
        self.name = name
        self.position: int | None = None
        self.following: int | None = None
        self.is_paused = False
        self.is_moved = False
        self.is_sought = False  # `following` is not where librdkafka fetches


class Handout:
    """`assigned` are the partitions, by their names."""

    def __init__(self, cluster: Cluster, options: ConsumerOptions, deserializers: Deserializers | None) -> None:
        self._cluster = cluster
        self._options = options
        self._deserializers = deserializers
        self._listener = options.listener or RebalanceListener()
        self.assigned: dict[TopicPartition, Assigned] = {}
        self._subscription: Subscription | None = None
        self._is_by_hand = False
        self._waiting: deque[Record] = deque()
        self._in_hand: Record | None = None  # the one that an iteration handed out last
        self._news: list[TopicPartition] = []  # of which the listener does not know yet
        self._failures: dict[TopicPartition | None, Exception] = {}
        self._heard_at = self._committed_at = time.monotonic()
        self._fetcher = Fetcher(cluster, options, self._gain, self._give_up, self._lose)

    # --- which partitions ----------------------------------------------------------------------------------

    def subscribe(self, topics: object) -> None:
        """Read topics instead of those before. Raises `InvalidArgumentError` after `assign`."""
        if self._is_by_hand:
            raise InvalidArgumentError("this consumer has partitions by assign: make another one to subscribe")
        self._subscription = Subscription(self._cluster, topics)
        self._follow(self._subscription)

    @property
    def member_id(self) -> str | None:
        """The id of this member; None while it has none."""
        return self._fetcher.member_id

    def topics(self) -> tuple[str, ...]:
        """The topics of the subscription."""
        return self._subscription.names if self._subscription is not None else ()

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Have exactly these partitions. Raises `InvalidArgumentError` after `subscribe`, `TopicNotFoundError`."""
        if self._subscription is not None:
            raise InvalidArgumentError("this consumer subscribes to topics: make another one to assign partitions")
        wanted = [self._cluster.check_partition(*each) for each in partitions]
        self._is_by_hand = True
        self._have(wanted)

    def _have(self, wanted: Iterable[TopicPartition]) -> None:
        names = set(wanted)
        self._drop(self.assigned.keys() - names)
        for name in sorted(names - self.assigned.keys()):
            self.assigned[name] = Assigned(name)

    def _drop(self, names: Iterable[TopicPartition]) -> None:
        for name in list(names):
            if self.assigned.pop(name, None) is not None:
                self._failures.pop(name, None)
        self._waiting = deque(each for each in self._waiting if (each.topic, each.partition) in self.assigned)

    def _follow(self, subscription: Subscription) -> None:
        """Join for, or have, what the subscription comprises now."""
        if not subscription.resolve():
            return
        if self._options.group is not None:
            self._fetcher.subscribe(sorted(subscription.counts))
            return
        partitions = [TopicPartition(name, each) for name, count in subscription.counts.items() for each in range(count)]
        self._have(partitions)

    # --- called by the fetcher, inside `receive` --------------------------------------------------------------

    def _gain(self, names: list[TopicPartition]) -> None:
        self._have([*self.assigned, *names])
        self._news += names

    def _give_up(self, names: list[TopicPartition]) -> None:
        try:
            if self._options.auto_commit:
                self._commit_finished()
            self._listener.revoked(sorted(names))
        finally:
            self._drop(names)

    def _lose(self, names: list[TopicPartition]) -> None:
        self._drop(names)
        self._listener.lost(sorted(names))

    # --- what is handed out ----------------------------------------------------------------------------------

    def fill(self, timeout: float | None, max_records: int, ends: Callable[[], bool]) -> bool:
        """Have records that wait, if some come within `timeout` seconds, and until `ends` is true or raises; False if there are
        none. Raises why a partition cannot be read, if no others have records."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._waiting and not ends():
            self._attend()
            remaining = _SLICE_SECONDS if deadline is None else max(deadline - time.monotonic(), 0)
            self._sort(self._fetcher.receive(min(remaining, _SLICE_SECONDS), max_records))
            self._tell()
            if self._waiting:
                break
            for name, failure in list(self._failures.items()):
                if name is None or not self.assigned[name].is_paused:
                    del self._failures[name]
                    raise failure
            if deadline is not None and time.monotonic() >= deadline:
                self._attend()  # what was assigned just now gets its position now
                break
        return bool(self._waiting)

    @property
    def is_ready(self) -> bool:
        """Would `commit_if_due`, `fill` and `take` return at once, with a record?"""
        may_wait = self._deserializers is not None and self._deserializers.pass_over is not None
        return bool(self._waiting) and not may_wait and not self._is_commit_due

    @property
    def _is_commit_due(self) -> bool:
        seconds = self._options.auto_commit_s
        return seconds is not None and time.monotonic() - self._committed_at >= seconds

    def take(self, max_records: int, *, is_in_hand: bool = False) -> list[Any]:
        """Hand out records that wait, up to one that cannot be deserialized: it raises its error once it comes first."""
        records: list[Any] = []
        last = None
        for _ in range(min(max_records, len(self._waiting))):
            waiting = self._waiting[0]
            try:
                record = waiting if self._deserializers is None else self._deserializers.apply(waiting)
            except DeserializationError:
                if not records:
                    raise
                break
            last = self._waiting.popleft()
            each = self.assigned[TopicPartition(last.topic, last.partition)]
            each.position, each.is_moved = last.offset + 1, True
            if record is not None:  # else it was passed over
                records.append(record)
        self._in_hand = last if is_in_hand and records else None
        return records

    def _sort(self, messages: list[Any]) -> None:
        """Let messages wait; what is not a message is a failure, or passes by itself."""
        if messages:
            self._heard_at = time.monotonic()
        for message in messages:
            error = message.error()
            if error is not None:
                self._fail(message, error)
                continue
            each = self.assigned.get(TopicPartition(message.topic(), message.partition()))
            if each is not None and not each.is_paused and message.offset() >= (each.following or 0):
                self._waiting.append(as_record(message))
                each.following = message.offset() + 1

    def _fail(self, message: Any, error: Any) -> None:
        topic, number = message.topic(), message.partition()
        each = self.assigned.get(TopicPartition(topic, number)) if topic is not None and number is not None else None
        if error.name() == "_AUTO_OFFSET_RESET" and each is not None:
            self._reset(each)
        elif error.name() == "UNKNOWN_TOPIC_OR_PART" and each is not None and self._is_by_hand:
            self._failures[each.name] = TopicNotFoundError(f"no topic {topic!r} in {self._cluster} any more")
        else:
            failure = self._fetcher.failure(error)
            if failure is not None:
                self._failures[None] = failure

    def _reset(self, each: Assigned) -> None:
        """The position is outside of the log: go on by auto_offset_reset."""
        start, end = self._cluster.starts([each.name])[each.name], self.ends([each])[each.name]
        offset = each.following if each.following is not None else -1
        each.is_sought = True
        if self._options.auto_offset_reset == "error":
            failure = OffsetOutOfRangeError(str(each.name), offset, start, end)
            failure.topic_partition = each.name
            self._failures[each.name] = failure
            return
        each.position = each.following = start if self._options.auto_offset_reset == "earliest" else end

    def _attend(self) -> None:
        """Follow the subscription, choose positions, and fetch from them."""
        self._cluster.check_usable()
        if self._subscription is not None:
            self._follow(self._subscription)
        elif time.monotonic() - self._heard_at > self._cluster.seconds:
            self._cluster.check_reachable()
            self._heard_at = time.monotonic()
        active = [each for each in self.assigned.values() if not each.is_paused]
        self._choose(active)
        positions = {each.name: each.following for each in active if each.following is not None}
        self._fetcher.point(positions, {each.name for each in active if each.is_sought})
        for each in active:
            each.is_sought = False

    def _tell(self) -> None:
        """Tell the listener what was assigned."""
        news, self._news = self._news, []
        if news:
            self._attend()
            self._listener.assigned(sorted(each for each in news if each in self.assigned))

    # --- positions -----------------------------------------------------------------------------------------

    def _choose(self, partitions: Iterable[Assigned]) -> bool:
        """The first position of those that have none: what was committed, or by auto_offset_reset. False while a transaction
        is open that commits it."""
        new = [each for each in partitions if each.position is None]
        if not new:
            return True
        group, names = self._options.group, [each.name for each in new]
        try:
            is_stable = self._options.is_committed
            chosen = self._cluster.committed(group, names, is_stable=is_stable) if group is not None else {}
            chosen |= self._first_positions([each for each in new if each.name not in chosen])
        except UnstableOffsetsError:
            return False
        except TopicNotFoundError:
            if self._is_by_hand:
                raise
            return True  # deleted just now: the subscription will say so
        for each in new:
            each.position = each.following = chosen.get(each.name)
        return True

    def _first_positions(self, partitions: list[Assigned]) -> dict[TopicPartition, int]:
        reset = self._options.auto_offset_reset
        if reset == "earliest":
            return self._cluster.starts(each.name for each in partitions)
        if reset == "latest":
            return self.ends(partitions)
        for each in partitions:
            failure = NoCommittedOffsetError(
                f"group {self._options.group} has committed nothing for {each.name}, and auto_offset_reset is 'error'"
            )
            failure.topic_partition = each.name
            self._failures[each.name] = failure
        return {}

    def ends(self, partitions: Iterable[Assigned]) -> dict[TopicPartition, int]:
        """Where a reader of this isolation comes to the end."""
        return self._cluster.ends((each.name for each in partitions), is_committed=self._options.is_committed)

    def position(self, each: Assigned) -> int:
        """The offset that is handed out next. Raises `NoCommittedOffsetError`, `UnavailableError`."""
        if not self._cluster.wait_until(lambda: self._choose([each]), self._cluster.seconds):
            raise self._cluster.unavailable(f"{each.name}: a transaction that commits offsets of this group is open")
        if each.position is None:
            raise self._failures.pop(each.name, None) or TopicNotFoundError(f"no topic {each.name.topic!r} any more")
        return each.position

    def seek(self, each: Assigned, offset: int) -> None:
        """Go on at this offset."""
        each.position, each.is_moved = offset, True
        self._failures.pop(each.name, None)
        self.set_aside(each)

    def set_aside(self, each: Assigned) -> None:
        """Fetch what waits of this partition again, from its position, when it is its turn."""
        self._waiting = deque(record for record in self._waiting if (record.topic, record.partition) != each.name)
        each.following, each.is_sought = each.position, True

    # --- committing ------------------------------------------------------------------------------------------

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit these offsets. Raises `StaleMemberError`, `UnavailableError`."""
        self._fetcher.commit(offsets)
        for name, offset in offsets.items():
            each = self.assigned.get(name)
            if each is not None and each.position == offset:
                each.is_moved = False

    def commit_positions(self) -> None:
        """Commit the positions that are not committed yet."""
        moved = self.moved()
        if moved:
            self.commit(moved)

    def moved(self) -> dict[TopicPartition, int]:
        """The positions that are not committed yet."""
        return {name: each.position for name, each in self.assigned.items() if each.is_moved and each.position is not None}

    @property
    def group_metadata(self) -> Any:
        """As `Fetcher.group_metadata`."""
        return self._fetcher.group_metadata

    def rewind(self) -> None:
        """Go back to what is committed."""
        for each in self.assigned.values():
            each.position, each.is_moved = None, False
            self.set_aside(each)

    def commit_if_due(self) -> None:
        """With auto_commit: what was handed out before this call is finished; commit it, if it is time to."""
        self._in_hand = None
        if self._is_commit_due:
            self._commit_finished()

    def _commit_finished(self) -> None:
        self._committed_at = time.monotonic()
        in_hand = self._in_hand
        try:
            if in_hand is None:
                self.commit_positions()
                return
            before = {TopicPartition(in_hand.topic, in_hand.partition): in_hand.offset}
            others = {
                name: each.position
                for name, each in self.assigned.items()
                if each.is_moved and each.position is not None and name not in before
            }
            self.commit({**others, **before})
        except StaleMemberError:
            pass  # others have the partitions, and read again what was not committed

    # --- the end -------------------------------------------------------------------------------------------

    def say_goodbye(self, *, is_finished: bool) -> None:
        """Commit what is due, and call the listener."""
        if self._cluster.is_closed:
            return
        try:
            if self._options.auto_commit and is_finished:
                self._commit_finished()
        finally:
            if self._options.group is not None and self._subscription is not None and self.assigned:
                self._listener.revoked(sorted(self.assigned))

    def leave(self) -> None:
        """Leave the group."""
        self._fetcher.close()
