"""With auto_commit only what is finished is committed: a record once the next one was asked for, what a poll returned once the
consumer was asked for more, or closed in peace."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import eventlog
import eventlog.aio
from eventlog import Consumer, EventLog, Record, TopicPartition

TOPIC = "jobs"
GROUP = "workers"
COUNT = 10
BAD = 3  # the offset of the record that cannot be worked on


class Broken(Exception):
    pass


def place(number: int = 0) -> TopicPartition:
    return TopicPartition(TOPIC, number)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    with eventlog.open(path, fsync="never") as log:
        log.create_topic(TOPIC, partitions=2)
        log.partition(TOPIC, 0).append_many([b"%d" % number for number in range(COUNT)])
    return path


def committed(store: Path) -> int | None:
    """What a later process finds committed in the partition that has records."""
    with eventlog.open(store, fsync="never") as log:
        return log.group(GROUP).committed().get(place()) if GROUP in log.groups() else None


def open_consumer(log: EventLog, interval_ms: int = 1) -> Consumer:
    """One that commits at each chance; iteration reads in chunks, so a chance is not each record."""
    return log.consumer(TOPIC, group=GROUP, auto_commit=True, auto_commit_interval_ms=interval_ms)


def work(record: Record) -> None:
    if record.offset == BAD:
        raise Broken


def iterate(consumer: Consumer) -> None:
    for record in consumer:
        work(record)


def poll_one_by_one(consumer: Consumer) -> None:
    while True:
        for record in consumer.poll(max_records=1):
            work(record)


def poll_all(consumer: Consumer) -> None:
    for record in consumer.poll():
        work(record)


def leave_by_break(consumer: Consumer) -> None:
    for record in consumer:
        if record.offset == BAD:
            break


def close_the_iterator(consumer: Consumer) -> None:
    iterator = iter(consumer)
    while next(iterator).offset < BAD:
        pass
    iterator.close()  # type: ignore[attr-defined]


def drop_the_iterator(consumer: Consumer) -> None:
    iterator = iter(consumer)
    while next(iterator).offset < BAD:
        pass
    del iterator
    gc.collect()


def keep_the_exception(consumer: Consumer) -> None:
    """Whose frames keep the iterator."""
    iterator = iter(consumer)
    for record in iterator:
        work(record)


USES: list[tuple[Callable[[Consumer], None], int | None]] = [
    (iterate, BAD),
    (poll_one_by_one, BAD),
    (poll_all, None),
    (leave_by_break, BAD),
    (close_the_iterator, BAD),
    (drop_the_iterator, BAD),
    (keep_the_exception, BAD),
]


@pytest.mark.parametrize("interval_ms", [1, 60_000])
@pytest.mark.parametrize(("use", "finished"), USES, ids=lambda value: getattr(value, "__name__", ""))
def test_the_end_of_the_store_finishes_nothing(
    store: Path, use: Callable[[Consumer], None], finished: int | None, interval_ms: int
) -> None:
    with contextlib.suppress(Broken), eventlog.open(store, fsync="never") as log:
        consumer = open_consumer(log, interval_ms)
        use(consumer)
    assert committed(store) == finished


@pytest.mark.parametrize(("use", "finished"), USES, ids=lambda value: getattr(value, "__name__", ""))
def test_an_exception_that_closes_the_consumer_finishes_nothing(
    store: Path, use: Callable[[Consumer], None], finished: int | None
) -> None:
    def close_in_a_finally(log: EventLog) -> None:
        consumer = open_consumer(log, 60_000)
        try:
            use(consumer)
            raise Broken
        finally:
            consumer.close()

    def close_while_it_is_handled(log: EventLog) -> None:
        consumer = open_consumer(log, 60_000)
        try:
            use(consumer)
            raise Broken
        except Broken:
            consumer.close()

    def close_by_contextlib(log: EventLog) -> None:
        with contextlib.closing(open_consumer(log, 60_000)) as consumer:
            use(consumer)
            raise Broken

    def leave_its_block(log: EventLog) -> None:
        with open_consumer(log, 60_000) as consumer:
            use(consumer)
            raise Broken

    for way in (close_in_a_finally, close_while_it_is_handled, close_by_contextlib, leave_its_block):
        with eventlog.open(store, fsync="never") as log, contextlib.suppress(Broken):
            way(log)
        assert committed(store) == finished, way.__name__
        with eventlog.open(store, fsync="never") as log:
            if GROUP in log.groups():
                log.group(GROUP).delete()


@pytest.mark.parametrize("use", [leave_by_break, close_the_iterator, drop_the_iterator])
def test_a_record_that_a_loop_had_in_hand_when_it_was_left_is_handed_out_again(
    store: Path, use: Callable[[Consumer], None]
) -> None:
    with eventlog.open(store, fsync="never") as log, open_consumer(log) as consumer:
        use(consumer)
    with eventlog.open(store, fsync="never") as log, open_consumer(log) as consumer:
        assert next(iter(consumer)).offset == BAD


def test_what_poll_returned_is_finished_when_its_consumer_is_closed_in_peace(store: Path) -> None:
    with eventlog.open(store, fsync="never") as log, open_consumer(log, 60_000) as consumer:
        assert len(consumer.poll()) == COUNT
    assert committed(store) == COUNT


def test_a_program_that_ends_by_an_exception_finishes_nothing(store: Path) -> None:
    program = f"""
