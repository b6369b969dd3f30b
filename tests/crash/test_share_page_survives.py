"""A worker dies between any two stores of its share page: nothing that it finished is handed out again, and all the rest is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog
from eventlog.storage.mapped.share_page import Seated, ShareLimits, ShareSlot
from tests.support import shares, stores
from tests.support.fault_points import points
from tests.support.kill_steps import kill_at_every_step
from tests.support.shares import GROUP, PARTITION

RECORDS = 30
HERE, DYING, HELPER, LAST = Seated(0, 100), Seated(1, 200), Seated(2, 300), Seated(3, 400)
NEVER_REACHED = {"share.inherited", "share.cautious"}  # by a thread that takes a mutex after its holder died
BRIEF = ShareLimits(lock_ms=1, locks_max=64, delivery_limit=5)


def noted(store: Path) -> Path:
    """Where a worker writes down what it has finished, once the call has returned."""
    return store.with_name(f"{store.name}.finished")


@contextmanager
def records_to_work_on(store: Path) -> Iterator[Path]:
    stores.create(store)
    with eventlog.open(store) as log:
        log.partition(*PARTITION).append_many([b"job"] * RECORDS)
    noted(store).touch()
    yield store


@contextmanager
def records_that_others_work_on(store: Path) -> Iterator[Path]:
    with records_to_work_on(store), eventlog.open(store) as log:
        page = shares.open_page(log)
        assert len(shares.claim(shares.slot_of(log, page, HERE), RECORDS, 3)) == 3
        yield store
        page.close()


def work(log: EventLog) -> None:
    """Everything that a worker can do, with each kind of record."""
    file = os.open(noted(log.path), os.O_WRONLY | os.O_APPEND)
    page = shares.open_page(log)
    slot, helper = (shares.slot_of(log, page, member) for member in (DYING, HELPER))

    def accept(own: ShareSlot, *items: tuple[int, int]) -> None:
        assert own.accept_all(list(items)) == 0
        os.write(file, b"".join(b"%d\n" % offset for offset, _ in items))

    claimed = list(shares.claim(slot, RECORDS, 8).items())
    accept(slot, claimed[1])
    accept(slot, claimed[0])
    slot.reject(*claimed[2])
    os.write(file, b"%d\n" % claimed[2][0])
    slot.release(*claimed[3])
    slot.release(*claimed[4], 1)
    accept(slot, (claimed[5][0], slot.renew(*claimed[5], 50)))
    first, *_ = shares.claim(slot, RECORDS, 5, ahead=True).items()
    accept(slot, (first[0], slot.start(*first) or 0))
    delayed = claimed[4][0]
    offset = delayed
    while offset == delayed:  # which may have become due just now, and goes before one that is only reserved
        ((offset, word),) = shares.claim(helper, 0, 1).items()
        accept(helper, (offset, word))
    helper.reap(DYING)
    while page.due_ms:
        pass
    brief = shares.slot_of(log, page, Seated(HELPER.seat, 301), BRIEF)  # a later member with the seat
    shares.claim(brief, RECORDS, 20)
    while page.due_ms:
        pass
    accept(helper, *shares.claim(helper, RECORDS, 4).items())


def the_rest_is_done_once(store: Path) -> None:
    finished = {int(line) for line in noted(store).read_text().split()}
    with eventlog.open(store) as log:
        page = shares.open_page(log)
        slot = shares.slot_of(log, page, LAST)
        for member in page.seated():
            slot.reap(member)
        again: set[int] = set()
        while page.floor < RECORDS:
            claimed = shares.claim(slot, RECORDS, 7)
            assert not (finished | again) & claimed.keys()
            again |= claimed.keys()
            assert slot.accept_all(list(claimed.items())) == 0
        assert len(finished | again) >= RECORDS - 4, "at most one call returned without having been noted"
        assert log.group(GROUP).committed() == {PARTITION: RECORDS}
        page.close()


def test_a_worker_that_dies_at_one_of_the_worst_moments_loses_and_repeats_nothing(tmp_path: Path) -> None:
    worst = ("share.floor_stored", "share.hinted", "share.emptied")
    died = kill_at_every_step(tmp_path, worst, records_to_work_on, work, the_rest_is_done_once)
    assert died == set(worst)


@pytest.mark.slow
def test_a_worker_that_dies_anywhere_loses_and_repeats_nothing(tmp_path: Path) -> None:
    died = kill_at_every_step(tmp_path, ("share.",), records_to_work_on, work, the_rest_is_done_once)
    wanted = {point for point in points() if point.startswith("share.")} - NEVER_REACHED
    assert died >= wanted, wanted - died


@pytest.mark.slow
def test_a_worker_that_dies_beside_others_stops_nobody(tmp_path: Path) -> None:
    died = kill_at_every_step(tmp_path, ("share.",), records_that_others_work_on, work, the_rest_is_done_once, passes=2)
    assert "share.claimed_again" in died
