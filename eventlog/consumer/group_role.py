"""A consumer's role in its group."""

from __future__ import annotations

from typing import Any

from eventlog.consumer.rebalance import RebalanceListener
from eventlog.errors import StaleMemberError
from eventlog.groups.membership import Membership
from eventlog.groups.table import GroupTable


class _NoMembership:
    """Stands for the membership of a consumer that is not a member of a group."""

    def __init__(self) -> None:
        self.wants_attention = False


class GroupRole:
    """`table` is the group that this process has open, None while the consumer has not used one. `membership` is None while it
    is not a member, as with `assign`. `fenced` is the error by which another member fenced this one, or None. A fenced consumer
    may not join again, because that would fence the other one in turn. `listener` is called when partitions come and go."""

    def __init__(self, listener: RebalanceListener) -> None:
        self.listener = listener
        self.table: GroupTable | None = None
        self.membership: Membership | None = None
        self.fenced: StaleMemberError | None = None
        self._no_membership = _NoMembership()

    @property
    def is_current(self) -> bool:
        """May this consumer still hand out the records that it has just read?"""
        return self.membership is None or not self.membership.has_changed

    @property
    def attention(self) -> Any:
        """An object whose `wants_attention` is true once the consumer has to show that it is at work, or is asked to end."""
        return self.membership if self.membership is not None else self._no_membership

    def ask_for_attention(self) -> None:
        """Let an iteration come back before its next record. Any thread may call it."""
        self._no_membership.wants_attention = True
        membership = self.membership
        if membership is not None:
            membership.wants_attention = True

    def has_attended(self) -> None:
        """What was asked before is about to be found out. A member shows that it is at work by itself."""
        self._no_membership.wants_attention = False

    def seen(self) -> None:
        """Show the group that this member is at work."""
        if self.membership is not None:
            self.membership.seen()
