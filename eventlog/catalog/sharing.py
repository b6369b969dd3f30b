"""The LMDB environments that are open in this process: one for each store, whoever uses it, and never across fork().

LMDB leaves to its users that nothing is closed, resized or forked while a transaction of another thread is under way.
"""

from __future__ import annotations

import fcntl
import functools
import os
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import lmdb

from eventlog.errors import EventLogError, StoreClosedError
from eventlog.holding import Holding

_FLOCK = struct.Struct("hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, length, pid
_OTHERS_SECONDS_MAX = 10.0  # for transactions of other threads
_PAUSE_SECONDS = 0.001  # nobody tells that a transaction has ended: what ends it must not be Python code
_TEND_SECONDS = 1.0

_lock = threading.RLock()  # held for a few steps, or by a thread that forks


class Opened(NamedTuple):
    """An open environment with its named databases. `guard` is its lock file, opened once more; `byte` is that of this
    process there, as fcntl() wants it.

    LMDB shows by POSIX record locks on that file that its process lives, and the kernel drops these when the process closes any
    descriptor of the file: to copy the store's directory is enough. Then others would begin the table of readers anew, or
    take their places from readers that are alive. So the guard has an open file description lock on the byte that all
    users share, which nothing drops, and the lock on the byte of the process is taken again for each transaction."""

    environment: lmdb.Environment
    databases: dict[bytes, Any]
    is_read_only: bool
    page_bytes: int
    guard: FileIO | None = None
    byte: bytes = b""

    def show_life(self) -> None:
        """Hold the lock by which others see that the readers of this process are alive. Source: mdb_reader_pid() of mdb.c."""
        if self.guard is not None:
            try:
                fcntl.fcntl(self.guard, fcntl.F_SETLK, self.byte)
            except OSError:
                return  # LMDB takes it, too, and says what is wrong

    def close(self) -> None:
        """Close the environment, and the guard after it: to close that takes all of LMDB's locks away."""
        self.environment.close()
        if self.guard is not None:
            with suppress(OSError):
                self.guard.close()


def guarded(environment: lmdb.Environment, databases: dict[bytes, Any], is_read_only: bool, lock_file: Path | None) -> Opened:
    """An environment that was opened just now; None: it has no lock file."""
    page_bytes = int(environment.stat()["psize"])
    if lock_file is None:
        return Opened(environment, databases, is_read_only, page_bytes)
    byte = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, os.getpid(), 1, 0)
    return Opened(environment, databases, is_read_only, page_bytes, _guard_of(lock_file), byte)


def _guard_of(lock_file: Path) -> FileIO:
    guard = FileIO(lock_file, "r+")  # which is closed even if an interrupt leaves no reference to it
    fcntl.fcntl(guard, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 1, 0))
    return guard


Open = Callable[[bool], Opened]  # for reading only, or not; by a path that its caller keeps


