"""The health of a partition according to its files, seen from outside: nothing is opened, recovered or changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from eventlog._native import ffi, lib
from eventlog.storage.segments import files, index, names
from eventlog.storage.segments.aborted_index import ENTRY as ABORTED_ENTRY
from eventlog.storage.segments.boot import boot_id
from eventlog.storage.segments.recovery import Checkpoint, RecoveryReport, recover

_MUTEXES_AT = (192, 256)  # native/store/head.h: append and flush
_OWNER = 0x3FFFFFFF  # the thread that holds a robust mutex, in its first word; source: set_robust_list(2), futex(2)
_INDEXES = ((names.INDEX_SUFFIX, index.ENTRY.size), (names.TIME_INDEX_SUFFIX, index.TIME_ENTRY.size))


class HeadHealth(NamedTuple):
    """A head: whether it was initialised in this boot, the errno that poisoned it or 0, the threads that hold its mutexes, and
    the last durable position, if it is known."""

    is_of_this_boot: bool
    poison: int
    mutex_holders: tuple[int, ...]
    checkpoint: Checkpoint | None


def read_head_health(head_file: Path) -> HeadHealth:
    """The health of a head; a missing head has that of a new one."""
    nothing = HeadHealth(False, 0, (), None)
    try:
        descriptor = os.open(head_file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return nothing
    try:
        status = os.fstat(descriptor)
        page = files.read_at(descriptor, lib.EL_HEAD_BYTES, 0)
        head = lib.el_head_map_to_read(descriptor) if status.st_size >= lib.EL_HEAD_BYTES else ffi.NULL
        if head == ffi.NULL:
            return nothing
    finally:
        files.close(descriptor)
    try:
        identity, checkpoint = (status.st_dev, status.st_ino), ffi.new("el_checkpoint *")
        poison = int(lib.el_head_poison(head))
        is_current = bool(lib.el_head_is_trusted(head, boot_id(), *identity)) or (poison != 0 and page[16:32] == boot_id())
        is_known = lib.el_head_former_checkpoint(head, *identity, checkpoint)
    finally:
        lib.el_head_unmap(head)
    owners = {int.from_bytes(page[at : at + 4], "little") & _OWNER for at in _MUTEXES_AT} - {0}
    known = Checkpoint(checkpoint.segment_base, checkpoint.position, checkpoint.offset) if is_known else None
    return HeadHealth(is_current, poison if is_current else 0, tuple(sorted(owners)) if is_current else (), known)


def would_recover(directory: Path, head: HeadHealth, interval_bytes: int) -> RecoveryReport | None:
    """What the next process to open a partition would find; None if it would create a new partition."""
    if not files.segment_bases(directory) and head.checkpoint is None:
        return None
    return recover(directory, directory, head.checkpoint, interval_bytes, change=False).report


def wrong_indexes(directory: Path) -> list[Path]:
    """The index files of sealed segments that are missing or torn."""
    found = []
    for base in files.segment_bases(directory)[:-1]:
        for suffix, entry_bytes in _INDEXES:
            path = names.segment_file(directory, base, suffix)
            if not files.is_there(path) or path.stat().st_size % entry_bytes:
                found.append(path)
        path = names.segment_file(directory, base, names.ABORTED_INDEX_SUFFIX)  # most segments have none
        if files.is_there(path) and path.stat().st_size % ABORTED_ENTRY.size:
            found.append(path)
    return found


def latest_timestamp(directory: Path) -> int | None:
    """The largest timestamp in the time indexes, in milliseconds since the epoch."""
    entries = (
        index.last_time_entry(names.segment_file(directory, base, names.TIME_INDEX_SUFFIX), base)
        for base in files.segment_bases(directory)
    )
    return max((entry.timestamp for entry in entries if entry is not None), default=None)


class HeadState(NamedTuple):
    """The state in the head of a partition: the offset before which everything was once on disk, 0 if that is not known; and
    the end offset with the segment that takes appends and its length, or None if the partition is damaged."""

    durable_offset: int
    end_offset: int | None
    segment_base: int
    segment_bytes: int


def read_head_state(head_file: Path) -> HeadState:
    """The state of a partition that was opened in this boot."""
    nothing = HeadState(0, None, 0, 0)
    try:
        descriptor = os.open(head_file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return nothing
    try:
        status = os.fstat(descriptor)
        head = lib.el_head_map_to_read(descriptor) if status.st_size >= lib.EL_HEAD_BYTES else ffi.NULL
    finally:
        files.close(descriptor)
    if head == ffi.NULL:
        return nothing
    try:
        identity = status.st_dev, status.st_ino
        checkpoint, base, position = ffi.new("el_checkpoint *"), ffi.new("int64_t *"), ffi.new("int64_t *")
        is_known = lib.el_head_former_checkpoint(head, *identity, checkpoint)
        durable = int(checkpoint.offset) if is_known else 0
        if not lib.el_head_is_trusted(head, boot_id(), *identity):
            return HeadState(durable, None, 0, 0)
        lib.el_head_active_segment(head, base, position)
        return HeadState(durable, int(lib.el_head_end_offset(head)), int(base[0]), int(position[0]))
    finally:
        lib.el_head_unmap(head)
