"""Waiting for records in several partitions at once, and for the reader of our output to go away."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventlog import Partition

# How long the end of a waiting thread may take. It delays no record: those end the wait at once.
_STOP_CHECK_SECONDS = 0.5


class Follower:
    """Yields each partition in which records stand at or behind the offset that the caller has come to.

    One thread a partition waits; the caller waits for them all, and for standard output to be closed, in one
    poll. That call is where Ctrl-C arrives, too. A context manager: leaving it ends the threads.
    """

    def __init__(self, positions: dict[Partition, int]) -> None:
        self._positions = positions
        self._ready: deque[_Waiter] = deque()
        self._signal = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._waiters = [_Waiter(partition, self._ready, self._signal) for partition in positions]

    def __enter__(self) -> Follower:
        for waiter in self._waiters:
            waiter.start()
            waiter.wait_for(self._positions[waiter.partition])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for waiter in self._waiters:
            waiter.stop()
        for waiter in self._waiters:
            waiter.join()
        os.close(self._signal)

    def ready(self) -> Iterator[Partition]:
        """Endless. The caller moves positions[partition] on before it asks for the next.

        Raises BrokenPipeError when nobody can read standard output any more, and what a wait has raised.
        """
        poller = select.poll()
        poller.register(self._signal, select.POLLIN)
        poller.register(1, 0)  # Errors and hang-ups are reported unasked.
        while True:
            for descriptor, _ in poller.poll():
                if descriptor == 1:
                    raise BrokenPipeError
            os.eventfd_read(self._signal)
            while self._ready:
                waiter = self._ready.popleft()
                if waiter.error is not None:
                    raise waiter.error
                yield waiter.partition
                waiter.wait_for(self._positions[waiter.partition])


class _Waiter(threading.Thread):
    """Waits for one partition to pass an offset, says so, and sleeps until it is given the next offset."""

    def __init__(self, partition: Partition, ready: deque[_Waiter], signal: int) -> None:
        super().__init__(name=f"follow-{partition.topic}-{partition.partition}", daemon=True)
        self.partition = partition
        self.error: Exception | None = None
        self._ready = ready
        self._signal = signal
        self._offset = 0
        self._go = threading.Event()
        self._stopped = False

    def wait_for(self, offset: int) -> None:
        self._offset = offset
        self._go.set()

    def stop(self) -> None:
        self._stopped = True
        self._go.set()

    def run(self) -> None:
        while True:
            self._go.wait()
            self._go.clear()
            try:
                while not self._stopped and not self.partition.wait(self._offset, _STOP_CHECK_SECONDS):
                    pass
            except Exception as error:
                self.error = error
            if self._stopped:
                return
            self._ready.append(self)
            os.eventfd_write(self._signal, 1)
