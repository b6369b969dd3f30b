"""Members of a group share the partitions: one owner each, handed over, taken over, fenced."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import Consumer, EventLog, OffsetChange, RebalanceListener, Record, StaleMemberError, TopicPartition
from eventlog.clock import now_ms
from tests.support import heads, members, workers
from tests.support.processes import Worker

TOPIC = "events"
GROUP = "group"
PARTITIONS = 4


def place(number: int) -> TopicPartition:
    return TopicPartition(TOPIC, number)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def log(store: Path) -> Iterator[EventLog]:
    with eventlog.open(store) as opened:
        opened.create_topic(TOPIC, partitions=PARTITIONS)
        yield opened


def fill(log: EventLog, count: int = 10) -> None:
    for number in range(PARTITIONS):
        log.partition(TOPIC, number).append_many([b"%d" % sequence for sequence in range(count)])


class Diary(RebalanceListener):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, list[TopicPartition]]] = []

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.entries.append(("assigned", list(partitions)))

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.entries.append(("revoked", list(partitions)))

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.entries.append(("lost", list(partitions)))


def settle(*consumers: Consumer) -> None:
    """Poll in turn until every partition has an owner among these."""
    while sum(len(consumer.assignment()) for consumer in consumers) < PARTITIONS or _is_uneven(consumers):
        for consumer in consumers:
            assert consumer.poll(timeout=0) == []


def _is_uneven(consumers: Sequence[Consumer]) -> bool:
    counts = [len(consumer.assignment()) for consumer in consumers]
    return max(counts) - min(counts) > 1


@pytest.mark.parametrize("assignor", ["range", "round-robin", "cooperative-sticky"])
@pytest.mark.parametrize("members", [1, 2, 3, 4])
def test_every_partition_has_one_owner(log: EventLog, assignor: str, members: int) -> None:
    with ExitStack() as stack:
        consumers = [stack.enter_context(log.consumer(TOPIC, group=GROUP, assignor=assignor)) for _ in range(members)]
        settle(*consumers)
        owned = [partition for consumer in consumers for partition in consumer.assignment()]
        assert sorted(owned) == [place(number) for number in range(PARTITIONS)]
        shown = {member.partitions for member in log.group(GROUP).describe().members}
        assert shown == {tuple(sorted(consumer.assignment())) for consumer in consumers}


def test_a_member_gets_its_share_only_after_the_owner_has_given_it_up(log: EventLog) -> None:
    diary = Diary()
    with log.consumer(TOPIC, group=GROUP, listener=diary) as one, log.consumer(TOPIC, group=GROUP) as two:
        one.poll(timeout=0)
        two.poll(timeout=0)
        assert (len(one.assignment()), len(two.assignment())) == (PARTITIONS, 0)
        one.poll(timeout=0)
        assert diary.entries[-1][0] == "revoked" and len(diary.entries[-1][1]) == 2
        two.poll(timeout=0)
        assert two.assignment() == set(diary.entries[-1][1])
        assert one.assignment().isdisjoint(two.assignment())


def test_records_are_never_handed_to_two_members_while_members_come_and_go(log: EventLog) -> None:
    fill(log, 300)
    seen: list[tuple[int, int]] = []

    def work(consumer: Consumer) -> int:
        records = consumer.poll(timeout=0, max_records=7)
        seen.extend((record.partition, record.offset) for record in records)
        consumer.commit()
        return len(records)

    consumers: list[Consumer] = []
    step = 0
    while len(seen) < 300 * PARTITIONS:
        if step % 13 == 0 and len(consumers) < 3:
            consumers.append(log.consumer(TOPIC, group=GROUP))
        if step % 31 == 30 and len(consumers) > 1:
            consumers.pop(0).close()
        for consumer in consumers:
            work(consumer)
        step += 1
    assert len(seen) == len(set(seen))
    for consumer in consumers:
        consumer.close()
    assert log.group(GROUP).lag() == dict.fromkeys(map(place, range(PARTITIONS)), 0)


def test_what_a_member_leaves_goes_to_the_others_at_once(log: EventLog) -> None:
    with log.consumer(TOPIC, group=GROUP) as one:
        two = log.consumer(TOPIC, group=GROUP)
        settle(one, two)
        two.close()
        one.poll(timeout=0)
        assert len(one.assignment()) == PARTITIONS


def test_with_auto_commit_what_was_handed_out_is_committed_before_a_partition_is_given_up(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP, auto_commit=True, auto_commit_interval_ms=60_000) as one:
        assert len(one.poll(max_records=1000)) == 10 * PARTITIONS
        two = log.consumer(TOPIC, group=GROUP)
        two.poll(timeout=0)
        assert one.poll(timeout=0) == []
        assert two.poll(timeout=0) == [] and len(two.assignment()) == 2
        two.close()


def test_another_assignor_is_refused_while_others_live(log: EventLog) -> None:
    with log.consumer(TOPIC, group=GROUP, assignor="range") as one:
        one.poll(timeout=0)
        with pytest.raises(eventlog.InvalidArgumentError, match="range"):
            log.consumer(TOPIC, group=GROUP, assignor="round-robin").poll(timeout=0)
    other = log.consumer(TOPIC, group=GROUP, assignor="round-robin")
    other.poll(timeout=0)
    assert len(other.assignment()) == PARTITIONS


def test_a_static_member_that_comes_back_has_its_partitions_and_nobody_else_notices(log: EventLog) -> None:
    diary = Diary()
    with log.consumer(TOPIC, group=GROUP, instance_id="other", listener=diary) as other:
        returning = log.consumer(TOPIC, group=GROUP, instance_id="returning")
        settle(other, returning)
        had = returning.assignment()
        returning.close()
        diary.entries.clear()
        other.poll(timeout=0)
        returned = log.consumer(TOPIC, group=GROUP, instance_id="returning")
        returned.poll(timeout=0)
        other.poll(timeout=0)
        assert returned.assignment() == had and diary.entries == []


def test_a_static_member_that_stays_away_too_long_loses_its_partitions(log: EventLog) -> None:
    with log.consumer(TOPIC, group=GROUP) as other:
        away = log.consumer(TOPIC, group=GROUP, instance_id="away", session_timeout_ms=1)
        settle(other, away)
        away.close()
        while len(other.assignment()) < PARTITIONS:
            other.poll(timeout=0.1)


def test_what_a_static_member_had_yet_to_give_up_when_it_died_goes_to_the_new_owner(store: Path, log: EventLog) -> None:
    with Worker(members.own_everything, store, GROUP, "away") as away:
        assert away.receive() == PARTITIONS
        with log.consumer(TOPIC, group=GROUP, auto_offset_reset="earliest") as consumer:
            assert consumer.poll(timeout=0) == []
            assert consumer.assignment() == set()
            away.kill()
            fill(log, 1)
            assert consumer.poll(timeout=30), "its session lasts for longer"
            assert 0 < len(consumer.assignment()) < PARTITIONS, "what it is to have itself is kept for it"


def test_a_second_consumer_with_the_same_instance_id_fences_the_first(log: EventLog) -> None:
    fill(log)
    first = log.consumer(TOPIC, group=GROUP, instance_id="one")
    first.poll(max_records=1)
    with log.consumer(TOPIC, group=GROUP, instance_id="one") as second:
        second.poll(timeout=0, max_records=1)
        with pytest.raises(StaleMemberError):
            first.commit()
        assert log.group(GROUP).committed() == {}
        for _ in range(2):
            with pytest.raises(StaleMemberError, match="instance_id"):
                first.poll(timeout=0)
        first.close()
        second.commit()
        assert len(second.assignment()) == PARTITIONS


def test_a_member_that_hangs_is_expelled_fenced_and_joins_again(log: EventLog) -> None:
    fill(log)
    diary = Diary()
    hanging = log.consumer(TOPIC, group=GROUP, max_poll_interval_ms=1, listener=diary)
    assert len(hanging.poll(max_records=1)) == 1
    with log.consumer(TOPIC, group=GROUP) as other:
        taken: list[Record] = []
        while len(taken) < 10 * PARTITIONS:
            taken += other.poll(timeout=0.1)
        other.commit()
        with pytest.raises(StaleMemberError):
            hanging.commit()
        assert set(log.group(GROUP).committed().values()) == {10}
        hanging.poll(timeout=0)
        assert ("lost", [place(number) for number in range(PARTITIONS)]) in diary.entries
    hanging.close()


def test_a_reset_moves_a_running_group_and_fences_what_was_in_hand(log: EventLog) -> None:
    fill(log)
    diary = Diary()
    with log.consumer(TOPIC, group=GROUP, listener=diary) as consumer:
        assert len(consumer.poll(max_records=1000)) == 10 * PARTITIONS
        log.group(GROUP).reset({place(0): 7, place(1): 0})
        with pytest.raises(StaleMemberError):
            consumer.commit()
        assert log.group(GROUP).committed() == {place(0): 7, place(1): 0}
        again = consumer.poll()
        assert ("lost", [place(0), place(1)]) in diary.entries
        assert sorted((record.partition, record.offset) for record in again) == [
            *((0, offset) for offset in range(7, 10)), *((1, offset) for offset in range(10))
        ]  # fmt: skip
        consumer.commit()
        assert log.group(GROUP).lag()[place(1)] == 0


@pytest.mark.parametrize(
    ("offsets", "error"),
    [
        ({}, eventlog.InvalidArgumentError),
        ([1], eventlog.InvalidTypeError),
        ({TopicPartition(TOPIC, 0): 11}, eventlog.OffsetOutOfRangeError),
        ({TopicPartition(TOPIC, 0): -1}, eventlog.InvalidArgumentError),
        ({TopicPartition(TOPIC, 0): "1"}, eventlog.InvalidTypeError),
        ({TopicPartition(TOPIC, 9): 0}, eventlog.PartitionNotFoundError),
        ({TopicPartition("nothing", 0): 0}, eventlog.TopicNotFoundError),
    ],
)
def test_a_reset_to_nowhere_changes_nothing(log: EventLog, offsets: object, error: type[Exception]) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll(max_records=1000)
        consumer.commit()
        with pytest.raises(error):
            log.group(GROUP).reset(offsets)  # type: ignore[arg-type]
        consumer.commit()
        assert set(log.group(GROUP).committed().values()) == {10}


def test_a_group_is_deleted_once_nobody_is_in_it(log: EventLog) -> None:
    fill(log)
    group = None
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll()
        consumer.commit()
        group = log.group(GROUP)
        with pytest.raises(eventlog.InvalidArgumentError, match="live members"):
            group.delete()
    group.delete()
    assert log.groups() == []
    for use in (group.committed, group.lag, group.describe, group.delete, lambda: log.group(GROUP)):
        with pytest.raises(eventlog.GroupNotFoundError):
            use()
    with log.consumer(TOPIC, group=GROUP) as consumer:
        assert consumer.poll(max_records=1)[0].offset == 0
        assert log.group(GROUP).committed() == {}


def test_a_group_that_never_committed_goes_with_its_last_member(log: EventLog) -> None:
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll(timeout=0)
        assert log.groups() == [GROUP]
    assert log.groups() == []


@pytest.mark.parametrize("name", ["", ".", "a/b", "a b", "x" * 250])
def test_a_consumer_of_a_group_whose_name_cannot_be_a_file_is_refused(log: EventLog, name: str) -> None:
    with pytest.raises(eventlog.InvalidArgumentError, match="group name"):
        log.consumer(TOPIC, group=name)


@pytest.mark.parametrize("name", ["", "x" * 250, "\ud800"])
def test_a_group_name_that_not_even_a_remote_client_may_use_is_refused(log: EventLog, name: str) -> None:
    with pytest.raises(eventlog.InvalidArgumentError, match="group name"):
        log.group(name)


@pytest.mark.parametrize("after_a_reboot", [False, True])
def test_committed_offsets_outlive_the_processes(store: Path, log: EventLog, after_a_reboot: bool) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll(max_records=1000)
        consumer.commit({place(0): 3, place(2): 10})
    log.close()
    if after_a_reboot:
        for file in (store / "shared").glob("*.*"):
            heads.simulate_reboot(file)
    with eventlog.open(store) as again, again.consumer(TOPIC, group=GROUP) as consumer:
        assert again.group(GROUP).committed() == {place(0): 3, place(2): 10}
        records = consumer.poll(max_records=1000)
        assert {record.partition: record.offset for record in reversed(records)} == {0: 3, 1: 0, 3: 0}


def test_where_nothing_was_committed_lag_is_counted_from_where_the_group_began(log: EventLog) -> None:
    fill(log)
    lag = {place(0): 8, place(1): 6, place(2): 10, place(3): 10}
    log.partition(*place(0)).delete_records(2)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll(max_records=1)
        consumer.commit({place(1): 4})
        assert log.group(GROUP).lag() == lag
        assert log.group(GROUP).committed() == {place(1): 4}
    assert log.group(GROUP).lag() == lag
    assert log.lags() == {GROUP: lag}
    log.partition(*place(0)).delete_records(5)
    assert log.group(GROUP).lag() == {**lag, place(0): 5}


def test_lag_is_unknown_where_a_group_has_not_begun(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP, auto_offset_reset="error") as consumer:
        with pytest.raises(eventlog.NoCommittedOffsetError):
            consumer.poll(0)
        assert log.group(GROUP).lag() == {place(number): None for number in range(PARTITIONS)}
    assert log.groups() == []


def test_a_group_whose_worker_fails_on_its_first_record_is_there_with_its_lag(log: EventLog) -> None:
    fill(log)
    with pytest.raises(ZeroDivisionError), log.consumer(TOPIC, group=GROUP) as consumer:
        for _ in consumer:
            raise ZeroDivisionError
    assert log.group(GROUP).lag() == {place(number): 10 for number in range(PARTITIONS)}
    assert log.group(GROUP).committed() == {}
    with log.producer() as producer:
        receipt = producer.send(TOPIC, b"x", partition=0)
        assert not receipt.wait_acked(GROUP, timeout=0)
    [warned] = [each for each in log.activity().groups if each.name == GROUP]
    assert warned.lag == 10 * PARTITIONS + 1
    lags = [sample.value for sample in log.metrics()["eventlog_group_lag_records"].samples]
    assert sorted(lags) == [10, 10, 10, 11]


def test_a_new_member_begins_where_the_group_has_begun_in_partitions_added_under_latest(log: EventLog) -> None:
    """Nobody has committed in the new partition before the first member goes."""
    with log.consumer(TOPIC, group=GROUP, auto_offset_reset="latest") as consumer:
        consumer.poll(0)
        log.alter_topic(TOPIC, partitions=PARTITIONS + 1)
        log.partition(TOPIC, PARTITIONS).append(b"first")
        assert [record.value for record in consumer.poll(1)] == [b"first"]
    log.create_topic("another")
    log.partition("another", 0).append(b"first of another")
    with log.consumer([TOPIC, "another"], group=GROUP, auto_offset_reset="latest") as consumer:
        found = []
        while records := consumer.poll(0.01):
            found += [record.value for record in records]
        assert sorted(found) == [b"first", b"first of another"]
    with log.consumer(TOPIC, group="later", auto_offset_reset="latest") as consumer:
        assert consumer.poll(0) == [], "what was there before the group is old"


def test_a_consumer_with_assign_begins_at_the_first_record_of_a_partition_that_is_newer_than_its_group(log: EventLog) -> None:
    log.create_group(GROUP)
    log.alter_topic(TOPIC, partitions=PARTITIONS + 1)
    fill(log)
    log.partition(TOPIC, PARTITIONS).append(b"first")
    with log.consumer(group=GROUP, auto_offset_reset="latest") as consumer:
        consumer.assign([place(0), place(PARTITIONS)])
        assert [record.value for record in consumer.poll(1)] == [b"first"]


def test_a_member_whose_consumer_was_forgotten_does_not_hold_its_partitions_forever(log: EventLog) -> None:
    forgotten = log.consumer(TOPIC, group=GROUP, max_poll_interval_ms=50)
    forgotten.poll(timeout=0)
    del forgotten
    with log.consumer(TOPIC, group=GROUP) as other:
        while len(other.assignment()) < PARTITIONS:
            other.poll(timeout=0.1)


def test_a_static_member_that_comes_back_finds_topics_that_were_created_meanwhile(log: EventLog) -> None:
    topics = [TOPIC, "later"]
    with log.consumer(topics, group=GROUP, instance_id="one") as consumer:
        consumer.poll(timeout=0)
        assert len(consumer.assignment()) == PARTITIONS
    log.create_topic("later")
    log.partition("later", 0).append(b"x")
    with log.consumer(topics, group=GROUP, instance_id="one") as consumer:
        assert [record.topic for record in consumer.poll()] == ["later"]
        assert len(consumer.assignment()) == PARTITIONS + 1


_IS_DELETED_AT = 96  # in the file of a group, see native/store/acks.h


def test_a_group_whose_deleter_died_before_the_catalog_had_it_can_be_used(store: Path, log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll(max_records=1000)
        consumer.commit({place(0): 3})
    log.close()
    with open(store / "shared" / f"{GROUP}.acks", "r+b") as file:
        file.seek(_IS_DELETED_AT)
        file.write(b"\1")
    with eventlog.open(store) as again, again.consumer(TOPIC, group=GROUP) as consumer:
        assert again.group(GROUP).committed() == {place(0): 3}
        assert len(consumer.poll(max_records=1000)) == 10 * PARTITIONS - 3
        consumer.commit()
        assert again.group(GROUP).committed() == {place(number): 10 for number in range(PARTITIONS)}


def test_groups_that_come_and_go_leave_no_open_files(log: EventLog) -> None:
    def use_a_group() -> None:
        with log.consumer(TOPIC, group=GROUP) as consumer:
            consumer.poll(timeout=0)
        assert log.groups() == []

    use_a_group()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        use_a_group()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_a_partition_that_could_not_be_taken_at_once_is_taken_by_the_next_poll(store: Path, log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll(timeout=0)
        consumer.commit({place(0): 1})
    log.close()
    with eventlog.open(store, lock_timeout_ms=10) as again:
        again.create_group(GROUP)  # opens its file: who comes alone frees what is locked
        with (
            again.consumer(TOPIC, group=GROUP) as consumer,
            Worker(workers.hold_slot_mutex, store, GROUP, 2) as holder,
        ):
            assert holder.receive() == "held"
            for _ in range(2):
                with pytest.raises(eventlog.LockTimeoutError, match=str(holder.pid)):
                    consumer.poll(max_records=1000)
            holder.send("give back")
            assert holder.receive() == "given back"
            assert len(consumer.poll(max_records=1000)) == 10 * PARTITIONS - 1
            holder.send("end")


def test_progress_is_told_in_records_bytes_and_seconds(log: EventLog) -> None:
    minute_ago = now_ms() - 60_000
    for number in range(2):
        log.partition(TOPIC, number).append_many([b"x"] * 3, timestamps=[minute_ago] * 3)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll(max_records=100)
        consumer.commit({place(0): 1, place(1): 3})
        found = log.group(GROUP).progress()
        [member] = log.group(GROUP).describe().members
    behind, done, unknown = found[place(0)], found[place(1)], found[place(2)]
    assert (behind.committed, behind.start_offset, behind.end_offset, behind.lag) == (1, 0, 3, 2)
    assert behind.lag_bytes == log.partition(TOPIC, 0).bytes_from(1)
    assert behind.lag_seconds is not None and behind.lag_seconds >= 60
    assert behind.committed_ms is not None and behind.committed_ms > minute_ago
    assert behind.member_id == member.member_id and len(member.assigned) == PARTITIONS
    assert (done.lag, done.lag_bytes, done.lag_seconds) == (0, 0, 0)
    assert (unknown.committed, unknown.committed_ms, unknown.lag, unknown.lag_bytes) == (None, None, 0, 0)
    assert {partition: each.lag for partition, each in found.items()} == log.group(GROUP).lag()


def test_the_plan_of_a_reset_shows_before_and_after_and_changes_nothing(log: EventLog) -> None:
    fill(log)
    with log.consumer(group=GROUP) as consumer:
        consumer.assign([place(0)])
        consumer.commit({place(0): 4})
    plan = log.group(GROUP).plan_reset({place(1): 2, place(0): 0})
    assert plan == [OffsetChange(place(0), 4, 0), OffsetChange(place(1), None, 2)]
    with pytest.raises(eventlog.OffsetOutOfRangeError):
        log.group(GROUP).plan_reset({place(1): 11})
    assert log.group(GROUP).committed() == {place(0): 4}


def test_a_group_that_waits_for_a_static_member_says_so_when_it_is_to_be_deleted(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP, instance_id="one") as consumer:
        consumer.poll()
        consumer.commit()
    with pytest.raises(eventlog.InvalidArgumentError, match="static members that are absent, such as 'one'"):
        log.group(GROUP).delete()


def test_the_history_tells_commits_and_resets_and_an_undo_gives_back_what_a_reset_took(log: EventLog) -> None:
    fill(log)
    group = log.create_group(GROUP)
    with log.consumer(group=GROUP) as consumer:
        consumer.assign([place(0)])
        consumer.commit({place(0): 4}, sync=True)
        group.reset({place(0): 1, place(1): 2})
        assert group.undo_reset() == {place(0): 4, place(1): None}
        assert group.committed() == {place(0): 4}
        group.undo_reset()
        assert group.committed() == {place(0): 1, place(1): 2}
    group.delete_offsets([place(1)])
    told = [(entry.kind, [(each.partition, each.before, each.after) for each in entry.changes]) for entry in group.history()]
    assert told == [
        ("commit", [(place(0), None, 4)]),
        ("reset", [(place(0), 4, 1), (place(1), None, 2)]),
        ("undo", [(place(0), 1, 4), (place(1), 2, None)]),
        ("undo", [(place(0), 4, 1), (place(1), None, 2)]),
        ("delete", [(place(1), 2, None)]),
    ]
    assert [entry.kind for entry in group.history(limit=2)] == ["undo", "delete"]
    assert {entry.process_id for entry in group.history()} == {os.getpid()}


def test_the_history_is_bounded_and_its_last_entry_stays(log: EventLog) -> None:
    fill(log)
    group = log.create_group(GROUP)
    for number in range(1100):
        group.reset({place(0): number % 2})
    history = group.history()
    assert len(history) == 1000
    assert [entry.number for entry in history] == list(range(100, 1100))


def test_a_group_without_a_reset_has_nothing_to_undo_and_one_in_use_keeps_its_offsets(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll()
        consumer.commit()
        with pytest.raises(eventlog.InvalidArgumentError, match="no reset to undo"):
            log.group(GROUP).undo_reset()
        with pytest.raises(eventlog.InvalidArgumentError, match=f"in use by process {os.getpid()}"):
            log.group(GROUP).delete_offsets([place(0)])
        assert log.group(GROUP).committed()


@pytest.mark.parametrize("partitions", [None, 5, TOPIC, [5], [TOPIC]])
def test_offsets_are_deleted_of_a_list_of_partitions(log: EventLog, partitions: Any) -> None:
    with pytest.raises(eventlog.InvalidTypeError):
        log.create_group(GROUP).delete_offsets(partitions)


def test_rates_are_unknown_at_first_and_a_group_that_has_done_everything_needs_no_time(log: EventLog) -> None:
    fill(log)
    with log.consumer(group=GROUP) as consumer:
        consumer.assign([place(0), place(1)])
        consumer.commit({place(0): 4, place(1): log.partition(TOPIC, 1).end_offset}, sync=True)
    behind, done = (log.group(GROUP).progress()[place(number)] for number in range(2))
    assert (behind.commit_rate, behind.catch_up_seconds) == (None, None)
    assert (done.lag, done.catch_up_seconds) == (0, 0.0)


def test_an_undo_leaves_out_topics_that_were_deleted_since(log: EventLog) -> None:
    """Also where one of the same name was made: its records are others."""
    fill(log)
    log.create_topic("other")
    log.partition("other", 0).append_many([b"x"] * 10)
    other = TopicPartition("other", 0)
    group = log.create_group(GROUP)
    group.reset({place(0): 7, other: 9})
    group.reset({place(0): 2, other: 1})
    log.delete_topic("other")
    log.create_topic("other")
    log.partition("other", 0).append_many([b"y"] * 10)
    assert group.undo_reset() == {place(0): 7}
    assert group.committed() == {place(0): 7}
    log.delete_topic(TOPIC)
    with pytest.raises(eventlog.InvalidArgumentError, match="no reset to undo"):
        group.undo_reset()


def test_a_close_after_a_reset_tells_what_is_lost_and_commits_the_rest(log: EventLog) -> None:
    fill(log)
    diary = Diary()
    with log.consumer(TOPIC, group=GROUP, listener=diary, auto_commit=True, auto_commit_interval_ms=60_000) as consumer:
        assert len(consumer.poll(max_records=100)) == 10 * PARTITIONS
        log.group(GROUP).reset({place(0): 1})
    rest = [place(number) for number in range(1, PARTITIONS)]
    assert diary.entries[1:] == [("lost", [place(0)]), ("revoked", rest)]
    assert log.group(GROUP).committed() == {place(0): 1, **dict.fromkeys(rest, 10)}
