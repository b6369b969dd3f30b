"""Which partition a key belongs to: the choice Kafka's own clients make, so that equal keys go to the same
partition.

Source: Apache Kafka, org.apache.kafka.common.utils.Utils.murmur2 and BuiltInPartitioner.partitionForKey.
"""

from __future__ import annotations

from eventlog._native import lib
from eventlog.errors import InvalidArgumentError, InvalidTypeError

_PARTITIONS_MAX = 2**31 - 1


def partition_for_key(key: bytes, partitions: int) -> int:
    """Return the partition, from 0 to `partitions` - 1, that records with this `key` go to.

    The result depends on nothing but its two arguments, and is the one that Kafka's default partitioner
    gives: the murmur2 hash of the key without its sign bit, modulo the number of partitions. It changes when
    partitions are added to a topic.

    Raises InvalidArgumentError if `partitions` is less than 1 or has more than 31 bits, and InvalidTypeError.
    """
    if not isinstance(key, bytes):
        raise InvalidTypeError(f"a key that chooses a partition must be bytes, not {type(key).__name__}")
    if not isinstance(partitions, int) or isinstance(partitions, bool):
        raise InvalidTypeError(f"the number of partitions must be an int, not {type(partitions).__name__}")
    if not 1 <= partitions <= _PARTITIONS_MAX:
        raise InvalidArgumentError(f"partitions must be at least 1 and at most {_PARTITIONS_MAX}, not {partitions}")
    return int(lib.el_partition_for_key(key, len(key), partitions))
