"""The encoding of AMQP's properties and headers, against pika's and against bytes that mean nothing; and records on the way
through AMQP and back."""

from __future__ import annotations

import struct
import tracemalloc

import pika
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlog.bridges.amqp import properties, tables
from eventlog.bridges.amqp.deliveries import OWN_HEADERS, Delivery, Reading
from eventlog.bridges.amqp.publishing import Publication, Publishing
from eventlog.bridges.amqp.tables import AmqpFormatError
from eventlog.bridges.message import Headers, Message, Origin, record_headers
from eventlog.records.record import Record

# How long it takes is not what these tests are about.
untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ORIGIN = Origin("id", "topic", "group")
SHORT = st.binary(max_size=40)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NUMBERS = dict(zip("tbBsUuIilLfd", "BbBhhHiIqqfd", strict=True))


def packed(tag: str, layout: str) -> st.SearchStrategy[bytes]:
    size = struct.calcsize(">" + layout)
    return st.binary(min_size=size, max_size=size).map(lambda content: tag.encode() + content)


def sized(tag: str, content: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return content.map(lambda data: tag.encode() + struct.pack(">I", len(data)) + data)


def field(name: str, value: bytes) -> bytes:
    return bytes((len(name.encode()),)) + name.encode() + value


def table_of(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.dictionaries(TEXT, values, max_size=3).map(lambda named: b"".join(map(field, named, named.values())))


FIXED = {**NUMBERS, "D": "Bi", "T": "Q", "V": ""}
LEAVES = st.sampled_from(list(FIXED)).flatmap(lambda tag: packed(tag, FIXED[tag])) | st.sampled_from("Sx").flatmap(
    lambda tag: sized(tag, st.binary(max_size=9))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: sized("A", st.lists(inner, max_size=3).map(b"".join)) | sized("F", table_of(inner)),
    max_leaves=4,
)
TABLES = table_of(VALUES)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("content-type", "content-encoding", "correlation-id", "reply-to", "message-id"), SHORT),
        **dict.fromkeys(("type", "app-id", "cluster-id"), SHORT),
        "expiration": st.integers(0, 2**32 - 1).map(lambda number: b"%d" % number),
        "headers": TABLES,
        "delivery-mode": st.integers(0, 255),
        "priority": st.integers(0, 255),
        "timestamp": st.integers(0, 2**64 - 1),
    },
)


@untimed
@given(PROPERTIES)
def test_properties_are_read_as_they_were_written(given: properties.Properties) -> None:
    encoded = properties.build(given)
    assert properties.parse(encoded) == given
    assert properties.build(properties.parse(encoded)) == encoded


@untimed
@given(TEXT, st.lists(st.integers(-(2**31), 2**31 - 1) | TEXT | st.booleans() | st.none(), max_size=4))
def test_pika_means_the_same(text: str, values: list[object]) -> None:
    theirs = pika.BasicProperties(content_type=text, headers={"list": values, "text": text}, priority=7, timestamp=5)
    read = properties.parse(b"".join(theirs.encode()))
    assert (read["content-type"], read["priority"], read["timestamp"]) == (text.encode(), 7, 5)
    assert isinstance(read["headers"], bytes)
    fields = {each.name: each.value for each in tables.fields(read["headers"])}
    assert fields == {"list": [each.encode() if isinstance(each, str) else each for each in values], "text": text.encode()}


@untimed
@given(PROPERTIES)
def test_pika_reads_what_is_built(given: properties.Properties) -> None:
    encoded = properties.build({**given, "headers": tables.encode({"a": [b"text"], "b": [b"\xff"], "c": [None, b"x"]})})
    theirs = pika.BasicProperties().decode(encoded)
    assert theirs.headers == {"a": "text", "b": b"\xff", "c": [None, "x"]}
    assert theirs.priority == given.get("priority")


