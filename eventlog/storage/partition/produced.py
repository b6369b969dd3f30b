"""Checking batches that were encoded elsewhere, such as by a producer that speaks Kafka's protocol, before they are appended.

They are checked, and changed if the topic's settings require another time or codec, before any lock is taken. A valid batch
stays the same byte for byte, except for the base offset and the leader epoch, which no checksum covers.
Source of the rules: Kafka's LogValidator.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.errors import InvalidBatchError, InvalidTypeError, RecordTooLargeError
from eventlog.records.attributes import COMPRESSION, CONTROL, LOG_APPEND_TIME, TRANSACTIONAL
from eventlog.records.compression import NO_CODEC, SectionTooLargeError, compress, decompress
from eventlog.storage.partition.settings import AppendSettings

_DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024  # well compressed data can decompress to a thousand times its size

_HEADER_BYTES = int(lib.EL_BATCH_HEADER_BYTES)
_OFFSET_BYTES = 8
_KNOWN = COMPRESSION | LOG_APPEND_TIME | TRANSACTIONAL | CONTROL

_RECORD_REASONS = {
    lib.EL_PRODUCED_NO_KEY: "it has no key, and in a topic that is compacted (cleanup.policy) each record needs a key",
    lib.EL_PRODUCED_BAD_TIMESTAMP: "its timestamp is negative or too large",
    lib.EL_CODEC_BAD_OFFSET: "its offset does not come after the one before, or lies outside the batch",
    lib.EL_CODEC_BAD_RECORD: "its lengths contradict each other",
}

_new = ffi.new_allocator(should_clear_after_alloc=False)


class Unit(NamedTuple):
    """Batches that can be appended together: `size_bytes` of them at the native `data`, with `record_count` records.
    `append_time_ms` is the timestamp given to all their records, in milliseconds since the epoch; None: each keeps its own."""

    data: Any
    size_bytes: int
    record_count: int
    append_time_ms: int | None


def accepted(batches: Any, settings: AppendSettings) -> Unit:
    """A copy of whole consecutive batches, in the form in which a topic with these settings accepts them.

    Raises `InvalidBatchError`, `RecordTooLargeError`, `UnsupportedCodecError`, `InvalidTypeError`."""
    try:
        source = ffi.from_buffer("uint8_t[]", batches)
    except TypeError:
        raise InvalidTypeError(f"batches are bytes, or a buffer of them, not {type(batches).__name__}") from None
    size_bytes = len(source)
    copy = _new("uint8_t[]", size_bytes)
    ffi.memmove(copy, source, size_bytes)  # exactly the checked bytes are appended, even if another thread writes to the source
    append_time_ms = int(lib.el_now_ms()) if settings.has_append_time else None
    recompressed: dict[int, bytes] = {}
    position = count = 0
    while position < size_bytes or position == 0:
        batch = _Produced(copy, position, size_bytes)
        following = position + batch.size_bytes
        batch.check_header(settings)
        batch.check_records(settings)
        batch.stamp(append_time_ms)
        codec = settings.codec_of(batch.codec)
        if codec != batch.codec:
            recompressed[position] = batch.compressed_with(codec, settings)
        count += batch.count
        position = following
    if recompressed:
        copy, size_bytes = _with_replaced(copy, size_bytes, recompressed)
    return Unit(copy, size_bytes, count, append_time_ms)


def _with_replaced(data: Any, size_bytes: int, replaced: dict[int, bytes]) -> tuple[Any, int]:
    """The same batches, with those at these positions replaced."""
    header, position = ffi.new("el_batch *"), 0
    pieces = []
    while position < size_bytes:
        lib.el_batch_parse(data + position, size_bytes - position, header)
        pieces.append(replaced.get(position) or ffi.buffer(data + position, header.size_bytes)[:])
        position += header.size_bytes
    joined = b"".join(pieces)
    return _new("uint8_t[]", joined), len(joined)


class _Produced:
    """One of the batches to be appended."""

    def __init__(self, data: Any, position: int, size_bytes: int) -> None:
        self._position = position
        self._data = data + position
        self._header: Any = ffi.new("el_batch *")
        if size_bytes - position >= _HEADER_BYTES:
            ffi.memmove(self._data, bytes(_OFFSET_BYTES), _OFFSET_BYTES)  # cleared: the append assigns another offset
        status = lib.el_batch_parse(self._data, size_bytes - position, self._header)
        if status == lib.EL_CODEC_INCOMPLETE:
            raise self._invalid("the bytes end inside it")
        if status != lib.EL_CODEC_OK:
            raise self._invalid(f"it is {_text(status)}")
        if lib.el_batch_verify(self._data, self._header) != lib.EL_CODEC_OK:
            raise self._invalid("its CRC32C does not match its bytes, which were changed on their way", is_altered=True)

    @property
    def size_bytes(self) -> int:
        """The size of the whole batch."""
        return int(self._header.size_bytes)

    @property
    def count(self) -> int:
        """The number of its records."""
        return int(self._header.record_count)

    @property
    def codec(self) -> int:
        """The codec that its records are compressed with."""
        return int(self._header.attributes & COMPRESSION)

    def _invalid(self, reason: str, record: int | None = None, *, is_altered: bool = False) -> InvalidBatchError:
        return InvalidBatchError(self._position, reason, record, is_altered=is_altered)

    def check_header(self, settings: AppendSettings) -> None:
        """Raise an error if its header shows that it is invalid."""
        header = self._header
        attributes = int(header.attributes) & 0xFFFF
        if self.size_bytes > settings.batch_bytes_max:
            raise _too_large(self.size_bytes, settings)
        if header.record_count == 0:
            raise self._invalid("it has no records")
        if header.record_count != header.last_offset_delta + 1:
            raise self._invalid(f"it has {header.record_count} records for {header.last_offset_delta + 1} offsets")
        if attributes & ~_KNOWN:
            raise self._invalid(f"its attributes are {attributes:#x}, of which {attributes & ~_KNOWN:#x} is not known")
        if attributes & CONTROL:
            raise self._invalid("it is a control batch, which only a transaction coordinator writes")
        if attributes & TRANSACTIONAL:
            raise self._invalid("it belongs to a transaction, and there is none that could be committed here")
        if attributes & LOG_APPEND_TIME and not settings.has_append_time:
            raise self._invalid("its timestamp type is LogAppendTime, which only the topic's settings decide on")
        if header.producer_id < -1 or (header.producer_id >= 0 and (header.producer_epoch < 0 or header.base_sequence < 0)):
            numbers = f"{header.producer_id}, epoch {header.producer_epoch}, sequence {header.base_sequence}"
            raise self._invalid(f"its producer is {numbers}, of which one is negative")

    def check_records(self, settings: AppendSettings) -> None:
        """Raise an error if one of its records is invalid; store their largest timestamp in its header."""
        data, length = self._section(settings)
        found = ffi.new("el_produced *")
        status = lib.el_produced_verify(data, length, self._header, settings.needs_keys, found)
        if status == lib.EL_CODEC_BAD_COUNT:
            raise self._invalid(f"there are more bytes in it than its {self._header.record_count} records take")
        if status != lib.EL_CODEC_OK:
            raise self._invalid(_RECORD_REASONS.get(status) or _text(status), found.record_number)
        if self._header.max_timestamp != found.max_timestamp and not self._header.attributes & LOG_APPEND_TIME:
            self._header.max_timestamp = found.max_timestamp  # as a broker does
            lib.el_batch_seal(self._data, self._header)

    def _section(self, settings: AppendSettings) -> tuple[Any, int]:
        """Its decompressed records, and their length in bytes. The result may be a view that owns its memory."""
        data, length = self._data + _HEADER_BYTES, self.size_bytes - _HEADER_BYTES
        if self.codec == NO_CODEC:
            return data, length
        try:
            bytes_max = max(_DECOMPRESSED_BYTES_MAX, settings.batch_bytes_max)
            section = decompress(self.codec, ffi.buffer(data, length)[:], bytes_max)
        except SectionTooLargeError as error:
            raise RecordTooLargeError(f"a batch is too large: {error}") from error
        except ValueError as error:
            raise self._invalid(f"its records cannot be decompressed: {error}") from error
        return ffi.from_buffer("uint8_t[]", section), len(section)

    def stamp(self, append_time_ms: int | None) -> None:
        """Set the batch's time to that of the append, if there is one."""
        if append_time_ms is not None:
            self._header.attributes |= LOG_APPEND_TIME
            self._header.max_timestamp = append_time_ms
            lib.el_batch_seal(self._data, self._header)

    def compressed_with(self, codec: int, settings: AppendSettings) -> bytes:
        """The batch with its records compressed by this codec, or uncompressed."""
        data, length = self._section(settings)
        section = ffi.buffer(data, length)[:]
        compressed = section if codec == NO_CODEC else compress(codec, section)
        if len(compressed) < len(section):
            section = compressed
        else:
            codec = NO_CODEC
        self._header.attributes = self._header.attributes & ~COMPRESSION | codec
        self._header.size_bytes = _HEADER_BYTES + len(section)
        if self._header.size_bytes > settings.batch_bytes_max:
            raise _too_large(self._header.size_bytes, settings)
        sealed = _new("uint8_t[]", bytes(_HEADER_BYTES) + section)
        lib.el_batch_seal(sealed, self._header)
        return bytes(ffi.buffer(sealed, self._header.size_bytes))


def _too_large(size_bytes: int, settings: AppendSettings) -> RecordTooLargeError:
    return RecordTooLargeError(f"a batch takes {size_bytes} bytes, more than max.message.bytes ({settings.batch_bytes_max})")


def _text(status: int) -> str:
    return str(ffi.string(lib.el_codec_status_text(status)).decode())
