"""A consumer hands out every record once, in order, and knows how far it is."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, Record, TopicPartition
from tests.support import stores
from tests.support.workers import what_is_raised

TOPIC = "orders"
GROUP = "billing"


def place(number: int = 0) -> TopicPartition:
    return TopicPartition(TOPIC, number)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store", fsync="never") as opened:
        opened.create_topic(TOPIC, partitions=2, config={"segment.bytes": 4096})
        yield opened


def fill(log: EventLog, count: int = 500) -> None:
    for number in range(2):
        for start in range(0, count, 20):
            log.partition(TOPIC, number).append_many(
                [b"%d" % sequence for sequence in range(start, min(start + 20, count))],
                timestamps=[1000 * sequence for sequence in range(start, min(start + 20, count))],
            )


def places(records: list[Record]) -> list[tuple[int, int]]:
    return [(record.partition, record.offset) for record in records]


def everything(count: int = 500) -> list[tuple[int, int]]:
    return [(number, offset) for number in range(2) for offset in range(count)]


def in_order(found: list[tuple[int, int]]) -> bool:
    return all([offset for number, offset in found if number == each] == sorted(
        offset for number, offset in found if number == each
    ) for each in range(2))  # fmt: skip


@pytest.mark.parametrize("group", [None, GROUP])
@pytest.mark.parametrize("max_records", [1, 7, 500, 10_000])
def test_polls_hand_out_everything_once_and_in_order(log: EventLog, group: str | None, max_records: int) -> None:
    fill(log)
    found: list[tuple[int, int]] = []
    with log.consumer(TOPIC, group=group) as consumer:
        while records := consumer.poll(timeout=0, max_records=max_records):
            assert len(records) <= max_records
            found += places(records)
    assert sorted(found) == everything() and in_order(found)


def test_iteration_hands_out_everything_once_and_in_order(log: EventLog) -> None:
    fill(log)
    found: list[tuple[int, int]] = []
    with log.consumer(TOPIC, group=GROUP) as consumer:
        for record in consumer:
            found.append((record.partition, record.offset))
            if len(found) == 1000:
                break
    assert sorted(found) == everything() and in_order(found)


def test_polls_and_several_iterators_may_be_mixed(log: EventLog) -> None:
    fill(log)
    found: list[tuple[int, int]] = []
    with log.consumer(TOPIC, group=GROUP) as consumer:
        iterators = [iter(consumer), iter(consumer)]
        step = 0
        while len(found) < 1000:
            if step % 5 == 4:
                found += places(consumer.poll(timeout=0, max_records=3))
            else:
                found += places([next(iterators[step % 2])])
            step += 1
        consumer.commit()
        assert log.group(GROUP).committed() == {place(0): 500, place(1): 500}
    assert sorted(found) == everything() and in_order(found)


def test_a_commit_in_iteration_covers_the_record_in_hand_and_none_behind_it(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        for count, record in enumerate(consumer, 1):
            where = TopicPartition(TOPIC, record.partition)
            assert consumer.position(where) == record.offset + 1
            if count % 3 == 0:
                consumer.commit()
                assert consumer.committed(where) == record.offset + 1
            if count == 900:
                break
    assert sum(log.group(GROUP).committed().values()) == 900


def test_a_poll_commits_nothing_and_commit_everything_that_was_returned(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        first = consumer.poll(max_records=10)
        assert log.group(GROUP).committed() == {}
        consumer.commit()
        assert sum(log.group(GROUP).committed().values()) == len(first) == 10
        consumer.poll(max_records=10)
    assert sum(log.group(GROUP).committed().values()) == 10


def test_a_group_goes_on_behind_what_was_committed(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll(max_records=1000)
        consumer.commit({place(0): 100, place(1): 499}, sync=True)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        assert sorted(places(consumer.poll(max_records=1000))) == [*((0, offset) for offset in range(100, 500)), (1, 499)]


def test_a_synced_commit_has_the_log_on_disk(log: EventLog) -> None:
    fill(log, 10)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll()
        consumer.commit(sync=True)
        assert [log.partition(TOPIC, number).durable_offset for number in range(2)] == [10, 10]


def test_a_commit_never_goes_back(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll(max_records=1000)
        consumer.commit()
        consumer.commit({place(0): 3})
        consumer.seek(place(0), 5)
        assert places(consumer.poll(max_records=1)) == [(0, 5)]
        consumer.commit()
        assert log.group(GROUP).committed() == {place(0): 500, place(1): 500}


@pytest.mark.parametrize(
    ("offsets", "error"),
    [
        ({place(0): 501}, eventlog.InvalidArgumentError),
        ({place(0): 1, place(1): 501}, eventlog.InvalidArgumentError),
        ({place(0): -1}, eventlog.InvalidArgumentError),
        ({place(0): 1.5}, eventlog.InvalidTypeError),
        ({place(0): True}, eventlog.InvalidTypeError),
        ([(place(0), 1)], eventlog.InvalidTypeError),
        ({"orders": 1}, eventlog.InvalidTypeError),
        ({place(2): 1}, eventlog.StaleMemberError),
        ({TopicPartition("other", 0): 1}, eventlog.StaleMemberError),
    ],
)
def test_a_wrong_commit_changes_nothing(log: EventLog, offsets: Any, error: type[Exception]) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll()
        with pytest.raises(error):
            consumer.commit(offsets)
        assert log.group(GROUP).committed() == {}


def test_without_a_group_there_is_nothing_to_commit_to(log: EventLog) -> None:
    with log.consumer(TOPIC) as consumer:
        with pytest.raises(eventlog.InvalidArgumentError, match="no group"):
            consumer.commit()
        assert consumer.committed(place()) is None


def test_auto_commit_covers_what_earlier_polls_returned(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP, auto_commit=True, auto_commit_interval_ms=1) as consumer:
        consumer.poll(max_records=10)
        total = 0
        while total == 0:
            consumer.poll(timeout=0.01, max_records=1)
            total = sum(log.group(GROUP).committed().values())
        assert total >= 10


def test_auto_commit_covers_everything_at_close_but_not_when_an_error_closes(log: EventLog) -> None:
    fill(log)
    with pytest.raises(ZeroDivisionError), log.consumer(TOPIC, group=GROUP, auto_commit=True) as consumer:
        consumer.poll(max_records=10)
        raise ZeroDivisionError
    assert log.group(GROUP).committed() == {}
    with log.consumer(TOPIC, group=GROUP, auto_commit=True) as consumer:
        assert places(consumer.poll(max_records=10)) == [(0, offset) for offset in range(10)]
    assert log.group(GROUP).committed() == {place(0): 10}


def test_latest_begins_behind_what_is_there_for_every_later_member_too(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP, auto_offset_reset="latest") as consumer:
        assert consumer.poll(timeout=0) == []
    fill(log, 20)
    with log.consumer(TOPIC, group=GROUP, auto_offset_reset="latest") as consumer:
        assert len(consumer.poll()) == 40


def test_error_begins_nowhere_until_a_place_is_chosen(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP, auto_offset_reset="error") as consumer:
        for _ in range(2):
            with pytest.raises(eventlog.NoCommittedOffsetError, match=TOPIC):
                consumer.poll()
        consumer.seek(place(0), 499)
        consumer.seek_to_end(place(1))
        assert places(consumer.poll()) == [(0, 499)]


def test_seeks(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC) as consumer:
        consumer.poll()
        consumer.seek(place(0), 250)
        consumer.seek_to_end(place(1))
        assert (consumer.position(place(0)), consumer.position(place(1))) == (250, 500)
        assert places(consumer.poll(max_records=2)) == [(0, 250), (0, 251)]
        consumer.seek_to_beginning(place(0))
        assert places(consumer.poll(max_records=1)) == [(0, 0)]
        consumer.seek_to_time(498_500)
        assert sorted(places(consumer.poll())) == [(0, 499), (1, 499)]
        consumer.seek_to_time(10**9)
        assert consumer.poll(timeout=0) == []
        for offset in (501, 10**6):
            with pytest.raises(eventlog.OffsetOutOfRangeError):
                consumer.seek(place(0), offset)
        with pytest.raises(eventlog.StaleMemberError):
            consumer.seek(place(7), 0)


def test_a_seek_in_iteration_drops_what_was_read_ahead(log: EventLog) -> None:
    fill(log)
    with log.consumer() as consumer:
        consumer.assign([place(0)])
        iterator = iter(consumer)
        assert [next(iterator).offset for _ in range(3)] == [0, 1, 2]
        consumer.seek(place(0), 100)
        assert [next(iterator).offset for _ in range(3)] == [100, 101, 102]


def test_a_paused_partition_hands_out_nothing_and_loses_nothing(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC) as consumer:
        iterator = iter(consumer)
        first = next(iterator)
        paused = TopicPartition(TOPIC, first.partition)
        consumer.pause(paused)
        assert consumer.paused() == {paused}
        rest = consumer.poll(timeout=0, max_records=1000)
        assert {record.partition for record in rest} == {1 - first.partition} and len(rest) == 500
        consumer.resume(paused)
        assert [record.offset for record in consumer.poll(timeout=0, max_records=1000)] == list(range(1, 500))


def test_a_durable_consumer_sees_only_what_is_on_disk(log: EventLog) -> None:
    fill(log, 10)
    with log.consumer(durable=True) as consumer:
        consumer.assign([place(0)])
        log.partition(TOPIC, 0).flush()
        log.partition(TOPIC, 0).append(b"not on disk")
        assert len(consumer.poll(timeout=0)) == 10
        assert consumer.poll(timeout=0) == []
        log.partition(TOPIC, 0).flush()
        assert [record.value for record in consumer.poll()] == [b"not on disk"]


def test_assigned_partitions_are_read_and_committed_outside_the_membership(log: EventLog) -> None:
    fill(log)
    with log.consumer(group=GROUP) as consumer:
        consumer.assign([place(1)])
        assert {number for number, _ in places(consumer.poll())} == {1}
        consumer.commit()
        with log.consumer(TOPIC, group=GROUP) as member:
            member.poll()
            with pytest.raises(eventlog.StaleMemberError):
                consumer.commit({place(1): 500})
        assert log.group(GROUP).committed() == {place(1): 500}
        with pytest.raises(eventlog.InvalidArgumentError):
            consumer.subscribe(TOPIC)


def test_a_pattern_takes_in_topics_that_are_created_later(log: EventLog) -> None:
    with log.consumer(re.compile("orders.*"), group=GROUP) as consumer:
        consumer.poll(timeout=0)
        assert consumer.subscription() == ("orders",)
        log.create_topic("orders-eu")
        log.create_topic("my-orders")
        log.partition("orders-eu", 0).append(b"found")
        records: list[Record] = []
        while not records:
            records = consumer.poll()
        assert [record.topic for record in records] == ["orders-eu"]
        assert consumer.subscription() == ("orders", "orders-eu")


@pytest.mark.parametrize("group", [None, GROUP])
def test_a_topic_that_is_not_there_yet_is_read_once_it_is(log: EventLog, group: str | None) -> None:
    with log.consumer("later", group=group) as consumer:
        assert consumer.poll(timeout=0) == [] and consumer.assignment() == set()
        log.create_topic("later")
        log.partition("later", 0).append(b"here")
        assert [record.value for record in consumer.poll()] == [b"here"]


def test_a_consumer_without_a_group_has_all_partitions_whoever_else_reads(log: EventLog) -> None:
    fill(log, 10)
    with log.consumer(TOPIC) as one, log.consumer(TOPIC) as two:
        assert len(one.poll()) == len(two.poll()) == 20


def test_what_stands_before_damage_is_handed_out_before_the_error(log: EventLog) -> None:
    partition = log.partition(TOPIC, 0)
    for number in range(3):
        partition.append(b"record %d" % number)
    [segment] = partition.directory.glob("*.log")
    damaged = segment.read_bytes().replace(b"record 2", b"recorD 2")
    segment.write_bytes(damaged)
    with log.consumer() as consumer:
        consumer.assign([place(0)])
        assert [record.value for record in consumer.poll(max_records=2)] == [b"record 0", b"record 1"]
        for _ in range(2):
            with pytest.raises(eventlog.CorruptLogError):
                consumer.poll()


def test_closing_the_store_ends_the_poll_of_another_thread(log: EventLog) -> None:
    consumer = log.consumer(TOPIC, group=GROUP)
    consumer.poll(timeout=0)
    outcome: list[BaseException] = []

    def poll() -> None:
        try:
            consumer.poll(timeout=None)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=poll)
    thread.start()
    _see_in_use(consumer)
    log.close()
    thread.join()
    assert [type(error) for error in outcome] == [eventlog.StoreClosedError]


def _see_in_use(consumer: eventlog.Consumer) -> None:
    while True:
        try:
            consumer.assignment()
        except eventlog.ConcurrentUseError:
            return


def test_two_threads_at_once_are_refused(log: EventLog) -> None:
    consumer = log.consumer(TOPIC, group=GROUP)
    thread = threading.Thread(target=consumer.poll, kwargs={"timeout": None})
    thread.start()
    _see_in_use(consumer)
    for use in (consumer.poll, consumer.commit, consumer.close, lambda: next(iter(consumer)), consumer.pause):
        with pytest.raises(eventlog.ConcurrentUseError):
            use()
    log.partition(TOPIC, 0).append(b"the end")
    thread.join()
    consumer.close()


def test_a_closed_consumer_refuses_everything(log: EventLog) -> None:
    consumer = log.consumer(TOPIC, group=GROUP)
    consumer.poll(timeout=0)
    consumer.close()
    consumer.close()
    for use in (
        consumer.poll, consumer.commit, consumer.assignment, consumer.pause, lambda: next(iter(consumer)),
        lambda: consumer.position(place()), lambda: consumer.seek(place(), 0), lambda: consumer.subscribe("x"),
    ):  # fmt: skip
        with pytest.raises(eventlog.StoreClosedError):
            use()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"topics": []}, eventlog.InvalidArgumentError),
        ({"topics": 7}, eventlog.InvalidTypeError),
        ({"topics": "a/b"}, eventlog.InvalidArgumentError),
        ({"topics": re.compile(b"x")}, eventlog.InvalidTypeError),
        ({"auto_offset_reset": "first"}, eventlog.InvalidArgumentError),
        ({"assignor": "best"}, eventlog.InvalidArgumentError),
        ({"auto_commit": True}, eventlog.InvalidArgumentError),
        ({"auto_commit": 1, "group": GROUP}, eventlog.InvalidTypeError),
        ({"instance_id": "one"}, eventlog.InvalidArgumentError),
        ({"instance_id": "a/b", "group": GROUP}, eventlog.InvalidArgumentError),
        ({"max_poll_interval_ms": 0, "group": GROUP}, eventlog.InvalidArgumentError),
        ({"session_timeout_ms": "1", "group": GROUP}, eventlog.InvalidTypeError),
        ({"auto_commit_interval_ms": -1, "group": GROUP}, eventlog.InvalidArgumentError),
        ({"durable": 1}, eventlog.InvalidTypeError),
        ({"auto_commit_interval_ms": "1", "group": GROUP}, eventlog.InvalidTypeError),
        ({"listener": print}, eventlog.InvalidTypeError),
    ],
)
def test_wrong_arguments_are_refused(log: EventLog, arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        log.consumer(**{"topics": TOPIC, **arguments})


@pytest.mark.parametrize(
    "arguments", [{"max_records": 0}, {"max_records": 1.0}, {"timeout": "1"}, {"timeout": float("nan")}, {"timeout": True}]
)
def test_a_wrong_poll_is_refused(log: EventLog, arguments: dict[str, Any]) -> None:
    with log.consumer(TOPIC) as consumer, pytest.raises((eventlog.InvalidArgumentError, eventlog.InvalidTypeError)):
        consumer.poll(**arguments)


def damage(log: EventLog, stored: bytes, other: bytes) -> None:
    [segment] = log.partition(TOPIC, 0).directory.glob("*.log")
    segment.write_bytes(segment.read_bytes().replace(stored, other))


def test_a_poll_for_more_than_stands_before_damage_hands_out_what_does(log: EventLog) -> None:
    for number in range(20):
        log.partition(TOPIC, 0).append(b"record %02d" % number)
    damage(log, b"record 15", b"recorD 15")
    for group in (None, GROUP):
        with log.consumer(group=group) as consumer:
            consumer.assign([place(0)])
            assert places(consumer.poll(max_records=4)) == [(0, offset) for offset in range(4)]
            assert places(consumer.poll()) == [(0, offset) for offset in range(4, 15)]
            for _ in range(2):
                with pytest.raises(eventlog.CorruptLogError):
                    consumer.poll()


def test_iteration_and_polls_around_damage_lose_nothing_and_repeat_nothing(log: EventLog) -> None:
    for number in range(20):
        log.partition(TOPIC, 0).append(b"record %02d" % number)
    damage(log, b"record 15", b"recorD 15")
    with log.consumer(TOPIC) as consumer:
        iterator = iter(consumer)
        found = [next(iterator).offset for _ in range(3)]
        found += [record.offset for record in consumer.poll(max_records=5)]
        found += [next(iterator).offset for _ in range(2)]
        found += [record.offset for record in consumer.poll()]
        with pytest.raises(eventlog.CorruptLogError):
            next(iterator)
    assert found == list(range(15))


def test_another_subscription_takes_the_place_of_the_first(log: EventLog) -> None:
    fill(log, 10)
    log.create_topic("other")
    log.partition("other", 0).append(b"x")
    for group in (None, GROUP):
        with log.consumer(TOPIC, group=group) as consumer:
            assert consumer.poll(max_records=1)[0].topic == TOPIC
            consumer.subscribe("other")
            assert [record.topic for record in consumer.poll(max_records=1000)] == ["other"]
            assert consumer.assignment() == {TopicPartition("other", 0)}


class Failing(eventlog.RebalanceListener):
    """Raises in one method, the first time."""

    def __init__(self, method: str) -> None:
        self._method = method
        self.calls: list[str] = []

    def _note(self, method: str) -> None:
        self.calls.append(method)
        if method == self._method and self.calls.count(method) == 1:
            raise ZeroDivisionError

    def assigned(self, partitions: object) -> None:
        self._note("assigned")

    def revoked(self, partitions: object) -> None:
        self._note("revoked")

    def lost(self, partitions: object) -> None:
        self._note("lost")


def test_a_listener_that_raises_in_assigned_keeps_no_record_away(log: EventLog) -> None:
    fill(log, 10)
    with log.consumer(TOPIC, group=GROUP, listener=Failing("assigned")) as consumer:
        with pytest.raises(ZeroDivisionError):
            consumer.poll()
        assert len(consumer.poll(max_records=1000)) == 20


def test_a_listener_that_raises_in_lost_does_not_keep_its_consumer_from_going_on(log: EventLog) -> None:
    fill(log, 10)
    with log.consumer(TOPIC, group=GROUP, listener=Failing("lost")) as consumer:
        assert len(consumer.poll(max_records=1000)) == 20
        consumer.commit()
        log.group(GROUP).reset({place(0): 3, place(1): 8})
        with pytest.raises(ZeroDivisionError):
            consumer.poll()
        assert len(consumer.poll(max_records=1000)) == 9


def test_a_listener_that_raises_in_revoked_does_not_hold_the_partitions_back(log: EventLog) -> None:
    fill(log, 10)
    with log.consumer(TOPIC, group=GROUP, listener=Failing("revoked")) as one, log.consumer(TOPIC, group=GROUP) as two:
        one.poll(max_records=1)
        two.poll(timeout=0)
        with pytest.raises(ZeroDivisionError):
            one.poll()
        assert {record.partition for record in two.poll(max_records=1000)} == {place.partition for place in two.assignment()}
        assert len(one.assignment()) == len(two.assignment()) == 1


def test_a_consumer_that_has_nothing_gives_nothing_up(log: EventLog) -> None:
    listener = Failing("")
    with log.consumer("nothing", group=GROUP, listener=listener) as consumer:
        consumer.poll(timeout=0)
    assert listener.calls == []


def test_a_member_that_waits_in_poll_for_longer_than_its_lease_keeps_it(log: EventLog) -> None:
    listener = Failing("")
    is_over = threading.Event()
    with (
        log.consumer(TOPIC, group=GROUP, max_poll_interval_ms=200, listener=listener) as one,
        log.consumer(TOPIC, group=GROUP) as two,
    ):
        two.poll(timeout=0)
        one.poll(timeout=0)
        two.poll(timeout=0)
        one.poll(timeout=0)
        generation = log.group(GROUP).describe().generation

        def poll() -> None:
            while not is_over.is_set():
                two.poll(timeout=0.01)

        thread = threading.Thread(target=poll)
        thread.start()
        assert one.poll(timeout=2.5) == []  # the watcher looks for members that hang twice in this time
        is_over.set()
        thread.join()
        assert listener.calls == ["assigned"] and log.group(GROUP).describe().generation == generation


def test_a_close_after_a_reset_commits_nothing_and_leaves(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP, auto_commit=True, auto_commit_interval_ms=60_000) as consumer:
        consumer.poll()
        log.group(GROUP).reset({place(0): 1, place(1): 1})
    assert log.group(GROUP).committed() == {place(0): 1, place(1): 1}
    assert log.group(GROUP).describe().members == ()


def test_outside_the_membership_latest_is_read_though_a_member_has_the_partition(log: EventLog) -> None:
    fill(log)
    with log.consumer(TOPIC, group=GROUP) as member, log.consumer(group=GROUP, auto_offset_reset="latest") as other:
        member.poll()
        other.assign([place(0)])
        assert other.poll(timeout=0) == []
        log.partition(TOPIC, 0).append(b"new", timestamp=10**6)
        assert [record.value for record in other.poll()] == [b"new"]


@pytest.mark.parametrize("partitions", [5, "orders", None, [5], place(0)])
def test_only_a_list_of_partitions_can_be_assigned(log: EventLog, partitions: Any) -> None:
    with log.consumer() as consumer, pytest.raises(eventlog.InvalidTypeError):
        consumer.assign(partitions)

def test_an_assigned_partition_whose_topic_is_deleted_is_refused_until_it_is_assigned_anew(log: EventLog) -> None:
    fill(log, 10)
    with log.consumer() as consumer:
        consumer.assign([place(0)])
        assert len(consumer.poll()) == 10
        log.delete_topic(TOPIC)
        log.create_topic(TOPIC)
        log.partition(TOPIC, 0).append(b"of the new topic")
        for _ in range(2):
            with pytest.raises(eventlog.TopicNotFoundError, match="was deleted"):
                consumer.poll()
        consumer.assign([place(0)])
        assert [record.value for record in consumer.poll()] == [b"of the new topic"]


def test_the_deletion_of_its_topic_ends_the_poll_of_an_assigned_partition(log: EventLog) -> None:
    consumer = log.consumer()
    consumer.assign([place(0)])
    raised: list[str] = []
    thread = threading.Thread(target=lambda: raised.append(what_is_raised(consumer.poll, None)))
    thread.start()
    log.delete_topic(TOPIC)
    thread.join(60)
    assert raised == ["TopicNotFoundError"]


@pytest.mark.parametrize("group", [None, GROUP])
def test_a_consumer_of_nothing_says_so_instead_of_waiting_forever(log: EventLog, group: str | None) -> None:
    with log.consumer(group=group) as consumer, pytest.raises(eventlog.InvalidArgumentError, match="nothing to read"):
        consumer.poll(timeout=None)


class Closing(eventlog.RebalanceListener):
    """Closes its consumer in one method."""

    def __init__(self, method: str) -> None:
        self._method = method
        self.consumer: eventlog.Consumer | None = None

    def _note(self, method: str) -> None:
        if method == self._method:
            assert self.consumer is not None
            self.consumer.close()

    def assigned(self, partitions: object) -> None:
        self._note("assigned")

    def revoked(self, partitions: object) -> None:
        self._note("revoked")

    def lost(self, partitions: object) -> None:
        self._note("lost")


@pytest.mark.parametrize("method", ["assigned", "revoked", "lost"])
def test_a_listener_may_close_its_consumer(log: EventLog, method: str) -> None:
    """Then it is a member no longer, and nobody else waits for its partitions."""
    fill(log, 10)
    listener = Closing(method)
    consumer = listener.consumer = log.consumer(TOPIC, group=GROUP, listener=listener)
    with log.consumer(TOPIC, group=GROUP) as other:
        if method != "assigned":
            consumer.poll(max_records=1)
            consumer.commit()
            other.poll(timeout=0)
        if method == "lost":
            log.group(GROUP).reset({place(0): 0, place(1): 0})
        with pytest.raises(eventlog.StoreClosedError, match="is closed"):
            consumer.poll()
        consumer.close()
        assert len(other.poll(max_records=1000)) >= 19
        assert [member.partitions for member in log.group(GROUP).describe().members] == [(place(0), place(1))]


def test_a_listener_may_close_its_consumer_while_that_is_closed(log: EventLog) -> None:
    fill(log, 10)
    listener = Closing("revoked")
    consumer = listener.consumer = log.consumer(TOPIC, group=GROUP, listener=listener)
    consumer.poll(max_records=1)
    consumer.commit()
    consumer.close()
    assert log.group(GROUP).describe().members == ()


def test_a_log_that_ends_before_the_committed_offset_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = tmp_path / "store"
    stores.create(store)
    with eventlog.open(store) as log:
        stores.open_partition(log).append_many([b"one"])
        stores.open_partition(log).append_many([b"two", b"three"])
        with log.consumer(stores.TOPIC, group="readers") as consumer:
            assert len(consumer.poll(timeout=0)) == 3
            consumer.commit(sync=True)
    segment = stores.segments(store)[0]
    segment.write_bytes(segment.read_bytes()[:-1])
    stores.head_file(store).unlink()
    with eventlog.open(store) as log:
        assert stores.open_partition(log).end_offset == 1
        findings = [finding for finding in eventlog.diagnose(store) if "has lost records" in finding.text]
        assert findings and findings[0].command is not None and "groups reset readers" in findings[0].command
        with log.consumer(stores.TOPIC, group="readers") as consumer:
            consumer.poll(timeout=0)
    assert "ends at offset 1, before 3" in caplog.text
