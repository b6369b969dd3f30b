"""The loops of bridges by themselves: bounds, pauses, what is recognised, and how they end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import BridgeError, ConnectionLostError, EventLog, InvalidArgumentError, InvalidTypeError, TopicPartition
from eventlog.bridges.appending import TopicAppender
from eventlog.bridges.backoff import Backoff
from eventlog.bridges.endpoints import Outcomes
from eventlog.bridges.identities import Known
from eventlog.bridges.making import default_group
from eventlog.bridges.message import Message, Position, identity_of
from eventlog.bridges.url import Url
from eventlog.consumer.core import ConsumerCore
from eventlog.errors import LockTimeoutError
from tests.support.bridges import GROUP, MemorySink, MemorySource, collect_from, ship_to

SECONDS_MAX = 60
TOPIC = "events"


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventlog.bridges.backoff._FIRST_SECONDS", 0.0)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store") as opened:
        opened.create_topic(TOPIC)
        yield opened


def message(name: str, **fields: object) -> Message:
    given = {"identity": identity_of(name.encode()), **fields}
    return Message(name.encode(), **given)  # type: ignore[arg-type]


def values(log: EventLog, topic: str = TOPIC) -> list[bytes | None]:
    return list(log.partition(topic, 0).values())


def test_a_bridge_waits_for_a_process_that_was_stopped_with_a_lock(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    append = TopicAppender.append
    failures = [LockTimeoutError("process 7 holds it")]

    def append_later(self: TopicAppender, *arguments: Any) -> None:
        append(self, *arguments)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(TopicAppender, "append", append_later)
    bridge = collect_from(log, TOPIC, MemorySource(random.Random(0), [message(f"{number}") for number in range(50)]))
    bridge.run(until_idle=0.1)
    assert values(log) == [b"%d" % number for number in range(50)]
    progress = bridge.progress()
    assert (progress.state, progress.reconnects, progress.last_error) == ("stopped", 1, "process 7 holds it")


def test_a_ship_whose_server_is_away_waits_for_a_stopped_process_too(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventlog.bridges.backoff._FIRST_SECONDS", 0.01)
    attend = ConsumerCore.attend
    failures: list[Exception] = [LockTimeoutError("process 7 holds it")]

    def attend_later(self: ConsumerCore) -> None:
        if failures:
            raise failures.pop()
        attend(self)

    monkeypatch.setattr(ConsumerCore, "attend", attend_later)
    log.partition(TOPIC, 0).append(b"value")
    sink = MemorySink(random.Random(0))
    absences = [ConnectionLostError("memory: connection refused")]

    def refuse() -> None:
        if absences:
            raise absences.pop()

    sink.on_call = refuse
    ship_to(log, TOPIC, sink).run(until_idle=0)
    assert failures == []
    assert [record.value for record in sink.taken] == [b"value"]


# --- ships -----------------------------------------------------------------------------------------------------


def test_a_topic_that_is_deleted_and_created_again_is_not_taken_for_the_former_one(log: EventLog, tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "other") as other:
        other.create_topic("copy")
        copy, url = other.partition("copy", 0), f"eventlog:{tmp_path}/other#copy"
        log.partition(TOPIC, 0).append_many([b"former"] * 3)
        ship = log.ship(TOPIC, url, group=GROUP)
        ship.start()
        assert copy.wait(2, SECONDS_MAX)
        log.delete_topic(TOPIC)
        log.create_topic(TOPIC)
        log.partition(TOPIC, 0).append_many([b"new"] * 5)
        with pytest.raises(BridgeError, match="deleted and created again"):
            ship.join(SECONDS_MAX)
        log.ship(TOPIC, url, group=GROUP).run(until_idle=0)
        assert list(copy.values()) == [b"former"] * 3 + [b"new"] * 5


def test_a_source_that_is_deleted_and_created_again_is_not_taken_for_the_former_one(log: EventLog, tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "other") as other:
        other.create_topic("orders")
        other.partition("orders", 0).append_many([b"former"] * 3)
        with log.collect(TOPIC, f"eventlog:{tmp_path}/other#orders"):
            assert log.partition(TOPIC, 0).wait(2, SECONDS_MAX)
            other.delete_topic("orders")
            other.create_topic("orders")
            other.partition("orders", 0).append_many([b"new"] * 5)
            assert log.partition(TOPIC, 0).wait(7, SECONDS_MAX)
        assert values(log) == [b"former"] * 3 + [b"new"] * 5


def test_no_more_is_polled_than_fits_into_the_window_in_bytes(log: EventLog) -> None:
    log.partition(TOPIC, 0).append_many([b"x" * 10_000] * 200)
    sink = MemorySink(random.Random(0))
    ship_to(log, TOPIC, sink, window=1000, window_bytes=50_000).run(until_idle=0)
    assert len(sink.taken) == 200
    assert sink.in_flight_max <= 10


def test_a_sink_without_room_is_sent_nothing_until_it_has_room(log: EventLog) -> None:
    log.partition(TOPIC, 0).append_many([b"%d" % number for number in range(50)])
    sink = MemorySink(random.Random(0))
    calls = count()

    def unblock() -> None:
        sink.room_now = 0 if next(calls) < 20 else 7

    sink.on_call = unblock
    ship_to(log, TOPIC, sink).run(until_idle=0)
    assert [record.value for record in sink.taken] == values(log)


class DeadSink(MemorySink):
    """One that cannot be reached, like a server that is down."""

    def open(self) -> None:
        raise ConnectionLostError("memory: connection refused")


def test_a_ship_gives_up_after_a_time_without_success(log: EventLog) -> None:
    with pytest.raises(BridgeError, match=r"gave up after .* connection refused"):
        ship_to(log, TOPIC, DeadSink(random.Random(0)), give_up_after=0).run()


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1, "1", True])
def test_a_time_that_is_none_is_refused_before_anything_begins(log: EventLog, seconds: Any) -> None:
    error = InvalidTypeError if isinstance(seconds, str | bool) else InvalidArgumentError
    with pytest.raises(error, match="give_up_after"):
        log.ship(TOPIC, "eventlog:elsewhere#orders", give_up_after=seconds)
    with pytest.raises(error, match="give_up_after"):
        log.collect(TOPIC, "eventlog:elsewhere#orders", give_up_after=seconds)
    ship = ship_to(log, TOPIC, MemorySink(random.Random(0)))
    for begin in (ship.start, ship.run):
        with pytest.raises(error, match="until_idle"):
            begin(seconds)
    assert not ship.is_running
    if seconds != -1:
        with pytest.raises(error, match="timeout"):
            ship.stop(seconds)


def test_a_ship_whose_target_is_down_can_be_stopped_and_says_why_it_waits(log: EventLog) -> None:
    ship = ship_to(log, TOPIC, DeadSink(random.Random(0)))
    ship.start()
    while ship.progress().reconnects == 0:
        assert ship.is_alive
    assert ship.progress().last_error == "memory: connection refused"
    ship.stop(SECONDS_MAX)
    assert ship.progress().state == "stopped"


def test_a_ship_that_waits_remains_a_member_of_its_group(log: EventLog) -> None:
    """Otherwise its partitions would move from one bridge to the next for as long as a server is down."""
    sink = MemorySink(random.Random(0))
    with ship_to(log, TOPIC, sink) as ship:
        assert log.producer().send(TOPIC, b"a").wait_acked(GROUP, SECONDS_MAX)
        [member] = log.group(GROUP).describe().members
        sink.loss = 1.0
        while ship.progress().reconnects < 20:
            assert ship.is_alive
        assert [each.member_id for each in log.group(GROUP).describe().members] == [member.member_id]
        sink.loss = 0.0
        assert log.producer().send(TOPIC, b"b").wait_acked(GROUP, SECONDS_MAX)
    assert log.group(GROUP).describe().members == ()


def test_two_ships_of_a_group_share_the_partitions_and_send_each_record_once(log: EventLog) -> None:
    log.create_topic("shared", 4)
    sinks = [MemorySink(random.Random(number)) for number in range(2)]
    producer = log.producer()
    with ship_to(log, "shared", sinks[0]):
        receipts = [producer.send("shared", b"%d" % number, partition=number % 4) for number in range(100)]
        with ship_to(log, "shared", sinks[1]):
            receipts += [producer.send("shared", b"%d" % number, partition=number % 4) for number in range(100, 200)]
            assert all(receipt.wait_acked(GROUP, SECONDS_MAX) for receipt in receipts)
    taken = [record.value for sink in sinks for record in sink.taken]
    assert sorted(taken, key=lambda value: int(value or b"")) == [b"%d" % number for number in range(200)]


def test_a_partition_that_another_bridge_has_fenced_is_an_error_if_the_group_knows_nothing_of_it(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FencedSink(MemorySink):
        def outcomes(self, timeout: float) -> Outcomes:
            self.assigned.clear()
            return Outcomes(fenced=[TopicPartition(TOPIC, 0)])

    monkeypatch.setattr("eventlog.bridges.ship._REVOKED_SECONDS", 0.0)
    log.partition(TOPIC, 0).append(b"a")
    with pytest.raises(BridgeError, match="another bridge ships events/0"):
        ship_to(log, TOPIC, FencedSink(random.Random(0))).run()
    assert GROUP not in log.groups() or log.group(GROUP).committed() == {}


def test_a_partition_that_a_bridge_has_fenced_after_it_had_lost_it_is_taken_back(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bridge that was stopped, and goes on, may begin with a partition that it does not have any more."""

    class OnceFencedSink(MemorySink):
        has_lost = False

        def outcomes(self, timeout: float) -> Outcomes:
            if self.taken and not self.has_lost:
                self.has_lost = True
                self.revoke([TopicPartition(TOPIC, 0)])
                return Outcomes(fenced=[TopicPartition(TOPIC, 0)])
            return super().outcomes(timeout)

    monkeypatch.setattr("eventlog.bridges.ship._REVOKED_SECONDS", 0.05)
    log.partition(TOPIC, 0).append_many([b"%d" % number for number in range(300)])
    sink = OnceFencedSink(random.Random(0))
    ship_to(log, TOPIC, sink).run(until_idle=0)
    assert list(dict.fromkeys(record.value for record in sink.taken)) == values(log)
    assert log.group(GROUP).lag() == {TopicPartition(TOPIC, 0): 0}


