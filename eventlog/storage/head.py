"""Opening the shared head of a partition: who initialises it, and when an existing one may be trusted.

Every process that has the partition open holds a shared lock on the head file. Whoever gets the lock exclusively is
alone: the first one in, who recovers a head that is not of this boot, or the last one out, who trims the segment.
Source of the idea: LMDB's lock file.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventlog._native import ffi, lib
from eventlog.storage import files
from eventlog.storage.recovery import Recovered, RecoveryReport

DAMAGED = 74  # EBADMSG as the head's poison: recovery found damage that it must not touch

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Recover = Callable[[tuple[int, int] | None], Recovered]


def _boot_id() -> bytes:
    return uuid.UUID(_BOOT_ID.read_text().strip()).bytes


class SharedHead:
    """The mapped head of one partition, with the lock that every process using it holds.

    `pointer` is the native `el_head`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pointer: Any = None
        self._descriptor = -1

    @classmethod
    def open(cls, path: Path, limits: Any, recover: Recover) -> tuple[SharedHead, RecoveryReport]:
        """Map the head; as the first process, initialise it with what `recover` finds.

        `recover` gets the last durable position that an earlier boot recorded, or None."""
        head = cls(path)
        while True:
            head._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, files.FILE_MODE)
            try:
                report = head._join(limits, recover)
            except BaseException:
                head.close()
                raise
            if report is not None:
                return head, report
            head.close()  # the process that was initialising it died: try to be the first

    def _join(self, limits: Any, recover: Recover) -> RecoveryReport | None:
        if not self.try_exclusive():
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)
            if os.fstat(self._descriptor).st_size < lib.EL_HEAD_BYTES:
                return None
            self._map()
            return RecoveryReport("trusted") if self._is_current() else None
        if os.fstat(self._descriptor).st_size < lib.EL_HEAD_BYTES:
            os.posix_fallocate(self._descriptor, 0, lib.EL_HEAD_BYTES)
        self._map()
        report = RecoveryReport("trusted")
        if not lib.el_head_is_trusted(self.pointer, _boot_id(), *self._identity()):
            report = self._initialise(limits, recover)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        return report

    def _initialise(self, limits: Any, recover: Recover) -> RecoveryReport:
        recovered = recover(self.checkpoint())
        limits.leader_epoch = recovered.leader_epoch
        lib.el_head_initialise(
            self.pointer, _boot_id(), *self._identity(), recovered.tail, limits, recovered.start_offset,
            recovered.allocated, recovered.report.damage is not None,
        )  # fmt: skip
        if recovered.report.damage is not None:
            lib.el_head_set_poison(self.pointer, DAMAGED)
        return recovered.report

    def checkpoint(self) -> tuple[int, int] | None:
        """The last durable position, as (segment base offset, bytes); None when the file does not tell."""
        found = ffi.new("el_checkpoint *")
        known = lib.el_head_former_checkpoint(self.pointer, *self._identity(), found)
        return (found.segment_base, found.position) if known else None

    def _identity(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_dev, status.st_ino

    def _is_current(self) -> bool:
        """Initialised in this boot; poison does not matter to those who only join."""
        return self.poison != 0 or bool(lib.el_head_is_trusted(self.pointer, _boot_id(), *self._identity()))

    def _map(self) -> None:
        pointer = lib.el_head_map(self._descriptor)
        if pointer == ffi.NULL:
            raise OSError(ffi.errno, os.strerror(ffi.errno), str(self.path))
        # Unmapped once nobody refers to it: a thread may be inside a native call while another one closes.
        self.pointer = ffi.gc(pointer, lib.el_head_unmap)

    @property
    def poison(self) -> int:
        """The errno of the failure that poisoned the partition, `DAMAGED`, or 0."""
        return int(lib.el_head_poison(self.pointer))

    def try_exclusive(self) -> bool:
        """Become the only process that has this partition open, if that is so."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Unmap the head and give the lock back."""
        self.pointer = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
