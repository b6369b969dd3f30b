"""What a topic's compression.type, or a producer, does to batches; and what codecs refuse."""

from __future__ import annotations

import random
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import (
    InvalidArgumentError,
    InvalidTypeError,
    Partition,
    RecordTooLargeError,
    StoreClosedError,
    UnsupportedCodecError,
)
from eventlog.records import compression
from eventlog.storage.segments.batches import Batch
from eventlog.storage.segments.inspection import iterate_batches
from tests.support import stores

CODECS = ["gzip", "snappy", "lz4", "zstd"]
every_codec = pytest.mark.parametrize("codec", CODECS)

SHAPES: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]] | None]] = [
    (b"value", b"key", None),
    (None, None, None),
    (b"", b"", []),
    (b"value", None, [("name", b"value"), ("name", None), ("größe", b"")]),
    (b"\0" * 70_000, b"k" * 300, None),
    (bytes(range(256)) * 40, b"key", [("h", b"x" * 200)]),
]


@contextmanager
def opened(store: Path, **config: Any) -> Iterator[Partition]:
    """The partition of a new topic with these settings."""
    stores.create(store, **config)
    with eventlog.open(store, fsync="never") as log:
        yield stores.open_partition(log)


def batches(store: Path) -> list[Batch]:
    return [batch for segment in stores.segments(store) for batch in iterate_batches(segment)]


def noise(length: int) -> bytes:
    return random.Random(length).randbytes(length)


@every_codec
@pytest.mark.parametrize("timestamp_type", ["CreateTime", "LogAppendTime"])
def test_compressed_records_come_back_bit_for_bit(tmp_path: Path, codec: str, timestamp_type: str) -> None:
    store = tmp_path / "store"
    times = [5, 2**62, 0, 7, 7, 1_700_000_000_000]
    values, keys, headers = map(list, zip(*SHAPES, strict=True))
    with opened(store, compression_type=codec, message_timestamp_type=timestamp_type) as partition:
        for (value, key, header), time in zip(SHAPES, times, strict=True):
            partition.append(value, key, header, time)
        assert partition.append_many(values, keys=keys, headers=headers, timestamps=times) == range(6, 12)
        for value in (None, b"", b"plain" * 100):
            partition.append(value)
        read = list(partition.records())
        assert [partition.read(offset, 1) for offset in range(15)] == [[record] for record in read]
    fields = [(value, key, tuple(header or ())) for value, key, header in SHAPES]
    assert [(record.value, record.key, record.headers) for record in read[:12]] == fields * 2
    assert [record.value for record in read[12:]] == [None, b"", b"plain" * 100]
    assert [record.offset for record in read] == list(range(15))
    if timestamp_type == "CreateTime":
        assert [record.timestamp for record in read[:12]] == times * 2
    found = batches(store)
    assert len(found) == 10 and {batch.timestamp_type for batch in found} == {timestamp_type}
    assert [batch.compression for batch in found[4:7]] == [codec] * 3 and found[-1].compression == codec
    assert [batch.max_timestamp for batch in found] == [
        max(record.timestamp for record in read[batch.base_offset : batch.last_offset + 1]) for batch in found
    ]
    with eventlog.open(store) as log:
        assert list(stores.open_partition(log).records()) == read
        [report] = log.verify()
        assert (report.records, report.problems) == (15, [])


@every_codec
def test_what_does_not_shrink_is_stored_as_in_an_uncompressed_topic(tmp_path: Path, codec: str) -> None:
    files = []
    for kind in ("uncompressed", codec):
        with opened(tmp_path / kind, compression_type=kind) as partition:
            partition.append(noise(5000), timestamp=1)
            partition.append(b"short", b"k", timestamp=2)
            partition.append(None, timestamp=3)
        files.append(stores.segments(tmp_path / kind)[0].read_bytes())
    assert files[0] == files[1]


@every_codec
def test_a_unit_may_mix_batches_that_shrink_and_batches_that_do_not(tmp_path: Path, codec: str) -> None:
    store = tmp_path / "store"
    values = [noise(900), b"a" * 900, noise(901), b"b" * 900, b"c" * 900, noise(902)]
    with opened(store, compression_type=codec, max_message_bytes=1024) as partition:
        assert partition.append_many(values) == range(6)
        assert list(partition.values()) == values
    assert [batch.compression for batch in batches(store)] == ["none", codec, "none", codec, codec, "none"]


