"""A consumer's view of one partition."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from eventlog.errors import (
    CorruptLogError,
    NoCommittedOffsetError,
    OffsetOutOfRangeError,
    StaleMemberError,
    TopicNotFoundError,
)
from eventlog.logs import logger
from eventlog.records.record import Record, TopicPartition
from eventlog.storage.mapped.offset_slots import OffsetSlot
from eventlog.storage.partition.partition import Partition
from eventlog.storage.partition.reader import LogReader
from eventlog.waiting import WaitSet

_log = logger("consumer")


class AssignedPartition:
    """`position` is the offset of the next record to hand out, None until it is known; records that were read ahead of it are
    not handed out yet. The records before `finished` were handed out, and the caller has asked for more since; it is None if no
    such records are known. `slot` is None without a group. `reset` is the consumer's auto_offset_reset. With `committed`, only
    records of transactions that were committed are read, and those that belong to none."""

    def __init__(
        self,
        topic_partition: TopicPartition,
        open_partition: Callable[[str, int], Partition],
        slot: OffsetSlot | None,
        position: int | None,
        *,
        reset: str,
        durable: bool,
        committed: bool,
    ) -> None:
        self.topic_partition = topic_partition
        self.slot = slot
        self.try_commit = slot.try_commit if slot is not None else None
        self.position = position
        self.finished: int | None = None
        self.was_moved = False  # without a handed-out record, to an offset that the group does not have
        self.is_paused = False
        self.is_gone = False  # the topic was deleted, and the caller assigned the partition by its name
        self._open_partition = open_partition
        self._partition: Partition | None = None
        self._reset = reset
        self._durable = durable
        self._committed = committed
        self._reader: LogReader | None = None
        self._ahead: int | None = None  # the next offset to read; None if nothing was read ahead of the position
        self._last_read: int | None = None  # the offset of the last record that was read; a gap may follow it

    @property
    def partition(self) -> Partition:
        """The partition, which is opened now if that has not succeeded before."""
        return self._partition if self._partition is not None else self.open()

    def open(self) -> Partition:
        """Open the partition. Raises the error that prevents this."""
        self._partition = self._open_partition(*self.topic_partition)
        return self._partition

    @property
    def is_deleted(self) -> bool:
        """Was the topic deleted?"""
        return self._partition is not None and self._partition.is_deleted

    def commit_by(self, slot: OffsetSlot) -> None:
        """Commit to this slot from now on."""
        self.slot, self.try_commit = slot, slot.try_commit

    def resolve_position(self) -> int:
        """The position. If nothing was committed, the reset chooses it. Raises `NoCommittedOffsetError`."""
        if self.position is not None:
            return self.position
        if self._reset == "error":
            raise NoCommittedOffsetError(
                f"the group has committed nothing for {self.topic_partition}: seek to an offset, or choose "
                'auto_offset_reset="earliest" or "latest"'
            )
        return self._begin()

    def _begin(self) -> int:
        """Move the position to the first record or to the end.

        A group that begins at the end commits that offset: otherwise a member that takes over would begin later."""
        position = self.position = self.partition.start_offset if self._reset == "earliest" else self.end_offset
        if self._reset == "latest" and self.slot is not None:
            with suppress(StaleMemberError):  # not a member, and a member owns the partition
                self.slot.commit(position)
        return position

    @property
    def end_offset(self) -> int:
        """The offset behind the last record that may be read, whether it is on disk or not."""
        return self.partition.stable_offset if self._committed else self.partition.end_offset

    def check_within(self, offset: int) -> None:
        """Raise `OffsetOutOfRangeError` unless reading can continue at this offset."""
        self.partition.log.check_offset(offset)

    def seek(self, offset: int) -> None:
        """Continue at this offset, which was checked."""
        self.position = offset
        self.hold_back(offset)
        self.rewind()

    def go_back(self, position: int | None) -> None:
        """Continue at the offset that the group has committed, None if it has committed nothing."""
        self.position, self.finished, self.was_moved = position, None, False
        self.rewind()

    def finish(self, offset: int | None) -> None:
        """Note that the caller has finished the records before this offset."""
        self.finished = offset

    def hold_back(self, offset: int) -> None:
        """Note that the caller has not finished the record at this offset."""
        if self.finished is not None and self.finished > offset:
            self.finished = offset

    def fetch(self, records_max: int) -> list[Record]:
        """The next records; [] if no more exist yet. The caller moves `position` once it hands them out.

        If retention has deleted the position, the reset decides; "error" raises `OffsetOutOfRangeError`. `CorruptLogError`
        is raised once everything before the damage was returned."""
        if self.is_gone:
            raise TopicNotFoundError(f"topic {self.topic_partition.topic!r} was deleted: assign other partitions")
        partition = self._partition if self._partition is not None else self.open()
        stop = partition.stable_offset if self._committed else partition.end_offset
        if self._durable:
            stop = min(stop, partition.durable_offset)
        if self._reader is not None:
            self._reader.check_idle()
        if self._reader is not None and self._reader.next_offset != self.fetched:
            self.close()  # an error, or an exception of a signal handler, lost records: read them again
        reader = self._reader
        if reader is None or reader.next_offset < partition.start_offset:
            reader = self._open(stop)
        if reader is None or reader.next_offset >= stop:
            return []
        try:
            records = reader.records(records_max, stop)
        except CorruptLogError:
            return self._before_damage(records_max, stop)
        except OffsetOutOfRangeError:  # deleted just now
            self.close()
            return self.fetch(records_max)
        if records:
            self._last_read = records[-1].offset
        self._ahead = reader.next_offset
        if not records:
            self._pass_gap(reader.next_offset)
        return records

    def _pass_gap(self, offset: int) -> None:
        """Continue at this offset, before which no more records exist, if all records that were read were handed out."""
        if self.position is not None and self._last_read in (None, self.position - 1) and self.position < offset:
            self.position = offset
            self.was_moved = True

    def position_behind(self, record: Record) -> int:
        """The position once this record, one of those that were read, is handed out. For the last one, it is behind the gap
        that follows."""
        return self.fetched if record.offset == self._last_read else record.offset + 1

    @property
    def is_before_gap(self) -> bool:
        """Does a gap follow the last record that was read?"""
        return self._last_read is not None and self.fetched != self._last_read + 1

    def _before_damage(self, records_max: int, stop: int) -> list[Record]:
        """Read the records before the damage one by one: the error that reported it lost the ones that were read until then."""
        self.close()
        reader = self.partition.log.reader(self.fetched, committed=self._committed)
        records = reader.records(1, stop)
        with suppress(CorruptLogError):
            while len(records) < records_max and (more := reader.records(1, stop)):
                records += more
        self._last_read = records[-1].offset
        self._ahead = self._last_read + 1
        return records

    def _open(self, stop: int) -> LogReader | None:
        """A reader at the next offset to read; None while no record is there."""
        position = self.resolve_position() if self._ahead is None else self._ahead
        try:
            self.partition.log.check_offset(position)
        except OffsetOutOfRangeError:
            if self._reset == "error":
                raise
            if position > self.partition.end_offset:
                _log.warning(
                    "%s ends at offset %d, before %d, where reading was to continue: it has lost records; the reset is %r",
                    self.topic_partition, self.partition.end_offset, position, self._reset,
                )  # fmt: skip
            position = self._begin()
            self.was_moved = True
            self._ahead = self._last_read = None
        self.close()
        if position < stop:
            self._reader = self.partition.log.reader(position, committed=self._committed)
        return self._reader

    def rewind(self, unread: Iterable[Record] = ()) -> None:
        """Forget the records that were read ahead of the position; `unread`, those not handed out yet, is exhausted."""
        if self._reader is not None:
            self._reader.check_idle()
        self._ahead = self._last_read = None
        deque(unread, maxlen=0)  # in one step: no signal handler can interrupt it
        self.close()

    @property
    def fetched(self) -> int:
        """The offset behind the last record that was read, and behind the gap after it as far as the gap is known."""
        return self._ahead if self._ahead is not None else (self.position or 0)

    def await_records(self, wait_set: WaitSet) -> None:
        """Let the set wait for records behind those that were read."""
        partition = self._partition if self._partition is not None else self.open()
        await_record = partition.log.await_committed if self._committed else partition.log.await_record
        await_record(wait_set, self.fetched, durable=self._durable)

    def close(self) -> None:
        """Close the segment that is being read."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
