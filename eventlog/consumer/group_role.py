"""A consumer's part in its group."""

from __future__ import annotations

from typing import Any

from eventlog.consumer.rebalance import RebalanceListener
from eventlog.errors import StaleMemberError
from eventlog.groups.membership import Membership
from eventlog.groups.table import GroupTable


class _NoMembership:
    """Stands for the membership of a consumer that is not a member of a group."""

    wants_attention = False


class GroupRole:
    """`table` is the group as this process has it open, None while the consumer has not used one. `membership` is None while it
    is not a member, as with `assign`. `fenced` says why it may not join again: that would fence the other one, and so on.
    `listener` hears of the partitions that come and go."""

    def __init__(self, listener: RebalanceListener) -> None:
        self.listener = listener
        self.table: GroupTable | None = None
        self.membership: Membership | None = None
        self.fenced: StaleMemberError | None = None

    @property
    def is_current(self) -> bool:
        """Is what was just read still this consumer's to hand out?"""
        return self.membership is None or not self.membership.has_changed

    @property
    def attention(self) -> Any:
        """What has `wants_attention`, true once the consumer is to show that it is at work."""
        return self.membership if self.membership is not None else _NoMembership

    def seen(self) -> None:
        """Say that a member is at work."""
        if self.membership is not None:
            self.membership.seen()
