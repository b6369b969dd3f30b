"""What Kafka has written in a format that is not read here is no damage, and nothing of it is cut off."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

import eventlog
from eventlog import CorruptLogError, EventLogError, UnsupportedCodecError, UnsupportedFormatError
from tests.support import stores
from tests.support.kafka_format import crc32c

_NEXT = 3


def _message(magic: int, offset: int, value: bytes) -> bytes:
    """A message of Kafka before 0.11, without a key."""
    time = struct.pack(">q", 1_700_000_000_000) if magic == 1 else b""
    body = bytes([magic, 0]) + time + struct.pack(">ii", -1, len(value)) + value
    return struct.pack(">qiI", offset, len(body) + 4, zlib.crc32(body)) + body


def _written(store: Path, count: int = _NEXT) -> Path:
    """A closed store with a few records; the path of its segment."""
    stores.create(store)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        for number in range(count):
            partition.append(b"value %d" % number)
    return stores.segments(store)[0]


def _batch(tmp_path: Path) -> bytearray:
    """A batch of one record at offset `_NEXT`."""
    segment = _written(tmp_path / "another", _NEXT + 1)
    data = segment.read_bytes()
    return bytearray(data[len(data) // (_NEXT + 1) * _NEXT :])


def _sealed(batch: bytearray) -> bytes:
    batch[17:21] = crc32c(batch[21:]).to_bytes(4, "big")
    return bytes(batch)


def _with_magic(batch: bytearray, magic: int) -> bytes:
    batch[16] = magic
    return bytes(batch)


def _with_strange_records(batch: bytearray) -> bytes:
    batch[61] += 2  # the length of the record
    return _sealed(batch)


_TAILS = {
    "format v0": lambda batch: _message(0, _NEXT, b"old") + _message(0, _NEXT + 1, b""),
    "format v1": lambda batch: _message(1, _NEXT, b"old"),
    "format v1, torn in the second message": lambda batch: (_message(1, _NEXT, b"old") * 2)[:-3],
    "a newer format": lambda batch: _with_magic(batch, 3),
    "a newer format, torn": lambda batch: _with_magic(batch, 3)[:40],
    "a format that is far ahead": lambda batch: _with_magic(batch, 99),
    "format v1 by its magic alone": lambda batch: _with_magic(batch, 1),
    "records of another kind": _with_strange_records,
}


@pytest.mark.parametrize("tail", _TAILS.values(), ids=_TAILS)
def test_nothing_of_another_format_is_cut_off(tmp_path: Path, tail: object) -> None:
    store = tmp_path / "store"
    segment = _written(store)
    segment.write_bytes(segment.read_bytes() + tail(_batch(tmp_path)))  # type: ignore[operator]
    before = segment.read_bytes()
    stores.head_file(store).unlink()
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert partition.recovery.outcome == "damaged" and partition.recovery.damage is not None
        assert [record.value for record in partition.read(0, _NEXT)] == [b"value %d" % number for number in range(_NEXT)]
        with pytest.raises(CorruptLogError):
            partition.append(b"behind it")
    assert segment.read_bytes() == before
    assert not (store / "removed").exists()


@pytest.mark.parametrize("magic", [0, 1])
def test_a_partition_of_an_older_format_says_so(tmp_path: Path, magic: int) -> None:
    store = tmp_path / "store"
    eventlog.open(store).close()
    directory = stores.partition_directory(store)
    directory.mkdir()
    segment = directory / f"{0:020d}.log"
    segment.write_bytes(b"".join(_message(magic, offset, b"old") for offset in range(5)))
    before = segment.read_bytes()
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        with pytest.raises(UnsupportedFormatError, match=f"format v{magic}") as raised:
            partition.append(b"new")
        assert (raised.value.path, raised.value.position, raised.value.topic) == (segment, 0, stores.TOPIC)
        assert log.verify()[0].problems[0].reason.startswith(f"not checked: a message of Kafka's format v{magic}")
    with eventlog.open(store) as log, pytest.raises(EventLogError, match=f"format v{magic}"):
        log.repair(stores.TOPIC, 0, execute=True)
    assert segment.read_bytes() == before
    assert any(f"format v{magic}" in finding.text for finding in eventlog.diagnose(store))


def test_older_segments_in_front_of_newer_ones_are_named_by_readers_and_left_by_repair(tmp_path: Path) -> None:
    store = tmp_path / "store"
    segment = _written(store)
    newer = segment.with_name(f"{_NEXT:020d}.log")
    newer.write_bytes(_batch(tmp_path))
    segment.write_bytes(b"".join(_message(1, offset, b"old") for offset in range(_NEXT)))
    stores.head_file(store).unlink()
    for index in segment.parent.glob("*index"):
        index.unlink()
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert partition.append(b"new") == _NEXT + 1
        with pytest.raises(UnsupportedFormatError) as raised:
            list(partition.values())
        assert (raised.value.path, raised.value.offset) == (segment, 0)
        assert [record.offset for record in partition.read(_NEXT)] == [_NEXT, _NEXT + 1]
        (report,) = log.verify()
        assert [problem.path for problem in report.problems] == [segment]
    with eventlog.open(store) as log, pytest.raises(EventLogError, match="format v1"):
        log.repair(stores.TOPIC, 0, execute=True)


def test_a_codec_of_a_newer_kafka_is_no_damage(tmp_path: Path) -> None:
    store = tmp_path / "store"
    segment = _written(store)
    batch = _batch(tmp_path)
    batch[22] = 5
    segment.write_bytes(segment.read_bytes() + _sealed(batch))
    stores.head_file(store).unlink()
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert partition.end_offset == _NEXT + 1 and partition.recovery.damage is None
        with pytest.raises(UnsupportedCodecError, match=r"events/0, offset 3: .*codec 5") as raised:
            partition.read(_NEXT)
        assert raised.value.topic_partition == (stores.TOPIC, 0)
        assert log.verify()[0].problems[0].reason.startswith("not checked")
    with eventlog.open(store) as log, pytest.raises(EventLogError, match="not checked"):
        log.repair(stores.TOPIC, 0, execute=True)


def test_a_consumer_reads_the_other_partitions_though_the_codec_of_one_is_not_known(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stores.create(store, partitions=2)
    with eventlog.open(store) as log:
        for number in range(2):
            stores.open_partition(log, number).append_many([b"a", b"b"])
    segment = stores.segments(store)[0]
    batch = bytearray(segment.read_bytes())
    batch[22] |= 5
    segment.write_bytes(_sealed(batch))
    with eventlog.open(store) as log, log.consumer(stores.TOPIC, group="readers") as consumer:
        read, failed = [], []
        while len(failed) < 2 or not read:
            try:
                read += consumer.poll(5)
            except UnsupportedCodecError as error:
                failed.append(error.topic_partition)
        assert [(record.partition, record.value) for record in read] == [(1, b"a"), (1, b"b")]
        assert set(failed) == {(stores.TOPIC, 0)}


def test_attributes_that_are_not_known_change_nothing_for_readers(tmp_path: Path) -> None:
    store = tmp_path / "store"
    segment = _written(store)
    batch = _batch(tmp_path)
    batch[21:23] = (0x7F80).to_bytes(2, "big")
    segment.write_bytes(segment.read_bytes() + _sealed(batch))
    stores.head_file(store).unlink()
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert partition.recovery.damage is None
        assert [record.offset for record in partition.records()] == [0, 1, 2, 3]
        assert not log.verify()[0].problems


def test_a_header_of_which_one_sector_was_never_written_is_a_torn_tail(tmp_path: Path) -> None:
    """Its magic reads 0 then, as that of Kafka's oldest messages does."""
    store = tmp_path / "store"
    segment = _written(store)
    torn = bytes(_batch(tmp_path)[:12]) + bytes(100)
    segment.write_bytes(segment.read_bytes() + torn)
    stores.head_file(store).unlink()
    with eventlog.open(store) as log:
        assert stores.open_partition(log).recovery.outcome == "truncated"
        assert stores.open_partition(log).append(b"next") == _NEXT
