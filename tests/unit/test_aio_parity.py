"""eventlog.aio has what eventlog has: the same names with the same arguments, or a reason why not."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import eventlog
import eventlog.aio
from eventlog import EventLogError, InvalidArgumentError, TopicPartition, contract
from eventlog.aio import AsyncEventLog, cluster
from eventlog.bridges.bridge import Bridge
from eventlog.bridges.kafka.mirror.mirror import Mirror
from eventlog.consumer.deserializing import DeserializingConsumer
from eventlog.producer.serializing import SerializingNamedProducer, SerializingProducer, SerializingTransactionalProducer
from eventlog.serve.background import BackgroundServer
from tests.support.tasks import one_turn

PAIRS: dict[type, type] = {
    eventlog.EventLog: eventlog.aio.AsyncEventLog,
    eventlog.Partition: eventlog.aio.AsyncPartition,
    eventlog.Producer: eventlog.aio.AsyncProducer,
    SerializingProducer: eventlog.aio.AsyncProducer,
    eventlog.NamedProducer: eventlog.aio.AsyncNamedProducer,
    SerializingNamedProducer: eventlog.aio.AsyncNamedProducer,
    eventlog.TransactionalProducer: eventlog.aio.AsyncTransactionalProducer,
    SerializingTransactionalProducer: eventlog.aio.AsyncTransactionalProducer,
    eventlog.Receipt: eventlog.aio.AsyncReceipt,
    eventlog.Consumer: eventlog.aio.AsyncConsumer,
    DeserializingConsumer: eventlog.aio.AsyncDeserializingConsumer,
    eventlog.Group: eventlog.aio.AsyncGroup,
    Bridge: eventlog.aio.AsyncBridge,
    Mirror: eventlog.aio.AsyncMirror,
    BackgroundServer: eventlog.aio.AsyncServer,
}
# What tasks do not have, and why.
INTERNAL = "the rest of the library calls it"
NOT_FOR_TASKS = {
    "check_may_close": INTERNAL,
    "close_with_store": INTERNAL,
    "begin_with": INTERNAL,
    "call_at_end": INTERNAL,
    "leave_to_parent": INTERNAL,
    "worker": "jobs are done in threads: asyncio.to_thread(worker.claim, 10) gives some to tasks",
    "offsets_for_transaction": "send_offsets and transaction take the AsyncConsumer",
}
OTHER_ARGUMENTS = {(BackgroundServer, "start"): "its address is given to AsyncEventLog.serve"}
# Not awaited, because they change only what this process remembers, or give a handle.
AT_ONCE = {
    "partition", "group", "producer", "consumer", "serve", "ship", "collect", "mirror", "transaction", "subscribe",
    "assignment", "subscription", "pause", "resume", "paused", "stop", "wakeup", "set_position", "request_stop", "progress",
}  # fmt: skip

every_pair = pytest.mark.parametrize(("of_threads", "of_tasks"), PAIRS.items(), ids=lambda each: each.__name__)


def names(kind: type) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_")]


def is_property(kind: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(kind, name), property)


def methods(kind: type) -> list[str]:
    return [name for name in names(kind) if inspect.isroutine(getattr(kind, name, None))]


def arguments(kind: type, name: str) -> list[tuple[str, Any, Any]]:
    """Name, kind and default of each; native functions have no annotations."""
    parameters = list(inspect.signature(getattr(kind, name)).parameters.values())[1:]
    return [(each.name, each.kind, each.default) for each in parameters]


@every_pair
def test_tasks_have_every_method_and_property(of_threads: type, of_tasks: type) -> None:
    wanted = [name for name in names(of_threads) if name in methods(of_threads) or is_property(of_threads, name)]
    missing = set(wanted) - set(names(of_tasks))
    assert missing <= set(NOT_FOR_TASKS)
    for name in set(wanted) - missing:
        assert is_property(of_threads, name) == is_property(of_tasks, name), name


@every_pair
def test_tasks_give_the_same_arguments(of_threads: type, of_tasks: type) -> None:
    common = [name for name in methods(of_threads) if name in methods(of_tasks) and (of_threads, name) not in OTHER_ARGUMENTS]
    assert common
    for name in common:
        assert arguments(of_tasks, name) == arguments(of_threads, name), name


@pytest.mark.parametrize("name", ["Log", "Partition", "Receipt", "Producer", "TransactionalProducer", "Consumer"])
def test_tasks_have_what_the_contract_says_on_a_cluster_too(name: str) -> None:
    wanted = set(names(getattr(contract, name))) - {"transactional_id"}  # the caller has given it
    assert wanted and wanted <= set(names(getattr(cluster, f"AsyncKafka{name}")))
    assert wanted <= set(names(getattr(eventlog.aio, f"Async{name.replace('Log', 'EventLog')}")))


def test_the_store_is_opened_with_the_same_arguments() -> None:
    parameters = [inspect.signature(function).parameters.values() for function in (eventlog.open, eventlog.aio.open)]
    assert list(parameters[0]) == list(parameters[1])


def test_the_tables_of_exceptions_have_nothing_needless() -> None:
    of_tasks = {name for kind in PAIRS.values() for name in names(kind)}
    of_threads = {name for kind in PAIRS for name in names(kind)}
    assert set(NOT_FOR_TASKS) <= of_threads - of_tasks
    assert of_threads & of_tasks >= AT_ONCE
    for (kind, name), reason in OTHER_ARGUMENTS.items():
        assert reason and arguments(kind, name) != arguments(PAIRS[kind], name)


def is_awaited(kind: type, name: str) -> bool:
    method = getattr(kind, name)
    return inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)


@every_pair
def test_everything_is_awaited_that_may_take_long(of_threads: type, of_tasks: type) -> None:
    common = set(methods(of_threads)) & set(methods(of_tasks))
    if of_tasks is eventlog.aio.AsyncServer:
        common.remove("stop")  # of a server, not of a consumer
        assert is_awaited(of_tasks, "stop")
    elif issubclass(of_tasks, eventlog.aio.AsyncBridge):
        common.remove("stop")
        assert is_awaited(of_tasks, "stop")
    elif of_tasks is eventlog.aio.AsyncGroup:
        common.remove("progress")
        assert is_awaited(of_tasks, "progress")
    assert {name for name in common if not is_awaited(of_tasks, name)} <= AT_ONCE


# --- the event loop goes on ----------------------------------------------------------------------------------

SECONDS = 60
ORDERS = TopicPartition("orders", 0)


async def all_of(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


def log_of(log: AsyncEventLog) -> Any:
    return log


def partition_of(log: AsyncEventLog) -> Any:
    return log.partition("orders", 0)


def group_of(log: AsyncEventLog) -> Any:
    return log.group("billing")


def producer_of(log: AsyncEventLog) -> Any:
    return log.producer()


def named_of(log: AsyncEventLog) -> Any:
    return log.producer(name="importer")


def transactional_of(log: AsyncEventLog) -> Any:
    return log.producer(transactional_id="payments")


def consumer_of(log: AsyncEventLog) -> Any:
    return log.consumer()


HANDLES: dict[type, Callable[[AsyncEventLog], Any]] = {
    eventlog.EventLog: log_of,
    eventlog.Partition: partition_of,
    eventlog.Group: group_of,
    eventlog.Producer: producer_of,
    eventlog.NamedProducer: named_of,
    eventlog.TransactionalProducer: transactional_of,
    eventlog.Consumer: consumer_of,
}
# Tests of their own show these: each has a way that does not wait, or waits in the hub.
SHOWN_ELSEWHERE = {"append", "append_many", "send", "wait", "poll", "commit", "close", "begin", "transaction"}


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic("orders")
        log.partition("orders", 0).append_many([b"%d" % number for number in range(2000)], keys=[b"key"] * 2000)
        log.create_group("billing").reset({ORDERS: 7})
    return tmp_path / "store"


class Slow:
    """Takes the place of a method, and goes on only when the event loop says so."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, *_: Any, **__: Any) -> Iterator[Any]:
        self.has_begun.set()
        assert self.may_end.wait(SECONDS), "the event loop did not go on"
        return iter(())


