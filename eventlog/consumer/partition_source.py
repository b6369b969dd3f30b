"""Where a consumer gets its partitions: its caller assigns them, or it has all those of the topics that it subscribes to.

Members of a group share them: see `group_member.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from eventlog.consumer.assignment import Assignment
from eventlog.consumer.commits import Commits
from eventlog.consumer.group_role import GroupRole
from eventlog.consumer.group_start import GroupStart
from eventlog.consumer.handout import Handout
from eventlog.consumer.options import ConsumerOptions
from eventlog.consumer.subscription import Subscription
from eventlog.errors import InvalidArgumentError
from eventlog.groups.coordinator import check_is_no_share_group
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable
from eventlog.log import Log
from eventlog.records.record import TopicPartition
from eventlog.storage.mapped.offset_slots import NOBODY


class SourceContext(NamedTuple):
    """The objects that every kind of source works with."""

    log: Log
    groups: Groups
    options: ConsumerOptions
    assignment: Assignment
    handout: Handout
    commits: Commits
    role: GroupRole


class PartitionSource:
    """`catalog_version` is the version of the catalog that it has applied; `topics` are those that it subscribes to, sorted."""

    def __init__(self, context: SourceContext) -> None:
        self.catalog_version = -1
        self.context = context

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics; only a subscription has any."""
        return ()

    def has_work(self, catalog_version: int) -> bool:
        """Will the next `attend` use the catalog, which can take a few milliseconds?"""
        raise NotImplementedError

    def attend(self, catalog_version: int) -> bool:
        """React to changes. False if it has to be called again."""
        raise NotImplementedError


class AssignedByCaller(PartitionSource):
    """The partitions that were given to `assign`; with a group, but not as a member of it."""

    def has_work(self, catalog_version: int) -> bool:
        return False

    def attend(self, catalog_version: int) -> bool:
        """Note which partitions cannot be read any more. Raises `InvalidArgumentError` if none are assigned."""
        if catalog_version != self.catalog_version:
            partitions = self.context.assignment.partitions
            if not partitions:
                raise InvalidArgumentError("this consumer has nothing to read: subscribe to topics, or assign partitions")
            for partition in partitions.values():
                partition.is_gone = partition.is_deleted
            self.catalog_version = catalog_version
        return True

    def assign(self, names: Iterable[TopicPartition]) -> None:
        """Assign exactly these partitions. Raises `TopicNotFoundError`."""
        log, groups, options, assignment, handout, commits, role = self.context
        logs = {name: log.store.partitions.open(*name) for name in names}
        table = None if options.group is None else groups.open(options.group)
        if table is not None:
            check_is_no_share_group(table.state())
        role.table = table
        handout.set_aside()
        commits.commit_finished()
        handout.drop(
            [name for name, each in assignment.partitions.items() if name not in logs or each.partition is not logs[name]]
        )
        new = [name for name in logs if name not in assignment.partitions]
        if role.table is None:
            for name in new:
                assignment.add(name, None, None)
        else:
            self._add_for_group(new, role.table)
        self.catalog_version = -1

    def _add_for_group(self, names: list[TopicPartition], table: GroupTable) -> None:
        start = GroupStart(self.context.log.store, table, self.context.options)
        table.begin(names, start.first_offset)
        for name in names:
            self.context.assignment.add(name, table.ack(name, NOBODY), start.position(name))


class WholeTopics(PartitionSource):
    """All partitions of the topics that a consumer without a group subscribes to."""

    def __init__(self, context: SourceContext, subscription: Subscription) -> None:
        super().__init__(context)
        self._subscription = subscription
        self._has_begun = False

    @property
    def topics(self) -> tuple[str, ...]:
        return self._subscription.topics

    def has_work(self, catalog_version: int) -> bool:
        return catalog_version != self.catalog_version

    def attend(self, catalog_version: int) -> bool:
        if catalog_version != self.catalog_version:
            self._subscription.resolve()
            self._assign_everything()
            self.catalog_version = catalog_version
        return True

    def _assign_everything(self) -> None:
        """Read all partitions of the topics. Those that were added since the last call are read from their first record on."""
        log, assignment, reset = self.context.log, self.context.assignment, self.context.options.auto_offset_reset
        wanted = []
        for topic in self._subscription.topics:
            with suppress(LookupError):  # not created yet
                wanted += [TopicPartition(topic, number) for number in range(log.topic(topic).partitions)]
        self.context.handout.drop(
            [name for name, each in assignment.partitions.items() if name not in wanted or each.is_deleted]
        )
        for name in wanted:
            if name not in assignment.partitions:
                assignment.add(name, None, 0 if self._has_begun and reset == "latest" else None)
        self._has_begun = True
