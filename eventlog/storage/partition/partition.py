"""One partition: the names users rely on, over the shared head, the appender and the readers."""

from __future__ import annotations

import os
import re
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from eventlog._native import ffi, lib
from eventlog.anchored import plain
from eventlog.errors import (
    CorruptLogError,
    EventLogError,
    ForkedProcessError,
    InvalidArgumentError,
    InvalidTypeError,
    LockTimeoutError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
    StoreClosedError,
    StoreReplacedError,
    TopicNotFoundError,
    UnsupportedCodecError,
    tells_failures,
)
from eventlog.options import TopicConfig, check_bool, check_timeout
from eventlog.records.batch import Headers, encoded
from eventlog.records.columns import Columns
from eventlog.records.compression import CODEC_NUMBERS, NO_CODEC, codec_number
from eventlog.records.record import Record
from eventlog.storage.mapped.head import SharedHead
from eventlog.storage.mapped.limits import change_settings, is_behind, native_limits
from eventlog.storage.mapped.poison import DAMAGED, DELETED
from eventlog.storage.partition.appender import Appender
from eventlog.storage.partition.deletion import delete_before
from eventlog.storage.partition.last_record import last_record_end
from eventlog.storage.partition.parts import MappedHead, Parts
from eventlog.storage.partition.reader import MAKE, LogReader
from eventlog.storage.partition.rebuilding import rebuild_lying_indexes
from eventlog.storage.partition.search import Query
from eventlog.storage.partition.segment_list import SegmentList
from eventlog.storage.partition.timestamps import offset_for_time
from eventlog.storage.segments import files, names
from eventlog.storage.segments.recovery import Checkpoint, RecoveryReport, recover
from eventlog.waiting import Signals, WaitSet, wait_for_any

_SMALL_BLOCK_BYTES = 64 * 1024  # a read at some offset
_LARGE_BLOCK_BYTES = 256 * 1024  # going through a partition; it and its objects fit the second-level cache
_COLUMNS_BLOCK_BYTES = 512 * 1024  # what is made anew for each block is dearer than what is lost of the cache
_CHUNK_RECORDS = 500  # below the threshold at which the garbage collector looks at new tuples
_IDLE_READERS_MAX = 16
_SPARE_READERS_MAX = 64  # in all partitions together: those that a partition has besides its first one; each has two files open
_BATCH_OVERHEAD_BYTES = 128  # more than a batch's header and the other fields of one record without headers

_open_partitions: weakref.WeakSet[Partition] = weakref.WeakSet()
_spares = [None] * _SPARE_READERS_MAX  # one for each that may be made still; no lock, which a fork could find taken


class _Settings(NamedTuple):
    """A topic's settings as appends go by them, as of one version. Nothing of it is changed."""

    config: TopicConfig
    version: int  # of the head, when they were loaded
    encoding: Any  # the native `el_encoding *`
    codec: int
    producer_may_compress: bool

    @classmethod
    def of(cls, config: TopicConfig, version: int) -> _Settings:
        compression = config.text("compression.type")
        codec = CODEC_NUMBERS.get(compression, NO_CODEC)  # "producer" and "uncompressed" name none
        encoding = ffi.new("el_encoding *")
        encoding.settings_version = version
        encoding.batch_bytes_max = config.number("max.message.bytes")
        is_stamped = config.text("message.timestamp.type") == "LogAppendTime"
        encoding.attributes = lib.EL_ATTRIBUTE_LOG_APPEND_TIME if is_stamped else 0
        encoding.compresses = codec != NO_CODEC
        encoding.needs_keys = config.is_compacted
        return cls(config, version, encoding, codec, compression == "producer")

    def codec_for(self, compression: str | None) -> int:
        """The codec of what a producer wants to compress so."""
        if compression is None:
            return self.codec
        number = codec_number(compression)
        return number if self.producer_may_compress else self.codec


