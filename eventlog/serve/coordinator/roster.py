"""Who is in a classic group: its members, its leader, and the clients that were given an id and are about to join."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from eventlog.serve import errors
from eventlog.serve.coordinator.members import Member
from eventlog.serve.coordinator.sessions import Sessions, cancel
from eventlog.serve.errors import RefusedError


class Roster:
    """`members` by their ids. `expired` is called with a member whose session ends, before it is removed, and `given_up` when
    a client has not joined with its id in time."""

    def __init__(
        self,
        name: str,
        members: Iterable[Member],
        leader: str,
        members_max: int,
        expired: Callable[[Member], None],
        given_up: Callable[[], None],
    ) -> None:
        self.members = {member.id: member for member in members}
        self.leader = leader
        self._name = name
        self._members_max = members_max
        self._given_up = given_up
        self._expected: dict[str, asyncio.TimerHandle] = {}
        self._sessions = Sessions(expired)
        for member in self.members.values():
            self.seen(member)

    @property
    def is_idle(self) -> bool:
        """Are there neither members nor clients that are about to join?"""
        return not self.members and not self._expected

    @property
    def joined(self) -> list[str]:
        """The ids of the members that wait for the next generation."""
        return [member.id for member in self.members.values() if member.joining is not None]

    @property
    def has_all_joined(self) -> bool:
        """Can the next generation begin without waiting for anybody?"""
        return not self._expected and len(self.joined) == len(self.members)

    @property
    def rebalance_seconds(self) -> float:
        """How long a rebalance may wait for members: as long as one of them allows."""
        return max((member.rebalance_seconds for member in self.members.values()), default=0.0)

    def seen(self, member: Member) -> None:
        """The session of a member begins anew."""
        self._sessions.begin(member)

    # --- finding -----------------------------------------------------------------------------------------

    def find(self, member_id: str, instance_id: str | None) -> Member:
        """A member by its ids. Raises `RefusedError`."""
        static = None if instance_id is None else self.find_static(instance_id)
        if static is not None and static.id != member_id:
            raise RefusedError(errors.FENCED_INSTANCE_ID, f"another client uses the instance id {instance_id!r} now")
        member = self.members.get(member_id)
        if member is None or (instance_id is not None and static is None):
            raise RefusedError(errors.UNKNOWN_MEMBER_ID, f"group {self._name!r} has no member {member_id!r}")
        return member

    def find_static(self, instance_id: str) -> Member | None:
        """The static member with this instance id."""
        return next((member for member in self.members.values() if member.instance_id == instance_id), None)

    def check_room_for(self, member_id: str, *, is_rebalancing: bool) -> None:
        """Raise `RefusedError` if the group is full. In a rebalance those that join last have to go."""
        member = self.members.get(member_id)
        is_known = member is not None and (member.joining is not None or not is_rebalancing)
        taken = len(self._expected) + len(self.joined if is_rebalancing else self.members)
        if not is_known and member_id not in self._expected and taken >= self._members_max:
            raise RefusedError(errors.GROUP_MAX_SIZE_REACHED, f"a group has at most {self._members_max} members")

    # --- coming and going --------------------------------------------------------------------------------

    def add(self, member: Member) -> None:
        """A new member; the first one is the leader."""
        self.members[member.id] = member
        self.leader = self.leader if self.leader in self.members else member.id

    def replace(self, former: Member, member: Member) -> None:
        """A static member is back with another id: the requests of the one that had its instance id are refused."""
        self._sessions.end(former)
        former.refuse(errors.FENCED_INSTANCE_ID)
        del self.members[former.id]
        self.members[member.id] = member
        member.assignment = former.assignment
        if self.leader == former.id:
            self.leader = member.id
        self.seen(member)

    def remove(self, member_id: str) -> None:
        """A member is gone; if it led, another one does."""
        member = self.members.pop(member_id, None)
        if member is not None:
            self._sessions.end(member)
            member.refuse(errors.UNKNOWN_MEMBER_ID)
            if self.leader == member_id:
                self.leader = next(iter(self.members), "")

    def expect(self, member_id: str, seconds: float) -> None:
        """A client was given this id, and is to join with it."""
        self._expected[member_id] = asyncio.get_running_loop().call_later(seconds, self._give_up, member_id)

    def stop_expecting(self, member_id: str) -> bool:
        """Was a client to join with this id? It has come, or does not come."""
        timer = self._expected.pop(member_id, None)
        cancel(timer)
        return timer is not None

    def _give_up(self, member_id: str) -> None:
        self.stop_expecting(member_id)
        self._given_up()

    def close(self, code: int) -> None:
        """Refuse all requests that wait, and forget the clients that are about to join. The members stay what they are."""
        for member_id in list(self._expected):
            self.stop_expecting(member_id)
        for member in self.members.values():
            self._sessions.end(member)
            member.refuse(code)
