"""What a producer hands out for a record: where it is in the log, and whether a group has acknowledged it."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from eventlog.groups.acknowledgement import is_acked, wait_acked
from eventlog.options import check_group_name, check_timeout

if TYPE_CHECKING:
    from eventlog.producer.lane import Batch, Lane


class Receipt:
    """A record's place in the log. With `linger_ms` the record may still be waiting: `is_resolved` tells."""

    __slots__ = ()
    _lane: Lane
    _timestamp: int | None  # None: it stands in the log

    def __repr__(self) -> str:
        where = self.offset if self.is_resolved else "not appended yet"
        return f"<Receipt {self._lane.topic_partition}: {where}>"

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._lane.topic_partition.topic

    @property
    def partition(self) -> int:
        """The partition's number."""
        return self._lane.topic_partition.partition

    @property
    def is_resolved(self) -> bool:
        """Is the record in the log? Readers may see it a moment before this tells."""
        raise NotImplementedError

    @property
    def offset(self) -> int:
        """The record's offset. A record that is still waiting is appended now; raises what appending raises."""
        raise NotImplementedError

    @property
    def timestamp(self) -> int:
        """The record's timestamp, in milliseconds since the epoch. Read from the log unless it was given and counts."""
        given = self._timestamp
        return self._lane.log.read(self.offset, max_records=1)[0].timestamp if given is None else given

    def is_acked(self, group: str) -> bool:
        """Has this group committed past the record? Raises `TopicNotFoundError` if the topic was deleted."""
        return is_acked(self._lane.groups, check_group_name(group), self._lane.log, self.offset)

    def wait_acked(self, group: str, timeout: float | None = None) -> bool:
        """Block until this group has committed past the record; False after `timeout` seconds.

        A group that does not exist yet, or was deleted, has acknowledged nothing, and may be created while this waits. A
        reset of the group to behind the record counts as an acknowledgement; one to before it does not take back a True.
        Raises `TopicNotFoundError` once the topic is deleted."""
        check_timeout(timeout)
        return wait_acked(self._lane.groups, check_group_name(group), self._lane.log, self.offset, timeout)


class AppendedReceipt(Receipt, tuple[Any, ...]):
    """A receipt of a record that is in the log: a tuple of lane, offset and timestamp, as native code makes it."""

    __slots__ = ()
    _lane = property(itemgetter(0))
    _timestamp = property(itemgetter(2))

    @property
    def is_resolved(self) -> bool:
        return True

    @property
    def offset(self) -> int:
        offset: int = self[1]
        return offset


class PendingReceipt(Receipt):
    """A receipt of a record that waits to be appended together with others."""

    __slots__ = ("_batch", "_lane", "_place", "_timestamp")

    def __init__(self, lane: Lane, batch: Batch, place: int, timestamp: int | None) -> None:
        self._lane = lane
        self._batch = batch
        self._place = place
        self._timestamp = timestamp

    @property
    def is_resolved(self) -> bool:
        return self._batch.first_offset is not None

    @property
    def offset(self) -> int:
        if self._batch.loss is not None:
            raise type(self._batch.loss)(*self._batch.loss.args)
        if self._batch.first_offset is None:
            self._lane.append_waiting()
        assert self._batch.first_offset is not None
        return self._batch.first_offset + self._place
