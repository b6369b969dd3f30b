"""What the bridges of a store show of themselves, in a file that every process can read without asking them.

A bridge locks a slot of `shared/bridges` as long as it lives, and writes a JSON object into it about once a second. The lock
vanishes with its process, and the slot is free for the next bridge. One that has not written for long is left out: it is
stopped, or its process has died and a child still has its lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from eventlog.access import open_file
from eventlog.errors import EventLogError, translates_os_errors
from eventlog.storage.segments import names
from eventlog.storage.segments.file_locks import is_byte_locked, lock_byte

SLOT_BYTES = 4096
_SLOTS_MAX = 1000
_CHECKSUM_BYTES = 4
_ATTEMPTS = 5
_STALE_MS = 60_000
_WRITTEN = "written_ms"  # on the monotonic clock


@translates_os_errors()
class BridgeStatusWriter:
    """The slot of one bridge. For one thread."""

    def __init__(self, store: Path) -> None:
        """Raises `EventLogError` if 1000 bridges run."""
        self._file = os.fdopen(open_file(names.bridges_file(store)), "r+b", buffering=0)
        try:
            self._slot = self._lock_slot()
        except BaseException:
            self._file.close()
            raise

    def _lock_slot(self) -> int:
        for slot in range(_SLOTS_MAX):
            with suppress(BlockingIOError):
                lock_byte(self._file.fileno(), fcntl.F_WRLCK, slot)
                return slot
        raise EventLogError(f"there are {_SLOTS_MAX} bridges of this store already")

    def write(self, status: Mapping[str, Any]) -> None:
        """Show this. Text that makes it too large is cut."""
        status = {_WRITTEN: _uptime_ms(), **status}
        text = json.dumps(status).encode()
        while len(text) > SLOT_BYTES - _CHECKSUM_BYTES:
            status = {name: value[: len(value) // 2] if isinstance(value, str) else value for name, value in status.items()}
            text = json.dumps(status).encode()
        padded = text.ljust(SLOT_BYTES - _CHECKSUM_BYTES, b"\0")
        os.pwrite(self._file.fileno(), zlib.crc32(padded).to_bytes(_CHECKSUM_BYTES, "big") + padded, self._slot * SLOT_BYTES)

    def close(self) -> None:
        """Take the bridge off the list. A second call does nothing."""
        if not self._file.closed:
            with self._file:
                os.pwrite(self._file.fileno(), bytes(SLOT_BYTES), self._slot * SLOT_BYTES)


def read_bridge_statuses(store: Path) -> list[dict[str, Any]]:
    """What all live bridges of the store show."""
    try:
        file = open(names.bridges_file(store), "rb", buffering=0)  # noqa: SIM115
    except FileNotFoundError:
        return []
    with file:
        return list(_statuses(file.fileno()))


def _statuses(file: int) -> Iterator[dict[str, Any]]:
    for slot in range(min(os.fstat(file).st_size // SLOT_BYTES, _SLOTS_MAX)):
        if is_byte_locked(file, slot):
            status = _read(file, slot)
            if status is not None and _uptime_ms() - status.pop(_WRITTEN) < _STALE_MS:
                yield status


def _read(file: int, slot: int) -> dict[str, Any] | None:
    """What stands in a slot; None if that is nothing valid."""
    for _ in range(_ATTEMPTS):  # it may be being written
        content = os.pread(file, SLOT_BYTES, slot * SLOT_BYTES)
        checksum, text = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
        if checksum == zlib.crc32(text).to_bytes(_CHECKSUM_BYTES, "big"):
            with suppress(ValueError):
                status = json.loads(text.rstrip(b"\0"))
                return status if isinstance(status, dict) and isinstance(status.get(_WRITTEN), int) else None
    return None


def _uptime_ms() -> int:
    return time.monotonic_ns() // 1_000_000