@tells_failures()
class Partition:
    """An append-only sequence of records with offsets from `start_offset` up to, not including, `end_offset`.

    Safe for use by several threads. Made by `EventLog.partition`."""

    def __init__(
        self,
        store: Path,
        topic: str,
        partition: int,
        load_settings: Callable[[], TopicConfig],
        signals: Signals,
        *,
        fsync: str,
        lock_timeout_ms: int,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self._signals = signals
        self._directory = names.partition_directory(store, topic, partition)
        self.directory = plain(self._directory)
        self._native: Any = None  # the native appender: None makes a native call fail, at no cost to those that succeed
        self._why_closed: EventLogError | None = None  # None: it was closed by whoever has opened it
        self._is_released = False
        self._flush_always = fsync == "always"
        self._flush_at_close = fsync != "never"
        self._lock_timeout_ms = lock_timeout_ms
        self._load_settings = load_settings
        settings = load_settings()
        self._settings: _Settings
        self._idle_readers: list[LogReader] = []
        with files.failures_told(f"{self!r} cannot be opened"):
            self._open(store, settings)
        _open_partitions.add(self)

    def _open(self, store: Path, settings: TopicConfig) -> None:
        limits = native_limits(settings)
        removed = names.removed_directory(store, self.topic, self.partition)

        def first(checkpoint: Checkpoint | None) -> Any:
            return recover(self._directory, removed, checkpoint, limits.index_interval_bytes)

        self._head, recovery = SharedHead.open(
            names.head_file(store, self.topic, self.partition), self._directory, limits, first,
            may_have_gaps=settings.may_have_gaps, lock_timeout_ms=self._lock_timeout_ms,
        )  # fmt: skip
        self.recovery = recovery._replace(segment=plain(recovery.segment), kept_at=plain(recovery.kept_at))
        try:
            self._use_head(removed, limits)
        except BaseException:
            self._native = None
            self._head.close()
            raise

    def _use_head(self, removed: Path, limits: Any) -> None:
        if self._head.poison == DELETED:
            raise TopicNotFoundError(f"topic {self.topic!r} was deleted just now")
        if self._head.poison == DAMAGED and self.recovery.damage is None:
            checkpoint = self._head.checkpoint()
            self.recovery = recover(self._directory, removed, checkpoint, limits.index_interval_bytes, change=False).report
        self._segments = SegmentList(self._directory, self._head, self._rebuild_indexes)
        self._appender = Appender(
            self._directory,
            self._head,
            self._signals,
            lock_timeout_ms=self._lock_timeout_ms,
            flush_always=self._flush_always,
            damage=self.recovery.damage,
        )
        self._native = self._appender.pointer
        self._reload_settings()
        if is_behind(self._head.pointer, self._settings.config):
            with suppress(LockTimeoutError):  # it can be read nevertheless, and that there may be gaps is known
                change_settings(self._head.pointer, self._signals, self._settings.config, self._lock_timeout_ms)
            self._reload_settings()
        self._shorten_calls()

    def _reload_settings(self) -> None:
        """Go by the topic's settings as they are now."""
        version = lib.el_head_settings_version(self._mapped())  # before the look: a later change asks for another one
        self._take_settings(_Settings.of(self._load_settings(), version))

    def _take_settings(self, settings: _Settings) -> None:
        """Each of the two as a whole, with their version: a thread that is late with former ones has them loaded once more."""
        native = self._native
        if native is None:
            self._refuse()
        self._settings = settings
        native.encoding = settings.encoding[0]

    recovery: RecoveryReport
    """What was found and done when this process opened the partition."""

    def __repr__(self) -> str:
        return f"<Partition {self.topic}-{self.partition} in {self.directory.parent}>"

    # --- state -------------------------------------------------------------------------------------------

    def _mapped(self) -> Any:
        head = self._head.pointer
        if self._native is None or head is None:
            self._refuse()
        return head

    def _refuse(self) -> NoReturn:
        if self._why_closed is not None:
            raise type(self._why_closed)(*self._why_closed.args)
        raise StoreClosedError(f"{self!r} is closed")

    @property
    def start_offset(self) -> int:
        """The offset of the first record that is still there."""
        return int(lib.el_head_start_offset(self._mapped()))

    @property
    def end_offset(self) -> int:
        """The offset that the next record will get."""
        return int(lib.el_head_end_offset(self._mapped()))

    @property
    def durable_offset(self) -> int:
        """Every record before this offset is on disk and survives a power cut."""
        return int(lib.el_head_durable_offset(self._mapped()))

    @property
    def is_deleted(self) -> bool:
        """Was the topic deleted? Then nothing can be appended, and not everything can still be read."""
        return bool(lib.el_head_poison(self._mapped()) == DELETED)

    # --- writing -----------------------------------------------------------------------------------------

    def append(
        self,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers | None = None,
        timestamp: int | None = None,
    ) -> int:
        """Append one record and return its offset. `timestamp` is in milliseconds since the epoch, None means now.

        On return every process sees it; with fsync="always" it is on disk. Raises `RecordTooLargeError`,
        `DiskFullError`, `PoisonedError`, `CorruptLogError` (the partition is read-only), `InvalidTypeError`,
        `UnsupportedCodecError` (the topic's compression.type needs a library)."""
        return self.append_many([value], keys=[key], headers=[headers], timestamps=[timestamp])[0]

    def _append_at_once(
        self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None, /
    ) -> int | None:
        return None

    def _shorten_calls(self) -> None:
        """Put built-in functions in front of methods: they call these for all that is not plain."""
        address = int(ffi.cast("uintptr_t", self._native))
        reading = (self._idle_readers, "address", Record, MAKE, self.topic, self.partition)
        for new_function, method, what_it_needs in (
            (lib.el_new_append_function, self.append, (self._resolve,)),
            (lib.el_new_append_many_function, self.append_many, (self._resolve,)),
            (lib.el_new_append_at_once_function, self._append_at_once, ()),
            *([(lib.el_new_wait_function, self.wait, ())] if self.recovery.damage is None else []),
            (lib.el_new_read_function, self.read, reading),
        ):
            made: list[Any] = []
            state = (address, method, *what_it_needs, self._native)
            if not new_function(id(made), id(state)):
                raise MemoryError("memory ran out while a partition was opened")
            self.__dict__[method.__name__] = made[0]

    def _resolve(self, status: int) -> None:
        self._mapped()  # another thread may have closed the partition meanwhile
        self._appender.resolve(status)

    def _lengthen_calls(self) -> None:
        """Take the built-in functions away again."""
        for name in ("append", "append_many", "_append_at_once", "wait", "read"):
            self.__dict__.pop(name, None)

    def append_many(
        self,
        values: Sequence[bytes | None],
        *,
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
        timestamps: Sequence[int | None] | None = None,
        compression: str | None = None,
    ) -> range:
        """Append records as one unit and return their offsets. Lists have one item per value.

        The unit becomes visible all at once, and survives the death of the process whole or not at all; it has to fit
        into one segment. `compression` is a producer's codec, none, gzip, snappy, lz4 or zstd: it counts where the topic's
        compression.type leaves the choice to the producer. Raises what `append` raises, and then nothing was appended, unless
        with fsync="always" it is the flush that fails."""
        self._mapped()
        while (offsets := self._append_unit(values, keys, headers, timestamps, compression)) is None:
            pass
        if self._flush_always and offsets:
            self._appender.flush(offsets.stop)
        return offsets

    def _append_unit(
        self,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None] | None,
        headers: Sequence[Headers | None] | None,
        timestamps: Sequence[int | None] | None,
        compression: str | None,
        placed: Any = ffi.NULL,
    ) -> range | None:
        """Append a unit; None if the topic was altered meanwhile, so that its settings were loaded and are to be tried.

        `placed` is a native `el_placed *`, which is filled in before an interrupt can come in between."""
        native = self._native
        if native is None:
            self._refuse()
        settings = self._settings  # the same ones to the end: another thread may load others meanwhile
        codec = settings.codec_for(compression)
        position = lib.el_appender_position(native)
        try:
            with encoded(values, keys, headers, timestamps, settings.encoding, codec=codec, position=position) as pack:
                if pack.count == 0:
                    return range(0)
                while (offset := lib.el_append_pack(native, pack, settings.version, placed)) < 0:
                    if offset == lib.EL_SETTINGS_CHANGED:
                        self._mapped()
                        self._reload_settings()
                        return None
                    self._resolve(offset)
                return range(offset, offset + pack.count)
        except (InvalidArgumentError, RecordTooLargeError, UnsupportedCodecError):
            if self._native is None or lib.el_head_settings_version(self._mapped()) == settings.version:
                raise
            self._reload_settings()  # refused by settings that hold no longer
            return None

    def delete_records(self, before: int) -> int:
        """Delete all records before this offset, for every reader; returns the new start offset.

        Segments that hold nothing else are deleted from the disk. Raises `OffsetOutOfRangeError`, `LockTimeoutError`,
        `DiskFullError`, `CorruptLogError` (a damaged partition is not touched)."""
        self._mapped()
        self._check_offset(before)
        self._appender.flush(before)  # no power cut may leave the log shorter than its start
        own_parts = parts(self)
        with own_parts.locked():
            return delete_before(own_parts, before).start_offset

    def flush(self) -> None:
        """Return once everything appended so far, by any process, is on disk."""
        self._appender.flush(int(lib.el_head_end_offset(self._mapped())))

    # --- reading -----------------------------------------------------------------------------------------

    def read(self, offset: int, max_records: int = 500, *, durable: bool = False) -> list[Record]:
        """Up to `max_records` records from `offset` on; [] at the end. With `durable` only what is on disk.

        Raises `OffsetOutOfRangeError` and `CorruptLogError`."""
        _check_int("max_records", max_records, 1)
        stop = self.durable_offset if check_bool("durable", durable) else self.end_offset
        self._check_offset(offset)
        if offset >= stop:
            return []
        reader = self._reader(offset)
        reader.seek(offset)
        records = reader.records(max_records, stop)
        if len(self._idle_readers) < _IDLE_READERS_MAX and self._native is not None:
            self._idle_readers.append(reader)
        return records

    def values(self, start: int | None = None, stop: int | None = None) -> Iterator[bytes | None]:
        """The values of the records from `start` (None: the first) up to `stop` (None: the end as it is now).

        The fastest way through a partition. Raises what `read` raises."""
        start, end = self._range(start, stop)
        reader = self._reader_of_its_own(_LARGE_BLOCK_BYTES)
        return reader.value_iterator(start, end, lambda: self._check_still_there(reader.next_offset))

    def records(self, start: int | None = None, stop: int | None = None) -> Iterator[Record]:
        """The records from `start` (None: the first) up to `stop` (None: the end as it is now)."""
        start, end = self._range(start, stop)
        reader = self._reader_of_its_own(_LARGE_BLOCK_BYTES)
        return reader.record_iterator(start, end, lambda: self._check_still_there(reader.next_offset))

    def columns(
        self, start: int | None = None, stop: int | None = None, *, count_max: int = 65_536, durable: bool = False
    ) -> Iterator[Columns]:
        """The same records as buffers, for programs that compute: their offsets, timestamps, keys and values.

        Each item has up to `count_max` records; fewer where a block of the log ends (512 KiB, or one batch that is compressed
        or larger), and never none. The buffers are copies, which stay valid after the next ones were made and after the
        partition was closed. Headers are left out. With `durable` only what is on disk. Raises what `values` raises,
        `InvalidTypeError` and `InvalidArgumentError`."""
        _check_int("count_max", count_max, 1)
        start, end = self._range(start, stop)
        if check_bool("durable", durable):
            end = min(end, self.durable_offset)
        reader = self._reader_of_its_own(_COLUMNS_BLOCK_BYTES)
        return reader.columns(start, end, count_max, lambda: self._check_still_there(reader.next_offset))

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
        """The records from `start` up to `stop`, as in `records`, that hold `pattern` in one of the `fields`.

        `pattern` is a string of bytes, or a compiled regular expression of bytes that is searched for. `fields` are some of
        "key", "value" and "headers" (their names and their values); in one that is None nothing is found. `ignore_case` is for
        the ASCII letters of a string of bytes. With `invert` it is all other records. A record that cannot hold the pattern is
        not decoded. Raises what `records` raises, `InvalidTypeError` and `InvalidArgumentError`."""
        query = Query(pattern, fields, ignore_case=ignore_case, invert=invert)

        return chain.from_iterable(self._found(query, *self._range(start, stop)))

    def _range(self, start: int | None, stop: int | None) -> tuple[int, int]:
        end = self.end_offset
        start = self.start_offset if start is None else start
        self._check_offset(start)
        if stop is not None:
            _check_int("stop", stop, 0)
            end = min(stop, end)
        return start, end

    def _found(self, query: Query, start: int, end: int) -> Iterator[list[Record]]:
        if start >= end:
            return
        reader = self._reader_of_its_own(_LARGE_BLOCK_BYTES)
        reader.seek(start)
        while reader.next_offset < end:
            self._check_still_there(reader.next_offset)
            yield reader.found(query, _CHUNK_RECORDS, end)
        reader.close()

    def _check_still_there(self, offset: int) -> None:
        if offset < self.start_offset:
            self._check_offset(offset)  # raises that it was deleted meanwhile

    def _rebuild_indexes(self, base_offset: int) -> None:
        rebuild_lying_indexes(self._directory, base_offset, self._settings.config.number("index.interval.bytes"))

    def _reader_of_its_own(self, block_bytes: int) -> LogReader:
        return LogReader(self._directory, self._segments, self.topic, self.partition, block_bytes)

    def _reader(self, offset: int) -> LogReader:
        """An idle reader that has the segment of the offset open, or another one. Those whose segment was opened before the
        last roll or deletion go: their files take room."""
        idle = self._idle_readers
        for reader in idle[::-1]:
            is_wanted = reader.has_open(offset)
            if is_wanted or not reader.is_current:
                with suppress(ValueError):  # another thread has taken it
                    idle.remove(reader)
                    if is_wanted:
                        return reader
        return self._another_reader()

    def _another_reader(self) -> LogReader:
        """A new reader while there are few, or the idle one that was used longest ago."""
        idle = self._idle_readers
        with suppress(IndexError):  # none is left, or other threads have taken them
            if len(idle) >= _IDLE_READERS_MAX:
                return idle.pop(0)
            if idle:
                spare = _spares.pop()
                reader = self._reader_of_its_own(_SMALL_BLOCK_BYTES)
                weakref.finalize(reader, _spares.append, spare).atexit = False
                return reader
        with suppress(IndexError):
            return idle.pop(0)
        return self._reader_of_its_own(_SMALL_BLOCK_BYTES)

    def _check_offset(self, offset: int) -> None:
        if not isinstance(offset, int) or isinstance(offset, bool):
            raise InvalidTypeError(f"an offset must be an int, not {type(offset).__name__}")
        head = self._mapped()  # asked itself, for the properties would take as long as a short read
        start_offset, end_offset = int(lib.el_head_start_offset(head)), int(lib.el_head_end_offset(head))
        if lib.el_head_poison(head) == DELETED:
            self._segments.check_topic()
        if not start_offset <= offset <= end_offset:
            raise OffsetOutOfRangeError(f"{self.topic}-{self.partition}", offset, start_offset, end_offset)

    def offset_for_time(self, timestamp: int) -> int | None:
        """The offset of the first record with this timestamp (milliseconds since the epoch) or a later one, or None."""
        _check_int("timestamp", timestamp, 0)
        end_offset = self.end_offset
        reader = self._reader_of_its_own(_SMALL_BLOCK_BYTES)
        return offset_for_time(self._directory, self._segments, reader, timestamp, self.start_offset, end_offset)

    def bytes_from(self, offset: int) -> int:
        """How many bytes of batches stand from the batch with this offset on to the end. Raises `OffsetOutOfRangeError`."""
        end_offset = self.end_offset
        self._check_offset(offset)
        if offset == end_offset:
            return 0
        with closing(self._reader_of_its_own(_SMALL_BLOCK_BYTES)) as reader:
            reader.seek(offset)
            base, position = reader.place(end_offset)
        return self._segments.bytes_from(base) - position

    def wait(self, offset: int, timeout: float | None = None, *, durable: bool = False) -> bool:
        """Block until a record stands at `offset` or behind it (with `durable`: on disk); False after `timeout` seconds.

        What compaction has taken away, and the marker that ends a transaction, is no record: `read` gives none there either.
        Raises `CorruptLogError` where none can come any more, because the partition is damaged."""
        _check_int("offset", offset, 0)
        check_timeout(timeout)
        check_bool("durable", durable)

        def look() -> bool:
            self._mapped()
            self._segments.check_topic()
            return False

        look()  # what happened just before would wake nobody any more
        deadline = None if timeout is None else time.monotonic() + timeout
        wait_set, wanted = WaitSet(), offset
        while True:
            if self.recovery.damage is not None and wanted >= self.end_offset:
                raise self.recovery.damage.anew()
            wait_set.clear()
            await_record(self, wait_set, wanted, durable=durable)
            remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not wait_for_any(self._signals, wait_set, remaining, look):
                return False
            if (end := nothing_up_to(self, offset, durable=durable)) is None:
                return True
            wanted = max(offset, end)

    # --- life --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the files. The last process to do so flushes the partition and trims its segment.

        A call that was interrupted may be repeated, and does what is left."""
        if self._is_released:
            return
        try:
            if self._native is not None and self._flush_at_close and not self.is_deleted:
                self.flush()
        except (EventLogError, OSError):
            self._release()
            raise
        self._release()

    def _release(self) -> None:
        pointer = self._appender.pointer
        self._native = None
        self._lengthen_calls()
        try:
            if pointer is not None:
                self._retire(pointer)
        except (EventLogError, OSError):
            self._head.close()
            raise
        self._head.close()
        self._is_released = True  # last: until then a close that was interrupted is done again

    def _retire(self, native: Any) -> None:
        lib.el_appender_retire(native)  # whoever still has the built-in function appends nothing any more
        # Threads of this process that wait find out that it is closed.
        if self._head.pointer is not None:
            lib.el_head_wake(self._head.pointer, self._signals.pointer)
        try:
            if self._head.try_exclusive():
                self._appender.trim()
        except (EventLogError, OSError):
            self._appender.close()
            raise
        finally:
            self._idle_readers.clear()
        self._appender.close()

    def _leave_to_parent(self) -> None:
        """In a forked child: nothing here may be used, unlocked or trimmed."""
        self._lengthen_calls()
        if self._native is not None:
            self._native.is_retired = 1
        self._native = None
        self._why_closed = ForkedProcessError(f"{self!r} was opened before fork(): open the store again in the child")
        self._is_released = True


def let_go_of_old_files(partition: Partition) -> None:
    """Close files that are of no use any more: of segments that were rolled, deleted or replaced; all, where the topic was."""
    idle = partition._idle_readers
    for reader in idle[:]:
        if partition.is_deleted or not reader.is_current:
            with suppress(ValueError):  # another thread has taken it
                idle.remove(reader)
    partition._appender.let_go()
    if partition.is_deleted:
        partition._head.let_go()


def parts(partition: Partition) -> Parts:
    """What the partition is made of, for those who look after its segments."""
    head = MappedHead(partition._mapped())
    return Parts(
        partition.topic,
        partition.partition,
        partition._directory,
        head,
        partition._appender,
        partition._signals,
        partition._lock_timeout_ms,
    )


def is_open(partition: Partition) -> bool:
    """Was the partition neither closed nor given up?"""
    return partition._native is not None


def check_in_place(partition: Partition) -> None:
    """Raise `StoreReplacedError` if somebody deleted the partition's head, or the segment that takes its appends."""
    if partition.is_deleted:
        return
    try:
        partition._head.check_in_place()
        base = _active_base(partition)
        segment = names.segment_file(partition._directory, base)
        if not files.is_there(segment) and base == _active_base(partition):
            raise StoreReplacedError.of_part(segment)
    except StoreReplacedError:
        if not partition.is_deleted:
            raise


