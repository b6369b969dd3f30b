"""The commits of a consumer, and their times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from eventlog.catalog.transactions import PendingOffset
from eventlog.clock import lease_ms
from eventlog.consumer.assignment import Assignment
from eventlog.consumer.group_role import GroupRole
from eventlog.consumer.handout import Handout
from eventlog.consumer.options import ConsumerOptions
from eventlog.errors import InvalidArgumentError, InvalidTypeError, StaleMemberError
from eventlog.groups.persister import persist
from eventlog.groups.registry import Groups
from eventlog.options import check_offset
from eventlog.records.record import TopicPartition, as_topic_partition
from eventlog.storage.mapped.offset_slots import NOBODY, OffsetSlot, commit_all


class Commits:
    """Commits the positions, given offsets, and with auto_commit the finished records."""

    def __init__(
        self, groups: Groups, options: ConsumerOptions, assignment: Assignment, handout: Handout, role: GroupRole
    ) -> None:
        self._groups = groups
        self._group = options.group
        self._auto_commit_s = options.auto_commit_s
        self._assignment = assignment
        self._handout = handout
        self._role = role
        self._committed_at = lease_ms()

    def commit(self, offsets: Mapping[TopicPartition, int] | None, *, sync: bool) -> None:
        """As `Consumer.commit`."""
        if self._group is None:
            raise InvalidArgumentError("this consumer is in no group: give it one with group= to commit")
        if offsets is None:
            self._commit_positions()
            self._handout.allow_short_commit()
        else:
            self._commit_again_if_deleted(lambda: commit_all(self._checked(offsets)))
        if sync and self._role.table is not None:
            persist(self._groups.store, self._role.table, flush=True)

    def _commit_positions(self) -> None:
        self._handout.count_in_hand()
        moved = self._assignment.moved
        self._commit_again_if_deleted(
            lambda: commit_all([(each.slot, each.position or 0) for each in moved if each.slot is not None])
        )
        moved.clear()
        if self._auto_commit_s is not None:
            self._committed_at = lease_ms()

    def for_transaction(self) -> tuple[str, dict[TopicPartition, PendingOffset]]:
        """As `Consumer.offsets_for_transaction`."""
        if self._group is None:
            raise InvalidArgumentError("this consumer is in no group: give it one with group= to commit in a transaction")
        if self._auto_commit_s is not None:
            raise InvalidArgumentError("this consumer commits by itself: make it without auto_commit for transactions")
        self._handout.count_in_hand()
        offsets = {}
        for each in self._assignment.moved:
            if each.slot is not None:
                if not each.slot.is_owned:
                    raise StaleMemberError(f"{each.topic_partition} belongs to another member by now: poll again")
                owner = int(each.slot.native.member_epoch)
                offsets[each.topic_partition] = PendingOffset(each.position or 0, owner=owner)
        return self._group, offsets

    def _checked(self, offsets: Mapping[TopicPartition, int]) -> list[tuple[OffsetSlot, int]]:
        if not isinstance(offsets, Mapping):
            raise InvalidTypeError(f"offsets must be a mapping of TopicPartition to int, not {type(offsets).__name__}")
        checked = []
        for name, offset in offsets.items():
            assigned = self._assignment.find(name)
            assert assigned.slot is not None
            if check_offset(offset) > assigned.partition.end_offset:
                raise InvalidArgumentError(
                    f"offset {offset} of {assigned.topic_partition} is past its end, {assigned.partition.end_offset}: "
                    "nothing was committed"
                )
            checked.append((assigned.slot, offset))
        return checked

    def commit_if_due(self) -> None:
        """With auto_commit, count everything that was handed out as finished, and commit it once the interval is over."""
        if self._auto_commit_s is not None:
            self._handout.finish()
            if lease_ms() - self._committed_at >= 1000 * self._auto_commit_s:
                self.commit_finished()

    def commit_finished(self) -> None:
        """With auto_commit, commit what is finished. The next review of the group finds partitions that were lost meanwhile."""
        if self._auto_commit_s is None or self._groups.store.is_closed:
            return
        moved = self._assignment.moved
        finished = [each for each in moved if each.finished is not None]
        with suppress(StaleMemberError):
            self._commit_again_if_deleted(
                lambda: commit_all([(each.slot, each.finished) for each in finished if each.slot and each.finished is not None])
            )
            moved.difference_update([each for each in finished if each.finished == each.position])
            self._committed_at = lease_ms()

    def _commit_again_if_deleted(self, commit: Callable[[], None]) -> None:
        """Commit. If that is refused, a member reviews the group with its next poll, even if no process announced the change.
        For a consumer with `assign` whose group was deleted or has expired, create the group again and retry the commit."""
        try:
            commit()
        except StaleMemberError:
            role = self._role
            if role.membership is not None:
                role.membership.known_changes = -1
            if role.membership is not None or role.table is None or not role.table.acks.is_deleted:
                raise
            role.table = self._groups.open(role.table.name)
            for name, partition in self._assignment.partitions.items():
                partition.commit_by(role.table.ack(name, NOBODY))
            commit()

    def committed(self, name: TopicPartition) -> int | None:
        """As `Consumer.committed`."""
        table = self._groups.find(self._group) if self._group is not None else None
        return table.committed(as_topic_partition(name)) if table is not None else None

    @contextmanager
    def without_waiting(self) -> Iterator[None]:
        """A block in which no commit waits for another process: it raises `LockTimeoutError` at once, and commits nothing."""
        slots = [each.slot.native for each in self._assignment.partitions.values() if each.slot is not None]
        for slot in slots:
            slot.timeout_ms = 0
        try:
            yield
        finally:
            for slot in slots:
                slot.timeout_ms = self._groups.store.options.lock_timeout_ms
