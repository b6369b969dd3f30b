"""A consumer group that this process has open: its mapped offsets, and the slot of each partition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from eventlog.catalog.groups import GroupCatalog, GroupChange, GroupState
from eventlog.catalog.offsets import StoredOffset
from eventlog.clock import now_ms
from eventlog.errors import GroupNotFoundError, LockTimeoutError, StoreReplacedError
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.offset_slots import NOBODY, NOTHING_COMMITTED, OffsetSlot, SlotTable, Stored, none_if_nothing
from eventlog.storage.segments import names
from eventlog.store.store import Store


class GroupTable:
    """`acks` is the mapped file, `incarnation` the number of the transaction that created the group, `known_state` the state
    that was read last. Safe for several threads.

    It belongs to one incarnation of the group: after a group of this name is deleted and created again, the catalog has slots
    that are not in this file, or that belong to another partition there."""

    def __init__(self, store: Store, change: GroupChange) -> None:
        """Open the group of a transaction, inside it, so that the group cannot be deleted or created again meanwhile.

        Raises `GroupNotFoundError`."""
        self.name = change.name
        state, offsets = existing(change.state, change.name), change.offsets()
        self.incarnation = state.incarnation
        self._catalog: GroupCatalog = store.catalog.groups
        self._slots = _slots_of(offsets)
        self._caught_up_with = 0  # the last reset that all slots are known to have applied
        self._starts: dict[TopicPartition, int] = {}
        self.known_state: GroupState | None = None
        self.acks = SlotTable(
            names.acks_file(store.path, self.name),
            store.claims.of("group", self.name, self.incarnation),
            store.signals,
            Stored(
                state.incarnation,
                state.generation,
                {stored.slot: (stored.offset, stored.committed_ms, stored.decided_by) for stored in offsets.values()},
            ),
            lock_timeout_ms=store.options.lock_timeout_ms,
        )

    def state(self) -> GroupState:
        """The group's state in the catalog, after bringing the mapped file up to date with it. Raises `GroupNotFoundError`,
        `LockTimeoutError`."""
        with self._catalog.read(self.name) as group:
            self.catch_up(group)
            state = self.state_in(group)
        self.known_state = state
        return state

    def catch_up(self, group: GroupChange) -> None:
        """Apply the catalog's decisions to the mapped file: the process that made them may have died before it could do so.

        This can be done at any time, and repeatedly: each slot has the number of the last reset that it applied. Raises
        `LockTimeoutError`, once all other slots are done."""
        state = self.find_state_in(group)
        if state is None:
            return
        if group.is_alone and self.acks.is_deleted:  # a process died deleting it, before the catalog did
            self.acks.accept_commits()
        if state.reset_by > self._caught_up_with:
            self._apply_resets(group)
            self._caught_up_with = state.reset_by
            self._starts.clear()
        if self.acks.generation < state.generation:
            self.acks.announce(state.generation)

    def _apply_resets(self, group: GroupChange) -> None:
        failure = None
        for stored in group.offsets().values():
            try:
                if stored.decided_by:
                    self.acks.ack(stored.slot, NOBODY).reset(stored.offset, stored.decided_by)
            except LockTimeoutError as error:
                failure = error
        if failure is not None:
            raise failure

    def check_not_replaced(self) -> None:
        """Raise `StoreReplacedError` if the mapped file has been deleted, but not the group."""
        try:
            self.acks.check_in_place()
        except StoreReplacedError:
            if not self.acks.is_deleted:
                raise

    def find_state_in(self, group: GroupChange) -> GroupState | None:
        """The group inside a transaction; None if it was deleted, even if another group now has its name."""
        state = group.state
        return state if state is not None and state.incarnation == self.incarnation else None

    def state_in(self, group: GroupChange) -> GroupState:
        """The group inside a transaction. Raises `GroupNotFoundError` if it was deleted."""
        return existing(self.find_state_in(group), self.name)

    def slots(self) -> dict[TopicPartition, int]:
        """The slot of every partition that now has one."""
        with self._catalog.read(self.name) as group:
            offsets = group.offsets() if self.find_state_in(group) is not None else {}
            self._slots = _slots_of(offsets)
        return self._slots

    def find_slot(self, partition: TopicPartition) -> int | None:
        """The slot of a partition, or None if it does not have one yet."""
        found = self._slots.get(partition)
        return found if found is not None else self.slots().get(partition)

    def slot(self, partition: TopicPartition) -> int:
        """The slot of a partition, which is given one if it has none."""
        found = self.find_slot(partition)
        if found is None:
            self.make_slots([partition])
            found = self._slots[partition]
        return found

    def make_slots(self, partitions: Iterable[TopicPartition]) -> None:
        """Give a slot to each of these partitions that has none, durably."""
        missing = [partition for partition in partitions if partition not in self._slots]
        if missing and not all(partition in self.slots() for partition in missing):
            self._store_starts(dict.fromkeys(missing, NOTHING_COMMITTED))

    def begin(self, partitions: Iterable[TopicPartition], starting_offset: Callable[[TopicPartition], int]) -> None:
        """Store, durably, where the group starts in each of these partitions that it has never read or committed to: at the
        offset that `starting_offset` returns, or at no particular one if it returns `NOTHING_COMMITTED`."""
        unknown = [partition for partition in partitions if partition not in self._starts]
        if not unknown:
            return
        with self._catalog.read(self.name) as group:
            offsets = group.offsets() if self.find_state_in(group) is not None else {}
        starts = {}
        for partition in unknown:
            stored = offsets.get(partition)
            if stored is None or (stored.start < 0 and self.acks.committed(stored.slot) == NOTHING_COMMITTED):
                starts[partition] = starting_offset(partition)
            else:
                self._starts[partition] = stored.start
        if any(partition not in offsets or start >= 0 for partition, start in starts.items()):
            self._store_starts(starts)

    def start(self, partition: TopicPartition) -> int | None:
        """Where the group started in a partition; None if that is not known."""
        return none_if_nothing(self._starts.get(partition, NOTHING_COMMITTED))

    def _store_starts(self, starts: Mapping[TopicPartition, int]) -> None:
        with self._catalog.change(self.name) as change:
            self.catch_up(change)
            state = self.state_in(change)
            offsets = change.offsets()
            for partition, start in starts.items():
                stored = offsets.get(partition)
                if stored is None:
                    stored = StoredOffset(NOTHING_COMMITTED, -1, state.slots)
                    self.acks.initialise_slot(state.slots)
                    state = state._replace(slots=state.slots + 1)
                elif stored.start >= 0:
                    start = stored.start  # another member was faster
                offsets[partition] = stored._replace(start=start)
                change.store_offset(partition, offsets[partition])
            change.store(state)
        self._slots = _slots_of(offsets)
        self._starts.update({partition: offsets[partition].start for partition in starts if offsets[partition].start >= 0})

    def ack(self, partition: TopicPartition, member_epoch: int) -> OffsetSlot:
        """One member's view of the partition's slot."""
        return self.acks.ack(self.slot(partition), member_epoch)

    def committed(self, partition: TopicPartition) -> int | None:
        """The committed offset of a partition; None if nothing has been committed."""
        slot = self.find_slot(partition)
        offset = NOTHING_COMMITTED if slot is None else self.acks.committed(slot)
        return None if offset == NOTHING_COMMITTED else offset

    def has_committed(self, state: GroupState) -> bool:
        """Has anything been committed in a group that has these slots?"""
        return any(self.acks.committed(slot) != NOTHING_COMMITTED for slot in range(state.slots))

    def all_committed(self) -> dict[TopicPartition, int]:
        """The committed offsets of all partitions that have one, sorted."""
        offsets = {partition: self.acks.committed(slot) for partition, slot in self.slots().items()}
        return {partition: offset for partition, offset in sorted(offsets.items()) if offset != NOTHING_COMMITTED}


def _slots_of(offsets: Mapping[TopicPartition, StoredOffset]) -> dict[TopicPartition, int]:
    return {partition: stored.slot for partition, stored in offsets.items()}


def existing(state: GroupState | None, name: str) -> GroupState:
    """The state itself. Raises `GroupNotFoundError` if it is None."""
    if state is None:
        raise GroupNotFoundError(f"there is no consumer group {name!r}")
    return state


def create_group(change: GroupChange) -> None:
    """Create the group if it does not exist."""
    if change.state is None:
        change.store(GroupState(change.name, change.number, now_ms()))
