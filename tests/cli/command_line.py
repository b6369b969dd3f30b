"""Running the real `eventlog` program on a real store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).with_name("eventlog")
SECONDS_MAX = 60.0


class CommandLine:
    """Runs `eventlog` with one store."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._started: list[subprocess.Popen[bytes]] = []

    def environment(self) -> dict[str, str]:
        return {**os.environ, "EVENTLOG_STORE": str(self.store)}

    def run(self, *arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run to the end, whatever the status."""
        return subprocess.run(
            [PROGRAM, *arguments], input=stdin, capture_output=True, env=self.environment(), timeout=SECONDS_MAX
        )

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

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start a command with pipes for all its streams; it is killed when the test ends."""
        process = subprocess.Popen(
            [PROGRAM, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
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
