"""The mapped file of a consumer group: the owner of each partition, and its committed offset.

`native/store/acks.h` describes the layout. Slots have only numbers here; the catalog maps partitions to slots.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from eventlog._native import BaseOffsetSlot, ffi, lib
from eventlog.access import new_file, open_existing_into
from eventlog.errors import (
    EventLogError,
    InvalidArgumentError,
    LockTimeoutError,
    StaleMemberError,
    StoreClosedError,
    os_errors_as,
)
from eventlog.storage.mapped.file import SharedFile
from eventlog.storage.segments.boot import boot_id
from eventlog.storage.segments.claims import Claim
from eventlog.waiting import Flag, Signals, WaitSet

NOBODY = 0
NOTHING_COMMITTED = -1
SEATS = int(lib.EL_SEATS)

_SLOTS_A_STEP = 32
_DIRTY_A_CALL = 1024
_SETTLE_MS = 1000


def none_if_nothing(offset: int) -> int | None:
    """A committed offset as users see it: None if nothing has been committed."""
    return None if offset == NOTHING_COMMITTED else offset


class Slots(NamedTuple):
    """The contents of a group's slots, by slot: committed offsets, when they were committed (ms since the epoch), owners, and
    the numbers of the transactions whose resets they have applied."""

    committed: list[int]
    committed_ms: list[int]
    owners: list[int]
    decided_by: list[int]


def read_slots(path: Path, incarnation: int, slots: int) -> Slots | None:
    """The slots of a group that need not be open here; None if the catalog has the truth, because no process has used the group
    in this boot."""
    group = _trusted_group(path, incarnation, int(lib.EL_SLOTS_START + slots * lib.EL_SLOT_BYTES))
    if group is None:
        return None
    columns = [ffi.new("int64_t[]", slots) for _ in Slots._fields]
    lib.el_slots_copy(group, slots, *columns)
    return Slots(*(ffi.unpack(column, slots) if slots else [] for column in columns))


def read_unseen(path: Path, incarnation: int, members: Iterable[tuple[int, int]]) -> list[int]:
    """Milliseconds since each member, given as seat and epoch, was seen at work; -1 if it does not have the seat."""
    group = _trusted_group(path, incarnation, int(lib.EL_SLOTS_START))
    return [-1 if group is None else int(lib.el_group_unseen_ms(group, seat, epoch)) for seat, epoch in members]


def _trusted_group(path: Path, incarnation: int, bytes_min: int) -> Any | None:
    """The file of a group, mapped to be read, for as long as something refers to it; None if there is no file that can be
    trusted."""
    file = new_file()
    try:
        open_existing_into(file, path, os.O_RDONLY)
        status = os.fstat(file[0])
        if status.st_size < bytes_min:
            return None
        group = lib.el_group_map_to_read(file[0])
    except FileNotFoundError:
        return None
    finally:
        lib.el_file_close(file)
    if group == ffi.NULL:
        raise OSError(ffi.errno, os.strerror(ffi.errno), str(path))
    group = ffi.gc(group, lib.el_group_unmap)
    is_trusted = lib.el_group_is_trusted(group, boot_id(), status.st_dev, status.st_ino, incarnation, status.st_size)
    return group if is_trusted else None


class Stored(NamedTuple):
    """A group as stored in the catalog: by slot the committed offset, the time of the commit in milliseconds since the epoch,
    and the number of the transaction that reset it last."""

    incarnation: int
    generation: int
    slots: Mapping[int, tuple[int, int, int]]


class SlotTable(SharedFile):
    """`pointer` is the native `el_group`; `stored` is what the file is initialised from after a reboot. The caller must ensure
    that the catalog does not change while the file is opened."""

    _REFUSALS_MAX = 8  # a tenth of a second, for a process that is just ending; meanwhile the caller blocks all others

    def __init__(self, path: Path, claim: Claim, signals: Signals, stored: Stored, *, lock_timeout_ms: int) -> None:
        super().__init__(path, claim, lock_timeout_ms=lock_timeout_ms)
        self._signals = signals
        self._stored = stored
        self._closed = Flag(signals)
        self._used: set[int] = set()  # slots in which a thread of this process may be committing
        self.join()

    def _bytes_min(self) -> int:
        return int(lib.EL_SLOTS_START)

    def _map_descriptor(self, descriptor: int) -> Any:
        return lib.el_group_map(descriptor)

    _unmap = staticmethod(lib.el_group_unmap)

    def _is_trusted(self) -> bool:
        identity = boot_id(), *self.identity()
        return bool(lib.el_group_is_trusted(self.pointer, *identity, self._stored.incarnation, self._length()))

    def _take_over(self) -> None:
        lib.el_group_free_slots(self.pointer, self.capacity)

    def _length(self) -> int:
        return os.fstat(self._descriptor).st_size

    def _seal(self) -> None:
        lib.el_group_seal(self.pointer, self._length())

    def _unseal(self) -> None:
        lib.el_group_unseal(self.pointer)

    def _is_current(self) -> bool:
        if self._is_trusted():
            return True
        # Others still use the file of a deleted group; they notice its flag, and this group gets a file of its own.
        self.set_deleted(self.capacity)
        self.path.unlink(missing_ok=True)
        return False

    def _initialise(self) -> None:
        stored = self._stored
        self.reserve(max(stored.slots, default=-1) + 1)
        lib.el_group_initialise(self.pointer, boot_id(), *self.identity(), stored.incarnation, stored.generation)
        for slot, content in stored.slots.items():
            lib.el_slot_initialise(self.pointer, slot, *content)
        lib.el_group_set_ready(self.pointer)

    # --- the group -----------------------------------------------------------------------------------------

    @property
    def group(self) -> Any:
        """The native `el_group`. Raises `StoreClosedError` once this process has closed it."""
        if self.pointer is None:
            raise StoreClosedError(f"{self!r} is closed")
        return self.pointer

    @property
    def generation(self) -> int:
        """The generation that was announced last."""
        return int(lib.el_group_generation(self.group))

    @property
    def changes(self) -> int:
        """Increases with every generation, every partition that is given up, every reset, and with deletion."""
        return int(lib.el_group_changes(self.group))

    @property
    def is_deleted(self) -> bool:
        """Is the group no longer in the catalog, or is a process deciding that right now?"""
        return bool(lib.el_group_is_deleted(self.group))

    def announce(self, generation: int) -> None:
        """Tell the members that there is a new generation."""
        lib.el_group_announce(self.group, self._signals.pointer, generation)

    def refuse_commits(self, slots: int) -> None:
        """Refuse commits from now on, and wait for those in progress in the first `slots` slots. Raises `LockTimeoutError`."""
        lib.el_group_refuse_commits(self.group, self._signals.pointer, True)
        for slot in range(slots):
            self.ack(slot, NOBODY).settle()

    def accept_commits(self) -> None:
        """Accept commits again."""
        lib.el_group_refuse_commits(self.group, self._signals.pointer, False)

    def set_deleted(self, slots: int) -> None:
        """Refuse commits from now on, and wake every thread that waits for one."""
        lib.el_group_set_deleted(self.group, self._signals.pointer, slots)

    def await_change(self, wait_set: WaitSet, known_changes: int) -> None:
        """Add to the set a wait for more changes than the known number."""
        wait_set.add_group_change(self.group, known_changes)

    # --- seats ---------------------------------------------------------------------------------------------

    def sit(self, seat: int, member_epoch: int) -> None:
        """Give a seat to a new member, unless a later one has it."""
        lib.el_group_sit(self.group, seat, member_epoch)

    def seen(self, seat: int, member_epoch: int) -> None:
        """Show that the member is at work, which restarts its lease."""
        lib.el_group_seen(self.group, seat, member_epoch)

    def unseen_ms(self, seat: int, member_epoch: int) -> int:
        """Milliseconds since the member was seen at work; -1 if it does not have the seat."""
        return int(lib.el_group_unseen_ms(self.group, seat, member_epoch))

    # --- slots ---------------------------------------------------------------------------------------------

    def reserve(self, slots: int) -> None:
        """Make room for that many slots. Raises `InvalidArgumentError`, `OSError`."""
        if slots > lib.EL_SLOTS_MAX:
            raise InvalidArgumentError(f"a group can have offsets of at most {lib.EL_SLOTS_MAX} partitions")
        rounded = -(-slots // _SLOTS_A_STEP) * _SLOTS_A_STEP
        self.grow(int(lib.EL_SLOTS_START + rounded * lib.EL_SLOT_BYTES))

    @property
    def capacity(self) -> int:
        """How many slots the file has room for; unused slots are never dirty."""
        with os_errors_as(repr(self)):
            return (self._length() - int(lib.EL_SLOTS_START)) // int(lib.EL_SLOT_BYTES)

    def initialise_slot(self, slot: int) -> None:
        """Initialise a new slot, which no other process knows yet."""
        self.reserve(slot + 1)
        lib.el_slot_initialise(self.group, slot, NOTHING_COMMITTED, -1, 0)

    def committed(self, slot: int) -> int:
        """The committed offset, or `NOTHING_COMMITTED`."""
        return int(lib.el_slot_committed(self.group, slot))

    def committed_ms(self, slot: int) -> int:
        """When the committed offset was committed, in milliseconds since the epoch."""
        return int(lib.el_slot_committed_ms(self.group, slot))

    def leader_epoch(self, slot: int) -> int:
        """The leader epoch that came with the committed offset; -1 if none did."""
        return int(lib.el_slot_leader_epoch(self.group, slot))

    def owner(self, slot: int) -> int:
        """The epoch of the member that owns the slot, or `NOBODY`."""
        return int(lib.el_slot_owner(self.group, slot))

    def dirty(self, slots: int) -> list[int]:
        """Those of the first `slots` slots whose committed offset the catalog does not have."""
        found: list[int] = []
        following, some = ffi.new("uint32_t *"), ffi.new("uint32_t[]", _DIRTY_A_CALL)
        while count := lib.el_slots_dirty(self.group, slots, following, some, _DIRTY_A_CALL):
            found.extend(some[0:count])
        return found

    def begin_persist(self, interval_ms: int) -> bool:
        """May this process store offsets in the catalog now? Not if another process has just begun to."""
        return bool(lib.el_group_begin_persist(self.group, interval_ms))

    def await_commit(self, wait_set: WaitSet, slot: int, offset: int) -> None:
        """Add to the set a wait for a committed offset past `offset`."""
        wait_set.add_commit(self.group, slot, offset)

    def ack(self, slot: int, member_epoch: int) -> OffsetSlot:
        """One member's view of one slot; with member epoch `NOBODY`, the view from outside the group."""
        self._used.add(slot)
        return OffsetSlot(self, self._signals, slot, member_epoch, self._lock_timeout_ms, self._closed)

    def end_commits(self) -> None:
        """Refuse commits by this process from now on; those in progress have finished on return."""
        self._closed.raise_()
        timeout_ms = _SETTLE_MS
        for slot in list(self._used):
            ack = self.ack(slot, NOBODY)
            ack.native.timeout_ms = timeout_ms
            if lib.el_ack_settle(ack.native) != lib.EL_DONE:
                timeout_ms = 0  # the holder is stopped: threads of this process that wait for it will see the flag


