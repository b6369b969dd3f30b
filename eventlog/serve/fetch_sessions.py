"""Fetch sessions (KIP-227): a client names its partitions once, and then only what changes; it is told of a partition only if
there is something new.

A session belongs to a connection, since a client fetches from a server over one, and ends with it. Source of the rules: Kafka's
FetchManager and FetchSession.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from eventlog.serve import errors
from eventlog.serve.errors import RefusedError
from eventlog.serve.protocol.messages import kind

if TYPE_CHECKING:
    from eventlog.serve.broker import Client

_SINCE_VERSION = 7
_WITH_IDS = 13
_FULL_AND_LAST, _FULL = -1, 0  # epochs by which a client asks for no session, and for a new one
_NUMBER_MAX = 2**31 - 1
_PARTITIONS_MAX = 20_000  # of all sessions together: a client that gets none names its partitions in each fetch

_Key = tuple[str, bytes, int]  # the topic's name, or else its id, and the partition


class _Known:
    """A partition of a session: what the client wants of it, and what it was told last."""

    __slots__ = ("high_watermark", "log_start_offset", "wanted")

    def __init__(self, wanted: Any) -> None:
        self.wanted = wanted
        self.high_watermark = self.log_start_offset = -1

    def note(self, entry: Any) -> bool:
        """Note what a client is going to be told; returns whether there is anything new in it."""
        has_failed = entry.error_code != errors.NONE or entry.diverging_epoch.epoch >= 0
        is_new = (entry.high_watermark, entry.log_start_offset) != (self.high_watermark, self.log_start_offset)
        self.high_watermark = -1 if has_failed else entry.high_watermark  # after an error, all is told again
        self.log_start_offset = entry.log_start_offset
        return is_new or has_failed or len(entry.records) > 0


class FetchSession:
    """The partitions that one client fetches, in the order in which they are read next."""

    def __init__(self, *, has_ids: bool) -> None:
        self.id = random.randint(1, _NUMBER_MAX)
        self.epoch = 1  # that the next request has to name
        self.has_ids = has_ids
        self._known: dict[_Key, _Known] = {}

    def __len__(self) -> int:
        return len(self._known)

    def advance(self) -> None:
        """Expect the next epoch."""
        self.epoch = self.epoch + 1 if self.epoch < _NUMBER_MAX else 1

    def update(self, topics: Any, forgotten: Any) -> None:
        """Take over what a request names, and drop what it forgets."""
        for topic in topics:
            for wanted in topic.partitions:
                key = (topic.topic, topic.topic_id, wanted.partition)
                if key in self._known:
                    self._known[key].wanted = wanted
                else:
                    self._known[key] = _Known(wanted)
        for topic in forgotten:
            for number in topic.partitions:
                self._known.pop((topic.topic, topic.topic_id, number), None)

    def topics(self) -> list[Any]:
        """All partitions, as a request would name them."""
        named: list[Any] = []
        for (name, topic_id, _), known in self._known.items():
            if not named or (named[-1].topic, named[-1].topic_id) != (name, topic_id):
                named.append(kind("FetchRequest", "FetchTopic")(topic=name, topic_id=topic_id, partitions=[]))
            named[-1].partitions.append(known.wanted)
        return named

    def note(self, responses: list[Any]) -> list[Any]:
        """Note what the client is going to be told, and return what is new in it. Partitions that had records are read last the
        next time, so that none keeps the others out of answers that are full."""
        news = []
        for topic in responses:
            told = [entry for entry in topic.partitions if self._note(topic, entry)]
            if told:
                of_topic = kind("FetchResponse", "FetchableTopicResponse")
                news.append(of_topic(topic=topic.topic, topic_id=topic.topic_id, partitions=told))
        return news

    def _note(self, topic: Any, entry: Any) -> bool:
        key = (topic.topic, topic.topic_id, entry.partition_index)
        known = self._known[key]
        if len(entry.records) > 0:
            self._known[key] = self._known.pop(key)
        return known.note(entry)


class FetchSessions:
    """The sessions of all clients. For one event loop."""

    def __init__(self) -> None:
        self._left = _PARTITIONS_MAX

    def begin(self, client: Client, version: int, request: Any) -> tuple[FetchSession | None, bool]:
        """The session of a request, if it has one, and whether it is told only what is new; the request then names all
        partitions of the session. Raises `RefusedError` if the client has to begin a new one."""
        if version < _SINCE_VERSION or request.session_epoch in (_FULL, _FULL_AND_LAST):
            self.end(client)
            is_wanted = version >= _SINCE_VERSION and request.session_epoch == _FULL and client.session is None
            return (self._new(client, version, request) if is_wanted else None), False
        session = client.fetch_session
        if session is None or session.id != request.session_id:
            raise RefusedError(errors.FETCH_SESSION_ID_NOT_FOUND, "the connection has no such session")
        if session.epoch != request.session_epoch:
            raise RefusedError(errors.INVALID_FETCH_SESSION_EPOCH, f"the session's epoch is {session.epoch}")
        if session.has_ids != (version >= _WITH_IDS):
            raise RefusedError(errors.FETCH_SESSION_TOPIC_ID_ERROR, "the session names topics in another way")
        self._update(client, session, request)
        session.advance()
        request.topics = session.topics()
        return session, True

    def _new(self, client: Client, version: int, request: Any) -> FetchSession | None:
        """None if there are too many partitions, or nothing to remember. A user gets no session, because a change of its rights
        has to apply from the next request on."""
        session = FetchSession(has_ids=version >= _WITH_IDS)
        session.update(request.topics, ())
        if not 0 < len(session) <= self._left:
            return None
        self._left -= len(session)
        client.fetch_session = session
        request.topics = session.topics()
        return session

    def _update(self, client: Client, session: FetchSession, request: Any) -> None:
        before = len(session)
        session.update(request.topics, request.forgotten_topics_data)
        self._left += before - len(session)
        if self._left < 0:
            self.end(client)
            raise RefusedError(errors.FETCH_SESSION_ID_NOT_FOUND, "there are too many partitions in sessions")

    def end(self, client: Client) -> None:
        """Forget the session of a client, if it has one."""
        if client.fetch_session is not None:
            self._left += len(client.fetch_session)
            client.fetch_session = None
