"""What a producer returns for a record: its offset in the log, and whether a group has acknowledged it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlog._native import BaseAppendedReceipt, BaseBatchReceipt, Gathered
from eventlog.errors import EventLogError, OffsetOutOfRangeError
from eventlog.groups.acknowledgement import is_acked, wait_acked
from eventlog.options import check_group_name, check_timeout

if TYPE_CHECKING:
    from eventlog.producer.partition_sender import PartitionSender


class Receipt:
    """A record's position in the log. With `linger_ms` the record may still be waiting: see `is_resolved`."""

    __slots__ = ()
    _sender: PartitionSender

    def __repr__(self) -> str:
        where = self.offset if self.is_resolved else "not appended yet"
        return f"<Receipt {self._sender.topic_partition}: {where}>"

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._sender.topic_partition.topic

    @property
    def partition(self) -> int:
        """The partition's number."""
        return self._sender.topic_partition.partition

    @property
    def is_resolved(self) -> bool:
        """Is the record in the log? Readers may see it a moment before this is True."""
        raise NotImplementedError

    @property
    def offset(self) -> int:
        """The record's offset. A record that is still waiting is appended now; raises what appending raises."""
        raise NotImplementedError

    @property
    def timestamp(self) -> int:
        """The record's timestamp, in milliseconds since the epoch. If it must be read from the log, it is
        remembered; raises `OffsetOutOfRangeError` if the record was deleted."""
        raise NotImplementedError

    def is_acked(self, group: str) -> bool:
        """Has this group committed past the record? Raises `TopicNotFoundError` if the topic was deleted."""
        return is_acked(self._sender.groups, check_group_name(group), self._sender.log, self.offset)

    def wait_acked(self, group: str, timeout: float | None = None) -> bool:
        """Block until this group has committed past the record; False after `timeout` seconds.

        A group that does not exist yet, or was deleted, has acknowledged nothing, and may be created while this waits. A
        reset of the group past the record counts as an acknowledgement; a reset to before it does not revoke a True.
        Raises `TopicNotFoundError` once the topic is deleted."""
        check_timeout(timeout)
        return wait_acked(self._sender.groups, check_group_name(group), self._sender.log, self.offset, timeout)


class AppendedReceipt(Receipt, BaseAppendedReceipt):
    """The receipt that native code makes for a record that is in the log."""

    __slots__ = ()

    @property
    def is_resolved(self) -> bool:
        return True

    @property
    def offset(self) -> int:
        return self._offset

    @property
    def timestamp(self) -> int:
        return self._timestamp


class BatchReceipt(Receipt, BaseBatchReceipt):
    """The receipt for a record that was sent in a batch. `timestamp` is the one that the caller gave, or None."""

    __slots__ = ()

    def __init__(self, sender: PartitionSender, batch: Gathered, index: int, timestamp: int | None) -> None:
        self._sender = sender
        self._batch = batch
        self._index = index
        self._timestamp = timestamp

    @property
    def is_resolved(self) -> bool:
        return self._find()[0].first_offset is not None

    def _find(self) -> tuple[Gathered, int]:
        """The batch that contains the record, which may be a part of the one that it was sent in, and its index there."""
        batch, index = self._batch, self._index
        while batch.halves is not None:
            count, first, second = batch.halves
            batch, index = (first, index) if index < count else (second, index - count)
        return batch, index

    def _settle(self) -> tuple[Gathered, int]:
        """The batch and the index once the record is in the log. Raises the reason if it cannot be there."""
        batch, index = self._find()
        if batch.first_offset is None and batch.loss is None:
            try:
                self._sender.append_waiting()
            except EventLogError:
                if self._find()[0].loss is None:
                    raise
            batch, index = self._find()
        if batch.loss is not None:
            raise type(batch.loss)(*batch.loss.args)
        return batch, index

    @property
    def offset(self) -> int:
        batch, index = self._settle()
        assert batch.first_offset is not None
        return batch.first_offset + index

    @property
    def timestamp(self) -> int:
        batch, _ = self._settle()  # only an appended batch tells whether the topic sets timestamps
        if self._timestamp is None or (batch.is_stamped and not self._is_read):
            self._timestamp = self._stored_timestamp(self.offset)
            self._is_read = True
        return self._timestamp

    def _stored_timestamp(self, offset: int) -> int:
        log = self._sender.log
        found = log.read(offset, max_records=1)
        if not found or found[0].offset != offset:
            raise OffsetOutOfRangeError(str(self._sender.topic_partition), offset, log.start_offset, log.end_offset)
        return found[0].timestamp
