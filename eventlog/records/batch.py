"""Encoding lists of Python objects as RecordBatch v2, in C, and the errors that they may cause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

from eventlog._native import ffi, lib, pack_lists
from eventlog.clock import Time, as_timestamp
from eventlog.errors import EventLogError, InvalidArgumentError, InvalidTypeError, RecordTooLargeError
from eventlog.records.attributes import TRANSACTIONAL
from eventlog.records.compression import NO_CODEC, compress

Headers = Sequence[tuple[str, bytes | None]]


class BatchOrigin(NamedTuple):
    """The producer of a batch, the sequence number of its first record, and whether it belongs to a transaction."""

    producer_id: int
    epoch: int
    sequence: int
    is_transactional: bool


def _as_list(name: str, items: Sequence[Any]) -> list[Any]:
    if isinstance(items, list):
        return items
    if isinstance(items, (str, bytes, bytearray, memoryview, Mapping, Set)) or not isinstance(items, Iterable):
        raise InvalidTypeError(f"{name} must be a list with one item for each record, not {type(items).__name__}")
    return list(items)


def _as_list_of(count: int, name: str, items: Sequence[Any] | None) -> list[Any] | None:
    if items is None:
        return None
    items = _as_list(name, items)
    if len(items) != count:
        raise InvalidArgumentError(f"{name} has {len(items)} items for {count} values")
    return items


def _explain(status: int, pack: Any, lists: tuple[list[Any] | None, ...], batch_bytes_max: int) -> EventLogError:
    values, keys, _, timestamps = lists
    index = pack.failed_index

    def wrong_type(what: str, items: list[Any] | None, wanted: str) -> EventLogError:
        item = items[index] if items is not None and index < len(items) else None  # shorter: by another thread
        return InvalidTypeError(f"{what} {index} must be {wanted}, not {type(item).__name__}")

    if status == lib.EL_PACK_BAD_VALUE:
        return wrong_type("value", values, "bytes or None")
    if status == lib.EL_PACK_BAD_KEY:
        return wrong_type("key", keys, "bytes or None")
    if status == lib.EL_PACK_BAD_HEADERS:
        return InvalidTypeError(f"headers of record {index} must be a list of (str, bytes or None) tuples, or None")
    if status == lib.EL_PACK_BAD_TIMESTAMP:
        timestamp = timestamps[index] if timestamps is not None and index < len(timestamps) else None
        if isinstance(timestamp, int) and not isinstance(timestamp, bool):
            return InvalidArgumentError(f"timestamp {index} is {timestamp}, but must be milliseconds from 0 to 2**63 - 1")
        return wrong_type("timestamp", timestamps, "an int (milliseconds since the epoch), a datetime or None")
    if status == lib.EL_PACK_RECORD_TOO_LARGE:
        return RecordTooLargeError(
            f"record {index} takes {pack.failed_bytes} bytes, more than max.message.bytes ({batch_bytes_max})"
        )
    if status == lib.EL_PACK_NO_KEY:
        return InvalidArgumentError(
            f"record {index} has no key, but every record of a compacted topic (cleanup.policy) needs a key; "
            "nothing was appended"
        )
    if status == lib.EL_PACK_CHANGED:
        return InvalidArgumentError("another thread changed a list while it was being appended; nothing was written")
    return EventLogError("memory ran out while records were encoded; nothing was written")


def _compress_batches(pack: Any, codec: int) -> None:
    """Compress batch by batch where they stand: each moves towards the front, and none grows."""
    batch = ffi.new("el_batch *")
    header_bytes = lib.EL_BATCH_HEADER_BYTES
    taken = kept = 0
    while taken < pack.length:
        source, target = pack.data + taken, pack.data + kept
        lib.el_batch_parse(source, pack.length - taken, batch)
        taken += batch.size_bytes
        section = ffi.buffer(source, batch.size_bytes)[header_bytes:]
        compressed = compress(codec, section)
        if len(compressed) < len(section):
            batch.attributes |= codec
            batch.size_bytes = header_bytes + len(compressed)
            ffi.memmove(target + header_bytes, compressed, len(compressed))
            lib.el_batch_seal(target, batch)
        else:
            ffi.memmove(target, source, batch.size_bytes)
        kept += batch.size_bytes
    pack.length = kept


def _address(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


@contextmanager
def encoded(
    values: Sequence[bytes | None],
    keys: Sequence[bytes | None] | None,
    headers: Sequence[Headers | None] | None,
    timestamps: Sequence[Time | None] | None,
    encoding: Any,
    *,
    codec: int = NO_CODEC,
    position: int = 0,
) -> Iterator[Any]:
    """Encode records as batches, with base offsets still to be filled in, as the native `el_encoding` wants it, which is not to
    change meanwhile. `position` is where in the log file they will probably begin: to know it makes writing them faster.

    The bound on a batch's bytes holds before compression with `codec` (Kafka's number), and a batch that does not shrink stays
    uncompressed. Raises `UnsupportedCodecError`, and what is wrong with the records.

    Yields a native `el_pack`: its `data`, `length` in bytes and `count` of records are valid inside the block."""
    values = _as_list("values", values)
    count = len(values)
    key_list = _as_list_of(count, "keys", keys)
    header_list = _as_list_of(count, "headers", headers)
    timestamp_list = _as_list_of(count, "timestamps", timestamps)
    pack = ffi.new("el_pack *")
    try:
        lists = (values, key_list, header_list, timestamp_list)
        status = pack_lists(_address(pack), *lists, int(lib.el_now_ms()), _address(encoding), position)
        if status == lib.EL_PACK_BAD_TIMESTAMP and timestamp_list is not None:  # one of them may be a datetime
            lists = (values, key_list, header_list, [as_timestamp(time) for time in timestamp_list])
            lib.el_pack_free(pack)
            status = pack_lists(_address(pack), *lists, int(lib.el_now_ms()), _address(encoding), position)
        if status != lib.EL_PACK_DONE:
            raise _explain(status, pack, lists, encoding.batch_bytes_max)
        if codec != NO_CODEC:
            _compress_batches(pack, codec)
        yield pack
    finally:
        lib.el_pack_free(pack)


def with_origin(pack: Any, origin: BatchOrigin) -> bytes:
    """The one batch of an `el_pack`, as a batch of this producer. Raises `RecordTooLargeError` if there are several."""
    batch = ffi.new("el_batch *")
    lib.el_batch_parse(pack.data, pack.length, batch)
    if batch.size_bytes != pack.length:
        raise RecordTooLargeError("the records do not fit into one batch of max.message.bytes")
    batch.producer_id, batch.producer_epoch, batch.base_sequence = origin[:3]
    if origin.is_transactional:
        batch.attributes |= TRANSACTIONAL
    lib.el_batch_seal(pack.data, batch)
    return bytes(ffi.buffer(pack.data, pack.length))
