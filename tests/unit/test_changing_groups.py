"""Groups are reset, deleted, expired and joined: what the catalog refuses has changed nothing, no commit is lost."""

from __future__ import annotations

import resource
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import eventlog
from eventlog import Consumer, EventLog, EventLogError, StaleMemberError, TopicPartition
from eventlog.catalog import offsets
from eventlog.clock import now_ms
from eventlog.groups import coordinator, expiry
from eventlog.groups.membership import Membership
from eventlog.storage.mapped.offset_slots import SlotTable
from tests.support import members
from tests.support.descriptors import open_files
from tests.support.processes import Worker
from tests.support.stores import TOPIC

GROUP = "billing"
PLACE = TopicPartition(TOPIC, 0)

Consume = Callable[..., Consumer]


@pytest.fixture
def log(store: Path) -> Iterator[EventLog]:
    """A store with ten records that writes nothing by itself."""
    with eventlog.open(store, fsync_interval_ms=60_000) as log:
        log.partition(*PLACE).append_many([b"%d" % number for number in range(10)])
        yield log


@contextmanager
def no_file_can_be_written() -> Iterator[None]:
    """What a write to a file does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def consume(log: EventLog) -> Iterator[Consume]:
    """Makes consumers of the group, which are closed in the end."""
    with ExitStack() as opened:
        yield lambda topic=None, **options: opened.enter_context(log.consumer(topic, group=GROUP, **options))


def reader_by_assign(consume: Consume, **options: Any) -> Consumer:
    consumer = consume(**options)
    consumer.assign([PLACE])
    return consumer


def test_a_reset_that_cannot_be_stored_moves_no_offset_and_takes_no_partition(log: EventLog, consume: Consume) -> None:
    consumer = consume(TOPIC)
    consumer.poll(1, max_records=5)
    consumer.commit()
    with no_file_can_be_written(), pytest.raises(EventLogError, match="the catalog failed"):
        log.group(GROUP).reset({PLACE: 2})
    assert log.group(GROUP).committed() == {PLACE: 5}
    assert [record.offset for record in consumer.poll(1)] == [5, 6, 7, 8, 9]
    consumer.commit()
    assert log.group(GROUP).committed() == {PLACE: 10}
    assert [entry.kind for entry in log.group(GROUP).history() if entry.kind != "commit"] == []


def test_a_group_that_cannot_be_deleted_keeps_its_commits_and_takes_more(log: EventLog, consume: Consume) -> None:
    consumer = reader_by_assign(consume)
    consumer.commit({PLACE: 8})
    with no_file_can_be_written(), pytest.raises(EventLogError, match="the catalog failed"):
        log.group(GROUP).delete()
    assert log.group(GROUP).committed() == {PLACE: 8}
    consumer.commit({PLACE: 9})
    assert log.group(GROUP).committed() == {PLACE: 9}


def test_a_join_that_cannot_be_stored_takes_no_seat(log: EventLog, consume: Consume, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seat of a member that hangs is free to be given away; a join that fails must not have it."""
    hanging = consume(TOPIC, max_poll_interval_ms=60_000)
    hanging.poll(1)
    monkeypatch.setattr(SlotTable, "unseen_ms", lambda *_: 60_001)
    with no_file_can_be_written(), pytest.raises(EventLogError, match="the catalog failed"):
        consume(TOPIC).poll(0)
    monkeypatch.undo()
    table = log.open_groups.find(GROUP)
    assert table is not None
    [member] = table.state().members.values()
    assert table.acks.unseen_ms(member.seat, member.epoch) >= 0


