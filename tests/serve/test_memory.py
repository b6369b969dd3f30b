"""The memory that requests share, and clients that are gone while they wait for it or for records."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Generator

from eventlog import EventLog
from eventlog.serve.batches import read_batch
from eventlog.serve.memory import ByteBudget
from eventlog.serve.protocol.messages import kind
from tests.serve.batches import batch
from tests.serve.client import RawClient, request_frame
from tests.serve.conftest import RunningServer

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4


@types.coroutine
def others_turn() -> Generator[None, None, None]:
    """Let other tasks run once."""
    yield


def test_bytes_are_taken_in_the_order_of_asking_and_never_too_many() -> None:
    order, taken, most = [], 0, 0

    async def take(budget: ByteBudget, number: int, size: int) -> None:
        nonlocal taken, most
        async with budget.taken(size):
            order.append(number)
            taken += min(size, 100)
            most = max(most, taken)
            await others_turn()
            taken -= min(size, 100)

    async def take_all() -> None:
        budget = ByteBudget(100)
        await asyncio.gather(*(take(budget, number, size) for number, size in enumerate([60, 60, 1000, 10, 10, 100, 30] * 5)))

    asyncio.run(take_all())
    assert order == list(range(35)) and most == 100


def test_a_task_that_is_cancelled_takes_nothing() -> None:
    async def run() -> None:
        budget = ByteBudget(100)
        async with budget.taken(60):
            waiting = asyncio.ensure_future(budget.taken(60).__aenter__())
            await others_turn()
            waiting.cancel()
            await others_turn()
            async with budget.taken(40):
                pass

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_compressed_batch_counts_as_what_it_can_become() -> None:
    def decompressed_bytes_max(codec: int) -> int:
        sent = bytearray(batch([b"a"]))
        sent[22] = codec
        return read_batch(memoryview(sent)).decompressed_bytes_max // len(sent)

    assert [decompressed_bytes_max(codec) for codec in (0, GZIP, SNAPPY, LZ4)] == [0, 1032, 22, 255]
    assert decompressed_bytes_max(ZSTD) > 100_000


def test_a_client_that_leaves_behind_many_requests_is_noticed_although_they_are_not_read(
    log: EventLog, server: RunningServer
) -> None:
    with RawClient(server.address) as client:
        client.send_fetch("events", 0, max_wait_ms=24 * 3600 * 1000)
        frames = request_frame("Metadata", 9, kind("MetadataRequest")(topics=[])) * 3000
        client.socket.sendall(frames)  # more than is read, and less than the kernel keeps
    while server.run(_connection_count(server)):
        continue


async def _connection_count(server: RunningServer) -> int:
    return server.server.connection_count
