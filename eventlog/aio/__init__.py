"""eventlog for asyncio: the same names, awaited.

    async with eventlog.aio.open("shop") as log:
        async with log.consumer("orders", group="billing") as consumer:
            async for record in consumer:
                ...
                await consumer.commit()

One thread a store waits for all tasks; tasks that wait have no thread of their own. An append, a send or a commit is done at
once where nobody has to be waited for; where it would wait, for another process, the disk or a new segment, it runs in the
event loop's default executor, as everything does that takes long (a synced commit, a flush, joining a group). Tasks that only
call what is done at once let the others run again and again. Cancelling a task loses no record and breaks no handle.

What is not awaited runs in the event loop: properties, `read`, `seek` and the like, which may wait for the disk, and
`open` itself, for which there is `await asyncio.to_thread(eventlog.aio.open, path)`.
"""

from __future__ import annotations

from eventlog.aio.consumer import AsyncConsumer
from eventlog.aio.log import AsyncEventLog, open
from eventlog.aio.partition import AsyncPartition
from eventlog.aio.producer import AsyncProducer, AsyncReceipt

__all__ = ["AsyncConsumer", "AsyncEventLog", "AsyncPartition", "AsyncProducer", "AsyncReceipt", "open"]
