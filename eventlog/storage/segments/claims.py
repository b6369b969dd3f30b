"""Claims: they show that a process uses a partition or a group, whatever happens to the mapped file that it uses for this.

A process that uses a mapped file holds a lock on it, and a process that finds no other user initialises the file. But if the
file was deleted, the lock shows no users, while others continue with the file that no longer has a name. So every process also
claims the file's subject, on the store's directory, which cannot be deleted without the store. A claim is an open file
description lock on one byte; it costs no descriptor, and vanishes with its process. A forked child closes its copy of the
directory.
Source: fcntl(2), "Open file description locks".
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import os
from pathlib import Path

from eventlog.errors import StoreReplacedError
from eventlog.storage.segments.file_locks import is_byte_locked, lock_byte, lock_holders
from eventlog.storage.segments.store import OpenDirectory

_SPAN = 1 << 16  # the bytes for one subject: one for each claim to it through one handle
_NAMES = 1 << 46  # subjects that are distinguished by their names; after them, one byte for each file of members
_FILES = range(_NAMES * _SPAN, 2**63 - 1)


class Claims:
    """The claims made through one handle of a store."""

    def __init__(self, directory: OpenDirectory) -> None:
        self._directory = directory
        self._serials = itertools.count()
        self.held: dict[object, int] = {}  # the byte of each claim

    def of(self, kind: str, name: str, number: int) -> Claim:
        """A claim to a subject; `number` distinguishes it from earlier ones of the same name. Other claims to it contest it."""
        digest = hashlib.blake2b(f"{kind} {name} {number}".encode(), digest_size=8).digest()
        first = int.from_bytes(digest, "little") % _NAMES * _SPAN
        return Claim(self, range(first, first + _SPAN), first + next(self._serials) % _SPAN, agrees=False)

    def of_members(self, inode: int) -> Claim:
        """A claim that this file is the one with the members' locks. Claims to a different file contest it."""
        return Claim(self, _FILES, _FILES.start + inode % len(_FILES), agrees=True)

    def lock(self, kind: int, byte: int) -> None:
        """Take or drop the lock on one byte of the directory."""
        descriptor = self._directory.descriptor
        if descriptor < 0:
            return  # all claims vanished with it
        try:
            lock_byte(descriptor, kind, byte)
        except OSError as error:
            if kind != fcntl.F_UNLCK or error.errno != errno.EBADF:
                raise  # otherwise another thread has just closed the directory

    def is_locked(self, span: range) -> bool:
        """Is one of these bytes locked through another handle?"""
        return bool(span) and is_byte_locked(self._directory.descriptor, span.start, len(span))

    def refusal(self, path: Path) -> StoreReplacedError:
        """The error for a file that is not the one that others use."""
        others = [str(process) for process in lock_holders(self._directory.descriptor) if process != os.getpid()]
        holder = f"process {', '.join(others)}" if others else "this process"
        return StoreReplacedError(
            f"{path} was deleted or replaced while others were using it, and they still use the former one: let all of them "
            f"close the store, then open it again; it is open in {holder}. Nothing was changed"
        )


class Claim:
    """One claim, held from `hold` until `release`, or until nothing refers to it. `agrees`: the same byte is not a contest."""

    def __init__(self, claims: Claims, span: range, byte: int, *, agrees: bool) -> None:
        self._claims = claims
        self._span = span
        self._byte = byte
        self._agrees = agrees
        self._key = object()

    def hold(self) -> None:
        """Make the claim, so that others can see it."""
        self._claims.held[self._key] = self._byte
        self._claims.lock(fcntl.F_RDLCK, self._byte)

    @property
    def is_contested(self) -> bool:
        """Is the claim contested by others, in this process or elsewhere?"""
        own = [byte for key, byte in list(self._claims.held.items()) if key is not self._key and byte in self._span]
        if not self._agrees:
            return bool(own) or self._claims.is_locked(self._span)
        before, behind = range(self._span.start, self._byte), range(self._byte + 1, self._span.stop)
        is_other = any(byte != self._byte for byte in own)
        return is_other or self._claims.is_locked(before) or self._claims.is_locked(behind)

    def refusal(self, path: Path) -> StoreReplacedError:
        """The error to raise if `path` is not the file that others use."""
        return self._claims.refusal(path)

    def release(self) -> None:
        """Give the claim up."""
        if self._claims.held.pop(self._key, None) is not None:
            self._claims.lock(fcntl.F_UNLCK, self._byte)

    __del__ = release
