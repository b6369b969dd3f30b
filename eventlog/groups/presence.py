"""Which members are alive: each member of a group in a local process holds a lock that vanishes with the process.

The lock is an open file description lock on one byte of a file, at the member's epoch. It belongs to the file description
that one open() call created, so nothing else that the process does with the file releases it. A POSIX record lock, in
contrast, is lost as soon as the process closes any descriptor of the file, including one of another handle of the store, or
one that was opened to copy its directory. The price is that a child of fork() shares the lock and would hold it after its
parent's death; so the child closes its copy before anything else runs there.
Source: fcntl(2), "Open file description locks".
"""

from __future__ import annotations

import fcntl
import os
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from eventlog.access import open_file
from eventlog.errors import (
    EventLogError,
    LockTimeoutError,
    ReadOnlyStoreError,
    StoreClosedError,
    StoreReplacedError,
    translates_os_errors,
)
from eventlog.storage.segments import files
from eventlog.storage.segments.claims import Claim, Claims
from eventlog.storage.segments.file_locks import attempts, is_byte_locked, lock_byte

_ENDING_MS = 100  # for how long a killed process may still have some of its files open


def _close(opened: list[int]) -> None:
    while opened:
        files.close(opened.pop())


class Presence(Protocol):
    """Knows which members of a store's groups are alive, each by its epoch. Safe for several threads."""

    def announce(self, epoch: int) -> None:
        """Mark the member with this epoch as alive, until it dies or `withdraw` is called. Raises `EventLogError`."""

    def withdraw(self, epoch: int) -> None:
        """Mark the member as no longer alive; it need not have been alive."""

    def is_alive(self, epoch: int) -> bool:
        """Is this member alive, no matter which process announced it?"""


class _Handles:
    """Everything in this process that may hold locks of members."""

    def __init__(self) -> None:
        self.all: weakref.WeakSet[ProcessPresence] = weakref.WeakSet()
        self.opening = threading.RLock()  # prevents a fork while only the kernel knows a descriptor

    def before_fork(self) -> None:
        """Wait for other threads that are opening a file."""
        self.opening.acquire()

    def after_fork_in_parent(self) -> None:
        """Let other threads open files again."""
        self.opening.release()

    def after_fork_in_child(self) -> None:
        """Close the child's copies, so that the parent's locks last exactly as long as the parent."""
        for presence in list(self.all):
            presence.leave_to_parent()
        self.__init__()  # type: ignore[misc]


_handles = _Handles()
os.register_at_fork(
    before=_handles.before_fork,
    after_in_parent=_handles.after_fork_in_parent,
    after_in_child=_handles.after_fork_in_child,
)


