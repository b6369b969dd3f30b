"""eventlog for asyncio: the same names, awaited.

    async with eventlog.aio.open("shop") as log:
        async with log.consumer("orders", group="billing") as consumer:
            async for record in consumer:
                ...
                await consumer.commit()

In each store, one thread waits for all tasks; a waiting task has no thread of its own. An append, a send or a commit is done
immediately if it need not wait. If it has to wait for another process, the disk or a new segment, it runs in the event loop's
default executor, as does everything that takes long (a synced commit, a flush, joining a group). A task whose calls never wait
lets other tasks run at intervals. Cancelling a task loses no record and breaks no handle.

`ship`, `collect` and `mirror` give bridges, which work in threads of their own, and `serve` a server. Both are started, and
stopped, with `async with`:

    async with log.ship("orders", "amqp://localhost/%2F?queue=orders", group="to-rabbit") as bridge:
        ...

What is not awaited runs in the event loop: properties, `read`, `seek` and similar calls, which may wait for the disk, and
`open` itself, which can be awaited as `await asyncio.to_thread(eventlog.aio.open, path)`.
"""

from __future__ import annotations

from eventlog.aio.bridge import AsyncBridge, AsyncMirror
from eventlog.aio.consumer import AsyncConsumer
from eventlog.aio.log import AsyncEventLog, open
from eventlog.aio.partition import AsyncPartition
from eventlog.aio.producer import AsyncProducer, AsyncReceipt, AsyncTransactionalProducer

__all__ = [
    "AsyncBridge",
    "AsyncConsumer",
    "AsyncEventLog",
    "AsyncMirror",
    "AsyncPartition",
    "AsyncProducer",
    "AsyncReceipt",
    "AsyncTransactionalProducer",
    "open",
]
