"""Handles that were closed: each public name says so, and what was opened beside them goes on."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, StoreClosedError, TopicPartition
from tests.support import stores
from tests.support.stores import TOPIC

PLACE = TopicPartition(TOPIC, 0)
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "abort_transaction": ("t",),
    "alter_topic": (TOPIC,),
    "append": (b"x",),
    "append_many": ([b"x"],),
    "assign": ([PLACE],),
    "backup": ("/nowhere",),
    "bytes_from": (0,),
    "check_offsets": ({PLACE: 0},),
    "EventLog.columns": (TOPIC,),
    "collect": (TOPIC, "eventlog:elsewhere#orders"),
    "Consumer.committed": (PLACE,),
    "create_group": ("others",),
    "create_topic": ("more",),
    "delete_offsets": ([PLACE],),
    "delete_records": (1,),
    "delete_topic": (TOPIC,),
    "describe_topic": (TOPIC,),
    "group": ("workers",),
    "mirror": ("*", "kafka://localhost:1"),
    "offset_for_time": (0,),
    "offsets": (TOPIC,),
    "on_ack": ("workers", print),
    "partition": (TOPIC, 0),
    "plan_reset": ({PLACE: 0},),
    "position": (PLACE,),
    "read": (0,),
    "repair": (TOPIC, 0),
    "reset": ({PLACE: 0},),
    "search": (b"x",),
    "seek": (PLACE, 0),
    "seek_to_time": (0,),
    "send": (TOPIC, b"x"),
    "ship": (TOPIC, "eventlog:elsewhere#orders"),
    "sizes": (TOPIC,),
    "subscribe": (TOPIC,),
    "topic": (TOPIC,),
    "wait": (0,),
    "worker": (TOPIC, "resizers"),
}
# What a handle is called and what it has found stays known; closing once more does nothing.
CLOSING = {"check_may_close", "close", "close_with_store"}
STOPPING = {"is_stopped", "stop", "wakeup"}  # for signal handlers, which do not know what is closed
KNOWN = CLOSING | STOPPING | {"directory", "group", "is_closed", "name", "partition", "path", "recovery", "topic"}


@pytest.fixture
def handles(log: EventLog) -> dict[str, Any]:
    partition, producer = stores.open_partition(log), log.producer()
    producer.send(TOPIC, b"first")
    consumer = log.consumer(TOPIC, group="workers")
    consumer.poll(timeout=10)
    return {
        "log": log, "partition": partition, "producer": producer, "consumer": consumer, "group": log.group("workers")
    }  # fmt: skip


def use(handle: Any, name: str) -> None:
    found = getattr(handle, name)
    arguments = ARGUMENTS.get(f"{type(handle).__name__}.{name}", ARGUMENTS.get(name, ()))
    found = found(*arguments) if callable(found) else found
    if isinstance(found, Iterator):
        next(found)


@pytest.mark.parametrize("kind", ["log", "partition", "producer", "consumer", "group"])
def test_each_public_name_of_what_was_closed_with_its_store_says_so(handles: dict[str, Any], kind: str) -> None:
    public = {name for name, _ in inspect.getmembers(type(handles[kind])) if not name.startswith("_")}
    known = KNOWN - ({"partition", "group", "topic"} if kind == "log" else set())
    handles["log"].close()
    for name in sorted(public - known):
        with pytest.raises(StoreClosedError):
            use(handles[kind], name)


@pytest.mark.parametrize("kind", ["partition", "producer", "consumer"])
def test_each_public_name_of_what_was_closed_by_itself_says_so(handles: dict[str, Any], kind: str) -> None:
    public = {name for name, _ in inspect.getmembers(type(handles[kind])) if not name.startswith("_")}
    handles[kind].close()
    for name in sorted(public - KNOWN):
        with pytest.raises(StoreClosedError):
            use(handles[kind], name)


def test_a_partition_that_was_closed_is_opened_again_and_in_nobodys_way(store: Path) -> None:
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        partition.append(b"x")
        with log.consumer(TOPIC, group="workers") as consumer:
            consumer.poll(timeout=10)
            consumer.commit()
        partition.close()
        log.create_topic("more")
        log.partition("more", 0).append(b"y")
        assert stores.open_partition(log).append(b"z") == 1
        stores.open_partition(log).close()
    with eventlog.open(store) as log:
        assert list(log.group("workers").committed().values()) == [1]
