"""The header of a record batch: the fields that the server needs before the log checks the batch.

Source of the format: Kafka's RecordBatch, version 2 (org.apache.kafka.common.record.DefaultRecordBatch).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from eventlog.records.attributes import COMPRESSION, CONTROL, TRANSACTIONAL
from eventlog.records.compression import CODEC_NUMBERS
from eventlog.serve import errors
from eventlog.serve.errors import RefusedError
from eventlog.storage.partition.produced import DECOMPRESSED_BYTES_MAX

_header = struct.Struct(">qiibIhiqqqhii")
_BATCH_LENGTH_AT = 12  # the length excludes the base offset and itself
_MAGIC = 2
_RATIOS_MAX = {CODEC_NUMBERS["gzip"]: 1032, CODEC_NUMBERS["snappy"]: 22, CODEC_NUMBERS["lz4"]: 255}  # what the formats allow
_ANY_RATIO = 1_000_000


class Batch(NamedTuple):
    """A batch that can be appended unchanged if its records are valid."""

    data: memoryview
    codec: int  # 0: it is not compressed
    is_transactional: bool
    producer_id: int
    epoch: int

    @property
    def decompressed_bytes_max(self) -> int:
        """The memory in bytes that its records can take once they are decompressed; 0 if they are not compressed."""
        return min(len(self.data) * _RATIOS_MAX.get(self.codec, _ANY_RATIO), DECOMPRESSED_BYTES_MAX) if self.codec else 0


def read_batch(data: memoryview | None) -> Batch:
    """The one batch that a producer sends to a partition. Raises `RefusedError`."""
    if not data:
        raise RefusedError(errors.INVALID_RECORD, "there is no batch")
    if len(data) <= _BATCH_LENGTH_AT + 4 or data[16] != _MAGIC:
        raise RefusedError(errors.UNSUPPORTED_FOR_MESSAGE_FORMAT, "batches are of Kafka's message format 2")
    if len(data) < _header.size:
        raise RefusedError(errors.CORRUPT_MESSAGE, f"a batch has {len(data)} bytes")
    _, length, _, _, _, attributes, _, _, _, producer_id, epoch, _, _ = _header.unpack_from(data)
    if length + _BATCH_LENGTH_AT < len(data):
        raise RefusedError(errors.INVALID_RECORD, "there is more than one batch for a partition")
    if length + _BATCH_LENGTH_AT != len(data):
        raise RefusedError(errors.CORRUPT_MESSAGE, "a batch ends before it is complete")
    if attributes & CONTROL:
        raise RefusedError(errors.INVALID_RECORD, "a producer sends no control records")
    return Batch(data, attributes & COMPRESSION, bool(attributes & TRANSACTIONAL), producer_id, epoch)
