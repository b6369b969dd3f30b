"""A topic's settings as appends go by them."""

from __future__ import annotations

from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.options import TopicConfig
from eventlog.records.compression import CODEC_NUMBERS, NO_CODEC, codec_number

_BATCH_OVERHEAD_BYTES = 128  # more than a batch's header and the other fields of one record without headers


class AppendSettings(NamedTuple):
    """A topic's settings as of one version. Nothing of it is changed."""

    config: TopicConfig
    version: int  # of the head, when they were loaded
    encoding: Any  # the native `el_encoding *`
    codec: int
    producer_may_compress: bool

    @classmethod
    def of(cls, config: TopicConfig, version: int) -> AppendSettings:
        """What appends need of a topic's settings, which were loaded when the head had this version."""
        compression = config.text("compression.type")
        codec = CODEC_NUMBERS.get(compression, NO_CODEC)  # "producer" and "uncompressed" name none
        encoding = ffi.new("el_encoding *")
        encoding.settings_version = version
        encoding.batch_bytes_max = config.number("max.message.bytes")
        is_stamped = config.text("message.timestamp.type") == "LogAppendTime"
        encoding.attributes = lib.EL_ATTRIBUTE_LOG_APPEND_TIME if is_stamped else 0
        encoding.compresses = codec != NO_CODEC
        encoding.needs_keys = config.is_compacted
        return cls(config, version, encoding, codec, compression == "producer")

    def codec_for(self, compression: str | None) -> int:
        """The codec of what a producer wants to compress so."""
        if compression is None:
            return self.codec
        return self.codec_of(codec_number(compression))

    def codec_of(self, number: int) -> int:
        """The codec that a batch gets for which a producer has chosen the one with this number."""
        return number if self.producer_may_compress else self.codec

    @property
    def batch_bytes_max(self) -> int:
        """max.message.bytes."""
        return int(self.encoding.batch_bytes_max)

    @property
    def has_append_time(self) -> bool:
        """Do batches get the time of the append as their records' timestamp?"""
        return bool(self.encoding.attributes & lib.EL_ATTRIBUTE_LOG_APPEND_TIME)

    @property
    def needs_keys(self) -> bool:
        """Is a record without a key refused?"""
        return bool(self.encoding.needs_keys)


def record_bytes_max(config: TopicConfig) -> int:
    """A record whose key and value together are no longer than this always fits into a batch of its own."""
    return config.number("max.message.bytes") - _BATCH_OVERHEAD_BYTES
