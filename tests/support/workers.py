"""What the processes of tests do. Each is called as `role(connection, ...)` in a process of its own.

A writer reports an offset after the append has returned, and not before: what was reported must never be lost.
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import eventlog
from eventlog import EventLogError
from tests.support import heads, payloads
from tests.support.stores import TOPIC


def append_then_hold(connection: Connection, store: Path, units: list[tuple[int, list[Any]]], options: dict[str, Any]) -> None:
    """Append units of (partition, [(timestamp, key, value), ...]), report each offset, then hold the store open."""
    log = eventlog.open(store, **options)
    for partition, records in units:
        timestamps, keys, values = ([record[field] for record in records] for field in range(3))
        offsets = log.partition(TOPIC, partition).append_many(values, keys=keys, timestamps=timestamps)
        connection.send(list(offsets))
    connection.send("done")
    connection.recv()


def append_when_told(connection: Connection, store: Path, options: dict[str, Any]) -> None:
    """Append each value that is sent, and report its offset with the durable offset, or the error. None ends it."""
    with eventlog.open(store, **options) as log:
        partition = log.partition(TOPIC, 0)
        connection.send("ready")
        while (value := connection.recv()) is not None:
            try:
                offset = partition.append(value)
                connection.send((offset, partition.durable_offset))
            except EventLogError as error:
                connection.send((type(error).__name__, str(error)))


def append_groups(connection: Connection, store: Path, writer: int, seed: int) -> None:
    """Append groups of 1 to 20 records until told to stop or killed; report (first offset, first sequence, size)."""
    choices = random.Random(seed)
    log = eventlog.open(store)
    partition = log.partition(TOPIC, 0)
    sequence = group = 0
    while not connection.poll():
        size = choices.choice((1, 1, 2, 5, 20))
        values = payloads.group_values(writer, sequence, group, size)
        first = partition.append(values[0]) if size == 1 else partition.append_many(values)[0]
        connection.send((first, sequence, size))
        sequence += size
        group += 1
    log.close()


def append_at_once(connection: Connection, store: Path, count: int, options: dict[str, Any]) -> None:
    """At a word, append records one by one; report (offset, durable offset after the append) of each at the end."""
    with eventlog.open(store, **options) as log:
        partition = log.partition(TOPIC, 0)
        connection.send("ready")
        connection.recv()
        connection.send([(partition.append(b"%d" % number), partition.durable_offset) for number in range(count)])


def check_everything(connection: Connection, store: Path) -> None:
    """Read from the start and check every record; after the message (end offset) read up to there, and report a digest."""
    digest = hashlib.sha256()
    checker = payloads.Checker()
    stop: int | None = None
    with eventlog.open(store) as log:
        partition = log.partition(TOPIC, 0)
        connection.send("reading")
        while stop is None or checker.next_offset < stop:
            if stop is None and connection.poll():
                stop = connection.recv()
                continue
            partition.wait(checker.next_offset, timeout=0.1)
            for record in partition.records(checker.next_offset, partition.end_offset):
                checker.check(record.offset, record.value)
                digest.update(record.value or b"")
            checker.check_between_groups()
    connection.send((checker.next_offset, digest.hexdigest()))


def wait_for(connection: Connection, store: Path, offset: int, timeout: float | None) -> None:
    """Wait for an offset; report the result and the CPU seconds that this took."""
    with eventlog.open(store) as log:
        partition = log.partition(TOPIC, 0)
        before = resource.getrusage(resource.RUSAGE_SELF)
        connection.send("waiting")
        result = partition.wait(offset, timeout=timeout)
        after = resource.getrusage(resource.RUSAGE_SELF)
        connection.send((result, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))


def hold_mutex(connection: Connection, store: Path, which: str) -> None:
    """Take the append or the flush mutex of the partition, and keep it."""
    head = heads.MappedHead(_head_file(store))
    head.lock_append() if which == "append" else head.lock_flush()
    connection.send("held")
    connection.recv()


def die_inside_append(connection: Connection, store: Path, next_is_complete: bool, segment: Path, batch: bytes) -> None:
    """Be a writer that dies with the append mutex: its bytes are written, and `next` is complete or not.

    `batch` is a whole batch, already in its place, that holds one record."""
    head = heads.MappedHead(_head_file(store))
    head.lock_append()
    state = head.state
    state.writing = 1
    with open(segment, "r+b") as file:
        file.seek(state.tail.position)
        file.write(batch if next_is_complete else batch[: len(batch) // 2] + b"\xff" * 400)
    if next_is_complete:
        next_tail = heads.Tail.from_buffer_copy(state.tail)
        next_tail.position += len(batch)
        next_tail.end_offset += 1
        state.next = next_tail
        state.allocated = max(state.allocated, next_tail.position)
        state.next_is_complete = 1
    connection.send("dying")
    os.kill(os.getpid(), 9)


def use_memory(connection: Connection, store: Path, total_bytes: int) -> None:
    """Append and read `total_bytes`; report the private memory in kB after a tenth of it and at the end, for each."""
    values = [bytes(1000)] * 1000
    steps = total_bytes // (len(values) * 1000)
    with eventlog.open(store) as log:
        partition = log.partition(TOPIC, 0)
        appending = []
        for step in range(steps):
            partition.append_many(values)
            if step in (steps // 10, steps - 1):
                appending.append(_private_memory_kb())
        reading = []
        for count, _ in enumerate(partition.values()):
            if count in (steps * 100, steps * 1000 - 1):
                reading.append(_private_memory_kb())
    connection.send((appending, reading))


def _private_memory_kb() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def _head_file(store: Path) -> Path:
    return store / "shared" / f"{TOPIC}-0.head"