class SharedEnvironment:
    """The environment of one data file. `users` has a token for each user.

    `opened` is None while it is closed, or could not be opened anew. Each transaction is noted, with its thread, from before it
    begins until it has ended; what needs the environment for itself waits for those of other threads, and lets none begin."""

    def __init__(self) -> None:
        self.opened: Opened | None = None
        self.users: set[object] = set()
        self.has_run_full = False
        self._is_read_only = True
        self._transactions: dict[object, int] = {}
        self._reserved_by: int | None = None
        self._tended_at = 0.0
        self._not_enlarged_at = -_OTHERS_SECONDS_MAX  # when that was tried last, without success

    @property
    def is_closed(self) -> bool:
        """Is nobody using it, or about to, and has the last user closed it? Nobody may open the files before that."""
        return not self.users and self.opened is None and self._reserved_by is None

    @property
    def environment(self) -> lmdb.Environment:
        """LMDB's object. Raises `StoreClosedError`."""
        if self.opened is None:
            raise StoreClosedError("the catalog is closed")
        return self.opened.environment

    def registered(self, token: object) -> Holding[None]:
        """Note a transaction for the length of a block."""
        return Holding(functools.partial(self.register, token), functools.partial(self.unregister, token, None))

    def register(self, token: object) -> None:
        """A transaction is about to begin. A thread that is already in one may proceed."""
        thread = threading.get_ident()
        while True:
            with _lock:
                if self._reserved_by in (None, thread) or thread in self._transactions.values():
                    self._transactions[token] = thread
                    return
            time.sleep(_PAUSE_SECONDS)

    @property
    def unregister(self) -> Callable[[object, None], object]:
        """Called with a token and None, without a step in Python: its transaction has ended."""
        return self._transactions.pop

    def is_used_by_this_thread(self) -> bool:
        """Is the calling thread in a transaction?"""
        return threading.get_ident() in self._transactions.values()

    def is_busy(self) -> bool:
        """Is any other thread at work with it?"""
        mine = (None, threading.get_ident())
        return self._reserved_by not in mine or any(thread not in mine for thread in list(self._transactions.values()))

    def alone(self, work: Callable[[], object], seconds: float = _OTHERS_SECONDS_MAX) -> bool:
        """Do something while no other thread has a transaction here. False if one did not end in time: then nothing is done."""
        thread = threading.get_ident()
        if self._reserved_by == thread:
            return False  # a signal handler has come between
        deadline = time.monotonic() + seconds
        try:
            while not self._reserve(thread) or self.is_busy():
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_PAUSE_SECONDS)
            work()
            return True
        finally:
            if self._reserved_by == thread:
                self._reserved_by = None

    def _reserve(self, thread: int) -> bool:
        with _lock:
            if self._reserved_by is None:
                self._reserved_by = thread
            return self._reserved_by == thread

    def ensure(self, open_anew: Open, *, read_only: bool) -> None:
        """Have it open; for writing, too, unless that is not wanted."""
        if self._is_open_for(read_only):
            return
        if not self.alone(functools.partial(self._reopen_unless_open, open_anew, read_only)):
            raise EventLogError("the catalog is in use by another thread of this process: try again when that thread is done")

    def _is_open_for(self, read_only: bool) -> bool:
        return self.opened is not None and (read_only or not self.opened.is_read_only)

    def _reopen_unless_open(self, open_anew: Open, read_only: bool) -> None:
        if not self._is_open_for(read_only):
            self._reopen(open_anew, read_only)

    def _reopen(self, open_anew: Open, read_only: bool) -> None:
        self._is_read_only = read_only
        self._close()
        self.opened = open_anew(read_only)
        self.opened.environment.reader_check()

    def _close(self) -> None:
        opened, self.opened = self.opened, None
        if opened is not None:
            opened.close()

    def current(self, open_anew: Open) -> Opened:
        """The environment as it is open now. If it could not be reopened, that is tried again."""
        opened = self.opened
        if opened is None:
            if not self.users:
                raise StoreClosedError("the catalog is closed")
            self.ensure(open_anew, read_only=self._is_read_only)
            return self.current(open_anew)
        return opened

    def renew(self, open_anew: Open, failed: Opened) -> bool:
        """Reopen an environment that does nothing more since a write failed, unless another thread has already done so.

        False tells that a transaction of another thread did not end in time."""
        return self.alone(lambda: self._reopen(open_anew, failed.is_read_only) if self.opened is failed else None)

    def follow(self, open_anew: Open, found: Opened) -> bool:
        """Map as much as another process has made room for. False as for `renew`."""
        return self.alone(functools.partial(self._map, open_anew, found, 0))

    def tend(self, opened: Opened) -> None:
        """Free the places of readers that were killed, once in a while: pages that such a one saw could not be used again."""
        now = time.monotonic()
        if now >= self._tended_at + _TEND_SECONDS:
            self._tended_at = now
            opened.environment.reader_check()

    def enlarge(self, open_anew: Open, opened: Opened, map_bytes: int) -> None:
        """Map more; where there is not enough address space for that, or others do not end, as much as before."""
        now = time.monotonic()
        if self.has_run_full or now >= self._not_enlarged_at + _OTHERS_SECONDS_MAX:
            self._not_enlarged_at = now
            self.alone(functools.partial(self._map, open_anew, opened, map_bytes))
            self.has_run_full = False

    def _map(self, open_anew: Open, opened: Opened, map_bytes: int) -> None:
        if self.opened is not opened:
            return
        try:
            opened.environment.set_mapsize(map_bytes)
            self._not_enlarged_at = -_OTHERS_SECONDS_MAX
        except (lmdb.Error, MemoryError):
            self._reopen(open_anew, opened.is_read_only)  # LMDB had given the old map back

    def leave(self, user: object) -> None:
        """Stop using it. The last user closes it; if a transaction is in progress, the thread that ends the last one does.

        This may be repeated, for example after an interrupt."""
        self.users.discard(user)
        if not self.users and self.opened is not None and not self.is_used_by_this_thread():
            self.alone(self._close_if_unused)

    def abandon(self, user: object) -> None:
        """The same for a user that was garbage collected, wherever that happens: it waits for nothing."""
        self.users.discard(user)
        self.leave_after_transaction()

    def leave_after_transaction(self) -> None:
        """The same for a thread that has just ended a transaction: it does not wait for others, which will do this in turn."""
        if not self.users and self.opened is not None and not self._transactions:
            self.alone(self._close_if_unused, 0.0)

    def _close_if_unused(self) -> None:
        if not self.users:
            self._close()

    def close_in_child(self) -> None:
        """Close what belongs to the parent: its locks and places of readers are bound to its process id and stay."""
        self.users.clear()
        self._close()


class Environments:
    """All environments of this process, by device and inode of the data file, which are unique while it is open."""

    def __init__(self) -> None:
        self.opened: dict[tuple[int, int], SharedEnvironment] = {}

    def share(self, key: tuple[int, int], user: object, open_anew: Open, *, read_only: bool) -> SharedEnvironment:
        """Take part in the environment of a data file, which is opened if it is not open, until `user` leaves it."""
        environment: SharedEnvironment | None = None
        try:
            with _lock:
                for closed in [each for each, shared in self.opened.items() if shared.is_closed]:
                    del self.opened[closed]
                environment = self.opened.setdefault(key, SharedEnvironment())
                environment.users.add(user)
            environment.ensure(open_anew, read_only=read_only)
        except BaseException:
            if environment is not None:
                environment.leave(user)
            raise
        return environment

    def before_fork(self) -> None:
        """Wait for the transactions of other threads, and let none begin: closing would abort them for the parent, too."""
        deadline = time.monotonic() + _OTHERS_SECONDS_MAX
        while True:
            _lock.acquire()
            if time.monotonic() >= deadline or not any(each.is_busy() for each in list(self.opened.values())):
                return
            _lock.release()
            time.sleep(_PAUSE_SECONDS)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        _lock.release()

    def after_fork_in_child(self) -> None:
        """Close copies, so that the child can open the stores itself."""
        global _lock
        _lock = threading.RLock()
        for environment in self.opened.values():
            environment.close_in_child()
        self.opened = {}
