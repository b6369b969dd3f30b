"""Waiting for what other processes do: one sleep for any number of things, and no busy loop.

`native/store/signals.h` draws the mechanism.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from eventlog._native import ffi, lib
from eventlog.access import make_room_to_map, new_file, open_file_into

_Who = TypeVar("_Who")

_SLEEPERS_MIN = 64
_DUE_MAX = 256
_CATALOG_VERSION_AT = 8  # 64 bytes into the page, see native/store/signals.h


class Signals:
    """The bells of a store, which every process that has it open has mapped. `pointer` is the native `el_signals`."""

    def __init__(self, path: Path) -> None:
        file = new_file()
        try:
            open_file_into(file, path)
            make_room_to_map(file[0], lib.EL_SIGNALS_BYTES)
            pointer = lib.el_signals_map(file[0])
            if pointer == ffi.NULL:
                raise OSError(ffi.errno, os.strerror(ffi.errno), str(path))
        finally:
            lib.el_file_close(file)
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


class Sleepers(Generic[_Who]):
    """Those for whom one thread sleeps: whoever comes or goes costs the others nothing. Several threads may use it."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._bell = lib.el_signals_bell(signals.pointer)
        self._lock = threading.Lock()
        self._entries: Any = ffi.new("el_sleeper[]", _SLEEPERS_MIN)
        self._due: Any = ffi.new("int32_t[]", _DUE_MAX)
        self._asleep: list[tuple[_Who, Awaited] | None] = [None] * _SLEEPERS_MIN
        self._free = list(range(_SLEEPERS_MIN))[::-1]

    def add(self, who: _Who, awaited: Awaited) -> int:
        """Sleep for somebody from now on; returns his number. `due` names him once."""
        with self._lock:
            if not self._free:
                self._grow()
            number = self._free.pop()
            self._asleep[number] = (who, awaited)
            entry = self._entries[number]
            entry.awaited, entry.count = awaited.entries, awaited.count
            is_due = lib.el_sleepers_due(self._entries + number, 1, self._bell, ffi.new("int32_t *"), 1)
        if is_due:
            self.wake()
        return number

    def _grow(self) -> None:
        count = len(self._asleep)
        entries = ffi.new("el_sleeper[]", 2 * count)
        ffi.memmove(entries, self._entries, count * ffi.sizeof("el_sleeper"))
        self._entries = entries
        self._asleep += [None] * count
        self._free += list(range(count, 2 * count))[::-1]

    def remove(self, number: int) -> None:
        """Sleep for this one no more; his number may be another's then."""
        with self._lock:
            self._entries[number].count = 0
            self._asleep[number] = None
            self._free.append(number)

    def due(self) -> list[_Who]:
        """Some for whom something is ready; if there are none, sleep until there may be, for a second at most."""
        bells = self._signals.pointer
        seen = lib.el_bell_read(bells, self._bell)
        with self._lock:
            count = lib.el_sleepers_due(self._entries, len(self._asleep), self._bell, self._due, _DUE_MAX)
            due = []
            for number in self._due[0:count]:
                asleep = self._asleep[number]
                assert asleep is not None
                due.append(asleep[0])
                self._entries[number].count = 0
        if not due:
            lib.el_bell_await(bells, self._bell, seen, lib.EL_AWAIT_MS_MAX)
        return due

    def everybody(self) -> list[_Who]:
        """All of them."""
        with self._lock:
            return [each[0] for each in self._asleep if each is not None]

    def wake(self) -> None:
        """Let the thread that sleeps in `due` return."""
        lib.el_bell_ring(self._signals.pointer, self._bell)


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
