"""Opening a file that several processes map: which process initialises it, and when an existing file may be trusted.

Every process that uses the file holds a shared lock on it. A process that gets the lock exclusively is alone: it is the first
one in, which initialises a page that is not from this boot, or the last one out. Source of the idea: LMDB's lock file.
"""

from __future__ import annotations

import fcntl
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from eventlog._native import ffi, lib
from eventlog.access import make_room_to_map, new_file, open_file_into
from eventlog.errors import LockTimeoutError, StoreReplacedError, translates_os_errors
from eventlog.storage.segments.claims import Claim
from eventlog.storage.segments.file_locks import attempts, lock_within


@translates_os_errors()
class SharedFile(ABC):
    """A mapped file, with the lock that every process using it holds.

    `pointer` is the native map; None once the file is closed. `claim` is on the subject of the file: if the file is deleted,
    the processes that still use it prevent others from starting a new one."""

    _REFUSALS_MAX: ClassVar[int | None] = None
    """How often others may be found using a former file before that is an error; None: until the timeout."""

    def __init__(self, path: Path, claim: Claim, *, lock_timeout_ms: int) -> None:
        self.path = path
        self._claim = claim
        self._refusals = 0
        self._lock_timeout_ms = lock_timeout_ms
        self.pointer: Any = None
        self._file = new_file()
        self._process_id = os.getpid()
        self._has_joined = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    @abstractmethod
    def _bytes_min(self) -> int:
        """The minimum length of the file, in bytes, before it may be mapped."""

    @abstractmethod
    def _map_descriptor(self, descriptor: int) -> Any:
        """Map the file; NULL on failure."""

    _unmap: ClassVar[Callable[[Any], object]]
    """Unmaps the file. Native and static: an interrupt cannot stop it, and no reference cycle keeps an unused map alive."""

    @abstractmethod
    def _is_trusted(self) -> bool:
        """Was the file initialised in this boot, and can its content be trusted?"""

    def _is_current(self) -> bool:
        """May processes join that are not the first? They must take the file as it is."""
        return self._is_trusted()

    def _take_over(self) -> None:  # noqa: B027 - only some have anything to do
        """Release the locks in a trusted file that no other process has mapped."""

    @abstractmethod
    def _initialise(self) -> None:
        """Initialise the content; no other process has the file mapped."""

    @abstractmethod
    def _seal(self) -> None:
        """Seal the file, so that the next process to open it can tell whether a bit has changed; no other has it mapped."""

    @abstractmethod
    def _unseal(self) -> None:
        """Remove the seal, because the content is about to change."""

    def join(self) -> bool:
        """Map the file, and as the first process initialise it unless it is trusted; True if it was trusted.

        Raises `LockTimeoutError` if another process does not finish doing so, or uses a file whose layout is not that of this
        version, and `StoreReplacedError` if others use a former file that has been deleted."""
        for _ in attempts(self._lock_timeout_ms):
            try:
                open_file_into(self._file, self.path)
                was_trusted = self._join()
                if was_trusted is not None:
                    self._unseal()
            except BaseException:
                self.close()
                raise
            if was_trusted is not None:
                self._has_joined = True
                return was_trusted
            self.close()  # the process that was initialising it died, or it was deleted: try to be the first
            if self._refusals == self._REFUSALS_MAX:
                break
        if self._refusals:
            raise self._claim.refusal(self.path)
        raise LockTimeoutError(
            f"{self.path} is in use, but its layout is not that of this version of eventlog: "
            "another version has the store open, or the file is damaged; first close the store in all processes"
        )

    def _join(self) -> bool | None:
        is_alone = self.try_exclusive()
        if not is_alone:
            self._share()
        self._claim.hold()
        if not self._is_in_place():  # checked with the claim held: any process that starts another file from now on finds it
            return None
        if not is_alone:
            if os.fstat(self._descriptor).st_size < self._bytes_min() or not self._map():
                return None
            return True if self._is_current() else None
        if self._claim.is_contested:
            self._refusals += 1
            return None
        self.grow(self._bytes_min())
        if not self._map():
            return None
        was_trusted = self._is_trusted()
        if was_trusted:
            self._take_over()
        else:
            self._initialise()
        # The kernel releases the exclusive lock before it takes the shared one: another process may have been alone meanwhile.
        self._share()
        return was_trusted if self._is_current() else None

    def _share(self) -> None:
        """Take the shared lock, as one of the file's users."""
        lock_within(self._descriptor, fcntl.LOCK_SH, self._lock_timeout_ms, f"has been opening or closing {self.path}")

    def _is_in_place(self) -> bool:
        try:
            return self._is_same(os.stat(self.path))
        except FileNotFoundError:
            return False

    def _is_same(self, status: os.stat_result) -> bool:
        return (status.st_dev, status.st_ino) == self.identity()

    def _map(self) -> bool:
        """Map the file; False if it was deleted meanwhile.

        The file is opened a second time for this: a map keeps its open file alive, and with it the lock."""
        file = new_file()
        try:
            open_file_into(file, self.path, os.O_RDWR)
            if not self._is_same(os.fstat(file[0])):
                return False
            pointer = self._map_descriptor(file[0])
            if pointer == ffi.NULL:
                raise OSError(ffi.errno, os.strerror(ffi.errno), str(self.path))
            # Unmapped once nothing refers to it: a thread may be inside a native call while another thread closes the file.
            self.pointer = ffi.gc(pointer, self._unmap)
        except FileNotFoundError:
            return False
        finally:
            lib.el_file_close(file)
        return True

    def check_in_place(self) -> None:
        """Raise `StoreReplacedError` if the file has been deleted: other processes would use a different one."""
        try:
            is_deleted = os.fstat(self._descriptor).st_nlink == 0
        except OSError:
            return  # another thread has closed it
        if is_deleted:
            raise StoreReplacedError.of_part(self.path)

    def grow(self, length: int) -> None:
        """Make the file at least that long, with disk space allocated: touching a hole on a full disk would cause a SIGBUS."""
        make_room_to_map(self._descriptor, length)

    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        status = os.fstat(self._descriptor)
        return status.st_dev, status.st_ino

    def try_exclusive(self) -> bool:
        """Take the exclusive lock if no other process uses this file; False if one does."""
        if self._descriptor < 0:
            return False  # closed, or released by `release`
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Stop being one of its users, but keep the map, which others may still change: no new process will use the file."""
        self._has_joined = False
        self._claim.release()
        lib.el_file_unlock(self._file)

    def close(self) -> None:
        """Unmap the file and release the lock; the last process to do so seals the file."""
        is_ours = self._process_id == os.getpid()
        try:
            if self._has_joined and is_ours and self.try_exclusive():
                self._seal()
        finally:
            self._has_joined = False
            self.pointer = None
            self._claim.release()  # first: a process that finds the file unused must find no claim either
            (lib.el_file_unlock if is_ours else lib.el_file_close)(self._file)  # in a forked child the lock is the parent's

    @property
    def _descriptor(self) -> int:
        return int(self._file[0])
