"""Running `eventlog` on a real store: forked, which is quick, or as a program with a start of its own where it matters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, CompletedProcess
from typing import Any

from tests.support import programs

PROGRAM = Path(sys.executable).with_name("eventlog")
SECONDS_MAX = programs.SECONDS_MAX


def environment_without_store() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "EVENTLOG_STORE"}


class CommandLine:
    """Runs `eventlog` with one store."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._started: list[subprocess.Popen[bytes]] = []

    def environment(self) -> dict[str, str]:
        return {**os.environ, "EVENTLOG_STORE": str(self.store)}

    def run(self, *arguments: str | bytes | Path, stdin: bytes = b"", stdout: int | None = None) -> CompletedProcess[bytes]:
        """Run to the end, whatever the status; with `stdout` standard output is this descriptor."""
        return programs.run(arguments, self.environment(), stdin, stdout)

    def output(self, *arguments: str | Path, stdin: bytes = b"") -> str:
        """What a command that has to succeed prints."""
        done = self.run(*arguments, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout.decode()

    def objects(self, *arguments: str | Path, stdin: bytes = b"") -> list[dict[str, Any]]:
        """The JSON Lines that a command that has to succeed prints."""
        return [json.loads(line) for line in self.output(*arguments, stdin=stdin).splitlines()]

    def error(self, *arguments: str | Path, stdin: bytes = b"", status: int = 1) -> str:
        """The one line that a failing command says."""
        done = self.run(*arguments, stdin=stdin)
        assert_one_error(done.returncode, done.stderr, status)
        return done.stderr.decode().removeprefix("eventlog: ").rstrip("\n")

    def run_program(self, *arguments: str | Path, **options: Any) -> CompletedProcess[bytes]:
        """Run the program that is installed to the end; options as `subprocess.run` takes them."""
        options = {"env": self.environment(), "stdout": PIPE, "stderr": PIPE, "timeout": SECONDS_MAX, **options}
        return subprocess.run([PROGRAM, *arguments], **options)

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start the program with pipes for all its streams; it is killed when the test ends."""
        process = subprocess.Popen(
            [PROGRAM, *arguments],
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=self.environment(),
            # A pipe that the test does not flush would hide whether the command is prompt.
            bufsize=0,
        )
        self._started.append(process)
        return process

    def kill_all(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def assert_one_error(status: int, stderr: bytes, expected_status: int) -> None:
    """One line that begins with the program's name, no traceback, and the status."""
    text = stderr.decode()
    assert status == expected_status, text
    assert text.startswith("eventlog: ") and text.endswith("\n") and text.count("\n") == 1, text
    assert not text.startswith("eventlog: unexpected "), text


@contextmanager
def closed_pipe() -> Iterator[int]:
    """The end to write to of a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)