def _active_base(partition: Partition) -> int:
    base, position = ffi.new("int64_t *"), ffi.new("int64_t *")
    lib.el_head_active_segment(partition._mapped(), base, position)
    return int(base[0])


def give_up(partition: Partition, why: EventLogError) -> None:
    """Close the partition, and let whoever goes on with it hear why."""
    partition._why_closed = why
    with suppress(EventLogError):  # it may be that nothing is left to be flushed or trimmed
        partition.close()


class ActiveSegment(NamedTuple):
    """The segment that takes appends: its base offset, the partition's end offset, and how many bytes of its files belong to
    records before that."""

    base_offset: int
    end_offset: int
    log_bytes: int
    index_bytes: int
    time_index_bytes: int


def active_segment(partition: Partition) -> ActiveSegment:
    """How far the partition has come at this moment. Raises `LockTimeoutError`."""
    partition._mapped()
    tail = partition._appender.tail()
    return ActiveSegment(tail.segment_base, tail.end_offset, tail.position, tail.index_bytes, tail.time_index_bytes)


def await_record(partition: Partition, wait_set: WaitSet, offset: int, *, durable: bool) -> None:
    """Have the set wait for a record at `offset`; with `durable` for one that is on disk."""
    wait_set.add_record(partition._mapped(), offset, durable=durable)


