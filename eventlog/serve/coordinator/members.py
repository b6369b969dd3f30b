"""A member of a classic group, and the protocols that it offers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from eventlog.catalog.classic import ClassicMember
from eventlog.clock import now_ms
from eventlog.serve.protocol.messages import kind


class Joining(NamedTuple):
    """What a client says when it joins. `may_get_id` says that a new member first gets an id, and then joins with it;
    `may_skip` that the client understands `skip_assignment`."""

    member_id: str
    instance_id: str | None
    client_id: str
    host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str
    protocols: tuple[tuple[str, bytes], ...]
    may_get_id: bool
    may_skip: bool


class Member:
    """A member. `joining` and `syncing` are the requests of its client that wait for an answer; `deadline` is when its session
    ends, in the time of the event loop."""

    def __init__(self, member_id: str, request: Joining | ClassicMember) -> None:
        self.id = member_id
        self.instance_id = request.instance_id
        self.client_id = request.client_id
        self.host = request.host
        self.joined_ms = now_ms()
        self.assignment = b""
        self.joining: asyncio.Future[Any] | None = None
        self.syncing: asyncio.Future[Any] | None = None
        self.deadline = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.update(request)

    def update(self, request: Joining | ClassicMember) -> None:
        """Take over what the client says now."""
        self.session_seconds = request.session_timeout_ms / 1000
        self.rebalance_seconds = request.rebalance_timeout_ms / 1000
        self.protocols = request.protocols

    @classmethod
    def of(cls, stored: ClassicMember) -> Member:
        """A member as it was stored."""
        member = cls(stored.member_id, stored)
        member.joined_ms, member.assignment = stored.joined_ms, stored.assignment
        return member

    def stored(self, assignment: bytes) -> ClassicMember:
        """The member with an assignment, as it is stored."""
        return ClassicMember(
            self.id, self.instance_id, self.client_id, self.host, round(self.session_seconds * 1000),
            round(self.rebalance_seconds * 1000), self.protocols, assignment, self.joined_ms,
        )  # fmt: skip

    @property
    def is_waiting(self) -> bool:
        """Does its client wait for an answer? Then it need not send heartbeats."""
        return self.joining is not None or self.syncing is not None

    def answer_join(self, response: Any) -> None:
        """Answer the client, if it waits for the next generation."""
        waiting, self.joining = self.joining, None
        if waiting is not None and not waiting.done():
            waiting.set_result(response)

    def answer_sync(self, response: Any) -> None:
        """Answer the client, if it waits for its assignment."""
        waiting, self.syncing = self.syncing, None
        if waiting is not None and not waiting.done():
            waiting.set_result(response)

    def refuse(self, code: int) -> None:
        """Answer whatever the client waits for with an error code."""
        self.answer_join(kind("JoinGroupResponse")(error_code=code, member_id=self.id))
        self.answer_sync(kind("SyncGroupResponse")(error_code=code))

    def metadata(self, protocol: str) -> bytes:
        """What it says of itself in this protocol."""
        return next((metadata for name, metadata in self.protocols if name == protocol), b"")


def common_protocols(members: Iterable[Member]) -> set[str]:
    """The protocols that all members offer."""
    offered = [{name for name, _ in member.protocols} for member in members]
    return set.intersection(*offered) if offered else set()


def select_protocol(members: Iterable[Member]) -> str:
    """Of the protocols that all members offer, the one that most of them prefer."""
    members = list(members)
    common = common_protocols(members)
    votes = Counter(next(name for name, _ in member.protocols if name in common) for member in members)
    return votes.most_common(1)[0][0]
