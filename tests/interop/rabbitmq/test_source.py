"""The messages of a queue, as they come out of a source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pika
import pytest

from eventlog.bridges.amqp import properties, tables
from eventlog.bridges.amqp.wire import EncodedProperties
from eventlog.errors import BridgeError, ConnectionLostError, InvalidArgumentError
from tests.interop.rabbitmq import ends
from tests.interop.rabbitmq.server import Server

pytestmark = pytest.mark.rabbitmq

# All types of fields that RabbitMQ has, some of which pika reads as others or not at all.
ALL_TYPES = b"".join(
    bytes((2, 104, 48 + number)) + value
    for number, value in enumerate((
        b"t\x01", b"b\xff", b"B\xff", b"s\xff\xfe", b"u\xff\xfe", b"I\xff\xff\xff\xfe", b"i\xff\xff\xff\xfe",
        b"l" + b"\xfe" * 8, b"f\x3f\xc0\x00\x00", b"d\x3f\xf8" + bytes(6), b"D\x02\x00\x00\x01\x00",
        b"S\x00\x00\x00\x02\xff\x00", b"x\x00\x00\x00\x01a", b"T" + bytes(4) + b"\x65\x53\xf1\x00",
        b"A\x00\x00\x00\x03t\x01V", b"F\x00\x00\x00\x07\x01af\x3f\xc0\x00\x00", b"V",
    ))
)  # fmt: skip


@pytest.fixture
def queue(rabbitmq: Server) -> Iterator[str]:
    """A durable queue that is deleted at the end."""
    name = ends.new_name()
    with ends.channel(rabbitmq) as channel:
        channel.queue_declare(name, durable=True)
    yield name
    with ends.channel(rabbitmq) as channel:
        channel.queue_delete(name)


def publish(server: Server, queue: str, bodies: list[bytes], encoded: bytes | None = None) -> None:
    with ends.channel(server) as channel:
        for body in bodies:
            theirs: Any = pika.BasicProperties() if encoded is None else EncodedProperties(encoded)
            channel.basic_publish("", queue, body, theirs)


def left(server: Server, queue: str) -> int:
    with ends.channel(server) as channel:
        return int(channel.queue_declare(queue, passive=True).method.message_count)


def test_the_hello_of_pikas_tutorial_is_received(rabbitmq: Server) -> None:
    with ends.channel(rabbitmq) as channel:
        channel.queue_declare(queue="hello")
        channel.basic_publish(exchange="", routing_key="hello", body="Hello World!")
    source = ends.source(f"{rabbitmq.url}?queue=hello", key="routing-key")
    source.open()
    (message,) = ends.take(source, 1)
    source.acknowledge([message])
    source.close()
    assert (message.value, message.key, message.is_redelivered) == (b"Hello World!", b"hello", False)
    assert dict(message.headers)["amqp.routing-key"] == b"hello"
    assert left(rabbitmq, "hello") == 0


def test_a_message_goes_through_a_topic_bit_for_bit(rabbitmq: Server, queue: str) -> None:
    table = ALL_TYPES + tables.encode({"n": [b"text"], "nested": [b"a", None, b"\xff"]})
    encoded = properties.build(
        {"content-type": b"\xff\xfe", "headers": table, "delivery-mode": 1, "priority": 255, "correlation-id": b"",
         "reply-to": b"r" * 255, "expiration": b"4294967295", "message-id": b"\x00", "timestamp": 2**64 - 1, "type": b"t",
         "app-id": b"a", "cluster-id": b"c"}
    )  # fmt: skip
    publish(rabbitmq, queue, [b"\x00\xffbody"], encoded)
    source = ends.source(f"{rabbitmq.url}?queue={queue}")
    source.open()
    (message,) = ends.take(source, 1)
    source.acknowledge([message])
    source.close()
    assert message.headers[0] == ("amqp.properties", encoded)

    sink = ends.sink(f"{rabbitmq.url}?queue={queue}")
    sink.open()
    assert len(ends.ship(sink, ends.records([message.value], headers=message.headers))[0]) == 1
    sink.close()
    source.open()
    (again,) = ends.take(source, 1)
    source.acknowledge([again])
    source.close()
    assert (again.value, again.headers[0]) == (message.value, message.headers[0])


def test_what_was_not_acknowledged_comes_again_and_is_the_same_message(rabbitmq: Server, queue: str) -> None:
    publish(rabbitmq, queue, [b"%d" % number for number in range(100)])
    source = ends.source(f"{rabbitmq.url}?queue={queue}", identity="content")
    source.open()
    first = ends.take(source, 100)
    source.acknowledge(first[:40])
    source.close()
    source.open()
    second = ends.take(source, 60)
    source.close()
    assert [each.value for each in second] == [each.value for each in first[40:]]
    assert None not in (identities := [each.identity for each in second])
    assert identities == [each.identity for each in first[40:]]
    assert all(each.is_redelivered for each in second) and not any(each.is_redelivered for each in first)


def test_messages_of_an_earlier_connection_are_not_acknowledged_by_a_later_one(rabbitmq: Server, queue: str) -> None:
    """The tags are the same, and count anew."""
    publish(rabbitmq, queue, [b"a", b"b"])
    source = ends.source(f"{rabbitmq.url}?queue={queue}")
    source.open()
    first = ends.take(source, 2)
    source.close()
    source.open()
    ends.take(source, 2)
    source.acknowledge(first)
    source.close()
    assert left(rabbitmq, queue) == 2


def test_no_more_than_the_window_is_on_the_way(rabbitmq: Server, queue: str) -> None:
    publish(rabbitmq, queue, [b"%d" % number for number in range(30)])
    source = ends.source(f"{rabbitmq.url}?queue={queue}", window=10)
    source.open()
    received = ends.take(source, 10)
    assert (list(source.receive(0.2, 10)), source.depth()) == ([], 20)
    source.acknowledge(received[:5])
    assert [each.value for each in ends.take(source, 5)] == [b"10", b"11", b"12", b"13", b"14"]
    source.close()


def test_large_messages_wait_in_rabbitmq_and_not_in_memory(rabbitmq: Server, queue: str) -> None:
    """A window counts messages, so that large ones are taken from the connection only as fast as they are received."""
    publish(rabbitmq, queue, [bytes(1_000_000)] * 40)
    source = ends.source(f"{rabbitmq.url}?queue={queue}", window=1000)
    source.open()
    waiting = []
    for _ in range(40):
        waiting.append(len(ends.take(source, 1)[0].value or b""))
        assert source.waiting_bytes < 10 << 20
    source.close()
    assert waiting == [1_000_000] * 40


def test_what_the_topic_cannot_take_goes_to_the_dead_letters(rabbitmq: Server) -> None:
    name, dead = ends.new_name(), ends.new_name()
    with ends.channel(rabbitmq) as channel:
        channel.queue_declare(dead)
        channel.queue_declare(name, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    publish(rabbitmq, name, [b"a", b"b", b"c"])
    source = ends.source(f"{rabbitmq.url}?queue={name}&reject=dead-letter")
    source.open()
    first, second, third = ends.take(source, 3)
    source.acknowledge([first])
    source.refuse(second, "too large")
    source.acknowledge([third])
    source.close()
    assert left(rabbitmq, name) == 0
    came_from = ends.source(f"{rabbitmq.url}?queue={dead}")
    came_from.open()
    (message,) = ends.take(came_from, 1)
    came_from.acknowledge([message])
    came_from.close()
    assert message.value == b"b"
    assert b'"reason": "rejected"' in (dict(message.headers)["x-death"] or b"")


def test_nothing_is_rejected_unless_the_url_says_that_it_is_not_lost(rabbitmq: Server, queue: str) -> None:
    publish(rabbitmq, queue, [b"a"])
    source = ends.source(f"{rabbitmq.url}?queue={queue}")
    source.open()
    (message,) = ends.take(source, 1)
    with pytest.raises(BridgeError, match=r"reject=dead-letter to the URL"):
        source.refuse(message, "too large")
    source.close()
    assert left(rabbitmq, queue) == 1


def test_a_queue_that_is_deleted_meanwhile_ends_the_connection_and_then_the_bridge(rabbitmq: Server) -> None:
    name = ends.new_name()
    with ends.channel(rabbitmq) as channel:
        channel.queue_declare(name)
        source = ends.source(f"{rabbitmq.url}?queue={name}")
        source.open()
        channel.queue_delete(name)
    with pytest.raises(ConnectionLostError, match="the queue was deleted"):
        ends.take(source, 1)
    source.close()
    with pytest.raises(BridgeError, match="there is no queue"):
        source.open()
    source.close()


def test_a_connection_that_is_lost_before_rabbitmq_answers_is_an_error(rabbitmq: Server, queue: str) -> None:
    source = ends.source(f"{rabbitmq.url}?queue={queue}")
    source.open()
    rabbitmq.control("close_all_connections", "the test wants it")
    with pytest.raises(ConnectionLostError, match="the test wants it"):
        source.depth()
    source.close()


def test_an_exclusive_consumer_waits_until_the_other_one_is_gone(rabbitmq: Server, queue: str) -> None:
    first, second = (ends.source(f"{rabbitmq.url}?queue={queue}&exclusive=true") for _ in range(2))
    first.open()
    with pytest.raises(ConnectionLostError, match="refuses to let it be consumed"):
        second.open()
    second.close()
    first.close()
    for _ in range(ends.ROUNDS_MAX):
        try:
            second.open()
            return
        except ConnectionLostError:  # RabbitMQ has not cleared up after the first one yet
            continue
        finally:
            second.close()
    raise AssertionError("it cannot consume")


@pytest.mark.parametrize(
    ("key", "expected"),
    [(None, None), ("routing-key", b"ROUTING"), ("message-id", b"m"), ("correlation-id", b"c"), ("header:colour", b"red")],
)
def test_the_key_is_found_where_it_is_said_to_be(rabbitmq: Server, queue: str, key: str | None, expected: bytes | None) -> None:
    encoded = properties.build({"headers": tables.encode({"colour": [b"red"]}), "message-id": b"m", "correlation-id": b"c"})
    publish(rabbitmq, queue, [b"x"], encoded)
    source = ends.source(f"{rabbitmq.url}?queue={queue}", key=key)
    source.open()
    (message,) = ends.take(source, 1)
    source.close()
    assert message.key == (queue.encode() if expected == b"ROUTING" else expected)


@pytest.mark.parametrize("query", ["", "?exchange=a", "?queue=a&exclusive=perhaps", "?queue=a&reject=always"])
def test_options_that_make_no_sense_are_refused_before_connecting(query: str) -> None:
    with pytest.raises(InvalidArgumentError):
        ends.source(f"amqp://127.0.0.1:1/%2F{query}")


@pytest.mark.parametrize("name", ["colour", "header:", "routing_key"])
def test_a_key_or_an_identity_that_does_not_exist_is_refused_before_connecting(name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        ends.source("amqp://127.0.0.1:1/%2F?queue=a", key=name)
    with pytest.raises(InvalidArgumentError):
        ends.source("amqp://127.0.0.1:1/%2F?queue=a", identity=name)


def test_other_connections_of_pika_read_properties_as_ever(rabbitmq: Server, queue: str) -> None:
    """The source has pika make properties of its own for all messages that this process receives."""
    source = ends.source(f"{rabbitmq.url}?queue={queue}")
    source.open()
    source.close()
    theirs = pika.BasicProperties(content_type="a/b", headers={"a": [1, "x"]}, priority=3)
    with ends.channel(rabbitmq) as channel:
        channel.basic_publish("", queue, b"x", theirs)
        _, received, _ = channel.basic_get(queue, auto_ack=True)
        assert (received.content_type, received.headers, received.priority) == ("a/b", {"a": [1, "x"]}, 3)
        assert received == theirs and "content_type=a/b" in repr(received)
        received.priority = 4
        channel.basic_publish("", queue, b"x", received)
        _, again, _ = channel.basic_get(queue, auto_ack=True)
    assert (again.priority, again.headers, again.reply_to) == (4, {"a": [1, "x"]}, None)
