"""eventlog: SQLite for event streams. A directory that many processes append to and consume from at once."""

from __future__ import annotations

from eventlog.catalog.topics import TopicDescription
from eventlog.errors import (
    CorruptLogError,
    DiskFullError,
    EventLogError,
    ForkedProcessError,
    InvalidArgumentError,
    InvalidTypeError,
    LockTimeoutError,
    OffsetOutOfRangeError,
    PartitionNotFoundError,
    PoisonedError,
    RecordTooLargeError,
    StoreClosedError,
    StoreOpenError,
    TopicExistsError,
    TopicNotFoundError,
    UnsupportedCodecError,
)
from eventlog.log import EventLog, open
from eventlog.records.record import Record, TopicPartition
from eventlog.storage.inspection import Problem, VerifyReport
from eventlog.storage.partition import Partition
from eventlog.storage.recovery import RecoveryReport

__version__ = "0.1.0"

__all__ = [
    "CorruptLogError",
    "DiskFullError",
    "EventLog",
    "EventLogError",
    "ForkedProcessError",
    "InvalidArgumentError",
    "InvalidTypeError",
    "LockTimeoutError",
    "OffsetOutOfRangeError",
    "Partition",
    "PartitionNotFoundError",
    "PoisonedError",
    "Problem",
    "Record",
    "RecordTooLargeError",
    "RecoveryReport",
    "StoreClosedError",
    "StoreOpenError",
    "TopicDescription",
    "TopicExistsError",
    "TopicNotFoundError",
    "TopicPartition",
    "UnsupportedCodecError",
    "VerifyReport",
    "open",
]
