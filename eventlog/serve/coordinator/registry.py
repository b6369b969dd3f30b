"""The classic groups that this server coordinates: each is loaded from the catalog when a client first asks for it."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from eventlog.catalog.classic import ClassicState
from eventlog.errors import EventLogError, InvalidArgumentError, StaleMemberError
from eventlog.groups.classic import Term, begin_term, find_classic
from eventlog.groups.registry import Groups
from eventlog.serve import errors
from eventlog.serve.coordinator.classic import ClassicGroup, State
from eventlog.serve.coordinator.members import Joining
from eventlog.serve.errors import RefusedError

_Result = TypeVar("_Result")
InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


class GroupSettings(NamedTuple):
    """Limits for the members of classic groups; brokers refuse sessions of less than 6 s, which tests would
    have to wait for. Every
    `watch_seconds` a server checks which groups another one is to coordinate."""

    session_timeout_ms_min: int = 1_000
    session_timeout_ms_max: int = 1_800_000
    members_max: int = 1_024
    watch_seconds: float = 1.0


class Coordinated(NamedTuple):
    """A group that this server coordinates, and its term. Who holds `writing` is alone in changing what is stored of it."""

    group: ClassicGroup
    term: Term
    writing: asyncio.Lock


class GroupCoordinator:
    """Everything runs on the event loop, except what is given to `in_thread`."""

    def __init__(
        self, groups: Groups, settings: GroupSettings, in_thread: InThread, is_mine: Callable[[str], bool]
    ) -> None:
        """`is_mine` returns, in a thread, whether this server is the one that clients find as a group's coordinator."""
        self.groups = groups
        self.settings = settings
        self._in_thread = in_thread
        self._is_mine = is_mine
        self._watching: asyncio.Task[None] | None = None
        self._coordinated: dict[str, Coordinated] = {}
        self._loading: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    def find_loaded(self, name: str) -> Coordinated | None:
        """A group that is in memory."""
        return self._coordinated.get(name)

    async def find(self, name: str) -> Coordinated | None:
        """The group with its members, loaded if necessary; None if it has no remote members. Raises `RefusedError`."""
        found = self._coordinated.get(name)
        if found is None:
            stored = await self._in_thread(lambda: find_classic(self.groups, name))
            if stored is not None and stored.members:
                found = await self._load(name)
        return found

    async def join(self, name: str, request: Joining) -> Any:
        """Let a client join a group; the first one makes it. Raises `RefusedError`."""
        found = await self.find(name)
        if found is None and request.member_id:
            raise RefusedError(errors.UNKNOWN_MEMBER_ID, f"group {name!r} has no member {request.member_id!r}")
        group = (found or await self._load(name)).group
        try:
            return await group.join(request)
        finally:
            if group.is_idle and group.state is State.EMPTY:
                self._release(name)

    async def leave(self, found: Coordinated, identities: Iterable[tuple[str, str | None]]) -> list[int]:
        """Remove members; returns an error code for each. The last one leaves an empty group behind. Raises `RefusedError`."""
        codes = found.group.leave(identities)
        if found.group.is_idle:
            await self._end_term(found.group.name)
        return codes

    async def _load(self, name: str) -> Coordinated:
        async with self._lock(name):
            found = self._coordinated.get(name)
            if found is not None:
                return found
            self._check_running()
            try:
                term, stored = await self._in_thread(lambda: self._begin_term(name))
            except InvalidArgumentError as error:
                raise RefusedError(errors.INCONSISTENT_GROUP_PROTOCOL, str(error)) from None
            except StaleMemberError as error:
                raise RefusedError(errors.NOT_COORDINATOR, str(error)) from None
            self._check_running()
            return self._coordinate(name, term, stored)

    def _begin_term(self, name: str) -> tuple[Term, ClassicState]:
        if not self._is_mine(name):
            raise RefusedError(errors.NOT_COORDINATOR, f"another server coordinates group {name!r}")
        return begin_term(self.groups, name)

    def _coordinate(self, name: str, term: Term, stored: ClassicState) -> Coordinated:
        writing = asyncio.Lock()

        async def store(state: ClassicState) -> None:
            async with writing:
                await self._in_thread(lambda: term.store(state))

        group = ClassicGroup(
            name, stored, self.settings.members_max, store, lambda: self._release(name), lambda: self._forget(name)
        )
        found = self._coordinated[name] = Coordinated(group, term, writing)
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())
        return found

    def _check_running(self) -> None:
        if self._is_stopped:
            raise RefusedError(errors.NOT_COORDINATOR, "the server is stopping")

    def _lock(self, name: str) -> asyncio.Lock:
        return self._loading.setdefault(name, asyncio.Lock())

    async def run_alone(self, found: Coordinated, function: Callable[[], _Result]) -> _Result:
        """Change what is stored of a group, in a thread, while no generation of it is being stored. Raises `RefusedError` if
        another process coordinates it now."""
        async with found.writing:
            try:
                result: _Result = await self._in_thread(function)
            except StaleMemberError as error:
                found.group.close()
                self._forget(found.group.name)
                raise RefusedError(errors.NOT_COORDINATOR, str(error)) from None
            return result

    # --- giving groups up --------------------------------------------------------------------------------

    def _release(self, name: str) -> None:
        """Store that a group is empty, and forget it, unless somebody joins meanwhile."""
        self._begin(self._end_term(name))

    async def _end_term(self, name: str) -> None:
        async with self._lock(name):
            found = self._coordinated.get(name)
            if found is None or not found.group.is_idle:
                return
            del self._coordinated[name]
            state = found.group.as_empty()
            found.group.close()
            async with found.writing:
                try:
                    await self._in_thread(lambda: found.term.end(state))
                except (EventLogError, OSError):
                    return  # the next coordinator finds the last generation, whose sessions then end

    def _forget(self, name: str) -> None:
        """Another process coordinates the group now."""
        found = self._coordinated.pop(name, None)
        if found is not None:
            self._begin(self._withdraw(found.term))

    async def _withdraw(self, term: Term) -> None:
        await self._in_thread(lambda: self.groups.coordinator.presence.withdraw(term.number))

    async def _watch(self) -> None:
        """Hand groups over that clients look for at another server, which has just come or come back."""
        while True:
            await asyncio.sleep(self.settings.watch_seconds)
            with suppress(EventLogError, OSError, RefusedError):
                for name in await self._in_thread(self._find_moved):
                    await self.hand_over(name)

    def _find_moved(self) -> list[str]:
        return [name for name in list(self._coordinated) if not self._is_mine(name)]

    async def hand_over(self, name: str) -> None:
        """Let another server coordinate a group: its members look for it there, and continue."""
        async with self._lock(name):
            found = self._coordinated.pop(name, None)
            if found is not None:
                found.group.close()
                await self.run_alone(found, found.term.end)

    async def empty(self, name: str) -> bool:
        """Give a group without members up before it is deleted; returns False if it has members."""
        found = self._coordinated.get(name)
        if found is not None and not found.group.members:
            await self.hand_over(name)
            return True
        return found is None

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Answer all clients that wait. The next server to be asked for these groups continues with their members."""
        self._is_stopped = True
        if self._watching is not None:
            self._watching.cancel()
        for name in list(self._coordinated):
            self._begin(self.hand_over(name))
        await asyncio.gather(*self._tasks, return_exceptions=True)
