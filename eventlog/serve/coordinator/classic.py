"""A classic group: the states in which its members join, get their assignments from the leader, and show that they are alive.

The rules are those of Kafka's brokers. Source: ClassicGroup.java and GroupMetadataManager.java of Apache Kafka. Everything here
runs on the event loop; the state that must survive the server is stored through `Store`.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from eventlog.catalog.classic import ClassicState
from eventlog.clock import now_ms
from eventlog.errors import EventLogError, StaleMemberError
from eventlog.serve import errors
from eventlog.serve.coordinator.members import Joining, Member, common_protocols, select_protocol
from eventlog.serve.coordinator.roster import Roster
from eventlog.serve.coordinator.sessions import cancel
from eventlog.serve.errors import RefusedError, code_of
from eventlog.serve.protocol.messages import kind

log = logging.getLogger("eventlog.serve")

GATHERING_SECONDS = 0.1
"""How long the first generation of a group waits for more members. With brokers this is `group.initial.rebalance.delay.ms`, and
3 s. kafka-python 3.0.12 may wait forever if it has joined before it knows its topics, for which it asks meanwhile."""

Store = Callable[[ClassicState], Awaitable[None]]
"""Stores a generation. Raises `StaleMemberError` if another process coordinates the group now."""


class State(Enum):
    """The states of a group, by Kafka's names."""

    EMPTY = "Empty"
    PREPARING = "PreparingRebalance"
    COMPLETING = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


