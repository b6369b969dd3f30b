"""Bridges to and from ActiveMQ Classic and Artemis themselves, which are killed, paused and restarted, as are the bridges."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import eventlog
from eventlog import BridgeError, Consumer, EventLog, Record
from eventlog.bridges.appending import TopicAppender
from eventlog.bridges.stomp.frames import encode_headers
from eventlog.bridges.stomp.mapping import DESTINATION_HEADER, FRAME_HEADER
from eventlog.bridges.stomp.sink import BATCH_RECORDS_MAX, BATCHES_MAX, StompSink
from eventlog.bridges.stomp.source import StompSource
from tests.interop import active_mq
from tests.interop.active_mq import Artemis, Classic, Server
from tests.support.bridges import Step, die_at, steps
from tests.support.processes import Worker

TOPIC = "orders"
GROUP = "to-activemq"
PARTITIONS = 2
SECONDS_MAX = 120.0
TWICE_MAX = BATCH_RECORDS_MAX * BATCHES_MAX  # at Classic, for each death

KINDS = [
    pytest.param((Classic, active_mq.fetch_classic), id="classic", marks=pytest.mark.activemq),
    pytest.param((Artemis, active_mq.fetch_artemis), id="artemis", marks=pytest.mark.artemis),
]
SHIP_STEPS = [
    *steps(1, (StompSink, "open"), (StompSink, "assign")),
    *steps(2, (StompSink, "send"), (StompSink, "outcomes")),
    *steps(3, (Consumer, "commit")),
]
COLLECT_STEPS = [
    *steps(1, (StompSource, "open")),
    *steps(3, (StompSource, "receive"), (TopicAppender, "append"), (TopicAppender, "flush"), (StompSource, "acknowledge")),
]


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    kind, fetch = request.param
    problem = fetch()
    if problem is not None:
        if active_mq.is_required():
            pytest.fail(problem)
        pytest.skip(problem)
    with active_mq.running(kind(tmp_path_factory.mktemp("server"))) as server:
        yield server


@pytest.fixture
def queue(request: pytest.FixtureRequest) -> str:
    """A queue that no other test uses."""
    return f"{request.node.originalname}-{random.randrange(10**9)}"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with eventlog.open(tmp_path / "store") as log:
        log.create_topic(TOPIC, PARTITIONS)
        log.create_topic("back", 1)
        log.create_topic("refused", 1)
    return tmp_path / "store"


@pytest.fixture
def log(store: Path) -> Iterator[EventLog]:
    with eventlog.open(store) as log:
        yield log


def ship(connection: Connection, store: Path, url: str, step: Step | None) -> None:
    """Ship what there is; with a `step`, die there."""
    if step is not None:
        die_at(step)
    with eventlog.open(store) as log:
        log.ship(TOPIC, url, group=GROUP).run(until_idle=0)
    connection.send("done")


def collect(connection: Connection, store: Path, url: str, step: Step | None) -> None:
    """Collect until nothing comes any more; with a `step`, die there."""
    if step is not None:
        die_at(step)
    with eventlog.open(store) as log:
        log.collect("back", url, window=50).run(until_idle=1)
    connection.send("done")


def ship_on(connection: Connection, store: Path, url: str) -> None:
    """Ship until this is killed."""
    with eventlog.open(store) as log:
        log.ship(TOPIC, url, group=GROUP).run()


def collect_on(connection: Connection, store: Path, url: str) -> None:
    """Collect until this is killed."""
    with eventlog.open(store) as log:
        log.collect("back", url).run()


def append_round(log: EventLog, number: int, count: int) -> list[bytes]:
    """Append so many records to each partition; returns their values."""
    values = [b"%d-%d-%d" % (number, partition, each) for partition in range(PARTITIONS) for each in range(count)]
    for partition in range(PARTITIONS):
        log.partition(TOPIC, partition).append_many(values[partition * count : (partition + 1) * count])
    return values


def check_shipped(server: Server, queue: str, expected: list[bytes], deaths: int) -> None:
    """All have arrived; at Artemis once, at Classic no more twice than a death may cause."""
    found = Counter(frame.body for frame in server.take_all(queue))
    assert found.keys() == set(expected)
    twice = sum(found.values()) - len(expected)
    print(f"{server.name}: {len(expected)} records, {deaths} deaths, {twice} twice")
    assert twice <= (TWICE_MAX * deaths if server.name == "classic" else 0)



HOSTILE = [
    (b"", b"", ()),
    (None, None, ()),
    (b"\0\n\r:\\\xff", b"\0\n\r:\\\xff", ()),
    ("ü😀".encode(), "ü😀\n".encode(), (("ü:\r\\", b":\n\r\\\0"),)),
    (b"a\0b", None, (("a", b"1"), ("b", None), ("a", b"2"), ("", b"\xff"))),
    (b"properties", b"k", (("content-type", b"text/plain"), ("reply-to", b"no destination"), ("priority", b"9"))),
    (b"orders to the server", b"k", (("destination", b"/queue/other"), ("receipt", b"7"), ("transaction", b"t"))),
    (b"x" * 300_000, b"large", (("x", b"y" * 5_000),)),
    (b"binary " + bytes(range(256)) * 10, b"k", (("JMSXGroupID", b"g"), ("_AMQ_DUPL_ID", b"1"), ("timestamp", b"5"))),
]


def test_hostile_records_come_back_as_they_were(server: Server, queue: str, log: EventLog) -> None:
    for value, key, headers in HOSTILE:
        log.partition(TOPIC, 0).append(value, key=key, headers=headers, timestamp=1_700_000_000_123)
    log.ship(TOPIC, server.url(queue), group=GROUP).run(until_idle=0)
    log.collect("back", server.url(queue)).run(until_idle=1)
    sent, back = log.partition(TOPIC, 0).records(), log.partition("back", 0).records()
    # In any order: those of a higher priority come first.
    assert {record.value: (record.key, record.timestamp, _without_frame(record)) for record in back} == {
        record.value: (record.key, record.timestamp, record.headers) for record in sent
    }
    assert log.partition("back", 0).end_offset == len(HOSTILE)


def check_collected(server: Server, queue: str, store: Path, expected: list[bytes]) -> None:
    """All have been appended once, as soon as the server has noticed what died."""
    with eventlog.open(store) as log:
        back = log.partition("back", 0)
        with Worker(collect_on, store, server.url(queue)):
            assert back.wait(len(expected) - 1, SECONDS_MAX)
        with Worker(collect, store, server.url(queue), None) as worker:
            assert worker.receive() == "done"
        assert Counter(back.values()) == Counter(expected)
        print(f"{server.name}: {len(expected)} messages, each once")


def _without_frame(record: Record) -> tuple[tuple[str, bytes | None], ...]:
    """The headers without those that say how the message looked, and how it is recognised."""
    return tuple(each for each in record.headers if each[0] not in (FRAME_HEADER, DESTINATION_HEADER, "eventlog.id"))


def test_messages_of_another_program_go_through_a_topic_with_all_of_their_headers(
    server: Server, queue: str, log: EventLog
) -> None:
    headers = [
        ("x:y\n\\z", "a:b\nc\\d\0"), ("ü", "😀"), ("empty", ""), ("content-type", "text/plain"), ("correlation-id", "c"),
        ("reply-to", "/queue/answers"), ("type", "t"), ("priority", "7"), ("timestamp", "1234567890123"), ("eventlog", "e"),
    ]  # fmt: skip
    server.put(queue, (headers, b"a\0b:\n\xff"), ([], b""), ([("receipt-of-mine", "r")], b"plain"))
    log.collect("back", server.url(queue)).run(until_idle=1)
    log.ship("back", server.url(f"{queue}-2"), group=GROUP).run(until_idle=0)
    first, second, third = server.take_all(f"{queue}-2")
    assert (first.body, second.body, third.body) == (b"a\0b:\n\xff", b"", b"plain")
    lines = set(first.head.split(b"\n"))
    assert set(encode_headers(headers).strip(b"\n").split(b"\n")) - {b"empty:"} <= lines
    assert third.header("receipt-of-mine") == "r"


def test_a_ship_that_is_killed_between_each_two_steps_loses_nothing(server: Server, queue: str, store: Path) -> None:
    expected = []
    for number, step in enumerate([*SHIP_STEPS, None]):
        with eventlog.open(store) as log:
            expected += append_round(log, number, 600)
        with Worker(ship, store, server.url(queue), step) as worker:
            if step is None:
                assert worker.receive() == "done"
            else:
                assert worker.exit_status == -9, f"it did not come to {step}"
    check_shipped(server, queue, expected, len(SHIP_STEPS))


def test_a_collecting_bridge_that_is_killed_between_each_two_steps_appends_each_message_once(
    server: Server, queue: str, store: Path
) -> None:
    expected = []
    for number, step in enumerate(COLLECT_STEPS):
        bodies = [b"%d-%d" % (number, each) for each in range(400)]
        server.put(queue, *(([], body) for body in bodies))
        expected += bodies
        with Worker(collect, store, server.url(queue), step) as worker:
            assert worker.exit_status == -9, f"it did not come to {step}"
    check_collected(server, queue, store, expected)


def test_records_arrive_whatever_dies(server: Server, queue: str, store: Path) -> None:
    """The server and the bridge are killed at random, and the bridge may start before the server is there again."""
    choices = random.Random(seed := random.randrange(10**9))
    print(f"seed {seed}")
    expected: list[bytes] = []
    deaths = 0
    with eventlog.open(store) as log, log.producer() as producer:
        for number in range(3):
            with Worker(ship_on, store, server.url(queue)):
                expected += append_round(log, number, 1_500)
                value = b"%d-last" % number
                expected.append(value)
                receipt = producer.send(TOPIC, value, partition=0)
                if choices.random() < 0.7:
                    server.kill()
                    deaths += 1
                    server.start()
                    assert receipt.wait_acked(GROUP, SECONDS_MAX)
                deaths += 1  # of the bridge, when the block ends
        with Worker(ship, store, server.url(queue), None) as worker:
            assert worker.receive() == "done"
    check_shipped(server, queue, expected, deaths)


def test_messages_are_appended_once_whatever_dies(server: Server, queue: str, store: Path) -> None:
    choices = random.Random(seed := random.randrange(10**9))
    print(f"seed {seed}")
    expected: list[bytes] = []
    with eventlog.open(store) as log:
        back = log.partition("back", 0)
        for number in range(3):
            bodies = [b"%d-%d" % (number, each) for each in range(800)]
            server.put(queue, *(([], body) for body in bodies))
            expected += bodies
            with Worker(collect_on, store, server.url(queue)):
                assert back.wait(len(expected) - 1 - choices.randrange(1, 800), SECONDS_MAX)
                if choices.random() < 0.7:
                    server.kill()
                    server.start()
                    assert back.wait(len(expected) - 1, SECONDS_MAX)
    check_collected(server, queue, store, expected)


def test_a_server_that_does_nothing_is_waited_for_with_a_bounded_window(server: Server, queue: str, log: EventLog) -> None:
    expected = append_round(log, 0, 1_000)
    with log.ship(TOPIC, server.url(queue), group=GROUP, window=700) as bridge, log.producer() as producer:
        assert producer.send(TOPIC, b"before", partition=0).wait_acked(GROUP, SECONDS_MAX)
        server.pause()
        try:
            expected += [b"before", *append_round(log, 1, 1_000)]
            receipt = producer.send(TOPIC, b"last", partition=0)
            assert not receipt.wait_acked(GROUP, 1)
            assert bridge.progress().in_flight <= 700
        finally:
            server.resume()
        assert receipt.wait_acked(GROUP, SECONDS_MAX)
    check_shipped(server, queue, [*expected, b"last"], 0)


def test_a_record_that_the_server_does_not_take_goes_to_a_dead_letter_topic_and_no_other(
    server: Server, queue: str, log: EventLog
) -> None:
    large = ("header", b"x" * 400_000)
    for number in range(50):
        log.partition(TOPIC, 0).append(b"%d" % number, headers=(large,) if number in (7, 8, 30) else ())
    bridge = log.ship(TOPIC, server.url(queue), group=GROUP, refused="dead-letter:refused")
    bridge.run(until_idle=0)
    assert [record.value for record in log.partition("refused", 0).records()] == [b"7", b"8", b"30"]
    assert bridge.progress().refused == 3
    check_shipped(server, queue, [b"%d" % number for number in range(50) if number not in (7, 8, 30)], 0)


def test_a_message_that_the_topic_does_not_take_goes_to_the_servers_dead_letter_queue(
    server: Server, queue: str, log: EventLog
) -> None:
    log.alter_topic("back", config={"max.message.bytes": 2000})
    server.put(queue, ([], b"good"), ([("colour", "red")], b"x" * 5_000), ([], b"good, too"))
    dead_letters = f"{queue}-dead"
    url = server.url(queue, f"?dead-letter={dead_letters}")
    log.collect("back", url, refused="dead-letter").run(until_idle=1)
    assert list(log.partition("back", 0).values()) == [b"good", b"good, too"]
    (refused,) = server.take_all(dead_letters)
    assert (refused.body, refused.header("colour")) == (b"x" * 5_000, "red")
    assert "2000" in (refused.header("eventlog.reason") or "")
    assert server.take_all(queue) == []


def test_a_durable_subscription_loses_nothing_while_nobody_is_there(server: Server, queue: str, log: EventLog) -> None:
    url = server.url(queue, kind="topic")
    log.collect("back", f"{url}?subscription={queue}").run(until_idle=0)
    append_round(log, 0, 300)
    log.ship(TOPIC, url, group=GROUP).run(until_idle=0)
    log.collect("back", f"{url}?subscription={queue}").run(until_idle=1)
    assert log.partition("back", 0).end_offset == 300 * PARTITIONS


def test_a_wrong_password_ends_the_bridge_and_is_in_no_message(server: Server, queue: str, log: EventLog) -> None:
    if server.login is None:
        pytest.skip("the test's Classic asks for no login")
    log.partition(TOPIC, 0).append(b"one")
    bridge = log.ship(TOPIC, server.url(queue), group=GROUP, password="not the password")
    with pytest.raises(BridgeError, match=r"password is invalid|validate user") as raised:
        bridge.run(until_idle=0)
    told = f"{raised.value!r} {bridge!r} {bridge.progress()}"
    assert "not the password" not in told
    assert "secret" not in told
