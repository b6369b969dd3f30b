"""The consumer of a cluster: hands out the records of its partitions, and commits its progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from re import Pattern
from types import TracebackType
from typing import Any, NamedTuple

from eventlog.clock import Time, as_timestamp
from eventlog.consumer.deserializing import Deserializers
from eventlog.consumer.exclusive_use import ExclusiveUse, StillInUseError
from eventlog.consumer.interruption import Requests
from eventlog.consumer.options import ConsumerOptions
from eventlog.errors import InvalidArgumentError, InvalidTypeError, OffsetOutOfRangeError, StaleMemberError, StoreClosedError
from eventlog.kafka.cluster import Cluster
from eventlog.kafka.handout import Assigned, Handout
from eventlog.options import check_bool, check_number, check_offset, check_timeout
from eventlog.records.record import Record, TopicPartition, as_topic_partition, as_topic_partitions

_RECORDS_MAX = 2**31 - 1
_CHUNK_RECORDS = 500


class GroupPositions(NamedTuple):
    """Offsets to be committed with a transaction, and what tells its coordinator of which group and member they are."""

    metadata: Any
    offsets: dict[TopicPartition, int]


class KafkaConsumer:
    """As `contract.Consumer`. Created by `KafkaLog.consumer`.

    Every record that it can read is durable, so `durable` changes nothing. Each commit waits for its answer. With
    deserializers, records have as key and value what these make of the bytes."""

    def __init__(
        self,
        cluster: Cluster,
        topics: str | Sequence[str] | Pattern[str] | None,
        options: ConsumerOptions,
        deserializers: Deserializers | None = None,
    ) -> None:
        self.group = options.group
        self._cluster = cluster
        self._name = f"consumer of {cluster}" if options.group is None else f"member of group {options.group} of {cluster}"
        self._use = ExclusiveUse(self._name)
        self._commits_itself = options.auto_commit
        self._requests = Requests(f"<{self._name}>")
        self._handout = Handout(cluster, options, deserializers)
        self._assigned = self._handout.assigned
        if topics is not None:
            try:
                self.subscribe(topics)
            except BaseException:
                self._handout.leave()
                raise

    def __enter__(self) -> KafkaConsumer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(is_finished=kind is None)

    def __repr__(self) -> str:
        return f"<{self._name}>"

    @property
    def member_id(self) -> str | None:
        """The id that the group's coordinator gave to this member; None while it has none."""
        with self._use.alone:
            return self._handout.member_id

    # --- topics and partitions -----------------------------------------------------------------------------

    def subscribe(self, topics: str | Sequence[str] | Pattern[str]) -> None:
        """As `contract.Consumer.subscribe`; what is created or deleted is noticed within two seconds of polling."""
        with self._use.alone:
            self._cluster.check_usable()
            self._handout.subscribe(topics)

    def subscription(self) -> tuple[str, ...]:
        """As `contract.Consumer.subscription`."""
        with self._use.alone:
            return self._handout.topics()

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """As `contract.Consumer.assign`."""
        with self._use.alone:
            self._cluster.check_usable()
            self._handout.assign(as_topic_partitions(partitions))

    def assignment(self) -> set[TopicPartition]:
        """As `contract.Consumer.assignment`."""
        with self._use.alone:
            return set(self._assigned)

    # --- reading -------------------------------------------------------------------------------------------

    def poll(self, timeout: float | None = 1.0, max_records: int = 500) -> list[Record]:
        """As `contract.Consumer.poll`. Raises `UnavailableError` if the cluster does not answer in time, and with deserializers
        `DeserializationError`."""
        check_timeout(timeout)
        check_number("max_records", max_records, 1, _RECORDS_MAX)
        with self._use.alone:
            self._cluster.check_usable()
            self._handout.commit_if_due()
            if self._requests.ends():
                return []
            deadline = None if timeout is None else time.monotonic() + timeout
            while self._handout.fill(timeout, max_records, self._requests.ends):
                if found := self._handout.take(max_records):
                    return found
                timeout = None if deadline is None else max(0.0, deadline - time.monotonic())  # all were passed over
            return []

    def __iter__(self) -> Iterator[Record]:
        """As `contract.Consumer.__iter__`."""
        while found := self.take_next(None):
            yield from found

    def take_next(self, timeout: float | None) -> list[Any]:
        """The next record of an iteration; none when it ends, or if none comes within `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._use.alone:
            self._cluster.check_usable()
            self._handout.commit_if_due()
            while not self._requests.ends() and self._handout.fill(timeout, _CHUNK_RECORDS, self._requests.ends):
                if found := self._handout.take(1, is_in_hand=True):
                    return found
                timeout = None if deadline is None else max(0.0, deadline - time.monotonic())  # it was passed over
            return []

    @property
    def has_next(self) -> bool:
        """Would `take_next` return at once?"""
        return self._handout.is_ready

    def give_back(self, records: Sequence[Any]) -> None:
        """Hand these out again, which were handed out last, and which nobody got."""
        first: dict[TopicPartition, int] = {}
        for record in records:
            first.setdefault(TopicPartition(record.topic, record.partition), record.offset)
        with self._use.alone:
            for name, offset in first.items():
                if name in self._assigned:
                    self._handout.seek(self._assigned[name], offset)

    def wakeup(self) -> None:
        """As `contract.Consumer.wakeup`; a poll that waits notices it within a tenth of a second."""
        self._requests.wake_up()

    def stop(self) -> None:
        """As `contract.Consumer.stop`; a poll that waits notices it within a tenth of a second."""
        self._requests.stop()

    @property
    def is_stopped(self) -> bool:
        """As `contract.Consumer.is_stopped`."""
        return self._requests.is_stopped

    # --- committing ----------------------------------------------------------------------------------------

    def commit(self, offsets: Mapping[TopicPartition, int] | None = None, *, sync: bool = False) -> None:
        """As `contract.Consumer.commit`; it may go back. Raises `StaleMemberError`, `UnavailableError`."""
        with self._use.alone:
            self._cluster.check_usable()
            check_bool("sync", sync)
            self._check_group("commit")
            if offsets is None:
                self._handout.commit_positions()
                return
            if not isinstance(offsets, Mapping):
                raise InvalidTypeError(f"offsets must be a mapping of TopicPartition to offset, not {type(offsets).__name__}")
            checked = {as_topic_partition(each): check_offset(offset) for each, offset in offsets.items()}
            for each in checked:
                self._find(each)
            if checked:
                self._handout.commit(checked)

    def positions_for_transaction(self) -> GroupPositions:
        """What `commit` would commit now. Raises `InvalidArgumentError` without a group, or with auto_commit."""
        with self._use.alone:
            self._cluster.check_usable()
            self._check_group("commit in a transaction")
            if self._commits_itself:
                raise InvalidArgumentError("this consumer commits by itself: make it without auto_commit for transactions")
            return GroupPositions(self._handout.group_metadata, self._handout.moved())

    def rewind(self) -> None:
        """As `contract.Consumer.rewind`."""
        with self._use.alone:
            self._cluster.check_usable()
            self._check_group("go back to what it has committed")
            self._handout.rewind()

    def committed(self, partition: TopicPartition) -> int | None:
        """As `contract.Consumer.committed`."""
        with self._use.alone:
            self._cluster.check_usable()
            group, wanted = self._check_group("have committed"), as_topic_partition(partition)
            return self._cluster.committed(group, [wanted]).get(wanted)

    def _check_group(self, what: str) -> str:
        if self.group is None:
            raise InvalidArgumentError(f"a consumer without a group cannot {what}: name one with group=")
        return self.group

    # --- positions -----------------------------------------------------------------------------------------

    def position(self, partition: TopicPartition) -> int:
        """As `contract.Consumer.position`."""
        with self._use.alone:
            self._cluster.check_usable()
            return self._handout.position(self._find(partition))

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """As `contract.Consumer.seek`."""
        with self._use.alone:
            self._cluster.check_usable()
            found, wanted = self._find(partition), check_offset(offset)
            start, end = (ask([found.name])[found.name] for ask in (self._cluster.starts, self._cluster.ends))
            if not start <= wanted <= end:
                raise OffsetOutOfRangeError(str(found.name), wanted, start, end)
            self._handout.seek(found, wanted)

    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """As `contract.Consumer.seek_to_beginning`."""
        with self._use.alone:
            chosen = self._select(partitions)
            starts = self._cluster.starts(each.name for each in chosen)
            for each in chosen:
                self._handout.seek(each, starts[each.name])

    def seek_to_end(self, *partitions: TopicPartition) -> None:
        """As `contract.Consumer.seek_to_end`."""
        with self._use.alone:
            chosen = self._select(partitions)
            ends = self._handout.ends(chosen)
            for each in chosen:
                self._handout.seek(each, ends[each.name])

    def seek_to_time(self, timestamp: Time, *partitions: TopicPartition) -> None:
        """As `contract.Consumer.seek_to_time`."""
        with self._use.alone:
            time = check_number("timestamp", as_timestamp(timestamp), 0, 2**63 - 1)
            chosen = self._select(partitions)
            found = self._cluster.offsets_for_time((each.name for each in chosen), time)
            ends = self._handout.ends(chosen)
            for each in chosen:
                offset = found[each.name]
                self._handout.seek(each, ends[each.name] if offset is None else offset)

    def pause(self, *partitions: TopicPartition) -> None:
        """As `contract.Consumer.pause`."""
        with self._use.alone:
            for each in self._select(partitions):
                each.is_paused = True
                self._handout.set_aside(each)

    def resume(self, *partitions: TopicPartition) -> None:
        """As `contract.Consumer.resume`."""
        with self._use.alone:
            for each in self._select(partitions):
                each.is_paused = False

    def paused(self) -> set[TopicPartition]:
        """As `contract.Consumer.paused`."""
        with self._use.alone:
            return {name for name, each in self._assigned.items() if each.is_paused}

    def _find(self, partition: TopicPartition) -> Assigned:
        name = as_topic_partition(partition)
        found = self._assigned.get(name)
        if found is None:
            raise StaleMemberError(f"{name} is not assigned to this {self._name}: nothing was changed")
        return found

    def _select(self, partitions: Sequence[TopicPartition]) -> list[Assigned]:
        self._cluster.check_usable()
        return [self._find(each) for each in partitions] if partitions else list(self._assigned.values())

    # --- the end -------------------------------------------------------------------------------------------

    def close(self) -> None:
        """As `contract.Consumer.close`. With auto_commit, what was handed out is committed, unless an exception is being
        handled."""
        self.end(is_finished=sys.exc_info()[0] is None)

    @property
    def is_closed(self) -> bool:
        """Was it closed?"""
        return self._use.has_ended

    def end(self, *, is_finished: bool) -> None:
        """As `close`; with auto_commit, what was handed out is committed if it `is_finished`."""
        if self._use.has_ended:
            return
        with self._use.alone:
            try:
                self._handout.say_goodbye(is_finished=is_finished)
            finally:
                self._handout.leave()
                self._use.end(StoreClosedError(f"{self._name} is closed"))

    def close_with_log(self, timeout: float) -> None:
        """Close, once the thread that is using it has released it; what was handed out does not count as finished."""
        if self._use.has_ended:
            return
        try:
            with self._use.alone_within(timeout):
                self.end(is_finished=False)
        except StillInUseError:  # in a callback that does not return: its next use raises
            self._handout.leave()