class ClassicGroup:
    """The members of a group, continued from what was stored of it. `store` stores a generation; `emptied` is called when
    the last member has gone, and `died` when another process has taken the group over."""

    def __init__(
        self,
        name: str,
        stored: ClassicState,
        members_max: int,
        store: Store,
        emptied: Callable[[], None],
        died: Callable[[], None],
    ) -> None:
        self.name = name
        self.generation = stored.generation
        self.protocol_type, self.protocol = stored.protocol_type, stored.protocol
        self.state = State.STABLE if stored.members else State.EMPTY
        self._term, self._process_id = stored.term, stored.process_id
        self._store, self._emptied, self._died = store, emptied, died
        members = [Member.of(each) for each in stored.members]
        self._roster = Roster(name, members, stored.leader, members_max, self._expire, self._go_on)
        self._unsynced: set[str] = set()
        self._is_gathering = False  # is the first generation of a group without members about to begin?
        self._join_timer: asyncio.TimerHandle | None = None
        self._sync_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    @property
    def members(self) -> Mapping[str, Member]:
        """The members by their ids."""
        return self._roster.members

    @property
    def is_idle(self) -> bool:
        """Has the group neither members nor clients that are about to join?"""
        return self._roster.is_idle

    # --- joining -----------------------------------------------------------------------------------------

    async def join(self, request: Joining) -> Any:
        """Become a member, or join the next generation; returns the answer once that has begun. Raises `RefusedError`."""
        self._check_alive()
        try:
            self._roster.check_room_for(request.member_id, is_rebalancing=self.state is State.PREPARING)
        except RefusedError:
            self._roster.remove(request.member_id)
            raise
        self._check_protocols(request)
        if not request.member_id:
            return await self._join_new(request)
        if self._roster.stop_expecting(request.member_id):
            return await self._add(request, request.member_id)
        member = self.member(request.member_id, request.instance_id)
        has_changed = member.protocols != request.protocols
        is_leader_again = self.state is State.STABLE and member.id == self._roster.leader
        if self.state is State.PREPARING or has_changed or is_leader_again:
            member.update(request)
            return await self._rejoin(member)
        return self._joined(member)  # it has not received this answer, or it asks for its assignment again

    def _check_protocols(self, request: Joining) -> None:
        if self.state is State.EMPTY:
            return
        offered = {name for name, _ in request.protocols}
        is_same_type = request.protocol_type == self.protocol_type
        if not is_same_type or not offered & common_protocols(self.members.values()):
            raise RefusedError(errors.INCONSISTENT_GROUP_PROTOCOL, f"the members of group {self.name!r} use other protocols")

    async def _join_new(self, request: Joining) -> Any:
        member_id = f"{request.instance_id or request.client_id}-{uuid.uuid4()}"
        if request.instance_id is not None:
            former = self._roster.find_static(request.instance_id)
            if former is not None:
                return await self._replace(former, member_id, request)
        elif request.may_get_id:
            self._roster.expect(member_id, request.session_timeout_ms / 1000)
            return kind("JoinGroupResponse")(error_code=errors.MEMBER_ID_REQUIRED, member_id=member_id)
        return await self._add(request, member_id)

    async def _add(self, request: Joining, member_id: str) -> Any:
        member = Member(member_id, request)
        self._roster.add(member)
        if self.state is State.EMPTY:
            self.protocol_type = request.protocol_type
        return await self._rejoin(member)

    async def _rejoin(self, member: Member) -> Any:
        member.answer_join(kind("JoinGroupResponse")(error_code=errors.REBALANCE_IN_PROGRESS, member_id=member.id))
        answer = member.joining = self._loop.create_future()
        if self.state is State.PREPARING:
            self._complete_if_all_joined()
        else:
            self._rebalance()
        return await answer

    async def _replace(self, former: Member, member_id: str, request: Joining) -> Any:
        """A static member is back. If nothing changes for the others, they need not join again."""
        leader, member = self._roster.leader, Member(member_id, request)
        self._roster.replace(former, member)
        self._unsynced.discard(former.id)
        if self.state is not State.STABLE or select_protocol(self.members.values()) != self.protocol:
            return await self._rejoin(member)
        try:
            await self._store(self._stored({each.id: each.assignment for each in self.members.values()}))
        except StaleMemberError as error:
            self._lose()
            raise RefusedError(errors.NOT_COORDINATOR, str(error)) from None
        answer = self._joined(member)
        answer.skip_assignment = request.may_skip and self._roster.leader == member_id
        if not request.may_skip:
            answer.leader, answer.members = leader, []  # it must not think that it has to assign
        return answer

    def _joined(self, member: Member) -> Any:
        response, entry = kind("JoinGroupResponse"), kind("JoinGroupResponse", "JoinGroupResponseMember")
        members = []
        if member.id == self._roster.leader:
            members = [
                entry(member_id=each.id, group_instance_id=each.instance_id, metadata=each.metadata(self.protocol))
                for each in self.members.values()
            ]
        return response(
            generation_id=self.generation,
            protocol_type=self.protocol_type,
            protocol_name=self.protocol,
            leader=self._roster.leader,
            member_id=member.id,
            members=members,
        )

    # --- a rebalance -------------------------------------------------------------------------------------

    def _rebalance(self) -> None:
        """Let all members join again."""
        if self.state is State.COMPLETING:
            self._refuse_syncs(errors.REBALANCE_IN_PROGRESS)
        self._unsynced.clear()
        cancel(self._sync_timer)
        self._is_gathering = self.state is State.EMPTY
        self.state = State.PREPARING
        if self._is_gathering:
            self._join_timer = self._loop.call_later(GATHERING_SECONDS, self._complete_join)
        elif not self._complete_if_all_joined():
            self._join_timer = self._loop.call_later(self._roster.rebalance_seconds, self._complete_join)

    def _complete_if_all_joined(self) -> bool:
        is_complete = self._roster.has_all_joined and not self._is_gathering
        if is_complete:
            self._complete_join()
        return is_complete

    def _complete_join(self) -> None:
        """Begin the next generation, with the members that have joined it."""
        cancel(self._join_timer)
        self._is_gathering = False
        for member in list(self.members.values()):
            if member.joining is None and member.instance_id is None:
                self._roster.remove(member.id)
        joined = self._roster.joined
        if self.members and not joined:  # static members, for which their partitions are kept
            self._join_timer = self._loop.call_later(self._roster.rebalance_seconds, self._complete_join)
            return
        self.generation += 1
        if not self.members:
            self._become_empty()
            return
        if self._roster.leader not in joined:
            self._roster.leader = joined[0]
        self.protocol = select_protocol(self.members.values())
        self.state = State.COMPLETING
        self._unsynced = set(self.members)
        for member in self.members.values():
            member.answer_join(self._joined(member))
            self.seen(member)
        self._sync_timer = self._loop.call_later(self._roster.rebalance_seconds, self._expel_unsynced, self.generation)

    def _become_empty(self) -> None:
        self.state, self.protocol, self._roster.leader = State.EMPTY, "", ""
        if self.is_idle:
            self._emptied()

    def _expel_unsynced(self, generation: int) -> None:
        if generation == self.generation and self.state in (State.COMPLETING, State.STABLE) and self._unsynced:
            for member_id in list(self._unsynced):
                self._remove(member_id)
            self._rebalance()

    # --- assignments -------------------------------------------------------------------------------------

    async def sync(self, request: Any) -> Any:
        """Get the assignment, once the leader has sent it. Raises `RefusedError`."""
        member = self.current_member(request.member_id, request.group_instance_id, request.generation_id)
        is_other_type = request.protocol_type not in (None, self.protocol_type)
        if is_other_type or request.protocol_name not in (None, self.protocol):
            raise RefusedError(errors.INCONSISTENT_GROUP_PROTOCOL, f"group {self.name!r} uses protocol {self.protocol!r}")
        if self.state is State.PREPARING:
            raise RefusedError(errors.REBALANCE_IN_PROGRESS, "the members are joining again")
        self._unsynced.discard(member.id)
        if self.state is State.STABLE:
            self.seen(member)
            return self._assigned(member)
        member.answer_sync(kind("SyncGroupResponse")(error_code=errors.REBALANCE_IN_PROGRESS))
        answer = member.syncing = self._loop.create_future()
        if member.id == self._roster.leader:
            assignments = {each.member_id: bytes(each.assignment) for each in request.assignments}
            task = self._loop.create_task(self._assign(self.generation, assignments))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _assign(self, generation: int, assignments: Mapping[str, bytes]) -> None:
        """Store what the leader has assigned, and answer everybody who waits for it."""
        code = errors.NONE
        try:
            await self._store(self._stored(assignments))
        except StaleMemberError:
            self._lose()
            return
        except (EventLogError, OSError) as error:
            log.warning("group %s: generation %d cannot be stored: %s", self.name, generation, error)
            code = code_of(error)
        if self.state is not State.COMPLETING or generation != self.generation:
            return
        if code:
            self._refuse_syncs(code)
            self._rebalance()
            return
        self.state = State.STABLE
        for member in self.members.values():
            member.assignment = assignments.get(member.id, b"")
            if member.syncing is not None:
                member.answer_sync(self._assigned(member))
                self.seen(member)

    def _assigned(self, member: Member) -> Any:
        response = kind("SyncGroupResponse")
        return response(protocol_type=self.protocol_type, protocol_name=self.protocol, assignment=member.assignment)

    def _refuse_syncs(self, code: int) -> None:
        for member in self.members.values():
            member.assignment = b""
            if member.syncing is not None:
                member.answer_sync(kind("SyncGroupResponse")(error_code=code))
                self.seen(member)

    def _stored(self, assignments: Mapping[str, bytes]) -> ClassicState:
        members = tuple(member.stored(assignments.get(member.id, b"")) for member in self.members.values())
        leader = self._roster.leader
        return ClassicState(
            self._term, self._process_id, self.generation, self.protocol_type, self.protocol, leader, now_ms(), members
        )

    def as_empty(self) -> ClassicState:
        """What is stored of the group once it is empty."""
        return ClassicState(self._term, self._process_id, self.generation, self.protocol_type, stored_ms=now_ms())

    # --- members -----------------------------------------------------------------------------------------

    def member(self, member_id: str, instance_id: str | None) -> Member:
        """A member by its ids. Raises `RefusedError`."""
        self._check_alive()
        return self._roster.find(member_id, instance_id)

    def current_member(self, member_id: str, instance_id: str | None, generation: int) -> Member:
        """A member of the current generation. Raises `RefusedError`."""
        member = self.member(member_id, instance_id)
        if generation != self.generation:
            raise RefusedError(errors.ILLEGAL_GENERATION, f"the generation is {self.generation}, and not {generation}")
        return member

    def heartbeat(self, member_id: str, instance_id: str | None, generation: int) -> None:
        """A member is alive. Raises `RefusedError`, also when it has to join again."""
        self.seen(self.current_member(member_id, instance_id, generation))
        if self.state is State.PREPARING:
            raise RefusedError(errors.REBALANCE_IN_PROGRESS, "the members are joining again")

    def seen(self, member: Member) -> None:
        """The session of a member begins anew."""
        self._roster.seen(member)

    def leave(self, identities: Iterable[tuple[str, str | None]]) -> list[int]:
        """Remove members, each by its id, or only by its instance id; returns an error code for each."""
        self._check_alive()
        codes, has_left = [], False
        for member_id, instance_id in identities:
            try:
                has_left = self._leave(member_id, instance_id) or has_left
                codes.append(errors.NONE)
            except RefusedError as error:
                codes.append(error.code)
        if has_left:
            self._continue_without()
        return codes

    def _leave(self, member_id: str, instance_id: str | None) -> bool:
        """Returns whether a member has left, and not only a client that was to join."""
        if not member_id and instance_id is not None:
            static = self._roster.find_static(instance_id)
            member_id = static.id if static is not None else ""
        elif self._roster.stop_expecting(member_id):
            self._go_on()
            return False
        self._remove(self.member(member_id, instance_id).id)
        return True

    def _expire(self, member: Member) -> None:
        log.info("group %s: member %s has sent no heartbeat for %.1f s", self.name, member.id, member.session_seconds)
        self._remove(member.id)
        self._continue_without()

    def _remove(self, member_id: str) -> None:
        self._roster.remove(member_id)
        self._unsynced.discard(member_id)

    def _continue_without(self) -> None:
        """Members have left or are gone: the others share their partitions."""
        if self.state in (State.STABLE, State.COMPLETING):
            self._rebalance()
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Somebody who was waited for does not come."""
        if self.state is State.PREPARING:
            self._complete_if_all_joined()
        elif self.is_idle:
            self._emptied()

    # --- its end -----------------------------------------------------------------------------------------

    def _check_alive(self) -> None:
        if self.state is State.DEAD:
            raise RefusedError(errors.NOT_COORDINATOR, f"another server coordinates group {self.name!r}")

    def _lose(self) -> None:
        self.close()
        self._died()

    def close(self) -> None:
        """Let the clients that wait look for the coordinator again. The members stay what they are for the next coordinator."""
        self.state = State.DEAD
        cancel(self._join_timer)
        cancel(self._sync_timer)
        self._roster.close(errors.NOT_COORDINATOR)
