"""A partition for tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from eventlog.aio.hub import Hub
from eventlog.options import check_offset, check_timeout
from eventlog.records.batch import Headers
from eventlog.records.record import Record
from eventlog.storage.partition import Partition, await_record, nothing_up_to
from eventlog.waiting import Awaited


class AsyncPartition:
    """`eventlog.Partition`: what reaches the disk and what waits is awaited, the rest is as quick as it is there."""

    def __init__(self, partition: Partition, hub: Hub, *, appends_block: bool) -> None:
        self._partition = partition
        self._hub = hub
        self._appends_block = appends_block

    @property
    def start_offset(self) -> int:
        """As `Partition.start_offset`."""
        return self._partition.start_offset

    @property
    def end_offset(self) -> int:
        """As `Partition.end_offset`."""
        return self._partition.end_offset

    @property
    def durable_offset(self) -> int:
        """As `Partition.durable_offset`."""
        return self._partition.durable_offset

    async def append(
        self,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers | None = None,
        timestamp: int | None = None,
    ) -> int:
        """As `Partition.append`."""
        if not self._appends_block:
            return self._partition.append(value, key, headers, timestamp)
        return await asyncio.to_thread(self._partition.append, value, key, headers, timestamp)

    async def append_many(
        self,
        values: Sequence[bytes | None],
        *,
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
        timestamps: Sequence[int | None] | None = None,
    ) -> range:
        """As `Partition.append_many`."""

        def append_many() -> range:
            return self._partition.append_many(values, keys=keys, headers=headers, timestamps=timestamps)

        return await asyncio.to_thread(append_many) if self._appends_block else append_many()

    def read(self, offset: int, max_records: int = 500, *, durable: bool = False) -> list[Record]:
        """As `Partition.read`."""
        return self._partition.read(offset, max_records, durable=durable)

    async def wait(self, offset: int, timeout: float | None = None, *, durable: bool = False) -> bool:
        """As `Partition.wait`."""
        check_offset(offset)
        check_timeout(timeout)

        nothing_before = offset

        def is_there() -> bool:
            nonlocal nothing_before
            end = nothing_up_to(self._partition, offset, durable=durable)
            nothing_before = offset if end is None else max(offset, end)
            return end is None

        def conditions() -> Awaited:
            awaited = Awaited(1)
            await_record(self._partition, awaited, 0, nothing_before, durable=durable)
            return awaited

        return await self._hub.wait_until(is_there, conditions, timeout)

    async def flush(self) -> None:
        """As `Partition.flush`."""
        await asyncio.to_thread(self._partition.flush)
