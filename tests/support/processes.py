"""Real processes for tests: start one that runs a function, hear from it, kill it, stop it.

Processes come from a fork server that has imported eventlog but opened nothing, so that they start in milliseconds and
inherit no handle, thread or lock from the test.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["eventlog", "tests.support.workers"])

REPLY_SECONDS_MAX = 60.0


class WorkerFailed(AssertionError):
    """The function that a worker ran raised; the message is its traceback."""


class Failure:
    """What a worker sends instead of a message when its function raised."""

    def __init__(self, text: str) -> None:
        self.text = text


def _run(role: Callable[..., None], connection: Connection, arguments: tuple[Any, ...]) -> None:
    try:
        role(connection, *arguments)
    except BaseException:
        connection.send(Failure(traceback.format_exc()))
    finally:
        connection.close()


class Worker:
    """A process that runs `role(connection, *arguments)`; killed when its block ends."""

    def __init__(self, role: Callable[..., None], *arguments: Any) -> None:
        self.connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_run, args=(role, theirs, arguments), daemon=True)
        self._process.start()
        theirs.close()
        pid = self._process.pid
        assert pid is not None
        self.pid: int = pid

    def receive(self) -> Any:
        """The next message. Raises `EOFError` when the process is gone and `WorkerFailed` when its function raised."""
        if not self.connection.poll(REPLY_SECONDS_MAX):
            raise WorkerFailed(f"process {self.pid} said nothing for {REPLY_SECONDS_MAX} s")
        return self._checked(self.connection.recv())

    def drain(self) -> list[Any]:
        """What a finished or killed process said and nobody has read yet."""
        messages = []
        while True:
            try:
                messages.append(self._checked(self.connection.recv()))
            except (EOFError, ConnectionResetError):
                return messages

    def send(self, message: Any) -> None:
        self.connection.send(message)

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        if self._process.is_alive():
            os.kill(self.pid, signal.SIGKILL)
        self._process.join()

    def stop(self) -> None:
        """SIGSTOP: the process stays where it is, with everything it holds."""
        os.kill(self.pid, signal.SIGSTOP)

    def join(self) -> None:
        """Wait for the function to return."""
        self._process.join(REPLY_SECONDS_MAX)
        assert self._process.exitcode is not None, f"process {self.pid} did not end"

    def _checked(self, message: Any) -> Any:
        if isinstance(message, Failure):
            raise WorkerFailed(message.text)
        return message

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        self.connection.close()
