"""A member of a group of the consumer protocol (KIP-848), as the server sees it: what it was told, and what comes next.

The store knows the members, what is assigned to each, and who owns which partition. Here is only what the conversation with a
client needs besides: which epoch and which partitions it was told last. A server that does not know this, because another one
had the conversation so far, continues it from the store.

Sources: KIP-848; org.apache.kafka.coordinator.group.modern.consumer.CurrentAssignmentBuilder of Apache Kafka.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from eventlog.catalog.groups import Member, RemoteMember
from eventlog.errors import GroupNotFoundError, StaleMemberError
from eventlog.groups.coordinator import JoinRequest, Origin
from eventlog.groups.membership import Membership
from eventlog.groups.registry import Groups
from eventlog.records.record import TopicPartition
from eventlog.serve import errors
from eventlog.serve.errors import RefusedError
from eventlog.storage.mapped.offset_slots import OffsetSlot

_ASSIGNOR = "cooperative-sticky"  # unless a member prefers another
_RETRY_MS = 500  # until a member asks again for partitions that others have still to give up
_MIXED_MS = 1000  # between the heartbeats of a member that shares its group with embedded consumers, which never wait for long


class Heartbeat(NamedTuple):
    """What a member says: its epoch, the partitions that it owns (None: it does not say), and fields of `RemoteMember`.
    `topics_of` returns the topics that these mean in a version of the catalog; it may take long, and raises `RefusedError`."""

    member_id: str
    instance_id: str | None
    epoch: int
    owned: frozenset[TopicPartition] | None
    stated: Mapping[str, Any]
    catalog_version: int
    topics_of: Callable[[RemoteMember], tuple[str, ...]]


class ConsumerGroupMember:
    """A member that this server talks to. `epoch` and `assigned` are what it was told last. Not for several threads at once."""

    def __init__(self, membership: Membership, epoch: int, catalog_version: int = -1) -> None:
        self.membership = membership
        self.epoch = epoch
        self.assigned: frozenset[TopicPartition] = frozenset(membership.owned)
        self.seen_at = time.monotonic()
        self._former_epoch = epoch
        self._catalog_version = catalog_version
        self._withheld: set[TopicPartition] = set()  # lost by a reset, until the member has noticed
        self._revoking_since: float | None = None
        self._is_waiting = False
        self._is_mixed = False

    @classmethod
    def joined(cls, groups: Groups, group: str, heartbeat: Heartbeat, origin: Origin, session_ms: int) -> ConsumerGroupMember:
        """A new member of a group, which is created if it does not exist. Raises what `Coordinator.join` and `topics_of` do."""
        remote = RemoteMember(heartbeat.member_id)._replace(**heartbeat.stated)
        topics = heartbeat.topics_of(remote)
        wanted = JoinRequest(topics, _ASSIGNOR, session_ms, session_ms, heartbeat.instance_id, remote)
        while True:
            membership = Membership(groups, groups.open(group), wanted, origin)
            try:
                membership.join()
                return cls(membership, 0, heartbeat.catalog_version)
            except GroupNotFoundError:
                membership.abandon()  # the group was deleted between the two steps
            except BaseException:
                membership.abandon()
                raise

    @classmethod
    def found(cls, groups: Groups, group: str, heartbeat: Heartbeat) -> ConsumerGroupMember:
        """A member that another server has talked to so far, and that has the epoch that it says; or one that leaves.

        Raises `RefusedError` if there is no such member, or if it may not know that its offsets were reset."""
        table = groups.find(group)
        if table is None:
            raise unknown(heartbeat.member_id, group)
        state = table.state()
        member = find_member(state.members.values(), group, heartbeat.member_id, heartbeat.instance_id)
        if groups.coordinator.is_gone(table, member):
            raise unknown(heartbeat.member_id, group)
        is_stale = heartbeat.epoch > state.generation or state.reset_by > member.epoch or member.absent_since_ms is not None
        if is_stale and heartbeat.epoch >= 0:
            raise fenced(heartbeat.epoch, state.generation)
        wanted = JoinRequest(
            member.topics, state.assignor, member.lease_ms, member.absence_ms, member.instance_id, member.remote
        )
        membership = Membership(groups, table, wanted, Origin(member.process_id, member.host, member.client_id))
        membership.adopt(member)
        return cls(membership, heartbeat.epoch)

    @property
    def remote(self) -> RemoteMember:
        """What the member said of itself last."""
        assert self.membership.member.remote is not None
        return self.membership.member.remote

    def slot(self, partition: TopicPartition) -> OffsetSlot | None:
        """The slot of a partition that the member owns, by what this server knows."""
        return self.membership.owned.get(partition)

    def is_settled(self, heartbeat: Heartbeat) -> bool:
        """Is there nothing to do for this heartbeat except showing that the member is alive?"""
        return (
            heartbeat.epoch == self.epoch
            and not self.membership.has_changed
            and self._catalog_version == heartbeat.catalog_version
            and self.remote._replace(**heartbeat.stated) == self.remote
            and self._revoking_since is None
            and not self._withheld
        )

    def seen(self) -> None:
        """Show that the member is alive."""
        self.seen_at = time.monotonic()
        self.membership.seen()

    def next_ms(self, interval_ms: int) -> int:
        """When the next heartbeat is due: soon, if partitions that the member waits for may become free, or if others may wait
        for those that it has."""
        if self._is_waiting:
            return min(interval_ms, _RETRY_MS)
        return min(interval_ms, _MIXED_MS) if self._is_mixed else interval_ms

    def check_epoch(self, heartbeat: Heartbeat) -> None:
        """Raise `RefusedError` unless this is the epoch that the member was told; or the one before, if it seems not to have
        received the last answer."""
        is_repeated = heartbeat.epoch == self._former_epoch and heartbeat.owned is not None
        if heartbeat.epoch != self.epoch and not (is_repeated and (heartbeat.owned or frozenset()) <= self.assigned):
            raise fenced(heartbeat.epoch, self.epoch)

    def reconcile(self, heartbeat: Heartbeat) -> None:
        """Do what the state of the group requires. Then the member has to be told what is assigned to it, even if `assigned` is
        what it was before: another server may have told it something else meanwhile.

        First the member gives up what is assigned to others. Only when it says that it has, it gets what is free, and the epoch
        of the group. Raises `RefusedError` if it is no longer a member, or takes too long to give partitions up; and
        `StaleMemberError` if another member has replaced this static one."""
        self.seen()
        self._subscribe(heartbeat)
        membership = self.membership
        review = membership.review()
        if review.is_expelled:
            raise unknown(heartbeat.member_id, membership.group.name)
        self._withheld |= self.assigned & set(review.lost)
        membership.disown(review.lost)
        if heartbeat.owned is not None:
            self._withheld &= heartbeat.owned
            membership.give_up([each for each in review.revoked if each not in heartbeat.owned])
        target = frozenset(membership.state.assignment.get(membership.member.epoch, ()))
        if membership.owned.keys() <= target:
            self._revoking_since = None
            membership.take(None, self._withheld)
            self._tell_epoch(membership.state.generation)
        else:
            self._check_revocation()
        self.assigned = (target & membership.owned.keys()) - self._withheld
        self._is_waiting = self.assigned != target
        self._is_mixed = any(member.remote is None for member in membership.state.members.values())

    def _subscribe(self, heartbeat: Heartbeat) -> None:
        remote = self.remote._replace(**heartbeat.stated)
        if (self._catalog_version, self.remote) != (heartbeat.catalog_version, remote):
            with suppress(StaleMemberError):  # the review that follows tells more
                self.membership.subscribe(heartbeat.topics_of(remote), remote)
            self._catalog_version = heartbeat.catalog_version

    def _tell_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self._former_epoch, self.epoch = self.epoch, epoch

    def _check_revocation(self) -> None:
        now = time.monotonic()
        if self._revoking_since is None:
            self._revoking_since = now
        if (now - self._revoking_since) * 1000 > self.remote.rebalance_timeout_ms:
            error = fenced(self.epoch, self.membership.state.generation)
            self.membership.leave(is_final=True)
            raise error


def find_member(members: Iterable[Member], group: str, member_id: str, instance_id: str | None) -> Member:
    """The remote member with these ids. Raises `RefusedError` if there is none."""
    if instance_id is None:
        found = next((each for each in members if each.remote is not None and each.member_id == member_id), None)
    else:
        found = next((each for each in members if each.instance_id == instance_id), None)
    if found is None:
        raise unknown(member_id, group)
    if found.remote is None or found.member_id != member_id:
        raise RefusedError(errors.FENCED_INSTANCE_ID, f"member {found.member_id!r} has the instance id {instance_id!r}")
    return found


def fenced(epoch: int, known: int) -> RefusedError:
    """The error for a member with an epoch that it cannot have."""
    text = f"the member has epoch {epoch}, where {known} is known: it must give up its partitions and join again"
    return RefusedError(errors.FENCED_MEMBER_EPOCH, text)


def unknown(member_id: str, group: str) -> RefusedError:
    """The error for what is not, or no longer, a member."""
    return RefusedError(errors.UNKNOWN_MEMBER_ID, f"{member_id!r} is not a member of group {group!r}")
