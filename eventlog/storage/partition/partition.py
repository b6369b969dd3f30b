"""One partition as users see it: the records of a `PartitionLog`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import chain

from eventlog._native import BasePartition, lib
from eventlog.anchored import plain
from eventlog.clock import Time, as_timestamp
from eventlog.errors import stands_in_for, translates_os_errors
from eventlog.options import check_bool
from eventlog.records.batch import Headers
from eventlog.records.columns import Columns
from eventlog.records.record import Record
from eventlog.storage.partition.columns import ColumnSelection
from eventlog.storage.partition.deletion import delete_before
from eventlog.storage.partition.log import PartitionLog, check_int
from eventlog.storage.partition.readers import LARGE_BLOCK_BYTES
from eventlog.storage.partition.search import Query
from eventlog.storage.partition.writer import RecordWriter
from eventlog.storage.segments.recovery import RecoveryReport

_COLUMNS_BLOCK_BYTES = 512 * 1024  # setting up each block costs more than the cache misses of a large one
_CHUNK_RECORDS = 500  # below the threshold at which the garbage collector examines new tuples


@translates_os_errors()
class Partition(BasePartition):
    """An append-only sequence of records with offsets from `start_offset` up to, not including, `end_offset`.

    Safe for several threads. Created by `EventLog.partition`."""

    def __init__(self, log: PartitionLog) -> None:
        self.topic = log.topic
        self.partition = log.partition
        self.directory = plain(log.directory)
        self.recovery = log.recovery
        self.log = log
        self.writer = RecordWriter(log)
        super().__init__(self.writer, log.readers.idle, log.recovery.damage is None)

    recovery: RecoveryReport
    """What recovery found and did when this process opened the partition."""

    log: PartitionLog
    """The same partition as bytes, for callers that do not need records."""

    writer: RecordWriter
    """Encodes the records that producers append."""

    def __repr__(self) -> str:
        return repr(self.log)

    @property
    def start_offset(self) -> int:
        """The offset of the first record that has not been deleted."""
        return int(lib.el_head_start_offset(self.log.head))

    @property
    def end_offset(self) -> int:
        """The offset that the next record will get."""
        return int(lib.el_head_end_offset(self.log.head))

    @property
    def stable_offset(self) -> int:
        """Every transaction that has records before this offset has been committed or aborted. Without transactions it is the
        end offset."""
        return int(lib.el_head_stable_offset(self.log.head))

    @property
    def durable_offset(self) -> int:
        """Every record before this offset is on disk and survives a power cut."""
        return int(lib.el_head_durable_offset(self.log.head))

    @property
    def is_deleted(self) -> bool:
        """Was the topic deleted? Appends then fail, and some records can no longer be read."""
        return self.log.is_deleted

    # --- writing -----------------------------------------------------------------------------------------

    # The native append, append_many, read and wait handle the common cases and leave all others to these methods.

    @stands_in_for(BasePartition.append)
    def _append(
        self,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers | None = None,
        timestamp: Time | None = None,
        *,
        expected_end_offset: int | None = None,
    ) -> int:
        return self.writer.append_many([value], [key], [headers], [timestamp], expected_end_offset=expected_end_offset)[0]

    @stands_in_for(BasePartition.append_many)
    def _append_many(
        self,
        values: Sequence[bytes | None],
        *,
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
        timestamps: Sequence[Time | None] | None = None,
        compression: str | None = None,
        expected_end_offset: int | None = None,
    ) -> range:
        return self.writer.append_many(
            values, keys, headers, timestamps, compression=compression, expected_end_offset=expected_end_offset
        )

    def delete_records(self, before: int) -> int:
        """Delete all records before this offset, for every reader; returns the new start offset.

        Segments that contain no other records are deleted from disk. Raises `OffsetOutOfRangeError`, `LockTimeoutError`,
        `DiskFullError`, `CorruptLogError` (a damaged partition is not changed)."""
        self.log.check_offset(before)
        return delete_before(self.log, before).start_offset

    def flush(self) -> None:
        """Return once everything appended so far, by any process, is on disk."""
        self.log.flush()

    # --- reading -----------------------------------------------------------------------------------------

    @stands_in_for(BasePartition.read)
    def _read(self, offset: int, max_records: int = 500, *, durable: bool = False) -> list[Record]:
        check_int("max_records", max_records, 1)
        stop = self.durable_offset if check_bool("durable", durable) else self.end_offset
        self.log.check_offset(offset)
        if offset >= stop:
            return []
        reader = self.log.readers.take(offset)
        reader.seek(offset)
        records = reader.records(max_records, stop)
        if self.log.is_open:
            self.log.readers.put_back(reader)
        return records

    def values(self, start: int | None = None, stop: int | None = None) -> Iterator[bytes | None]:
        """The values of the records from `start` (None: the first) up to `stop` (None: the current end).

        The fastest way to read a partition. Raises what `read` raises."""
        start, end = self._range(start, stop)
        reader = self.log.readers.new(LARGE_BLOCK_BYTES)
        return reader.value_iterator(start, end, lambda: self.log.check_still_there(reader.next_offset))

    def records(self, start: int | None = None, stop: int | None = None) -> Iterator[Record]:
        """The records from `start` (None: the first) up to `stop` (None: the current end)."""
        start, end = self._range(start, stop)
        reader = self.log.readers.new(LARGE_BLOCK_BYTES)
        return reader.record_iterator(start, end, lambda: self.log.check_still_there(reader.next_offset))

    def columns(
        self,
        start: int | None = None,
        stop: int | None = None,
        *,
        count_max: int = 65_536,
        durable: bool = False,
        headers: bool = False,
        since: Time | None = None,
        until: Time | None = None,
    ) -> Iterator[Columns]:
        """The same records as buffers, for numeric programs: their offsets, timestamps, keys and values.

        Each item has 1 to `count_max` records, fewer at the end of a block of the log (512 KiB, or one batch that is
        compressed or larger). The buffers are copies: they stay valid when the next item is created and when the
        partition is closed. Headers are included with `headers`. With `durable`, only records that are on disk are included,
        and with `since` and `until` only those with a timestamp from the one up to, not including, the other. Raises what
        `values` raises, `InvalidTypeError` and `InvalidArgumentError`."""
        check_int("count_max", count_max, 1)
        start, end = self._range(start, stop)
        if check_bool("durable", durable):
            end = min(end, self.durable_offset)
        selection = ColumnSelection.of(since, until, has_headers=check_bool("headers", headers))
        reader = self.log.readers.new(_COLUMNS_BLOCK_BYTES)
        return reader.columns(start, end, count_max, selection, lambda: self.log.check_still_there(reader.next_offset))

    def search(
        self,
        pattern: bytes | re.Pattern[bytes],
        start: int | None = None,
        stop: int | None = None,
        *,
        fields: Collection[str] = ("value",),
        ignore_case: bool = False,
        invert: bool = False,
    ) -> Iterator[Record]:
        """The records from `start` up to `stop`, as in `records`, that contain `pattern` in one of the `fields`.

        `pattern` is bytes, or a compiled regular expression of bytes. `fields` are one or more of "key", "value" and "headers"
        (their names and their values); a field that is None never matches. `ignore_case` ignores the case of ASCII letters in
        a pattern of bytes. `invert` returns all other records. A record that cannot contain the pattern is not decoded. Raises
        what `records` raises, `InvalidTypeError` and `InvalidArgumentError`."""
        query = Query(pattern, fields, ignore_case=ignore_case, invert=invert)

        return chain.from_iterable(self._found(query, *self._range(start, stop)))

    def _range(self, start: int | None, stop: int | None) -> tuple[int, int]:
        end = self.end_offset
        start = self.start_offset if start is None else start
        self.log.check_offset(start)
        if stop is not None:
            check_int("stop", stop, 0)
            end = min(stop, end)
        return start, end

    def _found(self, query: Query, start: int, end: int) -> Iterator[list[Record]]:
        if start >= end:
            return
        reader = self.log.readers.new(LARGE_BLOCK_BYTES)
        reader.seek(start)
        while reader.next_offset < end:
            self.log.check_still_there(reader.next_offset)
            yield reader.found(query, _CHUNK_RECORDS, end)
        reader.close()

    def offset_for_time(self, timestamp: Time) -> int | None:
        """The offset of the first record with this timestamp (milliseconds since the epoch, or an aware datetime) or a later
        one, or None."""
        return self.log.offset_for_time(as_timestamp(timestamp))

    def bytes_from(self, offset: int) -> int:
        """The number of bytes of batches from the batch with this offset to the end. Raises `OffsetOutOfRangeError`."""
        return self.log.bytes_from(offset)

    @stands_in_for(BasePartition.wait)
    def _wait(self, offset: int, timeout: float | None = None, *, durable: bool = False) -> bool:
        return self.log.wait(offset, timeout, durable=durable)

    def close(self) -> None:
        """Close the files. The last process to do so flushes the partition and trims its segment.

        After an interrupted call, call it again: it does the rest."""
        self.log.close()