def records_end(partition: Partition, start: int, end: int) -> int:
    """The offset behind the last record between these two offsets; `start` if there is none.

    Raises `CorruptLogError`, `OffsetOutOfRangeError`."""
    partition._mapped()
    return last_record_end(lambda: partition._reader_of_its_own(_SMALL_BLOCK_BYTES), start, end)


def nothing_up_to(partition: Partition, offset: int, *, durable: bool) -> int | None:
    """The end of the log if no record stands from `offset` on; None if one does, or `read` is to tell what is wrong."""
    head, native = partition._mapped(), partition._native
    end = int(lib.el_head_durable_offset(head) if durable else lib.el_head_end_offset(head))
    if offset >= end:
        return end
    may_have_gaps = lib.el_head_may_have_gaps(head)
    if end > native.unsure_end and not may_have_gaps:
        return None
    try:
        behind_last = records_end(partition, offset, end)
    except (OffsetOutOfRangeError, CorruptLogError):
        return None
    if behind_last == end and not may_have_gaps:
        native.unsure_end = -1
    return end if behind_last <= offset else None


def open_reader(partition: Partition, offset: int) -> LogReader:
    """A reader of its own for somebody who goes through the partition from `offset` on, where a record stands."""
    partition._mapped()
    reader = partition._reader_of_its_own(_LARGE_BLOCK_BYTES)
    reader.seek(offset)
    return reader


