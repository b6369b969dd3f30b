"""Fetch sessions (KIP-227): what a client need not name again, and what it is told of."""

from __future__ import annotations

from typing import Any

import pytest

from eventlog import EventLog
from eventlog.serve import errors
from eventlog.serve.broker import Settings
from eventlog.serve.protocol.messages import kind
from eventlog.serve.security.accounts import add_user
from tests.serve.authentication import authenticate
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server

LONG_MS = 20_000


class Fetcher:
    """A client with a session of partitions of the topic `wide`."""

    def __init__(self, client: RawClient, *, version: int = 12, **fields: Any) -> None:
        self.client = client
        self.version = version
        self.fields = fields
        self.id = self.epoch = 0
        self.topic_id = client.metadata("wide", version=12).topics[0].topic_id

    def _named(self, message: str, partitions: list[Any]) -> list[Any]:
        if not partitions:
            return []
        return [kind("FetchRequest", message)(topic="wide", topic_id=self.topic_id, partitions=partitions)]

    def ask(self, positions: dict[int, int], *, forget: tuple[int, ...] = (), **fields: Any) -> Any:
        """Fetch from these offsets, and whatever else belongs to the session."""
        entry = kind("FetchRequest", "FetchPartition")
        wanted = [
            entry(partition=number, fetch_offset=offset, partition_max_bytes=2**20) for number, offset in positions.items()
        ]
        given = {"session_id": self.id, "session_epoch": self.epoch, "max_bytes": 2**24, "min_bytes": 1, "max_wait_ms": 0}
        named = {
            "topics": self._named("FetchTopic", wanted), "forgotten_topics_data": self._named("ForgottenTopic", list(forget))
        }  # fmt: skip
        answer = self.client.ask("Fetch", self.version, **{**given, **named, **self.fields, **fields})
        if answer.error_code == errors.NONE and answer.session_id:
            self.id, self.epoch = answer.session_id, self.epoch + 1
        return answer

    def told(self, positions: dict[int, int], **fields: Any) -> dict[int, bool]:
        """The partitions that the answer tells of, and whether it has records of them."""
        answer = self.ask(positions, **fields)
        assert answer.error_code == errors.NONE
        return {each.partition_index: len(each.records) > 0 for topic in answer.responses for each in topic.partitions}


@pytest.fixture
def wide(log: EventLog) -> EventLog:
    log.create_topic("wide", 4)
    log.partition("wide", 1).append(b"1")
    return log


@pytest.fixture(params=[7, 12, 13])
def fetcher(request: pytest.FixtureRequest, client: RawClient, wide: EventLog) -> Fetcher:
    return Fetcher(client, version=request.param)


def test_a_client_names_its_partitions_once_and_hears_of_what_is_new(fetcher: Fetcher, wide: EventLog) -> None:
    assert fetcher.told({0: 0, 1: 0, 2: 0}) == {0: False, 1: True, 2: False}
    assert fetcher.id != 0
    assert fetcher.told({1: 1}) == {}
    wide.partition("wide", 2).append(b"2")
    assert fetcher.told({}) == {2: True}
    assert fetcher.told({2: 1}) == {}
    wide.partition("wide", 0).append(b"0")
    wide.partition("wide", 3).append(b"3")
    assert fetcher.told({3: 0}, forget=(0,)) == {3: True}
    wide.partition("wide", 1).append_many([b"2", b"3"])
    wide.partition("wide", 1).delete_records(3)
    assert fetcher.told({1: 3, 3: 1}) == {1: False}  # its start has moved


def test_a_fetch_that_waits_is_woken_by_any_partition_of_the_session(fetcher: Fetcher, wide: EventLog) -> None:
    fetcher.told({0: 0, 1: 1, 2: 0})
    sent = fetcher.client.send(
        "Fetch", fetcher.version, session_id=fetcher.id, session_epoch=1, min_bytes=1, max_bytes=2**20, max_wait_ms=LONG_MS
    )
    wide.partition("wide", 2).append(b"2")
    answer = fetcher.client.receive(*sent)
    assert [each.partition_index for topic in answer.responses for each in topic.partitions] == [2]


def test_an_error_is_told_again_and_again(client: RawClient, wide: EventLog) -> None:
    fetcher = Fetcher(client)
    fetcher.told({0: 0, 1: 5})
    for _ in range(2):
        (topic,) = fetcher.ask({}).responses
        assert [(each.partition_index, each.error_code) for each in topic.partitions] == [(1, errors.OFFSET_OUT_OF_RANGE)]
    assert fetcher.told({1: 1}) == {1: False}


def test_partitions_take_turns_in_answers_that_are_full(client: RawClient, wide: EventLog) -> None:
    for number in range(3):
        wide.partition("wide", number).append_many([b"x" * 1000] * 5)
    fetcher = Fetcher(client, max_bytes=1)
    assert fetcher.told({0: 0, 1: 1, 2: 0}) == {0: True, 1: False, 2: False}
    assert fetcher.told({}) == {1: True}
    assert fetcher.told({}) == {2: True}
    assert fetcher.told({}) == {0: True}


def test_a_session_that_does_not_match_is_refused(client: RawClient, server: RunningServer, wide: EventLog) -> None:
    fetcher = Fetcher(client)
    fetcher.ask({0: 0})
    assert fetcher.ask({}, session_id=fetcher.id ^ 1).error_code == errors.FETCH_SESSION_ID_NOT_FOUND
    assert fetcher.ask({}, session_epoch=7).error_code == errors.INVALID_FETCH_SESSION_EPOCH
    fetcher.version = 13
    assert fetcher.ask({}).error_code == errors.FETCH_SESSION_TOPIC_ID_ERROR
    fetcher.version = 12
    with RawClient(server.address) as other:
        assert other.ask("Fetch", 12, session_id=fetcher.id, session_epoch=1).error_code == errors.FETCH_SESSION_ID_NOT_FOUND
    assert fetcher.told({}) == {}
    answer = fetcher.ask({0: 0}, session_epoch=-1)  # the last one
    assert (answer.session_id, len(answer.responses)) == (0, 1)
    assert fetcher.ask({}).error_code == errors.FETCH_SESSION_ID_NOT_FOUND


def test_all_sessions_together_are_bounded(client: RawClient, server: RunningServer, wide: EventLog) -> None:
    many = {number: 0 for number in range(15_000)}
    fetcher = Fetcher(client)
    assert fetcher.ask(many).session_id != 0
    with RawClient(server.address) as other:
        another = Fetcher(other)
        assert another.ask(many).session_id == 0
        assert another.ask({0: 0}).session_id != 0
        assert another.ask(many).error_code == errors.FETCH_SESSION_ID_NOT_FOUND
        fetcher.epoch = 0
        assert fetcher.ask({0: 0}).session_id != 0
        another.epoch = 0
        assert another.ask(many).session_id != 0
    assert another.id != fetcher.id


def test_a_user_gets_none(log: EventLog, wide: EventLog) -> None:
    add_user(log, "ann", "x")
    with running_server(log, Settings(has_users=True)) as server, RawClient(server.address) as client:
        assert authenticate(client, "ann", "x").error_code == errors.NONE
        answer = Fetcher(client).ask({0: 0})
        assert (answer.error_code, answer.session_id) == (errors.NONE, 0)
