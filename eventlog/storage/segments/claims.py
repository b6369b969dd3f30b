"""Claims: that a process works with a partition or a group, whatever becomes of the file by which it does so.

Who uses a mapped file holds a lock on it, and whoever finds nobody else there begins anew. But somebody may have deleted the
file, and then the lock tells of nobody, while others go on with the file that has no name any more. So everybody also claims
what the file is for, on the store's directory, which cannot be deleted without the store. A claim is an open file description
lock on one byte; it costs no descriptor, and vanishes with its process. A forked child closes its copy of the directory.
Source: fcntl(2), "Open file description locks".
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import os
from pathlib import Path

from eventlog.errors import StoreReplacedError
from eventlog.storage.segments.file_locks import is_byte_locked, lock_byte, lock_holders
from eventlog.storage.segments.store import StoreDirectory

_SPAN = 1 << 16  # the bytes for one thing: one for each that claims it through one handle
_NAMES = 1 << 46  # things that are told apart by their names; behind them, one byte for each file of members
_FILES = range(_NAMES * _SPAN, 2**63 - 1)


class Claims:
    """What is claimed through one handle of a store."""

    def __init__(self, directory: StoreDirectory) -> None:
        self._directory = directory
        self._serials = itertools.count()
        self.held: dict[object, int] = {}  # the byte of each

    def of(self, kind: str, name: str, number: int) -> Claim:
        """A claim to a thing; `number` tells it from a former one of the same name. Others contest it by having claimed it."""
        digest = hashlib.blake2b(f"{kind} {name} {number}".encode(), digest_size=8).digest()
        first = int.from_bytes(digest, "little") % _NAMES * _SPAN
        return Claim(self, range(first, first + _SPAN), first + next(self._serials) % _SPAN, agrees=False)

    def of_members(self, inode: int) -> Claim:
        """A claim that this file is the one with the locks of members. Others contest it by having claimed another one."""
        return Claim(self, _FILES, _FILES.start + inode % len(_FILES), agrees=True)

    def lock(self, kind: int, byte: int) -> None:
        """Take or drop the lock on one byte of the directory."""
        descriptor = self._directory.descriptor
        if descriptor >= 0:  # else all claims have gone with it
            lock_byte(descriptor, kind, byte)

    def is_locked(self, span: range) -> bool:
        """Has anybody else, through another handle, locked one of these bytes?"""
        return bool(span) and is_byte_locked(self._directory.descriptor, span.start, len(span))

    def refusal(self, path: Path) -> StoreReplacedError:
        """What to say of a file that is not the one by which others go."""
        others = [str(process) for process in lock_holders(self._directory.descriptor) if process != os.getpid()]
        holder = f"process {', '.join(others)}" if others else "this process"
        return StoreReplacedError(
            f"{path} was deleted or replaced while others were using it, and they go by the former one still: let all of them "
            f"close the store, then open it again; it is open in {holder}. Nothing was changed"
        )


class Claim:
    """One claim, held from `hold` until `release`, or until nobody refers to it. `agrees`: the same byte is no contest."""

    def __init__(self, claims: Claims, span: range, byte: int, *, agrees: bool) -> None:
        self._claims = claims
        self._span = span
        self._byte = byte
        self._agrees = agrees
        self._key = object()

    def hold(self) -> None:
        """Let the others know."""
        self._claims.held[self._key] = self._byte
        self._claims.lock(fcntl.F_RDLCK, self._byte)

    @property
    def is_contested(self) -> bool:
        """Do others, in this process or elsewhere, claim it, too?"""
        own = [byte for key, byte in list(self._claims.held.items()) if key is not self._key and byte in self._span]
        if not self._agrees:
            return bool(own) or self._claims.is_locked(self._span)
        before, behind = range(self._span.start, self._byte), range(self._byte + 1, self._span.stop)
        is_other = any(byte != self._byte for byte in own)
        return is_other or self._claims.is_locked(before) or self._claims.is_locked(behind)

    def refusal(self, path: Path) -> StoreReplacedError:
        """What to say where `path` is not what the others go by."""
        return self._claims.refusal(path)

    def release(self) -> None:
        """Claim it no longer."""
        if self._claims.held.pop(self._key, None) is not None:
            self._claims.lock(fcntl.F_UNLCK, self._byte)

    __del__ = release
