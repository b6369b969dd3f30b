"""A group's next generation, as pure functions of the group and of the existing partitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from eventlog.catalog.groups import GroupState, Member, RemoteMember
from eventlog.groups.assignors import ASSIGNORS


def subscribed_topics(members: Iterable[Member]) -> set[str]:
    """All topics that any of the members subscribes to."""
    return {topic for member in members for topic in member.topics}


def next_generation(state: GroupState, members: Iterable[Member], partition_counts: Mapping[str, int]) -> GroupState:
    """The group with these members, and with all partitions of their topics reassigned by the group's assignor. The workers of
    a share group work on all partitions, and none is assigned."""
    by_id = {member.member_id: member for member in members}
    if state.share is not None:
        epochs = {member.epoch: member for member in by_id.values()}
        return state._replace(generation=state.generation + 1, members=epochs, assignment={})
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


def voted_assignor(members: Iterable[Member], usual: str, joining: RemoteMember | None = None) -> str:
    """The assignor of a group, which is `usual` so far. Remote members vote for the ones that they prefer, as in Kafka; but a
    member of a local process uses the one that the group had when it joined, and no other."""
    remote = [joining] if joining is not None else []
    for member in members:
        if member.remote is None:
            return usual
        remote.append(member.remote)
    votes = Counter(each.assignor for each in remote if each.assignor is not None)
    most = max(votes.values(), default=0)
    return usual if votes[usual] == most else min(each for each, count in votes.items() if count == most)
