"""The records that a ship has polled and the other system does not have yet: bounded, and settled in any order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby, islice
from operator import attrgetter

from eventlog.records.record import Record, TopicPartition

_RECORD_BYTES = 200  # of a record besides its contents, about
_FIRST_GUESS_BYTES = 64 * 1024
_POLL_RECORDS_MAX = 500

_partition = attrgetter("partition")


class _Lane:
    """The unsettled records of one partition, in order. Those of `settled` are behind others that are not. All records before
    `done` are settled, and `committed` was committed."""

    __slots__ = ("committed", "done", "records", "settled")

    def __init__(self) -> None:
        self.records: deque[Record] = deque()
        self.settled: set[int] = set()
        self.done = self.committed = -1

    def settle(self, offset: int) -> bool:
        """The record at this offset need not be sent any more. False if that is known, or the record is not here."""
        records, settled = self.records, self.settled
        if not records or offset < records[0].offset or offset in settled:
            return False
        if records[0].offset == offset and not settled:
            records.popleft()
            self.done = offset + 1
            return True
        settled.add(offset)
        while records and records[0].offset in settled:
            first = records.popleft().offset
            settled.discard(first)
            self.done = first + 1
        return True


class Window:
    """At most so many records and bytes, plus the records of one poll. For the partitions of one topic, and for one thread."""

    def __init__(self, topic: str, records_max: int, bytes_max: int) -> None:
        self._topic = topic
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._lanes: dict[int, _Lane] = {}
        self._unsent: deque[Record] = deque()
        self._record_bytes = _FIRST_GUESS_BYTES
        self.records = 0
        self.bytes = 0

    def __bool__(self) -> bool:
        return self.records > 0

    @property
    def room(self) -> int:
        """How many more records may be polled at once: by their number, and by the size of those that came lately."""
        if self.records >= self._records_max or self.bytes >= self._bytes_max:
            return 0
        by_bytes = (self._bytes_max - self.bytes) // self._record_bytes
        return max(1, min(self._records_max - self.records, by_bytes, _POLL_RECORDS_MAX))

    @property
    def in_flight(self) -> int:
        """How many records were sent, and are not settled."""
        return self.records - len(self._unsent)

    @property
    def has_unsent(self) -> bool:
        """Are there records to be sent?"""
        return bool(self._unsent)

    def add(self, records: Sequence[Record]) -> None:
        """Records that were polled, those of a partition in order."""
        for number, of_partition in groupby(records, _partition):
            self._lanes.setdefault(number, _Lane()).records.extend(of_partition)
        size = sum(map(_size, records))
        self._unsent.extend(records)
        self.records += len(records)
        self.bytes += size
        if records:  # as large as the last ones, or half of what was larger before
            self._record_bytes = max(size // len(records), self._record_bytes // 2, _RECORD_BYTES)

    def take(self, count_max: int) -> list[Record]:
        """The next records to send, at most so many; they count as sent."""
        taken = list(islice(self._unsent, count_max))
        if len(taken) == len(self._unsent):
            self._unsent.clear()
        else:
            for _ in taken:
                self._unsent.popleft()
        return taken

    def settle(self, records: Iterable[Record]) -> None:
        """These records need not be sent any more: the other system has them, or they were put elsewhere."""
        for number, of_partition in groupby(records, _partition):
            lane = self._lanes.get(number)
            if lane is None:
                continue  # it was given up meanwhile
            settled = [record for record in of_partition if lane.settle(record.offset)]
            self.records -= len(settled)
            self.bytes -= sum(map(_size, settled))

    def settle_before(self, partition: TopicPartition, offset: int) -> int:
        """The other system has what is before this offset of the partition; returns how many records that settles."""
        lane = self._lanes.setdefault(partition.partition, _Lane())
        found = [record for record in lane.records if record.offset < offset and record.offset not in lane.settled]
        if found:
            self.settle(found)
            dropped = {record.offset for record in found}
            self._unsent = deque(
                each for each in self._unsent if each.partition != partition.partition or each.offset not in dropped
            )
        lane.done = max(lane.done, offset)
        return len(found)

    def send_again(self) -> None:
        """The connection was lost: everything that is not settled is to be sent, in order."""
        self._unsent = deque(
            record for lane in self._lanes.values() for record in lane.records if record.offset not in lane.settled
        )

    def has(self, partitions: Iterable[TopicPartition]) -> bool:
        """Are there unsettled records of one of these partitions?"""
        lanes = (self._lanes.get(each.partition) for each in partitions)
        return any(lane is not None and len(lane.records) > len(lane.settled) for lane in lanes)

    def drop_unsent(self, partitions: Iterable[TopicPartition] | None = None) -> None:
        """Forget the records that were not sent: of these partitions, or of all."""
        numbers = set(self._lanes) if partitions is None else {each.partition for each in partitions}
        dropped = [record for record in self._unsent if record.partition in numbers]
        if dropped:
            self._unsent = deque(record for record in self._unsent if record.partition not in numbers)
            offsets = {(record.partition, record.offset) for record in dropped}
            for number in numbers & self._lanes.keys():
                lane = self._lanes[number]
                lane.records = deque(record for record in lane.records if (number, record.offset) not in offsets)
            self.records -= len(dropped)
            self.bytes -= sum(map(_size, dropped))

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """These partitions are not ours any more."""
        self.drop_unsent(partitions)
        for partition in partitions:
            lane = self._lanes.pop(partition.partition, None)
            if lane is not None:
                left = [record for record in lane.records if record.offset not in lane.settled]
                self.records -= len(left)
                self.bytes -= sum(map(_size, left))

    def to_commit(self) -> dict[TopicPartition, int]:
        """The offset up to which each partition is settled, where it is further than what was committed."""
        return {
            TopicPartition(self._topic, number): lane.done
            for number, lane in self._lanes.items()
            if lane.done > lane.committed
        }

    def committed(self, offsets: dict[TopicPartition, int]) -> None:
        """These offsets were committed."""
        for partition, offset in offsets.items():
            lane = self._lanes.get(partition.partition)
            if lane is not None:
                lane.committed = max(lane.committed, offset)


def _size(record: Record) -> int:
    return _RECORD_BYTES + len(record.value or b"") + len(record.key or b"")
