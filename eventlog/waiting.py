"""Waiting for what other processes do: one sleep for any number of conditions, and no busy loop.

`native/store/signals.h` describes the mechanism.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from eventlog._native import ffi, lib
from eventlog.access import make_room_to_map, memory_file, new_file, open_file_into

_Sleeper = TypeVar("_Sleeper")

_WAITS_MIN = 4
_SLEEPERS_MIN = 64
_DUE_MAX = 256
_CATALOG_VERSION_AT = 8  # 64 bytes into the page, see native/store/signals.h


class Signals:
    """The bells of a store, mapped by every process that has the store open. `pointer` is the native `el_signals`.

    With `path` None they are those of this process alone."""

    def __init__(self, path: Path | None) -> None:
        file = new_file()
        try:
            if path is None:
                file[0] = memory_file("eventlog-signals", lib.EL_SIGNALS_BYTES)
            else:
                open_file_into(file, path)
                make_room_to_map(file[0], lib.EL_SIGNALS_BYTES)
            pointer = lib.el_signals_map(file[0])
            if pointer == ffi.NULL:
                raise OSError(ffi.errno, os.strerror(ffi.errno), str(path))
        finally:
            lib.el_file_close(file)
        # Unmapped once nothing refers to it: a thread may be asleep in it while another thread closes the store.
        self.pointer: Any = ffi.gc(pointer, lib.el_signals_unmap)
        self._numbers = memoryview(ffi.buffer(self.pointer, lib.EL_SIGNALS_BYTES)).cast("q")

    @property
    def catalog_version(self) -> int:
        """Grows whenever a topic or a group is created, altered or deleted."""
        return self._numbers[_CATALOG_VERSION_AT]  # read for every record that is sent: a call would cost more

    @property
    def catalog_announced(self) -> int:
        """The last number that any process passed to `catalog_changed`."""
        return int(lib.el_signals_catalog_announced(self.pointer))

    def catalog_changed(self, number: int) -> None:
        """Tell every process that the catalog has changed, up to the transaction with this number."""
        lib.el_signals_catalog_changed(self.pointer, number)


class WaitSet:
    """Any number of conditions to wait for at once; each is met when a number in a mapped page grows past a known value.

    The set keeps the page of each condition mapped. Nothing may be added while a thread sleeps on the set."""

    def __init__(self, capacity: int = _WAITS_MIN) -> None:
        self.count = 0
        self.entries: Any = ffi.new("el_awaited[]", capacity)
        self._pages: list[Any] = []
        self._capacity = capacity

    def add_record(self, head: Any, offset: int, *, durable: bool) -> None:
        """Wait for the end of the partition with this native `el_head` to pass `offset`; with `durable`, its end on disk."""
        count = self.count  # does what `_new_entry` does, without the call: a consumer may have thousands of partitions
        if count == self._capacity:
            self._grow()
        self._pages.append(head)
        lib.el_head_await(head, offset, durable, self.entries + count)
        self.count = count + 1

    def add_commit(self, group: Any, slot: int, offset: int) -> None:
        """Wait for the committed offset in a slot of this native `el_group` to pass `offset`."""
        lib.el_slot_await(group, slot, offset, self._new_entry(group))

    def add_group_change(self, group: Any, known_changes: int) -> None:
        """Wait for the number of changes of the group with this native `el_group` to exceed the known number."""
        lib.el_group_await(group, known_changes, self._new_entry(group))

    def add_share_change(self, page: Any, known_changes: int) -> None:
        """Wait for the number of changes of this native `el_share_page` to exceed the known number."""
        lib.el_share_await(page, known_changes, self._new_entry(page))

    def add_catalog_change(self, signals: Signals, known_version: int) -> None:
        """Wait for a later version of the catalog than the known one."""
        lib.el_signals_await_catalog(signals.pointer, known_version, self._new_entry(signals.pointer))

    def add_flag(self, flag: Flag, known: int = 0) -> None:
        """Wait for a flag to be raised more often than the known number of times."""
        lib.el_flag_await(flag.pointer, known, self._new_entry(flag.pointer))

    def _new_entry(self, page: Any) -> Any:
        if self.count == self._capacity:
            self._grow()
        self._pages.append(page)
        entry = self.entries + self.count
        self.count += 1
        return entry

    def _grow(self) -> None:
        entries = ffi.new("el_awaited[]", 2 * self._capacity)
        ffi.memmove(entries, self.entries, self.count * ffi.sizeof("el_awaited"))
        self.entries = entries
        self._capacity *= 2

    def copy(self) -> WaitSet:
        """A new set with the same conditions."""
        copied = WaitSet(self._capacity)
        copied.count = self.count
        copied._pages = self._pages.copy()
        ffi.memmove(copied.entries, self.entries, self.count * ffi.sizeof("el_awaited"))
        return copied

    def clear(self) -> None:
        """Remove all conditions; the memory is reused."""
        self.count = 0
        self._pages.clear()


class Flag:
    """A condition within this process, which can be waited for together with those of other processes."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._native: Any = ffi.new("el_flag *")

    @property
    def pointer(self) -> Any:
        """The native `el_flag`."""
        return self._native

    @property
    def raised(self) -> int:
        """How often the flag has been raised."""
        return int(lib.el_flag_raised(self._native))

    def raise_(self) -> None:
        """Wake every thread that waits for the flag."""
        lib.el_flag_raise(self._native, self._signals.pointer)


