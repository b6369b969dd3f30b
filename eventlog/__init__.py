"""eventlog: SQLite for event streams. A directory that many processes append to and consume from at once."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from eventlog.api import EventLog, open
from eventlog.catalog.topics import TopicDescription
from eventlog.consumer.consumer import Consumer
from eventlog.consumer.rebalance import RebalanceListener
from eventlog.errors import (
    BackupError,
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
from eventlog.maintenance.report import HeldBack, MaintenanceReport, PartitionMaintenance
from eventlog.producer.acks import Ack
from eventlog.producer.producer import Producer
from eventlog.producer.receipt import Receipt
from eventlog.records.record import Record, TopicPartition
from eventlog.storage.compaction import Compacted
from eventlog.storage.glance import PartitionOffsets, PartitionSize
from eventlog.storage.inspection import Problem, VerifyReport
from eventlog.storage.partition import Partition
from eventlog.storage.recovery import RecoveryReport

if TYPE_CHECKING:
    from eventlog.keeping.backup import BackupReport
    from eventlog.keeping.doctor import Finding, diagnose
    from eventlog.keeping.repair import Removal, RepairPlan
    from eventlog.keeping.restoring import RestoreReport, restore
    from eventlog.keeping.verification import verify_backup

# Imported when they are used first: few programs keep a store, and all of them start.
_KEEPING = {
    "BackupReport": "backup",
    "Finding": "doctor",
    "Removal": "repair",
    "RepairPlan": "repair",
    "RestoreReport": "restoring",
    "diagnose": "doctor",
    "restore": "restoring",
    "verify_backup": "verification",
}

__version__ = "0.1.0"

__all__ = [
    "Ack",
    "BackupError",
    "BackupReport",
    "Compacted",
    "ConcurrentUseError",
    "Consumer",
    "CorruptLogError",
    "DiskFullError",
    "EventLog",
    "EventLogError",
    "Finding",
    "ForkedProcessError",
    "Group",
    "GroupDescription",
    "GroupMember",
    "GroupNotFoundError",
    "HeldBack",
    "InvalidArgumentError",
    "InvalidTypeError",
    "LockTimeoutError",
    "MaintenanceReport",
    "NoCommittedOffsetError",
    "OffsetOutOfRangeError",
    "Partition",
    "PartitionMaintenance",
    "PartitionNotFoundError",
    "PartitionOffsets",
    "PartitionSize",
    "PoisonedError",
    "Problem",
    "Producer",
    "RebalanceListener",
    "Receipt",
    "Record",
    "RecordTooLargeError",
    "RecoveryReport",
    "Removal",
    "RepairPlan",
    "RestoreReport",
    "StaleMemberError",
    "StoreClosedError",
    "StoreOpenError",
    "TopicDescription",
    "TopicExistsError",
    "TopicNotFoundError",
    "TopicPartition",
    "UnsupportedCodecError",
    "VerifyReport",
    "diagnose",
    "open",
    "restore",
    "verify_backup",
]


def __getattr__(name: str) -> object:
    """The names of `_KEEPING`, by PEP 562."""
    if name not in _KEEPING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.keeping.{_KEEPING[name]}"), name)
    globals()[name] = found
    return found
