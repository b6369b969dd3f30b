"""What `eventlog bench` measures: eventlog, a bare file and SQLite, each with the same kinds of work.

Work is done in small bits, again and again, until its time is up. Each bit returns how many events it handled.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventlog import Consumer

APPEND, APPEND_DURABLY, APPEND_MANY = "append one by one", "append one by one, to disk", "append 1,000 at once"
READ, CONSUME = "read", "consume, commit every 100"
KINDS = (APPEND, APPEND_MANY, READ, CONSUME, APPEND_DURABLY)

Work = Callable[[], int]

_SINGLES = 500
_DURABLE_SINGLES = 1
_BATCH = 1000
_STOCK_EVENTS_MAX, _STOCK_BYTES = 50_000, 2**23
_COMMITTED = 100
_FRAME_BYTES = 70  # what eventlog writes for an event alone besides its value
_ALLOCATED_BYTES = 2**24


def _stock_events(value: bytes) -> int:
    """How many events there are to read: whole batches of them, not too many bytes."""
    return max(1, min(_STOCK_EVENTS_MAX, _STOCK_BYTES // len(value)) // _BATCH) * _BATCH


def _times(append: Callable[[bytes], object], value: bytes, count: int) -> Work:
    def work() -> int:
        for _ in range(count):
            append(value)
        return count

    return work


def eventlog_work(directory: Path, value: bytes, closing: ExitStack) -> dict[str, Work]:
    """All kinds of work on a store."""
    import eventlog

    log = closing.enter_context(eventlog.open(directory / "store", fsync="never"))
    durable_log = closing.enter_context(eventlog.open(directory / "durable-store", fsync="always"))
    durable_log.create_topic("events")
    log.create_topic("events", partitions=2)
    single, batched = (log.partition("events", number) for number in range(2))
    log.create_topic("stock")
    stock = log.partition("stock", 0)
    unit = [value] * _BATCH
    for _ in range(_stock_events(value) // _BATCH):
        stock.append_many(unit)

    def consume() -> int:
        # A group for each run through the stock: a committed offset never goes back.
        records = consumers[-1].poll(timeout=0, max_records=_COMMITTED)
        if not records:
            consumers[-1].close()
            consumers.append(new_consumer())
            records = consumers[-1].poll(max_records=_COMMITTED)
        consumers[-1].commit()
        return len(records)

    def new_consumer() -> Consumer:
        return log.consumer("stock", group=f"readers-{len(consumers)}")

    consumers: list[Consumer] = []
    consumers.append(new_consumer())

    def read() -> int:
        deque(stock.values(), maxlen=0)
        return stock.end_offset

    return {
        APPEND: _times(single.append, value, _SINGLES),
        APPEND_MANY: lambda: len(batched.append_many(unit)),
        READ: read,
        CONSUME: consume,
        APPEND_DURABLY: _times(durable_log.partition("events", 0).append, value, _DURABLE_SINGLES),
    }


def file_work(directory: Path, value: bytes, closing: ExitStack) -> dict[str, Work]:
    """As many bytes in a bare file: without checksums, offsets or locks. It knows no events, so it has no way to read them."""
    descriptors = [os.open(directory / name, os.O_CREAT | os.O_RDWR, 0o600) for name in ("file", "durable-file")]
    for descriptor in descriptors:
        closing.callback(os.close, descriptor)
    plain, durable = descriptors
    os.posix_fallocate(durable, 0, _ALLOCATED_BYTES)
    os.fsync(durable)
    frame, block = bytes(len(value) + _FRAME_BYTES), bytes(_BATCH * (len(value) + 7))

    def append_durably(_: bytes) -> None:
        os.write(durable, frame)
        os.fdatasync(durable)

    def append_many() -> int:
        os.write(plain, block)
        return _BATCH

    return {
        APPEND: _times(lambda _: os.write(plain, frame), value, _SINGLES),
        APPEND_MANY: append_many,
        APPEND_DURABLY: _times(append_durably, value, _DURABLE_SINGLES),
    }


def sqlite_work(directory: Path, value: bytes, closing: ExitStack) -> dict[str, Work]:
    """A table in SQLite with a write-ahead log; it syncs only where the work is to be on disk."""
    import sqlite3

    def connect(name: str, synchronous: str) -> sqlite3.Connection:
        connection = sqlite3.connect(directory / name, isolation_level=None)
        closing.callback(connection.close)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, value BLOB)")
        connection.execute("CREATE TABLE positions (consumer TEXT PRIMARY KEY, id INTEGER) WITHOUT ROWID")
        return connection

    plain, durable, stock = connect("sqlite", "OFF"), connect("durable-sqlite", "FULL"), connect("stock-sqlite", "OFF")
    insert = "INSERT INTO events (value) VALUES (?)"
    stock_events = _stock_events(value)

    def insert_many(connection: sqlite3.Connection, count: int) -> int:
        rows: Sequence[tuple[bytes]] = [(value,)] * count
        connection.execute("BEGIN")
        connection.executemany(insert, rows)
        connection.execute("COMMIT")
        return count

    def consume() -> int:
        found = stock.execute("SELECT id FROM positions").fetchone()
        position = found[0] % stock_events if found else 0
        select = "SELECT id, value FROM events WHERE id > ? ORDER BY id LIMIT ?"
        rows = stock.execute(select, (position, _COMMITTED)).fetchall()
        stock.execute("INSERT OR REPLACE INTO positions VALUES ('readers', ?)", (rows[-1][0],))
        return len(rows)

    def read() -> int:
        deque(stock.execute("SELECT value FROM events ORDER BY id"), maxlen=0)
        return stock_events

    insert_many(stock, stock_events)
    return {
        APPEND: _times(lambda item: plain.execute(insert, (item,)), value, _SINGLES),
        APPEND_MANY: lambda: insert_many(plain, _BATCH),
        READ: read,
        CONSUME: consume,
        APPEND_DURABLY: _times(lambda item: durable.execute(insert, (item,)), value, _DURABLE_SINGLES),
    }


CONTENDERS = {"eventlog": eventlog_work, "file": file_work, "sqlite": sqlite_work}
