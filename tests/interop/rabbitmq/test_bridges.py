"""Bridges between a topic and RabbitMQ while they, or RabbitMQ, are killed; and while RabbitMQ takes nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pika
import pytest

import eventlog
from eventlog import BridgeError, Consumer, EventLog
from eventlog.bridges.amqp.sink import RabbitSink
from eventlog.bridges.amqp.source import RabbitSource
from eventlog.bridges.appending import TopicAppender
from tests.interop.rabbitmq import ends
from tests.interop.rabbitmq.server import Server
from tests.support.bridges import Step, die_at, steps
from tests.support.processes import Worker

pytestmark = pytest.mark.rabbitmq

TOPIC, GROUP = "orders", "to-rabbitmq"
WINDOW = 20
ROUND = 60
SECONDS_MAX = 120
SHIP_STEPS = [
    *steps(1, (RabbitSink, "open"), (RabbitSink, "assign"), (RabbitSink, "send"), (RabbitSink, "outcomes")),
    *steps(3, (RabbitSink, "send"), (RabbitSink, "outcomes"), (Consumer, "commit")),
]
COLLECT_STEPS = [
    *steps(1, (RabbitSource, "open")),
    *steps(2, (RabbitSource, "receive"), (TopicAppender, "append"), (TopicAppender, "flush"), (RabbitSource, "acknowledge")),
]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    with eventlog.open(path) as log:
        log.create_topic(TOPIC)
    return path


@pytest.fixture
def log(store: Path) -> Iterator[EventLog]:
    with eventlog.open(store) as log:
        yield log


@pytest.fixture(params=["quorum", "classic"])
def durable_queue(rabbitmq: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """A queue of each kind that survives a restart."""
    name = ends.new_name()
    with ends.channel(rabbitmq) as channel:
        channel.queue_declare(name, durable=True, arguments={"x-queue-type": request.param})
    rabbitmq.settle()
    yield name
    with ends.channel(rabbitmq) as channel:
        channel.queue_delete(name)


@pytest.fixture
def queue(rabbitmq: Server) -> Iterator[str]:
    name = ends.new_name()
    with ends.channel(rabbitmq) as channel:
        channel.queue_declare(name, durable=True)
    yield name
    with ends.channel(rabbitmq) as channel:
        channel.queue_delete(name)


def numbers(start: int, count: int) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


def publish(server: Server, queue: str, bodies: list[bytes]) -> None:
    """Each with an id of its own."""
    with ends.channel(server) as channel:
        for body in bodies:
            channel.basic_publish("", queue, body, pika.BasicProperties(message_id=body.decode(), delivery_mode=2))


def drained(server: Server, queue: str) -> list[bytes]:
    """Everything that is in the queue."""
    bodies = []
    with ends.channel(server) as channel:
        while (body := channel.basic_get(queue, auto_ack=True)[2]) is not None:
            bodies.append(body)
    return bodies


def ship_and_die(connection: Connection, store: Path, url: str, step: Step | None) -> None:
    if step is not None:
        die_at(step)
    with eventlog.open(store) as log:
        log.ship(TOPIC, url, group=GROUP, window=WINDOW).run(until_idle=0)
    connection.send("done")


def collect_and_die(connection: Connection, store: Path, url: str, step: Step | None) -> None:
    if step is not None:
        die_at(step)
    with eventlog.open(store) as log:
        log.collect(TOPIC, url, window=WINDOW).run()
    connection.send("done")


def ship_until_killed(connection: Connection, store: Path, url: str) -> None:
    with eventlog.open(store) as log:
        log.ship(TOPIC, url, group=GROUP, window=WINDOW).run()


def collect_rest(log: EventLog, url: str, count: int, **options: int) -> int:
    """Collect until the topic has so many records; returns how many messages were recognised."""
    with log.collect(TOPIC, url, **options) as bridge:
        assert log.partition(TOPIC, 0).wait(count - 1, SECONDS_MAX), bridge.progress()
    return bridge.progress().recognised


def values(log: EventLog) -> list[bytes | None]:
    return list(log.partition(TOPIC, 0).values())


def test_the_hello_of_pikas_tutorial_lands_in_a_topic(rabbitmq: Server, log: EventLog) -> None:
    with log.collect(TOPIC, f"{rabbitmq.url}?queue=hello", create="transient"):
        with ends.channel(rabbitmq) as channel:
            channel.queue_declare(queue="hello")
            channel.basic_publish(exchange="", routing_key="hello", body="Hello World!")
        assert log.partition(TOPIC, 0).wait(0, SECONDS_MAX)
    assert values(log) == [b"Hello World!"]


def test_a_ship_that_is_killed_between_each_two_steps_loses_nothing_and_repeats_a_window_at_most(
    rabbitmq: Server, store: Path, queue: str
) -> None:
    url = f"{rabbitmq.url}?queue={queue}"
    for number, step in enumerate([*SHIP_STEPS, None]):
        with eventlog.open(store) as log:
            log.partition(TOPIC, 0).append_many(numbers(number * ROUND, ROUND))
        with Worker(ship_and_die, store, url, step) as worker:
            if step is None:
                assert worker.receive() == "done"
            else:
                assert worker.exit_status == -9, f"it did not come to {step}"
    arrived = drained(rabbitmq, queue)
    sent = numbers(0, ROUND * (len(SHIP_STEPS) + 1))
    assert list(dict.fromkeys(arrived)) == sent, "lost, or not in order"
    assert len(arrived) - len(sent) <= WINDOW * len(SHIP_STEPS)


def test_a_collecting_bridge_that_is_killed_between_each_two_steps_appends_each_message_once(
    rabbitmq: Server, store: Path, queue: str
) -> None:
    url = f"{rabbitmq.url}?queue={queue}"
    for number, step in enumerate(COLLECT_STEPS):
        publish(rabbitmq, queue, numbers(number * ROUND, ROUND))
        with Worker(collect_and_die, store, url, step) as worker:
            assert worker.exit_status == -9, f"it did not come to {step}"
    sent = numbers(0, ROUND * len(COLLECT_STEPS))
    publish(rabbitmq, queue, [b"last"])
    with eventlog.open(store) as log:
        collect_rest(log, url, len(sent) + 1)
        assert Counter(values(log)) == Counter([*sent, b"last"])
    assert drained(rabbitmq, queue) == []


def test_bridges_that_are_killed_at_any_time_lose_nothing(rabbitmq: Server, store: Path, queue: str) -> None:
    """Out of one topic, and into another one, each by a bridge that is killed again and again."""
    url = f"{rabbitmq.url}?queue={queue}"
    kills, count = 5, 3000
    with eventlog.open(store) as log:
        receipts = [log.producer().send(TOPIC, value) for value in numbers(0, count)]
        for number in range(kills):
            with Worker(ship_until_killed, store, url) as worker:
                assert receipts[(number + 1) * count // (kills + 2)].wait_acked(GROUP, SECONDS_MAX)
                worker.kill()
        with log.ship(TOPIC, url, group=GROUP):
            assert receipts[-1].wait_acked(GROUP, SECONDS_MAX)
        assert log.group(GROUP).lag() is not None
    arrived = drained(rabbitmq, queue)
    assert list(dict.fromkeys(arrived)) == numbers(0, count)
    assert len(arrived) - count <= kills * WINDOW


def test_rabbitmq_is_killed_while_a_bridge_collects(rabbitmq: Server, log: EventLog, durable_queue: str) -> None:
    count = 3000
    publish(rabbitmq, durable_queue, numbers(0, count))
    with log.collect(TOPIC, f"{rabbitmq.url}?queue={durable_queue}", window=100) as bridge:
        assert log.partition(TOPIC, 0).wait(500, SECONDS_MAX), bridge.progress()
        rabbitmq.kill()
        rabbitmq.start()
        assert log.partition(TOPIC, 0).wait(count - 1, SECONDS_MAX), bridge.progress()
        publish(rabbitmq, durable_queue, [b"last"])  # behind everything that comes again
        assert log.partition(TOPIC, 0).wait(count, SECONDS_MAX), bridge.progress()
    assert Counter(values(log)) == Counter([*numbers(0, count), b"last"])


def test_rabbitmq_is_killed_while_a_bridge_ships(rabbitmq: Server, log: EventLog, durable_queue: str) -> None:
    count = 3000
    producer = log.producer()
    receipts = [producer.send(TOPIC, value) for value in numbers(0, count)]
    with log.ship(TOPIC, f"{rabbitmq.url}?queue={durable_queue}", group=GROUP, window=100) as bridge:
        assert receipts[500].wait_acked(GROUP, SECONDS_MAX), bridge.progress()
        rabbitmq.kill()
        rabbitmq.start()
        assert receipts[-1].wait_acked(GROUP, SECONDS_MAX), bridge.progress()
        losses = bridge.progress().reconnects
        assert losses > 0
    arrived = drained(rabbitmq, durable_queue)
    assert set(arrived) == set(numbers(0, count))
    assert len(arrived) - count <= 100 * losses


def test_while_rabbitmq_is_short_of_memory_nothing_is_sent_and_nothing_is_gathered(
    rabbitmq: Server, log: EventLog, queue: str
) -> None:
    producer, count = log.producer(), 10_000
    with log.ship(TOPIC, f"{rabbitmq.url}?queue={queue}", group=GROUP) as bridge:
        assert producer.send(TOPIC, b"first").wait_acked(GROUP, SECONDS_MAX), bridge.progress()
        with rabbitmq.short_of_memory():
            before = resident_bytes()
            receipts = [producer.send(TOPIC, b"%d " % number + bytes(1000)) for number in range(count)]
            assert not receipts[-1].wait_acked(GROUP, 2.0)
            assert bridge.progress().in_flight <= 2000
            assert resident_bytes() - before < 64 << 20
        assert receipts[-1].wait_acked(GROUP, SECONDS_MAX), bridge.progress()
        assert bridge.progress().reconnects == 0
    with ends.channel(rabbitmq) as channel:
        assert channel.queue_declare(queue, passive=True).method.message_count == count + 1


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_what_no_queue_is_bound_for_ends_a_bridge_or_goes_to_the_dead_letters(rabbitmq: Server, log: EventLog) -> None:
    log.create_topic("dead")
    log.partition(TOPIC, 0).append(b"lonely", key=b"nowhere")
    url = f"{rabbitmq.url}?exchange=amq.direct"
    with pytest.raises(BridgeError, match="no queue is bound for it"):
        log.ship(TOPIC, url, group=GROUP).run(until_idle=0)
    assert log.group(GROUP).lag() != 0
    log.ship(TOPIC, url, group=GROUP, refused="dead-letter:dead").run(until_idle=0)
    (dead,) = log.partition("dead", 0).read(0)
    assert (dead.value, dead.key) == (b"lonely", b"nowhere")
