"""Threads that maintain a store for as long as it is open."""

from __future__ import annotations

import threading
from collections.abc import Callable

from eventlog.errors import ThreadStartError


class BackgroundThread(threading.Thread):
    """A thread of the library. It is a daemon, so that it never prevents a program from ending."""

    def __init__(self, name: str, target: Callable[[], object] | None = None) -> None:
        super().__init__(name=name, target=target, daemon=True)

    def start(self) -> None:
        """Start the thread. Raises `ThreadStartError` if the system allows this process no more threads."""
        try:
            super().start()
        except (RuntimeError, KeyError) as error:
            if "start new thread" in str(error):
                raise ThreadStartError(
                    f"the thread {self.name} cannot be started: {error}; raise the limit on processes (ulimit -u, pids.max)"
                ) from error
            # An interrupt came as the thread started: `threading` fails on it with an error that hides it.
            raise (error.__context__ or error) from None
