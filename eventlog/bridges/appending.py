"""Appending messages to a topic, each exactly once as far as it can be recognised, whoever else appends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING

from eventlog.bridges.identities import Known
from eventlog.bridges.message import Message, record_headers
from eventlog.errors import ConflictError, InvalidArgumentError, RecordTooLargeError
from eventlog.records.partitioning import partition_for_key

if TYPE_CHECKING:
    from eventlog import contract

_UNIT_BYTES = 1 << 19  # half of Kafka's default limit for a batch, max.message.bytes, leaves room for headers and framing
_RECORD_BYTES = 32  # of a record besides its contents, about
_TIMESTAMP_MAX = 2**63 - 1


class TopicAppender:
    """Appends to the partitions of one topic: conditionally, so that a message that another process has appended in the same
    moment is seen first. `appended` and `recognised` count messages, `bytes` those of keys and values. For one thread."""

    def __init__(self, log: contract.Log, topic: str, window_records: int | None = None) -> None:
        """Raises `TopicNotFoundError`."""
        self._log = log
        self.topic = topic
        self._window_records = window_records
        self._partitions: dict[int, contract.Partition] = {}
        self._known: dict[int, Known] = {}
        self._turns = count()
        self.appended = self.recognised = self.bytes = 0
        self.partition_count = 0
        self.refresh()

    def refresh(self) -> None:
        """Use the partitions that the topic has now; call it after each connection."""
        self.partition_count = self._log.topic(self.topic).partitions
        for known in self._known.values():
            known.reconnected()

    def partition(self, number: int) -> contract.Partition:
        """One of the topic's partitions."""
        if number not in self._partitions:
            self._partitions[number] = self._log.partition(self.topic, number)
        return self._partitions[number]

    def known(self, number: int) -> Known:
        """What this partition has."""
        if number not in self._known:
            window = () if self._window_records is None else (self._window_records,)
            self._known[number] = Known(self.partition(number), *window)
        return self._known[number]

    def position(self, source: str, partition: int) -> int | None:
        """As `SourceContext.position`."""
        known = self.known(partition % self.partition_count)
        known.catch_up()
        return known.position(source)

    def append(self, messages: Sequence[Message], refuse: Callable[[Message, str], object]) -> None:
        """Append those that are not there yet. They are durable after `flush`.

        One that cannot be appended, and why, is given to `refuse`. What comes behind it in its partition is appended after
        that, or not if `refuse` raises: a position behind it would say that it is there. Raises what appending raises; then
        some may have been appended, and are recognised when they are given again."""
        by_partition: dict[int, list[Message]] = defaultdict(list)
        for message in messages:
            by_partition[self._choose(message)].append(message)
        for number, of_partition in by_partition.items():
            for unit in _units(of_partition):
                self._append_unit(number, unit, refuse)

    def _choose(self, message: Message) -> int:
        """A message that comes again goes to the same partition, so that the partition alone decides whether it is new."""
        if message.partition is not None:
            return message.partition % self.partition_count
        if self.partition_count == 1:
            return 0
        if message.key is not None:
            return partition_for_key(message.key, self.partition_count)
        if message.identity is not None:
            return int.from_bytes(message.identity[:8], "big") % self.partition_count
        return next(self._turns) % self.partition_count

    def _append_unit(self, number: int, messages: list[Message], refuse: Callable[[Message, str], object]) -> None:
        known = self.known(number)
        fresh = self._fresh(known, messages)
        while fresh:
            try:
                self._append_fresh(number, known, fresh)
                return
            except ConflictError:
                known.catch_up()
                fresh = self._fresh(known, fresh)
            except (RecordTooLargeError, InvalidArgumentError) as error:
                if len(fresh) == 1:
                    refuse(fresh[0], str(error))
                    return
                half = len(fresh) // 2
                self._append_unit(number, fresh[:half], refuse)
                fresh = self._fresh(known, fresh[half:])

    def _fresh(self, known: Known, messages: list[Message]) -> list[Message]:
        """Those that the partition does not have, each once."""
        fresh: list[Message] = []
        seen: set[bytes] = set()
        reached: dict[str, int] = {}
        for message in messages:
            if message.position is not None:
                source, offset = message.position
                if source not in reached:
                    reached[source] = known.position(source) or 0
                is_known = offset < reached[source]
                if not is_known:
                    reached[source] = offset + 1
            elif message.identity is not None and message.is_unique:
                is_known = message.identity in seen or known.has(message)
                seen.add(message.identity)
            else:
                is_known = known.has(message)
            if is_known:
                self.recognised += 1
            else:
                fresh.append(message)
        return fresh

    def _append_fresh(self, number: int, known: Known, messages: list[Message]) -> None:
        values, keys = [message.value for message in messages], [message.key for message in messages]
        offsets = self.partition(number).append_many(
            values,
            keys=keys,
            headers=list(map(record_headers, messages)),
            timestamps=[_valid(message.timestamp) for message in messages],
            expected_end_offset=known.end_offset,
        )
        known.appended(offsets, messages)
        self.appended += len(messages)
        self.bytes += sum(map(len, filter(None, values))) + sum(map(len, filter(None, keys)))

    def flush(self) -> None:
        """Return once everything that was appended is durable, and what was recognised, too."""
        for number in self._known:  # what another process has appended may not be on disk
            partition = self.partition(number)
            if partition.durable_offset < self._known[number].end_offset:
                partition.flush()


def _valid(timestamp: int | None) -> int | None:
    return timestamp if timestamp is None or 0 <= timestamp <= _TIMESTAMP_MAX else None


def _units(messages: list[Message]) -> list[list[Message]]:
    units: list[list[Message]] = [[]]
    size = 0
    for message in messages:
        more = _RECORD_BYTES + len(message.value or b"") + len(message.key or b"")
        for name, value in message.headers:
            more += len(name) + len(value or b"")
        if units[-1] and size + more > _UNIT_BYTES:
            units.append([])
            size = 0
        units[-1].append(message)
        size += more
    return units


