"""A bare futex in a mapped file, through ctypes: what any wake-up between two processes costs at least."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform

_SYSCALL = {"x86_64": 202, "aarch64": 98}[platform.machine()]
_WAIT, _WAKE = 0, 1
_libc = ctypes.CDLL(None, use_errno=True)


class FutexWord:
    """A 32-bit number at a place of a file that processes set, and wait for."""

    def __init__(self, path: str, place: int) -> None:
        descriptor = os.open(path, os.O_RDWR)
        self._map = mmap.mmap(descriptor, 4096)
        os.close(descriptor)
        self._word = ctypes.c_uint32.from_buffer(self._map, place)
        self._address = ctypes.c_void_p(ctypes.addressof(self._word))

    def set(self, number: int) -> None:
        """Store a number, and wake who waits."""
        self._word.value = number
        _libc.syscall(_SYSCALL, self._address, _WAKE, 1, None, None, 0)

    def wait_for(self, number: int) -> None:
        """Sleep until the number is at least that."""
        while (found := self._word.value) < number:
            _libc.syscall(_SYSCALL, self._address, _WAIT, ctypes.c_uint32(found), None, None, 0)
