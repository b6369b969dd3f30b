"""Removing a partition that others may have open: they are told first, and then its files go."""

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
    """Remove a partition of a topic that is not in the catalog any more; what is not there is passed over.

    Its head is poisoned for everybody who has it mapped, and is there, poisoned, for those who are about to open it; only then
    it goes, together with the name of the directory. So nobody appends to files that are gone. It goes durably: else, after
    a power cut, a topic that was made anew would be held to what this one had on disk. Raises `LockTimeoutError` if somebody
    opens it for longer than `timeout_ms`."""
    head_file = names.head_file(store, topic, partition)
    file = new_file()
    try:
        open_file_into(file, head_file)
        lock_within(file[0], fcntl.LOCK_SH, timeout_ms, f"has been opening {topic}/{partition}")
        _poison(file[0], signals)
        files.delete_directory(_out_of_the_way(store, topic, partition))
        head_file.unlink(missing_ok=True)
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
    """Take the directory out of logs/ in one step, so that it is never taken for a topic of a broker; where it is then.

    An overlay moves no directory of its lower layer. There it is deleted where it is: as long as the catalog has the name among
    those that are being deleted, nobody takes it for anything else."""
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