def test_a_target_that_has_more_than_the_partition_stops_the_ship(log: EventLog) -> None:
    """Otherwise the records that will follow would be left out: the store was restored from an older backup."""
    sink = MemorySink(random.Random(0))
    sink.positions[TopicPartition(TOPIC, 0)] = 5
    log.partition(TOPIC, 0).append(b"a")
    with pytest.raises(BridgeError, match="restored from an older backup"):
        ship_to(log, TOPIC, sink).run(until_idle=0)


def test_a_bridge_runs_once(log: EventLog) -> None:
    ship = ship_to(log, TOPIC, MemorySink(random.Random(0)))
    ship.run(until_idle=0)
    with pytest.raises(InvalidArgumentError, match="has run already"):
        ship.run()


def test_closing_the_store_stops_its_bridges(tmp_path: Path) -> None:
    with eventlog.open(tmp_path / "other") as other:
        other.create_topic(TOPIC)
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic(TOPIC)
        bridge = log.ship(TOPIC, f"eventlog:{tmp_path / 'other'}#{TOPIC}", group=GROUP)
        bridge.start()
        assert log.producer().send(TOPIC, b"a").wait_acked(GROUP, SECONDS_MAX)
    assert not bridge.is_alive
    assert bridge.progress().state == "stopped"


