"""Fetches that wait for records.

An append of this server wakes them directly. Those of other processes ring a bell, on which a thread sleeps that writes to an
eventfd of the loop. It does that in native code: a thread that needed the interpreter's lock would get it late, and would keep
the loop waiting.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress

from eventlog.errors import StoreClosedError
from eventlog.storage.partition.log import PartitionLog
from eventlog.waiting import Flag, Signals, Sleepers, WaitSet

_CHECK_SECONDS = 1.0

_Woken = asyncio.Future[None]


class WaitingFetches:
    """For one event loop."""

    def __init__(self, signals: Signals) -> None:
        self._sleepers: Sleepers[_Woken] = Sleepers(signals)
        self._by_partition: dict[tuple[str, int], set[_Woken]] = {}
        self._is_over = Flag(signals)
        self._thread: threading.Thread | None = None
        self._event = -1
        self._is_stopped = False

    async def wait(self, awaited: list[tuple[PartitionLog, int]], seconds: float) -> None:
        """Sleep until one of the partitions may have a record or a marker at its offset, or for some time, but at most for a
        second: then the caller checks again. Raises `StoreClosedError` if the server stops."""
        self._start()
        loop = asyncio.get_running_loop()
        woken, wait_set = loop.create_future(), WaitSet()
        for log, offset in awaited:
            wait_set.add_record(log.head, offset, durable=False)
        for log, _ in awaited:
            self._by_partition.setdefault((log.topic, log.partition), set()).add(woken)
        number = self._sleepers.add(woken, wait_set)
        timer = loop.call_later(min(seconds, _CHECK_SECONDS), _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()
            self._sleepers.remove(number)
            for log, _ in awaited:
                self._leave((log.topic, log.partition), woken)
        self._check_not_stopped()

    def _leave(self, partition: tuple[str, int], woken: _Woken) -> None:
        waiting = self._by_partition.get(partition, set())
        waiting.discard(woken)
        if not waiting:
            self._by_partition.pop(partition, None)

    @property
    def are_any(self) -> bool:
        """Does any fetch wait?"""
        return bool(self._by_partition)

    def appended(self, topic: str, partition: int) -> None:
        """Wake those that wait for the partition."""
        for woken in self._by_partition.get((topic, partition), ()):
            _wake(woken)

    def _check_not_stopped(self) -> None:
        if self._is_stopped:
            raise StoreClosedError("the server stops")

    def _start(self) -> None:
        self._check_not_stopped()
        if self._thread is None:
            self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            asyncio.get_running_loop().add_reader(self._event, self._wake_due)
            forward = self._sleepers.forward
            self._thread = threading.Thread(
                target=forward, args=(self._event, self._is_over), name="eventlog-bell", daemon=True
            )
            self._thread.start()

    def _wake_due(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._event)
        while due := self._sleepers.due_now():
            for woken in due:
                _wake(woken)

    def stop(self) -> None:
        """Wake all a last time, and end the thread. To be called on the event loop; a second call does nothing."""
        self._is_stopped = True
        for woken in self._sleepers.everybody():
            _wake(woken)
        thread, self._thread = self._thread, None
        if thread is not None:
            self._is_over.raise_()
            self._sleepers.wake()
            thread.join()
            asyncio.get_running_loop().remove_reader(self._event)
            os.close(self._event)


def _wake(woken: _Woken) -> None:
    if not woken.done():
        woken.set_result(None)
