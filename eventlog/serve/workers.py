"""Several server processes of one store: a parent that starts them, replaces those that are killed, and ends with them.

The parent opens nothing and has one thread, so that it can fork at any time. A worker holds the reading end of a pipe whose
writing end only the parent has: it ends when the parent does, even if that was killed.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

_SIGNALS = {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM}
_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.0, 10.0  # before a killed worker is started again
_STEADY_SECONDS = 10.0  # after which a worker that is killed is started again without a pause

PORT_IN_USE = os.EX_TEMPFAIL
"""The status of a worker that was started again, and cannot listen where it did because another program uses its port."""

log = logging.getLogger("eventlog.serve")

Address = tuple[str, int]


class Worker(NamedTuple):
    """What a worker knows of itself: its number, counted from 0, and where it listened before it was killed.

    The descriptor `parent` can be read, and is at its end, once the parent has ended; None: there is none. `ready` is to be
    called with the address."""

    number: int
    address: Address | None
    parent: int | None
    ready: Callable[[Address], None]


class _Process:
    """The parent's view of one worker."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.id = 0  # of the process; 0: it does not run
        self.address: Address | None = None
        self.started_at = 0.0
        self.start_at = 0.0  # when it is to be started, if it does not run
        self.pause_seconds = _PAUSE_SECONDS_MIN


class _IsWorker(Exception):
    """Leaves the parent's loop in a process that it has forked."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker


def start_workers(count: int, ready: Callable[[list[Address]], None]) -> Worker | None:
    """Start `count` workers, in each of which this returns. The parent calls `ready` with their addresses once all of them are
    ready. There it returns None once all have ended, after SIGINT or SIGTERM. If one has ended by itself, it raises
    `SystemExit` with its status."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    parent = _Parent([_Process(number) for number in range(count)])
    gc.freeze()  # collections in a worker would copy the pages that it shares with the others
    try:
        status = parent.run(ready)
    except _IsWorker as found:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return found.worker
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if status:
        raise SystemExit(status)
    return None


class _Parent:
    def __init__(self, workers: list[_Process]) -> None:
        self._workers = workers
        self._alive_reader, self._alive_writer = os.pipe()

    def run(self, ready: Callable[[list[Address]], None]) -> int:
        """Supervise the workers, and return the status to exit with."""
        readers = [self._start(worker) for worker in self._workers]
        for worker, reader in zip(self._workers, readers, strict=True):
            with os.fdopen(reader, "rb") as file:
                told = file.readline()
            if not told:
                return self._stop(self._status_of(worker))
            worker.address = tuple(json.loads(told))
        ready([worker.address for worker in self._workers if worker.address is not None])
        while True:
            received = signal.sigtimedwait(_SIGNALS, self._pause())
            if received is not None and received.si_signo != signal.SIGCHLD:
                return self._stop(0)
            status = self._check()
            if status is not None:
                return self._stop(status)

    def _pause(self) -> float:
        """The seconds until a worker is to be started; much longer than a signal may be late, if none is."""
        times = [worker.start_at for worker in self._workers if not worker.id]
        return max(0.0, min(times, default=time.monotonic() + 60) - time.monotonic())

    def _check(self) -> int | None:
        """Start workers again that were killed, or that have found their port in use. Returns the status of a worker that has
        ended otherwise."""
        for worker in self._workers:
            if worker.id:
                id, status = os.waitpid(worker.id, os.WNOHANG)
                if id and os.WIFSIGNALED(status):
                    self._ended(worker, f"was killed by signal {os.WTERMSIG(status)}")
                elif id and os.WEXITSTATUS(status) == PORT_IN_USE:
                    self._ended(worker, "cannot listen, because another program uses its port")
                elif id:
                    worker.id = 0
                    return os.waitstatus_to_exitcode(status)
            if not worker.id and time.monotonic() >= worker.start_at:
                os.close(self._start(worker))
        return None

    def _ended(self, worker: _Process, reason: str) -> None:
        is_steady = time.monotonic() - worker.started_at >= _STEADY_SECONDS
        worker.id, pause = 0, _PAUSE_SECONDS_MIN if is_steady else worker.pause_seconds
        worker.start_at = time.monotonic() + pause
        worker.pause_seconds = min(_PAUSE_SECONDS_MAX, 2 * pause or 0.1)
        log.error("worker %d %s, and is started again", worker.number + 1, reason)

    def _start(self, worker: _Process) -> int:
        """Start a worker, and return a pipe from which its address can be read. Raises `_IsWorker` in the worker."""
        reader, writer = os.pipe()
        worker.started_at = time.monotonic()
        worker.id = os.fork()
        if worker.id:
            os.close(writer)
            return reader
        os.close(self._alive_writer)
        os.close(reader)

        def ready(address: Address) -> None:
            with suppress(BrokenPipeError), os.fdopen(writer, "wb") as file:
                file.write(json.dumps(address).encode() + b"\n")

        raise _IsWorker(Worker(worker.number, worker.address, self._alive_reader, ready))

    def _status_of(self, worker: _Process) -> int:
        _, status = os.waitpid(worker.id, 0)
        worker.id = 0
        if os.WIFSIGNALED(status):
            return 0 if os.WTERMSIG(status) == signal.SIGTERM else 1  # it had not begun to handle the signal
        return os.WEXITSTATUS(status)

    def _stop(self, status: int) -> int:
        """End all workers, and return the status."""
        for worker in self._workers:
            if worker.id:
                os.kill(worker.id, signal.SIGTERM)
        statuses = [self._status_of(worker) for worker in self._workers if worker.id]
        return status or max(statuses, default=0)
