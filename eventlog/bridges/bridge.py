"""What ships and collectors have in common: they run until they are told to stop, and return after each lost connection."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any

from eventlog.background import BackgroundThread
from eventlog.bridges.backoff import Backoff
from eventlog.bridges.endpoints import End
from eventlog.bridges.progress import CONNECTING, FAILED, RUNNING, STOPPED, WAITING, BridgeProgress
from eventlog.clock import now_ms
from eventlog.errors import ConnectionLostError, EventLogError, InvalidArgumentError, LockTimeoutError, StoreClosedError
from eventlog.log import Log
from eventlog.options import check_seconds, check_timeout
from eventlog.storage.mapped.bridge_status import BridgeStatusWriter

_SHOW_SECONDS = 1.0
_ATTEND_SECONDS = 0.5  # how often a bridge that waits does what it has to do meanwhile


class Bridge(ABC):
    """Runs once, in the calling thread by `run`, or in a thread of its own by `start` or a `with` block.

    `stop` and `progress` may be called by any thread, `request_stop` also by a signal handler."""

    def __init__(self, log: Log, end: End, progress: BridgeProgress, give_up_after: float | None) -> None:
        self._log = log
        self._end = end
        self._progress = progress
        self._backoff = Backoff(check_seconds("give_up_after", give_up_after))
        self._requests: SimpleQueue[None] = SimpleQueue()  # not an Event, whose lock an interrupt could leave held
        self._is_stopping = False
        self._was_started = False
        self._thread: BackgroundThread | None = None
        self._failure: BaseException | None = None
        self._at_end: Callable[[], object] = lambda: None
        self._status: BridgeStatusWriter | None = None
        self._shown_at = 0.0
        self._is_connected = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._progress.topic} {self._end.label}>"

    # --- for its users ------------------------------------------------------------------------------------

    def run(self, until_idle: float | None = None) -> None:
        """Work until `stop` or, with `until_idle`, until there was nothing to do for so many seconds and everything is settled.

        Raises `BridgeError` if it cannot go on, and what appending and consuming raise. Whatever was not acknowledged then is
        sent, or received, by the next bridge."""
        check_seconds("until_idle", until_idle)
        if self._was_started:
            raise InvalidArgumentError(f"{self!r} has run already: create another one")
        self._was_started = True
        self._note(state=CONNECTING, process_id=os.getpid(), started_ms=now_ms())
        try:
            self._run(until_idle)
        except BaseException as error:
            self._note(state=FAILED, last_error=_text(error))
            raise
        else:
            self._note(state=STOPPED)
        finally:
            if self._status is not None:
                self._status.close()

    def start(self, until_idle: float | None = None) -> None:
        """Work in a thread of this process, as `run` does. Raises `ThreadStartError`."""
        check_seconds("until_idle", until_idle)
        if self._thread is None:
            self._thread = BackgroundThread("eventlog-bridge", lambda: self._run_in_thread(until_idle))
            self._thread.start()

    def call_at_end(self, function: Callable[[], object]) -> None:
        """Call this when the bridge has ended that `start` will begin, in its thread."""
        self._at_end = function

    def request_stop(self) -> None:
        """Let the bridge end once what it has begun is settled, and return at once."""
        self._is_stopping = True
        self._requests.put(None)

    def stop(self, timeout: float | None = None) -> None:
        """End once what was begun is settled, for up to 10 seconds; then wait until the thread has ended, at most `timeout`
        seconds. Raises the error that the thread has ended with, if there was one."""
        self.request_stop()
        self.join(timeout)

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended. Raises the error that it has ended with, if there was one."""
        check_timeout(timeout)
        if self._thread is not None:
            self._thread.join(timeout)
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure

    @property
    def is_alive(self) -> bool:
        """Is its thread still there?"""
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_running(self) -> bool:
        """Has it begun, and not ended?"""
        return self._progress.state in (CONNECTING, RUNNING, WAITING)

    def progress(self) -> BridgeProgress:
        """How far the bridge is, and how it does."""
        return self._progress._replace(**self._figures()) if self.is_running else self._progress

    def __enter__(self: Any) -> Any:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.stop()
        else:
            with suppress(EventLogError):
                self.stop()

    def close_with_store(self, timeout: float) -> None:
        """Stop before the store is closed; what goes wrong meanwhile is in `progress`."""
        with suppress(EventLogError):
            self.stop(timeout)

    # --- for ships and collectors -------------------------------------------------------------------------

    @abstractmethod
    def _prepare(self) -> None:
        """Begin, before the first connection."""

    @abstractmethod
    def _connected(self) -> None:
        """The other end is open, again or for the first time."""

    @abstractmethod
    def _work(self, until_idle: float | None) -> None:
        """Work until the bridge is to stop or has been idle for long enough. Raises `ConnectionLostError`."""

    @abstractmethod
    def _attend(self) -> None:
        """Called while the bridge waits for the next attempt."""

    @abstractmethod
    def _finish(self) -> None:
        """Settle what can be settled, and release everything."""

    @abstractmethod
    def _figures(self) -> Mapping[str, Any]:
        """The fields of the progress that only this kind of bridge knows."""

    def _succeeded(self) -> None:
        """Something got through."""
        self._backoff.succeeded()

    @property
    def _is_show_due(self) -> bool:
        return time.monotonic() - self._shown_at >= _SHOW_SECONDS

    def _show(self) -> None:
        """Let others see the progress, at most once a second."""
        if self._is_show_due:
            self._note()

    def _note(self, **fields: Any) -> None:
        self._shown_at = time.monotonic()
        self._progress = self._progress._replace(**{**self._figures(), "system": self._end.system, **fields})
        if self._status is not None:
            self._status.write(self._progress._asdict())

    # --- its life -----------------------------------------------------------------------------------------

    def _run_in_thread(self, until_idle: float | None) -> None:
        try:
            self.run(until_idle)
        except BaseException as error:
            self._failure = error
        finally:
            self._at_end()

    def _run(self, until_idle: float | None) -> None:
        try:
            self._status = BridgeStatusWriter(self._log.store.path)
            self._prepare()
            while not self._is_stopping and not self._works(until_idle):
                pass
        except StoreClosedError:  # somebody closes the store, and waits for this bridge
            self._is_stopping = True
        finally:
            try:
                self._finish()
            finally:
                self._disconnect()

    def _works(self, until_idle: float | None) -> bool:
        """One connection; False if it was lost and the bridge has waited to try again."""
        connected_at = None
        try:
            self._end.open()
            connected_at = time.monotonic()
            self._is_connected = True
            self._connected()
            self._note(state=RUNNING)
            self._work(until_idle)
            return True
        except (ConnectionLostError, LockTimeoutError) as error:
            # A lock, too, is free again once the process that holds it goes on, or is gone.
            if connected_at is not None:
                self._backoff.ended(time.monotonic() - connected_at)
            self._disconnect()
            self._note(state=WAITING, last_error=_text(error), reconnects=self._progress.reconnects + 1)
            self._wait(self._backoff.next_pause(error))
            self._note(state=CONNECTING)
            return False

    def _disconnect(self) -> None:
        self._is_connected = False
        self._end.close()

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._is_stopping and (left := deadline - time.monotonic()) > 0:
            with suppress(Empty):
                self._requests.get(timeout=min(left, _ATTEND_SECONDS))
            with suppress(LockTimeoutError):  # the process that holds it may go on before the next attempt
                self._attend()
            self._show()


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
