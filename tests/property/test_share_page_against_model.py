"""Whatever workers do with a share page, and in whatever order: records are where a plain model has them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import eventlog
from eventlog import StaleMemberError, clock
from eventlog.storage.mapped.share_page import Seated, ShareLimits, ShareSlot, deliveries_of
from tests.support import shares, stores

WORDS = 8
LIMITS = ShareLimits(lock_ms=1000, locks_max=WORDS, delivery_limit=3)
SEATS = 3

_seats = st.integers(0, SEATS - 1)
_counts = st.integers(1, WORDS + 1)


class _Entry(NamedTuple):
    """A record of the window that is not finished. `seat` None: nobody has it; `time_ms`: when its lock ends, or its delay."""

    seat: int | None
    deliveries: int
    time_ms: int
    is_reserved: bool = False


class PageAndModel(RuleBasedStateMachine):
    """Workers of one partition, beside a dictionary of what they have, and a set of what is finished."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="eventlog-share-"))
        stores.create(self.directory / "store")
        self.log = eventlog.open(self.directory / "store")
        self.page = shares.open_page(self.log, WORDS)
        self.now_ms = 10_000
        self.epochs = list(range(1, SEATS + 1))
        self.slots = [self.slot(seat) for seat in range(SEATS)]
        self.entries: dict[int, _Entry] = {}
        self.finished: set[int] = set()
        self.held: list[tuple[int, int, int]] = []  # seat, offset, word: also of records that were lost since
        self.floor = self.next = 0
        self.is_reset = False  # the page follows with the next claim

    @initialize()
    def stop_the_clock(self) -> None:
        clock.stop(self.now_ms, self.now_ms)

    def slot(self, seat: int) -> ShareSlot:
        return shares.slot_of(self.log, self.page, Seated(seat, self.epochs[seat]), LIMITS)

    def settle_floor(self) -> None:
        while self.floor in self.finished:
            self.floor += 1

    def give_back(self, offset: int, *, counted: bool, until_ms: int = 0) -> None:
        entry = self.entries[offset]
        deliveries = entry.deliveries - (not counted and not entry.is_reserved)
        if counted and not entry.is_reserved and deliveries >= LIMITS.delivery_limit:
            del self.entries[offset]
            self.finished.add(offset)
        else:
            self.entries[offset] = _Entry(None, deliveries, until_ms)

    @rule(seat=_seats, count=_counts, end=st.integers(0, 40), ahead=st.booleans())
    def claim(self, seat: int, count: int, end: int, ahead: bool) -> None:
        self.is_reset = False
        self.settle_floor()
        for offset, entry in list(self.entries.items()):
            if entry.seat is not None and entry.time_ms <= self.now_ms:
                self.give_back(offset, counted=True)
        self.settle_floor()
        free = {each: entry for each, entry in self.entries.items() if entry.seat is None}
        available = sorted(each for each, entry in free.items() if entry.time_ms <= self.now_ms)
        wanted = available[:count]
        while len(wanted) < count and self.next < min(end, self.floor + WORDS):
            wanted.append(self.next)
            self.next += 1
        reserved = [offset for offset, entry in self.entries.items() if entry.is_reserved]
        is_help = not wanted and bool(reserved)
        if is_help:
            wanted = [max(reserved)]
        found = shares.claim(self.slots[seat], end, count, ahead=ahead)
        assert list(found) == wanted
        for offset, word in found.items():
            before = self.entries.get(offset, _Entry(None, 0, 0)).deliveries
            is_reserved = ahead and not is_help
            entry = _Entry(seat, before + (not is_reserved), self.now_ms + LIMITS.lock_ms, is_reserved)
            assert deliveries_of(word) == entry.deliveries
            self.entries[offset] = entry
            self.held.append((seat, offset, word))

    def has(self, held: tuple[int, int, int]) -> bool:
        """Does this worker still have the record by this word, as the last one who was given it?"""
        seat, offset, _ = held
        latest = [each for each in self.held if each[1] == offset][-1]
        entry = self.entries.get(offset)
        return latest == held and entry is not None and entry.seat == seat

    @precondition(lambda self: self.held and not self.is_reset)
    @rule(data=st.data(), how=st.sampled_from(["accept", "reject", "release", "give back", "renew", "start"]))
    def settle(self, data: st.DataObject, how: str) -> None:
        held = data.draw(st.sampled_from(self.held))
        seat, offset, word = held
        slot, has, entry = self.slots[seat], self.has(held), self.entries.get(offset)
        if how == "start":
            assert entry is not None or not has
            is_reserved = has and entry is not None and entry.is_reserved
            found = slot.start(offset, word)
            if is_reserved and entry is not None and found is not None:
                self.entries[offset] = _Entry(seat, entry.deliveries + 1, self.now_ms + LIMITS.lock_ms)
                self.held.append((seat, offset, found))
            assert (found is not None) or not is_reserved
            return
        try:
            self.call(slot, how, offset, word, entry)
        except StaleMemberError:
            assert not has or (how == "renew" and entry is not None and entry.is_reserved)
            return
        assert has

    def call(self, slot: ShareSlot, how: str, offset: int, word: int, entry: _Entry | None) -> None:
        if how == "renew":
            renewed = slot.renew(offset, word, 5000)
            assert entry is not None and entry.seat is not None
            self.entries[offset] = entry._replace(time_ms=self.now_ms + 5000)
            self.held.append((entry.seat, offset, renewed))
        elif how in ("release", "give back"):
            slot.release(offset, word, 700 if how == "release" else 0, counted=how == "release")
            self.give_back(offset, counted=how == "release", until_ms=self.now_ms + 700 if how == "release" else 0)
        else:
            slot.accept(offset, word) if how == "accept" else slot.reject(offset, word)
            del self.entries[offset]
            self.finished.add(offset)
        self.settle_floor()

    @rule(milliseconds=st.sampled_from([1, 300, 999, 1000, 5000]))
    def wait(self, milliseconds: int) -> None:
        self.now_ms += milliseconds
        clock.stop(self.now_ms, self.now_ms)

    @rule(seat=_seats, counted=st.booleans())
    def die(self, seat: int, counted: bool) -> None:
        """A member goes: the others give back what it had."""
        former = Seated(seat, self.epochs[seat])
        is_seated = former in self.page.seated()
        self.epochs[seat] += SEATS
        self.slots[seat] = self.slot(seat)
        if is_seated:
            self.slots[seat].reap(former, counted=counted)
            for offset, entry in list(self.entries.items()):
                if entry.seat == seat:
                    self.give_back(offset, counted=counted)
        self.settle_floor()

    @rule(data=st.data())
    def reset(self, data: st.DataObject) -> None:
        """The group is to begin again from a record that it has had, or pass some over."""
        partition = self.log.partition(*shares.PARTITION)
        if partition.end_offset == 0:
            partition.append_many([b""] * 40)
        self.floor = self.next = data.draw(st.integers(0, 40))
        self.log.group(shares.GROUP).reset({shares.PARTITION: self.floor})
        self.entries, self.finished, self.is_reset = {}, set(), True

    @invariant()
    def floor_is_committed(self) -> None:
        committed = self.log.group(shares.GROUP).committed().get(shares.PARTITION, 0)
        if self.page.seated() and not self.is_reset:
            assert self.page.next_offset == self.next
            states = self.page.states()
            assert states.reserved == sum(entry.is_reserved for entry in self.entries.values())
            assert states.acquired == sum(e.seat is not None and not e.is_reserved for e in self.entries.values())
            assert self.page.floor == self.floor == committed

    def teardown(self) -> None:
        clock.run()
        self.page.close()
        self.log.close()
        shutil.rmtree(self.directory)


TestSharePage = PageAndModel.TestCase
TestSharePage.settings = settings(max_examples=5, stateful_step_count=40, deadline=None)


@pytest.mark.slow
class TestSharePageForLonger(PageAndModel.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
