"""A ship against a sink that confirms in any order, refuses, and loses its connection at any call."""

from __future__ import annotations

import random
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eventlog
from eventlog import Record, TopicPartition
from eventlog.bridges.message import Message, Position, identity_of
from tests.support.bridges import GROUP, MemorySink, MemorySource, collect_from, ship_to

EXAMPLES = 20


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventlog.bridges.backoff._FIRST_SECONDS", 0.0)


def in_order(records: list[Record]) -> dict[int, list[bytes | None]]:
    """The values of each partition, each once, in the order in which they came first."""
    values: dict[int, dict[bytes | None, None]] = {}
    for record in records:
        values.setdefault(record.partition, {})[record.value] = None
    return {number: list(found) for number, found in values.items()}


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    window=st.integers(1, 20),
    refused=st.frozensets(st.integers(0, 59), max_size=4),
    loss=st.sampled_from([0.0, 0.01, 0.1]),
)
def test_a_ship_loses_nothing_keeps_the_order_and_commits_only_what_is_settled(
    seed: int, counts: list[int], window: int, refused: frozenset[int], loss: float
) -> None:
    refusals = frozenset(b"0-%d" % number for number in refused)
    sink = MemorySink(random.Random(seed), refusals=refusals, loss=loss)
    with tempfile.TemporaryDirectory() as store, eventlog.open(store) as log:
        log.create_topic("events", len(counts))
        given_values = {number: [b"%d-%d" % (number, each) for each in range(count)] for number, count in enumerate(counts)}
        for number, values in given_values.items():
            if values:
                log.partition("events", number).append_many(values)

        def check_commits() -> None:
            if GROUP not in log.groups():
                return
            taken = {(record.partition, record.offset) for record in sink.taken}
            for (_, number), committed in log.group(GROUP).committed().items():
                for offset in range(committed):
                    value = given_values[number][offset]
                    assert (number, offset) in taken or value in refusals, f"{value!r} is committed, and was never sent"

        sink.on_call = check_commits
        ship = ship_to(log, "events", sink, refused="dead-letter:dead", window=window)
        ship.run(until_idle=0)
        wanted = {number: [each for each in values if each not in refusals] for number, values in given_values.items()}
        assert in_order(sink.taken) == {number: values for number, values in wanted.items() if values}
        assert sink.in_flight_max <= window
        assert {each: lag for each, lag in log.group(GROUP).lag().items() if lag} == {}
        dead = set(log.partition("dead", 0).values()) if "dead" in log.topics() else set()
        assert dead == refusals & {value for values in given_values.values() for value in values}
        assert ship.progress().in_flight == 0


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    kinds=st.lists(st.sampled_from(["id", "content", "position"]), min_size=1, max_size=60),
    partitions=st.integers(1, 3),
    loss=st.sampled_from([0.0, 0.1, 0.3]),
)
def test_a_collecting_bridge_appends_each_message_once(seed: int, kinds: list[str], partitions: int, loss: float) -> None:
    choices = random.Random(seed)
    queue = [_message(kind, number) for number, kind in enumerate(kinds)]
    with tempfile.TemporaryDirectory() as store, eventlog.open(store) as log:
        log.create_topic("events", partitions)
        source = MemorySource(choices, list(queue), loss=loss)
        while source.queue:
            bridge = collect_from(log, "events", source, window=7)  # another one each time: it has only the log to know from
            bridge.run(until_idle=0)
        records = [record for number in range(partitions) for record in log.partition("events", number).records()]
        assert sorted(record.value or b"" for record in records) == sorted(message.value or b"" for message in queue)


def _message(kind: str, number: int) -> Message:
    value = b"%d" % number
    if kind == "id":
        return Message(value, identity=identity_of(b"id", value))
    if kind == "content":
        return Message(value, identity=identity_of(b"content", value), is_unique=False)
    return Message(value, position=Position("queue", number), partition=5)


def test_a_target_that_is_further_than_the_commit_gets_nothing_twice() -> None:
    sink = MemorySink(random.Random(0))
    with tempfile.TemporaryDirectory() as store, eventlog.open(store) as log:
        log.create_topic("events")
        log.partition("events", 0).append_many([b"a", b"b", b"c"])
        sink.positions[TopicPartition("events", 0)] = 2
        ship_to(log, "events", sink).run(until_idle=0)
        assert [record.value for record in sink.taken] == [b"c"]
        assert log.group(GROUP).committed() == {TopicPartition("events", 0): 3}
