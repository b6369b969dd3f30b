"""The thread that appends records that have waited long enough."""

from __future__ import annotations

import functools
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue

from eventlog.background import BackgroundThread
from eventlog.errors import EventLogError, TopicNotFoundError
from eventlog.logs import logger
from eventlog.producer.partition_sender import PartitionSender

_log = logger("producer")

_RETRY_SECONDS = 1.0


class Lingerer:
    """Appends all waiting records `linger_s` seconds after the first of them arrived; sleeps while no record waits.

    If an append fails, the records keep waiting, and it is retried once a second: `send`, `flush`, `close` and the receipts
    raise the error. `note_loss` is called with the errors of records that are lost for good."""

    def __init__(
        self, senders: Callable[[], Iterable[PartitionSender]], linger_s: float, note_loss: Callable[[EventLogError], None]
    ) -> None:
        self._senders = senders
        self._linger_s = linger_s
        self._note_loss = note_loss
        self._retries: dict[PartitionSender, float] = {}  # when senders that have failed are due again, by time.monotonic
        # Queues, because an interrupt inside threading.Event would leave its lock behind.
        self._notes: SimpleQueue[Lingerer | None] = SimpleQueue()
        self._stops: SimpleQueue[None] = SimpleQueue()
        self._thread = BackgroundThread("eventlog-lingerer", functools.partial(_append_what_waits, self._notes, self._stops))
        weakref.finalize(self, _end, self._notes, self._stops).atexit = False
        self._thread.start()

    def note(self) -> None:
        """Tell the thread that a record is waiting."""
        if self._notes.empty():  # otherwise the thread has yet to take a note, and checks after that
            self._notes.put(self)

    def wait(self) -> bool:
        """Wait for more records to come; True if the thread has to end."""
        with suppress(Empty):
            self._stops.get(timeout=self._linger_s)
            return True
        return False

    def append_all(self) -> bool:
        """Append the waiting records; True if some are still waiting."""
        retries: dict[PartitionSender, float] = {}
        for sender in self._senders():
            due = self._retries.get(sender, 0.0)
            if due > time.monotonic():
                retries[sender] = due
                continue
            try:
                sender.append_waiting()
            except TopicNotFoundError as error:
                _log.warning("%s: waiting records are lost: %s", sender.topic_partition, error)
                self._note_loss(error)
            except Exception as error:  # also out of memory
                if sender not in self._retries:
                    _log.warning("%s: waiting records cannot be appended yet: %s", sender.topic_partition, error)
                retries[sender] = time.monotonic() + _RETRY_SECONDS
        self._retries = retries
        return bool(retries)

    def stop(self) -> None:
        """End the thread."""
        _end(self._notes, self._stops)
        if threading.current_thread() is not self._thread:
            self._thread.join()


def _end(notes: SimpleQueue[Lingerer | None], stops: SimpleQueue[None]) -> None:
    stops.put(None)
    notes.put(None)


def _append_what_waits(notes: SimpleQueue[Lingerer | None], stops: SimpleQueue[None]) -> None:
    """Run the thread. It refers to the producer only while records wait there, so that a producer that is not used any more
    can be freed."""
    while (lingerer := notes.get()) is not None:
        while True:
            if lingerer.wait():
                return
            if not lingerer.append_all():
                break
            with suppress(Empty):
                if notes.get(timeout=_RETRY_SECONDS) is None:
                    return
        del lingerer
