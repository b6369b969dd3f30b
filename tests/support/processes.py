"""Real processes for tests: start one that runs a function, hear from it, kill it, stop it.

A `Worker` comes from a fork server that has imported eventlog but opened nothing, so that it starts in milliseconds and
inherits no handle, thread or lock from the test. An `Interpreter` is started from scratch and shares nothing at all.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["eventlog", "tests.support.workers"])

REPLY_SECONDS_MAX = 60.0

_ROOT = Path(__file__).parents[2]
_MAIN = "import sys; from tests.support import processes; processes.main(int(sys.argv[1]))"


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
            except (EOFError, OSError):  # OSError: it was killed in the middle of a message
                return messages

    def send(self, message: Any) -> None:
        self.connection.send(message)

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        if self._process.is_alive():
            with suppress(ProcessLookupError):  # it ends by itself at this moment
                os.kill(self.pid, signal.SIGKILL)
        self._process.join()

    def stop(self) -> None:
        """SIGSTOP: the process stays where it is, with everything it holds."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: the process goes on."""
        os.kill(self.pid, signal.SIGCONT)

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


class Interpreter(Worker):
    """A worker that is a Python interpreter of its own, started by a command line; `prefix` is put before that,
    for tools that run a program."""

    def __init__(self, role: Callable[..., None], *arguments: Any, prefix: Sequence[str] = ()) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        with theirs:
            self._program = subprocess.Popen(
                [*prefix, sys.executable, "-B", "-c", _MAIN, str(theirs.fileno())], pass_fds=[theirs.fileno()], cwd=_ROOT
            )
        self.pid = self._program.pid
        self.send((role, arguments))

    def kill(self) -> None:
        self._program.kill()
        self._program.wait()

    def join(self) -> None:
        self._program.wait(REPLY_SECONDS_MAX)

    @property
    def exit_status(self) -> int:
        """Of a process that has ended; negative: the signal that killed it."""
        return self._program.wait(REPLY_SECONDS_MAX)


def main(descriptor: int) -> None:
    """What an `Interpreter` does: run the function that it is sent."""
    connection = Connection(descriptor)
    role, arguments = connection.recv()
    _run(role, connection, arguments)
