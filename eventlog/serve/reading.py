"""Reading batches for clients: unchanged from the log, after their checksums were verified."""

from __future__ import annotations

import struct
from typing import NamedTuple

from eventlog.errors import CorruptLogError
from eventlog.records.checksum import checksum_of
from eventlog.storage.partition.log import PartitionLog
from eventlog.storage.partition.slices import Slice

_start = struct.Struct(">qiibI")
_checked = struct.Struct(">hiqqqhii")
_BATCH_LENGTH_AT = 12
_DELTA_MAX = 2**31 - 1
_CHECKED_AT = 21  # where the bytes begin that the checksum covers


class Read(NamedTuple):
    """Whole batches, the first of which may begin before the requested offset, and the offset at which to continue."""

    data: bytes
    next_offset: int


def read_batches(log: PartitionLog, offset: int, stop: int, bytes_max: int, *, at_least_one: bool) -> Read:
    """The batches from an offset on, up to `bytes_max` bytes; with `at_least_one` the first one even if it is larger.

    Raises `OffsetOutOfRangeError` and `CorruptLogError`; the latter only if no sound batch precedes the damage."""
    pieces: list[bytes] = []
    left = bytes_max
    while offset < stop and (left > 0 or (at_least_one and not pieces)):
        try:
            found = log.slice(offset, max(0, left), at_least_one=at_least_one and not pieces, stop=stop)
        except CorruptLogError:
            if pieces:
                break  # reported to a client that fetches from there
            raise
        data = found.read()
        right_bytes = _right_bytes(data)
        if right_bytes:
            pieces.append(data[:right_bytes])
            left -= right_bytes
        if right_bytes < len(data):
            if not pieces:
                raise _damaged(log, found, right_bytes)
            break
        if found.next_offset == offset:
            break  # the next batch is larger than what is left
        offset = found.next_offset
    return Read(pieces[0] if len(pieces) == 1 else b"".join(pieces), offset)


def empty_batch(offset: int, next_offset: int) -> bytes:
    """A batch without records, which leads a client over records that compaction has removed. A broker's compaction leaves such
    batches in the log."""
    delta = min(next_offset - offset - 1, _DELTA_MAX)
    checked = _checked.pack(0, delta, -1, -1, -1, -1, -1, 0)
    length = _CHECKED_AT - _BATCH_LENGTH_AT + len(checked)
    return _start.pack(offset, length, -1, 2, checksum_of(checked)) + checked


def _right_bytes(data: bytes) -> int:
    """The number of bytes before the first batch whose checksum does not match."""
    view, position = memoryview(data), 0
    while position + _start.size <= len(data):
        _, length, _, _, checksum = _start.unpack_from(data, position)
        end = position + _BATCH_LENGTH_AT + length
        if end > len(data) or checksum_of(view[position + _CHECKED_AT : end]) != checksum:
            break
        position = end
    return position


def _damaged(log: PartitionLog, found: Slice, right_bytes: int) -> CorruptLogError:
    path = log.segments.path_of(found.file.base_offset if found.file is not None else 0)
    reason = "the CRC32C of the batch does not match its bytes"
    return CorruptLogError(path, found.position + right_bytes, reason, log.topic, log.partition, found.first_offset)
