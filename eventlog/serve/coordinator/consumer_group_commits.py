"""Commits of members of the consumer protocol (KIP-848): which of them may commit, and how.

A member commits what it owns, or what nobody owns. Its epoch only has to be one that it can have been told: what keeps a
member from committing for another is the owner in each slot, which a member also keeps across generations.
Source: ConsumerGroup.validateOffsetCommit of Apache Kafka, which is stricter before KIP-1251.
"""

from __future__ import annotations

from collections.abc import Mapping

from eventlog.catalog.groups import GroupState, Member
from eventlog.errors import StaleMemberError
from eventlog.groups.registry import Groups
from eventlog.groups.remote_commits import RemoteCommit, commit_as_member
from eventlog.groups.table import GroupTable
from eventlog.records.record import TopicPartition
from eventlog.serve import errors
from eventlog.serve.coordinator.consumer_group_members import find_member, unknown
from eventlog.serve.errors import RefusedError

_WITH_EPOCHS = 9  # the first version in which a member can name its epoch


def commit_for(
    groups: Groups, group: str, member_id: str, epoch: int, version: int, commits: Mapping[TopicPartition, RemoteCommit]
) -> None:
    """Commit for a member, all or nothing. Raises `RefusedError`, and `LockTimeoutError`."""
    table, member = check_member(groups, group, member_id, epoch)
    if version < _WITH_EPOCHS:
        raise RefusedError(errors.UNSUPPORTED_VERSION, "a member of the consumer protocol commits with version 9 or later")
    try:
        commit_as_member(groups, table, member.epoch, commits)
    except StaleMemberError as error:
        raise RefusedError(errors.STALE_MEMBER_EPOCH, str(error)) from None


def check_member(groups: Groups, group: str, member_id: str, epoch: int) -> tuple[GroupTable, Member]:
    """The member with this id, and its group. Raises `RefusedError` unless it can have this epoch."""
    table = groups.find(group)
    if table is None:
        raise unknown(member_id, group)
    state: GroupState = table.state()
    member = find_member(state.members.values(), group, member_id, None)
    if groups.coordinator.is_gone(table, member) or member.absent_since_ms is not None:
        raise unknown(member_id, group)
    if not 0 < epoch <= state.generation:
        raise RefusedError(errors.STALE_MEMBER_EPOCH, f"the member has epoch {epoch}, but the group has {state.generation}")
    return table, member
