"""A key's partition is the one that Kafka's clients choose."""

from __future__ import annotations

from typing import Any

import pytest

from eventlog.errors import InvalidArgumentError, InvalidTypeError
from eventlog.records.partitioning import partition_for_key


# Hashes from Apache Kafka's UtilsTest.testMurmur2. With the most partitions there can be, the partition is the hash without
# its sign.
@pytest.mark.parametrize(
    ("key", "murmur2"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_kafkas_murmur2(key: bytes, murmur2: int) -> None:
    assert partition_for_key(key, 2**31 - 1) == murmur2 & 0x7FFFFFFF
    assert partition_for_key(key, 12) == (murmur2 & 0x7FFFFFFF) % 12


@pytest.mark.parametrize("length", range(9))
def test_keys_of_every_length_have_a_partition(length: int) -> None:
    assert 0 <= partition_for_key(b"\xff" * length, 7) < 7


@pytest.mark.parametrize("partitions", [0, -1, 2**31, 2**70])
def test_without_a_partition_there_is_no_answer(partitions: int) -> None:
    with pytest.raises(InvalidArgumentError):
        partition_for_key(b"key", partitions)


@pytest.mark.parametrize(
    ("key", "partitions"),
    [("key", 3), (None, 3), (bytearray(b"key"), 3), ([b"key"], 3), (7, 3), (b"key", "3"), (b"key", 3.0), (b"key", True)],
)
def test_a_key_is_bytes_and_a_number_of_partitions_an_int(key: Any, partitions: Any) -> None:
    with pytest.raises(InvalidTypeError):
        partition_for_key(key, partitions)
