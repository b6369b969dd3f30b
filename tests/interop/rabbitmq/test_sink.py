"""Records on their way into RabbitMQ, and what becomes of those that it does not take."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eventlog.bridges.amqp import properties
from eventlog.errors import BridgeError, ConnectionLostError, EventLogError, InvalidArgumentError
from tests.interop.rabbitmq import ends
from tests.interop.rabbitmq.server import MESSAGE_BYTES_MAX, Server

pytestmark = pytest.mark.rabbitmq


@pytest.fixture
def queue(rabbitmq: Server) -> Iterator[str]:
    """A durable queue that is deleted at the end."""
    name = ends.new_name()
    with ends.channel(rabbitmq) as channel:
        channel.queue_declare(name, durable=True)
    yield name
    with ends.channel(rabbitmq) as channel:
        channel.queue_delete(name)


def test_records_arrive_in_their_order_and_are_confirmed(rabbitmq: Server, queue: str) -> None:
    sent = ends.records(b"%d" % number for number in range(5000))
    sink = ends.sink(f"{rabbitmq.url}?queue={queue}")
    sink.open()
    confirmed, refused = ends.ship(sink, sent)
    sink.close()
    assert (sorted(confirmed), refused) == (sent, [])
    with ends.channel(rabbitmq) as channel:
        bodies = [channel.basic_get(queue, auto_ack=True)[2] for _ in sent]
    assert bodies == [record.value for record in sent]


def test_a_record_is_a_message_that_another_client_understands(rabbitmq: Server, queue: str) -> None:
    headers = (("content-type", b"text/plain"), ("colour", b"red"), ("colour", b"blue"), ("priority", b"5"), ("raw", b"\xff"))
    sent = ends.records([b"Hello World!"], key=b"k", headers=headers)
    sink = ends.sink(f"{rabbitmq.url}?queue={queue}")
    sink.open()
    ends.ship(sink, sent)
    sink.close()
    with ends.channel(rabbitmq) as channel:
        _, theirs, body = channel.basic_get(queue, auto_ack=True)
    assert (body, theirs.content_type, theirs.priority, theirs.delivery_mode) == (b"Hello World!", "text/plain", 5, 2)
    assert (theirs.message_id, theirs.timestamp) == ("store/topic/0/0", 1_700_000_000)
    assert theirs.headers == {
        "eventlog.timestamp": "1700000000123", "eventlog.key": "k", "colour": ["red", "blue"], "raw": b"\xff",
    }  # fmt: skip


def test_what_no_queue_is_bound_for_is_refused_and_the_rest_arrives(rabbitmq: Server, queue: str) -> None:
    sent = ends.records([b"a", b"b", b"c", b"d"])
    sent = [record._replace(key=key) for record, key in zip(sent, (b"in", b"out", b"in", b"out"), strict=True)]
    with ends.channel(rabbitmq) as channel:
        channel.queue_bind(queue, "amq.direct", "in")
    sink = ends.sink(f"{rabbitmq.url}?exchange=amq.direct")
    sink.open()
    confirmed, refused = ends.ship(sink, sent)
    sink.close()
    assert [record.value for record in confirmed] == [b"a", b"c"]
    assert [refusal.record.value for refusal in refused] == [b"b", b"d"]
    assert "no queue is bound for it: exchange 'amq.direct', routing key 'out'" in refused[0].reason


def test_of_equal_records_as_many_are_refused_as_came_back(rabbitmq: Server) -> None:
    """Nothing but the content tells which one came back."""
    sent = ends.records([b"same"] * 500, headers=(("amqp.properties", properties.build({})),), key=b"nowhere")
    sink = ends.sink(f"{rabbitmq.url}?exchange=amq.direct")
    sink.open()
    confirmed, refused = ends.ship(sink, sent)
    sink.close()
    assert (confirmed, sorted(refusal.record for refusal in refused)) == ([], sent)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"headers": (("large", bytes(200_000)),)}, "its properties and headers take 2000"),
        ({"headers": (("n" * 256, b""),)}, "has 256 bytes; AMQP allows 255"),
        ({"headers": (("amqp.properties", b"\x80\x00\xff"),)}, "do not end where they should"),
    ],
)
def test_what_amqp_cannot_carry_is_refused_before_it_is_sent(
    rabbitmq: Server, queue: str, fields: dict[str, object], reason: str
) -> None:
    good, bad = ends.records([b"good", b"bad"])
    sink = ends.sink(f"{rabbitmq.url}?queue={queue}")
    sink.open()
    confirmed, refused = ends.ship(sink, [good, bad._replace(**fields)])
    sink.close()
    assert confirmed == [good]
    assert [reason in refusal.reason for refusal in refused] == [True]


def test_what_is_too_large_ends_the_channel_and_is_found_and_refused(rabbitmq: Server, queue: str) -> None:
    """RabbitMQ closes the channel, with all that is not confirmed, and does not say which message it was."""
    sent = ends.records(b"%d" % number for number in range(30))
    large = {7, 20}
    sent = [record._replace(value=bytes(MESSAGE_BYTES_MAX + 1)) if record.offset in large else record for record in sent]
    sink = ends.sink(f"{rabbitmq.url}?queue={queue}")
    confirmed, refused = ends.ship_in_spite_of_losses(sink, sent)
    assert [record.offset for record in confirmed] == [record.offset for record in sent if record.offset not in large]
    assert {refusal.record.offset for refusal in refused} == large
    assert "is larger than configured max size" in refused[0].reason


def test_a_full_queue_is_waited_for_and_takes_the_rest_later(rabbitmq: Server) -> None:
    name, arguments = ends.new_name(), {"x-max-length": 10, "x-overflow": "reject-publish"}
    sent = ends.records(b"%d" % number for number in range(40))
    received: list[bytes] = []
    with ends.channel(rabbitmq) as channel:
        channel.queue_declare(name, arguments=arguments)

        def drain() -> None:
            while (body := channel.basic_get(name, auto_ack=True)[2]) is not None:
                received.append(body)

        confirmed, refused = ends.ship_in_spite_of_losses(ends.sink(f"{rabbitmq.url}?queue={name}"), sent, drain)
        drain()
        channel.queue_delete(name)
    assert (confirmed, refused) == (sent, [])
    assert set(received) == {record.value for record in sent}


def test_while_rabbitmq_is_short_of_memory_there_is_no_room_and_closing_does_not_wait(rabbitmq: Server, queue: str) -> None:
    """RabbitMQ does not even answer then that it closes the connection."""
    sink = ends.sink(f"{rabbitmq.url}?queue={queue}")
    sink.open()
    with rabbitmq.short_of_memory():
        while sink.room():  # RabbitMQ tells those that publish
            sink.send(ends.records([b"x"]))
            sink.outcomes(0.1)
        sink.close()
    sink.open()
    assert sink.room() == 2000
    sink.close()


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("?queue=no-such-queue", BridgeError, "there is no queue 'no-such-queue'; --create creates it"),
        ("?exchange=no-such-exchange", BridgeError, "there is no exchange 'no-such-exchange'"),
    ],
)
def test_what_does_not_exist_ends_a_bridge(rabbitmq: Server, url: str, error: type[EventLogError], words: str) -> None:
    sink = ends.sink(rabbitmq.url + url)
    with pytest.raises(error, match=words):
        sink.open()
    sink.close()


@pytest.mark.parametrize(("old", "new"), [("guest:guest@", "guest:wrong-secret@"), ("guest:guest@", "nobody:s3cret@")])
def test_a_login_that_is_refused_ends_a_bridge_and_shows_no_secret(rabbitmq: Server, old: str, new: str) -> None:
    sink = ends.sink(f"{rabbitmq.url.replace(old, new)}?queue=any")
    with pytest.raises(BridgeError, match="RabbitMQ refuses the login") as caught:
        sink.open()
    assert "secret" not in repr(caught.value) and "s3cret" not in repr(caught.value)
    sink.close()


def test_a_virtual_host_that_does_not_exist_ends_a_bridge(rabbitmq: Server) -> None:
    sink = ends.sink(f"{rabbitmq.url.replace('%2F', 'nowhere')}?queue=any")
    with pytest.raises(BridgeError, match="no such virtual host"):
        sink.open()
    sink.close()


def test_a_server_that_is_not_there_is_waited_for() -> None:
    sink = ends.sink("amqp://127.0.0.1:1/%2F?queue=any")
    for _ in range(3):
        with pytest.raises(ConnectionLostError, match="Connection refused"):
            sink.open()
        sink.close()


@pytest.mark.parametrize("kind", ["", "quorum", "classic", "transient"])
def test_a_queue_is_created_if_told_to_and_used_if_it_exists_otherwise(rabbitmq: Server, kind: str) -> None:
    name = ends.new_name()
    for create in (kind, "classic", "quorum"):
        sink = ends.sink(f"{rabbitmq.url}?queue={name}", create)
        sink.open()
        confirmed, _ = ends.ship(sink, ends.records([b"x"]))
        sink.close()
        assert len(confirmed) == 1
    with ends.channel(rabbitmq) as channel:
        assert channel.queue_declare(name, passive=True).method.message_count == 3
        channel.queue_delete(name)


@pytest.mark.parametrize(
    "query", ["", "?queue=a&exchange=b", "?queue=a&routing-key=b", "?queue=a&window=7", "?queue=a&heartbeat=x"]
)
def test_options_that_make_no_sense_are_refused_before_connecting(query: str) -> None:
    with pytest.raises(InvalidArgumentError):
        ends.sink(f"amqp://127.0.0.1:1/%2F{query}")
