"""Opening a file that processes have mapped at once: who initialises it, and when an existing one may be trusted.

Every process that uses the file holds a shared lock on it. Whoever gets the lock exclusively is alone: the first one in,
who initialises a page that is not of this boot, or the last one out. Source of the idea: LMDB's lock file.
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

    `pointer` is the native map; None once the file is closed. `claim` is to what the file is for: where somebody has deleted
    the file, those who go on with it keep others from beginning another one."""

    _REFUSALS_MAX: ClassVar[int | None] = None
    """How often others may be found to go by a former file, before that is an error; None: until the time is over."""

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
        """How long the file has to be before it may be mapped."""

    @abstractmethod
    def _map_descriptor(self, descriptor: int) -> Any:
        """Map the file; NULL on failure."""

    _unmap: ClassVar[Callable[[Any], object]]
    """Gives the map back. Native and static: no interrupt ends it, and no cycle of references keeps what nobody has."""

    @abstractmethod
    def _is_trusted(self) -> bool:
        """Was it initialised in this boot, and is its content believed?"""

    def _is_current(self) -> bool:
        """May those join who are not the first? They have to take it as it is."""
        return self._is_trusted()

    def _take_over(self) -> None:  # noqa: B027 - only some have anything to do
        """It is believed, and nobody else has it mapped: free what is locked in it."""

    @abstractmethod
    def _initialise(self) -> None:
        """Fill it in anew; nobody else has it mapped."""

    @abstractmethod
    def _seal(self) -> None:
        """Nobody has it mapped any more: let whoever comes next see whether a bit of it has changed."""

    @abstractmethod
    def _unseal(self) -> None:
        """It is about to change."""

    def join(self) -> bool:
        """Map the file, and as the first process initialise it unless it is trusted; True if it was trusted.

        Raises `LockTimeoutError` if another process does not get done with that, or uses a file that is not as this version has
        it, and `StoreReplacedError` if others use a former file, which somebody has deleted."""
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
        if not self._is_in_place():  # asked with the claim: whoever begins another file from now on finds that
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
        # The kernel gave the exclusive lock back before it takes the shared one: another process may have been alone.
        self._share()
        return was_trusted if self._is_current() else None

    def _share(self) -> None:
        """Be one of those who use the file."""
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

        It is opened a second time for that: a map keeps the open file that it was made of, and with that its lock."""
        file = new_file()
        try:
            open_file_into(file, self.path, os.O_RDWR)
            if not self._is_same(os.fstat(file[0])):
                return False
            pointer = self._map_descriptor(file[0])
            if pointer == ffi.NULL:
                raise OSError(ffi.errno, os.strerror(ffi.errno), str(self.path))
            # Unmapped once nobody refers to it: a thread may be inside a native call while another one closes.
            self.pointer = ffi.gc(pointer, self._unmap)
        except FileNotFoundError:
            return False
        finally:
            lib.el_file_close(file)
        return True

    def check_in_place(self) -> None:
        """Raise `StoreReplacedError` if somebody has deleted the file: others would go by another one."""
        try:
            is_deleted = os.fstat(self._descriptor).st_nlink == 0
        except OSError:
            return  # another thread has closed it
        if is_deleted:
            raise StoreReplacedError.of_part(self.path)

    def grow(self, length: int) -> None:
        """Make the file at least that long, with disk space behind it: touching a hole on a full disk would be a SIGBUS."""
        make_room_to_map(self._descriptor, length)

    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        status = os.fstat(self._descriptor)
        return status.st_dev, status.st_ino

    def try_exclusive(self) -> bool:
        """Become the only process that uses this file, if that is so."""
        if self._descriptor < 0:
            return False  # closed, or let go of
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def let_go(self) -> None:
        """Be none of its users any more, and keep the map, which others may still change: it is of use to nobody new."""
        self._has_joined = False
        self._claim.release()
        lib.el_file_unlock(self._file)

    def close(self) -> None:
        """Unmap the file and give the lock back; the last one to do so seals it."""
        is_ours = self._process_id == os.getpid()
        try:
            if self._has_joined and is_ours and self.try_exclusive():
                self._seal()
        finally:
            self._has_joined = False
            self.pointer = None
            self._claim.release()  # first: who finds nobody with the file is to find no claim either
            (lib.el_file_unlock if is_ours else lib.el_file_close)(self._file)  # in a forked child the lock is the parent's

    @property
    def _descriptor(self) -> int:
        return int(self._file[0])