# --- collecting ------------------------------------------------------------------------------------------------


def test_equal_messages_are_not_taken_for_one_that_came_again(log: EventLog) -> None:
    """They have no ids. Two were appended and acknowledged; a third one was delivered to a bridge that died."""
    first = [message("ping", is_unique=False), message("ping", is_unique=False)]
    collect_from(log, TOPIC, MemorySource(random.Random(0), first)).run(until_idle=0)
    collect_from(log, TOPIC, MemorySource(random.Random(0), [message("ping", is_unique=False, is_redelivered=True)])).run(
        until_idle=0
    )
    assert values(log) == [b"ping"] * 3


def test_a_message_known_by_its_content_is_recognised_if_it_was_redelivered(log: EventLog) -> None:
    collect_from(log, TOPIC, MemorySource(random.Random(0), [message("a", is_unique=False)])).run(until_idle=0)
    again = [message("a", is_unique=False, is_redelivered=True), message("a", is_unique=False)]
    bridge = collect_from(log, TOPIC, MemorySource(random.Random(0), again))
    bridge.run(until_idle=0)
    assert values(log) == [b"a", b"a"]
    assert bridge.progress().recognised == 1


def test_a_message_goes_to_one_partition_however_often_it_comes(log: EventLog) -> None:
    log.create_topic("spread", 8)
    queue = [message(f"{number}") for number in range(100)]
    collect_from(log, "spread", MemorySource(random.Random(0), list(queue))).run(until_idle=0)
    collect_from(log, "spread", MemorySource(random.Random(1), list(queue))).run(until_idle=0)
    counts = [log.partition("spread", number).end_offset for number in range(8)]
    assert sum(counts) == 100 and all(counts)