class Sleepers(Generic[_Sleeper]):
    """The sleepers that one thread sleeps for: adding or removing one costs the others nothing. Several threads may use it."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._bell = lib.el_signals_bell(signals.pointer)
        self._lock = threading.Lock()
        self._entries: Any = ffi.new("el_sleeper[]", _SLEEPERS_MIN)
        self._due: Any = ffi.new("int32_t[]", _DUE_MAX)
        self._asleep: list[tuple[_Sleeper, WaitSet] | None] = [None] * _SLEEPERS_MIN
        self._free = list(range(_SLEEPERS_MIN))[::-1]

    def add(self, sleeper: _Sleeper, wait_set: WaitSet) -> int:
        """Add a sleeper, until a condition of its set is met; returns its number. `due` returns it once."""
        with self._lock:
            if not self._free:
                self._grow()
            number = self._free.pop()
            self._asleep[number] = (sleeper, wait_set)
            entry = self._entries[number]
            entry.awaited, entry.count = wait_set.entries, wait_set.count
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
        """Remove this sleeper; its number may then go to another one."""
        with self._lock:
            self._entries[number].count = 0
            self._asleep[number] = None
            self._free.append(number)

    def due(self) -> list[_Sleeper]:
        """Sleepers with a condition that is met, perhaps not all of them; if there are none, sleep until there may be some, for
        at most a second."""
        bells = self._signals.pointer
        seen = lib.el_bell_read(bells, self._bell)
        due = self.due_now()
        if not due:
            lib.el_bell_await(bells, self._bell, seen, lib.EL_AWAIT_MS_MAX)
        return due

    def due_now(self) -> list[_Sleeper]:
        """Sleepers with a condition that is met, perhaps not all of them."""
        with self._lock:
            count = lib.el_sleepers_due(self._entries, len(self._asleep), self._bell, self._due, _DUE_MAX)
            due = []
            for number in self._due[0:count]:
                asleep = self._asleep[number]
                assert asleep is not None
                due.append(asleep[0])
                self._entries[number].count = 0
        return due

    def forward(self, event: int, is_over: Flag) -> None:
        """Write to an eventfd whenever some may be due, and once a second, until the flag is raised and `wake` called: for a
        thread, which does not need the interpreter's lock meanwhile."""
        lib.el_bell_forward(self._signals.pointer, self._bell, event, is_over.pointer)

    def everybody(self) -> list[_Sleeper]:
        """All sleepers."""
        with self._lock:
            return [each[0] for each in self._asleep if each is not None]

    def wake(self) -> None:
        """Let the thread that sleeps in `due` return."""
        lib.el_bell_ring(self._signals.pointer, self._bell)


def wait_for_any(signals: Signals, wait_set: WaitSet, timeout: float | None, check: Callable[[], object]) -> bool:
    """Sleep until a condition of the set is met; False after `timeout` seconds.

    Signal handlers run while it waits. `check` is called after every wake-up and at least once a second. It raises if the
    wait must end because a handle was closed; if it returns a true value, the wait ends with True."""
    bells = signals.pointer
    bell = lib.el_signals_bell(bells)
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        slice_ms = lib.EL_AWAIT_MS_MAX
        if deadline is not None:
            remaining_ms = max(0, int((deadline - time.monotonic()) * 1000 + 0.999))
            slice_ms = min(slice_ms, remaining_ms)
        if lib.el_await_any(bells, bell, wait_set.entries, wait_set.count, slice_ms) == lib.EL_DONE:
            return True
        if check():
            return True
        if deadline is not None and time.monotonic() >= deadline:
            return False
