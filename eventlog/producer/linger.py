"""The thread that appends what has waited long enough."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from eventlog.errors import EventLogError, TopicNotFoundError
from eventlog.producer.lane import Lane


class Lingerer:
    """Appends all waiting records `linger_s` seconds after the first of them came; sleeps while there are none.

    `note_loss` is told what is lost for good."""

    def __init__(
        self, lanes: Callable[[], Iterable[Lane]], linger_s: float, note_loss: Callable[[EventLogError], None]
    ) -> None:
        self._lanes = lanes
        self._linger_s = linger_s
        self._note_loss = note_loss
        self._has_waiting = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="eventlog-lingerer", daemon=True)
        self._thread.start()

    def note(self) -> None:
        """There is something waiting."""
        if not self._has_waiting.is_set():
            self._has_waiting.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._has_waiting.wait()
            self._stopped.wait(self._linger_s)
            self._has_waiting.clear()  # before the look: what comes after it is noted again
            for lane in self._lanes():
                try:
                    lane.append_waiting()
                except TopicNotFoundError as error:
                    self._note_loss(error)
                except EventLogError:
                    # It goes on waiting; `send`, `flush`, `close` and the receipts raise what is wrong.
                    self._has_waiting.set()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._has_waiting.set()
        self._thread.join()
