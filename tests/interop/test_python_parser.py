"""kafka-python's own record parser reads our segments, and we read the batches that it builds. Needs no Java."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatchBuilder

import eventlog
from tests.interop import samples
from tests.support import stores

MAGIC = 2
NO_PRODUCER = -1


def batches(store: Path) -> Iterator[tuple[Path, Any]]:
    for segment in stores.segments(store):
        data = segment.read_bytes()
        records = MemoryRecords(data)
        while (batch := records.next_batch()) is not None:
            yield segment, batch
        assert records.valid_bytes() == len(data)


@pytest.mark.parametrize("codec", samples.CODECS)
@pytest.mark.parametrize("log_append_time", [False, True], ids=["CreateTime", "LogAppendTime"])
def test_kafka_python_sees_the_same_records_field_by_field(store: Path, log_append_time: bool, codec: str) -> None:
    ours = samples.write(store, log_append_time=log_append_time, codec=codec)
    theirs = []
    compression_types = set()
    for segment, batch in batches(store):
        assert batch.validate_crc()
        assert (batch.magic, batch.leader_epoch, batch.producer_id, batch.base_sequence) == (MAGIC, 0, NO_PRODUCER, -1)
        assert (batch.is_transactional, batch.is_control_batch) == (False, False)
        compression_types.add(batch.compression_type)
        assert batch.timestamp_type == int(log_append_time)
        assert batch.base_offset == len(theirs)
        found = list(batch)
        assert batch.records_count == len(found) and batch.last_offset == found[-1].offset
        assert batch.max_timestamp == max(record.timestamp for record in found)
        theirs += found
        assert int(segment.stem) <= found[0].offset
    assert len(stores.segments(store)) > 2
    assert compression_types == {0, samples.CODECS.index(codec)}, "what does not shrink is not compressed"
    assert [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in theirs] == [
        (r.offset, r.timestamp, r.key, r.value, r.headers) for r in ours
    ]


@pytest.mark.parametrize("codec", range(len(samples.CODECS)), ids=samples.CODECS)
def test_batches_that_kafka_python_builds_are_read_here(store: Path, codec: int) -> None:
    todo = samples.samples()
    stores.create(store)
    with eventlog.open(store) as log:
        stores.open_partition(log)
    data = b""
    for start in range(0, len(todo), 25):
        builder = DefaultRecordBatchBuilder(MAGIC, codec, 0, NO_PRODUCER, -1, -1, 2**20)
        for delta, sample in enumerate(todo[start : start + 25]):
            builder.append(delta, sample.timestamp, sample.key, sample.value, list(sample.headers))
        batch = bytearray(builder.build())
        batch[:8] = start.to_bytes(8, "big")  # the base offset is the broker's to fill in, and not under the checksum
        batch[12:16] = (0).to_bytes(4, "big")  # and so is the leader epoch
        data += batch
    stores.segments(store)[0].write_bytes(data)
    stores.head_file(store).unlink()
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        found = [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in partition.records()]
        assert found == [(offset, *sample) for offset, sample in enumerate(todo)]
        assert partition.append(b"one more") == len(todo)
        assert not log.verify()[0].problems