@untimed
@given(st.binary(max_size=200) | st.tuples(PROPERTIES, st.integers(0, 200), st.binary(max_size=4)).map(
    lambda drawn: (encoded := properties.build(drawn[0]))[: drawn[1]] + drawn[2] + encoded[drawn[1] + len(drawn[2]) :]
))  # fmt: skip
def test_bytes_that_are_no_properties_raise_our_error_and_no_other(encoded: bytes) -> None:
    try:
        read = properties.parse(encoded)
    except AmqpFormatError:
        return
    assert properties.build(read) == encoded
    table = read.get("headers", b"")
    assert isinstance(table, bytes)
    try:
        fields = list(tables.fields(table))
    except AmqpFormatError:
        return
    assert b"".join(table[each.start : each.end] for each in fields) == table
    for each in fields:
        assert isinstance(tables.readable(each.value), bytes | None)


@untimed
@given(st.binary(max_size=300))
def test_any_bytes_become_a_record_with_all_of_them(encoded: bytes) -> None:
    message = Reading(None, "content").message(Delivery.of(b"exchange", b"key", True, encoded, b"body"), None)
    assert message.value == b"body"
    assert message.headers[0] == ("amqp.properties", encoded)
    assert message.identity is not None


@pytest.mark.parametrize("kind", "FA")
def test_nesting_has_an_end(kind: str) -> None:
    value = b"V"
    for _ in range(3_000):
        inner = field("", value) if kind == "F" else value
        value = kind.encode() + struct.pack(">I", len(inner)) + inner
    with pytest.raises(AmqpFormatError, match="nested deeper than 64"):
        list(tables.fields(field("x", value)))


@pytest.mark.parametrize("tag", "SxAF")
def test_a_length_that_is_claimed_takes_no_memory(tag: str) -> None:
    table = field("x", tag.encode() + struct.pack(">I", 2**32 - 1) + b"abc")
    tracemalloc.start()
    with pytest.raises(AmqpFormatError, match="cut off"):
        list(tables.fields(table))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


@untimed
@given(TABLES)
def test_taking_a_field_out_leaves_the_others_as_they_were(table: bytes) -> None:
    taken = next((each.name for each in tables.fields(table)), "none")
    rest = tables.without(table, {taken})
    assert rest == b"".join(table[each.start : each.end] for each in tables.fields(table) if each.name != taken)


def delivered(publication: Publication) -> Delivery:
    return Delivery.of(b"", publication.routing_key, False, publication.encoded, publication.body)


def appended(message: Message) -> Record:
    now = 1_700_000_000_123 if message.timestamp is None else message.timestamp
    return Record("topic", 0, 9, now, message.key, message.value, record_headers(message))


@untimed
@given(PROPERTIES, SHORT, st.sampled_from([None, "routing-key", "message-id", "correlation-id"]))
def test_a_message_comes_back_bit_for_bit(given: properties.Properties, body: bytes, key: str | None) -> None:
    encoded = properties.build(given)
    record = appended(Reading(key, None).message(Delivery.of(b"x", b"some.key", False, encoded, body), None))
    publication = Publishing(ORIGIN, None).publication(record)
    assert publication == (b"some.key", encoded, body)


NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=60).filter(
    lambda name: not name.startswith(("eventlog.", "amqp."))
)


BYTES = st.none() | st.binary(max_size=300)
HEADERS = st.lists(st.tuples(NAMES | st.sampled_from(["priority", "type", "expiration"]), BYTES), max_size=6)


