"""A group's next generation, as pure functions of the group and of the existing partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from eventlog.catalog.groups import GroupState, Member
from eventlog.groups.assignors import ASSIGNORS


def subscribed_topics(members: Iterable[Member]) -> set[str]:
    """All topics that any of the members subscribes to."""
    return {topic for member in members for topic in member.topics}


def next_generation(state: GroupState, members: Iterable[Member], partition_counts: Mapping[str, int]) -> GroupState:
    """The group with these members, and with all partitions of their topics reassigned by the group's assignor."""
    by_id = {member.member_id: member for member in members}
    assigned = ASSIGNORS[state.assignor](
        {member_id: member.topics for member_id, member in by_id.items()},
        partition_counts,
        {member_id: state.assignment.get(member.epoch, ()) for member_id, member in by_id.items()},
    )
    return state._replace(
        generation=state.generation + 1,
        members={member.epoch: member for member in by_id.values()},
        assignment={by_id[member_id].epoch: tuple(partitions) for member_id, partitions in assigned.items()},
    )


def succeed(state: GroupState, former: Member, member: Member) -> GroupState:
    """The group after a static member returned as `member`, with the partitions that it had before."""
    members = {epoch: each for epoch, each in state.members.items() if epoch != former.epoch}
    assignment = {epoch: each for epoch, each in state.assignment.items() if epoch != former.epoch}
    return state._replace(
        generation=state.generation + 1,
        members={**members, member.epoch: member},
        assignment={**assignment, member.epoch: state.assignment.get(former.epoch, ())},
    )
