"""What the processes of tests do. Each is called as `role(connection, ...)` in a process of its own.

A writer reports an offset after the append has returned, and not before: what was reported must never be lost.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import itertools
import mmap
import os
import platform
import random
import resource
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import eventlog
from eventlog import EventLog, EventLogError, Partition, TopicExistsError
from eventlog.storage.segments.lock import segments_locked
from tests.support import heads, payloads
from tests.support.stores import TOPIC, head_file, segments


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
    """Append as many groups of 1 to 500 records, some of them large, as each message says; None ends it.

    Reports (first offset, first sequence number, size) of each group after its append has returned."""
    choices = random.Random(seed)
    log = eventlog.open(store)
    partition = log.partition(TOPIC, 0)
    sequence = group = 0
    while (count := connection.recv()) is not None:
        for _ in range(count):
            size = choices.choice((1, 1, 1, 1, 1, 1, 2, 5, 5, 20, 20, 500))
            if size == 1:
                filler_bytes = choices.choice((None, None, None, 5_000, 100_000))
                first = partition.append(payloads.value(writer, sequence, group, 0, 1, filler_bytes))
            else:
                first = partition.append_many(payloads.group_values(writer, sequence, group, size))[0]
            connection.send((first, sequence, size))
            sequence += size
            group += 1
    log.close()
    connection.send("closed")


def append_at_once(connection: Connection, store: Path, threads: int, count: int, options: dict[str, Any]) -> None:
    """At a word, append records one by one from several threads; report (offset, durable offset after it) of each."""
    with eventlog.open(store, **options) as log:
        partition = log.partition(TOPIC, 0)
        results: list[tuple[int, int]] = []

        def append() -> None:
            for number in range(count):
                offset = partition.append(b"%d" % number)
                results.append((offset, partition.durable_offset))

        connection.send("ready")
        connection.recv()
        running = [threading.Thread(target=append) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        connection.send(results)


def append_behind_a_dead_writer(connection: Connection, store: Path, is_dead: bool) -> None:
    """Append a record; with `is_dead` to a partition that somebody was killed in, after the first bytes of a large batch."""
    with eventlog.open(store, fsync="never") as log:
        partition = log.partition(TOPIC, 0)
        partition.append(b"before")
        head = heads.MappedHead(head_file(store)).state
        if is_dead:
            with open(segments(store)[0], "r+b") as file:
                file.seek(head.tail.position)
                file.write(b"x" * 3000)
            head.writing = 1
        connection.send(partition.append(b"behind"))


def append_large(connection: Connection, store: Path, writer: int, groups: int, size: int, filler_bytes: int) -> None:
    """Append groups of large records, report the number of records, then hold the store open."""
    log = eventlog.open(store, fsync="never")
    partition = log.partition(TOPIC, 0)
    for group in range(groups):
        first = group * size
        partition.append_many(
            [payloads.value(writer, first + place, group, place, size, filler_bytes) for place in range(size)]
        )
    connection.send(groups * size)
    connection.recv()


def open_and_append(connection: Connection, store: Path) -> None:
    """Open a store that may not be there yet, append one record, report its offset; close after a message."""
    connection.send("opening")
    with eventlog.open(store) as log:
        with suppress(TopicExistsError):
            log.create_topic(TOPIC)
        connection.send(log.partition(TOPIC, 0).append(b"opened"))
        connection.recv()


def append_flush_and_append(connection: Connection, store: Path, flushed: int, more: int) -> None:
    """Append records one by one, flush after some of them; report (durable offset, end offset), and hold the store open."""
    log = eventlog.open(store, fsync="never")
    partition = log.partition(TOPIC, 0)
    for sequence in range(flushed):
        partition.append(payloads.value(1, sequence, sequence, 0, 1))
    partition.flush()
    for sequence in range(flushed, flushed + more):
        partition.append(payloads.value(1, sequence, sequence, 0, 1, 8))
    connection.send((partition.durable_offset, partition.end_offset))
    connection.recv()


def append_and_roll(connection: Connection, store: Path, writer: int, count: int) -> None:
    """Append single records, report (offset, sequence number) of each, flush now and then, and close."""
    with eventlog.open(store, fsync="never") as log:
        partition = log.partition(TOPIC, 0)
        for sequence in range(count):
            filler_bytes = 70_000 if sequence % 10 == 9 else None
            offset = partition.append(payloads.value(writer, sequence, sequence, 0, 1, filler_bytes))
            connection.send((offset, sequence))
            if sequence % 10 == 0:
                partition.flush()
    connection.send("closed")


def check_everything(connection: Connection, store: Path, last_writer: int) -> None:
    """Read from the start and check every record, until one of `last_writer` comes.

    Each end offset that was seen and read up to is reported as (offset, digest of all values before it)."""
    digest = hashlib.sha256()
    checker = payloads.Checker()
    data: bytes | None = None
    with eventlog.open(store) as log:
        partition = log.partition(TOPIC, 0)
        while data is None or payloads.writer_of(data)[0] != last_writer:
            partition.wait(checker.next_offset)
            for record in partition.records(checker.next_offset, partition.end_offset):
                data = record.value
                checker.check(record.offset, data)
                digest.update(data or b"")
            checker.check_between_groups()
            connection.send((checker.next_offset, digest.digest()))
    connection.send("closed")


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
    """Take the append or the flush mutex of the partition, and give it back after a message."""
    head = heads.MappedHead(head_file(store))
    head.lock_append() if which == "append" else head.lock_flush()
    connection.send("held")
    connection.recv()
    head.unlock_append() if which == "append" else head.unlock_flush()
    connection.send("given back")
    connection.recv()


def die_inside_append(connection: Connection, store: Path, next_is_complete: bool, segment: Path, batch: bytes) -> None:
    """Be a writer that dies with the append mutex: its bytes are written, and `next` is complete or not.

    `batch` is a whole batch, already in its place, that holds one record."""
    head = heads.MappedHead(head_file(store))
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


def append_much(connection: Connection, store: Path, megabytes: int) -> None:
    """Append that much; report the peak of resident memory in kB after a tenth of it and at the end."""
    values = [bytes(1000)] * 1000
    peaks = []
    with eventlog.open(store, fsync="never") as log:
        partition = log.partition(TOPIC, 0)
        for step in range(1, megabytes + 1):
            partition.append_many(values)
            for value in values[:100]:
                partition.append(value)
            if step in (megabytes // 10, megabytes):
                peaks.append(_peak_memory_kb())
    connection.send(peaks)


def read_everything(connection: Connection, store: Path, way: str) -> None:
    """Read all, by `values` or `read`; report the peak of resident memory in kB after a tenth of it and at the end."""
    peaks = []
    with eventlog.open(store, fsync="never") as log:
        partition = log.partition(TOPIC, 0)
        end_offset = partition.end_offset
        marks = (end_offset // 10, end_offset)
        if way == "values":
            for offset, _ in enumerate(partition.values(), 1):
                if offset in marks:
                    peaks.append(_peak_memory_kb())
        else:
            offset = 0
            while offset < end_offset:
                offset = partition.read(offset)[-1].offset + 1
                if len(peaks) < 1 + (offset == end_offset) and offset >= marks[0]:
                    peaks.append(_peak_memory_kb())
    connection.send(peaks)


def _peak_memory_kb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def use_after_fork(connection: Connection, store: Path) -> None:
    """Fork with a store open; the child reports what every public name of its handles raises, then what it can do with
    a store that it opened itself; the parent goes on."""
    log = eventlog.open(store)
    partition = log.partition(TOPIC, 0)
    partition.append(b"before the fork")
    begun = partition.values()
    child = os.fork()
    if child == 0:
        try:
            raised = {name: what_is_raised(use, log, partition) for name, use in USES_OF_HANDLES.items()}
            raised["an iterator"] = what_is_raised(lambda log, partition: list(begun), log, partition)
            connection.send(raised)
            log.close()
            with eventlog.open(store) as own_log:
                connection.send((own_log.topics(), own_log.partition(TOPIC, 0).append(b"by the child")))
        except BaseException as error:
            connection.send(repr(error))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    connection.send((partition.append(b"by the parent"), list(partition.values()), log.topics()))
    log.close()


USES_OF_HANDLES: dict[str, Callable[[EventLog, Partition], Any]] = {
    "append": lambda log, partition: partition.append(b"x"),
    "append_many": lambda log, partition: partition.append_many([b"x"]),
    "flush": lambda log, partition: partition.flush(),
    "start_offset": lambda log, partition: partition.start_offset,
    "end_offset": lambda log, partition: partition.end_offset,
    "durable_offset": lambda log, partition: partition.durable_offset,
    "stable_offset": lambda log, partition: partition.stable_offset,
    "read": lambda log, partition: partition.read(0),
    "values": lambda log, partition: list(partition.values()),
    "records": lambda log, partition: list(partition.records()),
    "columns": lambda log, partition: list(partition.columns()),
    "search": lambda log, partition: list(partition.search(b"x")),
    "offset_for_time": lambda log, partition: partition.offset_for_time(0),
    "bytes_from": lambda log, partition: partition.bytes_from(0),
    "delete_records": lambda log, partition: partition.delete_records(0),
    "is_deleted": lambda log, partition: partition.is_deleted,
    "wait": lambda log, partition: partition.wait(0, timeout=0),
    "log.create_topic": lambda log, partition: log.create_topic("other"),
    "log.alter_topic": lambda log, partition: log.alter_topic(TOPIC),
    "log.delete_topic": lambda log, partition: log.delete_topic(TOPIC),
    "log.maintain": lambda log, partition: log.maintain(),
    "log.start_maintenance": lambda log, partition: log.start_maintenance(),
    "log.topic": lambda log, partition: log.topic(TOPIC),
    "log.topics": lambda log, partition: log.topics(),
    "log.partition": lambda log, partition: log.partition(TOPIC, 0),
    "log.offsets": lambda log, partition: log.offsets(TOPIC),
    "log.sizes": lambda log, partition: log.sizes(TOPIC),
    "log.verify": lambda log, partition: log.verify(),
    "log.flush": lambda log, partition: log.flush(),
    "log.producer": lambda log, partition: log.producer(),
    "log.consumer": lambda log, partition: log.consumer(TOPIC),
    "log.groups": lambda log, partition: log.groups(),
    "log.repair": lambda log, partition: log.repair(TOPIC, 0),
    "log.backup": lambda log, partition: log.backup(log.path.with_name("backup")),
    "log.describe_groups": lambda log, partition: log.describe_groups(),
    "log.create_group": lambda log, partition: log.create_group("made"),
    "log.check_offsets": lambda log, partition: log.check_offsets({}),
    "log.lags": lambda log, partition: log.lags(),
    "log.group": lambda log, partition: log.group("group"),
    "log.columns": lambda log, partition: log.columns(TOPIC),
    "log.describe_topic": lambda log, partition: log.describe_topic(TOPIC),
    "log.activity": lambda log, partition: log.activity(),
    "log.metrics": lambda log, partition: log.metrics(),
    "log.serve": lambda log, partition: log.serve(port=0),
    "log.worker": lambda log, partition: log.worker(TOPIC, "resizers"),
    "log.ship": lambda log, partition: log.ship(TOPIC, "eventlog:elsewhere#orders"),
    "log.collect": lambda log, partition: log.collect(TOPIC, "eventlog:elsewhere#orders"),
    "log.mirror": lambda log, partition: log.mirror("*", "kafka://localhost:1"),
    "log.transactions": lambda log, partition: log.transactions(),
    "log.abort_transaction": lambda log, partition: log.abort_transaction("t"),
}


def what_is_raised(use: Callable[..., Any], *handles: Any) -> str:
    """The name of the error that a use of handles raises."""
    try:
        return f"nothing, but returned {use(*handles)!r}"
    except Exception as error:
        return type(error).__name__


_SLOTS_AT, _SLOT_BYTES, _SLOT_HOLDER_AT, _SEAL_AT = 20480, 128, 104, 4088  # native/store/acks.h


def hold_slot_mutex(connection: Connection, store: Path, group: str, slot: int) -> None:
    """Take the mutex of one of a group's slots, and give it back after a message."""
    libc = ctypes.CDLL(None)
    descriptor = os.open(store / "shared" / f"{group}.acks", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_SH)  # as everybody who uses the file: its mutexes are made anew where nobody does
    mapped = mmap.mmap(descriptor, 0)
    mapped[_SEAL_AT : _SEAL_AT + 4] = bytes(4)  # as everybody does who begins to use the file
    at = _SLOTS_AT + slot * _SLOT_BYTES
    mutex = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(mapped, at)))
    assert libc.pthread_mutex_lock(mutex) == 0
    ctypes.c_int32.from_buffer(mapped, at + _SLOT_HOLDER_AT).value = os.getpid()
    connection.send("held")
    connection.recv()
    assert libc.pthread_mutex_unlock(mutex) == 0
    connection.send("given back")
    connection.recv()


