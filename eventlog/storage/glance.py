"""What a partition's mapped head says, without opening the partition: cheap enough for thousands of partitions at once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.storage import files, names
from eventlog.storage.file_locks import lock_within
from eventlog.storage.shared import boot_id


class PartitionOffsets(NamedTuple):
    """Where a partition starts and ends: the offset of its first record, the one that the next record gets, and the one before
    which everything is on disk."""

    start_offset: int
    end_offset: int
    durable_offset: int


class PartitionSize(NamedTuple):
    """How many segments a partition has, and how many bytes of batches stand in them; preallocated space does not count."""

    segments: int
    size_bytes: int


_EMPTY = PartitionOffsets(0, 0, 0)


def glance(store: Path, topic: str, partition: int) -> PartitionOffsets | None:
    """The offsets; None where the partition has to be opened to tell, because nobody did so since the machine started."""
    with trusted_head(store, topic, partition) as head:
        if head is None:
            return None if files.is_there(names.partition_directory(store, topic, partition)) else _EMPTY
        # Writers move the offsets while we look: taken in this order, start <= durable <= end always holds.
        start, durable = lib.el_head_start_offset(head), lib.el_head_durable_offset(head)
        return PartitionOffsets(start, lib.el_head_end_offset(head), durable)


def glance_size(store: Path, topic: str, partition: int) -> PartitionSize:
    """The size of a partition, whoever has it open."""
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
    """The bytes of the last segment that hold batches."""
    with trusted_head(store, topic, partition) as head:
        if head is None:
            return files.size_of(names.segment_file(names.partition_directory(store, topic, partition), last_base))
        base, position = ffi.new("int64_t *"), ffi.new("int64_t *")
        lib.el_head_active_segment(head, base, position)
        return int(position[0])


@contextmanager
def trusted_head(store: Path, topic: str, partition: int) -> Iterator[Any | None]:
    """The head of a partition, mapped for the length of a block; None if there is none that can be believed."""
    with _opened(store, topic, partition) as descriptor, _trusted(descriptor) as head:
        yield head


@contextmanager
def head_to_change(store: Path, topic: str, partition: int, *, lock_timeout_ms: int | None) -> Iterator[Any | None]:
    """The same for who is going to change it: it is not sealed any more, and its users are one more for so long.

    With None the caller is the only one, and has the exclusive lock of the file. Raises `LockTimeoutError`."""
    what = f"{topic}-{partition}"
    opened = _opened(store, topic, partition)
    with opened as descriptor, _shared(descriptor, lock_timeout_ms, what), _trusted(descriptor) as head:
        if head is not None:
            lib.el_head_unseal(head)
        yield head


@contextmanager
def _shared(descriptor: int | None, lock_timeout_ms: int | None, what: str) -> Iterator[None]:
    if descriptor is None or lock_timeout_ms is None:
        yield
        return
    lock_within(descriptor, fcntl.LOCK_SH, lock_timeout_ms, f"has been opening or closing {what}")
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # in words: a child that was forked meanwhile has a copy


@contextmanager
def _opened(store: Path, topic: str, partition: int) -> Iterator[int | None]:
    try:
        descriptor = os.open(names.head_file(store, topic, partition), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        files.close(descriptor)


@contextmanager
def _trusted(descriptor: int | None) -> Iterator[Any | None]:
    if descriptor is None:
        yield None
        return
    with _mapped(descriptor) as head:
        status = os.fstat(descriptor)
        is_trusted = head is not None and lib.el_head_is_trusted(head, boot_id(), status.st_dev, status.st_ino)
        yield head if is_trusted else None


@contextmanager
def _mapped(descriptor: int) -> Iterator[Any | None]:
    head = lib.el_head_map(descriptor) if os.fstat(descriptor).st_size >= lib.EL_HEAD_BYTES else ffi.NULL
    if head == ffi.NULL:
        yield None
        return
    try:
        yield head
    finally:
        lib.el_head_unmap(head)
