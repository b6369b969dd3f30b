"""eventlog for asyncio: the same names, awaited.

    async with eventlog.aio.open("shop") as log:
        async with log.consumer("orders", group="billing") as consumer:
            async for record in consumer:
                ...
                await consumer.commit()

One thread a store waits for all tasks; tasks that wait have no thread of their own. What can take long because of the disk
(a synced commit, a flush, joining a group) runs in the event loop's default executor. Cancelling a task loses no record and
breaks no handle.
"""

from __future__ import annotations

from eventlog.aio.consumer import AsyncConsumer
from eventlog.aio.log import AsyncEventLog, open
from eventlog.aio.partition import AsyncPartition
from eventlog.aio.producer import AsyncProducer, AsyncReceipt

__all__ = ["AsyncConsumer", "AsyncEventLog", "AsyncPartition", "AsyncProducer", "AsyncReceipt", "open"]