def iterate_after_fork(connection: Connection, store: Path) -> None:
    """Fork while an iterator has read ahead; report what it hands out in the child, and then in the parent."""
    with eventlog.open(store) as log, log.consumer(TOPIC, group="group") as consumer:
        partition = log.partition(TOPIC, 0)
        partition.append_many([b"%d" % number for number in range(10)])
        iterator = iter(consumer)
        next(iterator)
        child = os.fork()
        if child == 0:
            connection.send(what_is_raised(lambda log, partition: next(iterator), log, partition))
            os._exit(0)
        os.waitpid(child, 0)
        connection.send([next(iterator).value for _ in range(9)])


FUTEX = {"x86_64": "202", "aarch64": "98"}.get(platform.machine())  # the number of the system call


def fork_while_a_batch_is_appended(connection: Connection, store: Path) -> None:
    """Fork while another thread is inside the append of waiting records; report what a receipt of them raises in the child."""
    log = eventlog.open(store)
    partition = log.partition(TOPIC, 0)
    receipt = log.producer(linger_ms=1_000_000).send(TOPIC, b"x")
    head = heads.MappedHead(head_file(store))
    head.lock_append()
    thread = threading.Thread(target=lambda: receipt.offset)
    thread.start()
    while not _is_asleep_in_map(thread, head_file(store)):
        pass
    child = os.fork()
    if child == 0:
        connection.send(what_is_raised(lambda log, partition: receipt.offset, log, partition))
        os._exit(0)
    connection.recv()
    os.waitpid(child, 0)
    head.unlock_append()
    thread.join()
    connection.send(receipt.offset)
    log.close()


