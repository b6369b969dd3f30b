"""Share pages as workers have them, without any worker."""

from __future__ import annotations

from eventlog import EventLog, TopicPartition
from eventlog.storage.mapped.share_page import SHARE_OWNER, Seated, ShareClaim, ShareLimits, SharePage, ShareSlot
from eventlog.storage.segments import names
from tests.support.stores import TOPIC

GROUP = "workers"
PARTITION = TopicPartition(TOPIC, 0)
LIMITS = ShareLimits(lock_ms=30_000, locks_max=2**16, delivery_limit=5)


def open_page(log: EventLog, words_count: int = 64) -> SharePage:
    """The page of the group in the partition, which the caller closes."""
    table = log.open_groups.open(GROUP)
    table.begin([PARTITION], lambda _: 0)
    claim = log.store.claims.of("share", f"{GROUP} {PARTITION}", table.incarnation)
    path = names.share_file(log.path, GROUP, *PARTITION)
    return SharePage(path, claim, table.incarnation, lock_timeout_ms=10_000, words_count=words_count)


def slot_of(log: EventLog, page: SharePage, member: Seated, limits: ShareLimits = LIMITS) -> ShareSlot:
    """A worker's view of the page."""
    slot = log.open_groups.open(GROUP).ack(PARTITION, SHARE_OWNER)
    return ShareSlot(page, log.store.signals, slot, member, limits, 0)


def claim(slot: ShareSlot, end: int, count: int, *, ahead: bool = False) -> dict[int, int]:
    """Claim records: the word of each offset."""
    claimed = ShareClaim(count)
    slot.claim(claimed, end, count, ahead=ahead)
    return dict(claimed.items())