def record_bytes_max(settings: TopicConfig) -> int:
    """A record whose key and value together are no longer than this always fits into a batch of its own."""
    return settings.number("max.message.bytes") - _BATCH_OVERHEAD_BYTES


def append_at_once(
    partition: Partition, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None
) -> int | None:
    """As `append`, where nobody has to be waited for and nothing of the disk; else None, and nothing was appended."""
    return partition._append_at_once(value, key, headers, timestamp)


def check_record(
    partition: Partition, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp: int | None
) -> int:
    """Raise what `append` would raise about the record itself, and append nothing; returns the bytes of its batch."""
    if lib.el_head_settings_version(partition._mapped()) != partition._settings.version:
        partition._reload_settings()
    with encoded([value], [key], [headers], [timestamp], partition._settings.encoding) as pack:
        return int(pack.length)


def append_placed(
    partition: Partition,
    values: list[bytes | None],
    keys: list[bytes | None] | None,
    headers: list[Headers | None] | None,
    timestamps: list[int | None] | None,
    *,
    compression: str | None,
    address: int,
) -> None:
    """As `append_many`, but without waiting for the disk. A native `el_placed` at this address is told where the records are,
    before an interrupt can come in between."""
    placed = ffi.cast("el_placed *", address)
    while partition._append_unit(values, keys, headers, timestamps, compression, placed) is None:
        pass


def flush_if_always(partition: Partition, offset: int) -> None:
    """With fsync="always", return once all records before `offset` are on disk."""
    if partition._flush_always:
        partition._appender.flush(offset)


def check_offset_within(partition: Partition, offset: int) -> None:
    """Raise `OffsetOutOfRangeError` unless the offset lies between the partition's start and its end, or at one of them."""
    partition._check_offset(offset)


def _check_int(name: str, value: object, minimum: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidTypeError(f"{name} must be an int, not {type(value).__name__}")
    if not minimum <= value < 2**63:
        raise InvalidArgumentError(f"{name} is {value}, but must be at least {minimum} and below 2**63")


def _after_fork_in_child() -> None:
    for partition in list(_open_partitions):
        partition._leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)
