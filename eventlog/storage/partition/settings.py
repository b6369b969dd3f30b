"""A topic's settings, in the form that appends use."""

from __future__ import annotations

from typing import Any, NamedTuple

from eventlog._native import ffi
from eventlog.options import TopicConfig
from eventlog.records.attributes import LOG_APPEND_TIME
from eventlog.records.compression import CODEC_NUMBERS, NO_CODEC, codec_number

_BATCH_OVERHEAD_BYTES = 128  # more than a batch's header and the other fields of one record without headers


class AppendSettings(NamedTuple):
    """One version of a topic's settings. Immutable."""

    config: TopicConfig
    version: int  # of the head, when they were loaded
    encoding: Any  # the native `el_encoding *`
    codec: int
    producer_may_compress: bool
    rules: Any  # the native `el_produced_rules *`, for batches that were encoded elsewhere

    @classmethod
    def of(cls, config: TopicConfig, version: int) -> AppendSettings:
        """The settings that appends need, from those of a topic that were loaded when the head had this version."""
        compression = config.text("compression.type")
        codec = CODEC_NUMBERS.get(compression, NO_CODEC)  # "producer" and "uncompressed" do not name a codec
        encoding = ffi.new("el_encoding *")
        encoding.settings_version = version
        encoding.batch_bytes_max = config.number("max.message.bytes")
        is_stamped = config.text("message.timestamp.type") == "LogAppendTime"
        encoding.attributes = LOG_APPEND_TIME if is_stamped else 0
        encoding.compresses = codec != NO_CODEC
        encoding.needs_keys = config.is_compacted
        rules = ffi.new("el_produced_rules *")
        rules.batch_bytes_max, rules.needs_keys = encoding.batch_bytes_max, encoding.needs_keys
        rules.has_append_time = is_stamped
        rules.codec = -1 if compression == "producer" else codec
        return cls(config, version, encoding, codec, compression == "producer", rules)

    def codec_for(self, compression: str | None) -> int:
        """The codec to use if a producer asks for this compression; None: it leaves that to the topic."""
        if compression is None:
            return self.codec
        return self.codec_of(codec_number(compression))

    def codec_of(self, number: int) -> int:
        """The codec to use for a batch if its producer chose the codec with this number."""
        return number if self.producer_may_compress else self.codec

    @property
    def batch_bytes_max(self) -> int:
        """max.message.bytes."""
        return int(self.encoding.batch_bytes_max)


def record_bytes_max(config: TopicConfig) -> int:
    """A record whose key and value together are no longer than this always fits into a batch of its own."""
    return config.number("max.message.bytes") - _BATCH_OVERHEAD_BYTES
