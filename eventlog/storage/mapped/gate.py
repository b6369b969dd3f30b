"""A gate that admits one thread of all processes, for as long as it needs; the others wait for a bounded time."""

from __future__ import annotations

import functools
import struct
from pathlib import Path
from typing import Any

from eventlog._native import lib
from eventlog.errors import LockTimeoutError
from eventlog.holding import Holding
from eventlog.storage.mapped.file import SharedFile
from eventlog.storage.mapped.mutexes import held
from eventlog.storage.segments.claims import Claim

_HOLDER = struct.Struct("=8xi")  # native/store/gate.h


def gate_holder(path: Path) -> int | None:
    """The process that is inside a gate, without entering it; None if the gate is free or does not exist."""
    try:
        with path.open("rb") as file:
            page = file.read(_HOLDER.size)
    except FileNotFoundError:
        return None
    return _HOLDER.unpack(page)[0] or None if len(page) == _HOLDER.size else None


class Gate(SharedFile):
    """A mutex in a file. The kernel releases it when the process that holds it dies.

    `doing` describes the holder's work, for the message. Raises `OSError` and `LockTimeoutError`."""

    def __init__(self, path: Path, claim: Claim, doing: str, *, lock_timeout_ms: int) -> None:
        super().__init__(path, claim, lock_timeout_ms=lock_timeout_ms)
        self._doing = doing
        self.join()

    def _bytes_min(self) -> int:
        return int(lib.EL_GATE_BYTES)

    def _map_descriptor(self, descriptor: int) -> Any:
        return lib.el_gate_map(descriptor)

    _unmap = staticmethod(lib.el_gate_unmap)

    def _is_trusted(self) -> bool:
        """Never trust the state that earlier processes left: it may be a mutex whose holder no longer exists."""
        return False

    def _is_current(self) -> bool:
        return bool(lib.el_gate_is_ready(self.pointer))

    def _initialise(self) -> None:
        lib.el_gate_initialise(self.pointer)

    def _seal(self) -> None:
        """Do nothing: the state left behind is never read."""

    def _unseal(self) -> None:
        """Do nothing: it was never sealed."""

    def passed(self) -> Holding[None]:
        """Be alone inside for the duration of a block. A thread must not enter it twice.

        Raises `LockTimeoutError`, which names the process that is inside."""
        pointer = self.pointer
        return held(
            lambda timeout_ms, holder: int(lib.el_gate_enter(pointer, timeout_ms, holder)),
            functools.partial(lib.el_gate_release, pointer),
            self._lock_timeout_ms,
            self._refusal,
        )

    def _refusal(self, status: int, holder: int) -> LockTimeoutError:
        if status == lib.EL_HELD_ALREADY:
            return LockTimeoutError(
                f"this thread {self._doing} already: a signal handler must not do so while it interrupts such a call"
            )
        process = f"process {holder}" if holder > 0 else "another process"
        return LockTimeoutError(
            f"{process} {self._doing} for more than {self._lock_timeout_ms} ms; if it is stopped, continue or kill it"
        )
