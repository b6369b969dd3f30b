"""A worker's view of one partition: it claims records there, and reads them."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import NamedTuple

from eventlog.errors import EventLogError, OffsetOutOfRangeError
from eventlog.records.record import Record, TopicPartition
from eventlog.storage.mapped.share_page import ShareClaim, ShareSlot
from eventlog.storage.partition.partition import Partition
from eventlog.storage.partition.reader import LogReader
from eventlog.waiting import WaitSet

Claimed = list[tuple[Record, int]]
"""Records that were claimed, with their words."""

CLAIM_MAX = 1024
_UNREADABLE_MS = 1000  # how long a record waits that could not be read


class SharedPartition:
    """`slot` is the worker's view of the page, which several threads may use; one at a time claims and reads."""

    def __init__(self, name: TopicPartition, log: Partition, slot: ShareSlot) -> None:
        self.name = name
        self.slot = slot
        self._log = log
        self._lock = threading.RLock()
        self._claim = ShareClaim(CLAIM_MAX)
        self._reader: LogReader | None = None

    @property
    def is_deleted(self) -> bool:
        """Was the topic deleted?"""
        return self._log.is_deleted

    def seen(self) -> Seen:
        """What there is now, to be read before a claim that is to have it."""
        return Seen(self, self.slot.page.changes, self._log.stable_offset)

    def claim(self, count: int, end: int, *, ahead: bool) -> Claimed:
        """Claim up to `count` records before the offset `end`, at most `CLAIM_MAX`, and read them. Where there is no record,
        because it was compacted away, deleted, or belongs to an aborted transaction, there is nothing to do: that counts as
        accepted.

        If they cannot be read, they are given back, and the error is raised."""
        with self._lock:
            claim = self._claim
            if not claim.count:  # otherwise an interrupt came in before these were read
                self.slot.claim(claim, end, min(count, CLAIM_MAX), ahead=ahead)
            items = claim.items()
            try:
                found = self._read(items)
            except EventLogError:
                claim.clear()
                self._give_back(items)
                raise
            claim.clear()
            return found

    def _give_back(self, items: list[tuple[int, int]]) -> None:
        for offset, word in items:
            with suppress(EventLogError):
                self.slot.release(offset, word, _UNREADABLE_MS, counted=False)

    def _read(self, items: list[tuple[int, int]]) -> Claimed:
        found: Claimed = []
        first = 0
        for index, (offset, _) in enumerate(items):
            is_last = index + 1 == len(items) or items[index + 1][0] != offset + 1
            if is_last:
                found += self._read_run(items[first : index + 1])
                first = index + 1
        return found

    def _read_run(self, items: list[tuple[int, int]]) -> Claimed:
        """Read neighbours."""
        records = self._records(items[0][0], items[-1][0] + 1)
        if len(records) == len(items):
            return [(record, word) for record, (_, word) in zip(records, items, strict=True)]
        words = dict(items)
        found = [(record, words.pop(record.offset)) for record in records]
        self.slot.accept_all(list(words.items()))
        return found

    def _records(self, offset: int, stop: int) -> list[Record]:
        """The records from `offset` to before `stop` that exist."""
        while True:
            start = self._log.start_offset
            if start >= stop:
                return []
            try:
                return self._records_within(max(offset, start), stop)
            except OffsetOutOfRangeError:
                self.close_reader()
                if self._log.start_offset == start:
                    raise

    def _records_within(self, offset: int, stop: int) -> list[Record]:
        reader = self._reader
        if reader is None or reader.next_offset != offset:
            self.close_reader()
            reader = self._reader = self._log.log.reader(offset, committed=True)
        try:
            records = reader.records(stop - offset, self._log.stable_offset)  # where there are gaps, these go past `stop`
        except BaseException:
            self.close_reader()
            raise
        while records and records[-1].offset >= stop:
            records.pop()
        return records

    def close_reader(self) -> None:
        """Close the segment that is being read."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    @property
    def due_ms(self) -> int | None:
        """Milliseconds until a lock ends or a delay is over, at the earliest; None if there is neither."""
        return self.slot.page.due_ms

    def await_more(self, wait_set: WaitSet, seen: Seen) -> None:
        """Let the set wait for records that may be claimed after this was seen: new ones, and those that are given back."""
        self._log.log.await_committed(wait_set, seen.end, durable=False)
        self.slot.page.await_change(wait_set, seen.changes)


class Seen(NamedTuple):
    """What a claim knew: how often records were given back, and the end of what may be read."""

    partition: SharedPartition
    changes: int
    end: int
