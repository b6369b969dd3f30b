"""Records as STOMP messages and back: what is the same again, and what cannot be smuggled in."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventlog import EventLogError, Record
from eventlog.bridges.stomp.frames import Frame, Parser, encode_headers, encode_raw
from eventlog.bridges.stomp.mapping import DESTINATION_HEADER, FRAME_HEADER, Incoming, outgoing

NOW = 1_700_000_000_000
names = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["priority", "destination", "receipt", "eventlog-id", "eventlog.headers", "timestamp", "expiration", "reply-to"]
)
values = st.none() | st.binary() | st.text(st.characters(exclude_categories=["Cs"])).map(str.encode) | st.just(b"7")
record_headers = st.lists(st.tuples(names, values), max_size=4).map(tuple)


def record_of(value: bytes | None = b"value", key: bytes | None = None, *headers: tuple[str, bytes | None]) -> Record:
    return Record("orders", 0, 7, NOW, key, value, headers)


def sent(record: Record) -> Frame:
    """The message of a record, as it comes out of a server that changes nothing."""
    message = outgoing(record, "store/orders/0/7")
    data = encode_raw("MESSAGE", b"destination:/queue/a\n" + message.head, message.body, has_length=not message.is_text)
    (frame,) = Parser().feed(data)
    return frame


def came_back(record: Record) -> Record:
    incoming = Incoming.of(sent(record))
    told = tuple(each for each in incoming.record_headers("ID:1") if each[0] not in (FRAME_HEADER, DESTINATION_HEADER))
    return record._replace(timestamp=incoming.timestamp, key=incoming.key, value=incoming.value, headers=told)


@given(st.none() | st.binary(), st.none() | st.binary(), record_headers)
@example(None, b"\xff", (("a", b"1"), ("a", b"2"), ("b", None), ("c", b"\xff")))
@example(b"", b"", (("eventlog.headers", b"[]"),))
@example(b"\0", b"a:b\n", (("x\r\n:\\", b"y\r\n:\\\0"),))
def test_a_record_comes_back_as_it_was(
    value: bytes | None, key: bytes | None, headers: tuple[tuple[str, bytes | None], ...]
) -> None:
    record = record_of(value, key, *headers)
    if not any(name in (FRAME_HEADER, DESTINATION_HEADER) for name, _ in headers):
        assert came_back(record) == record


def test_common_properties_are_headers_that_other_programs_know() -> None:
    told = {"content-type": b"text/plain", "correlation-id": b"c", "reply-to": b"/queue/r", "type": b"t", "priority": b"7"}
    frame = sent(record_of(b"v", b"k", *told.items(), ("expiration", b"1000"), ("message-id", b"mine"), ("colour", b"red")))
    expected = {name: value.decode() for name, value in told.items()}
    expected |= {"timestamp": str(NOW), "expires": str(NOW + 1000), "eventlog-id": "mine", "eventlog.key": "k", "colour": "red"}
    assert expected.items() <= dict(frame.headers()).items()


def test_a_reply_to_that_is_no_destination_is_not_sent_as_one() -> None:
    frame = sent(record_of(b"v", None, ("reply-to", b"amq.rabbitmq.reply-to")))
    assert (frame.header("reply-to"), frame.header("eventlog.reply-to")) == (None, "amq.rabbitmq.reply-to")


@pytest.mark.parametrize("name", ["destination", "receipt", "transaction", "content-length", "transformation", "_AMQ_SCHED_X"])
def test_a_header_of_a_record_does_not_become_an_order_to_the_server(name: str) -> None:
    headers = sent(record_of(b"v", None, (name, b"5"))).headers()
    assert (name, "5") not in headers


def test_a_message_that_came_goes_out_with_the_same_lines() -> None:
    lines = [b"x\\cy:1\\n", b"x\\cy:2", b"timestamp:5", b"timestamp:6", b"priority:9", "ü:ß".encode()]
    once = [b"message-id:26,23", b"ack:26,23", b"receipt:r1", b"subscription:0", b"destination:a", b"redelivered:true"]
    frame = Frame("MESSAGE", b"\n".join([*once, *lines]), b"body")
    headers = Incoming.of(frame).record_headers("23")
    again = outgoing(record_of(frame.body, b"key", *headers), "store/orders/0/7")
    assert again.head.splitlines() == [line for line in lines if line != b"timestamp:5"]
    assert again.is_text


@pytest.mark.parametrize("head", [b"a:1\n\nbody", b"no colon", b"a:\\x", b"a:1\rb:2", b"\xff:1"])
def test_lines_that_nobody_can_have_sent_are_not_sent(head: bytes) -> None:
    frame = sent(record_of(b"v", None, (FRAME_HEADER, head)))
    assert frame.header("eventlog-id") == "store/orders/0/7"
    assert frame.header("a") is None


def test_a_message_of_another_program_has_readable_headers_beside_its_lines() -> None:
    head = (
        b"message-id:ID\\c1\ndestination:/queue/a\npriority:7\nexpires:900\ntimestamp:400\ncolour:red\ncolour:blue\ntype:t\n"
        b"persistent:true\nredelivered:false\nsubscription:0\nack:1"
    )
    assert Incoming.of(Frame("MESSAGE", head, b"")).record_headers("ID:1") == (
        ("message-id", b"ID:1"),
        ("type", b"t"),
        ("priority", b"7"),
        ("expiration", b"500"),
        ("colour", b"red"),
        (DESTINATION_HEADER, b"/queue/a"),
        (FRAME_HEADER, head),
    )


@pytest.mark.parametrize(
    "told", ["", "[", "7", "[1]", '[["a"]]', '[["a",7]]', '[["a",["!"]]]', '[[1,"b"]]', '[["\\ud800","b"]]', "[" * 100_000]
)
def test_headers_that_no_bridge_has_written_are_ignored(told: str) -> None:
    head = encode_headers([("colour", "red"), ("eventlog-id", "x"), ("eventlog.headers", told)]).rstrip()
    assert Incoming.of(Frame("MESSAGE", head, b"")).record_headers("1")[0] == ("colour", b"red")


@pytest.mark.parametrize(
    "head, key",
    [
        (b"JMSXGroupID:g", b"g"),
        (b"_AMQ_GROUP_ID:g", b"g"),
        (b"JMSXGroupID:g\neventlog.key:k", b"k"),
        (b"eventlog.key.base64:/w==", b"\xff"),
        (b"eventlog.key.base64:!", b"!"),
        (b"a:b", None),
    ],
)
def test_the_key_is_the_one_that_was_sent_or_the_group(head: bytes, key: bytes | None) -> None:
    assert Incoming.of(Frame("MESSAGE", head, b"")).key == key


def test_messages_of_a_key_are_a_group_if_wanted() -> None:
    assert b"JMSXGroupID:k\n" in outgoing(record_of(b"v", b"k"), "id", is_grouped=True).head
    assert b"JMSXGroupID" not in outgoing(record_of(b"v", b"k"), "id").head


@given(st.binary())
def test_no_lines_that_come_make_more_than_our_error(head: bytes) -> None:


    try:
        incoming = Incoming.of(Frame("MESSAGE", head, b""))
    except EventLogError:
        return
    record = record_of(incoming.value, incoming.key, *incoming.record_headers("1"))
    outgoing(record, "id")
