"""Share groups: groups whose workers all work on the same partitions, and finish each record by itself.

A worker is a member like that of a consumer group, so the others learn at once that its process is dead. But no partition is
assigned to it: what it has is in the pages of the partitions (`native/store/share.h`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress

from eventlog.catalog.groups import GroupState
from eventlog.catalog.share_groups import ShareSettings
from eventlog.errors import InvalidArgumentError, StaleMemberError
from eventlog.groups.coordinator import SHARE, JoinRequest
from eventlog.groups.membership import Membership
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable, create_group, existing
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.share_page import SHARE_OWNER, Seated, ShareLimits, SharePage, ShareSlot
from eventlog.storage.segments import names

_LEASE_MS = 2**31 - 1  # a worker that hangs loses its records when their locks end, and stays a member


def open_share_group(groups: Groups, name: str, given: ShareSettings | None) -> tuple[GroupTable, ShareSettings]:
    """A share group, which is created if it does not exist, and its settings, which are replaced by those that are given unless
    these are None. Raises `InvalidArgumentError` if it is a consumer group."""
    while True:
        found = groups.store.catalog.groups.find(name)
        if found is None or found.share is None or (given is not None and dict(given) != dict(found.share)):
            found = _store_share_group(groups, name, given)
        table = groups.find(name)
        if table is not None and table.incarnation == found.incarnation:
            return table, found.share or {}


def _store_share_group(groups: Groups, name: str, given: ShareSettings | None) -> GroupState:
    with groups.store.catalog.groups.change(name) as change:
        create_group(change)
        state = existing(change.state, name)
        if state.share is None and (state.generation > 0 or state.classic is not None):
            raise InvalidArgumentError(f"group {name!r} is a consumer group, which commits positions: a worker needs another")
        settings = given if given is not None else state.share or {}
        state = state._replace(share=settings)
        change.store(state)
    groups.store.announcer.announce()
    return state


class ShareMembership(Membership):
    """A worker's membership. `slots` are the partitions that it works on. Not for several threads at once, but each slot is."""

    def __init__(self, groups: Groups, group: GroupTable, topics: tuple[str, ...]) -> None:
        super().__init__(groups, group, JoinRequest(topics, SHARE, _LEASE_MS, 0, None))
        self.slots: Mapping[TopicPartition, ShareSlot] = {}
        self._store = groups.store

    @property
    def _seated(self) -> Seated:
        return Seated(self.member.seat, self.member.epoch)

    def open(self, partition: TopicPartition, limits: ShareLimits, starting_offset: Callable[[TopicPartition], int]) -> None:
        """Work on a partition, too. `starting_offset` returns where the group begins if it has never worked on it."""
        group, store = self.group, self._store
        group.begin([partition], starting_offset)
        claim = store.claims.of("share", f"{group.name} {partition}", group.incarnation)
        path = names.share_file(store.path, group.name, *partition)
        page = SharePage(path, claim, group.incarnation, lock_timeout_ms=store.options.lock_timeout_ms)
        ack = group.ack(partition, SHARE_OWNER)
        slot = ShareSlot(page, store.signals, ack, self._seated, limits, group.start(partition) or 0)
        self.slots = {**self.slots, partition: slot}

    def drop(self, partition: TopicPartition) -> None:
        """Stop working on a partition that exists no more."""
        slot = self.slots[partition]
        self.slots = {each: other for each, other in self.slots.items() if each != partition}
        slot.page.close()

    def follow_starts(self, starting_offset: Callable[[TopicPartition], int]) -> None:
        """After a reset, where the group begins in a partition may be known anew."""
        self.group.begin(list(self.slots), starting_offset)
        for partition, slot in self.slots.items():
            slot.begin_at(self.group.start(partition) or 0)

    def reap_the_gone(self) -> int:
        """Give back what members have that are no more; returns how many records were archived thereby.

        The seats are read before the members: so whoever is seated, and no member then, is not one that joins just now."""
        seated = {partition: slot.page.seated() for partition, slot in self.slots.items()}
        members = self.group.state().members
        archived = 0
        for partition, each in seated.items():
            for member in each:
                if member.member_epoch not in members:
                    archived += self.slots[partition].reap(member)
        return archived

    def leave(self, *, is_final: bool = False) -> None:
        """Give back all records, as if they had not been handed out, and stop being a member."""
        self._let_go()
        super().leave(is_final=is_final)

    def abandon(self) -> None:
        """End the membership of a worker that was expelled, or that did not finish joining."""
        self._let_go()
        super().abandon()

    def _let_go(self) -> None:
        slots, self.slots = self.slots, {}
        with ExitStack() as steps:  # all of them, whatever any of them raises
            for slot in slots.values():
                steps.callback(slot.page.close)
                steps.callback(_give_back, slot, self._seated)


def _give_back(slot: ShareSlot, member: Seated) -> None:
    slot.end()
    with suppress(StaleMemberError):  # the group was deleted
        slot.reap(member, counted=False)