@untimed
@given(st.builds(Record, st.just("topic"), st.just(3), st.just(4), st.integers(0, 2**63 - 1), BYTES, BYTES, HEADERS.map(tuple)))
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    """Headers of one name stay in order; those of different names need not."""
    back = appended(Reading(None, None).message(delivered(Publishing(ORIGIN, "queue").publication(record)), None))
    assert (back.key, back.value, back.timestamp) == (record.key, record.value, record.timestamp)
    came_back = [header for header in back.headers if header[0] not in OWN_HEADERS and header[0] != "eventlog.id"]
    assert ("message-id", b"id/topic/3/4") in came_back or any(name == "message-id" for name, _ in record.headers)

    def by_name(pairs: list[tuple[str, bytes | None]]) -> dict[str, list[bytes | None]]:
        named: dict[str, list[bytes | None]] = {}
        for name, each in pairs:
            named.setdefault(name, []).append(each)
        return named

    expected = by_name(list(record.headers))
    found = by_name(came_back)
    assert {name: sorted(map(repr, found[name])) for name in expected} == {
        name: sorted(map(repr, values)) for name, values in expected.items()
    }


def test_what_was_added_to_a_message_goes_back_with_it() -> None:
    encoded = properties.build({"headers": tables.encode({"a": [b"1"]}), "message-id": b"7"})
    message = Reading(None, None).message(Delivery.of(b"", b"q", False, encoded, b"x"), None)
    headers: Headers = (*message.headers, ("step", b"2"))
    publication = Publishing(ORIGIN, None).publication(appended(message._replace(headers=headers, key=b"new key")))
    read = properties.parse(publication.encoded)
    assert read["headers"] == tables.encode({"a": [b"1"], "step": [b"2"], "eventlog.key": [b"new key"]})


@pytest.mark.parametrize("expiration", [b"soon", b"-1", b"99999999999", b""])
def test_what_rabbitmq_would_refuse_or_route_again_is_left_out(expiration: bytes) -> None:
    table = tables.encode({"CC": [b"other"], "a": [b"1"], "BCC": [b"more"]})
    encoded = properties.build({"headers": table, "user-id": b"bob", "expiration": expiration, "type": b"t"})
    record = appended(Reading(None, None).message(Delivery.of(b"", b"q", False, encoded, b"x"), None))
    sent = Publishing(ORIGIN, None).publication(record).encoded
    assert properties.parse(sent) == {"headers": tables.encode({"a": [b"1"]}), "type": b"t"}


def test_a_redelivery_of_a_quorum_queue_is_the_same_message() -> None:
    def identity(table: bytes, is_redelivered: bool) -> bytes | None:
        encoded = properties.build({"headers": table, "type": b"t"})
        return Reading(None, None).message(Delivery.of(b"", b"q", is_redelivered, encoded, b"x"), None).identity

    counted = tables.encode({"a": [b"1"]}) + field("x-delivery-count", b"l" + struct.pack(">q", 1))
    assert identity(tables.encode({"a": [b"1"]}), False) == identity(counted, True)


@pytest.mark.parametrize(("first", "second"), [((b"1", b"a"), (b"1", b"b")), ((b"1", b"a"), (b"2", b"a"))])
def test_messages_are_the_same_only_with_the_same_id_and_the_same_body(
    first: tuple[bytes, bytes], second: tuple[bytes, bytes]
) -> None:
    def identity(message_id: bytes, body: bytes) -> bytes | None:
        encoded = properties.build({"message-id": message_id})
        return Reading(None, None).message(Delivery.of(b"", b"q", False, encoded, body), None).identity

    assert identity(*first) == identity(*first) != identity(*second)


@untimed
@given(st.builds(Record, st.just("topic"), st.just(3), st.just(4), st.integers(0, 2**63 - 1), BYTES, BYTES, st.just(())))
def test_a_record_without_headers_is_encoded_as_any_other(record: Record) -> None:
    encoded = Publishing(ORIGIN, "queue").publication(record).encoded
    more = {"eventlog.key": [record.key]} if record.key is not None else {}
    null = {"eventlog.null": [b"true"]} if record.value is None else {}
    table = tables.encode({"eventlog.timestamp": [b"%d" % record.timestamp], **more, **null})
    assert encoded == properties.build(
        {"headers": table, "delivery-mode": 2, "message-id": b"id/topic/3/4", "timestamp": record.timestamp // 1000}
    )
