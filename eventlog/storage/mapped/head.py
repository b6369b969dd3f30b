"""The shared head of a partition: recovery initialises it, and within one boot every process trusts it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from eventlog._native import ffi, lib
from eventlog.errors import StoreClosedError
from eventlog.storage.mapped.file import SharedFile
from eventlog.storage.mapped.head_checks import agrees_with_files, has_its_segments
from eventlog.storage.mapped.poison import DAMAGED
from eventlog.storage.mapped.producer_page import forget_table
from eventlog.storage.segments.boot import boot_id
from eventlog.storage.segments.claims import Claim
from eventlog.storage.segments.recovery import Checkpoint, Recovered, RecoveryReport

Recover = Callable[[Checkpoint | None], Recovered]


class Head(Protocol):
    """What an open partition needs of its head. `pointer` is the native `el_head`, None once it is closed."""

    @property
    def pointer(self) -> Any: ...

    @property
    def may_have_gaps(self) -> bool: ...

    @property
    def poison(self) -> int: ...

    def checkpoint(self) -> Checkpoint | None:
        """The last durable position, if it is known."""

    def check_in_place(self) -> None:
        """React to changes of the file."""

    def try_exclusive(self) -> bool:
        """Is no other process using the partition, and none able to begin?"""

    def release(self) -> None:
        """Stop being one of the head's users."""

    def close(self) -> None:
        """Give the page back."""


class SharedHead(SharedFile):
    """The mapped head of one partition. `pointer` is the native `el_head`."""

    def __init__(
        self, path: Path, claim: Claim, directory: Path, limits: Any, recover: Recover, producers: Path, *,
        may_have_gaps: bool, lock_timeout_ms: int,
    ) -> None:  # fmt: skip
        super().__init__(path, claim, lock_timeout_ms=lock_timeout_ms)
        self._directory = directory
        self._limits = limits
        self._recover = recover
        self._producers = producers
        self._may_have_gaps = may_have_gaps
        self._report = RecoveryReport("trusted")

    @classmethod
    def open(
        cls, path: Path, claim: Claim, directory: Path, limits: Any, recover: Recover, producers: Path, *,
        may_have_gaps: bool, lock_timeout_ms: int,
    ) -> tuple[SharedHead, RecoveryReport]:  # fmt: skip
        """Map the head; as the first process, initialise it with what `recover` finds.

        `recover` gets the last durable position that an earlier boot recorded, or None. `producers` is the file of the
        partition's producers."""
        head = cls(
            path, claim, directory, limits, recover, producers,
            may_have_gaps=may_have_gaps, lock_timeout_ms=lock_timeout_ms,
        )  # fmt: skip
        head.join()
        return head, head._report

    def _bytes_min(self) -> int:
        return int(lib.EL_HEAD_BYTES)

    def _map_descriptor(self, descriptor: int) -> Any:
        return lib.el_head_map(descriptor)

    _unmap = staticmethod(lib.el_head_unmap)

    def _take_over(self) -> None:
        if lib.el_head_producers_offset(self.pointer) >= 0:
            forget_table(self._producers)

    def _initialise(self) -> None:
        forget_table(self._producers)
        recovered = self._recover(self.checkpoint())
        self._limits.leader_epoch = recovered.leader_epoch
        lib.el_head_initialise(
            self.pointer, boot_id(), *self.identity(), recovered.tail, self._limits, recovered.start_offset,
            recovered.allocated, self._may_have_gaps, recovered.report.damage is not None,
        )  # fmt: skip
        if recovered.report.damage is not None:
            lib.el_head_set_poison(self.pointer, DAMAGED)
        self._report = recovered.report

    def checkpoint(self) -> Checkpoint | None:
        """The last durable position; None if the file does not contain it."""
        found = ffi.new("el_checkpoint *")
        known = lib.el_head_former_checkpoint(self.pointer, *self.identity(), found)
        return Checkpoint(found.segment_base, found.position, found.offset) if known else None

    def _is_trusted(self) -> bool:
        """Is it from this boot, and unchanged since it was sealed or, if no process sealed it, consistent with the files?

        No other process has it mapped. If it is locked nevertheless, the file system was rolled back to a time when the holder
        was alive: whatever was not on disk then may be missing anywhere."""
        is_free = not lib.el_head_is_locked(self.pointer)
        is_known = self._is_of_this_boot() and is_free and has_its_segments(self._directory, self.pointer)
        return is_known and (self._is_sealed() or agrees_with_files(self._directory, self.pointer, self.identity()))

    def _is_of_this_boot(self) -> bool:
        return bool(lib.el_head_is_trusted(self.pointer, boot_id(), *self.identity()))

    def _is_sealed(self) -> bool:
        return bool(lib.el_head_is_sealed(self.pointer))

    def _is_current(self) -> bool:
        """Was it initialised in this boot? Poison does not matter to a process that only joins."""
        return self.poison != 0 or self._is_of_this_boot()

    def _seal(self) -> None:
        if self.poison == 0:
            lib.el_head_seal(self.pointer)

    def _unseal(self) -> None:
        lib.el_head_unseal(self.pointer)

    def _open_pointer(self) -> Any:
        pointer = self.pointer
        if pointer is None:
            raise StoreClosedError(f"the partition in {self._directory} is closed")
        return pointer

    @property
    def may_have_gaps(self) -> bool:
        """May records be missing from the middle, because compaction or repair has removed them or may do so?"""
        return bool(lib.el_head_may_have_gaps(self._open_pointer()))

    @property
    def poison(self) -> int:
        """The errno of the failure that poisoned the partition, `DAMAGED`, or 0."""
        return int(lib.el_head_poison(self._open_pointer()))