import eventlog
log = eventlog.open({str(store)!r})
consumer = log.consumer({TOPIC!r}, group={GROUP!r}, auto_commit=True)
for record in consumer.poll(max_records=2) + consumer.poll():
    if record.offset == {BAD}:
        raise ValueError
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 1 and "ValueError" in ended.stderr
    assert committed(store) == 2


IN_THE_LOOP: list[Callable[[Consumer], object]] = [
    lambda consumer: consumer.pause(place()),
    lambda consumer: consumer.pause(),
    lambda consumer: (consumer.pause(place()), consumer.resume()),
    lambda consumer: consumer.seek(place(), 7),
    lambda consumer: consumer.seek_to_end(),
    lambda consumer: consumer.position(place()),
    lambda consumer: consumer.assignment(),
    lambda consumer: consumer.subscribe([TOPIC, "others"]),
    lambda consumer: consumer.committed(place()),
]


@pytest.mark.parametrize("number", range(len(IN_THE_LOOP)))
def test_nothing_else_that_is_done_in_a_loop_finishes_the_record_in_hand(store: Path, number: int) -> None:
    with contextlib.suppress(Broken), eventlog.open(store, fsync="never") as log:
        consumer = open_consumer(log)
        for record in consumer:
            if record.offset == BAD:
                IN_THE_LOOP[number](consumer)
                assert log.group(GROUP).committed().get(place(), 0) <= BAD
                raise Broken
    assert committed(store) == BAD


def test_an_assignment_in_a_loop_commits_what_is_finished_and_not_the_record_in_hand(store: Path) -> None:
    with eventlog.open(store, fsync="never") as log:
        consumer = log.consumer(group=GROUP, auto_commit=True, auto_commit_interval_ms=60_000)
        consumer.assign([place()])
        for record in consumer:
            if record.offset == BAD:
                consumer.assign([place(1)])
                break
        assert log.group(GROUP).committed() == {place(): BAD}


def test_a_record_in_the_hand_of_an_outer_loop_is_not_finished_by_an_inner_one(store: Path) -> None:
    with contextlib.suppress(Broken), eventlog.open(store, fsync="never") as log:
        consumer = open_consumer(log)
        for outer in consumer:
            if outer.offset == BAD:
                assert [next(iterator).offset for iterator in (iter(consumer), iter(consumer))] == [BAD + 1, BAD + 2]
                assert [record.offset for record in consumer.poll(max_records=2)] == [BAD + 3, BAD + 4]
                assert consumer.poll(max_records=1)[0].offset == BAD + 5
                raise Broken
    assert committed(store) == BAD


