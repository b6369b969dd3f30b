"""Workers of a share group: each record is a job that is accepted, released or rejected by itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import (
    EventLog,
    ForkedProcessError,
    InvalidArgumentError,
    InvalidTypeError,
    Job,
    Partition,
    ReadOnlyStoreError,
    StaleMemberError,
    StoreClosedError,
    TopicPartition,
    WakeupError,
    Worker,
)
from eventlog.testing.manual_clock import ManualClock
from tests.support.stores import TOPIC

GROUP = "resizers"
HERE = TopicPartition(TOPIC, 0)
LONG = {"share.record.lock.duration.ms": 3_600_000}


@pytest.fixture
def worker(log: EventLog) -> Iterator[Worker]:
    with log.worker(TOPIC, GROUP, config=LONG) as worker:
        yield worker


def fill(partition: Partition, count: int) -> None:
    partition.append_many([b"%d" % number for number in range(count)])


def offsets(jobs: list[Job]) -> list[int]:
    return [job.offset for job in jobs]


def test_a_job_is_a_record_and_what_was_accepted_is_acknowledged(log: EventLog, partition: Partition, worker: Worker) -> None:
    receipt = log.producer().send(TOPIC, b"picture", key=b"7", headers=[("by", b"me")])
    (job,) = worker.claim(10)
    assert job == partition.read(0)[0] and isinstance(job, eventlog.Record) and job.delivery_count == 1
    assert not receipt.wait_acked(GROUP, timeout=0) and log.group(GROUP).lag() == {HERE: 1}
    job.accept()
    assert job.is_settled and receipt.wait_acked(GROUP, timeout=0) and log.group(GROUP).lag() == {HERE: 0}
    assert worker.claim(timeout=0) == []


def test_workers_share_a_partition_and_finish_in_any_order(log: EventLog, partition: Partition, worker: Worker) -> None:
    fill(partition, 6)
    with log.worker(TOPIC, GROUP) as other:
        own, theirs = worker.claim(3), other.claim(3)
        assert offsets(own) == [0, 1, 2] and offsets(theirs) == [3, 4, 5]
        other.accept(theirs)
        assert log.group(GROUP).committed() == {} and worker.states() == (0, 0, 0, 3, 3, 0)
        worker.accept(own)
        assert log.group(GROUP).committed() == {HERE: 6} and other.claim(timeout=0) == []


def test_what_a_worker_has_when_it_closes_goes_to_others_as_if_it_had_not_been_delivered(
    log: EventLog, partition: Partition
) -> None:
    fill(partition, 2)
    with log.worker(TOPIC, GROUP) as worker:
        worker.claim(2)[1].accept()
    with log.worker(TOPIC, GROUP) as other:
        (job,) = other.claim(2)
        assert (job.offset, job.delivery_count) == (0, 1)


def test_a_block_accepts_at_its_end_and_releases_when_it_raises(log: EventLog, partition: Partition, worker: Worker) -> None:
    fill(partition, 3)
    first, second, third = worker.claim(3)
    with first:
        pass
    with pytest.raises(ZeroDivisionError), second:
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt), third:
        raise KeyboardInterrupt
    (again,) = worker.claim(3, timeout=0)  # the second one waits for its back-off
    assert (again.offset, again.delivery_count) == (2, 1)
    with again:
        again.reject("no picture")
    assert worker.states() == (0, 1, 0, 0, 0, 1)


def test_a_released_job_waits_for_its_delay_and_its_back_off_doubles(
    log: EventLog, partition: Partition, eventlog_clock: ManualClock
) -> None:
    fill(partition, 1)
    with log.worker(TOPIC, GROUP, config={"share.retry.backoff.ms": 1000, "share.retry.backoff.max.ms": 3000}) as worker:
        for delivery, waits in ((1, 1), (2, 2), (3, 3), (4, 0)):
            (job,) = worker.claim(timeout=0)
            assert job.delivery_count == delivery
            job.release() if waits else job.release(0)
            if waits:
                eventlog_clock.advance(waits - 0.001)
                assert worker.claim(timeout=0) == []
                eventlog_clock.advance(0.001)
        assert worker.claim(timeout=0)[0].delivery_count == 5


def test_a_job_that_takes_too_long_goes_to_another_worker_and_is_settled_by_that_one_alone(
    log: EventLog, partition: Partition, worker: Worker, eventlog_clock: ManualClock
) -> None:
    fill(partition, 1)
    (late,) = worker.claim()
    eventlog_clock.advance(3599)
    late.renew()
    eventlog_clock.advance(3599)
    with log.worker(TOPIC, GROUP) as other:
        assert other.claim(timeout=0) == []
        eventlog_clock.advance(1)
        (again,) = other.claim(timeout=0)
        assert again.delivery_count == 2
        for settle in (late.accept, late.release, late.reject, late.renew, late.give_back):
            with pytest.raises(StaleMemberError, match="does not have the record"):
                settle()
        again.accept()
        with pytest.raises(StaleMemberError):
            again.accept()


def test_a_job_that_fails_too_often_is_archived_and_that_is_logged(
    log: EventLog, partition: Partition, caplog: pytest.LogCaptureFixture
) -> None:
    fill(partition, 2)
    with log.worker(TOPIC, GROUP, config={"share.delivery.count.limit": 2}) as worker:
        for _ in range(2):
            worker.claim()[0].release(0)
        assert offsets(worker.claim(2, timeout=0)) == [1] and log.group(GROUP).committed() == {HERE: 1}
    assert "archived the record at offset 0 of events/0, because it was delivered 2 times" in caplog.text


def test_several_jobs_are_accepted_at_once_and_those_that_were_lost_are_told(
    log: EventLog, partition: Partition, worker: Worker
) -> None:
    fill(partition, 4)
    jobs = worker.claim(4)
    jobs[1].give_back()
    with pytest.raises(StaleMemberError, match="1 of 4 jobs"):
        worker.accept(jobs)
    assert offsets(worker.claim(4)) == [1]
    with log.worker(TOPIC, GROUP) as other, pytest.raises(InvalidArgumentError, match="another worker"):
        other.accept(jobs)
    with pytest.raises(InvalidTypeError):
        worker.accept(partition.read(0))  # type: ignore[arg-type]


def test_iteration_reserves_ahead_what_others_may_take_and_gives_the_rest_back(
    log: EventLog, partition: Partition, worker: Worker
) -> None:
    fill(partition, 1000)
    jobs = iter(worker)
    for job in jobs:
        if worker.states().reserved:
            break
        job.accept()
    in_hand = job
    with log.worker(TOPIC, GROUP) as other:
        rest = other.claim(1000)
        while worker.states().reserved:
            rest += other.claim(1000, timeout=0)
        assert sorted(offsets(rest)) == list(range(in_hand.offset + 1, 1000))
        assert {job.delivery_count for job in rest} == {1}
        other.accept(rest)
        in_hand.accept()
        assert log.group(GROUP).committed() == {HERE: 1000}
        fill(partition, 1)
        assert next(jobs).offset == 1000, "what was taken over is left out"
    jobs.close()  # type: ignore[attr-defined]


def test_a_loop_that_is_left_gives_back_what_it_has_not_begun(partition: Partition, worker: Worker) -> None:
    fill(partition, 50)
    for job in worker:
        job.accept()
        if job.offset == 20:
            break
    del job
    assert worker.states() == (worker.states().available, 0, 0, 0, 0, 0)
    assert worker.claim(1)[0].delivery_count == 1


def test_topics_that_come_first_are_worked_on_first_and_new_topics_are_noticed(log: EventLog, partition: Partition) -> None:
    with log.worker(["urgent", TOPIC], GROUP) as worker:
        fill(partition, 3)
        assert offsets(worker.claim(1)) == [0]
        log.create_topic("urgent", 2)
        log.partition("urgent", 1).append(b"now")
        assert [job.topic for job in worker.claim(2)] == ["urgent", TOPIC]


def test_a_waiting_worker_is_woken_by_a_record_and_by_one_that_is_given_back(log: EventLog, partition: Partition) -> None:
    got: list[Job] = []
    with log.worker(TOPIC, GROUP, config=LONG) as worker, log.worker(TOPIC, GROUP) as other:
        thread = threading.Thread(target=lambda: got.extend([*worker.claim(timeout=60), *worker.claim(timeout=60)]))
        thread.start()
        partition.append(b"first")
        partition.append(b"second")
        thread.join()
        thread = threading.Thread(target=lambda: got.extend(other.claim(timeout=60)))
        thread.start()
        got[1].release(0)
        thread.join()
        assert offsets(got) == [0, 1, 1]


def test_a_window_that_is_full_goes_on_once_its_first_record_is_finished(log: EventLog, partition: Partition) -> None:
    fill(partition, 10)
    got: list[Job] = []
    with log.worker(TOPIC, GROUP, config={**LONG, "share.partition.max.record.locks": 4}) as worker:
        jobs = worker.claim(10)
        assert len(jobs) == 4
        worker.accept(jobs[1:])
        assert worker.claim(10, timeout=0) == []
        thread = threading.Thread(target=lambda: got.extend(worker.claim(10, timeout=60)))
        thread.start()
        jobs[0].accept()
        thread.join()
        assert offsets(got) == [4, 5, 6, 7]


def test_a_group_is_of_one_kind_and_the_other_one_says_so(log: EventLog, partition: Partition, worker: Worker) -> None:
    fill(partition, 2)
    worker.claim()[0].accept()
    with pytest.raises(InvalidArgumentError, match="is a share group"):
        log.consumer(TOPIC, group=GROUP).poll(timeout=0)
    with log.consumer(group=GROUP) as consumer, pytest.raises(InvalidArgumentError, match="is a share group"):
        consumer.assign([HERE])
    worker.close()
    with pytest.raises(InvalidArgumentError, match="is a share group"):
        log.consumer(TOPIC, group=GROUP).poll(timeout=0)
    with log.consumer(TOPIC, group="readers") as consumer:
        consumer.poll(timeout=1)
        with pytest.raises(InvalidArgumentError, match="is a consumer group"):
            log.worker(TOPIC, "readers")
        consumer.commit()
    with pytest.raises(InvalidArgumentError, match="is a consumer group"):
        log.worker(TOPIC, "readers")
    log.create_group("either")
    log.worker(TOPIC, "either").close()


def test_settings_belong_to_the_group_and_wrong_ones_are_refused(log: EventLog, partition: Partition) -> None:
    fill(partition, 3)
    with log.worker(TOPIC, GROUP, config={"share.auto.offset.reset": "latest", "share.delivery.count.limit": 1}) as worker:
        assert worker.claim(timeout=0) == []
        fill(partition, 2)
        with log.worker(TOPIC, GROUP) as other:
            other.claim()[0].release(0)
            assert offsets(worker.claim(5, timeout=0)) == [4]
    for wrong in ({"share.delivery.count.limit": 0}, {"retention.ms": 1}, {"share.auto.offset.reset": "middle"}):
        with pytest.raises(InvalidArgumentError):
            log.worker(TOPIC, GROUP, config=wrong)
    for topics, group, config in ((5, GROUP, None), (TOPIC, 5, None), (TOPIC, GROUP, 5)):
        with pytest.raises(InvalidTypeError):
            log.worker(topics, group, config=config)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError):
        log.worker([], GROUP)


def test_a_reset_takes_what_workers_have_and_begins_there(log: EventLog, partition: Partition, worker: Worker) -> None:
    fill(partition, 5)
    jobs = worker.claim(3)
    worker.accept(jobs)
    (in_hand,) = worker.claim(1)
    log.group(GROUP).reset({HERE: 1})
    again = worker.claim(5)
    assert offsets(again) == [1, 2, 3, 4]
    with pytest.raises(StaleMemberError):
        in_hand.release()
    assert log.group(GROUP).lag() == {HERE: 4}


def test_a_topic_and_a_group_that_are_made_anew_begin_anew(log: EventLog, partition: Partition) -> None:
    fill(partition, 3)
    with log.worker(TOPIC, GROUP) as worker:
        worker.accept(worker.claim(2))
        (job,) = worker.claim(1)
        log.delete_topic(TOPIC)
        assert worker.claim(timeout=0) == []
        log.create_topic(TOPIC)
        log.partition(TOPIC, 0).append(b"new")
        assert offsets(worker.claim(5)) == [0]
    with pytest.raises(StoreClosedError):
        job.accept()
    log.group(GROUP).delete()
    assert not list((log.path / "shared").glob("*.share"))
    with log.worker(TOPIC, GROUP) as worker:
        assert [(job.offset, job.delivery_count) for job in worker.claim(5)] == [(0, 1)]


def test_where_no_record_is_there_is_nothing_to_do(log: EventLog, partition: Partition, worker: Worker) -> None:
    with log.producer(transactional_id="t") as producer:
        producer.begin()
        producer.send(TOPIC, b"aborted")
        producer.abort()
        producer.begin()
        producer.send(TOPIC, b"committed")
        producer.commit()
    (job,) = worker.claim(10)
    assert job.value == b"committed"
    fill(partition, 2)
    partition.delete_records(partition.end_offset - 1)
    job.accept()
    assert offsets(worker.claim(10)) == [partition.end_offset - 1]


def test_a_worker_is_woken_stopped_and_closed_from_anywhere(log: EventLog, partition: Partition) -> None:
    worker = log.worker(TOPIC, GROUP)
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            worker.claim(timeout=None)
        except (WakeupError, StoreClosedError) as error:
            raised.append(error)

    for end in (worker.wakeup, worker.close):
        thread = threading.Thread(target=wait)
        thread.start()
        end()
        thread.join()
    assert [type(error) for error in raised] == [WakeupError, StoreClosedError]
    worker.close()
    fill(partition, 3)
    with log.worker(TOPIC, GROUP) as other:
        for job in other:
            job.accept()
            other.stop()
        assert other.is_stopped and log.group(GROUP).committed() == {HERE: 1} and other.claim(timeout=None) == []


def test_the_store_closes_its_workers_and_their_jobs(log: EventLog, partition: Partition, worker: Worker) -> None:
    fill(partition, 1)
    (job,) = worker.claim()
    jobs = iter(worker)
    log.close()
    for use in (worker.claim, worker.states, job.accept, lambda: next(jobs), lambda: worker.run(print)):
        with pytest.raises(StoreClosedError):
            use()  # type: ignore[operator]
    with eventlog.open(log.path) as again, again.worker(TOPIC, GROUP) as other:
        assert other.claim()[0].delivery_count == 1


def test_a_forked_child_can_neither_claim_nor_settle(partition: Partition, worker: Worker) -> None:
    fill(partition, 2)
    (job,) = worker.claim()
    child = os.fork()
    if child == 0:
        try:
            for use in (worker.claim, job.accept, job.release, lambda: worker.accept([job])):
                with pytest.raises(ForkedProcessError):
                    use()  # type: ignore[operator]
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    job.accept()


def test_a_store_that_is_only_read_has_no_workers(store: Path) -> None:
    with eventlog.open(store, mode="r") as log, pytest.raises(ReadOnlyStoreError):
        log.worker(TOPIC, GROUP)


def test_a_worker_that_was_dropped_gives_back_what_it_has(log: EventLog, partition: Partition) -> None:
    fill(partition, 1)
    worker = log.worker(TOPIC, GROUP, config=LONG)
    worker.claim()
    with pytest.warns(ResourceWarning, match="unclosed"):
        del worker
    with log.worker(TOPIC, GROUP) as other:
        assert offsets(other.claim(timeout=60)) == [0]


def test_run_calls_a_function_with_each_job_in_threads(
    log: EventLog, partition: Partition, caplog: pytest.LogCaptureFixture
) -> None:
    fill(partition, 60)
    seen: list[tuple[int, int]] = []
    with log.worker(TOPIC, GROUP, config={"share.retry.backoff.ms": 0}) as worker:

        def work(job: Job) -> None:
            seen.append((job.offset, job.delivery_count))
            if job.offset % 20 == 7 and job.delivery_count == 1:
                raise ValueError("not today")
            if len(seen) == 63:
                worker.stop()

        worker.run(work, threads=3)
    assert sorted(seen) == sorted([*((number, 1) for number in range(60)), (7, 2), (27, 2), (47, 2)])
    assert log.group(GROUP).committed() == {HERE: 60}
    assert caplog.text.count("delivery 1 failed: ValueError: not today") == 3


def test_run_renews_the_lock_of_a_job_that_takes_long(
    log: EventLog, partition: Partition, eventlog_clock: ManualClock
) -> None:
    fill(partition, 1)
    taken: list[Job] = []
    with (
        log.worker(TOPIC, GROUP, config={"share.record.lock.duration.ms": 60}) as worker,
        log.worker(TOPIC, GROUP) as other,
    ):

        def work(job: Job) -> None:
            for _ in range(3):
                before = job.word
                eventlog_clock.advance(0.04)
                while job.word == before:
                    pass
                taken.extend(other.claim(timeout=0))
            worker.stop()

        worker.run(work)
        assert taken == [] and log.group(GROUP).committed() == {HERE: 1}


def test_run_ends_when_its_thread_cannot_go_on(log: EventLog, partition: Partition, worker: Worker) -> None:
    fill(partition, 2)

    def work(job: Job) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        worker.run(work)
    assert worker.is_stopped and worker.states().available == 1
    with pytest.raises(InvalidTypeError):
        worker.run(5)  # type: ignore[arg-type]