@every_codec
def test_a_producers_codec_counts_where_the_topic_leaves_the_choice(tmp_path: Path, codec: str) -> None:
    other = "gzip" if codec != "gzip" else "zstd"
    found = {}
    for kind in ("producer", "uncompressed", other):
        with opened(tmp_path / kind, compression_type=kind) as partition:
            partition.append_many([b"v" * 1000], compression=codec)
            partition.append_many([b"v" * 1000], compression="none")
            partition.append_many([b"v" * 1000])
            partition.append(b"v" * 1000)
            assert list(partition.values()) == [b"v" * 1000] * 4
        found[kind] = [batch.compression for batch in batches(tmp_path / kind)]
    assert found == {"producer": [codec, "none", "none", "none"], "uncompressed": ["none"] * 4, other: [other] * 4}


@pytest.mark.parametrize(
    ("name", "error"),
    [("rar", InvalidArgumentError), ("producer", InvalidArgumentError), (4, InvalidTypeError), ([], InvalidTypeError)],
)
def test_an_unknown_codec_is_refused_and_nothing_appended(partition: Partition, name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="compression"):
        partition.append_many([b"v"], compression=name)
    assert partition.end_offset == 0


@pytest.mark.parametrize("codec", ["snappy", "lz4", "zstd"])
def test_without_the_library_appending_and_reading_name_what_to_install(
    tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "store", compression_type=codec) as partition:
        partition.append(b"v" * 1000)
        monkeypatch.setitem(sys.modules, "cramjam", None)
        for call in (
            lambda: partition.append(b"v"),
            lambda: partition.append(b"v", headers=[("name", b"")]),
            lambda: partition.append_many([b"v", b"w"]),
            lambda: partition.read(0),
        ):
            with pytest.raises(UnsupportedCodecError, match=rf"{codec} .* pip install 'eventlog-store\[compression\]'"):
                call()
        assert partition.end_offset == 1


def test_gzip_needs_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cramjam", None)
    with opened(tmp_path / "store", compression_type="gzip") as partition:
        partition.append(b"v" * 1000)
        assert list(partition.values()) == [b"v" * 1000]
    assert [batch.compression for batch in batches(tmp_path / "store")] == ["gzip"]


@every_codec
def test_max_message_bytes_holds_before_compression(tmp_path: Path, codec: str) -> None:
    store = tmp_path / "store"
    with opened(store, compression_type=codec, max_message_bytes=10_000) as partition:
        for call in (lambda: partition.append(b"v" * 10_000), lambda: partition.append_many([b"v", b"v" * 10_000])):
            with pytest.raises(RecordTooLargeError, match=r"max\.message\.bytes"):
                call()
        assert partition.end_offset == 0
        values = [noise(length) if length % 2 else b"v" * length for length in range(0, 9_900, 250)]
        partition.append_many(values)
        assert list(partition.values()) == values
    assert all(batch.size_bytes <= 10_000 for batch in batches(store))


@every_codec
def test_a_unit_has_to_fit_into_a_segment_as_it_is_stored(tmp_path: Path, codec: str) -> None:
    store = tmp_path / "store"
    with opened(store, compression_type=codec, segment_bytes=50_000, max_message_bytes=20_000) as partition:
        partition.append(noise(10_000))
        assert partition.append_many([b"v" * 15_000] * 10) == range(1, 11)
        with pytest.raises(RecordTooLargeError, match=r"segment\.bytes"):
            partition.append_many([noise(15_000)] * 4)
        assert partition.end_offset == 11
    assert len(stores.segments(store)) == 1


@every_codec
def test_offset_for_time_looks_into_compressed_batches(tmp_path: Path, codec: str) -> None:
    with opened(tmp_path / "store", compression_type=codec, segment_bytes=1024, index_interval_bytes=100) as partition:
        for start in range(0, 400, 20):
            partition.append_many([b"v" * 100] * 20, timestamps=list(range(start, start + 20)))
        assert [partition.offset_for_time(time) for time in range(401)] == [*range(400), None]
    assert len(stores.segments(tmp_path / "store")) > 2


