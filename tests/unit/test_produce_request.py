"""Produce requests for one batch, read and answered by native code, against the codec for all messages."""

from __future__ import annotations

from typing import Any

import pytest

from eventlog.records.produce_request import SingleProduce
from eventlog.serve.protocol.messages import codec, kind
from tests.serve.batches import batch
from tests.serve.client import request_frame

VERSIONS = range(3, 14)
TOPIC_ID = bytes(range(16))
NAME = "t" * 249
GZIP, TRANSACTIONAL, CONTROL = 1, 0x10, 0x20


def frame_of(version: int, records: Any, partitions: int = 1, topics: int = 1, **fields: Any) -> memoryview:
    data = [kind("ProduceRequest", "PartitionProduceData")(index=7, records=records)] * partitions
    topic = kind("ProduceRequest", "TopicProduceData")(name=NAME, topic_id=TOPIC_ID, partition_data=data)
    request = kind("ProduceRequest")(acks=-1, timeout_ms=1000, topic_data=[topic] * topics, **fields)
    return memoryview(request_frame("Produce", version, request, correlation_id=12345))[4:]


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_read_and_answered_as_by_the_codec_for_all_messages(version: int) -> None:
    request, sent = SingleProduce(), batch([b"a" * 200])
    assert request.read(frame_of(version, sent))
    assert request.topic == (TOPIC_ID if request.has_topic_id else NAME.encode())
    assert request.has_topic_id == (version >= 13)
    assert (request.partition, request.acks, request.batch) == (7, -1, sent)

    entry = kind("ProduceResponse", "PartitionProduceResponse")(
        index=7, base_offset=2**40, log_append_time_ms=2**41, log_start_offset=2**39
    )
    topic = kind("ProduceResponse", "TopicProduceResponse")(name=NAME, topic_id=TOPIC_ID, partition_responses=[entry])
    pieces: list[Any] = []
    codec("ProduceResponse", version).encode(kind("ProduceResponse")(responses=[topic]), pieces)
    body = (12345).to_bytes(4, "big") + (b"\0" if version >= 9 else b"") + b"".join(pieces)
    assert request.answer(2**40, 2**41, 2**39) == len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("name", "attributes"), [(None, 0), ("", 0), ("t", TRANSACTIONAL), ("t" * 1000, TRANSACTIONAL)])
def test_it_says_to_whose_transaction_it_belongs(version: int, name: str | None, attributes: int) -> None:
    request, sent = SingleProduce(), batch([b"a"], attributes=attributes, producer=(2**40, 5, 6))
    assert request.read(frame_of(version, sent, transactional_id=name))
    assert request.transactional_id == (None if name is None else name.encode())
    assert (request.is_transactional, request.producer) == (bool(attributes), (2**40, 5))
    assert request.batch == sent


@pytest.mark.parametrize("version", VERSIONS)
def test_anything_else_is_left_alone(version: int) -> None:
    request, sent = SingleProduce(), batch([b"a"])
    assert not request.read(frame_of(version, sent, partitions=2))
    assert not request.read(frame_of(version, sent, topics=2))
    for records in (None, b"", sent + sent, sent[:-1], sent + b"\0", sent[:40]):
        assert not request.read(frame_of(version, records))
    for attributes in (GZIP, CONTROL):
        assert not request.read(frame_of(version, batch([b"a"], attributes=attributes)))


@pytest.mark.parametrize("version", VERSIONS)
def test_no_beginning_and_no_continuation_of_one_is_taken_for_it(version: int) -> None:
    request, frame = SingleProduce(), frame_of(version, batch([b"a"]))
    assert not any(request.read(memoryview(bytes(frame[:size]))) for size in range(len(frame)))
    assert not request.read(memoryview(bytes(frame) + b"\0"))
    for other in (b"\0\1", b"\1\0"):
        assert not request.read(memoryview(other + bytes(frame[2:])))
    for unknown in (2, 14, -1):
        assert not request.read(memoryview(b"\0\0" + unknown.to_bytes(2, "big", signed=True) + bytes(frame[4:])))
