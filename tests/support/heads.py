"""The shared head of a partition, as native/store/head.h lays it out, seen without the library.

With it a test does what no test can do to a running process at a chosen instant: a reboot, or a writer that dies
between two stores of an append.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from pathlib import Path

HEAD_BYTES = 4096
_BOOT_ID_AT = 16
_EARLIER_BOOT = b"an earlier boot!"
_FLUSH_MUTEX_AT = 256
_APPEND_MUTEX_AT = 192
_CHECKPOINT_AT = 640
_CHECKPOINT_BYTES = 32
_SEAL_AT = 672

_libc = ctypes.CDLL(None, use_errno=True)


class Tail(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            "end_offset", "segment_base", "position", "index_bytes", "time_index_bytes", "bytes_since_index",
            "max_timestamp", "max_timestamp_offset", "indexed_timestamp", "first_timestamp", "first_unstable",
            "producers_offset", "marker_end", "aborted_index_bytes", "aborts",
        )
    ]  # fmt: skip


class _Head(ctypes.Structure):
    _fields_ = [
        ("magic", ctypes.c_uint64),
        ("layout", ctypes.c_uint32),
        ("is_ready", ctypes.c_uint32),
        ("boot_id", ctypes.c_uint8 * 16),
        ("pad_identity", ctypes.c_uint8 * 32),
        ("end_offset", ctypes.c_int64),
        ("durable_offset", ctypes.c_int64),
        ("start_offset", ctypes.c_int64),
        ("pad_published", ctypes.c_uint8 * 40),
        ("bells", ctypes.c_uint64),
        ("pad_watch", ctypes.c_uint8 * 56),
        ("mutexes", ctypes.c_uint8 * 128),
        ("append_holder", ctypes.c_int32),
        ("flush_holder", ctypes.c_int32),
        ("limits", ctypes.c_uint8 * 32),
        ("allocated", ctypes.c_int64),
        ("writing", ctypes.c_uint32),
        ("next_is_complete", ctypes.c_uint32),
        ("sealing", ctypes.c_uint32),
        ("pad_state", ctypes.c_uint32),
        ("tail", Tail),
        ("pad_tail", ctypes.c_uint8 * 8),
        ("next", Tail),
    ]


assert (_Head.end_offset.offset, _Head.append_holder.offset, _Head.tail.offset, _Head.next.offset) == (64, 320, 384, 512)


def simulate_reboot(head_file: Path) -> None:
    """Make the head one of an earlier boot. No process may have the partition open."""
    with open(head_file, "r+b") as file:
        file.seek(_BOOT_ID_AT)
        file.write(_EARLIER_BOOT)


def is_of_earlier_boot(head_file: Path) -> bool:
    """Was a reboot simulated, and has nobody recovered the partition completely since?"""
    with open(head_file, "rb") as file:
        file.seek(_BOOT_ID_AT)
        return file.read(len(_EARLIER_BOOT)) == _EARLIER_BOOT


def forget_durable_position(head_file: Path) -> None:
    """Make the head one that does not tell what was on disk. No process may have the partition open."""
    with open(head_file, "r+b") as file:
        file.seek(_CHECKPOINT_AT)
        file.write(bytes(_CHECKPOINT_BYTES))


def break_seal(head_file: Path) -> None:
    """Make the head one whose last process was killed. No process may have the partition open."""
    with open(head_file, "r+b") as file:
        file.seek(_SEAL_AT)
        file.write(bytes(4))


class MappedHead:
    """A head mapped by this process, besides the library's own maps.

    `state` is the page itself: assigning to its fields changes what every process sees."""

    def __init__(self, head_file: Path) -> None:
        descriptor = os.open(head_file, os.O_RDWR)
        self._map = mmap.mmap(descriptor, HEAD_BYTES)
        os.close(descriptor)
        self.state = _Head.from_buffer(self._map)

    def lock_append(self) -> None:
        """Take the append mutex as a writer does, in the name of this process; it dies with the calling thread."""
        self._lock(_APPEND_MUTEX_AT)
        self.state.append_holder = os.getpid()

    def unlock_append(self) -> None:
        """Give the append mutex back, from the thread that took it."""
        self._unlock(_APPEND_MUTEX_AT)

    def lock_flush(self) -> None:
        """Take the flush mutex, in the name of this process."""
        self._lock(_FLUSH_MUTEX_AT)
        self.state.flush_holder = os.getpid()

    def unlock_flush(self) -> None:
        """Give the flush mutex back, from the thread that took it."""
        self._unlock(_FLUSH_MUTEX_AT)

    def _lock(self, at: int) -> None:
        result = _libc.pthread_mutex_lock(ctypes.c_void_p(ctypes.addressof(self.state) + at))
        assert result == 0, f"{os.strerror(result)} in thread {threading.get_native_id()}"

    def _unlock(self, at: int) -> None:
        result = _libc.pthread_mutex_unlock(ctypes.c_void_p(ctypes.addressof(self.state) + at))
        assert result == 0, os.strerror(result)
