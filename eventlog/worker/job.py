"""A job: a record that one worker has, until it is accepted, rejected or given back, or until its lock ends."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Protocol

from eventlog.errors import EventLogError, InvalidArgumentError
from eventlog.options import check_seconds
from eventlog.records.record import Record
from eventlog.storage.mapped.share_page import ShareSlot, deliveries_of
from eventlog.worker.settings import ShareConfig

_DELAY_SECONDS_MAX = (2**31 - 1) / 1000


class Holder(Protocol):
    """What a job has to know of its worker."""

    config: ShareConfig

    @property
    def ended(self) -> EventLogError | None:
        """Why nothing can be settled any more: the worker was closed, or its process forked."""

    def tell_archived(self, record: Record, reason: str) -> None:
        """A record has been archived: it is not handed out again, and was not accepted."""


class Job(Record):
    """A record that is to be worked on, and then to be settled: by `accept`, `release` or `reject`, or by using the job as a
    context manager. Created by a `Worker`. It may be settled in any thread, by one at a time.

    Each of them raises `StaleMemberError` if the worker does not have the record any more, because it was settled before, its
    lock has ended or the group was reset; then nothing is changed. `delivery_count` is how often the record was handed to code,
    this time included."""

    delivery_count: int
    is_settled: bool
    _slot: ShareSlot
    _word: int
    _holder: Holder
    _lock: Any

    @classmethod
    def of(cls, record: Record, slot: ShareSlot, word: int, holder: Holder, lock: threading.RLock | Any) -> Job:
        """The job for a record that was claimed with this word. `lock` guards the word against who renews it."""
        job: Job = tuple.__new__(cls, record)
        job._slot, job._word, job._holder, job._lock = slot, word, holder, lock
        job.delivery_count, job.is_settled = deliveries_of(word), False
        return job

    def __reduce__(self) -> Any:
        """A copy, in another process for example, is a record: it can settle nothing."""
        return Record, tuple(self)

    @property
    def slot(self) -> ShareSlot:
        """The worker's view of the page of the partition, for the rest of this library only; likewise the next ones."""
        return self._slot

    @property
    def word(self) -> int:
        """By which the page knows the job."""
        return self._word

    def check_holder(self, holder: Holder) -> None:
        """Raise `InvalidArgumentError` if it is the job of another worker."""
        self._check()
        if self._holder is not holder:
            raise InvalidArgumentError(f"the record at offset {self.offset} is the job of another worker: it has to settle it")

    def accept(self) -> None:
        """The work is done: the record is never handed out again."""
        with self._lock:
            self._check()
            self._slot.accept(self.offset, self._word)
            self.is_settled = True

    def release(self, delay: float | None = None) -> None:
        """Hand the record out again, after `delay` seconds; None: after the group's back-off, which doubles with each delivery.

        After `share.delivery.count.limit` deliveries it is archived instead, and not handed out again."""
        delay_ms = self._holder.config.backoff(self.delivery_count) if delay is None else _milliseconds("delay", delay)
        with self._lock:
            self._check()
            is_archived = self._slot.release(self.offset, self._word, delay_ms)
            self.is_settled = True
        if is_archived:
            self._holder.tell_archived(self, f"it was delivered {self.delivery_count} times")

    def give_back(self) -> None:
        """Hand the record out again at once, to any worker, as if it had not been delivered: nothing is wrong with it."""
        with self._lock:
            self._check()
            self._slot.release(self.offset, self._word, counted=False)
            self.is_settled = True

    def reject(self, reason: str = "") -> None:
        """The work cannot be done: the record is archived, and never handed out again. The reason is logged."""
        with self._lock:
            self._check()
            self._slot.reject(self.offset, self._word)
            self.is_settled = True
        self._holder.tell_archived(self, f"it was rejected: {reason}" if reason else "it was rejected")

    def renew(self, duration: float | None = None) -> None:
        """Begin the lock anew: the record stays with this worker for `duration` seconds from now on; None: for
        `share.record.lock.duration.ms`."""
        lock_ms = self._holder.config.limits.lock_ms if duration is None else _milliseconds("duration", duration)
        with self._lock:
            self._check()
            self._word = self._slot.renew(self.offset, self._word, lock_ms)

    def _check(self) -> None:
        ended = self._holder.ended
        if ended is not None:
            raise type(ended)(*ended.args)

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Accept the job, unless it was settled in the block. An exception releases it, with back-off; one that is not an
        `Exception`, such as an interrupt, gives it back as if it had not been delivered."""
        if self.is_settled:
            return
        if error is None:
            self.accept()
            return
        try:
            self.release() if isinstance(error, Exception) else self.give_back()
        except EventLogError as failure:
            if hasattr(error, "add_note"):
                error.add_note(f"the job could not be given back: {failure}")


def settle_all(jobs: list[Job], holder: Holder) -> int:
    """Accept jobs of one worker, in one call for each partition; returns how many it does not have any more."""
    by_slot: dict[ShareSlot, list[Job]] = {}
    for job in jobs:
        job.check_holder(holder)
        by_slot.setdefault(job.slot, []).append(job)
    refused = 0
    for slot, each in by_slot.items():
        refused += slot.accept_all([(job.offset, job.word) for job in each])
        for job in each:
            job.is_settled = True
    return refused


def _milliseconds(name: str, seconds: object) -> int:
    checked = check_seconds(name, seconds)
    if checked is None or not 0 <= checked <= _DELAY_SECONDS_MAX:
        raise InvalidArgumentError(f"{name} is {seconds!r}, but must be a number of seconds from 0 to {_DELAY_SECONDS_MAX:.0f}")
    return round(1000 * checked)
