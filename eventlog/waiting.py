"""Waiting for what other processes do: one sleep for any number of things, and no busy loop.

`native/store/signals.h` draws the mechanism.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from eventlog._native import ffi, lib
from eventlog.access import open_file

_CATALOG_VERSION_AT = 8  # 64 bytes into the page, see native/store/signals.h


class Signals:
    """The bells of a store, which every process that has it open has mapped. `pointer` is the native `el_signals`."""

    def __init__(self, path: Path) -> None:
        descriptor = open_file(path)
        try:
            if os.fstat(descriptor).st_size < lib.EL_SIGNALS_BYTES:
                os.posix_fallocate(descriptor, 0, lib.EL_SIGNALS_BYTES)
            pointer = lib.el_signals_map(descriptor)
            if pointer == ffi.NULL:
                raise OSError(ffi.errno, os.strerror(ffi.errno), str(path))
        finally:
            with suppress(OSError):
                os.close(descriptor)
        # Unmapped once nobody refers to it: a thread may be asleep in it while another one closes.
        self.pointer: Any = ffi.gc(pointer, lib.el_signals_unmap)
        self._numbers = memoryview(ffi.buffer(self.pointer, lib.EL_SIGNALS_BYTES)).cast("q")

    @property
    def catalog_version(self) -> int:
        """Grows whenever a topic or a group is created, altered or deleted."""
        return self._numbers[_CATALOG_VERSION_AT]  # asked for with every record that is sent: a call would cost more

    def await_catalog(self, awaited: Awaited, place: int, known_version: int) -> None:
        """Let one place of `awaited` be for a later version of the catalog than the known one."""
        awaited.keep[place] = self.pointer
        lib.el_signals_await_catalog(self.pointer, known_version, awaited.entries + place)

    def catalog_changed(self) -> None:
        """Tell every process that the catalog has changed."""
        lib.el_signals_catalog_changed(self.pointer)


class Awaited:
    """A fixed number of things to wait for, each a number in a mapped page that grows past a known value.

    `entries` is the native array; `keep` holds the map that each entry points into, so that it stays mapped."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.entries: Any = ffi.new("el_awaited[]", count)
        self.keep: list[Any] = [None] * count

    def copy(self) -> Awaited:
        """The same things, in an object of its own."""
        return join([self])

    def first_ready(self, start: int = 0) -> int:
        """The first that is ready from `start` on, and then from the beginning; -1 if none is."""
        return int(lib.el_first_ready(self.entries, self.count, start))


def join(parts: Sequence[Awaited], spare: int = 0) -> Awaited:
    """All things of several objects in one, with `spare` places at the end."""
    joined = Awaited(sum(part.count for part in parts) + spare)
    place = 0
    for part in parts:
        ffi.memmove(joined.entries + place, part.entries, part.count * ffi.sizeof("el_awaited"))
        joined.keep[place : place + part.count] = part.keep
        place += part.count
    return joined


class Flag:
    """Something of this process that can be waited for together with what others do."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._native: Any = ffi.new("el_flag *")

    @property
    def pointer(self) -> Any:
        """The native `el_flag`."""
        return self._native

    @property
    def raised(self) -> int:
        """How often it was raised."""
        return int(lib.el_flag_raised(self._native))

    def raise_(self) -> None:
        """Wake everybody who waits for it."""
        lib.el_flag_raise(self._native, self._signals.pointer)

    def await_raise(self, awaited: Awaited, place: int, known: int) -> None:
        """Let one place of `awaited` be for the flag being raised once more than `known`."""
        awaited.keep[place] = self._native
        lib.el_flag_await(self._native, known, awaited.entries + place)


def wait_for_any(signals: Signals, awaited: Awaited, timeout: float | None, look: Callable[[], object]) -> bool:
    """Sleep until one of the things is ready; False after `timeout` seconds.

    Signal handlers run while it waits. `look` is called after every wake-up and at least once a second; it raises where the
    wait must end, because a handle was closed, and true from it ends the wait with True."""
    bells = signals.pointer
    bell = lib.el_signals_bell(bells)
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        slice_ms = lib.EL_AWAIT_MS_MAX
        if deadline is not None:
            remaining_ms = max(0, int((deadline - time.monotonic()) * 1000 + 0.999))
            slice_ms = min(slice_ms, remaining_ms)
        if lib.el_await_any(bells, bell, awaited.entries, awaited.count, slice_ms) == lib.EL_DONE:
            return True
        if look():
            return True
        if deadline is not None and time.monotonic() >= deadline:
            return False
