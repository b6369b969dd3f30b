"""The mapped page of a share group and a partition: which records its workers have, and which they have finished.

`native/store/share.h` describes the layout, and who may change what.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.errors import EventLogError, LockTimeoutError, StaleMemberError, StoreClosedError
from eventlog.storage.mapped.file import SharedFile
from eventlog.storage.mapped.offset_slots import SEATS, OffsetSlot
from eventlog.storage.segments.boot import boot_id
from eventlog.storage.segments.claims import Claim
from eventlog.waiting import Signals, WaitSet

SHARE_OWNER = int(lib.EL_SHARE_OWNER)
"""The owner of the slots of a share group: no member has this epoch."""

WINDOW_MAX = int(lib.EL_SHARE_WINDOW_MAX)
"""How many records a window may have."""


class ShareStates(NamedTuple):
    """How many records of a window are in each state."""

    available: int
    waiting: int
    reserved: int
    acquired: int
    acknowledged: int
    archived: int


class ShareCounters(NamedTuple):
    """What has happened to records since the page was initialised. None is exact after a process has died."""

    acknowledged: int
    archived: int
    released: int
    expired: int


class Seated(NamedTuple):
    """A member that may have claimed records, by its seat and its epoch."""

    seat: int
    member_epoch: int


class ShareLimits(NamedTuple):
    """How long a claim lasts, how many records may lie between the floor and the last claimed one, and after how many
    deliveries a record that is not finished is archived."""

    lock_ms: int
    locks_max: int
    delivery_limit: int


class SharePage(SharedFile):
    """`pointer` is the native `el_share_page`; `incarnation` is the group's. A page follows the slot of its partition: the
    first worker that claims from a new one begins at the committed offset."""

    def __init__(
        self, path: Path, claim: Claim, incarnation: int, *, lock_timeout_ms: int, words_count: int = WINDOW_MAX
    ) -> None:
        super().__init__(path, claim, lock_timeout_ms=lock_timeout_ms)
        self._incarnation = incarnation
        self._words_count = words_count
        self.join()

    def _bytes_min(self) -> int:
        return int(lib.el_share_bytes(self._words_count))

    def _map_descriptor(self, descriptor: int) -> Any:
        return lib.el_share_map(descriptor)

    _unmap = staticmethod(lib.el_share_unmap)

    def _length(self) -> int:
        return os.fstat(self._descriptor).st_size

    def _is_trusted(self) -> bool:
        identity = boot_id(), *self.identity()
        return bool(lib.el_share_is_trusted(self.pointer, *identity, self._incarnation, self._length()))

    def _is_current(self) -> bool:
        if self._is_trusted():
            return True
        # Others still use the page of a deleted group, which they will notice; this group gets a file of its own.
        self.path.unlink(missing_ok=True)
        return False

    def _take_over(self) -> None:
        lib.el_share_free(self.pointer)

    def _initialise(self) -> None:
        lib.el_share_initialise(self.pointer, boot_id(), *self.identity(), self._incarnation, self._words_count)

    def _seal(self) -> None:
        lib.el_share_seal(self.pointer, self._length())

    def _unseal(self) -> None:
        lib.el_share_unseal(self.pointer)

    @property
    def page(self) -> Any:
        """The native `el_share_page`. Raises `StoreClosedError` once this process has closed it."""
        if self.pointer is None:
            raise StoreClosedError(f"{self!r} is closed")
        return self.pointer

    @property
    def floor(self) -> int:
        """The offset before which every record is finished."""
        return int(lib.el_share_floor(self.page))

    @property
    def next_offset(self) -> int:
        """The first offset that was never claimed."""
        return int(lib.el_share_next(self.page))

    @property
    def changes(self) -> int:
        """Increases whenever a record is given back."""
        return int(lib.el_share_changes(self.page))

    @property
    def due_ms(self) -> int | None:
        """Milliseconds until a lock ends or a delay is over, at the earliest; None if there is neither."""
        due_ms = int(lib.el_share_due_ms(self.page))
        return None if due_ms < 0 else due_ms

    def await_change(self, wait_set: WaitSet, known_changes: int) -> None:
        """Add to the set a wait for more changes than the known number."""
        wait_set.add_share_change(self.page, known_changes)

    def states(self) -> ShareStates:
        """How many records of the window are in each state now."""
        counts = ffi.new("int64_t[]", lib.EL_SHARE_STATES)
        lib.el_share_count(self.page, counts)
        return ShareStates(*ffi.unpack(counts, lib.EL_SHARE_STATES)[lib.EL_SHARE_AVAILABLE :])

    def counters(self) -> ShareCounters:
        """What has happened since the page was initialised."""
        counters = ffi.new("int64_t[]", len(ShareCounters._fields))
        lib.el_share_counters(self.page, counters)
        return ShareCounters(*ffi.unpack(counters, len(ShareCounters._fields)))

    def seated(self) -> list[Seated]:
        """The members that may have claimed records."""
        seats, epochs = ffi.new("uint32_t[]", SEATS), ffi.new("int64_t[]", SEATS)
        count = lib.el_share_seated(self.page, seats, epochs)
        return [Seated(seats[index], epochs[index]) for index in range(count)]


class ShareClaim:
    """Room for what one thread claims at once: `offsets` and `words`, `count` of each, belong together."""

    def __init__(self, capacity: int) -> None:
        self.offsets: Any = ffi.new("int64_t[]", capacity)
        self.words: Any = ffi.new("uint64_t[]", capacity)
        self.native: Any = ffi.new("el_claim *")
        self.native.offsets, self.native.words = self.offsets, self.words

    @property
    def count(self) -> int:
        """How many records were claimed, and are still here."""
        return int(self.native.count)

    def items(self) -> list[tuple[int, int]]:
        """Offset and word of each record, by offset unless some were given back before."""
        count = self.count
        return list(zip(ffi.unpack(self.offsets, count), ffi.unpack(self.words, count), strict=True)) if count else []

    def clear(self) -> None:
        """Forget what was claimed."""
        self.native.count = 0


def deliveries_of(word: int) -> int:
    """How often the record with this word was handed to code, this time included."""
    return word >> _DELIVERIES_SHIFT & _DELIVERIES_MASK


_DELIVERIES_SHIFT = int(lib.EL_DELIVERIES_SHIFT)
_DELIVERIES_MASK = int(lib.EL_DELIVERIES_MAX)


class ShareSlot:
    """What one worker may do in one partition, in any of its threads. `start` is where the group begins if nothing was
    committed.

    A record is known by its offset and its word; whatever changes the word returns the new one. Methods raise
    `StaleMemberError` if the worker does not have the record any more, or if the group was reset or deleted,
    `LockTimeoutError`, and `StoreClosedError`."""

    def __init__(
        self, page: SharePage, signals: Signals, slot: OffsetSlot, member: Seated, limits: ShareLimits, start: int
    ) -> None:
        self.page = page
        self._keeps_alive = (page.page, signals.pointer, slot)
        self.native: Any = ffi.new("el_share *")
        self.native.page, self.native.signals, self.native.ack = page.page, signals.pointer, slot.native
        self.native.member_epoch, self.native.seat = member.member_epoch, member.seat
        self.native.timeout_ms = slot.native.timeout_ms
        self.native.process_id = os.getpid()
        self.native.lock_ms, self.native.locks_max, self.native.delivery_limit = limits
        self.native.start = start

    def begin_at(self, start: int) -> None:
        """Begin there from now on, if nothing was committed."""
        self.native.start = start

    def end(self) -> None:
        """Claim nothing any more: `claim` raises `StoreClosedError`. What is claimed by then is to be reaped."""
        lib.el_share_end(self.native)

    def claim(self, claim: ShareClaim, end: int, count: int, *, ahead: bool = False) -> int:
        """Claim up to `count` records before the offset `end`, for as many as there is room; returns how many. With `ahead`
        they are only reserved: no delivery counts before `start`."""
        claim.native.capacity = count
        self.check(lib.el_share_claim(self.native, end, ahead, claim.native))
        return int(claim.native.count)

    def start(self, offset: int, word: int) -> int | None:
        """Begin the work on a record that may only be reserved; returns its word, or None if another worker has it by now."""
        cell = ffi.new("uint64_t *", word)
        return int(cell[0]) if lib.el_share_start(self.native, offset, cell) == lib.EL_DONE else None

    def accept(self, offset: int, word: int) -> None:
        """Finish a record."""
        status = lib.el_share_accept_one(self.native, offset, word)
        if status != lib.EL_DONE:
            self.check(status)

    def accept_all(self, items: list[tuple[int, int]]) -> int:
        """Finish records, given as offset and word; returns how many of them this worker did not have any more."""
        offsets = ffi.new("int64_t[]", [offset for offset, _ in items])
        words = ffi.new("uint64_t[]", [word for _, word in items])
        refused = ffi.new("int32_t *")
        self.check(lib.el_share_accept(self.native, offsets, words, len(items), refused))
        return int(refused[0])

    def release(self, offset: int, word: int, delay_ms: int = 0, *, counted: bool = True) -> bool:
        """Give a record back, to be handed out again after a delay; returns whether it was archived instead, because it was
        delivered too often. Unless `counted`, this delivery does not count."""
        is_archived = ffi.new("int *")
        self.check(lib.el_share_release(self.native, offset, word, delay_ms, counted, is_archived))
        return bool(is_archived[0])

    def reject(self, offset: int, word: int) -> None:
        """Finish a record without success: it is archived."""
        self.check(lib.el_share_reject(self.native, offset, word))

    def renew(self, offset: int, word: int, lock_ms: int) -> int:
        """Begin the lock of a record anew; returns the new word."""
        cell = ffi.new("uint64_t *", word)
        self.check(lib.el_share_renew(self.native, offset, cell, lock_ms))
        return int(cell[0])

    def reap(self, member: Seated, *, counted: bool = True) -> int:
        """Give back everything that a member has which is no more, or which is leaving; returns how many records were archived.
        Unless `counted`, what was handed to its code does not count as delivered."""
        archived = ffi.new("int64_t *")
        self.check(lib.el_share_reap(self.native, *member, counted, archived))
        return int(archived[0])

    def check(self, status: int) -> None:
        """Raise the error that a status of the native code means."""
        if status == lib.EL_DONE:
            return
        if status == lib.EL_NOT_ACQUIRED:
            raise StaleMemberError(
                "this worker does not have the record any more: it was settled before, its lock has ended, or the group was "
                "reset; nothing was changed"
            )
        if status == lib.EL_STALE_MEMBER:
            raise StaleMemberError("the group was reset or deleted, or is no share group any more")
        if status == lib.EL_CLOSED:
            raise StoreClosedError("the store was closed: nothing was changed")
        if status == lib.EL_LOCK_TIMEOUT:
            raise LockTimeoutError(
                f"process {self.native.holder} has held a mutex of {self.page.path} for more than "
                f"{self.native.timeout_ms} ms; if it is stopped, continue or kill it"
            )
        raise EventLogError(f"{self.page.path}: failed with status {status}")
