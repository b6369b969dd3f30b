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
        return cls(config, version, encoding, codec, compression == "producer")

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

    @property
    def has_append_time(self) -> bool:
        """Is the time of the append used as the timestamp of a batch's records?"""
        return bool(self.encoding.attributes & LOG_APPEND_TIME)

    @property
    def needs_keys(self) -> bool:
        """Are records without a key refused?"""
        return bool(self.encoding.needs_keys)


def record_bytes_max(config: TopicConfig) -> int:
    """A record whose key and value together are no longer than this always fits into a batch of its own."""
    return config.number("max.message.bytes") - _BATCH_OVERHEAD_BYTES
