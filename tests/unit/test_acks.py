"""A producer hears what groups have acknowledged, and hears nothing that is not so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import Ack, EventLog, TopicPartition
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable
from eventlog.producer import acks
from tests.support import members
from tests.support.processes import Worker

TOPIC = "events"
GROUP = "billing"
SECONDS = 60


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store", fsync="never") as opened:
        opened.create_topic(TOPIC, partitions=2)
        yield opened


def acknowledge_all(log: EventLog, group: str = GROUP) -> None:
    with log.consumer(TOPIC, group=group) as consumer:
        while consumer.poll(timeout=0, max_records=10_000):
            consumer.commit()


def in_background(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread, results


def test_a_record_is_acknowledged_once_the_group_has_committed_past_it(log: EventLog) -> None:
    with log.producer() as producer, log.consumer(TOPIC, group=GROUP) as consumer:
        first, second = (producer.send(TOPIC, b"x", partition=0) for _ in range(2))
        consumer.poll(max_records=2)
        assert not first.is_acked(GROUP) and not first.wait_acked(GROUP, timeout=0)
        consumer.commit({TopicPartition(TOPIC, 0): 1})
        assert first.wait_acked(GROUP, timeout=0) and first.is_acked(GROUP)
        assert not second.wait_acked(GROUP, timeout=0.01)
        assert not first.is_acked("another")
        consumer.commit()
        assert second.wait_acked(GROUP)


def test_the_commit_of_another_process_ends_the_wait(log: EventLog) -> None:
    with log.producer() as producer, Worker(members.consume, log.path, GROUP, {}) as member:
        receipts = [producer.send(TOPIC, b"%d" % number, partition=number % 2) for number in range(100)]
        assert all(receipt.wait_acked(GROUP, timeout=SECONDS) for receipt in receipts)
        member.send("leave")


def test_a_group_that_is_created_meanwhile_is_waited_for(log: EventLog) -> None:
    with log.producer() as producer:
        receipt = producer.send(TOPIC, b"x")
        thread, results = in_background(lambda: receipt.wait_acked(GROUP, timeout=SECONDS))
        acknowledge_all(log)
        thread.join()
        assert results == [True]


def test_a_deleted_group_has_acknowledged_nothing_until_it_is_there_again(log: EventLog) -> None:
    with log.producer() as producer:
        receipt = producer.send(TOPIC, b"x")
        acknowledge_all(log)
        assert receipt.is_acked(GROUP)
        log.group(GROUP).delete()
        assert not receipt.is_acked(GROUP)
        thread, results = in_background(lambda: receipt.wait_acked(GROUP, timeout=SECONDS))
        acknowledge_all(log)
        thread.join()
        assert results == [True]


def test_a_reset_forward_acknowledges_and_one_back_does_not(log: EventLog) -> None:
    with log.producer() as producer:
        receipts = [producer.send(TOPIC, b"x", partition=0) for _ in range(10)]
        acknowledge_all(log)
        log.group(GROUP).reset({TopicPartition(TOPIC, 0): 0})
        assert not receipts[0].is_acked(GROUP)
        thread, results = in_background(lambda: receipts[4].wait_acked(GROUP, timeout=SECONDS))
        log.group(GROUP).reset({TopicPartition(TOPIC, 0): 5})
        thread.join()
        assert results == [True] and not receipts[5].is_acked(GROUP)


def test_a_wait_ends_when_the_store_is_closed(log: EventLog) -> None:
    receipt = log.producer().send(TOPIC, b"x")
    errors: list[BaseException] = []
    started = threading.Event()

    def wait() -> None:
        started.set()
        try:
            receipt.wait_acked(GROUP)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    started.wait()
    log.close()
    thread.join()
    assert [type(error) for error in errors] == [eventlog.StoreClosedError]


@pytest.mark.parametrize("arguments", [("a/b", 1), (7, 1), (GROUP, "1"), (GROUP, float("inf"))])
def test_wrong_arguments_are_refused(log: EventLog, arguments: tuple[str, float]) -> None:
    receipt = log.producer().send(TOPIC, b"x")
    with pytest.raises((eventlog.InvalidArgumentError, eventlog.InvalidTypeError)):
        receipt.wait_acked(*arguments)


class Ears:
    """Collects acks, and waits for one that reaches an offset of each partition."""

    def __init__(self, goals: dict[int, int]) -> None:
        self.acks: list[Ack] = []
        self._goals = goals
        self.reached = threading.Event()

    def __call__(self, ack: Ack) -> None:
        self.acks.append(ack)
        if self._goals.get(ack.partition, 0) <= ack.offset:
            self._goals.pop(ack.partition, None)
        if not self._goals:
            self.reached.set()


@pytest.mark.parametrize("linger_ms", [0, 1])
def test_on_ack_reports_rising_offsets_up_to_the_last_record_of_each_group(log: EventLog, linger_ms: int) -> None:
    with log.producer(linger_ms=linger_ms) as producer:
        ears = {group: Ears({0: 99, 1: 99}) for group in ("one", "two")}
        for group, ear in ears.items():
            producer.on_ack(group, ear)
        for number in range(200):
            producer.send(TOPIC, b"%d" % number, partition=number % 2)
        producer.flush()
        for group, ear in ears.items():
            with log.consumer(TOPIC, group=group) as consumer:
                while consumer.poll(timeout=0, max_records=17):
                    consumer.commit()
            assert ear.reached.wait(SECONDS)
            for partition in range(2):
                offsets = [ack.offset for ack in ear.acks if ack.partition == partition]
                assert offsets == sorted(set(offsets)) and offsets[-1] == 99
            assert {(ack.group, ack.topic) for ack in ear.acks} == {(group, TOPIC)}


def test_on_ack_goes_on_with_what_is_sent_after_everything_was_acknowledged(log: EventLog) -> None:
    with log.producer() as producer, log.consumer(TOPIC, group=GROUP) as consumer:
        heard_of: list[Ack] = []
        heard = threading.Condition()

        def hear(ack: Ack) -> None:
            with heard:
                heard_of.append(ack)
                heard.notify()

        producer.on_ack(GROUP, hear)
        for number in range(20):
            receipt = producer.send(TOPIC, b"x", partition=0)
            consumer.poll()
            consumer.commit()
            with heard:
                assert heard.wait_for(lambda: heard_of and heard_of[-1].offset == receipt.offset, SECONDS), number  # noqa: B023


def test_a_callback_that_raises_is_called_no_more_and_its_error_is_raised_once(log: EventLog) -> None:
    called = threading.Event()
    calls: list[Ack] = []

    def fail(ack: Ack) -> None:
        calls.append(ack)
        called.set()
        raise ZeroDivisionError

    with log.producer() as producer:
        ear = Ears({0: 1})
        producer.on_ack(GROUP, fail)
        producer.on_ack(GROUP, ear)
        producer.send(TOPIC, b"x", partition=0)
        acknowledge_all(log)
        assert called.wait(SECONDS)
        producer.send(TOPIC, b"x", partition=0)
        acknowledge_all(log)
        assert ear.reached.wait(SECONDS) and len(calls) == 1
        with pytest.raises(ZeroDivisionError):
            producer.flush()
        producer.flush()


def test_on_ack_remembers_partitions_and_not_records(log: EventLog) -> None:
    with log.producer() as producer:
        producer.on_ack(GROUP, print)
        for _ in range(1000):
            producer.send(TOPIC, b"x", partition=0)
        notifier = producer._notifier
        assert notifier is not None and len(notifier._sent) == 1
        assert all(len(each.reported) <= 1 for each in notifier._subscriptions)


def test_a_callback_that_comes_later_hears_while_another_group_is_still_waited_for(log: EventLog) -> None:
    with log.producer() as producer, log.consumer(group="first") as first:
        for number in range(2):
            producer.send(TOPIC, b"so that the groups are there", partition=number)
        for group in ("first", "never", GROUP):
            acknowledge_all(log, group)
        ear = Ears({1: 2})

        def bring_another(ack: Ack) -> None:  # while partition 1 is waited for by a look that does not know the other
            producer.on_ack(GROUP, ear)
            producer.send(TOPIC, b"x", partition=1)

        producer.on_ack("never", print)
        producer.on_ack("first", bring_another)
        for number in range(2):
            producer.send(TOPIC, b"x", partition=number)
        first.assign([TopicPartition(TOPIC, 0)])
        first.commit({TopicPartition(TOPIC, 0): 2})
        assert log.partition(TOPIC, 1).wait(2, timeout=SECONDS)
        acknowledge_all(log)
        assert ear.reached.wait(SECONDS)


def test_a_group_that_is_deleted_and_made_anew_all_the_time_confuses_nobody(log: EventLog) -> None:
    with Worker(members.wait_while_a_group_comes_and_goes, log.path, GROUP) as worker:
        assert worker.receive() == []
    assert log.groups() == []


def test_on_ack_outlives_the_deletion_of_the_group(log: EventLog) -> None:
    with log.producer() as producer:
        ear = Ears({0: 1})
        producer.on_ack(GROUP, ear)
        producer.send(TOPIC, b"x", partition=0)
        acknowledge_all(log)
        log.group(GROUP).delete()
        producer.send(TOPIC, b"x", partition=0)
        acknowledge_all(log)
        assert ear.reached.wait(SECONDS)


def test_every_record_of_threads_that_share_a_producer_is_heard_of(log: EventLog) -> None:
    with log.producer() as producer:
        ears = [Ears({0: 599, 1: 599}), Ears({0: 599, 1: 599})]
        producer.on_ack(GROUP, ears[0])
        producer.on_ack(GROUP, ears[1])

        def send() -> None:
            for number in range(300):
                producer.send(TOPIC, b"x", partition=number % 2)

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        with log.consumer(TOPIC, group=GROUP) as consumer:
            while not all(ear.reached.is_set() for ear in ears):
                consumer.poll(timeout=0.01, max_records=10)
                consumer.commit()
        for thread in threads:
            thread.join()
        for ear in ears:
            for number in range(2):
                offsets = [ack.offset for ack in ear.acks if ack.partition == number]
                assert offsets == sorted(set(offsets)) and offsets[-1] == 599


def test_a_record_of_a_deleted_topic_is_not_taken_for_one_of_its_successor(log: EventLog) -> None:
    with log.producer() as producer:
        receipt = producer.send(TOPIC, b"x", partition=0)
        thread, raised = in_background(lambda: members.what_is_raised(receipt.wait_acked, GROUP))
        log.delete_topic(TOPIC)
        thread.join(SECONDS)
        assert raised == ["TopicNotFoundError"]
        log.create_topic(TOPIC, partitions=2)
        producer.send(TOPIC, b"y", partition=0)
        acknowledge_all(log)
        with pytest.raises(eventlog.TopicNotFoundError, match="was deleted"):
            receipt.is_acked(GROUP)


def test_an_ear_that_has_heard_of_a_deleted_topic_hears_of_its_successor(log: EventLog) -> None:
    heard: list[int] = []
    at_once = threading.Condition()

    def hear(ack: Ack) -> None:
        with at_once:
            heard.append(ack.offset)
            at_once.notify()

    with log.producer() as producer:
        producer.on_ack(GROUP, hear)
        for count in (20, 3):
            for _ in range(count):
                producer.send(TOPIC, b"x", partition=0)
            acknowledge_all(log)
            with at_once:
                assert at_once.wait_for(lambda: heard and heard[-1] == count - 1, SECONDS), heard  # noqa: B023
            log.delete_topic(TOPIC)
            log.create_topic(TOPIC, partitions=2)


def test_what_a_group_has_acknowledged_of_others_is_not_told(log: EventLog) -> None:
    others = log.partition(TOPIC, 0)
    ear = Ears({0: 205})
    with log.producer(linger_ms=1_000_000) as producer, log.consumer(group=GROUP) as consumer:
        where = TopicPartition(TOPIC, 0)
        consumer.assign([where])
        others.append_many([b"of others"] * 100)
        consumer.commit({where: 100})
        producer.on_ack(GROUP, ear)
        first = producer.send(TOPIC, b"own", partition=0)
        assert first.offset == 100
        others.append_many([b"of others"] * 104)
        last = producer.send(TOPIC, b"own", partition=0)
        assert last.offset == 205
        for committed in (100, 101, 150, 205, 206):
            consumer.commit({where: committed})
            receipt = {101: first, 206: last}.get(committed)
            assert receipt is None or receipt.wait_acked(GROUP, SECONDS)
        assert ear.reached.wait(SECONDS)
    assert {ack.offset for ack in ear.acks} <= {100, 149, 204, 205} and ear.acks[-1].offset == 205
    assert sum(ack.offset < 205 for ack in ear.acks) <= 1  # the first record is told of once, with whatever stood behind it


def test_a_callback_hears_nothing_of_what_was_sent_before_it_came(log: EventLog) -> None:
    ear = Ears({0: 2})
    with log.producer() as producer:
        producer.on_ack("another", print)
        for _ in range(2):
            producer.send(TOPIC, b"x", partition=0)
        producer.on_ack(GROUP, ear)
        acknowledge_all(log)
        producer.send(TOPIC, b"x", partition=0)
        acknowledge_all(log)
        assert ear.reached.wait(SECONDS)
    assert [ack.offset for ack in ear.acks] == [2]


@pytest.mark.parametrize("error", [eventlog.LockTimeoutError("a process is stopped"), MemoryError()])
def test_on_ack_goes_on_after_an_error_that_passes(log: EventLog, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    find = Groups.find
    failures: list[Exception] = []

    def fail_once(groups: Groups, name: str) -> GroupTable | None:
        if threading.current_thread().name == "eventlog-acks" and not failures:
            failures.append(error)
            raise error
        return find(groups, name)

    monkeypatch.setattr(Groups, "find", fail_once)
    monkeypatch.setattr(acks, "_PAUSE_SECONDS", 0.01)
    ear = Ears({0: 0})
    with log.producer() as producer:
        producer.on_ack(GROUP, ear)
        producer.send(TOPIC, b"x", partition=0)
        acknowledge_all(log)
        assert ear.reached.wait(SECONDS) and failures
        producer.flush()  # nothing is wrong any more


def test_an_error_with_one_group_keeps_no_other_from_being_heard(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    find = Groups.find

    def fail(groups: Groups, name: str) -> GroupTable | None:
        if name == "broken":
            raise eventlog.LockTimeoutError("a process is stopped")
        return find(groups, name)

    monkeypatch.setattr(Groups, "find", fail)
    monkeypatch.setattr(acks, "_PAUSE_SECONDS", 0.01)
    ear = Ears({0: 0})
    producer = log.producer()
    producer.on_ack("broken", print)
    producer.on_ack(GROUP, ear)
    producer.send(TOPIC, b"x", partition=0)
    acknowledge_all(log)
    assert ear.reached.wait(SECONDS)
    with pytest.raises(eventlog.LockTimeoutError):
        producer.close()


def test_the_runs_of_a_producers_own_records_stay_few(log: EventLog) -> None:
    own = acks.OwnRecords()
    for offset in range(0, 10_000, 2):
        own.add(offset, 1)
    assert len(own._starts) <= 1001
    assert own.first_from(0) == 0 and own.first_from(9_999) == acks.NOTHING
    own.forget_before(9_999)
    own.add(20_000, 3)
    own.add(20_000, 3)
    own.add(20_003, 2)
    own.add(20_002, 1)
    assert own.first_from(0) == 20_000 and own.first_from(20_004) == 20_004 and own.first_from(20_005) == acks.NOTHING
