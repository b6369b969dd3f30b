"""Calls of an asyncio consumer that are cancelled while a thread does what they have begun."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import eventlog.aio
from eventlog import RebalanceListener, TopicPartition

TURNS = 10  # of the event loop, at least: more than a call needs to come to where it waits


class Blocking(RebalanceListener):
    """Keeps the thread that joins the group until it is told."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        self.has_begun.set()
        self.may_end.wait()


async def let_others_run() -> None:
    for _ in range(TURNS):
        await asyncio.to_thread(bool)


def test_two_polls_that_are_cancelled_in_a_row_do_not_keep_the_third_from_the_records(tmp_path: Path) -> None:
    listener = Blocking()

    async def run() -> list[bytes | None]:
        async with eventlog.aio.open(tmp_path / "store") as log:
            await log.create_topic("events")
            async with log.producer() as producer:
                await producer.send("events", b"one")
            consumer = log.consumer("events", group="billing", auto_offset_reset="earliest", listener=listener)
            for _ in range(2):
                cancelled = asyncio.create_task(consumer.poll())
                await asyncio.to_thread(listener.has_begun.wait)
                await let_others_run()
                cancelled.cancel()
                await asyncio.wait([cancelled])
            third = asyncio.create_task(consumer.poll())
            await let_others_run()
            listener.may_end.set()
            values = [record.value for record in await third]
            await consumer.close()
            return values

    try:
        assert asyncio.run(run()) == [b"one"]
    finally:
        listener.may_end.set()
