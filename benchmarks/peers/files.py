"""Bare files: the bytes that eventlog would write, and nothing else. No peer, but the floor under all of them.

No framing, no checksum, no offsets, no lock. For "disk" each record is a `pwrite` and an `fdatasync` in space that was
allocated before, as eventlog has it.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Sequence
from typing import ClassVar

from benchmarks.peers.peer import Peer, Session, Stream
from benchmarks.workloads import BATCH_EVENTS, Events

SINGLE_OVERHEAD_BYTES = 70  # what a record alone in its batch takes besides key, value and headers
BATCHED_OVERHEAD_BYTES = 7
_ALLOCATED_BYTES = 2**26
_BLOCK_BYTES = 2**20


class _Session(Session):
    def __init__(self, stream: Stream, partition: int) -> None:
        path = stream.directory / str(partition)
        self._is_durable = stream.durability == "disk"
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | (0 if self._is_durable else os.O_APPEND), 0o600)
        self._lock = threading.Lock()
        self._position = 0
        if self._is_durable:
            os.posix_fallocate(self._descriptor, 0, _ALLOCATED_BYTES)
            os.fsync(self._descriptor)
        self._frame = bytes(stream.workload.events(1, 0).bytes_of_one() + SINGLE_OVERHEAD_BYTES)

    def _append_durably(self, *event: object) -> None:
        with self._lock:
            position, self._position = self._position, self._position + len(self._frame)
        os.pwrite(self._descriptor, self._frame, position)
        os.fdatasync(self._descriptor)

    def appender(self) -> Callable[..., object]:
        if self._is_durable:
            return self._append_durably
        return lambda *event: os.write(self._descriptor, self._frame)

    def append(self, events: Events) -> None:
        if self._is_durable:
            return super().append(events)
        descriptor, frame, write = self._descriptor, self._frame, os.write
        for _ in range(len(events)):
            write(descriptor, frame)
        return None

    def append_batches(self, batches: Sequence[Events]) -> None:
        size = len(batches) * BATCH_EVENTS * (batches[0].bytes_of_one() + BATCHED_OVERHEAD_BYTES)
        block = bytes(size // len(batches) if self._is_durable else _BLOCK_BYTES)
        while size > 0:
            os.write(self._descriptor, block[:size])
            size -= len(block)
            if self._is_durable:
                os.fdatasync(self._descriptor)

    def read(self, count: int) -> None:
        position = 0
        while block := os.pread(self._descriptor, _BLOCK_BYTES, position):
            position += len(block)

    def close(self) -> None:
        os.close(self._descriptor)


_NO_RECORDS = "nothing says where a record begins"


class Contender(Peer):
    """One file for each partition."""

    name = "files"
    settings: ClassVar = {
        "process": "os.write of each record; of a batch, one write for each MiB",
        "disk": "pwrite and fdatasync of each record or batch",
    }
    lacks: ClassVar = {
        "seek": _NO_RECORDS,
        "read_records": _NO_RECORDS,
        "consume": _NO_RECORDS,
        "commit_each": _NO_RECORDS,
        "commit_many": _NO_RECORDS,
        "commit": _NO_RECORDS,
        "receive": "a file wakes nobody",
        "compression": "it would be the same bytes",
        "send": "there is nothing in flight",
    }

    def versions(self) -> dict[str, str]:
        return {"Linux": platform.release()}

    def open(self, stream: Stream, partition: int = 0) -> Session:
        return _Session(stream, partition)
