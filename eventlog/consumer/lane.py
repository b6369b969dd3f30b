"""One partition as a consumer has it."""

from __future__ import annotations

from contextlib import suppress

from eventlog.errors import CorruptLogError, NoCommittedOffsetError, OffsetOutOfRangeError, StaleMemberError
from eventlog.records.record import Record, TopicPartition
from eventlog.storage.acks import Ack
from eventlog.storage.partition import Partition, await_record, check_offset_within, open_reader
from eventlog.storage.reader import LogReader
from eventlog.waiting import Awaited


class Lane:
    """`position` is the offset of the next record to hand out, None until it is known; what was read ahead of it is not handed
    out yet. What stands before `finished` was handed out, and its caller has asked for more since; None: nothing that is known
    of. `ack` is None without a group."""

    def __init__(self, log: Partition, ack: Ack | None, position: int | None, *, durable: bool) -> None:
        self.log = log
        self.topic_partition = TopicPartition(log.topic, log.partition)
        self.ack = ack
        self.commit_record = ack.commit_function() if ack is not None else None
        self.position = position
        self.finished: int | None = None
        self.is_paused = False
        self._durable = durable
        self._reader: LogReader | None = None
        self._ahead: int | None = None  # the offset behind what was read; None: nothing was read ahead of the position

    def resolve_position(self, reset: str) -> int:
        """The position, which is chosen by `reset` where nothing was committed. Raises `NoCommittedOffsetError`.

        A group that begins at the latest record commits that place: else a member that takes over would begin later."""
        if self.position is None:
            if reset == "error":
                raise NoCommittedOffsetError(
                    f"the group has committed nothing for {self.topic_partition}: seek to an offset, or choose "
                    'auto_offset_reset="earliest" or "latest"'
                )
            self.position = self._begin(reset)
            if reset == "latest" and self.ack is not None:
                with suppress(StaleMemberError):  # outside the membership, and a member has the partition
                    self.ack.commit(self.position)
        return self.position

    def _begin(self, reset: str) -> int:
        return self.log.start_offset if reset == "earliest" else self.log.end_offset

    def check_within(self, offset: int) -> None:
        """Raise `OffsetOutOfRangeError` unless one can go on at this offset."""
        check_offset_within(self.log, offset)

    def seek(self, offset: int) -> None:
        """Go on at this offset, which was checked."""
        self.position = offset
        self.hold_back(offset)
        self.rewind()

    def finish(self, offset: int | None) -> None:
        """The caller has finished what stands before this offset."""
        self.finished = offset

    def hold_back(self, offset: int) -> None:
        """The caller has not finished what stands here."""
        if self.finished is not None and self.finished > offset:
            self.finished = offset

    def fetch(self, records_max: int, reset: str) -> list[Record]:
        """The next records; [] when there are none. The caller moves `position` once it hands them out.

        Where retention has deleted the position, `reset` decides; "error" raises `OffsetOutOfRangeError`. `CorruptLogError` is
        raised once everything before the damage was returned."""
        stop = self.log.durable_offset if self._durable else self.log.end_offset
        if self._reader is not None:
            self._reader.check_idle()
        if self._reader is not None and self._reader.next_offset != self.fetched:
            self.close()  # an error, or what a signal's handler raised, took away what was read: it is read again
        reader = self._reader
        if reader is None or reader.next_offset < self.log.start_offset:
            reader = self._open(reset, stop)
        if reader is None or reader.next_offset >= stop:
            return []
        try:
            records = reader.records(records_max, stop)
        except CorruptLogError:
            return self._before_damage(records_max, stop)
        except OffsetOutOfRangeError:  # deleted just now
            self.close()
            return self.fetch(records_max, reset)
        self._ahead = reader.next_offset
        return records

    def _before_damage(self, records_max: int, stop: int) -> list[Record]:
        """What can be read before damage, one by one: the error that told of it took with it what was read until then."""
        self.close()
        reader = open_reader(self.log, self.fetched)
        records = reader.records(1, stop)
        with suppress(CorruptLogError):
            while len(records) < records_max and (more := reader.records(1, stop)):
                records += more
        self._ahead = records[-1].offset + 1
        return records

    def _open(self, reset: str, stop: int) -> LogReader | None:
        """A reader behind what was read; None while nothing stands there."""
        position = self.resolve_position(reset) if self._ahead is None else self._ahead
        try:
            check_offset_within(self.log, position)
        except OffsetOutOfRangeError:
            if reset == "error":
                raise
            position = self.position = self._begin(reset)
            self._ahead = None
        self.close()
        if position < stop:
            self._reader = open_reader(self.log, position)
        return self._reader

    def rewind(self) -> None:
        """Forget what was read ahead of the position."""
        self._ahead = None
        self.close()

    @property
    def fetched(self) -> int:
        """The offset behind the last record that was read."""
        return self._ahead if self._ahead is not None else (self.position or 0)

    def await_records(self, awaited: Awaited, place: int) -> None:
        """Let one place of `awaited` be for records behind those that were read."""
        await_record(self.log, awaited, place, self.fetched, durable=self._durable)

    def close(self) -> None:
        """Close the segment that is being read."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
