"""Who is alive: each member of a group holds a lock that vanishes with its process.

The lock is a POSIX record lock on one byte of a file, at the member's epoch. Such locks belong to the process: a child of
fork() does not inherit them, unlike flock and open file description locks. But they are all lost when any descriptor of the
file is closed in the process; so the file is opened once and shared by all who use the store. Source: fcntl(2).
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
from pathlib import Path

from eventlog.access import open_file
from eventlog.errors import EventLogError, tells_failures
from eventlog.storage import files

_FLOCK = struct.Struct("hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, length, pid


class _Files:
    """The lock files that this process has open, with the epochs that it holds in them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users: dict[tuple[int, int], int] = {}
        self.descriptors: dict[tuple[int, int], int] = {}
        self.held: dict[tuple[int, int], set[int]] = {}

    def share(self, path: Path) -> tuple[int, int]:
        """Open the file, or take part in the open one."""
        with self.lock:
            os.close(open_file(path))
            status = path.stat()
            key = status.st_dev, status.st_ino
            if key not in self.descriptors:
                self.descriptors[key] = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                self.held[key] = set()
            self.users[key] = self.users.get(key, 0) + 1
            return key

    def give_back(self, key: tuple[int, int]) -> None:
        """Close the file if this was its last user."""
        with self.lock:
            if key not in self.users:
                return  # a forked child
            self.users[key] -= 1
            if self.users[key] == 0:
                del self.users[key], self.held[key]
                files.close(self.descriptors.pop(key))

    def after_fork_in_child(self) -> None:
        """Forget what belongs to the parent. Closing its descriptors here takes no lock from it."""
        for descriptor in self.descriptors.values():
            files.close(descriptor)
        self.__init__()  # type: ignore[misc]


_files = _Files()
os.register_at_fork(after_in_child=_files.after_fork_in_child)


@tells_failures()
class MemberLocks:
    """The locks of a store's group members."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key = _files.share(path)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._path}>"

    def hold(self, epoch: int) -> None:
        """Be alive as the member with this epoch, from now until this process ends or `release`."""
        with _files.lock:
            try:
                fcntl.lockf(_files.descriptors[self._key], fcntl.LOCK_EX, 1, epoch)
            except OSError as error:
                raise EventLogError(f"the lock of member {epoch} in {self._path} cannot be had: {error}") from error
            _files.held[self._key].add(epoch)

    def release(self, epoch: int) -> None:
        """Be that member no longer."""
        with _files.lock:
            if epoch in _files.held.get(self._key, ()):
                _files.held[self._key].discard(epoch)
                fcntl.lockf(_files.descriptors[self._key], fcntl.LOCK_UN, 1, epoch)

    def is_alive(self, epoch: int) -> bool:
        """Does any process hold this member's lock?"""
        with _files.lock:
            if epoch in _files.held[self._key]:
                return True  # a process's own locks are never in its way
            question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, epoch, 1, 0)
            answer = fcntl.fcntl(_files.descriptors[self._key], fcntl.F_GETLK, question)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)

    def close(self) -> None:
        """Give the file back."""
        _files.give_back(self._key)
