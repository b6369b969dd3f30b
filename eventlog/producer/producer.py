"""The producer: chooses partitions, appends, and hands out receipts."""

from __future__ import annotations

import os
import random
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import NoReturn, TypeVar

from eventlog._native import GATHERED_OVERHEAD_BYTES, BaseProducer, Gathered, PartitionChoice, ffi, send_at_once
from eventlog.clock import Time, as_timestamp
from eventlog.errors import (
    EventLogError,
    ForkedProcessError,
    InvalidTypeError,
    PartitionNotFoundError,
    StoreClosedError,
    TopicExistsError,
    TopicNotFoundError,
    raise_together,
    stands_in_for,
)
from eventlog.groups.registry import Groups
from eventlog.holding import check_no_block_interrupted
from eventlog.log import Log
from eventlog.options import TopicConfig, check_bool, check_group_name, check_number, check_partition_number, check_topic_name
from eventlog.producer.acks import Ack, AckNotifier
from eventlog.producer.exclusion import Exclusion
from eventlog.producer.linger import Lingerer
from eventlog.producer.partition_sender import PartitionSender
from eventlog.producer.receipt import AppendedReceipt, BatchReceipt, Receipt
from eventlog.producer.sequences import Sequences
from eventlog.records.batch import Headers
from eventlog.records.compression import codec_number
from eventlog.records.partitioning import partition_for_key

__all__ = ["Producer", "send_at_once"]

_BATCH_BYTES_MAX = 2**24
# If each record is a batch of its own:
_STAY_BYTES = 2048  # records without a key stay at one partition for this many bytes,
_LEAST_BYTES = 64  # and each record counts as at least this many

_left_to_parents: set[weakref.WeakMethod[Callable[[], None]]] = set()
"""The methods that a forked child calls, one for each producer."""


_Self = TypeVar("_Self", bound="Producer")


class _TopicSenders(PartitionChoice[PartitionSender]):
    """A topic's partitions, and the one that gets records without a key."""

    __slots__ = ()

    @classmethod
    def of(cls, senders: Iterable[PartitionSender], batch_bytes: int, *, lingers: bool) -> _TopicSenders:
        """Make this from the senders of a topic's partitions, which are open."""
        seed = random.getrandbits(64)
        if lingers:  # batches as native code counts them
            return cls(tuple(senders), batch_bytes, GATHERED_OVERHEAD_BYTES, 0, seed)
        # many records at one partition gain nothing:
        return cls(tuple(senders), min(batch_bytes, _STAY_BYTES), 0, _LEAST_BYTES, seed)

    def sticky(self, value: bytes | None, *, lingers: bool) -> PartitionSender:
        """The sender for the next record without a key. With lingering it stays the same while a batch of it is waiting."""
        is_complete = self.left_bytes <= 0
        if lingers and self.current >= 0 and len(self.senders) > 1:
            sender = self.senders[self.current]
            if is_complete:
                sender.append_waiting()
            is_complete = not sender.has_waiting
        if is_complete:
            self.advance()
        sender = self.senders[self.current]
        self.count(len(value) if isinstance(value, bytes) else 0)
        return sender


