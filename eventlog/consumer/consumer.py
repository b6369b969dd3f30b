"""The consumer: hands out the records of its partitions in offset order, and commits its progress."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from re import Pattern
from types import TracebackType

from eventlog.catalog.transactions import PendingOffset
from eventlog.clock import Time, as_timestamp
from eventlog.consumer.core import ConsumerCore
from eventlog.consumer.options import ConsumerOptions
from eventlog.groups.registry import Groups
from eventlog.log import Log
from eventlog.options import check_number, check_offset, check_timeout
from eventlog.records.record import Record, TopicPartition

_RECORDS_MAX = 2**63 - 1


class Consumer:
    """Reads topics, alone or with others in a group; for one thread at a time. Created by `EventLog.consumer`.

    `group` is the name of the group, or None. `core` does the work, and is for the rest of this library only."""

    def __init__(
        self,
        log: Log,
        groups: Groups,
        topics: str | Sequence[str] | Pattern[str] | None,
        options: ConsumerOptions,
        core: ConsumerCore | None = None,
    ) -> None:
        self.group = options.group
        self.core = core = core if core is not None else ConsumerCore(log, groups, options)
        self._use = core.use
        self._handout = core.handout
        self._assignment = core.assignment
        if topics is not None:
            self.subscribe(topics)

    def __enter__(self) -> Consumer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.core.close(is_finished=kind is None)

    def __repr__(self) -> str:
        return self.core.name

    # --- topics and partitions -----------------------------------------------------------------------------

    def subscribe(self, topics: str | Sequence[str] | Pattern[str]) -> None:
        """Read these topics, or those that match a compiled pattern, even if they are created later.

        In a group, the members share the partitions; the first `poll` joins the group. Raises `InvalidArgumentError`
        after `assign`, and `InvalidTypeError`."""
        with self._use.alone:
            self.core.subscribe(topics)

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read exactly these partitions, without sharing them. With a group, it begins at the group's committed offsets, and
        commits work as long as no member owns the partition.

        Raises `InvalidArgumentError` after `subscribe`, `TopicNotFoundError`."""
        with self._use.alone:
            self.core.assign(partitions)

    def assignment(self) -> set[TopicPartition]:
        """The partitions that this consumer has now; in a group they are assigned during `poll`."""
        with self._use.alone:
            return set(self._assignment.partitions)

    def subscription(self) -> tuple[str, ...]:
        """The topics that this consumer subscribes to, sorted."""
        with self._use.alone:
            return self.core.topics

    # --- reading -------------------------------------------------------------------------------------------

    def poll(self, timeout: float | None = 1.0, max_records: int = 500) -> list[Record]:
        """Up to `max_records` records; [] if none arrive within `timeout` seconds (None: wait without a limit).

        Keeps the membership alive and takes part in rebalances. Raises `OffsetOutOfRangeError` or
        `NoCommittedOffsetError` with auto_offset_reset="error", `CorruptLogError`, `TopicNotFoundError` when the topic of an
        assigned partition was deleted, and `StaleMemberError` when another process took over this static member."""
        check_timeout(timeout)
        check_number("max_records", max_records, 1, _RECORDS_MAX)
        with self._use.alone:
            records = self.core.poll(timeout, max_records)
        self._handout.has_returned = True  # nothing is called after this: no signal handler can run in between
        return records

    def __iter__(self) -> Iterator[Record]:
        """Every record, one after the other; waits for more at the end.

        A record counts as handed out, for `commit` and `position`, once it was yielded."""
        return self.core.records(wait=True)

    def wakeup(self) -> None:
        """Let the poll, or the iteration, that is waiting raise `WakeupError`; if there is none, the next one does so, once.

        Any thread may call this, and a signal handler at any moment. No record is lost: the next poll goes on."""
        self.core.wake_up()

    def stop(self) -> None:
        """Let each iteration end after the record in hand, and `poll` return [] from now on, at once even if it is waiting.

        Any thread may call this, and a signal handler at any moment. The consumer can still commit, and has to be closed."""
        self.core.stop()

    @property
    def is_stopped(self) -> bool:
        """Was `stop` called?"""
        return self.core.interruption.is_stopped

    # --- committing ----------------------------------------------------------------------------------------

    def commit(self, offsets: Mapping[TopicPartition, int] | None = None, *, sync: bool = False) -> None:
        """Acknowledge everything before the positions: the records that were handed out, including the current one of an
        iteration, and those that `seek` skipped. Or, with `offsets`, everything before the given offset of each partition.

        The commit is immediately visible to every process, and survives the death of any. With `sync` it is on disk on return,
        otherwise within a second. A commit of an earlier offset than the committed one changes nothing: only `Group.reset`
        withdraws an acknowledgement. Raises `StaleMemberError` if this consumer no longer owns a partition, and then commits
        nothing."""
        # A fast path for iteration that commits after each record. It needs no lock: a thread inside the consumer has set
        # commit_in_hand to None before anything else.
        if offsets is None and not sync:
            commit_in_hand, record = self._handout.commit_in_hand, self._handout.in_hand
            if commit_in_hand is not None and record is not None and commit_in_hand(record.offset + 1):
                return
        with self._use.alone:
            self.core.commits.commit(offsets, sync=sync)

    def committed(self, partition: TopicPartition) -> int | None:
        """The committed offset of a partition in this consumer's group, by any member; None if nothing was committed."""
        with self._use.alone:
            return self.core.commits.committed(partition)

    def offsets_for_transaction(self) -> tuple[str, dict[TopicPartition, PendingOffset]]:
        """The group, and what `commit` would commit now, for `TransactionalProducer.send_offsets`.

        Raises `InvalidArgumentError` without a group or with auto_commit, `StaleMemberError`."""
        with self._use.alone:
            return self.core.commits.for_transaction()

    def rewind(self) -> None:
        """Go back to the committed offsets: the records after them are handed out again. So a transaction that was aborted can
        be repeated."""
        with self._use.alone:
            self.core.rewind()

    # --- positions -----------------------------------------------------------------------------------------

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record that this consumer hands out. Raises `StaleMemberError` if it does not own the
        partition."""
        with self._use.alone:
            return self._handout.position(self._assignment.find(partition))

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Continue at this offset, which becomes the position: `commit` commits it.

        Raises `OffsetOutOfRangeError`, and `StaleMemberError` if this consumer does not own the partition."""
        with self._use.alone:
            self._handout.seek(self._assignment.find(partition), check_offset(offset))

    def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        """Continue at the first record of these partitions, or of all assigned ones."""
        with self._use.alone:
            for each in self._assignment.select(partitions):
                self._handout.seek(each, each.partition.start_offset)

    def seek_to_end(self, *partitions: TopicPartition) -> None:
        """Continue after the last record of these partitions, or of all assigned ones."""
        with self._use.alone:
            for each in self._assignment.select(partitions):
                self._handout.seek(each, each.end_offset)

    def seek_to_time(self, timestamp: Time, *partitions: TopicPartition) -> None:
        """Continue at the first record with this timestamp (milliseconds since the epoch, or an aware datetime) or a later one,
        or after the last record if no such record exists. Applies to these partitions, or to all assigned ones."""
        with self._use.alone:
            for each in self._assignment.select(partitions):
                found = each.partition.offset_for_time(as_timestamp(timestamp))
                self._handout.seek(each, each.end_offset if found is None else found)

    def pause(self, *partitions: TopicPartition) -> None:
        """Hand out no records of these partitions until `resume`."""
        with self._use.alone:
            for each in self._assignment.select(partitions):
                each.is_paused = True
                self._handout.stop(each)

    def resume(self, *partitions: TopicPartition) -> None:
        """Hand out records of these partitions again."""
        with self._use.alone:
            for each in self._assignment.select(partitions):
                each.is_paused = False

    def paused(self) -> set[TopicPartition]:
        """The partitions that are paused."""
        with self._use.alone:
            return {name for name, each in self._assignment.partitions.items() if each.is_paused}

    # --- the end -------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave the group, so that other members take over the partitions immediately.

        With auto_commit, finished records are committed. Records that `poll` returned are finished, unless an exception is
        being handled at the moment. The last record that an iteration handed out is not, because the next one was not asked
        for. Leaving a `with` block closes in the same way. A close that was interrupted, or raised an error, may be
        repeated."""
        self.core.close(is_finished=sys.exc_info()[0] is None)
