"""The thread that appends what has waited long enough."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue

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
        # Queues, because an interrupt inside threading.Event would leave its lock behind.
        self._notes: SimpleQueue[None] = SimpleQueue()
        self._stops: SimpleQueue[None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="eventlog-lingerer", daemon=True)
        self._thread.start()

    def note(self) -> None:
        """There is something waiting."""
        if self._notes.empty():  # else the thread has yet to take one out, and to look after that
            self._notes.put(None)

    def _run(self) -> None:
        while True:
            self._notes.get()
            try:
                return self._stops.get(timeout=self._linger_s)
            except Empty:
                self._append_all()

    def _append_all(self) -> None:
        for lane in self._lanes():
            try:
                lane.append_waiting()
            except TopicNotFoundError as error:
                self._note_loss(error)
            except EventLogError:
                # It goes on waiting; `send`, `flush`, `close` and the receipts raise what is wrong.
                self.note()

    def stop(self) -> None:
        """End the thread."""
        self._stops.put(None)
        self._notes.put(None)
        self._thread.join()
