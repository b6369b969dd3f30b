"""The mapped page of a share group: what is on it survives every handle, and follows the group's committed offset."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, LockTimeoutError, StaleMemberError, StoreClosedError
from eventlog._native import lib
from eventlog.storage.mapped.share_page import Seated, ShareClaim, ShareLimits, deliveries_of
from eventlog.storage.segments import names
from tests.support import shares
from tests.support.shares import GROUP, PARTITION

ONE, TWO = Seated(0, 100), Seated(1, 200)


def test_a_page_is_the_same_for_every_handle_and_the_floor_is_the_committed_offset(store: Path) -> None:
    with eventlog.open(store) as log, eventlog.open(store) as other:
        pages = shares.open_page(log), shares.open_page(other)
        one, two = shares.slot_of(log, pages[0], ONE), shares.slot_of(other, pages[1], TWO)
        first, second = shares.claim(one, 10, 3), shares.claim(two, 10, 3)
        assert sorted(first) == [0, 1, 2] and sorted(second) == [3, 4, 5]
        assert two.accept_all([(0, first[0]), (4, second[4]), (4, second[4])]) == 1  # the second answer finds another word
        assert [page.floor for page in pages] == [1, 1]
        assert other.group(GROUP).committed() == {PARTITION: 1}
        assert pages[1].states() == (0, 0, 0, 4, 1, 0) and pages[1].counters() == (2, 0, 0, 0)
        assert pages[0].seated() == [ONE, TWO] and pages[0].next_offset == 6
        for page in pages:
            page.close()


def test_a_page_is_trusted_as_long_as_nobody_has_changed_it_and_the_group_is_the_same(store: Path) -> None:
    with eventlog.open(store) as log:
        page = shares.open_page(log)
        slot = shares.slot_of(log, page, ONE)
        claimed = shares.claim(slot, 10, 3)
        slot.accept(1, claimed[1])
        page.close()
        again = shares.open_page(log)
        assert again.states() == (0, 0, 0, 2, 1, 0)
        again.close()
        path = names.share_file(log.path, GROUP, *PARTITION)
        content = bytearray(path.read_bytes())
        content[12_300] ^= 1
        path.write_bytes(content)
        with_a_wrong_bit = shares.open_page(log)
        assert with_a_wrong_bit.next_offset == 0 and with_a_wrong_bit.states() == (0,) * 6
        with_a_wrong_bit.close()


def test_a_page_that_others_use_is_not_that_of_a_later_group_of_its_name(log: EventLog) -> None:
    page = shares.open_page(log)
    slot = shares.slot_of(log, page, ONE)
    claimed = shares.claim(slot, 10, 1)
    log.group(GROUP).delete()
    later = shares.open_page(log)
    with pytest.raises(StaleMemberError):
        slot.claim(ShareClaim(1), 10, 1)
    with pytest.raises(StaleMemberError):
        slot.accept(0, claimed[0])  # the floor cannot be committed
    assert later.next_offset == 0 and log.group(GROUP).committed() == {}
    page.close()
    later.close()


def test_what_the_worker_does_not_have_any_more_changes_nothing(log: EventLog) -> None:
    page = shares.open_page(log)
    slot = shares.slot_of(log, page, ONE)
    word = shares.claim(slot, 10, 1)[0]
    renewed = slot.renew(0, word, 60_000)
    assert deliveries_of(renewed) == 1
    for late in (slot.accept, slot.release, slot.reject):
        with pytest.raises(StaleMemberError, match="does not have the record"):
            late(0, word)
    with pytest.raises(StaleMemberError):
        slot.renew(0, word, 1)
    assert not slot.release(0, renewed, counted=False)
    ahead = shares.claim(slot, 1, 1, ahead=True)[0]
    assert deliveries_of(ahead) == 0 and slot.start(0, renewed) != ahead
    assert slot.start(0, ahead) is not None and page.floor == 0
    page.close()


def test_a_window_may_be_narrower_than_the_page(log: EventLog) -> None:
    page = shares.open_page(log)
    slot = shares.slot_of(log, page, ONE, ShareLimits(30_000, 2, 1))
    claimed = shares.claim(slot, 10, 5)
    assert sorted(claimed) == [0, 1] and shares.claim(slot, 10, 5) == {}
    assert slot.release(0, claimed[0]) and page.floor == 1  # one delivery is all it may have
    assert slot.reap(ONE, counted=False) == 0 and page.states().available == 1
    page.close()


def test_a_reset_begins_anew_and_a_closed_page_says_so(log: EventLog) -> None:
    partition = log.partition(*PARTITION)
    partition.append_many([b"x"] * 10)
    page = shares.open_page(log)
    slot = shares.slot_of(log, page, ONE)
    claimed = shares.claim(slot, 10, 5)
    slot.accept_all(list(claimed.items()))
    log.group(GROUP).reset({PARTITION: 3})
    assert sorted(shares.claim(slot, 10, 2)) == [3, 4] and page.floor == 3
    assert page.due_ms is not None and page.changes == 0
    page.close()
    with pytest.raises(StoreClosedError):
        _ = page.floor


def test_a_mutex_that_is_held_for_too_long_is_named(log: EventLog) -> None:
    page = shares.open_page(log)
    slot = shares.slot_of(log, page, ONE)
    with pytest.raises(LockTimeoutError, match=r"\.share"):
        slot.check(lib.EL_LOCK_TIMEOUT)
    page.close()
