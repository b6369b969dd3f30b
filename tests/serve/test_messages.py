"""The codec: against bytes written by hand, against the clients' codecs, and for whatever bytes may come."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

import pytest

from eventlog.serve.offered import APIS
from eventlog.serve.protocol import messages
from eventlog.serve.protocol.messages import MalformedMessageError, codec, kind
from eventlog.serve.protocol.schema import Field, Message, Struct

MESSAGES = [f"{api.name}{end}" for api in APIS.values() for end in ("Request", "Response")]


def of_every_version(check: Callable[[str, int], None]) -> Callable[[str], None]:
    """A check of one version of a message becomes a test of the message in all its versions: there are more than 400."""

    @pytest.mark.parametrize("name", MESSAGES)
    def test(name: str) -> None:
        for version in messages.message(name).versions:
            try:
                check(name, version)
            except Exception as error:
                raise AssertionError(f"version {version}: {error!r}") from error

    return test


def encode(name: str, version: int, value: Any) -> bytes:
    pieces: list[Any] = []
    codec(name, version).encode(value, pieces)
    return b"".join(pieces)


def decode(name: str, version: int, data: bytes) -> Any:
    value, end = codec(name, version).decode(memoryview(data))
    assert end == len(data)
    return value


def any_value(field: Field, version: int, chance: random.Random) -> Any:
    if version in field.nullable_versions and chance.random() < 0.2:
        return None
    if field.is_array:
        return [any_item(field, version, chance) for _ in range(chance.choice((0, 1, 2, 130 if field.struct is None else 3)))]
    return any_item(field, version, chance)


def any_item(field: Field, version: int, chance: random.Random) -> Any:
    if field.struct is not None:
        return any_struct(field.struct, version, chance)
    bits = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}.get(field.type)
    if bits is not None:
        return chance.choice((0, 1, -1, 2**bits - 1, -(2**bits)))
    if field.type == "uint16":
        return chance.choice((0, 1, 2**16 - 1))
    if field.type == "float64":
        return chance.choice((0.0, 0.1, -1e300))
    if field.type == "bool":
        return chance.random() < 0.5
    if field.type == "string":
        return chance.choice(("", "orders", "€" * 50, "x" * 200))
    assert field.type in ("uuid", "bytes", "records")
    return chance.randbytes(16 if field.type == "uuid" else chance.choice((0, 5, 300)))


def any_struct(schema: Struct, version: int, chance: random.Random) -> Any:
    fields = [field for field in schema.fields if version in field.versions]
    return schema.kind(**{field.name: any_value(field, version, chance) for field in fields})


def as_plain(value: Any) -> Any:
    """Comparable: objects as dictionaries, buffers as bytes."""
    if isinstance(value, (list, tuple)):
        return [as_plain(item) for item in value]
    if isinstance(value, memoryview):
        return bytes(value)
    return {name: as_plain(getattr(value, name)) for name in value.field_names} if isinstance(value, Message) else value


@of_every_version
def test_what_is_encoded_is_decoded(name: str, version: int) -> None:
    chance = random.Random(f"{name} {version}")
    for _ in range(20):
        value = any_struct(messages.message(name), version, chance)
        data = encode(name, version, value)
        decoded = decode(name, version, data)
        assert encode(name, version, decoded) == data
        assert as_plain(decoded) == as_plain(value)


@of_every_version
def test_a_message_that_ends_early_is_malformed(name: str, version: int) -> None:
    data = encode(name, version, any_struct(messages.message(name), version, random.Random(5)))
    for length in range(len(data)):
        with pytest.raises(MalformedMessageError):
            codec(name, version).decode(memoryview(data)[:length])


@of_every_version
def test_bytes_that_are_no_message_are_malformed_or_harmless(name: str, version: int) -> None:
    chance = random.Random(f"{name} {version}")
    sound = encode(name, version, any_struct(messages.message(name), version, chance))
    for _ in range(100):
        data = bytearray(chance.randbytes(chance.randrange(60)) if chance.random() < 0.5 else sound)
        for _ in range(min(3, len(data))):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 127, 128, 255))
        with suppress(MalformedMessageError):
            codec(name, version).decode(memoryview(data))


def test_bytes_written_by_hand() -> None:
    # The examples of https://kafka.apache.org/protocol, each field on its own.
    old = kind("MetadataRequest")(topics=[kind("MetadataRequest", "MetadataRequestTopic")(name="orders")])
    assert encode("MetadataRequest", 4, old) == b"\0\0\0\1" + b"\0\6orders" + b"\1"
    assert encode("MetadataRequest", 9, old) == b"\2" + b"\7orders\0" + b"\1" + b"\0" + b"\0" + b"\0"
    assert encode("MetadataRequest", 9, kind("MetadataRequest")(topics=None))[0:1] == b"\0"
    new = kind("ApiVersionsRequest")(client_software_name="test", client_software_version="1")
    assert encode("ApiVersionsRequest", 3, new) == b"\5test" + b"\0021" + b"\0"
    assert encode("ApiVersionsRequest", 0, new) == b""


def test_a_tagged_field_is_sent_only_where_it_is_not_the_default() -> None:
    leader = kind("FetchResponse", "LeaderIdAndEpoch")
    partition = kind("FetchResponse", "PartitionData")
    plain = encode("FetchResponse", 12, kind("FetchResponse")(responses=[response(partition(records=b""))]))
    tagged = partition(records=b"", current_leader=leader(leader_id=1, leader_epoch=7))
    longer = encode("FetchResponse", 12, kind("FetchResponse")(responses=[response(tagged)]))
    assert len(longer) == len(plain) + 2 + 4 + 4 + 1  # its tag and its size, the two numbers, and no tags inside
    found = decode("FetchResponse", 12, longer).responses[0].partitions[0]
    assert (found.current_leader.leader_id, found.current_leader.leader_epoch) == (1, 7)


def response(partition: Any) -> Any:
    return kind("FetchResponse", "FetchableTopicResponse")(topic="orders", partitions=[partition])


def test_a_tagged_field_that_is_not_known_is_passed_over() -> None:
    data = encode("ApiVersionsRequest", 3, kind("ApiVersionsRequest")(client_software_name="a", client_software_version="b"))
    value = decode("ApiVersionsRequest", 3, data[:-1] + b"\1" + b"\x90\1" + b"\3abc")
    assert value.client_software_name == "a"


def test_a_count_that_the_bytes_cannot_hold_takes_no_memory() -> None:
    with pytest.raises(MalformedMessageError, match="2147483647 items"):
        codec("MetadataRequest", 4).decode(memoryview(b"\x7f\xff\xff\xff" + b"\0" * 100))


def test_a_message_of_very_many_items_is_refused_before_they_are_made() -> None:
    topic = b"\0\1t" + b"\0\0\x4e\x20" + b"\0\0\0\1\0\0\0\0" * 20_000  # 20,000 partitions without records
    for topics, is_refused in ((1, False), (3, True)):
        data = memoryview(b"\xff\xff\0\1\0\0\0\1" + topics.to_bytes(4, "big") + topic * topics)
        with pytest.raises(MalformedMessageError, match="50000") if is_refused else nullcontext():
            codec("ProduceRequest", 3).decode(data)


def test_text_that_is_not_utf_8_is_malformed() -> None:
    with pytest.raises(MalformedMessageError):
        codec("MetadataRequest", 1).decode(memoryview(b"\0\0\0\1\0\1\xff"))


def test_a_field_that_a_message_does_not_have_is_refused() -> None:
    with pytest.raises(AssertionError, match="nothing"):
        kind("MetadataRequest")(nothing=1)


def test_records_are_not_copied_as_they_are_decoded() -> None:
    data = kind("ProduceRequest", "PartitionProduceData")(index=0, records=b"a batch")
    topic = kind("ProduceRequest", "TopicProduceData")(name="orders", partition_data=[data])
    encoded = bytearray(encode("ProduceRequest", 9, kind("ProduceRequest")(topic_data=[topic])))
    value, _ = codec("ProduceRequest", 9).decode(memoryview(encoded))
    records = value.topic_data[0].partition_data[0].records
    encoded[encoded.index(b"a batch")] = ord("A")
    assert bytes(records) == b"A batch"