@translates_os_errors()
class ProcessPresence:
    """The `Presence` of members that live and die with a process, based on their locks on a file.

    Any number of these may be in use in one process, for any number of paths to the store. Safe for several threads."""

    def __init__(self, path: Path, *, lock_timeout_ms: int) -> None:
        self._path = path
        self._lock_timeout_ms = lock_timeout_ms
        self._lock = threading.RLock()  # a signal handler may close the object whose call it interrupted
        self._held: set[int] = set()
        self._opened: list[int] = []
        self._claim: Claim | None = None
        weakref.finalize(self, _close, self._opened).atexit = False
        os.close(open_file(path))  # creates the file
        _handles.all.add(self)
        with _handles.opening:  # and no signal handler, which may fork, runs between opening and recording it
            self._opened.extend(map(os.open, (path,), (os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW,)))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._path}>"

    @classmethod
    def claimed(cls, path: Path, claims: Claims, *, lock_timeout_ms: int) -> ProcessPresence:
        """Open the file and claim it, for a process that is going to have members. Raises `StoreReplacedError` if members of
        other processes, or of another handle, hold their locks on an earlier file that has been deleted: they would seem
        dead."""
        for _ in attempts(_ENDING_MS):
            presence = cls(path, lock_timeout_ms=lock_timeout_ms)
            try:
                if presence.claim_file(claims):
                    return presence
                presence.close()
            except BaseException:
                presence.close()
                raise
        raise claims.refusal(path)

    def claim_file(self, claims: Claims) -> bool:
        """Claim that this file is the one with the members' locks; returns whether it is."""
        self._claim = claims.of_members(os.fstat(self._descriptor()).st_ino)
        self._claim.hold()
        return os.fstat(self._descriptor()).st_nlink > 0 and not self._claim.is_contested

    def check_not_replaced(self) -> None:
        """Raise `StoreReplacedError` if the file has been deleted."""
        with self._lock:
            if self._opened and os.fstat(self._opened[0]).st_nlink == 0:
                raise StoreReplacedError.of_part(self._path)

    def _descriptor(self) -> int:
        if not self._opened:
            raise StoreClosedError(f"{self!r} is closed")
        return self._opened[0]

    def announce(self, epoch: int) -> None:
        """Mark the member with this epoch as alive, until this process ends or `withdraw` is called.

        A process that is killed while it joins releases the catalog before the kernel closes its files. The next member to
        join gets the same epoch, and waits until they are closed. Raises `EventLogError`, `LockTimeoutError`."""
        for _ in attempts(self._lock_timeout_ms):
            with suppress(BlockingIOError):
                self._try_to_hold(epoch)
                return
        raise LockTimeoutError(f"a killed process, member {epoch} in {self._path}, has not ended yet: wait until it has")

    def _try_to_hold(self, epoch: int) -> None:
        with self._lock:
            self._held.add(epoch)
            try:
                lock_byte(self._descriptor(), fcntl.F_WRLCK, epoch)
            except BlockingIOError:
                self._held.discard(epoch)
                raise
            except OSError as error:
                self._held.discard(epoch)
                raise EventLogError(f"the lock of member {epoch} in {self._path} cannot be acquired: {error}") from error

    def withdraw(self, epoch: int) -> None:
        """Mark the member as no longer alive."""
        with self._lock:
            if epoch in self._held and self._opened:
                self._held.discard(epoch)
                lock_byte(self._opened[0], fcntl.F_UNLCK, epoch)

    def is_alive(self, epoch: int) -> bool:
        """Does any process hold this member's lock?"""
        with self._lock:
            if epoch in self._held:
                return True  # an object's own locks never conflict with it, so the kernel cannot tell
            return is_byte_locked(self._descriptor(), epoch)

    def leave_to_parent(self) -> None:
        """Close the file without releasing any lock: what a forked child does with its copy."""
        self._lock = threading.RLock()  # a thread that does not exist in the child may have held the former one
        self._held.clear()
        _close(self._opened)

    def close(self) -> None:
        """Release all locks, and close the file. A second call does nothing."""
        with self._lock:
            self._held.clear()
            if self._opened:
                # Explicitly, because a child that was forked outside Python shares the locks.
                lock_byte(self._opened[0], fcntl.F_UNLCK, 0, length=0)
            if self._claim is not None:
                self._claim.release()
            _close(self._opened)


@translates_os_errors()
class ObservedPresence:
    """The `Presence` of members of other processes, for a process that has none and changes nothing.

    Safe for several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: list[int] = []
        weakref.finalize(self, _close, self._opened).atexit = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._path}>"

    def announce(self, epoch: int) -> None:
        """Raises `ReadOnlyStoreError`."""
        raise ReadOnlyStoreError(f'{self!r} announces no member: open the store without mode="r"')

    def withdraw(self, epoch: int) -> None:
        """Do nothing: there is none."""

    def is_alive(self, epoch: int) -> bool:
        """Does any process hold this member's lock?"""
        if not self._opened:
            with suppress(FileNotFoundError):  # nobody has had a member since the file was deleted
                self._opened.append(os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
        return bool(self._opened) and is_byte_locked(self._opened[0], epoch)

    def check_not_replaced(self) -> None:
        """Nothing to check: nobody relies on it."""

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        _close(self._opened)
