"""A consumer as a member of its group: it joins, takes and gives up partitions, and calls its listener."""

from __future__ import annotations

from contextlib import suppress

from eventlog.consumer.group_start import GroupStart
from eventlog.consumer.partition_source import PartitionSource, SourceContext
from eventlog.consumer.subscription import Subscription
from eventlog.errors import GroupNotFoundError, StaleMemberError
from eventlog.groups.coordinator import JoinRequest
from eventlog.groups.membership import Membership, Review
from eventlog.logs import logger
from eventlog.records.record import TopicPartition

_log = logger("consumer")


class GroupMember(PartitionSource):
    """The member's share of the partitions of the topics that the group's members subscribe to.

    A listener may use the consumer, and also close it: then the consumer is no longer a member when the listener returns."""

    def __init__(self, context: SourceContext, subscription: Subscription, group: str) -> None:
        super().__init__(context)
        self._subscription = subscription
        self._group = group
        self._role = context.role

    @property
    def topics(self) -> tuple[str, ...]:
        return self._subscription.topics

    def has_work(self, catalog_version: int) -> bool:
        membership = self._role.membership
        return catalog_version != self.catalog_version or membership is None or membership.has_changed

    def attend(self, catalog_version: int) -> bool:
        """Join, and react if topics were created, members joined or left, or the group was reset. False if it was expelled and
        has to join again."""
        role = self._role
        if role.fenced is not None:
            raise StaleMemberError(*role.fenced.args)
        is_due = catalog_version != self.catalog_version
        if is_due:
            self._subscription.resolve()
            self.catalog_version = catalog_version
        if role.membership is None or not role.membership.has_joined:
            self._join()
        elif is_due:
            with suppress(StaleMemberError, GroupNotFoundError):  # the review that follows handles these
                role.membership.subscribe(self.topics)
        while role.membership is not None and role.membership.has_changed:
            membership = role.membership
            try:
                self._review(membership)
            except BaseException:
                membership.known_changes = -1  # the next call completes what a listener or a lock has interrupted
                raise
        role.seen()
        return role.membership is not None

    def _join(self) -> None:
        options, role, groups = self.context.options, self._role, self.context.groups
        request = JoinRequest(
            self.topics,
            options.assignor,
            options.max_poll_interval_ms,
            options.session_timeout_ms,
            options.instance_id,
        )
        while role.membership is None or not role.membership.has_joined:
            if role.membership is not None:
                role.membership.abandon()  # an error, or an exception of a signal handler, prevented the join
            role.table = groups.open(self._group)
            try:
                role.membership = Membership(groups, role.table, request)
                role.membership.join()  # a separate step, so that it can be abandoned
            except GroupNotFoundError:
                continue  # the group was deleted between the two steps

    def _review(self, membership: Membership) -> None:
        review = self._reviewed(membership)
        self._lose(membership, review.lost)
        if review.is_expelled:
            membership.abandon()
            self._role.membership = None
            _log.warning("member %s of group %s: was expelled, and joins again", membership.member.member_id, self._group)
            return
        if review.revoked:
            self._revoke(membership, review.revoked)
        if self._role.membership is membership:  # otherwise a listener has closed this consumer
            self._take(membership)

    def _reviewed(self, membership: Membership) -> Review:
        """Review the group. Raises the error that ends the membership, `StaleMemberError` or `GroupNotFoundError`."""
        try:
            return membership.review()
        except (StaleMemberError, GroupNotFoundError) as error:
            self._role.fenced = error if isinstance(error, StaleMemberError) else None
            membership.abandon()
            self._role.membership = None
            self._lose(membership, sorted(self.context.assignment.partitions))
            raise

    def _take(self, membership: Membership) -> None:
        assignment = self.context.assignment
        start = GroupStart(self.context.log.store, membership.group, self.context.options)
        membership.take(start.first_offset, require_stable=self.context.options.is_committed)
        new = sorted(membership.owned.keys() - assignment.partitions.keys())
        try:
            for name in new:
                assignment.add(name, membership.owned[name], start.position(name))
        except BaseException:
            self.context.handout.drop(new)  # the next call retries
            raise
        if new:
            self._role.listener.assigned(new)
            _log.info("member %s of group %s: assigned %s", membership.member.member_id, self._group, _listed(new))

    def _lose(self, membership: Membership, names: list[TopicPartition]) -> None:
        self.context.handout.drop(names)
        membership.disown(names)  # after that, so that the next review repeats what a signal handler has interrupted
        if names:
            self._role.listener.lost(names)
            _log.info("member %s of group %s: lost %s", membership.member.member_id, self._group, _listed(names))

    def _revoke(self, membership: Membership, names: list[TopicPartition]) -> None:
        try:
            self.context.commits.commit_finished()
            self._role.listener.revoked(names)
            _log.info("member %s of group %s: revoked %s", membership.member.member_id, self._group, _listed(names))
        finally:
            self.context.handout.drop(names)
            membership.give_up(names)


def _listed(names: list[TopicPartition]) -> str:
    return ", ".join(map(str, names))
