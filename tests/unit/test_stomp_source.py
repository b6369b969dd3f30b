"""Messages of a STOMP server that does its part, or does it wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eventlog import InvalidArgumentError
from eventlog.bridges.endpoints import SourceContext
from eventlog.bridges.message import Message
from eventlog.bridges.stomp.source import StompSource
from eventlog.bridges.systems import make_source
from eventlog.bridges.url import Url
from eventlog.errors import BridgeError, ConnectionLostError
from tests.support.stomp_server import DISCONNECT, DROP, StompServer

CLASSIC = "ActiveMQ/6.3.1"
ARTEMIS = "ActiveMQ-Artemis/2.40.0 ActiveMQ Artemis Messaging Engine"


@pytest.fixture(params=[CLASSIC, ARTEMIS], ids=["classic", "artemis"])
def server(request: pytest.FixtureRequest) -> Iterator[StompServer]:
    with StompServer(request.param) as server:
        yield server


@pytest.fixture
def source(server: StompServer) -> Iterator[StompSource]:
    source = source_of(server)
    source.open()
    yield source
    source.close()


def source_of(
    server: StompServer, path: str = "queue/orders", key: str | None = None, identity: str | None = None
) -> StompSource:
    context = SourceContext("orders", lambda source, partition: None, key, identity, None, 2000, 1 << 20, lambda url: None)  # type: ignore[arg-type, return-value]
    source = make_source(Url(f"stomp://127.0.0.1:{server.port}/{path}"), context)
    assert isinstance(source, StompSource)
    return source


def queue_of(server: StompServer, name: str = "orders") -> str:
    return f"/queue/{name}" if server.name == CLASSIC else name


def received(source: StompSource, count: int) -> list[Message]:
    messages: list[Message] = []
    while len(messages) < count:
        messages += source.receive(5, count - len(messages))
    return messages


def one(
    server: StompServer,
    *headers: tuple[str, str],
    key: str | None = None,
    identity: str | None = None,
    message_id: str | None = None,
) -> Message:
    """The only message of a queue, as a source with these rules receives it."""
    server.put(queue_of(server), b"body", *headers, message_id=message_id)
    source = source_of(server, key=key, identity=identity)
    source.open()
    (message,) = received(source, 1)
    source.acknowledge([message])
    source.close()
    return message


def test_messages_come_in_order_and_are_gone_once_acknowledged(server: StompServer, source: StompSource) -> None:
    bodies = [b"%d" % number for number in range(777)]
    for body in bodies:
        server.put(queue_of(server), body)
    got: list[Message] = []
    while len(got) < len(bodies):
        messages = source.receive(5, 2000)
        source.acknowledge(messages)
        got += messages
    assert [message.value for message in got] == bodies
    source.close()
    server.disconnect_all()
    assert server.bodies(queue_of(server)) == []


def test_what_is_not_acknowledged_comes_again_as_the_same_message(server: StompServer, source: StompSource) -> None:
    for number in range(5):
        server.put(queue_of(server), b"%d" % number, ("timestamp", "17"))
    before = received(source, 5)
    source.acknowledge(before[:2])
    source.close()
    server.disconnect_all()
    source.open()
    after = received(source, 3)
    assert [message.value for message in after] == [b"2", b"3", b"4"]
    assert [message.identity for message in after] == [message.identity for message in before[2:]]
    assert [message.is_redelivered for message in before + after] == [False] * 5 + [True] * 3
    assert len({message.identity for message in before}) == 5


def test_nothing_comes_from_a_connection_that_is_lost(server: StompServer, source: StompSource) -> None:
    for number in range(3):
        server.put(queue_of(server), b"%d" % number)
    (first,) = received(source, 1)
    server.disconnect_all()
    with pytest.raises(ConnectionLostError):
        while True:
            source.receive(5, 100)
    source.close()
    source.open()
    source.acknowledge([first])
    assert [message.value for message in received(source, 3)] == [b"0", b"1", b"2"]


def test_receive_waits_for_a_message_and_not_for_a_receipt(server: StompServer, source: StompSource) -> None:
    assert source.receive(0, 10) == []
    assert source.receive(0.01, 10) == []
    server.put(queue_of(server), b"late")
    assert [message.value for message in source.receive(5, 10)] == [b"late"]


def test_no_more_than_asked_for_is_returned(server: StompServer, source: StompSource) -> None:
    for number in range(10):
        server.put(queue_of(server), b"%d" % number)
    assert [message.value for message in received(source, 3)] == [b"0", b"1", b"2"]
    assert [message.value for message in received(source, 7)] == [b"%d" % number for number in range(3, 10)]


def test_acknowledgements_are_sent_before_the_server_runs_out_of_credit(server: StompServer, source: StompSource) -> None:
    server.prefetch = 128
    for number in range(1000):
        server.put(queue_of(server), b"%d" % number)
    got = 0
    while got < 1000:
        messages = source.receive(5, 50)
        source.acknowledge(messages)
        got += len(messages)


@pytest.mark.parametrize("fault", [DISCONNECT, DROP, "not now"])
def test_an_acknowledgement_that_does_not_arrive_raises_nothing_when_closing(
    server: StompServer, source: StompSource, fault: str
) -> None:
    server.put(queue_of(server), b"one")
    message = received(source, 1)
    server.fault = lambda frame: fault if frame.command == "ACK" else None
    source.acknowledge(message)
    source.close()
    server.disconnect_all()
    assert server.bodies(queue_of(server)) == [b"one"]


def test_a_refused_message_goes_to_the_dead_letter_queue_with_the_reason(server: StompServer, source: StompSource) -> None:
    server.put(queue_of(server), b"good")
    server.put(queue_of(server), b"large", ("colour", "red"), ("timestamp", "5"))
    messages = received(source, 2)
    source.refuse(messages[1], "it is too large: really")
    source.acknowledge(messages)
    source.close()
    server.disconnect_all()
    (stored,) = server.queues[queue_of(server, "ActiveMQ.DLQ" if server.name == CLASSIC else "DLQ")]
    assert (stored.body, stored.header("colour"), stored.header("timestamp")) == (b"large", "red", "5")
    assert stored.header("eventlog.reason") == "it is too large: really"
    assert server.bodies(queue_of(server)) == []


def test_a_refused_message_stays_if_the_dead_letter_queue_is_refused_too(server: StompServer, source: StompSource) -> None:
    server.put(queue_of(server), b"large")
    messages = received(source, 1)
    server.fault = lambda frame: "no such queue" if frame.command == "SEND" else None
    with pytest.raises(BridgeError, match=r"cannot be sent to .*DLQ.*no such queue"):
        source.refuse(messages[0], "it is too large")
    source.close()
    server.disconnect_all()
    assert server.bodies(queue_of(server)) == [b"large"]


def test_identity_is_the_message_id_and_of_artemis_what_lasts_of_it(server: StompServer) -> None:
    first, second = one(server), one(server)
    assert first.is_unique
    assert first.identity != second.identity


def test_only_the_number_behind_the_comma_tells_messages_of_artemis_apart() -> None:
    with StompServer(ARTEMIS) as server:
        first = one(server, ("timestamp", "1"), message_id="5,77")
        assert one(server, ("timestamp", "1"), message_id="6,77").identity == first.identity
        assert one(server, ("timestamp", "1"), message_id="5,78").identity != first.identity
        assert one(server, ("timestamp", "2"), message_id="5,77").identity != first.identity


def test_identity_by_content_is_equal_for_equal_messages(server: StompServer) -> None:
    first, second = (one(server, ("colour", "red"), identity="content") for _ in range(2))
    other = one(server, ("colour", "blue"), identity="content")
    assert first.identity == second.identity != other.identity
    assert not first.is_unique


def test_identity_by_a_header_and_without_it_by_the_message_id(server: StompServer) -> None:
    first, second = (one(server, ("order", "17"), identity="header:order") for _ in range(2))
    assert first.identity == second.identity
    assert first.is_unique
    assert one(server, identity="header:order").identity != one(server, identity="header:order").identity


def test_identity_can_be_left_out(server: StompServer) -> None:
    assert one(server, identity="none").identity is None


@pytest.mark.parametrize(
    "rule, key",
    [(None, b"group"), ("correlation-id", b"c"), ("header:colour", b"red"), ("header:none", None), ("message-id", b"ID:1")],
)
def test_the_key_follows_the_rule(server: StompServer, rule: str | None, key: bytes | None) -> None:
    headers = (("JMSXGroupID", "group"), ("correlation-id", "c"), ("colour", "red"))
    assert one(server, *headers, key=rule).key == key


def test_the_key_can_be_the_destination(server: StompServer) -> None:
    assert one(server, key="routing-key").key == queue_of(server).encode()


def test_a_topic_needs_a_durable_subscription(server: StompServer) -> None:
    with pytest.raises(InvalidArgumentError, match="subscription=NAME"):
        source_of(server, "topic/prices")
    with pytest.raises(InvalidArgumentError, match="must not have it"):
        source_of(server, "queue/prices?subscription=me")
    source = source_of(server, "topic/prices?subscription=me")
    source.open()
    source.close()
    (connect, subscribe) = [frame for frame in server.frames if frame.command in ("CONNECT", "SUBSCRIBE")]
    name = "activemq.subscriptionName" if server.name == CLASSIC else "durable-subscription-name"
    assert (connect.header("client-id"), subscribe.header(name)) == ("me", "me")
    assert subscribe.header("subscription-type") == (None if server.name == CLASSIC else "MULTICAST")


def test_a_missing_right_to_read_is_for_good(server: StompServer) -> None:
    server.fault = lambda frame: "User is not authorized to read" if frame.command == "SUBSCRIBE" else None
    source = source_of(server)
    with pytest.raises(BridgeError, match="not authorized to read"):
        source.open()
    source.close()


def test_a_closed_source_raises_what_a_bridge_can_handle(server: StompServer) -> None:
    source = source_of(server)
    source.close()
    with pytest.raises(ConnectionLostError, match="not connected"):
        source.receive(0, 1)
    assert source.depth() is None
