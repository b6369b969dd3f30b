"""What processes do to the catalog in tests. Each is called as `role(connection, ...)` in a process of its own."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path

import lmdb

import eventlog
from eventlog import EventLog, StoreClosedError, TopicPartition
from eventlog.catalog import environment
from eventlog.catalog.offsets import StoredOffset
from eventlog.groups.registry import Groups
from eventlog.groups.table import create_group

_PARTITIONS = 2000
_READERS_MAX = 1024
_SPARE_BYTES = 8 * 2**20


def fill(log: EventLog, numbers: Iterable[int]) -> None:
    """Make groups with thousands of slots, of a few hundred bytes each."""
    groups = Groups(log.store)
    try:
        for number in numbers:
            table = groups.open(f"group-{number}")
            table.make_slots([TopicPartition("t" * 200, partition) for partition in range(_PARTITIONS)])
    finally:
        groups.close()


def _opened(store: Path) -> lmdb.Environment:
    return lmdb.open(str(store / "meta"), max_dbs=16, max_readers=_READERS_MAX, max_spare_txns=0, create=False)


def take_every_place_of_a_reader(connection: Connection, store: Path) -> None:
    """Begin to read until nobody else can; report that, and be killed."""
    catalog = _opened(store)
    reading = []
    try:
        while True:
            reading.append(catalog.begin())
    except lmdb.ReadersFullError:
        connection.send("full")
    connection.recv()


def count_readers_of_the_catalog(connection: Connection, store: Path) -> None:
    """Report how many transactions read."""
    lines = _opened(store).readers().splitlines()
    connection.send(sum(line.split()[0].isdigit() for line in lines if line.strip()))


def use_the_catalog_when_told(connection: Connection, store: Path, map_bytes: int) -> None:
    """Map so much at first; report "open", and the topics, or the kind of error, after each message: "look", "make TOPIC", or
    "look without address space"."""
    environment._MAP_BYTES = map_bytes
    with eventlog.open(store, fsync_interval_ms=60_000) as log:  # no thread reads the catalog by itself
        connection.send("open")
        limits = resource.getrlimit(resource.RLIMIT_AS)
        while True:
            order, _, topic = connection.recv().partition(" ")
            if order == "make":
                log.create_topic(topic)
            elif topic:
                _limit_address_space(limits[1])
            try:
                connection.send(log.topics())
            except eventlog.EventLogError as error:
                connection.send(type(error).__name__)
            resource.setrlimit(resource.RLIMIT_AS, limits)


def _limit_address_space(hard_limit: int) -> None:
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + _SPARE_BYTES, hard_limit))


def fill_the_catalog_without_address_space(connection: Connection, store: Path, map_bytes: int) -> None:
    """Store offsets until that fails; report the error with the topics, and go on when there is more address space."""
    environment._MAP_BYTES = map_bytes
    with eventlog.open(store) as log:
        limits = resource.getrlimit(resource.RLIMIT_AS)
        _limit_address_space(limits[1])
        try:
            store_offsets(log, range(1000))
        except eventlog.EventLogError as error:
            connection.send((type(error).__name__, str(error), log.topics()))
        resource.setrlimit(resource.RLIMIT_AS, limits)
        store_offsets(log, range(1000, 1004))
        connection.send("there is room again")


def store_offsets(log: EventLog, numbers: Iterable[int]) -> None:
    """What `fill` stores of groups, without their mapped files."""
    for number in numbers:
        with log.store.catalog.groups.change(f"group-{number}") as change:
            for partition in range(_PARTITIONS):
                change.store_offset(TopicPartition("t" * 200, partition), StoredOffset(0, 0, partition))


def close_beside_a_transaction(connection: Connection, store: Path, does: str) -> None:
    """Close the store while a thread is inside a transaction, and begins others in it; report what these raise then."""
    log = eventlog.open(store)
    catalog = log.store.catalog.groups
    is_inside = threading.Event()

    def be_inside() -> None:
        try:
            with catalog.change("group") if does == "changes" else catalog.read("group") as group:
                is_inside.set()
                while True:
                    catalog.names()
                    group.history(None)
        except StoreClosedError as error:
            connection.send(type(error).__name__)

    thread = threading.Thread(target=be_inside)
    thread.start()
    is_inside.wait()
    log.close()
    thread.join()
    connection.send("closed")


def fork_inside_a_transaction(connection: Connection, store: Path) -> None:
    """Fork in the middle of a change, as a signal's handler may do; the child looks at the store, and the parent commits."""
    log = eventlog.open(store)
    with log.store.catalog.groups.change("made-by-the-parent") as change:
        create_group(change)
        child = os.fork()
        if child == 0:
            try:
                with eventlog.open(store) as own:
                    connection.send(own.topics())
            finally:
                os._exit(0)
    os.waitpid(child, 0)
    connection.send("committed")
    log.close()
