"""Which partition a key belongs to: the choice Kafka's own clients make, so that equal keys meet in one
partition.

Source: Apache Kafka, org.apache.kafka.common.utils.Utils.murmur2 and BuiltInPartitioner.partitionForKey.
"""

from __future__ import annotations

from eventlog.errors import InvalidArgumentError

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_SHIFT = 24
_WORD = 0xFFFFFFFF


def partition_for_key(key: bytes, partitions: int) -> int:
    """Return the partition, from 0 to `partitions` - 1, that records with this `key` go to.

    The result depends on nothing but its two arguments, and is the one that Kafka's default partitioner
    gives: the murmur2 hash of the key without its sign bit, modulo the number of partitions. It changes when
    partitions are added to a topic.

    Raises InvalidArgumentError if `partitions` is less than 1.
    """
    if partitions < 1:
        raise InvalidArgumentError(f"partitions must be at least 1, not {partitions}")
    return (_murmur2(key) & 0x7FFFFFFF) % partitions


def _murmur2(data: bytes) -> int:
    """The 32-bit murmur2 of `data` with Kafka's seed, as an unsigned number."""
    length = len(data)
    hash_value = (_SEED ^ length) & _WORD
    whole = length & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _MULTIPLIER & _WORD
        word = (word ^ word >> _SHIFT) * _MULTIPLIER & _WORD
        hash_value = hash_value * _MULTIPLIER & _WORD ^ word
    if whole != length:
        hash_value = (hash_value ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _WORD
    hash_value = (hash_value ^ hash_value >> 13) * _MULTIPLIER & _WORD
    return hash_value ^ hash_value >> 15
