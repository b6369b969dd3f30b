"""Removing a partition that others may have open: they are notified first, and then its files are deleted."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from eventlog._native import ffi, lib
from eventlog.access import make_room_to_map, new_file, open_file_into
from eventlog.storage.mapped.poison import DELETED
from eventlog.storage.segments import files, names
from eventlog.storage.segments.file_locks import lock_within
from eventlog.waiting import Signals


def remove_partition(store: Path, signals: Signals, topic: str, partition: int, timeout_ms: int) -> None:
    """Remove a partition of a topic that is no longer in the catalog; missing files are skipped.

    First its head is poisoned, for all processes that have it mapped or are about to open it; only then it is deleted,
    together with the directory's name. So no process appends to deleted files. The deletion is durable: otherwise, after a
    power cut, a topic created again would be checked against what this one had on disk. Raises `LockTimeoutError` if another
    process takes longer than `timeout_ms` to open it."""
    head_file = names.head_file(store, topic, partition)
    file = new_file()
    try:
        open_file_into(file, head_file)
        lock_within(file[0], fcntl.LOCK_SH, timeout_ms, f"has been opening {topic}/{partition}")
        _poison(file[0], signals)
        files.delete_directory(_out_of_the_way(store, topic, partition))
        head_file.unlink(missing_ok=True)
        names.producers_file(store, topic, partition).unlink(missing_ok=True)
        files.sync_directory(head_file.parent)
    finally:
        lib.el_file_unlock(file)
    files.delete_directory(names.removed_directory(store, topic, partition))


def _poison(descriptor: int, signals: Signals) -> None:
    make_room_to_map(descriptor, lib.EL_HEAD_BYTES)
    head = lib.el_head_map(descriptor)
    if head == ffi.NULL:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    lib.el_head_set_deleted(head, DELETED)
    lib.el_head_wake(head, signals.pointer)
    lib.el_head_unmap(head)


def _out_of_the_way(store: Path, topic: str, partition: int) -> Path:
    """Move the directory out of logs/ in one step, so that it is never mistaken for a broker's topic; returns its new path.

    An overlay file system cannot move a directory of its lower layer. There it is deleted where it is: as long as the catalog
    lists the name among those being deleted, it cannot be mistaken for anything else."""
    directory = names.partition_directory(store, topic, partition)
    elsewhere = names.deleted_directory(store, topic, partition)
    files.delete_directory(elsewhere)
    if files.is_there(directory):
        files.make_directory(elsewhere.parent)
        try:
            directory.rename(elsewhere)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return directory
        files.sync_directory(directory.parent)
    return elsewhere
