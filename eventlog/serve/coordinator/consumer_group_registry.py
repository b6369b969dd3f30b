"""The members of groups of the consumer protocol that this server talks to."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from eventlog.catalog.groups import RemoteMember
from eventlog.errors import EventLogError, GroupNotFoundError, StaleMemberError
from eventlog.groups.coordinator import Origin
from eventlog.groups.registry import Groups
from eventlog.serve import errors
from eventlog.serve.coordinator.consumer_group_members import ConsumerGroupMember, Heartbeat
from eventlog.serve.coordinator.topic_patterns import InvalidPatternError, TopicPattern
from eventlog.serve.errors import RefusedError

_PATTERNS_MAX = 1000
_JOIN = 0

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


class ConsumerGroupSettings(NamedTuple):
    """How long a member may be silent, and how often it sends a heartbeat, in milliseconds. The defaults are Kafka's."""

    session_timeout_ms: int = 45_000
    heartbeat_interval_ms: int = 5_000

    @classmethod
    def of_session(cls, session_timeout_ms: int) -> ConsumerGroupSettings:
        """The settings for a session timeout: a member may miss two of three heartbeats."""
        return cls(session_timeout_ms, max(1, min(5_000, session_timeout_ms // 3)))


class Reply(NamedTuple):
    """A member, and whether there may be news for it."""

    member: ConsumerGroupMember
    has_news: bool


class ConsumerGroups:
    """Everything runs on the event loop, except what is given to `in_thread`."""

    def __init__(self, groups: Groups, settings: ConsumerGroupSettings, in_thread: InThread) -> None:
        self.settings = settings
        self._groups = groups
        self._in_thread = in_thread
        self._members: dict[str, dict[str, ConsumerGroupMember]] = {}
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._matching: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._is_closed = False

    async def heartbeat(self, group: str, heartbeat: Heartbeat, origin: Origin) -> Reply:
        """Let a member join, or go on. Raises `RefusedError`, `EventLogError`."""
        turn = self._turns.setdefault(group, asyncio.Lock())
        async with turn:
            member = self._members.get(group, {}).get(heartbeat.member_id)
            if member is not None and self._is_current(member) and member.is_settled(heartbeat):
                member.seen()
                return Reply(member, False)
            self._sweep_later()
            reply: Reply = await self._in_thread(partial(self._answer, group, heartbeat, origin))
            return reply

    async def leave(self, group: str, heartbeat: Heartbeat, *, is_final: bool) -> None:
        """Let a member leave. Raises `RefusedError`, `EventLogError`."""
        turn = self._turns.setdefault(group, asyncio.Lock())
        async with turn:
            await self._in_thread(partial(self._leave, group, heartbeat, is_final))

    def epoch_of(self, group: str, member_id: str) -> int | None:
        """The epoch that this server has told a member last; None if it talks to no such member."""
        member = self._members.get(group, {}).get(member_id)
        return None if member is None else member.epoch

    def member_at(self, group: str, member_id: str, epoch: int) -> ConsumerGroupMember | None:
        """The member, if this server has told it this epoch last."""
        member = self._members.get(group, {}).get(member_id)
        return member if member is not None and member.epoch == epoch and self._is_current(member) else None

    # --- in a thread, while nothing else here concerns the group -----------------------------------------

    def _answer(self, group: str, heartbeat: Heartbeat, origin: Origin) -> Reply:
        members = self._members.setdefault(group, {})
        known = members.get(heartbeat.member_id)
        if heartbeat.epoch == _JOIN:
            member = ConsumerGroupMember.joined(self._groups, group, heartbeat, origin, self.settings.session_timeout_ms)
        elif known is not None and self._is_current(known):
            member = known
            member.check_epoch(heartbeat)
        else:
            member = ConsumerGroupMember.found(self._groups, group, heartbeat)
        if known is not None and known is not member:
            known.membership.abandon()
        members[heartbeat.member_id] = member
        try:
            member.reconcile(heartbeat)
        except (RefusedError, StaleMemberError, GroupNotFoundError) as error:
            if not isinstance(error, RefusedError) or error.code != errors.INVALID_REGULAR_EXPRESSION:
                self._forget(group, heartbeat.member_id)
            raise
        return Reply(member, True)

    def _leave(self, group: str, heartbeat: Heartbeat, is_final: bool) -> None:
        member = ConsumerGroupMember.found(self._groups, group, heartbeat)
        self._forget(group, heartbeat.member_id)
        member.membership.leave(is_final=is_final)

    def _forget(self, group: str, member_id: str) -> None:
        member = self._members.get(group, {}).pop(member_id, None)
        if member is not None:
            member.membership.abandon()

    def _is_current(self, member: ConsumerGroupMember) -> bool:
        """Has no other server talked to the member since? If it was silent for long, that is not certain."""
        return time.monotonic() - member.seen_at < self.settings.session_timeout_ms / 2000

    # --- topics ------------------------------------------------------------------------------------------

    def topics_of(self, remote: RemoteMember, names: Iterable[str], catalog_version: int) -> tuple[str, ...]:
        """Those of the topics `names` that a member subscribes to, sorted. Raises `RefusedError` for an invalid pattern."""
        matching = self._matching_topics(remote.pattern, names, catalog_version) if remote.pattern else ()
        return tuple(sorted({*matching, *set(remote.names).intersection(names)}))

    def _matching_topics(self, text: str, names: Iterable[str], catalog_version: int) -> tuple[str, ...]:
        found = self._matching.get(text)
        if found is None or found[0] != catalog_version:
            try:
                pattern = TopicPattern(text)
            except InvalidPatternError as error:
                reason = f"{text!r} cannot be used as a pattern of topics: {error}"
                raise RefusedError(errors.INVALID_REGULAR_EXPRESSION, reason) from None
            if len(self._matching) >= _PATTERNS_MAX:
                self._matching.clear()
            found = self._matching[text] = catalog_version, tuple(name for name in names if pattern.matches(name))
        return found[1]

    # --- members that were lost --------------------------------------------------------------------------

    def _sweep_later(self) -> None:
        if self._sweep is None and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(self.settings.session_timeout_ms / 1000, self._begin_sweep)

    def _begin_sweep(self) -> None:
        self._sweep = None
        if self._members and not self._is_closed:
            self._sweeping = asyncio.get_running_loop().create_task(self._forget_the_silent())
            self._sweep_later()

    async def _forget_the_silent(self) -> None:
        """Forget members that must have lost their membership, or that another server talks to."""
        before = time.monotonic() - 2 * self.settings.session_timeout_ms / 1000
        for group, members in list(self._members.items()):
            turn = self._turns.setdefault(group, asyncio.Lock())
            async with turn:
                for member_id in [each for each, member in members.items() if member.seen_at < before]:
                    with suppress(EventLogError):
                        await self._in_thread(partial(self._forget, group, member_id))
                if not members and self._members.get(group) is members:
                    del self._members[group]

    def close(self) -> None:
        """Stop watching the groups. The members live on: the next server that they find continues with them."""
        self._is_closed = True
        for members in list(self._members.values()):
            for member in members.values():
                with suppress(EventLogError):
                    member.membership.abandon()
        self._members.clear()
