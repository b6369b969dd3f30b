"""Logs for tasks (`eventlog.aio`), by what the contract says: the same program on a directory and on a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import eventlog.aio
import eventlog.json
from eventlog import ConcurrentUseError, NotSupportedError, TopicNotFoundError
from tests.contract.implementations import APACHE_KAFKA, SERVED, Implementation, those
from tests.contract.orders import GROUP, PARTITIONS, TOPIC, orders
from tests.support.tasks import one_turn

pytestmark = pytest.mark.parametrize(
    "implementation", those(lambda each: each in (SERVED, APACHE_KAFKA) or "interval" in each.name), indirect=True
)

SECONDS_MAX = 30.0
Program = Callable[[Any], Awaitable[None]]


@pytest.fixture
def target(implementation: Implementation, request: pytest.FixtureRequest) -> str:
    """What `open` opens."""
    found = request.getfixturevalue(implementation.fixture)
    return str(found / "store") if isinstance(found, Path) else found


@pytest.fixture
def run(target: str) -> Callable[[Program], None]:
    """Runs a program with an open log that has the topic."""

    async def main(program: Program) -> None:
        async with eventlog.aio.open(target) as log:
            await log.create_topic(TOPIC, PARTITIONS)
            await program(log)

    return lambda program: asyncio.run(main(program))


async def poll(consumer: Any, count: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < count:
        records = await consumer.poll(SECONDS_MAX)
        assert records, f"{len(found)} of {count} came"
        found += records
    return found


def values(records: list[Any]) -> list[Any]:
    return [record.value for record in records]


def test_a_task_waits_until_another_one_has_consumed(run: Callable[[Program], None]) -> None:
    async def consume(log: Any) -> list[Any]:
        async with log.consumer(TOPIC, group=GROUP) as consumer:
            records = await poll(consumer, 1)
            await consumer.commit()
            assert await consumer.committed(orders()) == await consumer.position(orders()) == 1
            return records

    async def program(log: Any) -> None:
        consuming = asyncio.create_task(consume(log))
        async with log.producer() as producer:
            receipt = await producer.send(TOPIC, b"value", key=b"key", headers=[("h", b"1")], partition=0)
            assert (receipt.topic, receipt.partition, await receipt.resolved()) == (TOPIC, 0, 0)
            assert await receipt.wait_acked(GROUP, SECONDS_MAX) and await receipt.is_acked(GROUP)
            assert not await receipt.wait_acked("nobody", 0)
        [record] = await consuming
        assert (record.value, record.key, record.headers) == (b"value", b"key", (("h", b"1"),))
        assert await log.topics() == [TOPIC] and GROUP in await log.groups()
        assert (await log.lags())[GROUP][orders()] == 0

    run(program)


def test_partitions_are_appended_to_and_awaited(run: Callable[[Program], None]) -> None:
    async def program(log: Any) -> None:
        partition = await log.partition(TOPIC, 1)
        waiting = asyncio.create_task(partition.wait(2, SECONDS_MAX))
        assert await partition.append(b"0", b"key") == 0
        assert await partition.append_many([b"1", b"2"], keys=[None, b"k"]) == range(1, 3)
        assert await waiting
        assert not await partition.wait(3, 0)
        await partition.flush()
        await log.flush()
        assert (partition.start_offset, partition.end_offset, partition.durable_offset) == (0, 3, 3)
        assert values(await partition.read(1)) == [b"1", b"2"]
        assert [value async for value in partition.values()] == [b"0", b"1", b"2"]

    run(program)


def test_iteration_ends_when_it_is_told_and_commits_what_is_finished(run: Callable[[Program], None]) -> None:
    async def program(log: Any) -> None:
        await log.partition(TOPIC, 0).append_many([b"%d" % number for number in range(10)])
        seen = []
        async with log.consumer(TOPIC, group=GROUP, auto_commit=True) as consumer:
            async for record in consumer:
                seen.append(record.value)
                if len(seen) == 4:
                    consumer.stop()
        assert seen == [b"0", b"1", b"2", b"3"]
        async with log.consumer(TOPIC, group=GROUP) as consumer:
            assert values(await poll(consumer, 6))[0] == b"4"

    run(program)


def test_a_poll_that_is_cancelled_has_taken_nothing(run: Callable[[Program], None]) -> None:
    async def program(log: Any) -> None:
        expected = [b"%d" % number for number in range(30)]
        found: list[bytes] = []
        async with log.consumer(TOPIC, group=GROUP) as consumer:
            for number, value in enumerate(expected):
                polling = asyncio.create_task(consumer.poll(SECONDS_MAX))
                await one_turn()
                await log.partition(TOPIC, 0).append(value)
                polling.cancel()
                await asyncio.wait([polling])
                if not polling.cancelled():
                    found += values(polling.result())
                if number % 10 == 9:
                    while len(found) <= number:
                        found += values(await consumer.poll(SECONDS_MAX))
        assert found == expected

    run(program)


def test_a_consumer_is_for_one_task(run: Callable[[Program], None]) -> None:
    async def program(log: Any) -> None:
        consumer = log.consumer(TOPIC)
        polling = asyncio.create_task(consumer.poll(SECONDS_MAX))
        await one_turn()
        with pytest.raises(ConcurrentUseError):
            await consumer.poll(0)
        await log.partition(TOPIC, 0).append(b"value")
        assert values(await polling) == [b"value"]
        await consumer.close()

    run(program)


def test_records_and_positions_are_committed_together(run: Callable[[Program], None]) -> None:
    async def program(log: Any) -> None:
        await log.partition(TOPIC, 0).append_many([b"1", b"2"])
        async with log.producer(transactional_id="t") as producer, log.consumer(TOPIC, group=GROUP) as consumer:
            for is_lost in (True, False):
                for record in await poll(consumer, 2):
                    if record.offset == 0:
                        await producer.begin()
                    await producer.send(TOPIC, record.value * 2, partition=1)
                await producer.send_offsets(consumer)
                await (producer.abort if is_lost else producer.commit)()
                if is_lost:
                    await consumer.seek(orders(), 0)
        async with log.consumer() as reader:
            await reader.assign([orders(1)])
            assert values(await poll(reader, 2)) == [b"11", b"22"]
        assert (await log.group(GROUP).committed())[orders()] == 2

    run(program)


def test_a_block_of_a_transaction_that_raises_is_aborted(run: Callable[[Program], None]) -> None:
    async def program(log: Any) -> None:
        async with log.producer(transactional_id="t") as producer:
            with pytest.raises(ZeroDivisionError):
                async with producer.transaction():
                    await producer.send(TOPIC, b"aborted", partition=0)
                    raise ZeroDivisionError
            async with producer.transaction():
                await producer.send(TOPIC, b"committed", partition=0)
        async with log.consumer(TOPIC) as consumer:
            assert values(await poll(consumer, 1)) == [b"committed"]

    run(program)


def test_tasks_send_and_receive_objects(run: Callable[[Program], None]) -> None:
    async def program(log: Any) -> None:
        async with log.producer(value_serializer=eventlog.json.dumps) as producer:
            await producer.send(TOPIC, {"n": 1})
        async with log.consumer(TOPIC, value_deserializer=eventlog.json.loads) as consumer:
            async for record in consumer:
                assert record.value == {"n": 1}
                break

    run(program)


def test_what_is_missing_is_told(run: Callable[[Program], None], implementation: Implementation) -> None:
    async def program(log: Any) -> None:
        with pytest.raises(TopicNotFoundError):
            await log.partition("missing", 0).append(b"value")
        if implementation.is_cluster:
            with pytest.raises(NotSupportedError, match="a store collects from a cluster"):
                log.ship(TOPIC, "eventlog:/elsewhere#orders")

    run(program)
