"""Bridges of tasks: they are made, run and stopped without holding the event loop."""

from __future__ import annotations

import asyncio
import functools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import eventlog
import eventlog.aio
from eventlog import BridgeError, EventLogError, InvalidArgumentError, TopicNotFoundError
from eventlog.aio import AsyncBridge, AsyncEventLog
from eventlog.bridges.bridge import Bridge
from tests.support.bridges import GROUP, MemorySink, ship_to
from tests.support.tasks import one_turn
from tests.unit.test_aio import Scenario, run

TOPIC = "readings"
SECONDS_MAX = 60
VALUES = [b"%d" % number for number in range(100)]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with eventlog.open(tmp_path / "archive") as log:
        log.create_topic(TOPIC)
    return tmp_path / "archive"


def run_with_topic(store: Path, scenario: Scenario) -> None:
    with eventlog.open(store) as log:
        log.create_topic(TOPIC)
        log.partition(TOPIC, 0).append_many(VALUES)
    run(store, scenario)


def to_memory(log: AsyncEventLog, sink: MemorySink) -> AsyncBridge:
    return AsyncBridge(lambda: ship_to(log.log, TOPIC, sink))


def test_what_a_task_ships_another_one_collects(store: Path, archive: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        ship = log.ship(TOPIC, f"eventlog:{archive}#{TOPIC}", group="to-archive")
        await ship.run(until_idle=0)
        assert (ship.progress().records, ship.progress().state, ship.is_running) == (100, "stopped", False)
        await log.create_topic("back")
        async with log.collect("back", f"eventlog:{archive}#{TOPIC}") as collect:
            assert await log.partition("back", 0).wait(99, timeout=SECONDS_MAX)
            assert collect.is_alive and collect.is_running
        assert collect.progress().state == "stopped"
        assert [record.value for record in await log.partition("back", 0).read(0)] == VALUES

    run_with_topic(store, scenario)


def test_the_event_loop_goes_on_while_a_bridge_is_made(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        may_go_on = threading.Event()

        def make() -> Bridge:
            assert may_go_on.wait(SECONDS_MAX)
            return ship_to(log.log, TOPIC, MemorySink(random.Random(0)))

        running = asyncio.create_task(AsyncBridge(make).run(until_idle=0))
        await one_turn()
        may_go_on.set()
        await running

    run_with_topic(store, scenario)


def test_the_event_loop_goes_on_while_a_bridge_settles_what_it_has_begun(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        sink = MemorySink(random.Random(0))
        may_go_on = threading.Event()
        bridge = to_memory(log, sink)
        await bridge.start()
        while not sink.taken:
            await one_turn()
        sink.on_call = lambda: may_go_on.wait(SECONDS_MAX)
        stopping = asyncio.create_task(bridge.stop())
        await one_turn()
        assert not stopping.done()
        may_go_on.set()
        await stopping
        assert bridge.progress().state == "stopped"

    run_with_topic(store, scenario)


def test_a_cancelled_task_ends_its_bridge_once_all_is_settled(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        sink = MemorySink(random.Random(0))
        bridge = to_memory(log, sink)
        running = asyncio.create_task(bridge.run())
        while len(sink.taken) < len(VALUES):
            await one_turn()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not bridge.is_alive and bridge.progress().state == "stopped"
        assert list((await log.group(GROUP).committed()).values()) == [100]

    run_with_topic(store, scenario)


def test_a_task_that_is_cancelled_while_its_bridge_is_made_leaves_none_behind(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        may_go_on = threading.Event()
        made: list[Bridge] = []

        def make() -> Bridge:
            assert may_go_on.wait(SECONDS_MAX)
            made.append(ship_to(log.log, TOPIC, MemorySink(random.Random(0))))
            return made[0]

        starting = asyncio.create_task(AsyncBridge(make).start())
        await one_turn()
        starting.cancel()
        may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert [(each.is_alive, each.progress().state) for each in made] == [(False, "stopped")]

    run_with_topic(store, scenario)


def test_many_bridges_leave_the_executor_to_others(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        executor = ThreadPoolExecutor(2)
        asyncio.get_running_loop().set_default_executor(executor)
        bridges = []
        for number in range(6):
            await log.create_topic(f"topic-{number}")
            make = functools.partial(ship_to, log.log, f"topic-{number}", MemorySink(random.Random(0)), group=f"group-{number}")
            bridges.append(AsyncBridge(make))
        running = [asyncio.create_task(bridge.run()) for bridge in bridges]
        while not all(bridge.is_running for bridge in bridges):
            await asyncio.to_thread(int)
        for bridge in bridges:
            bridge.request_stop()
        await asyncio.gather(*running)

    run(store, scenario)


def test_what_ends_a_bridge_is_raised_where_it_is_awaited(store: Path) -> None:
    async def scenario(log: AsyncEventLog) -> None:
        refusing = MemorySink(random.Random(0), refusals=frozenset(VALUES[:1]))
        with pytest.raises(BridgeError, match="Skip it"):
            await to_memory(log, refusing).run(until_idle=0)
        bridge = to_memory(log, MemorySink(random.Random(0), refusals=frozenset(VALUES[:1])))
        await bridge.start()
        with pytest.raises(BridgeError, match="Skip it"):
            await bridge.join()
        with pytest.raises(TopicNotFoundError):
            await log.ship("nothing", "eventlog:archive#orders").run()
        with pytest.raises(InvalidArgumentError, match="until_idle"):
            await to_memory(log, refusing).run(until_idle=-1)
        with pytest.raises(EventLogError, match="has not been started"):
            to_memory(log, refusing).progress()
        with pytest.raises(InvalidArgumentError, match="already"):
            await bridge.run()

    run_with_topic(store, scenario)


def test_closing_the_store_ends_its_bridges(store: Path, archive: Path) -> None:
    bridges = []

    async def scenario(log: AsyncEventLog) -> None:
        bridges.append(log.ship(TOPIC, f"eventlog:{archive}#{TOPIC}", group="to-archive"))
        await bridges[0].start()

    run_with_topic(store, scenario)
    assert not bridges[0].is_alive and bridges[0].progress().state == "stopped"