def test_two_iterators_in_turn_lose_nothing_and_finish_only_what_each_is_done_with(store: Path) -> None:
    with eventlog.open(store, fsync="never") as log:
        consumer = open_consumer(log, 60_000)
        one, two = iter(consumer), iter(consumer)
        assert [next(iterator).offset for iterator in (one, two, two, two, one)] == [0, 1, 2, 3, 4]
        assert consumer.poll(max_records=1)[0].offset == 5
    assert committed(store) == 3, "two has it in hand"


def test_a_partition_that_is_taken_away_is_committed_up_to_the_record_in_hand(store: Path) -> None:
    with eventlog.open(store, fsync="never") as log:
        log.partition(TOPIC, 1).append_many([b"%d" % number for number in range(COUNT)])
        one = open_consumer(log, 60_000)
        hands = [iter(one), iter(one)]
        one.pause(place(next(hands[0]).partition))
        next(hands[1])
        one.resume()
        with log.consumer(TOPIC, group=GROUP) as two:
            while len(one.assignment()) == 2:
                two.poll(timeout=0)
                one.poll(timeout=0)
        assert set(log.group(GROUP).committed().values()) == {0}


def run_async(store: Path, use: Callable[[eventlog.aio.AsyncConsumer], object], *, closes: bool) -> None:
    async def main() -> None:
        async with eventlog.aio.open(store, fsync="never") as log:
            consumer = log.consumer(TOPIC, group=GROUP, auto_commit=True, auto_commit_interval_ms=60_000)
            try:
                await use(consumer)  # type: ignore[misc]
            finally:
                if closes:
                    await consumer.close()

    asyncio.run(main())


async def iterate_async(consumer: eventlog.aio.AsyncConsumer) -> None:
    async for record in consumer:
        work(record)


async def poll_async(consumer: eventlog.aio.AsyncConsumer) -> None:
    for record in await consumer.poll():
        work(record)


async def be_cancelled(consumer: eventlog.aio.AsyncConsumer) -> None:
    async def consume() -> None:
        async for record in consumer:
            if record.offset == BAD:
                reached.set()
                await asyncio.get_running_loop().create_future()

    reached = asyncio.Event()
    task = asyncio.create_task(consume())
    await reached.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize(("use", "finished"), [(iterate_async, BAD), (poll_async, None), (be_cancelled, BAD)])
def test_tasks_finish_no_more_than_threads(
    store: Path, use: Callable[[eventlog.aio.AsyncConsumer], object], finished: int | None, closes: bool
) -> None:
    with contextlib.suppress(Broken):
        run_async(store, use, closes=closes)
    assert committed(store) == finished


# --- what a seek has to do with it ----------------------------------------------------------------------------


@pytest.fixture
def log(store: Path) -> Iterator[EventLog]:
    with eventlog.open(store, fsync="never") as opened:
        yield opened


@pytest.mark.parametrize("to", [5, 10, 8])
def test_a_commit_after_a_seek_commits_the_position(log: EventLog, to: int) -> None:
    with log.consumer(TOPIC, group=GROUP) as consumer:
        consumer.poll(max_records=8)
        consumer.seek(place(), to)
        consumer.commit()
        assert (consumer.position(place()), consumer.committed(place())) == (to, to)


def test_a_bad_record_that_was_gone_past_by_a_seek_in_the_loop_is_not_handed_out_again(log: EventLog) -> None:
    with log.consumer(TOPIC, group=GROUP) as consumer:
        found = []
        for record in consumer:
            found.append(record.offset)
            if record.offset == BAD:
                consumer.seek(place(), BAD + 2)
                consumer.commit()
            if record.offset == BAD + 2:
                break
        assert found == [0, 1, 2, BAD, BAD + 2]
        assert consumer.committed(place()) == BAD + 2


def test_auto_commit_goes_by_a_seek_once_more_was_asked_for(store: Path) -> None:
    with eventlog.open(store, fsync="never") as log:
        consumer = open_consumer(log, 60_000)
        consumer.poll(max_records=1)
        consumer.seek(place(), 6)
        assert consumer.poll(max_records=1)[0].offset == 6
    assert committed(store) == 6
