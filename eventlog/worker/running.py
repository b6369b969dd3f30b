"""Calling a function with each job, in several threads, and renewing the locks of those that take long."""

from __future__ import annotations

import functools
from collections.abc import Callable
from queue import Empty, SimpleQueue

from eventlog.background import BackgroundThread
from eventlog.errors import EventLogError, StaleMemberError
from eventlog.logs import logger
from eventlog.worker.core import WorkerCore
from eventlog.worker.job import Job

_log = logger("worker")


class Runner:
    """Runs until the worker is stopped, or a thread cannot go on."""

    def __init__(self, core: WorkerCore, function: Callable[[Job], object]) -> None:
        self._core = core
        self._function = function
        self._in_hand: dict[int, Job] = {}
        self._ends: SimpleQueue[BaseException | None] = SimpleQueue()

    def run(self, threads: int) -> None:
        """As `Worker.run`."""
        running = 0
        failure: BaseException | None = None
        try:
            for number in range(threads):
                BackgroundThread(f"eventlog-worker-{number}", functools.partial(self._work, number)).start()
                running += 1
            while running and failure is None:
                failure = self._await_end()
                running -= 1
        finally:
            self._core.stop()
            while running:
                failure = self._await_end() or failure
                running -= 1
        if failure is not None:
            raise failure

    def _await_end(self) -> BaseException | None:
        """Wait until a thread ends, and renew meanwhile; returns what has ended it."""
        interval = self._core.config.limits.lock_ms / 3000
        while True:
            try:
                return self._ends.get(timeout=interval)
            except Empty:
                self._renew()

    def _renew(self) -> None:
        for job in list(self._in_hand.values()):
            try:
                job.renew()
            except StaleMemberError:
                continue  # it is just being settled, or was taken away: settling it says so
            except EventLogError as error:
                _log.warning("%s: a lock cannot be renewed: %s", self._core.name, error)

    def _work(self, number: int) -> None:
        failure: BaseException | None = None
        try:
            for job in self._core.jobs():
                self._in_hand[number] = job
                try:
                    self._do(job)
                finally:
                    del self._in_hand[number]
        except BaseException as error:
            failure = error
        finally:
            self._ends.put(failure)

    def _do(self, job: Job) -> None:
        try:
            with job:
                self._function(job)
        except StaleMemberError as error:
            _log.warning("group %s: %s/%d, offset %d: done too late: %s", self._core.group, *job[:3], error)
        except Exception as error:
            _log.warning(
                "group %s: %s/%d, offset %d: delivery %d failed: %s: %s",
                self._core.group, *job[:3], job.delivery_count, type(error).__name__, error,
            )  # fmt: skip
