"""eventlog: SQLite for event streams. A directory that many processes append to and consume from at once."""

from __future__ import annotations

from eventlog.api import EventLog, open
from eventlog.catalog.topics import TopicDescription
from eventlog.consumer.consumer import Consumer
from eventlog.consumer.rebalance import RebalanceListener
from eventlog.errors import (
    ConcurrentUseError,
    CorruptLogError,
    DiskFullError,
    EventLogError,
    ForkedProcessError,
    GroupNotFoundError,
    InvalidArgumentError,
    InvalidTypeError,
    LockTimeoutError,
    NoCommittedOffsetError,
    OffsetOutOfRangeError,
    PartitionNotFoundError,
    PoisonedError,
    RecordTooLargeError,
    StaleMemberError,
    StoreClosedError,
    StoreOpenError,
    TopicExistsError,
    TopicNotFoundError,
    UnsupportedCodecError,
)
from eventlog.groups.group import Group, GroupDescription, GroupMember, OffsetChange
from eventlog.groups.progress import Progress
from eventlog.producer.acks import Ack
from eventlog.producer.producer import Producer
from eventlog.producer.receipt import Receipt
from eventlog.records.record import Record, TopicPartition
from eventlog.storage.glance import PartitionOffsets, PartitionSize
from eventlog.storage.inspection import Problem, VerifyReport
from eventlog.storage.partition import Partition
from eventlog.storage.recovery import RecoveryReport

__version__ = "0.1.0"

__all__ = [
    "Ack",
    "ConcurrentUseError",
    "Consumer",
    "CorruptLogError",
    "DiskFullError",
    "EventLog",
    "EventLogError",
    "ForkedProcessError",
    "Group",
    "GroupDescription",
    "GroupMember",
    "GroupNotFoundError",
    "InvalidArgumentError",
    "InvalidTypeError",
    "LockTimeoutError",
    "NoCommittedOffsetError",
    "OffsetChange",
    "OffsetOutOfRangeError",
    "Partition",
    "PartitionNotFoundError",
    "PartitionOffsets",
    "PartitionSize",
    "PoisonedError",
    "Problem",
    "Producer",
    "Progress",
    "RebalanceListener",
    "Receipt",
    "Record",
    "RecordTooLargeError",
    "RecoveryReport",
    "StaleMemberError",
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
