"""eventlog.aio: nothing that a task waits for holds up the others, and nobody who comes or goes costs the others anything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import eventlog
import eventlog.aio
from eventlog.aio import AsyncEventLog
from eventlog.producer.partition_sender import PartitionSender
from eventlog.storage.partition.appender import Appender
from eventlog.store.partitions import Partitions
from eventlog.waiting import Sleepers
from tests.support import stores, workers
from tests.support.processes import Interpreter
from tests.support.tasks import one_turn

TOPIC = stores.TOPIC
SECONDS = 60


def run(store: Path, scenario: Callable[[AsyncEventLog], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with eventlog.aio.open(store, **options) as log:
            await asyncio.wait_for(scenario(log), SECONDS)

    asyncio.run(main())


async def _goes_on_beside(work: Coroutine[Any, Any, Any], holder: Interpreter) -> Any:
    """The result of what has to wait until the holder gives something back, which it is told to by another task."""
    working = asyncio.create_task(work)
    for _ in range(20):
        await one_turn()
    await asyncio.wait([working], timeout=0.05)
    assert not working.done()
    holder.send("give it back")
    assert holder.receive() == "given back"
    return await working


def test_an_append_that_waits_for_another_process_holds_up_no_task(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        partition = log.partition(TOPIC, 0)
        await partition.append(b"attached")
        with Interpreter(workers.hold_mutex, store, "append") as holder:
            assert holder.receive() == "held"
            assert await _goes_on_beside(partition.append(b"value"), holder) == 1

    run(store, scenario)


@pytest.mark.parametrize("options", [{}, {"linger_ms": 1_000_000, "batch_bytes": 1}, {"compression": "gzip"}])
def test_a_send_that_waits_for_another_process_holds_up_no_task(store: Path, options: dict[str, Any]) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        async with log.producer(**options) as producer:
            await producer.send(TOPIC, b"attached")
            with Interpreter(workers.hold_mutex, store, "append") as holder:
                assert holder.receive() == "held"
                receipt = await _goes_on_beside(producer.send(TOPIC, b"value"), holder)
            assert await receipt.resolved() == 1

    run(store, scenario)


def test_a_receipt_that_has_its_record_appended_holds_up_no_task(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        async with log.producer(linger_ms=1_000_000) as producer:
            receipt = await producer.send(TOPIC, b"value")
            with Interpreter(workers.hold_mutex, store, "append") as holder:
                assert holder.receive() == "held"
                assert await _goes_on_beside(receipt.wait_acked("nobody", timeout=0.1), holder) is False
            assert receipt.offset == 0

    run(store, scenario)


@pytest.mark.parametrize("how", ["commit", "auto_commit"])
def test_a_commit_that_waits_for_another_process_holds_up_no_task(store: Path, how: str) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        await log.partition(TOPIC, 0).append_many([b"one", b"two"])
        options = {"auto_commit": True, "auto_commit_interval_ms": 1} if how == "auto_commit" else {}
        async with log.consumer(TOPIC, group="group", **options) as consumer:
            assert len(await consumer.poll(max_records=1)) == 1
            with Interpreter(workers.hold_slot_mutex, store, "group", 0) as holder:
                assert holder.receive() == "held"
                await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.002)  # auto_commit's interval
                await _goes_on_beside(consumer.commit() if how == "commit" else consumer.poll(timeout=0), holder)
        assert await log.group("group").committed()

    run(store, scenario)


@pytest.mark.parametrize("way", ["append", "append_many", "send", "send compressed", "linger", "first", "wait"])
def test_no_roll_no_full_batch_and_no_opening_is_done_in_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    stores.create(tmp_path / "store", segment_bytes=1024)
    places: set[str] = set()

    def noting(kind: Any, name: str) -> None:
        original = getattr(kind, name)

        def note(*arguments: Any, **options: Any) -> Any:
            places.add(threading.current_thread().name)
            return original(*arguments, **options)

        monkeypatch.setattr(kind, name, note)

    methods = (Appender, "_roll"), (Appender, "_attach"), (PartitionSender, "_append_part"), (Partitions, "open_separately")
    for kind, name in methods:
        noting(kind, name)

    async def scenario(log: AsyncEventLog) -> None:
        partition = log.partition(TOPIC, 0)
        options: dict[str, Any] = {"send compressed": {"compression": "gzip"}, "linger": {"linger_ms": 1_000_000}}.get(way, {})
        async with log.producer(**options) as producer:
            for _ in range(30):
                if way == "append":
                    await partition.append(bytes(100))
                elif way == "append_many":
                    await partition.append_many([bytes(100)] * 2)
                elif way == "wait":
                    await partition.wait(0, timeout=0)
                else:
                    await producer.send(TOPIC, bytes(100))

    run(tmp_path / "store", scenario)
    assert places and "MainThread" not in places


@pytest.mark.parametrize("work", ["append", "send", "linger", "poll", "iterate"])
def test_a_task_that_never_waits_lets_others_run(store: Path, work: str) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await one_turn()

        partition = log.partition(TOPIC, 0)
        await partition.append_many([b"x"] * 2000)
        await asyncio.to_thread(log.log.partition(TOPIC, 0).append, bytes(10_000))
        counting = asyncio.create_task(count_turns())
        async with log.producer(linger_ms=1_000_000 if work == "linger" else 0) as producer, log.consumer(TOPIC) as consumer:
            await producer.send(TOPIC, b"x")
            turns = 0
            if work == "append":
                for _ in range(2000):
                    await partition.append(b"x")
            elif work in ("send", "linger"):
                for _ in range(2000):
                    await producer.send(TOPIC, b"x")
            elif work == "poll":
                for _ in range(20):
                    await consumer.poll(max_records=100)
            else:
                count = 0
                async for _ in consumer:
                    count += 1
                    if count == 2000:
                        break
        assert turns >= 10
        counting.cancel()

    run(store, scenario)


def test_a_task_that_begins_to_wait_wakes_nobody(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    due = Sleepers.due

    def count_looks(sleepers: Sleepers[Any]) -> list[Any]:
        nonlocal looks
        looks += 1
        return due(sleepers)

    monkeypatch.setattr(Sleepers, "due", count_looks)

    async def scenario(log: AsyncEventLog) -> None:
        partition = log.partition(TOPIC, 0)
        waits = [asyncio.create_task(partition.wait(number)) for number in range(300)]
        for _ in range(5):
            await asyncio.wait(waits, timeout=0.001)
        assert looks <= 10
        await partition.append_many([b"x"] * 299)
        await asyncio.wait(waits[:299])
        assert not waits[299].done()
        await partition.append(b"x")
        assert await waits[299]

    run(store, scenario)


def test_a_wait_that_is_cancelled_leaves_its_place_to_another(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        partition = log.partition(TOPIC, 0)
        for _ in range(5):
            waits = [asyncio.create_task(partition.wait(0)) for _ in range(100)]
            await asyncio.wait(waits, timeout=0.001)
            for wait in waits:
                wait.cancel()
            await asyncio.wait(waits)
        waiting = asyncio.create_task(partition.wait(0))
        await asyncio.wait([waiting], timeout=0.001)
        await partition.append(b"x")
        assert await waiting

    run(store, scenario)