class Producer(BaseProducer):
    """Sends records to topics; threads may share it. Created by `EventLog.producer`."""

    def __init__(
        self,
        log: Log,
        groups: Groups,
        *,
        compression: str | None,
        linger_ms: int,
        batch_bytes: int,
        auto_create_topics: bool,
        sequences: Sequences | None = None,
    ) -> None:
        self._log = log
        self._groups = groups
        if compression is not None:
            codec_number(compression)  # raises an error if it is not valid
        self._compression = compression
        check_number("linger_ms", linger_ms, 0, 2**31 - 1)
        self._batch_bytes = check_number("batch_bytes", batch_bytes, 1, _BATCH_BYTES_MAX)
        self._auto_create_topics = check_bool("auto_create_topics", auto_create_topics)
        self._lock = Exclusion(f"is at work on the topics of {self!r}")
        self._signals = log.store.signals
        self._signals_pointer = self._signals.pointer  # native code needs it as long as this object exists
        self._catalog_version = self._signals.catalog_version
        self._topics: dict[str, _TopicSenders] = {}
        self._why_unusable: EventLogError | None = None
        self._ending: list[PartitionSender] = []  # the senders that `close` has to end
        self._losses: deque[BaseException] = deque()  # the errors of records that waited and were lost
        self._notifier: AckNotifier | None = None
        self._lingerer = Lingerer(self._senders, linger_ms / 1000, self._note_loss) if linger_ms else None
        self._sequences = sequences
        self._gathers = self._lingerer is not None or sequences is not None
        if sequences is None and (self._lingerer is not None or compression is None):
            receipt_type = AppendedReceipt if self._lingerer is None else BatchReceipt
            super().__init__(int(ffi.cast("uintptr_t", self._signals_pointer)), self._topics, receipt_type)
        _left_to_parents.add(weakref.WeakMethod(self._leave_to_parent, _left_to_parents.discard))

    def _note(self, sender: PartitionSender, offset: int, count: int = 1) -> None:
        if self._notifier is not None:
            self._notifier.note(sender, offset, count)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Producer of {self._log!r}>"

    @stands_in_for(BaseProducer.send)
    def _send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp: Time | None = None,
    ) -> Receipt:
        """Send a record that is not plain, or that follows a change in the catalog."""
        time = as_timestamp(timestamp)
        if self._signals.catalog_version != self._catalog_version:
            self._look_at_catalog()
        try:
            known = self._topics[topic]
        except (KeyError, TypeError):
            known = self._open_topic(topic)
        if partition is not None:
            sender = self._sender_of(topic, known, partition)
        elif key is not None:
            sender = known.senders[partition_for_key(key, len(known.senders))]
        else:
            sender = known.sticky(value, lingers=self._gathers)
        if self._gathers:
            batch, index = sender.gather(value, key, headers, time)
            self._see_to(sender, batch)
            return BatchReceipt(sender, batch, index, time)
        batch = sender.append_now(value, key, headers, time)
        assert batch.first_offset is not None
        sender.last_offset = batch.first_offset
        self._note(sender, batch.first_offset)
        return BatchReceipt(sender, batch, 0, time)

    def _see_to(self, sender: PartitionSender, batch: Gathered) -> None:
        """A record waits in this batch: see to it that it is appended."""
        if self._lingerer is None:
            sender.append_waiting()
            return
        self._lingerer.note()
        if self._sequences is None:
            sender.admit(batch)  # records that follow, which are added without a note

    def _note_loss(self, error: EventLogError) -> None:
        self._losses.append(error)

    def _sender_of(self, topic: str, known: _TopicSenders, partition: int) -> PartitionSender:
        if not 0 <= check_partition_number(partition) < len(known.senders):
            raise PartitionNotFoundError(
                f"topic {topic!r} has no partition {partition}; it has 0 to {len(known.senders) - 1}"
            )
        return known.senders[partition]

    def _open_topic(self, topic: str) -> _TopicSenders:
        if self._why_unusable is not None:
            self._refuse()
        check_topic_name(topic)
        with self._lock.held():
            if self._why_unusable is not None:
                self._refuse()
            if topic not in self._topics:  # no other thread was faster
                self._take(topic, *self._find_or_create(topic))
            return self._topics[topic]

    def _find(self, topic: str) -> tuple[int, TopicConfig]:
        found = self._log.topic(topic)
        return found.partitions, found.settings()

    def _find_or_create(self, topic: str) -> tuple[int, TopicConfig]:
        try:
            return self._find(topic)
        except TopicNotFoundError:
            if not self._auto_create_topics:
                raise
            with suppress(TopicExistsError):
                self._log.create_topic(topic)
            return self._find(topic)

    def _take(self, topic: str, partitions: int, settings: TopicConfig) -> None:
        """Apply a topic's current state. The caller has held the lock since before it read that state, so that no other thread
        restores an older one."""
        known = self._topics[topic].senders if topic in self._topics else ()
        for sender in known:
            sender.take_settings(settings)
        added = [
            PartitionSender(
                self._groups,
                self._log.partition(topic, number),
                settings,
                compression=self._compression,
                batch_bytes=self._batch_bytes,
                note_appended=self._note,
                note_loss=self._note_loss,
                sequences=self._sequences,
            )
            for number in range(len(known), partitions)
        ]
        if added:
            self._topics[topic] = _TopicSenders.of((*known, *added), self._batch_bytes, lingers=self._gathers)

    def _look_at_catalog(self) -> None:
        """Apply changes to topics that were altered or deleted."""
        with self._lock.held():
            version = self._signals.catalog_version  # read first: a later change causes another call
            if version == self._catalog_version:
                return  # another thread was faster
            for topic, known in list(self._topics.items()):
                try:
                    is_gone = any(sender.log.is_deleted for sender in known.senders)
                    found = None if is_gone else self._find(topic)
                except TopicNotFoundError:
                    found = None
                if found is not None:
                    self._take(topic, *found)
                else:
                    # Not raised here: this call may be sending a record to another topic.
                    self._losses.extend(_failures(known.senders, PartitionSender.end))
                    self._topics.pop(topic, None)
            self._catalog_version = version

    def _refuse(self) -> NoReturn:
        assert self._why_unusable is not None
        raise type(self._why_unusable)(*self._why_unusable.args)

    def _senders(self) -> list[PartitionSender]:
        senders = [sender for topic in list(self._topics.values()) for sender in topic.senders]
        return list(dict.fromkeys([*senders, *self._ending]))

    def on_ack(self, group: str, callback: Callable[[Ack], object]) -> None:
        """Call `callback` with an `Ack` whenever this group has acknowledged more of what this producer sends from now on.

        One background thread makes the calls, with increasing offsets for each partition; several acknowledgements may be
        combined. If the callback raises, it is not called any more, and `flush` or `close` raises its error."""
        if self._why_unusable is not None:
            self._refuse()
        check_group_name(group)
        if not callable(callback):
            raise InvalidTypeError(f"callback must be a function that takes an Ack, not {type(callback).__name__}")
        with self._lock.held():
            if self._notifier is None:
                notifier = AckNotifier(self._groups)
                notifier.start()
                self._notifier = notifier
                self._has_notifier = True
            self._notifier.subscribe(group, callback, self._senders())

    def flush(self) -> None:
        """Append the waiting records, and return once everything that was sent is on disk, except in deleted topics.

        The error of a partition is raised when all others are done, with notes about others that failed. Its records keep
        waiting: the call may be repeated. Records that waited for a topic when it was deleted are lost; that is raised
        once, here or by `close`."""
        senders = self._senders()  # first, so that it is all of them, unless a close has begun
        if self._why_unusable is not None:
            self._refuse()
        failures = _failures(senders, PartitionSender.append_waiting)
        self._raise(failures + _failures(senders, PartitionSender.flush))

    def _raise(self, failures: list[BaseException]) -> None:
        """Raise these together with the losses and the failures of callbacks, each of which is raised once."""
        with suppress(IndexError):
            while True:
                failures.append(self._losses.popleft())
        of_acks = self._notifier.take_failures() if self._notifier is not None else []
        raise_together([*failures, *of_acks])

    def close(self) -> None:
        """Append the waiting records and close; raises what `flush` raises.

        Records that could not be appended, or were not because this was interrupted, keep waiting, and another call appends
        them. If several threads call it at once, each returns when everything is appended; a later call does nothing."""
        if isinstance(self._why_unusable, ForkedProcessError):
            return
        self.check_may_close()
        if self._lingerer is not None:
            self._lingerer.stop()
        with self._lock.held():
            self._ending = self._senders()
            self._end(StoreClosedError(f"{self!r} is closed"))
        try:
            failures = _failures(self._ending, PartitionSender.end)
            self._ending = [sender for sender in self._ending if sender.has_waiting]
        finally:
            if self._notifier is not None:
                self._notifier.stop()
        self._raise(failures)

    def check_may_close(self) -> None:
        """Raise `ConcurrentUseError` if a signal handler or a finalizer has interrupted work that holds a lock: the thread that
        `close` waits for may itself wait for that lock."""
        self._lock.held()
        for sender in self._senders():
            sender.check_not_inside()
        check_no_block_interrupted(f"to close {self!r}")

    def close_with_store(self, timeout: float) -> None:
        """Close. The timeout applies only to consumers."""
        self.close()

    def _end(self, why: EventLogError) -> None:
        self._why_unusable = why
        self._topics.clear()

    def _leave_to_parent(self) -> None:
        """Refuse use in a forked child: the producer is the parent's, and a thread that does not exist here may hold its
        locks."""
        for sender in self._senders():
            sender.leave_to_parent()
        self._end(ForkedProcessError(f"{self!r} was made before fork(): open the store again in the child"))


def _failures(senders: Iterable[PartitionSender], work: Callable[[PartitionSender], None]) -> list[BaseException]:
    """Do the work for every partition; returns the errors of those in which it failed."""
    failures: list[BaseException] = []
    for sender in senders:
        try:
            work(sender)
        except EventLogError as error:
            failures.append(error)
    return failures


def _after_fork_in_child() -> None:
    for reference in list(_left_to_parents):
        if (leave_to_parent := reference()) is not None:
            leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)
