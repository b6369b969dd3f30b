"""Starting a server of one's own in a directory of its own, and stopping it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_READY_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 60.0
_LOOK_SECONDS = 0.05


@contextmanager
def running(
    command: Sequence[str], directory: Path, look: Callable[[], object], environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a server as long as the block lasts; it is ready once `look` does not raise `OSError` any more.

    It is a process group of its own, because a server may be a script that starts others."""
    directory.mkdir(parents=True)
    output = directory / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, cwd=directory, env={**os.environ, **(environment or {})}, start_new_session=True
        )
    try:
        deadline = time.monotonic() + _READY_SECONDS_MAX
        while True:
            try:
                look()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError(f"{command[0]} did not start:\n{output.read_text('utf-8')[-3000:]}") from None
                time.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS_MAX)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def connect(port: int) -> None:
    """Connect to a port of this machine and hang up. Raises `OSError` when nobody listens."""
    socket.create_connection(("127.0.0.1", port), timeout=1).close()


def connect_unix(path: str) -> None:
    """The same for a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def version_in(*command: str) -> str:
    """The first version number that a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    versions: list[str] = re.findall(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return versions[0]
