"""A server with several workers, which tests kill one after the other."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.cli.command_line import CommandLine

WORKERS = 3
STOP_SECONDS_MAX = 60


class Served:
    """The program of several workers that serves a store."""

    def __init__(self, store: Path, partitions: int) -> None:
        self._program = CommandLine(store).start(
            "serve", "--listen", "127.0.0.1:0", "--workers", str(WORKERS), "--partitions", str(partitions), "--json"
        )
        assert self._program.stdout is not None
        self.bootstrap: str = json.loads(self._program.stdout.readline())["bootstrap"]
        self.store = store

    def kill_one(self, number: int) -> None:
        """SIGKILL to a worker; nothing if all of them have just been killed."""
        pid = self._program.pid
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if workers:
            os.kill(int(workers[number % len(workers)]), signal.SIGKILL)

    def stop(self) -> None:
        self._program.terminate()
        assert self._program.wait(STOP_SECONDS_MAX) == 0
