"""The write path of a partition in this process: attaching to the active segment, rolling, flushing, trimming.

The native appender does the work and returns a status; this module handles the rare ones.
"""

from __future__ import annotations

import functools
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from eventlog._native import ffi, lib
from eventlog.access import new_file, open_existing_into, open_file_into
from eventlog.counters import FLUSH_SECONDS, FLUSHES, count
from eventlog.errors import (
    CorruptLogError,
    DiskFullError,
    EventLogError,
    LockTimeoutError,
    PoisonedError,
    ReadOnlyStoreError,
    RecordTooLargeError,
    StoreClosedError,
    TopicNotFoundError,
    os_errors_as,
)
from eventlog.holding import Holding
from eventlog.storage.mapped.head import Head
from eventlog.storage.mapped.mutexes import held
from eventlog.storage.mapped.poison import DELETED, READ_ONLY
from eventlog.storage.mapped.producer_page import EXPIRY_MS, ProducerPage
from eventlog.storage.segments import files, names
from eventlog.storage.segments.producer_table import ProducerState
from eventlog.waiting import Signals

_CLOSE_MS = 1000
_SUFFIXES = (names.LOG_SUFFIX, names.INDEX_SUFFIX, names.TIME_INDEX_SUFFIX)
_FILES = len(_SUFFIXES) + 1  # and the index of aborted transactions, which is created once there is one


def _opened_segment(directory: Path, base_offset: int) -> Holding[Any]:
    """The files of a segment, as cells for `el_appender_take`. Missing ones are created, except for the .txnindex.

    The end of the block closes them, unless the native appender has taken them by then."""
    opened = ffi.new("int[]", [-1] * _FILES)

    def open_all() -> Any:
        for number, suffix in enumerate(_SUFFIXES):
            open_file_into(opened + number, names.segment_file(directory, base_offset, suffix))
        with suppress(FileNotFoundError):
            aborted_index = names.segment_file(directory, base_offset, names.ABORTED_INDEX_SUFFIX)
            open_existing_into(opened + len(_SUFFIXES), aborted_index, os.O_RDWR)
        return opened

    return Holding(open_all, functools.partial(lib.el_files_close, opened, _FILES))


