"""The memory that all requests together may take: while they arrive, and while their batches are decompressed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager


class RequestMemory:
    """Shares a number of bytes among connections whose requests do not fit into their own buffers.

    The connection that has held bytes for the longest time may always take more. So one request can always be completed, and
    the bytes taken exceed the number by at most one request."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.refusals = 0  # how often a connection had to wait
        self._taken: dict[Hashable, int] = {}  # in the order of their first request for memory
        self._refused: dict[Hashable, Callable[[], None]] = {}

    @property
    def taken_bytes(self) -> int:
        """The bytes that all connections hold together."""
        return sum(self._taken.values())

    def take(self, connection: Hashable, size: int, then: Callable[[], None]) -> bool:
        """Let a connection hold `size` bytes instead of what it holds. If False, `then` is called when it can try again."""
        before = self._taken.get(connection, 0)
        is_first = not self._taken or next(iter(self._taken)) == connection
        if not is_first and size > before and self.taken_bytes - before + size > self._bytes_max:
            self.refusals += connection not in self._refused
            self._refused[connection] = then
            return False
        self._taken[connection] = size
        if size < before:
            self._call_refused()
        return True

    def give_back(self, connection: Hashable) -> None:
        """Take back all bytes that a connection holds."""
        self._refused.pop(connection, None)
        if self._taken.pop(connection, 0):
            self._call_refused()

    def _call_refused(self) -> None:
        refused, self._refused = self._refused, {}
        for then in refused.values():
            then()


class ByteBudget:
    """A number of bytes that tasks take in the order in which they ask, and give back."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = self._left = bytes_max
        self._turn = asyncio.Lock()  # in the order of its waiters
        self._given_back = asyncio.Event()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Hold `size` bytes for a block, or all of them if there are not as many. Waits until they are free."""
        size = min(size, self._bytes_max)
        async with self._turn:
            while self._left < size:
                self._given_back.clear()
                await self._given_back.wait()
            self._left -= size
        try:
            yield
        finally:
            self._left += size
            self._given_back.set()
