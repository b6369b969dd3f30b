"""Checking batches that were encoded elsewhere, such as by a producer that speaks Kafka's protocol, before they are appended.

They are checked, and changed if the topic's settings require another time or codec, before any lock is taken. A valid batch
stays the same byte for byte, except for the base offset and the leader epoch, which no checksum covers.
Source of the rules: Kafka's LogValidator.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from eventlog._native import ffi, lib
from eventlog.errors import EventLogError, InvalidBatchError, InvalidTypeError, RecordTooLargeError
from eventlog.records.attributes import COMPRESSION, CONTROL, LOG_APPEND_TIME, TRANSACTIONAL
from eventlog.records.compression import NO_CODEC, SectionTooLargeError, compress, decompress
from eventlog.storage.partition.settings import AppendSettings

WRONG_RECORDS_MAX = 10_000  # that an error names
DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024  # well compressed data can decompress to a thousand times its size

_HEADER_BYTES = int(lib.EL_BATCH_HEADER_BYTES)
_KNOWN = COMPRESSION | LOG_APPEND_TIME | TRANSACTIONAL | CONTROL

_RECORD_REASONS = {
    lib.EL_PRODUCED_NO_KEY: "it has no key, and in a topic that is compacted (cleanup.policy) each record needs a key",
    lib.EL_PRODUCED_BAD_TIMESTAMP: "its timestamp is negative or too large",
    lib.EL_PRODUCED_BAD_DELTA: "its offset does not come after the one before, or lies outside the batch",
    lib.EL_PRODUCED_BAD_RECORD: "its lengths contradict each other",
}
_BATCH_REASONS = {
    lib.EL_CODEC_INCOMPLETE: "the bytes end inside it",
    lib.EL_CODEC_BAD_CHECKSUM: "its CRC32C does not match its bytes, which were changed on their way",
    lib.EL_PRODUCED_EMPTY: "it has no records",
    lib.EL_PRODUCED_BAD_COUNT: "it has {count} records for {offsets} offsets",
    lib.EL_PRODUCED_BAD_ATTRIBUTES: "its attributes are {attributes:#x}, of which {unknown:#x} is not known",
    lib.EL_PRODUCED_CONTROL: "it is a control batch, which only a transaction coordinator writes",
    lib.EL_PRODUCED_TRANSACTIONAL: "it belongs to a transaction, but has no producer",
    lib.EL_PRODUCED_BAD_TIMESTAMP_TYPE: "its timestamp type is LogAppendTime, which only the topic's settings decide on",
    lib.EL_PRODUCED_BAD_PRODUCER: "its producer is {producer}, epoch {epoch}, sequence {sequence}, of which one is negative",
    lib.EL_PRODUCED_EXCESS: "there are more bytes in it than its {count} records take",
}

_new = ffi.new_allocator(should_clear_after_alloc=False)


class Unit(NamedTuple):
    """Batches that can be appended together: `size_bytes` of them at the native `data`, with `record_count` records.
    `append_time_ms` is the timestamp given to all their records, in milliseconds since the epoch; None: each keeps its own."""

    data: Any
    size_bytes: int
    record_count: int
    append_time_ms: int | None


def buffer_of(batches: Any) -> Any:
    """The native memory of bytes or a buffer. Raises `InvalidTypeError`."""
    try:
        return ffi.from_buffer("uint8_t[]", batches)
    except TypeError:
        raise InvalidTypeError(f"batches are bytes, or a buffer of them, not {type(batches).__name__}") from None


def accepted(batches: Any, settings: AppendSettings, *, is_private: bool = False) -> Unit:
    """A copy of whole consecutive batches, in the form in which a topic with these settings accepts them; or, if they are in a
    buffer that `is_private`, to which nobody writes and which is not read again, the batches themselves where that can be.

    Raises `InvalidBatchError`, `RecordTooLargeError`, `UnsupportedCodecError`, `InvalidTypeError`."""
    source = buffer_of(batches)
    size_bytes, copy = len(source), source
    if not is_private or settings.rules.has_append_time:  # under other settings, a batch with such a time would be refused
        copy = _new("uint8_t[]", size_bytes)
        ffi.memmove(copy, source, size_bytes)  # exactly the checked bytes are appended, even if another thread writes there
    rules, produced = settings.rules, ffi.new("el_produced *")
    append_time_ms = None
    if rules.has_append_time:
        append_time_ms = produced.append_time_ms = int(lib.el_now_ms())
    replaced: dict[int, bytes] = {}
    while (status := lib.el_produced_accept(copy, size_bytes, rules, produced)) == lib.EL_PRODUCED_OTHER_CODEC:
        position, sent_codec = produced.position, produced.batch.attributes & COMPRESSION
        section = _accepted_section(copy, produced, settings)
        codec = settings.codec_of(sent_codec)
        if codec != sent_codec:
            replaced[position] = _recompressed(produced.batch, section, codec, settings)
    if status != lib.EL_CODEC_OK:
        raise _refusal(status, produced, settings, copy + produced.position + _HEADER_BYTES)
    if replaced:
        copy, size_bytes = _with_replaced(copy, size_bytes, replaced)
    return Unit(copy, size_bytes, produced.record_count, append_time_ms)


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


def _accepted_section(data: Any, produced: Any, settings: AppendSettings) -> bytes:
    """The decompressed records of the batch at `produced.position`, after they and it were accepted."""
    position, batch = produced.position, produced.batch
    section = bytes(ffi.buffer(data + position + _HEADER_BYTES, batch.size_bytes - _HEADER_BYTES))
    codec = batch.attributes & COMPRESSION
    try:
        if codec != NO_CODEC:
            section = decompress(codec, section, max(DECOMPRESSED_BYTES_MAX, settings.batch_bytes_max))
    except SectionTooLargeError as error:
        raise RecordTooLargeError(f"a batch is too large: {error}") from error
    except ValueError as error:
        raise InvalidBatchError(position, f"its records cannot be decompressed: {error}") from error
    records = ffi.from_buffer("uint8_t[]", section)
    status = lib.el_produced_accept_records(data, records, len(section), settings.rules, produced)
    if status != lib.EL_CODEC_OK:
        raise _refusal(status, produced, settings, records, len(section))
    return section


def _recompressed(header: Any, section: bytes, codec: int, settings: AppendSettings) -> bytes:
    """A batch with its records compressed by this codec, or uncompressed if that makes them no smaller."""
    compressed = section if codec == NO_CODEC else compress(codec, section)
    if len(compressed) < len(section):
        section = compressed
    else:
        codec = NO_CODEC
    header.attributes = header.attributes & ~COMPRESSION | codec
    header.size_bytes = _HEADER_BYTES + len(section)
    if header.size_bytes > settings.batch_bytes_max:
        raise _too_large(header.size_bytes, settings)
    sealed = _new("uint8_t[]", bytes(_HEADER_BYTES) + section)
    lib.el_batch_seal(sealed, ffi.addressof(header))
    return bytes(ffi.buffer(sealed, header.size_bytes))


def _refusal(
    status: int, produced: Any, settings: AppendSettings, records: Any, records_bytes: int | None = None
) -> EventLogError:
    """The error that says why the batch at `produced.position` is not accepted, which has these
    `records`: as they were sent, unless their decompressed size is given."""
    batch = produced.batch
    if status == lib.EL_PRODUCED_TOO_LARGE:
        return _too_large(batch.size_bytes, settings)
    if status in _RECORD_REASONS:
        size_bytes = batch.size_bytes - _HEADER_BYTES if records_bytes is None else records_bytes
        numbers = _keyless(records, size_bytes) if status == lib.EL_PRODUCED_NO_KEY else []
        return InvalidBatchError(produced.position, _RECORD_REASONS[status], produced.record_number, records=numbers)
    attributes = batch.attributes & 0xFFFF
    reason = _BATCH_REASONS.get(status) or f"it is {ffi.string(lib.el_codec_status_text(status)).decode()}"
    reason = reason.format(
        count=batch.record_count,
        offsets=batch.last_offset_delta + 1,
        attributes=attributes,
        unknown=attributes & ~_KNOWN,
        producer=batch.producer_id,
        epoch=batch.producer_epoch,
        sequence=batch.base_sequence,
    )
    return InvalidBatchError(produced.position, reason, is_altered=status == lib.EL_CODEC_BAD_CHECKSUM)


def _too_large(size_bytes: int, settings: AppendSettings) -> RecordTooLargeError:
    return RecordTooLargeError(f"a batch takes {size_bytes} bytes, more than max.message.bytes ({settings.batch_bytes_max})")


def _keyless(records: Any, records_bytes: int) -> list[int]:
    """The numbers of the records that have no key."""
    numbers = ffi.new("int32_t[]", WRONG_RECORDS_MAX)
    return list(ffi.unpack(numbers, lib.el_produced_list_keyless(records, records_bytes, numbers, WRONG_RECORDS_MAX)))