class OffsetSlot(BaseOffsetSlot):
    """What one member may do with one slot. `native` is the `el_ack`."""

    def __init__(
        self, table: SlotTable, signals: Signals, slot: int, member_epoch: int, lock_timeout_ms: int, closed: Flag
    ) -> None:
        self.table = table
        self.slot = slot
        self._keeps_alive = (table.group, signals.pointer, closed.pointer)
        self.native: Any = ffi.new("el_ack *")
        self.native.group, self.native.signals, self.native.closed = self._keeps_alive
        self.native.member_epoch = member_epoch
        self.native.timeout_ms = lock_timeout_ms
        self.native.slot = slot
        self.native.process_id = os.getpid()
        super().__init__(int(ffi.cast("uintptr_t", self.native)))

    @property
    def is_owned(self) -> bool:
        """Does this member own the slot?"""
        return self.table.owner(self.slot) == int(self.native.member_epoch)

    def commit_with_epoch(self, offset: int, leader_epoch: int) -> bool:
        """Acknowledge everything before `offset`, with the leader epoch of the record before it (-1: unknown). Does not wait:
        False if another thread is changing the slot. Raises `StaleMemberError`, `StoreClosedError`."""
        status = lib.el_ack_commit_with_epoch(self.native, offset, leader_epoch)
        if status == lib.EL_LOCK_TIMEOUT:
            return False
        self.check(status)
        return True

    def take(self, former_owner: int) -> bool:
        """Become the owner if there is no owner, or if it is `former_owner`, a member that is known to be gone."""
        status = lib.el_ack_take(self.native, former_owner)
        if status != lib.EL_STALE_MEMBER:
            self.check(status)
        is_taken: bool = status == lib.EL_DONE
        return is_taken

    def release(self) -> None:
        """Stop being the owner, and wake the members."""
        self.check(lib.el_ack_release(self.native))

    def reset(self, offset: int, number: int) -> None:
        """Set the committed offset, forward or back, and take the slot from its owner, as decided by the catalog's transaction
        with this number; a slot that has applied it, or a later one, is left unchanged. Raises `LockTimeoutError`."""
        self.check(lib.el_ack_reset(self.native, offset, number))

    def set_persisted(self, offset: int, decided_by: int) -> None:
        """Record that the catalog now has this offset, after the reset with this number. Raises `LockTimeoutError`."""
        self.check(lib.el_ack_set_persisted(self.native, offset, decided_by))

    def settle(self) -> None:
        """Wait until any change of the slot that is in progress has finished. Raises `LockTimeoutError`."""
        self.check(lib.el_ack_settle(self.native))

    def check(self, status: int) -> None:
        """Raise the error that a status of the native code means."""
        if status == lib.EL_DONE:
            return
        if status == lib.EL_STALE_MEMBER:
            raise StaleMemberError(
                "this member no longer owns the partition: the group has a new generation, was reset or deleted; "
                "nothing was committed, and poll goes on from the committed offsets"
            )
        if status == lib.EL_CLOSED:
            raise StoreClosedError("the store was closed: nothing was committed")
        if status == lib.EL_LOCK_TIMEOUT:
            raise LockTimeoutError(
                f"process {self.native.holder} has held a mutex of {self.table.path} for more than "
                f"{self.native.timeout_ms} ms; if it is stopped, continue or kill it"
            )
        raise EventLogError(f"committing failed with status {status}")


def commit_all(acks: list[tuple[OffsetSlot, int]]) -> None:
    """Acknowledge everything before each offset: all of them, or none. Raises what `OffsetSlot.commit` raises."""
    if len(acks) == 1:
        acks[0][0].commit(acks[0][1])
        return
    acks.sort(key=lambda item: item[0].slot)
    natives = ffi.new("el_ack *[]", [ack.native for ack, _ in acks])
    offsets = ffi.new("int64_t[]", [offset for _, offset in acks])
    failed = ffi.new("int *")
    status = lib.el_ack_commit_all(natives, offsets, len(acks), failed)
    if status != lib.EL_DONE:
        acks[failed[0]][0].check(status)
