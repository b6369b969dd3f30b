"""eventlog: SQLite for event streams. A directory that many processes append to and consume from at once."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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
from eventlog.groups.group import Group, GroupDescription, GroupMember
from eventlog.producer.acks import Ack
from eventlog.producer.producer import Producer
from eventlog.producer.receipt import Receipt
from eventlog.records.record import Record, TopicPartition
from eventlog.storage.glance import PartitionOffsets, PartitionSize
from eventlog.storage.inspection import Problem, VerifyReport
from eventlog.storage.partition import Partition
from eventlog.storage.recovery import RecoveryReport

if TYPE_CHECKING:
    from eventlog.views.activity import Activity, GroupActivity, TopicActivity
    from eventlog.views.metrics import Metric, Metrics, Sample
    from eventlog.views.topic import PartitionOverview, TopicGroup, TopicOverview
else:
    # A program that only appends and consumes starts without the views: they are imported when they are asked for.
    _VIEWS = {
        "activity": ("Activity", "GroupActivity", "TopicActivity"),
        "metrics": ("Metric", "Metrics", "Sample"),
        "topic": ("PartitionOverview", "TopicGroup", "TopicOverview"),
    }

    def __getattr__(name: str) -> type:
        for module, names in _VIEWS.items():
            if name in names:
                return getattr(import_module(f"eventlog.views.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = "0.1.0"

__all__ = [
    "Ack",
    "Activity",
    "ConcurrentUseError",
    "Consumer",
    "CorruptLogError",
    "DiskFullError",
    "EventLog",
    "EventLogError",
    "ForkedProcessError",
    "Group",
    "GroupActivity",
    "GroupDescription",
    "GroupMember",
    "GroupNotFoundError",
    "InvalidArgumentError",
    "InvalidTypeError",
    "LockTimeoutError",
    "Metric",
    "Metrics",
    "NoCommittedOffsetError",
    "OffsetOutOfRangeError",
    "Partition",
    "PartitionNotFoundError",
    "PartitionOffsets",
    "PartitionOverview",
    "PartitionSize",
    "PoisonedError",
    "Problem",
    "Producer",
    "RebalanceListener",
    "Receipt",
    "Record",
    "RecordTooLargeError",
    "RecoveryReport",
    "Sample",
    "StaleMemberError",
    "StoreClosedError",
    "StoreOpenError",
    "TopicActivity",
    "TopicDescription",
    "TopicExistsError",
    "TopicGroup",
    "TopicNotFoundError",
    "TopicOverview",
    "TopicPartition",
    "UnsupportedCodecError",
    "VerifyReport",
    "open",
]
