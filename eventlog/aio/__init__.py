"""eventlog for asyncio: the same names, awaited.

    async with eventlog.aio.open("shop") as log:
        async with log.consumer("orders", group="billing") as consumer:
            async for record in consumer:
                ...
                await consumer.commit()

Every method of `EventLog`, `Partition`, `Producer`, `Consumer` and `Group` is there, with the same arguments. What may have to
wait, or reads the log, is awaited; `values`, `records`, `columns` and `search` are read with `async for`. Not awaited are
properties, what only changes the state of a consumer in memory (`subscribe`, `pause`, `stop` and the like), and what returns a
handle: `partition`, `group`, `producer`, `consumer`, `serve` and bridges. `open` returns a store that `async with`, or `await`,
opens.

In each store, one thread waits for all tasks; a waiting task has no thread of its own. An append, a send or a commit is done
immediately if it need not wait. If it has to wait for another process, the disk or a new segment, it runs in the event loop's
default executor, as does everything that takes long (a synced commit, a flush, a scan, joining a group). A task whose calls
never wait lets other tasks run at intervals. Cancelling a task loses no record and breaks no handle.

`ship`, `collect` and `mirror` give bridges, which work in threads of their own, and `serve` a server. Both are started, and
stopped, with `async with`:

    async with log.ship("orders", "amqp://localhost/%2F?queue=orders", group="to-rabbit") as bridge:
        ...
"""

from __future__ import annotations

from eventlog.aio.bridge import AsyncBridge, AsyncMirror
from eventlog.aio.consumer import AsyncConsumer, AsyncDeserializingConsumer
from eventlog.aio.group import AsyncGroup
from eventlog.aio.log import AsyncEventLog, open
from eventlog.aio.partition import AsyncPartition
from eventlog.aio.producer import AsyncNamedProducer, AsyncProducer, AsyncReceipt, AsyncTransactionalProducer
from eventlog.aio.server import AsyncServer

__all__ = [
    "AsyncBridge",
    "AsyncConsumer",
    "AsyncDeserializingConsumer",
    "AsyncEventLog",
    "AsyncGroup",
    "AsyncMirror",
    "AsyncNamedProducer",
    "AsyncPartition",
    "AsyncProducer",
    "AsyncReceipt",
    "AsyncServer",
    "AsyncTransactionalProducer",
    "open",
]