async def goes_on_during(kind: type, name: str, handle: Any, slow: Slow) -> None:
    empty, rest = inspect.Parameter.empty, inspect.Parameter.VAR_POSITIONAL
    required = [None for _, how, default in arguments(PAIRS[kind], name) if default is empty and how != rest]
    called = getattr(handle, name)(*required)
    working = asyncio.create_task(all_of(called) if hasattr(called, "__aiter__") else called)
    while not (slow.has_begun.is_set() or working.done()):
        await one_turn()
    assert not working.done(), name
    slow.may_end.set()
    await asyncio.wait([working])
    with suppress(Exception):  # what it returned is not what the method returns
        working.result()


@pytest.mark.parametrize("kind", HANDLES, ids=lambda each: each.__name__)
def test_other_tasks_run_while_a_call_takes_its_time(filled: Path, monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    waiting = [name for name in methods(kind) if name in methods(PAIRS[kind]) and is_awaited(PAIRS[kind], name)]

    async def main() -> None:
        async with eventlog.aio.open(filled) as log:
            handle = HANDLES[kind](log)
            for name in set(waiting) - SHOWN_ELSEWHERE:
                slow = Slow()
                with monkeypatch.context() as patched:
                    patched.setattr(kind, name, slow)
                    await goes_on_during(kind, name, handle, slow)

    asyncio.run(asyncio.wait_for(main(), SECONDS))


def test_other_tasks_run_while_a_store_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr(eventlog.api, "open", slow)

    async def main() -> None:
        opening = asyncio.ensure_future(eventlog.aio.open(tmp_path / "store"))
        while not slow.has_begun.is_set():
            await one_turn()
        slow.may_end.set()
        await asyncio.wait([opening])
        assert isinstance(opening.exception(), AttributeError)  # what it returned is not a store

    asyncio.run(asyncio.wait_for(main(), SECONDS))


# --- what they return ----------------------------------------------------------------------------------------


def test_tasks_read_what_threads_read(filled: Path) -> None:
    async def main() -> None:
        async with eventlog.aio.open(filled) as log:
            threads, tasks = log.log.partition("orders", 0), await log.partition("orders", 0)
            assert (tasks.start_offset, tasks.end_offset, tasks.stable_offset, tasks.is_deleted) == (0, 2000, 2000, False)
            assert await all_of(tasks.values(3)) == list(threads.values(3))
            assert await all_of(tasks.records(stop=1500)) == list(threads.records(stop=1500))
            found = await all_of(tasks.search(b"99", fields=("value",)))
            assert found == list(threads.search(b"99")) and found[0].value == b"99"
            columns = await all_of(tasks.columns(count_max=700, headers=True))
            assert [len(each.offsets) for each in columns] == [len(each.offsets) for each in threads.columns(count_max=700)]
            assert await tasks.read(5, 2) == threads.read(5, 2)
            assert await tasks.bytes_from(7) == threads.bytes_from(7) and await tasks.offset_for_time(0) == 0
            assert await tasks.delete_records(10) == 10 == tasks.start_offset
            with pytest.raises(eventlog.OffsetOutOfRangeError):
                await all_of(tasks.values(0))
            await tasks.close()

    asyncio.run(main())


def test_what_ends_a_scan_is_raised_after_the_records_before_it(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Iterator[bytes]:
        yield from [b"one", b"two", b"three", b"four"]
        raise EventLogError("broken")

    monkeypatch.setattr(eventlog.Partition, "values", broken)

    async def main() -> None:
        async with eventlog.aio.open(filled) as log:
            values = []
            with pytest.raises(EventLogError, match="broken"):
                async for value in log.partition("orders", 0).values():
                    values.append(value)
            assert values == [b"one", b"two", b"three", b"four"]

    asyncio.run(main())


def test_tasks_care_for_topics_and_groups(filled: Path) -> None:
    async def main() -> None:
        async with eventlog.aio.open(filled) as log:
            assert (await log.alter_topic("orders", partitions=2)).partitions == 2 == (await log.topic("orders")).partitions
            assert await log.offsets("orders") == log.log.offsets("orders")
            assert [report.problems for report in await log.verify()] == [[]]
            group = log.group("billing")
            await group.reset({ORDERS: 9})
            assert await group.committed() == {ORDERS: 9} and await group.undo_reset() == {ORDERS: 7}
            await group.delete()
            assert await log.groups() == []
            assert (await log.create_group("audit")).name == "audit"
            await log.delete_topic("orders")
            assert await log.topics() == [] and not log.is_closed
        assert log.is_closed

    asyncio.run(main())


def test_a_named_producer_of_tasks_sends_once(filled: Path) -> None:
    async def main() -> None:
        async with eventlog.aio.open(filled) as log:
            for _ in range(2):
                async with log.producer(name="importer") as producer:
                    receipts = [await producer.send_once("orders", 0, number, b"row") for number in range(3)]
                    assert [receipt.offset for receipt in receipts] == [2000, 2001, 2002]
                    assert await producer.next_sequence("orders", 0) == 3 and producer.name == "importer"

    asyncio.run(main())


def test_acknowledgements_are_reported_in_the_event_loop(filled: Path) -> None:
    async def main() -> None:
        async with eventlog.aio.open(filled) as log:
            acks: asyncio.Queue[int] = asyncio.Queue()

            def note(ack: eventlog.Ack) -> None:
                asyncio.get_running_loop()
                acks.put_nowait(ack.offset)
                raise ZeroDivisionError("once")

            producer = log.producer()
            with pytest.raises(eventlog.InvalidTypeError):
                await producer.on_ack("billing", None)  # type: ignore[arg-type]
            await producer.on_ack("billing", note)
            receipt = await producer.send("orders", b"value")
            assert not await receipt.is_acked("billing")
            await log.group("billing").reset({ORDERS: receipt.offset + 1})
            assert await acks.get() == receipt.offset and await receipt.is_acked("billing")
            with pytest.raises(ZeroDivisionError):
                await producer.flush()
            await producer.close()

    asyncio.run(main())


def test_a_record_that_waits_has_no_offset_yet(filled: Path) -> None:
    async def main() -> None:
        async with eventlog.aio.open(filled) as log, log.producer(linger_ms=1_000_000) as producer:
            receipt = await producer.send("orders", b"value")
            for name in ("offset", "timestamp"):
                with pytest.raises(EventLogError, match="resolved"):
                    getattr(receipt, name)
            assert await receipt.resolved() == 2000 == receipt.offset

    asyncio.run(main())


def test_a_consumer_of_tasks_is_positioned(filled: Path) -> None:
    async def main() -> None:
        async with eventlog.aio.open(filled) as log, log.consumer(group="billing") as consumer:
            assert consumer.group == "billing"
            await consumer.assign([ORDERS])
            assert await consumer.committed(ORDERS) == 7 == await consumer.position(ORDERS)
            await consumer.seek_to_end()
            assert await consumer.position(ORDERS) == 2000
            await consumer.seek_to_beginning(ORDERS)
            assert [record.offset for record in await consumer.poll(max_records=2)] == [0, 1]
            await consumer.rewind()
            assert [record.offset for record in await consumer.poll(max_records=2)] == [7, 8]

    asyncio.run(main())


def test_what_is_not_open_yet_says_how_to_open_it(tmp_path: Path) -> None:
    async def main() -> None:
        log = eventlog.aio.open(tmp_path / "store")
        with pytest.raises(EventLogError, match="await"):
            _ = log.log
        await log.close()
        async with log:
            await log.create_topic("orders")
            with pytest.raises(EventLogError, match="await"):
                _ = log.partition("orders", 0).end_offset
            producer = log.producer(compression="none of them")
            with pytest.raises(InvalidArgumentError):
                await producer.send("orders", b"value")
            late = log.producer()
            await late.close()
            with pytest.raises(eventlog.StoreClosedError):
                await late.send("orders", b"value")

    asyncio.run(main())