@pytest.mark.parametrize("policy", ["dead-letter", "dead-letter:dead", "drop"])
def test_a_message_that_is_too_large_goes_where_it_is_told_and_the_others_are_appended(log: EventLog, policy: str) -> None:
    log.create_topic("small", config={"max.message.bytes": 500})
    source = MemorySource(random.Random(0), [message("a"), message("x" * 1000), message("b")])
    bridge = collect_from(log, "small", source, refused=policy)
    bridge.run(until_idle=0)
    assert values(log, "small") == [b"a", b"b"]
    assert bridge.progress().refused == 1
    assert [each.value for each in source.refused] == ([b"x" * 1000] if policy == "dead-letter" else [])
    assert ("dead" in log.topics() and values(log, "dead") == [b"x" * 1000]) == (policy == "dead-letter:dead")


def test_nothing_behind_a_message_that_stops_the_bridge_is_appended(log: EventLog) -> None:
    """Its position would say that the refused message is there."""
    log.create_topic("small", config={"max.message.bytes": 500})
    queue = [Message(value, position=Position("s", number)) for number, value in enumerate((b"a", b"x" * 1000, b"b"))]
    with pytest.raises(BridgeError, match=r"larger max\.message\.bytes"):
        collect_from(log, "small", MemorySource(random.Random(3), list(queue))).run()
    log.alter_topic("small", config={"max.message.bytes": 5000})
    collect_from(log, "small", MemorySource(random.Random(3), list(queue))).run(until_idle=0)
    assert values(log, "small") == [b"a", b"x" * 1000, b"b"]


def test_others_may_append_to_the_topic_meanwhile(log: EventLog) -> None:
    class BusySource(MemorySource):
        def receive(self, timeout: float, count_max: int) -> list[Message]:
            log.partition(TOPIC, 0).append(b"another")
            return list(super().receive(timeout, count_max))

    collect_from(log, TOPIC, BusySource(random.Random(0), [message(f"{number}") for number in range(50)])).run(until_idle=0)
    assert [value for value in values(log) if value != b"another"] == [b"%d" % number for number in range(50)]


# --- what is known ---------------------------------------------------------------------------------------------


def test_a_position_is_found_however_far_back_it_is(log: EventLog) -> None:
    partition = log.partition(TOPIC, 0)
    partition.append(b"a", headers=[("eventlog.source", b"there"), ("eventlog.offset", b"41")])
    partition.append_many([b"x"] * 20_000)
    known = Known(partition, window_records=100)
    assert known.position("there") == 42
    assert known.position("elsewhere") is None


def test_identities_older_than_the_window_are_forgotten(log: EventLog) -> None:
    partition = log.partition(TOPIC, 0)
    old, new = message("old"), message("new")
    for each in (old, new):
        assert each.identity is not None
        partition.append(each.value, headers=[("eventlog.id", each.identity)])
    known = Known(partition, window_records=1)
    assert (known.has(old), known.has(new)) == (False, True)


def test_headers_of_the_bridges_names_that_they_did_not_write_do_no_harm(log: EventLog) -> None:
    partition = log.partition(TOPIC, 0)
    headers = [("eventlog.offset", b"x"), ("eventlog.offset", b"9" * 30), ("eventlog.source", b"\xff"), ("eventlog.id", None)]
    for header in headers:
        partition.append(b"a", headers=[header, ("eventlog.source", b"there")])
    assert Known(partition).position("there") is None


# --- pauses and names ------------------------------------------------------------------------------------------


def test_pauses_grow_up_to_half_a_minute_and_begin_anew_after_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventlog.bridges.backoff._FIRST_SECONDS", 0.1)
    backoff = Backoff(clock=lambda: 0.0, random_fraction=lambda: 1.0)
    error = ConnectionLostError("down")
    pauses = [backoff.next_pause(error) for _ in range(12)]
    assert pauses[:3] == pytest.approx([0.1, 0.2, 0.4])
    assert pauses[-1] == 30.0
    backoff.succeeded()
    assert backoff.next_pause(error) == pytest.approx(0.1)


def test_groups_of_different_targets_have_different_names() -> None:
    urls = ["amqp://h/%2F?queue=a", "amqp://h/%2F?queue=b", "amqp://h/v?queue=a", "amqp://g/%2F?queue=a", "stomp://h/queue/a"]
    names = {default_group(Url(url)) for url in urls}
    assert len(names) == len(urls)
    assert default_group(Url("amqp://me@h/%2F?queue=a&heartbeat=9")) == default_group(Url(urls[0]))