def _is_asleep_in_map(thread: threading.Thread, file: Path) -> bool:
    """Does the thread wait for a mutex in a mapped file?"""
    call, *arguments = Path(f"/proc/self/task/{thread.native_id}/syscall").read_text().split()
    if call != FUTEX:
        return False
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(file))]
    bounds = [[int(bound, 16) for bound in fields[0].split("-")] for fields in maps]
    return any(start <= int(arguments[0], 16) < stop for start, stop in bounds)


def hold_catalog(connection: Connection, store: Path) -> None:
    """Be inside a change of the catalog until a message."""
    with eventlog.open(store) as log, log.store.catalog.topics.pinned(TOPIC):
        connection.send("held")
        connection.recv()


def hold_head_alone(connection: Connection, store: Path) -> None:
    """Be the first to open the partition, in the middle of it, until a message."""
    with open(head_file(store), "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        connection.send("held")
        connection.recv()


def hold_maintenance(connection: Connection, store: Path) -> None:
    """Hold the lock of whoever does the housekeeping, until a message."""
    with open(store / "shared" / "maintenance", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        connection.send("held")
        connection.recv()


def delete_topic(connection: Connection, store: Path, topic: str) -> None:
    """Delete a topic, and report that it is deleted."""
    with eventlog.open(store) as log:
        log.delete_topic(topic)
        connection.send("deleted")


def maintain_once(connection: Connection, store: Path) -> None:
    """Do a round of housekeeping; report (was another process at it, failures)."""
    with eventlog.open(store) as log:
        report = log.maintain(compact_all=True)
        connection.send((report.is_elsewhere, report.failures))


def maintain_again_and_again(connection: Connection, store: Path) -> None:
    """Do rounds of housekeeping until killed; report (was another process at it, failures) of each."""
    with eventlog.open(store) as log:
        while True:
            report = log.maintain(compact_all=True)
            connection.send((report.is_elsewhere, report.failures))


def append_keyed(connection: Connection, store: Path, writer: int, seed: int) -> None:
    """Append records with keys of this writer's own until killed; report (None, key, value) before each append, and
    (offset, key, value) after it."""
    choices = random.Random(seed)
    with eventlog.open(store) as log:
        partition = log.partition(TOPIC, 0)
        for sequence in itertools.count():
            key = b"%d/%d" % (writer, choices.randrange(40))
            value = None if choices.random() < 0.05 else b"%d" % sequence + bytes(choices.randrange(100))
            connection.send((None, key, value))
            connection.send((partition.append(value, key), key, value))


def hold_segments(connection: Connection, directory: Path, with_child: bool) -> None:
    """Hold the lock on a partition's segments until a message; with a child, fork one that outlives this process."""
    with segments_locked(directory, 1000):
        child = os.fork() if with_child else -1
        if child == 0:
            while True:
                signal.pause()
        connection.send(child)
        connection.recv()
    connection.send("given back")
    connection.recv()


def serve(connection: Connection, store: Path) -> None:
    """Serve the store to Kafka's clients, and report the address; any message ends it."""
    from tests.serve.conftest import running_server

    with eventlog.open(store) as log, running_server(log) as server:
        connection.send(server.address)
        connection.recv()
