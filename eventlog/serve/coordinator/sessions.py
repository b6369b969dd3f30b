"""The sessions of a group's members: a member that is silent for longer than its session has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from eventlog.serve.coordinator.members import Member


class Sessions:
    """Calls `expired` with each member whose session ends. A heartbeat only moves the deadline: the timer finds that out."""

    def __init__(self, expired: Callable[[Member], None]) -> None:
        self._expired = expired
        self._loop = asyncio.get_running_loop()

    def begin(self, member: Member) -> None:
        """The member was heard of: its session begins anew."""
        member.deadline = self._loop.time() + member.session_seconds
        if member.timer is None or member.timer.when() > member.deadline:
            cancel(member.timer)
            member.timer = self._loop.call_at(member.deadline, self._check, member)

    def end(self, member: Member) -> None:
        """The member has left."""
        cancel(member.timer)

    def _check(self, member: Member) -> None:
        now = self._loop.time()
        if member.is_waiting:
            member.deadline = now + member.session_seconds
        if now < member.deadline:
            member.timer = self._loop.call_at(member.deadline, self._check, member)
        else:
            self._expired(member)


def cancel(timer: asyncio.TimerHandle | None) -> None:
    """Cancel a timer, if there is one."""
    if timer is not None:
        timer.cancel()
