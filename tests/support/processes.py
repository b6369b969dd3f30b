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
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

import eventlog

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.support.workers", "tests.support.programs"])

REPLY_SECONDS_MAX = 60.0

_STOPPED_OR_GONE = os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT

_ROOT = Path(__file__).parents[2]
_MAIN = "import sys; from tests.support import processes; processes.main(int(sys.argv[1]))"


class WorkerFailed(AssertionError):
    """The function that a worker ran raised; the message is its traceback."""


class Failure:
    """What a worker sends instead of a message when its function raised."""

    def __init__(self, text: str) -> None:
        self.text = text


@cache
def _start_fork_server() -> None:
    """Start it where it finds the `eventlog` that this process has: only in the working directory it looks for what it is to
    import, and says nothing."""
    before = Path.cwd()
    os.chdir(Path(eventlog.__file__).parents[1])
    try:
        forkserver.ensure_running()
    finally:
        os.chdir(before)


def fork(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a process that calls `target(*arguments)`; it ends with the test's."""
    _start_fork_server()
    process = _CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


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
        self.connection, theirs = multiprocessing.Pipe()
        self._process = fork(_run, role, theirs, arguments)
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
        self._process.kill()  # which is nothing to one that has just ended by itself
        self._process.join()

    def stop(self) -> None:
        """SIGSTOP: the process stays where it is, with everything it holds."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: the process goes on."""
        os.kill(self.pid, signal.SIGCONT)

    def join(self) -> None:
        """Wait for the function to return."""
        _ = self.exit_status

    @property
    def exit_status(self) -> int:
        """Of a process that has ended; negative: the signal that killed it."""
        self._process.join(REPLY_SECONDS_MAX)
        assert self._process.exitcode is not None, f"process {self.pid} did not end"
        return self._process.exitcode

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
    for tools that run a program.

    `packages` is the directory whose `eventlog` it imports, `environment` what is added to its environment variables."""

    def __init__(
        self,
        role: Callable[..., None],
        *arguments: Any,
        prefix: Sequence[str] = (),
        packages: Path = _ROOT,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        with theirs:
            self._program = subprocess.Popen(
                [*prefix, sys.executable, "-B", "-c", _MAIN, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=packages,
                env={**os.environ, "PYTHONPATH": str(_ROOT), **(environment or {})},
            )
        self.pid = self._program.pid
        self.send((role, arguments))

    def kill(self) -> None:
        self._program.kill()
        self._program.wait()

    def join(self) -> None:
        self._program.wait(REPLY_SECONDS_MAX)

    def wait_until_stopped(self) -> None:
        """Until something has stopped the process, such as a fault point."""
        deadline = time.monotonic() + REPLY_SECONDS_MAX
        while (state := os.waitid(os.P_PID, self.pid, _STOPPED_OR_GONE)) is None:
            assert time.monotonic() < deadline, f"process {self.pid} was not stopped within {REPLY_SECONDS_MAX} s"
        assert state.si_code == os.CLD_STOPPED, f"process {self.pid} ended before it was stopped: {self.drain()}"

    @property
    def exit_status(self) -> int:
        return self._program.wait(REPLY_SECONDS_MAX)


def main(descriptor: int) -> None:
    """What an `Interpreter` does: run the function that it is sent."""
    connection = Connection(descriptor)
    role, arguments = connection.recv()
    _run(role, connection, arguments)
