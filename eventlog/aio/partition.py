"""A partition for tasks."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Callable, Collection, Generator, Sequence
from typing import Any

from eventlog.aio.scanning import scan
from eventlog.clock import Time
from eventlog.errors import EventLogError
from eventlog.hub import Hub, Turns
from eventlog.options import check_offset, check_timeout
from eventlog.records.batch import Headers
from eventlog.records.columns import Columns
from eventlog.records.record import Record
from eventlog.storage.partition.partition import Partition
from eventlog.waiting import WaitSet

_AT_ONCE_BYTES_MAX = 64 * 1024


class AsyncPartition:
    """`eventlog.Partition` for tasks. Its first use that is awaited opens it, and so does `await log.partition(...)`: its
    properties can be read from then on."""

    def __init__(self, open_partition: Callable[[], Partition], topic: str, partition: int, hub: Hub) -> None:
        self.topic = topic
        self.partition = partition
        self._open = open_partition
        self._opened: Partition | None = None
        self._hub = hub
        self._turns = Turns()

    def __repr__(self) -> str:
        return f"<AsyncPartition {self.topic}/{self.partition}>"

    def __await__(self) -> Generator[Any, None, AsyncPartition]:
        yield from self._ready().__await__()
        return self

    async def _ready(self) -> Partition:
        """The partition. Opening it may take long: it may recover a segment, or wait for another process."""
        if self._opened is None:
            self._opened = await asyncio.to_thread(self._open)
        return self._opened

    @property
    def _partition(self) -> Partition:
        if self._opened is None:
            raise EventLogError(f"{self!r} is not open yet: await it, as in `partition = await log.partition(topic, 0)`")
        return self._opened

    @property
    def start_offset(self) -> int:
        """As `Partition.start_offset`."""
        return self._partition.start_offset

    @property
    def end_offset(self) -> int:
        """As `Partition.end_offset`."""
        return self._partition.end_offset

    @property
    def stable_offset(self) -> int:
        """As `Partition.stable_offset`."""
        return self._partition.stable_offset

    @property
    def durable_offset(self) -> int:
        """As `Partition.durable_offset`."""
        return self._partition.durable_offset

    @property
    def is_deleted(self) -> bool:
        """As `Partition.is_deleted`."""
        return self._partition.is_deleted

    # --- writing -----------------------------------------------------------------------------------------

    async def append(
        self,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers | None = None,
        timestamp: Time | None = None,
        *,
        expected_end_offset: int | None = None,
    ) -> int:
        """As `Partition.append`. An append that is conditional, or has to wait for another process or for the disk, is done in
        the executor, and completed even if the task is cancelled meanwhile."""
        if expected_end_offset is not None:
            append = (await self._ready()).append
            expected = expected_end_offset
            return await asyncio.to_thread(append, value, key, headers, timestamp, expected_end_offset=expected)
        if self._turns.is_over(value):
            await asyncio.sleep(0)
        if not isinstance(value, bytes) or len(value) <= _AT_ONCE_BYTES_MAX:
            offset = (await self._ready()).writer.append_at_once(value, key, headers, timestamp)
            if offset is not None:
                return offset
        return await asyncio.to_thread((await self._ready()).append, value, key, headers, timestamp)

    async def append_many(
        self,
        values: Sequence[bytes | None],
        *,
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
        timestamps: Sequence[Time | None] | None = None,
        compression: str | None = None,
        expected_end_offset: int | None = None,
    ) -> range:
        """As `Partition.append_many`, in the executor. The lists must not be changed before it returns."""
        append_many = (await self._ready()).append_many
        expected = expected_end_offset
        if keys is None and headers is None and timestamps is None and compression is None and expected is None:
            return await asyncio.to_thread(append_many, values)
        return await asyncio.to_thread(
            append_many, values, keys=keys, headers=headers, timestamps=timestamps, compression=compression,
            expected_end_offset=expected,
        )  # fmt: skip

    async def delete_records(self, before: int) -> int:
        """As `Partition.delete_records`."""
        return await asyncio.to_thread((await self._ready()).delete_records, before)

    async def flush(self) -> None:
        """As `Partition.flush`."""
        await asyncio.to_thread((await self._ready()).flush)

    async def close(self) -> None:
        """As `Partition.close`."""
        if self._opened is not None:
            await asyncio.to_thread(self._opened.close)

    # --- reading -----------------------------------------------------------------------------------------

    async def read(self, offset: int, max_records: int = 500, *, durable: bool = False) -> list[Record]:
        """As `Partition.read`."""
        return await asyncio.to_thread((await self._ready()).read, offset, max_records, durable=durable)

    async def values(self, start: int | None = None, stop: int | None = None) -> AsyncIterator[bytes | None]:
        """As `Partition.values`, for `async for`: a thread reads ahead, up to 512 records or 256 KiB at a time."""
        values = (await self._ready()).values
        async for value in scan(functools.partial(values, start, stop), _size_of_value):
            yield value

    async def records(self, start: int | None = None, stop: int | None = None) -> AsyncIterator[Record]:
        """As `Partition.records`, for `async for`, as `values`."""
        records = (await self._ready()).records
        async for record in scan(functools.partial(records, start, stop), _size_of_record):
            yield record

    async def columns(
        self,
        start: int | None = None,
        stop: int | None = None,
        *,
        count_max: int = 65_536,
        durable: bool = False,
        headers: bool = False,
        since: Time | None = None,
        until: Time | None = None,
    ) -> AsyncIterator[Columns]:
        """As `Partition.columns`, for `async for`."""
        begin = functools.partial(
            (await self._ready()).columns, start, stop, count_max=count_max, durable=durable, headers=headers, since=since,
            until=until,
        )  # fmt: skip
        async for columns in scan(begin, _fills_a_chunk):
            yield columns

    async def search(
        self,
        pattern: bytes | re.Pattern[bytes],
        start: int | None = None,
        stop: int | None = None,
        *,
        fields: Collection[str] = ("value",),
        ignore_case: bool = False,
        invert: bool = False,
    ) -> AsyncIterator[Record]:
        """As `Partition.search`, for `async for`, as `values`."""
        search = (await self._ready()).search
        begin = functools.partial(search, pattern, start, stop, fields=fields, ignore_case=ignore_case, invert=invert)
        async for record in scan(begin, _size_of_record):
            yield record

    async def offset_for_time(self, timestamp: Time) -> int | None:
        """As `Partition.offset_for_time`."""
        return await asyncio.to_thread((await self._ready()).offset_for_time, timestamp)

    async def bytes_from(self, offset: int) -> int:
        """As `Partition.bytes_from`."""
        return await asyncio.to_thread((await self._ready()).bytes_from, offset)

    async def wait(self, offset: int, timeout: float | None = None, *, durable: bool = False) -> bool:
        """As `Partition.wait`."""
        check_offset(offset)
        check_timeout(timeout)

        partition, nothing_before = await self._ready(), offset

        def is_there() -> bool:
            nonlocal nothing_before
            end = partition.log.nothing_up_to(offset, durable=durable)
            nothing_before = offset if end is None else max(offset, end)
            return end is None

        def conditions() -> WaitSet:
            wait_set = WaitSet()
            partition.log.await_record(wait_set, nothing_before, durable=durable)
            return wait_set

        return await self._hub.wait_until(is_there, conditions, timeout)


def _size_of_value(value: bytes | None) -> int:
    return 0 if value is None else len(value)


def _size_of_record(record: Record) -> int:
    return _size_of_value(record.value) + _size_of_value(record.key)


def _fills_a_chunk(columns: Columns) -> int:
    return 2**63
