"""Kafka's topic settings as its tools show them: their types, the broker's name for their defaults, and what they mean here.

Source of names and types: Kafka's LogConfig and ServerTopicConfigSynonyms (4.1).
"""

from __future__ import annotations

from typing import NamedTuple

from eventlog.options import SETTINGS_WITHOUT_EFFECT

BOOLEAN, STRING, INT, LONG, DOUBLE, LIST = 1, 2, 3, 5, 6, 7


class Description(NamedTuple):
    """A setting: its type in answers to DescribeConfigs, the name of the broker's setting that is its default ("": none), and a
    sentence that says what it does."""

    type: int
    broker_name: str
    documentation: str


def documentation(name: str) -> str:
    """What a setting does; whether it does anything in this store is said first."""
    text = DESCRIPTIONS[name].documentation
    return f"Kept, but without effect here. In Kafka: {text}" if name in SETTINGS_WITHOUT_EFFECT else text


_TOMBSTONES = "How long compaction keeps the marker that a key was deleted, in milliseconds."
_DIRTY = "The share of a partition's bytes that must be uncompacted before compaction begins."
_POLICY = "What happens to old segments: delete discards them, compact keeps the latest record of each key; or both."
_COMPRESSION = "The codec in which batches are stored; producer leaves each as its producer compressed it."
_LARGEST = "The size of the largest batch that can be appended, in bytes, as it is sent."
_STAMP = "Whether a record's timestamp is that of its producer (CreateTime) or of the append (LogAppendTime)."
_ACKED = "Whether segments are deleted once every consumer group has committed past them."
_JITTER = "The largest random time by which segment.ms is shortened, in milliseconds."

DESCRIPTIONS: dict[str, Description] = {
    "cleanup.policy": Description(LIST, "log.cleanup.policy", _POLICY),
    "compression.gzip.level": Description(INT, "compression.gzip.level", "The level at which the broker compresses with gzip."),
    "compression.lz4.level": Description(INT, "compression.lz4.level", "The level at which the broker compresses with lz4."),
    "compression.type": Description(STRING, "compression.type", _COMPRESSION),
    "compression.zstd.level": Description(INT, "compression.zstd.level", "The level at which the broker compresses with zstd."),
    "delete.retention.ms": Description(LONG, "log.cleaner.delete.retention.ms", _TOMBSTONES),
    "file.delete.delay.ms": Description(LONG, "log.segment.delete.delay.ms", "How long a deleted segment's files stay."),
    "flush.messages": Description(LONG, "log.flush.interval.messages", "After how many records a partition is flushed."),
    "flush.ms": Description(LONG, "log.flush.interval.ms", "After how many milliseconds a partition is flushed."),
    "follower.replication.throttled.replicas": Description(LIST, "", "The replicas whose fetches are throttled."),
    "index.interval.bytes": Description(INT, "log.index.interval.bytes", "The bytes of records between two index entries."),
    "leader.replication.throttled.replicas": Description(LIST, "", "The replicas to which leaders send less."),
    "local.retention.bytes": Description(LONG, "log.local.retention.bytes", "The bytes kept beside tiered storage."),
    "local.retention.ms": Description(LONG, "log.local.retention.ms", "The time that records are kept beside tiered storage."),
    "max.compaction.lag.ms": Description(
        LONG, "log.cleaner.max.compaction.lag.ms", "The longest time for which a record may stay uncompacted, in milliseconds."
    ),
    "max.message.bytes": Description(INT, "message.max.bytes", _LARGEST),
    "message.timestamp.after.max.ms": Description(
        LONG, "log.message.timestamp.after.max.ms", "How far a record's timestamp may lie in the future."
    ),
    "message.timestamp.before.max.ms": Description(
        LONG, "log.message.timestamp.before.max.ms", "How far a record's timestamp may lie in the past."
    ),
    "message.timestamp.type": Description(STRING, "log.message.timestamp.type", _STAMP),
    "min.cleanable.dirty.ratio": Description(DOUBLE, "log.cleaner.min.cleanable.ratio", _DIRTY),
    "min.compaction.lag.ms": Description(
        LONG, "log.cleaner.min.compaction.lag.ms", "The shortest time for which a record stays uncompacted, in milliseconds."
    ),
    "min.insync.replicas": Description(INT, "min.insync.replicas", "The replicas that acks=all waits for at least."),
    "preallocate": Description(BOOLEAN, "log.preallocate", "Whether a segment's file gets its full size at once."),
    "remote.log.copy.disable": Description(BOOLEAN, "", "Whether nothing more is copied to tiered storage."),
    "remote.log.delete.on.disable": Description(BOOLEAN, "", "Whether disabling tiered storage deletes what it holds."),
    "remote.storage.enable": Description(BOOLEAN, "", "Whether old segments move to tiered storage, which there is not."),
    "retention.acked": Description(BOOLEAN, "", _ACKED),
    "retention.bytes": Description(LONG, "log.retention.bytes", "The bytes that a partition keeps at least; -1: all."),
    "retention.ms": Description(LONG, "log.retention.ms", "How long records are kept at least, in milliseconds; -1: for ever."),
    "segment.bytes": Description(INT, "log.segment.bytes", "The size at which a new segment begins, in bytes."),
    "segment.index.bytes": Description(INT, "log.index.size.max.bytes", "The largest size of a segment's index, in bytes."),
    "segment.jitter.ms": Description(LONG, "log.roll.jitter.ms", _JITTER),
    "segment.ms": Description(LONG, "log.roll.ms", "The age at which a new segment begins, in milliseconds."),
    "unclean.leader.election.enable": Description(
        BOOLEAN, "unclean.leader.election.enable", "Whether a replica that is behind may become the leader."
    ),
}