class Appender:
    """`pointer` is the native `el_appender`. `damage` is what recovery found; it makes every append fail."""

    def __init__(
        self,
        directory: Path,
        head: Head,
        signals: Signals,
        producers: ProducerPage,
        *,
        lock_timeout_ms: int,
        flush_always: bool,
        damage: CorruptLogError | None,
    ) -> None:
        self._directory = directory
        # A reference of its own: the head drops its map when it is closed, and a thread may still have to release a mutex.
        self._mapped = head.pointer
        self._signals = signals.pointer
        self._producers = producers
        self._damage = damage
        self._lock_timeout_ms = lock_timeout_ms
        pointer = lib.el_appender_new(self._mapped, signals.pointer, lock_timeout_ms, flush_always)
        if pointer == ffi.NULL:
            raise EventLogError("memory ran out while a partition was opened")
        pointer.producer_expiry_ms = EXPIRY_MS

        def free(pointer: Any, _keeps_alive: Any = (self._mapped, signals)) -> None:
            lib.el_appender_free(pointer)

        self.pointer: Any = ffi.gc(pointer, free)

    @property
    def _poison(self) -> int:
        return int(lib.el_head_poison(self._mapped))

    def _open_pointer(self) -> Any:
        pointer = self.pointer
        if pointer is None:
            raise StoreClosedError(f"the partition in {self._directory} is closed")
        return pointer

    def resolve(self, status: int) -> None:
        """Handle a status of the native appender, so that the call can be repeated, or raise the error that it means."""
        if status == lib.EL_SEGMENT_CHANGED:
            self._attach()
        elif status == lib.EL_ROLL_NEEDED:
            self._roll()
        elif status == lib.EL_PRODUCERS_BEHIND:
            self._prepare_producers()
        elif status == lib.EL_ABORTED_INDEX_NEEDED:
            with self._flush_mutex():
                self._open_aborted_index(self._open_pointer())
        else:
            raise self._error(status)

    def _prepare_producers(self) -> None:
        pointer = self._open_pointer()
        with os_errors_as(f"the producers of {self._directory} cannot be read"):
            while not self._producers.prepare(pointer, self.tail()):
                self._check_not_retired(pointer)

    def _open_aborted_index(self, pointer: Any) -> None:
        base = pointer.segment_base
        if base < 0:
            return  # the append attaches first
        file = new_file()
        with os_errors_as(f"the index of aborted transactions in {self._directory} cannot be opened"):
            path = names.segment_file(self._directory, base, names.ABORTED_INDEX_SUFFIX)
            is_new = not files.is_there(path)
            open_file_into(file, path)
            if is_new:
                files.sync_directory(self._directory)
            self._check(lib.el_appender_take_aborted_index(pointer, base, file))

    def producers(self) -> list[ProducerState]:
        """The producers that the partition knows."""
        tail = self.tail()
        if tail.producers_offset < 0:
            return []
        return sorted(self._producers.table(self._open_pointer(), tail).producers())

    def save_producers(self) -> None:
        """Write a snapshot of the producers, if there are any."""
        tail = self.tail()
        if self._poison == 0 and tail.producers_offset >= 0:
            self._producers.write_snapshot(self._open_pointer(), tail, tail.end_offset)

    def check_writable(self) -> None:
        """Raise what every append would raise if the partition is damaged or deleted, or if a write has failed."""
        if self._poison != 0:
            raise self._poisoned()

    def flush(self, offset: int) -> None:
        """Return once all records before `offset` are on disk."""
        start = time.perf_counter()
        while (status := lib.el_flush(self._open_pointer(), offset)) != lib.EL_DONE:
            self.resolve(status)
        count(FLUSHES)
        count(FLUSH_SECONDS, amount=time.perf_counter() - start)

    def trim(self) -> None:
        """Truncate the preallocated tail. The caller must be the only process that has the partition open."""
        if self._poison != 0:
            return
        pointer = self._open_pointer()
        with self._flush_mutex():
            self._attach_locked(pointer)
        if pointer.segment_base < 0:
            return
        while (status := lib.el_trim(pointer)) == lib.EL_ABORTED_INDEX_NEEDED:
            self.resolve(status)
        self._check(status)

    def release(self) -> None:
        """Close the files of a segment that no longer takes appends."""
        lib.el_appender_release(self._open_pointer(), 0)

    def rest(self, *, durable: bool) -> bool:
        """Close the segment's files until they are needed again; if it is to be `durable`, only once everything is on disk.
        Returns whether they are closed."""
        return bool(lib.el_appender_rest(self._open_pointer(), durable))

    def close(self) -> None:
        """Close the segment's files: now or, if other threads are inside a native call, once they have left it."""
        lib.el_appender_release(self._open_pointer(), min(_CLOSE_MS, self._lock_timeout_ms))
        self.pointer = None

    def _flush_mutex(self) -> Holding[None]:
        """Hold the flush mutex for the duration of a block."""
        return held(
            lambda timeout_ms, holder: int(lib.el_head_lock_flush(self._mapped, timeout_ms, holder)),
            functools.partial(lib.el_head_release_flush, self._mapped),
            self._lock_timeout_ms,
            self._error,
        )

    def _check_not_retired(self, pointer: Any) -> None:
        """Raise if the partition is closed or deleted. Its segments must not change then: others may be using them."""
        if self._poison == DELETED:
            raise self._poisoned()
        if pointer.is_retired:
            raise StoreClosedError(f"the partition in {self._directory} is being closed")

    def tail(self) -> Any:
        """A copy of the `el_tail`: what the next append continues from. Raises `LockTimeoutError`."""
        tail, holder = ffi.new("el_tail *"), ffi.new("int32_t *")
        if lib.el_head_snapshot(self._mapped, self._signals, self._lock_timeout_ms, tail, holder) != lib.EL_DONE:
            raise self._lock_timeout(holder[0])
        return tail

    def _attach(self) -> None:
        """Use the active segment's files. Finish a roll that another process left unfinished."""
        pointer = self._open_pointer()
        with self._flush_mutex():
            self._check_not_retired(pointer)
            self._attach_locked(pointer)

    def _attach_locked(self, pointer: Any) -> None:
        self._attach_to(pointer, self.tail().segment_base)
        if lib.el_head_is_sealing(self._mapped):
            self._roll_locked(pointer)

    def _attach_to(self, pointer: Any, base_offset: int) -> None:
        if pointer.segment_base == base_offset:
            return
        with (
            os_errors_as("a segment cannot be opened"),
            _opened_segment(self._directory, base_offset) as opened,
        ):
            self._check(lib.el_appender_take(pointer, base_offset, opened))

    def roll(self) -> None:
        """Start a new segment, unless the active one is empty."""
        self._attach()
        pointer = self._open_pointer()
        with self._flush_mutex():
            self._check_not_retired(pointer)
            tail = self.tail()
            if tail.segment_base == pointer.segment_base and tail.position > 0:
                self._roll_locked(pointer)

    def _roll(self) -> None:
        pointer = self._open_pointer()
        sealed = pointer.segment_base
        with self._flush_mutex():
            self._check_not_retired(pointer)
            if self.tail().segment_base == sealed:
                self._roll_locked(pointer)
            else:
                self._attach_to(pointer, self.tail().segment_base)

    def _roll_locked(self, pointer: Any) -> None:
        """Seal the segment, sync it, and only then let its successor take records."""
        sealed = ffi.new("el_tail *")
        while (status := lib.el_roll_begin(pointer, sealed)) == lib.EL_ABORTED_INDEX_NEEDED:
            self._open_aborted_index(pointer)
        self._check(status)
        successor = sealed.end_offset
        if sealed.producers_offset >= 0:
            self._producers.write_snapshot(pointer, sealed, successor)
        with (
            os_errors_as(f"no new segment can be created in {self._directory}"),
            files.opened_directory(self._directory) as directory,
            _opened_segment(self._directory, successor) as opened,
        ):
            self._sync(directory)
            self._check(lib.el_roll_finish(pointer, successor))
            self._check(lib.el_appender_take(pointer, successor, opened))

    def _sync(self, directory: int) -> None:
        """Make the names of new files durable. If that fails it must not be retried, as with any sync."""
        try:
            os.fsync(directory)
        except OSError as error:
            lib.el_head_set_poison(self._mapped, error.errno)
            raise self._poisoned() from error

    def _check(self, status: int) -> None:
        if status != lib.EL_DONE:
            raise self._error(status)

    def _error(self, status: int, holder: int | None = None) -> EventLogError:
        pointer = self._open_pointer()
        reason = os.strerror(pointer.error_number) if pointer.error_number else "unknown reason"
        if status == lib.EL_POISONED:
            return self._poisoned()
        if status == lib.EL_LOCK_TIMEOUT:
            return self._lock_timeout(pointer.holder if holder is None else holder)
        if status == lib.EL_HELD_ALREADY:
            return LockTimeoutError(
                f"this thread is already working on the segments of {self._directory}: a signal handler must not append or "
                "flush while it interrupts such a call"
            )
        if status == lib.EL_DISK_FULL:
            return DiskFullError(f"no space left in {self._directory}: {reason}; nothing was written")
        if status == lib.EL_UNIT_TOO_LARGE:
            return RecordTooLargeError(
                "the records of one append_many must fit into one segment (segment.bytes): split them, or raise that setting"
            )
        if status == lib.EL_FILE_TOO_LARGE:
            return EventLogError(
                f"the files of {self._directory} are larger than this process may write (RLIMIT_FSIZE, ulimit -f): {reason}; "
                "nothing was written, and others are not affected"
            )
        if status == lib.EL_OFFSETS_USED_UP:
            return EventLogError(
                f"{self._directory} has no offsets left (the last one is 2^63 - 1); nothing was appended: continue in a "
                "new topic"
            )
        if status == lib.EL_RECORD_TOO_LARGE:
            return RecordTooLargeError("the record is larger than the topic's max.message.bytes")
        if status == lib.EL_NO_MEMORY:
            return EventLogError("memory ran out while a record was encoded; nothing was written")
        return PoisonedError(
            f"writing to {self._directory} failed: {reason}. The partition refuses writes until every process "
            "has closed it and it is opened again"
        )

    def _poisoned(self) -> EventLogError:
        if self._poison == DELETED:
            return TopicNotFoundError(f"the topic of {self._directory.name} was deleted")
        if self._poison == READ_ONLY:
            return ReadOnlyStoreError(f'{self._directory} is open to read only: open the store without mode="r" to append')
        if self._damage is not None:
            return self._damage.without_traceback()
        return PoisonedError(
            f"{self._directory} refuses writes since one failed ({os.strerror(self._poison)}): close the "
            "partition in every process, then open it again to recover it"
        )

    def _lock_timeout(self, holder: int) -> LockTimeoutError:
        return LockTimeoutError(
            f"process {holder} has held a mutex of {self._directory} for more than {self._lock_timeout_ms} ms; "
            "if it is stopped, continue or kill it"
        )
