"""Reading a partition's mapped head without opening the partition: cheap enough for thousands of partitions at once."""

from __future__ import annotations

import fcntl
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.access import new_file, open_existing_into
from eventlog.holding import Holding
from eventlog.storage.segments import files, names
from eventlog.storage.segments.boot import boot_id
from eventlog.storage.segments.file_locks import lock_within


class PartitionOffsets(NamedTuple):
    """Where a partition starts and ends: the offset of its first record, the offset that the next record will get, and the
    offset before which everything is on disk."""

    start_offset: int
    end_offset: int
    durable_offset: int


class PartitionSize(NamedTuple):
    """How many segments a partition has, and how many bytes of batches they contain; preallocated space does not count."""

    segments: int
    size_bytes: int


_EMPTY = PartitionOffsets(0, 0, 0)


def read_partition_offsets(store: Path, topic: str, partition: int) -> PartitionOffsets | None:
    """The offsets; None if the partition must be opened to find them, because no process has opened it in this boot."""
    head = trusted_head(store, topic, partition)
    if head is None:
        return None if files.is_there(names.partition_directory(store, topic, partition)) else _EMPTY
    # Writers move the offsets while they are read: in this order, start <= durable <= end always holds.
    start, durable = lib.el_head_start_offset(head), lib.el_head_durable_offset(head)
    return PartitionOffsets(start, lib.el_head_end_offset(head), durable)


def read_partition_size(store: Path, topic: str, partition: int) -> PartitionSize:
    """The size of a partition, no matter which processes have it open."""
    directory = names.partition_directory(store, topic, partition)
    try:
        bases = files.segment_bases(directory)
    except FileNotFoundError:
        bases = []
    if not bases:
        return PartitionSize(0, 0)
    sealed = sum(files.size_of(names.segment_file(directory, base)) for base in bases[:-1])
    return PartitionSize(len(bases), sealed + _active_bytes(store, topic, partition, bases[-1]))


def _active_bytes(store: Path, topic: str, partition: int, last_base: int) -> int:
    """The number of bytes of the last segment that contain batches."""
    head = trusted_head(store, topic, partition)
    if head is None:
        return files.size_of(names.segment_file(names.partition_directory(store, topic, partition), last_base))
    base, position = ffi.new("int64_t *"), ffi.new("int64_t *")
    lib.el_head_active_segment(head, base, position)
    return int(position[0])


class MappedHead(NamedTuple):
    """A head that is mapped to be read, with device and inode of its file."""

    pointer: Any
    device: int
    inode: int

    @property
    def is_trusted(self) -> bool:
        """Was it initialised in this boot, and is it intact?"""
        return bool(lib.el_head_is_trusted(self.pointer, boot_id(), self.device, self.inode))

    def is_in_place(self, path: Path) -> bool:
        """Is this the file at a path, or is none there?"""
        try:
            status = os.stat(path)
        except OSError:
            return True
        return (status.st_dev, status.st_ino) == (self.device, self.inode)


def mapped_head(path: Path) -> MappedHead | None:
    """The head in a file, for as long as something refers to it; None if there is none yet."""
    file = new_file()
    try:
        open_existing_into(file, path, os.O_RDONLY)
        return _mapped(file, lib.el_head_map_to_read)
    except FileNotFoundError:
        return None
    finally:
        lib.el_file_close(file)


def trusted_head(store: Path, topic: str, partition: int) -> Any | None:
    """The head of a partition, mapped to be read, for as long as something refers to it; None if there is no head that can be
    trusted."""
    found = mapped_head(names.head_file(store, topic, partition))
    return found.pointer if found is not None and found.is_trusted else None


def head_to_change(store: Path, topic: str, partition: int, *, lock_timeout_ms: int | None) -> Holding[Any | None]:
    """Like `trusted_head`, for a block that changes the head: the seal is removed, and for the duration of the block the caller
    is one of the head's users.

    If the timeout is None, the caller is alone and has the exclusive lock of the file. The block raises `LockTimeoutError`."""
    file = new_file()

    def take() -> Any | None:
        try:
            open_existing_into(file, names.head_file(store, topic, partition), os.O_RDWR)
        except FileNotFoundError:
            return None
        if lock_timeout_ms is not None:
            lock_within(file[0], fcntl.LOCK_SH, lock_timeout_ms, f"has been opening or closing {topic}/{partition}")
        found = _mapped(file, lib.el_head_map)
        if found is None or not found.is_trusted:
            return None
        lib.el_head_unseal(found.pointer)
        return found.pointer

    return Holding(take, functools.partial(lib.el_file_unlock, file))


def _mapped(file: Any, map_file: Callable[[int], Any]) -> MappedHead | None:
    status = os.fstat(file[0])
    head = map_file(file[0]) if status.st_size >= lib.EL_HEAD_BYTES else ffi.NULL
    return None if head == ffi.NULL else MappedHead(ffi.gc(head, lib.el_head_unmap), status.st_dev, status.st_ino)