def test_a_closed_partition_of_a_compressed_topic_refuses_to_append(tmp_path: Path) -> None:
    with opened(tmp_path / "store", compression_type="gzip") as partition:
        partition.close()
        with pytest.raises(StoreClosedError):
            partition.append(b"v" * 1000)


# --- the codecs themselves -------------------------------------------------------------------------------------------


def test_snappy_is_framed_in_blocks_of_32_kib_as_snappy_java_does() -> None:
    section = compression.compress(compression.CODEC_NUMBERS["snappy"], noise(80_000))
    assert section[:16] == b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
    lengths, at = [], 16
    while at < len(section):
        (block,) = struct.unpack_from(">i", section, at)
        lengths.append(_uvarint(section[at + 4 :]))
        at += 4 + block
    assert (at, lengths) == (len(section), [32_768, 32_768, 80_000 - 65_536])


def _uvarint(data: bytes) -> int:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value


def test_lz4_blocks_are_independent_as_kafka_demands() -> None:
    section = compression.compress(compression.CODEC_NUMBERS["lz4"], b"v" * 200_000)
    assert section[:4] == b"\x04\x22\x4d\x18"
    assert section[4] & 0xE0 == 0x60, "version 1, independent blocks"


def streamed_zstd(blocks: list[tuple[int, int, bytes]]) -> bytes:
    """A frame that does not say its size, as Kafka's own producer writes them, of (kind, size, content)."""
    frame = b"\x28\xb5\x2f\xfd\x00\x58"
    for number, (kind, size, content) in enumerate(blocks, 1):
        frame += (size << 3 | kind << 1 | (number == len(blocks))).to_bytes(3, "little") + content
    return frame


def test_a_zstd_frame_that_says_no_size_is_decompressed() -> None:
    frame = streamed_zstd([(0, 5, b"plain"), (1, 100_000, b"x"), (1, 3, b"y")])
    assert compression.decompress(4, frame) == b"plain" + b"x" * 100_000 + b"yyy"


BOMBS = {
    "gzip": zlib.compress(bytes(1_000_001), wbits=31),
    "snappy, in blocks": b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1) + (struct.pack(">i", 5) + b"\xa0\x8d\x06\0\0") * 11,
    "snappy, one claim": b"\xff\xff\xff\xff\x0f\0\0",
    "lz4": compression.compress(3, bytes(1_000_001)),
    "zstd": streamed_zstd([(1, 131_072, b"\0")] * 8),
    "zstd, a claim": b"\x28\xb5\x2f\xfd\xc0\x58" + (2**40).to_bytes(8, "little") + b"\x01\0\0",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_section_that_decompresses_to_too_much_is_refused(bomb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "SECTION_BYTES_MAX", 1_000_000)
    with pytest.raises(ValueError, match=r"more than 1000000 bytes|write whole buffer"):
        compression.decompress(compression.CODEC_NUMBERS[bomb.split(",")[0]], BOMBS[bomb])


@every_codec
def test_a_section_of_just_the_size_that_is_allowed_is_decompressed(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    section = compression.compress(compression.CODEC_NUMBERS[codec], bytes(1_000_000))
    monkeypatch.setattr(compression, "SECTION_BYTES_MAX", 1_000_000)
    assert compression.decompress(compression.CODEC_NUMBERS[codec], section) == bytes(1_000_000)


@every_codec
def test_a_section_that_is_cut_short_or_goes_on_is_refused(codec: str) -> None:
    number = compression.CODEC_NUMBERS[codec]
    section = compression.compress(number, noise(1000) + b"v" * 1000)
    for wrong in (b"", section[:4], section[:-1], section[: len(section) // 2], section + b"more"):
        with pytest.raises(ValueError, match=codec):
            compression.decompress(number, wrong)


@pytest.mark.parametrize("length", [-1, -4, 7, 2**31 - 1])
def test_a_snappy_block_that_is_longer_than_its_section_or_negative_is_refused(length: int) -> None:
    block = b"\x04\x0cabcd"
    framed = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
    assert compression.decompress(2, framed + struct.pack(">i", len(block)) + block) == b"abcd"
    with pytest.raises(ValueError, match="a block is longer"):
        compression.decompress(2, framed + struct.pack(">i", length) + block)
