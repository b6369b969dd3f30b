"""eventlog.aio: tasks share the work of a group, wait without threads of their own, and may be cancelled anywhere."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import eventlog
import eventlog.aio
from eventlog import TopicPartition
from eventlog.aio import AsyncConsumer, AsyncEventLog
from tests.support.tasks import one_turn

Scenario = Callable[[AsyncEventLog], Awaitable[None]]


def run(store: Path, scenario: Scenario) -> None:
    async def main() -> None:
        async with eventlog.aio.open(store) as log:
            await asyncio.wait_for(scenario(log), 60)

    asyncio.run(main())


async def take(consumer: AsyncConsumer, count: int) -> list[bytes | None]:
    values: list[bytes | None] = []
    while len(values) < count:
        values += [record.value for record in await consumer.poll(timeout=None)]
    return values


def test_a_producer_hears_that_a_consumer_in_another_task_has_acknowledged(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        async def consume() -> list[bytes | None]:
            values = []
            async with log.consumer("orders", group="billing") as consumer:
                async for record in consumer:
                    await consumer.commit()
                    values.append(record.value)
                    if record.value == b"the last":
                        break
            return values

        consumer = asyncio.create_task(consume())
        async with log.producer() as producer:
            receipts = [await producer.send("orders", b"%d" % number) for number in range(100)]
            last = await producer.send("orders", b"the last")
            assert not await receipts[0].wait_acked("nobody", timeout=0.01)
            assert await last.wait_acked("billing")
            assert await receipts[0].is_acked("billing") and (last.topic, last.partition, last.offset) == ("orders", 0, 100)
        assert await consumer == [b"%d" % number for number in range(100)] + [b"the last"]
        assert await log.group("billing").committed() == {TopicPartition("orders", 0): 101}
        assert await log.lags() == {"billing": await log.group("billing").lag()}

    run(store, scenario)


def test_an_empty_poll_ends_at_its_timeout_and_a_record_ends_it_before(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        await log.create_topic("orders")
        async with log.consumer("orders") as consumer:
            assert await consumer.poll(timeout=0.01) == []
            polling = asyncio.create_task(consumer.poll(timeout=None))
            await asyncio.wait([polling], timeout=0.01)
            assert not polling.done()
            async with log.producer() as producer:
                await producer.send("orders", b"wake up")
            assert [record.value for record in await polling] == [b"wake up"]

    run(store, scenario)


def _threads_of_its_own() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_"))


def test_many_waiting_tasks_need_one_thread(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        await log.create_topic("orders")
        async with log.consumer("orders") as first:
            polls = [asyncio.create_task(first.poll(timeout=None))]
            while "eventlog-aio" not in (names := _threads_of_its_own()):
                await asyncio.wait(polls, timeout=0.01)
            others = [log.consumer("orders") for _ in range(50)]
            polls += [asyncio.create_task(other.poll(timeout=None)) for other in others]
            await asyncio.wait(polls, timeout=0.05)
            assert _threads_of_its_own() == names
            async with log.producer() as producer:
                await producer.send("orders", b"for all")
            assert [[record.value for record in await poll] for poll in polls] == [[b"for all"]] * 51

    run(store, scenario)


def test_a_cancelled_poll_takes_no_records(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        await log.create_topic("orders")
        partition = log.partition("orders", 0)
        async with log.consumer("orders", group="billing") as consumer:
            for number in range(50):
                polling = asyncio.create_task(consumer.poll(timeout=None))
                for _ in range(number % 7):
                    await one_turn()  # the poll gets a little further each time
                await partition.append(b"%d" % number)
                polling.cancel()
                try:
                    values = [record.value for record in await polling]
                except asyncio.CancelledError:
                    values = await take(consumer, 1)
                assert values == [b"%d" % number]

    run(store, scenario)


def test_two_tasks_at_once_are_refused(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        await log.create_topic("orders")
        async with log.consumer("orders") as consumer:
            polling = asyncio.create_task(consumer.poll(timeout=None))
            await asyncio.wait([polling], timeout=0.01)
            with pytest.raises(eventlog.ConcurrentUseError):
                await consumer.poll(timeout=0)
            polling.cancel()

    run(store, scenario)


def test_tasks_of_one_group_share_the_partitions(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        await log.create_topic("orders", 4)
        async with log.consumer("orders", group="billing") as one, log.consumer("orders", group="billing") as two:
            while len(one.assignment()) != 2 or len(two.assignment()) != 2:
                for consumer in (one, two):
                    assert await consumer.poll(timeout=0.01) == []
            assert one.assignment() | two.assignment() == {TopicPartition("orders", number) for number in range(4)}
            await one.commit({TopicPartition("orders", min(one.assignment()).partition): 0}, sync=True)

    run(store, scenario)


def test_waits_end_when_the_store_is_closed(store: Path) -> None:
    async def main() -> None:
        log = await eventlog.aio.open(store)
        await log.create_topic("orders")
        partition = log.partition("orders", 0)
        consumer = log.consumer("orders")
        waits = [asyncio.create_task(partition.wait(0)), asyncio.create_task(consumer.poll(timeout=None))]
        await asyncio.wait(waits, timeout=0.01)
        await log.close()
        for wait in waits:
            with pytest.raises(eventlog.StoreClosedError):
                await wait

    asyncio.run(main())


def test_a_partition_is_waited_for_and_flushed(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        await log.create_topic("orders")
        partition = log.partition("orders", 0)
        assert not await partition.wait(0, timeout=0.01)
        waiting = asyncio.create_task(partition.wait(1))
        assert await partition.append_many([b"a", b"b"]) == range(2)
        assert await waiting
        await partition.flush()
        assert partition.durable_offset == 2
        assert [record.value for record in await partition.read(0)] == [b"a", b"b"]

    run(store, scenario)


def test_with_fsync_always_a_sent_record_is_on_disk(store: Path) -> None:
    async def main() -> None:
        async with eventlog.aio.open(store, fsync="always") as log, log.producer() as producer:
            receipt = await producer.send("orders", b"a diamond")
            assert (await log.partition("orders", 0)).durable_offset > receipt.offset

    asyncio.run(main())
