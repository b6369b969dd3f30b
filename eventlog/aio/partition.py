"""A partition for tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from eventlog.clock import Time
from eventlog.hub import Hub, Turns
from eventlog.options import check_offset, check_timeout
from eventlog.records.batch import Headers
from eventlog.records.record import Record
from eventlog.storage.partition.partition import Partition
from eventlog.waiting import WaitSet

_AT_ONCE_BYTES_MAX = 64 * 1024


class AsyncPartition:
    """`eventlog.Partition` for tasks: calls that write or wait are awaited, the others are unchanged."""

    def __init__(self, open_partition: Callable[[], Partition], hub: Hub) -> None:
        self._open = open_partition
        self._opened: Partition | None = None
        self._hub = hub
        self._turns = Turns()

    def _partition(self) -> Partition:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    async def _ready(self) -> Partition:
        """The partition. Opening it may take long: it may recover a segment, or wait for another process."""
        return self._opened if self._opened is not None else await asyncio.to_thread(self._partition)

    @property
    def start_offset(self) -> int:
        """As `Partition.start_offset`."""
        return self._partition().start_offset

    @property
    def end_offset(self) -> int:
        """As `Partition.end_offset`."""
        return self._partition().end_offset

    @property
    def durable_offset(self) -> int:
        """As `Partition.durable_offset`."""
        return self._partition().durable_offset

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
        expected_end_offset: int | None = None,
    ) -> range:
        """As `Partition.append_many`, in the executor. The lists must not be changed before it returns."""
        append_many = (await self._ready()).append_many
        expected = expected_end_offset
        if keys is None and headers is None and timestamps is None and expected is None:
            return await asyncio.to_thread(append_many, values)
        return await asyncio.to_thread(
            append_many, values, keys=keys, headers=headers, timestamps=timestamps, expected_end_offset=expected
        )

    def read(self, offset: int, max_records: int = 500, *, durable: bool = False) -> list[Record]:
        """As `Partition.read`."""
        return self._partition().read(offset, max_records, durable=durable)

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

    async def flush(self) -> None:
        """As `Partition.flush`."""
        await asyncio.to_thread((await self._ready()).flush)
