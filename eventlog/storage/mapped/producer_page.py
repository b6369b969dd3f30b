"""The producers of an open partition: the mapped table that all processes share, and the snapshots of it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from eventlog._native import ffi, lib
from eventlog.access import make_room_to_map, new_file, open_existing_into, open_file_into
from eventlog.clock import now_ms
from eventlog.errors import EventLogError, LockTimeoutError
from eventlog.storage.segments import files
from eventlog.storage.segments.producer_snapshots import read_producers, write_snapshot
from eventlog.storage.segments.producer_table import ProducerTable

EXPIRY_MS = 24 * 3600 * 1000
"""Kafka's default of producer.id.expiration.ms."""

_IS_READY_AT = 8


def forget_table(path: Path) -> None:
    """Mark the mapped table as one that has to be built anew. The caller is the only one to have the partition open."""
    file = new_file()
    try:
        open_existing_into(file, path, os.O_RDWR)
        os.pwrite(file[0], bytes(4), _IS_READY_AT)
    except FileNotFoundError:
        return
    finally:
        lib.el_file_close(file)


class ProducerPage:
    """The table in the file `path`, of the partition in `directory`. The appender that uses it is passed to each call."""

    def __init__(self, path: Path, directory: Path) -> None:
        self._path = path
        self._directory = directory

    def prepare(self, appender: Any, tail: Any) -> bool:
        """Map the table; build it from the log, and make room in it, where necessary. `tail` is a copy of the `el_tail`.

        False if the log has grown meanwhile: then it must be repeated with another one. Raises `EventLogError`, `OSError`."""
        self._map(appender, 0)
        table = self._read(appender)
        if table is None:
            table = read_producers(self._directory, tail) if tail.producers_offset >= 0 else ProducerTable()
            table.native.end_offset = max(table.native.end_offset, tail.producers_offset)
        elif table.has_room:
            return True
        if not table.has_room:
            table.grow(now_ms() - EXPIRY_MS)
        if not table.has_room:
            raise EventLogError(
                f"{self._directory} has too many producers with open transactions ({table.native.count}): end some of them"
            )
        self._map(appender, table.size_bytes)
        return bool(self._checked(lib.el_producers_install(appender, table.native)) == lib.EL_DONE)

    def _map(self, appender: Any, size_bytes: int) -> None:
        file = new_file()
        try:
            is_new = not files.is_there(self._path)
            open_file_into(file, self._path)
            make_room_to_map(file[0], max(size_bytes, ProducerTable().size_bytes))
            if is_new:
                files.sync_directory(self._path.parent)  # after a power cut, the file shows that there are producers
            self._checked(lib.el_appender_use_producers(appender, file[0]))
        finally:
            lib.el_file_close(file)

    def _read(self, appender: Any) -> ProducerTable | None:
        """A copy of the mapped table; None if it is not complete."""
        table, needed = ProducerTable(), ffi.new("size_t *")
        status = lib.EL_NO_MEMORY
        while status == lib.EL_NO_MEMORY:
            status = self._checked(lib.el_producers_read(appender, table.native, table.size_bytes, needed))
            if status == lib.EL_NO_MEMORY:
                table = ProducerTable(_capacity_of(needed[0]))
        return table if status == lib.EL_DONE else None

    def _checked(self, status: int) -> int:
        if status == lib.EL_LOCK_TIMEOUT:
            raise LockTimeoutError(f"a mutex of {self._directory} has been held for too long by another process or thread")
        return status

    def table(self, appender: Any, tail: Any) -> ProducerTable:
        """A copy of the table as it is now."""
        while (found := self._read(appender)) is None:
            self.prepare(appender, tail)
        return found

    def write_snapshot(self, appender: Any, tail: Any, offset: int) -> None:
        """Write the snapshot of everything before `offset`, or more. Without it, more of the log is read at the next start."""
        with suppress(OSError, EventLogError):
            table = self.table(appender, tail)
            write_snapshot(self._directory, table, max(offset, table.native.end_offset))


def _capacity_of(size_bytes: int) -> int:
    capacity = int(lib.EL_PRODUCERS_CAPACITY_MIN)
    while lib.el_producers_bytes(capacity) < size_bytes:
        capacity *= 2
    return capacity