def test_a_commit_while_its_group_is_found_to_be_unused_is_kept_or_refused(
    log: EventLog, consume: Consume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last member leaves a group that has committed nothing, while somebody else commits for the first time."""
    member = consume("nothing-yet")
    member.poll(0)
    outside = reader_by_assign(consume, auto_offset_reset="error")
    original = SlotTable.refuse_commits

    def commit_first(table: SlotTable, slots: int) -> None:
        table.ack(0, 0).commit(8)
        original(table, slots)
        with pytest.raises(StaleMemberError):
            table.ack(0, 0).commit(9)

    monkeypatch.setattr(SlotTable, "refuse_commits", commit_first)
    member.close()
    monkeypatch.undo()
    assert log.group(GROUP).committed() == {PLACE: 8}
    outside.commit({PLACE: 9})
    assert log.group(GROUP).committed() == {PLACE: 9}


def test_an_interrupt_behind_the_catalog_leaves_no_member_that_nobody_is(
    log: EventLog, consume: Consume, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Membership.join

    def interrupted(membership: Membership) -> None:
        monkeypatch.undo()
        original(membership)
        membership.has_joined = False
        raise KeyboardInterrupt

    monkeypatch.setattr(Membership, "join", interrupted)
    consumer = consume(TOPIC)
    with pytest.raises(KeyboardInterrupt):
        consumer.poll(0)
    assert len(consumer.poll(1)) == 10
    assert len(log.group(GROUP).describe().members) == 1
    consumer.commit()
    consumer.close()
    assert log.group(GROUP).describe().members == ()


def test_who_joins_behind_a_deletion_that_was_killed_is_a_member_of_a_living_group(
    log: EventLog, consume: Consume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has found the group before, and the deletion died after it had begun to refuse commits."""
    log.create_group(GROUP)
    original = Membership.join

    def join_behind(membership: Membership) -> None:
        membership.group.acks.refuse_commits(0)  # what a process that dies now has done
        original(membership)

    monkeypatch.setattr(Membership, "join", join_behind)
    consumer = consume(TOPIC)
    assert len(consumer.poll(1)) == 10
    consumer.commit()
    assert log.group(GROUP).committed() == {PLACE: 10}


def test_retention_counts_from_when_the_group_became_empty(
    log: EventLog, consume: Consume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its topic was quiet for longer than groups are kept, and then its member is started anew."""
    consumer = consume(TOPIC)
    consumer.poll(1)
    consumer.commit(sync=True)
    an_hour_later = now_ms() + 3_600_000
    for module in (coordinator, expiry):
        monkeypatch.setattr(module, "now_ms", lambda: an_hour_later)
    assert log.maintain(group_retention_ms=60_000).expired_groups == []
    consumer.close()
    assert log.maintain(group_retention_ms=60_000).expired_groups == []
    monkeypatch.setattr(expiry, "now_ms", lambda: an_hour_later + 60_001)
    assert log.maintain(group_retention_ms=60_000).expired_groups == [GROUP]


def open_groups(store: Path) -> list[str]:
    return [Path(path).stem for path in open_files(store) if path.endswith(".acks")]


@pytest.mark.parametrize("dry_run", [False, True])
def test_housekeeping_opens_no_file_of_a_group_that_is_in_use(store: Path, log: EventLog, dry_run: bool) -> None:
    """Or was lately: one with a member, a static one that is away, one that has committed, and one that is new."""
    with ExitStack() as consumers:
        for group, instance_id, is_there in (("busy", None, True), ("away", "one", False), ("done", None, False)):
            consumer = consumers.enter_context(log.consumer(TOPIC, group=group, instance_id=instance_id))
            consumer.poll(1)
            consumer.commit(sync=True)
            if not is_there:
                consumer.close()
        log.create_group("new")
        before = open_groups(store)
        with eventlog.open(store) as keeper:
            assert keeper.maintain(group_retention_ms=60_000, dry_run=dry_run).expired_groups == []
            assert open_groups(store) == before == ["away", "busy", "done", "new"]
            keeper.create_group("new")
            assert open_groups(store) == ["away", "busy", "done", "new", "new"], "what is opened is seen"


def test_housekeeping_expels_a_member_whose_process_is_stopped(store: Path, log: EventLog) -> None:
    """Nobody else is in the group who would notice."""
    with Worker(members.consume, store, GROUP, {"max_poll_interval_ms": 100}) as member:
        assert member.receive()
        with log.store.catalog.groups.change(GROUP):  # so that it is not stopped in the middle of a change of its own
            member.stop()
        while log.group(GROUP).describe().members:
            assert log.maintain().failures == []


def test_a_consumer_with_assign_goes_on_when_its_group_has_expired(
    log: EventLog, consume: Consume, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = reader_by_assign(consume)
    assert len(consumer.poll(1)) == 10
    consumer.commit()
    monkeypatch.setattr(expiry, "now_ms", lambda: now_ms() + 3_600_000)
    assert log.maintain(group_retention_ms=60_000).expired_groups == [GROUP]
    log.partition(*PLACE).append(b"new")
    assert [record.offset for record in consumer.poll(1)] == [10]
    consumer.commit(sync=True)
    assert log.group(GROUP).committed() == {PLACE: 11}
    log.group(GROUP).delete()
    consumer.commit({PLACE: 11})
    assert log.group(GROUP).committed() == {PLACE: 11}


def test_offsets_that_an_earlier_version_has_stored_are_read(
    log: EventLog, consume: Consume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its entries end with the slot."""
    former = struct.Struct(">qqI")
    with monkeypatch.context() as earlier:
        earlier.setattr(offsets, "_VALUE", SimpleNamespace(pack=lambda *fields: former.pack(*fields[:3]), unpack=former.unpack))
        consumer = reader_by_assign(consume)
        consumer.commit({PLACE: 4}, sync=True)
        assert log.group(GROUP).committed() == {PLACE: 4}
    assert log.group(GROUP).committed() == {PLACE: 4}
    log.group(GROUP).reset({PLACE: 2})
    assert log.group(GROUP).lag() == {PLACE: 8}
