"""The members of classic groups, as those of other groups are shown."""

from __future__ import annotations

from collections.abc import Mapping

from eventlog.catalog.classic import ClassicMember, ClassicState
from eventlog.catalog.groups import GroupState, Member, RemoteMember
from eventlog.groups.consumer_protocol import PROTOCOL_TYPE, assigned_partitions, subscribed_topics
from eventlog.records.record import TopicPartition


def shown_members(state: GroupState) -> tuple[dict[int, Member], dict[TopicPartition, int]]:
    """The members of a classic group, each by a number below zero in place of an epoch, and the number of the member that
    the leader has assigned each partition to."""
    assert state.classic is not None
    classic = state.classic
    members, owners = {}, {}
    for number, each in enumerate(classic.members, 1):
        members[-number] = Member(
            epoch=-number,
            seat=-1,
            process_id=classic.process_id,
            host=each.host,
            topics=topics_of(classic, each),
            lease_ms=each.session_timeout_ms,
            absence_ms=0,
            joined_ms=each.joined_ms,
            instance_id=each.instance_id,
            client_id=each.client_id,
            remote=RemoteMember(each.member_id),
        )
        if classic.protocol_type == PROTOCOL_TYPE:
            owners.update(dict.fromkeys(assigned_partitions(each.assignment), -number))
    return members, owners


def topics_of(classic: ClassicState, member: ClassicMember) -> tuple[str, ...]:
    """The topics that a remote member subscribes to; none if it is not a consumer."""
    if classic.protocol_type != PROTOCOL_TYPE:
        return ()
    chosen = next((metadata for name, metadata in member.protocols if name == classic.protocol), b"")
    return subscribed_topics(chosen)


def assignment_by_member(owners: Mapping[TopicPartition, int]) -> dict[int, tuple[TopicPartition, ...]]:
    """The partitions of each member."""
    found: dict[int, list[TopicPartition]] = {}
    for partition, number in sorted(owners.items()):
        found.setdefault(number, []).append(partition)
    return {number: tuple(partitions) for number, partitions in found.items()}




def remote_owner_ids(state: GroupState) -> dict[TopicPartition, str]:
    """The id of the member that each partition of a classic group is assigned to; nothing for other groups."""
    if state.classic is None:
        return {}
    members, owners = shown_members(state)
    return {partition: members[number].member_id for partition, number in owners.items()}
