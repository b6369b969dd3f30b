"""`Partition.search`: which records it finds, in which fields, and what it refuses."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import eventlog
from eventlog import CorruptLogError, EventLog, InvalidArgumentError, InvalidTypeError, OffsetOutOfRangeError, Partition
from tests.support import stores


@pytest.fixture
def filled(partition: Partition) -> Partition:
    """Four records, of which each has `plum` somewhere else."""
    partition.append_many(
        [b"a plum", b"a pear", None, b"PLUM and pear"],
        keys=[b"k", b"plum", None, b""],
        headers=[None, [("plum", None)], [("fruit", b"plum"), ("fruit", None)], None],
    )
    return partition


def offsets(partition: Partition, *arguments: Any, **options: Any) -> list[int]:
    return [record.offset for record in partition.search(*arguments, **options)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [(["value"], [0]), (["key"], [1]), (["headers"], [1, 2]), (["key", "headers"], [1, 2]), ({"key", "value"}, [0, 1])],
)
@pytest.mark.parametrize("pattern", [b"plum", re.compile(b"plum"), re.compile(b"[p]lum"), re.compile(b"pl.m$")])
def test_fields_are_told_apart(filled: Partition, pattern: Any, fields: Any, expected: list[int]) -> None:
    assert offsets(filled, pattern, fields=fields) == expected
    assert offsets(filled, pattern, fields=fields, invert=True) == [n for n in range(4) if n not in expected]


def test_what_is_found_is_the_whole_record(filled: Partition) -> None:
    assert list(filled.search(b"plum", fields=["headers"])) == filled.read(1, max_records=2)


@pytest.mark.parametrize("pattern", [b"plum", b"pLuM", re.compile(b"plum", re.IGNORECASE), re.compile(b"(?i)p[l]um")])
def test_case_is_ignored_on_demand(filled: Partition, pattern: Any) -> None:
    assert offsets(filled, pattern, ignore_case=isinstance(pattern, bytes)) == [0, 3]


def test_only_letters_have_a_case(partition: Partition) -> None:
    partition.append_many([b"[x", b"{x", b"\xc4", b"\xe4", b"@x", b"`x"])
    assert offsets(partition, b"{X", ignore_case=True) == [1]
    assert offsets(partition, b"[X", ignore_case=True) == [0]
    assert offsets(partition, b"@X", ignore_case=True) == [4]
    assert offsets(partition, b"\xe4", ignore_case=True) == [3]


@pytest.mark.parametrize("pattern", [b"", re.compile(b"")])
def test_an_empty_pattern_is_in_every_field_that_is_not_null(filled: Partition, pattern: Any) -> None:
    assert offsets(filled, pattern) == [0, 1, 3]
    assert offsets(filled, pattern, fields=["key"]) == [0, 1, 3]
    assert offsets(filled, pattern, fields=["headers"]) == [1, 2]


def test_a_range_of_offsets(filled: Partition) -> None:
    filled.append_many([b"plum"] * 1200)
    assert offsets(filled, b"plum", 2, 700) == list(range(4, 700))
    assert offsets(filled, b"plum", 700) == list(range(700, 1204))
    assert offsets(filled, b"plum", filled.end_offset) == []


def test_nothing_is_found_across_fields_or_records(partition: Partition) -> None:
    partition.append_many([b"dle need", b"le"], keys=[b"nee", b"need"])
    assert offsets(partition, b"needle", fields=["key", "value", "headers"]) == []


def test_the_bytes_between_the_fields_are_no_hit(store: Path, partition: Partition) -> None:
    partition.append_many([b"value %d" % number for number in range(50)], keys=[b"key"] * 50)
    section = stores.segments(store)[0].read_bytes()[61 : 61 + 50 * 18]
    for at in range(len(section) - 2):
        pattern = section[at : at + 3]
        expected = [record.offset for record in partition.records() if pattern in (record.value or b"")]
        assert offsets(partition, pattern) == expected


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_are_searched(log: EventLog, codec: str) -> None:
    partition = log.partition(log.create_topic(codec).name, 0)
    for start in range(0, 3000, 300):
        partition.append_many([b"number %d, padded by this" % n for n in range(start, start + 300)], compression=codec)
    assert offsets(partition, b"r 299") == [299, *range(2990, 3000)]
    assert offsets(partition, re.compile(rb"r 29\d,")) == list(range(290, 300))


def test_through_several_segments(tmp_path: Path) -> None:
    stores.create(tmp_path / "small", segment_bytes=1024, max_message_bytes=512)
    with eventlog.open(tmp_path / "small") as log:
        partition = stores.open_partition(log)
        for number in range(100):
            partition.append(b"number %d" % number, key=bytes(60))
        assert len(stores.segments(tmp_path / "small")) > 3
        assert offsets(partition, b"7") == [n for n in range(100) if "7" in str(n)]


def test_the_end_is_that_of_the_call(filled: Partition) -> None:
    found = filled.search(b"plum")
    filled.append(b"plum")
    assert [record.offset for record in found] == [0]


@pytest.mark.parametrize(
    ("arguments", "options", "kind"),
    [
        (("plum",), {}, InvalidTypeError),
        ((re.compile("plum"),), {}, InvalidTypeError),
        ((None,), {}, InvalidTypeError),
        ((bytearray(b"x"),), {}, InvalidTypeError),
        ((b"x",), {"fields": "value"}, InvalidTypeError),
        ((b"x",), {"fields": None}, InvalidTypeError),
        ((b"x",), {"fields": []}, InvalidArgumentError),
        ((b"x",), {"fields": ["values"]}, InvalidArgumentError),
        ((b"x",), {"fields": [["value"]]}, InvalidArgumentError),
        ((b"x",), {"ignore_case": "yes"}, InvalidTypeError),
        ((b"x",), {"invert": 1}, InvalidTypeError),
        ((re.compile(b"x"),), {"ignore_case": True}, InvalidArgumentError),
        ((b"x", -1), {}, OffsetOutOfRangeError),
        ((b"x", 5), {}, OffsetOutOfRangeError),
        ((b"x", "0"), {}, InvalidTypeError),
        ((b"x", 0, -1), {}, InvalidArgumentError),
    ],
)
def test_what_cannot_be_searched_is_refused_at_once(
    filled: Partition, arguments: tuple[Any, ...], options: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        filled.search(*arguments, **options)


def test_a_batch_with_a_wrong_checksum_is_an_error_though_nothing_is_found(store: Path, partition: Partition) -> None:
    partition.append_many([b"hello %d" % number for number in range(10)])
    segment = stores.segments(store)[0]
    data = bytearray(segment.read_bytes())
    data[100] ^= 1
    segment.write_bytes(data)
    with pytest.raises(CorruptLogError):
        list(partition.search(b"nothing like it"))


def test_an_expression_that_takes_for_ever_can_be_interrupted(store: Path, partition: Partition) -> None:
    partition.append(b"x" * 300_000)  # which fills a block of its own, so that it is found before the next one is looked at
    partition.append(b"a" * 80 + b"b")
    program = f"""
import re, eventlog
with eventlog.open({str(store)!r}) as log:
    found = log.partition("events", 0).search(re.compile(b"^(xx|(a|aa)+$)"))
    print(next(found).offset, flush=True)
    next(found)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"0\n"
        process.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()
