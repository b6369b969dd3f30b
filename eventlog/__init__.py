"""eventlog: SQLite for event streams. A directory that many processes append to and consume from at once."""

from __future__ import annotations

from eventlog.errors import (
    BackupError,
    BridgeError,
    ConcurrentUseError,
    ConflictError,
    ConnectionLostError,
    CoordinatorFencedError,
    CorruptLogError,
    DeserializationError,
    DiskFullError,
    DuplicateSequenceError,
    EventLogError,
    ForkedProcessError,
    GroupNotFoundError,
    InvalidArgumentError,
    InvalidBatchError,
    InvalidTypeError,
    LockTimeoutError,
    NoCommittedOffsetError,
    NotSupportedError,
    OffsetOutOfRangeError,
    OutOfOrderSequenceError,
    PartitionNotFoundError,
    PoisonedError,
    ProducerFencedError,
    ReadOnlyStoreError,
    RecordTooLargeError,
    SerializationError,
    StaleMemberError,
    StoreClosedError,
    StoreOpenError,
    StoreReplacedError,
    ThreadStartError,
    TopicExistsError,
    TopicNotFoundError,
    TransactionStateError,
    UnavailableError,
    UnsupportedCodecError,
    UnsupportedFormatError,
    WakeupError,
)

TYPE_CHECKING = False  # type checkers take it for that of `typing`, which takes longer to import than all the rest
if TYPE_CHECKING:
    from eventlog.admin.backup import BackupReport
    from eventlog.admin.doctor import Finding, diagnose
    from eventlog.admin.repair import Removal, RepairPlan
    from eventlog.admin.restore import RestoreReport, restore
    from eventlog.admin.verification import verify_backup
    from eventlog.api import EventLog, open
    from eventlog.bridges.progress import BridgeProgress
    from eventlog.catalog.history import HistoryEntry, OffsetChange
    from eventlog.catalog.topics import TopicDescription
    from eventlog.consumer.consumer import Consumer
    from eventlog.consumer.rebalance import RebalanceListener
    from eventlog.groups.group import Group, GroupDescription, GroupMember
    from eventlog.groups.progress import Progress
    from eventlog.maintenance.report import HeldBack, MaintenanceReport, PartitionMaintenance
    from eventlog.producer.acks import Ack
    from eventlog.producer.idempotent import NamedProducer
    from eventlog.producer.producer import Producer
    from eventlog.producer.receipt import Receipt
    from eventlog.producer.transactional import TransactionalProducer
    from eventlog.records.columns import BytesColumn, Columns, HeadersColumn
    from eventlog.records.record import Record, TopicPartition
    from eventlog.storage.cleaning.compaction import Compacted
    from eventlog.storage.mapped.foreign_heads import PartitionOffsets, PartitionSize
    from eventlog.storage.mapped.share_page import ShareStates
    from eventlog.storage.partition.partition import Partition
    from eventlog.storage.segments.inspection import Problem, VerifyReport
    from eventlog.storage.segments.recovery import RecoveryReport
    from eventlog.transactions.description import TransactionDescription
    from eventlog.views.activity import Activity, GroupActivity, TopicActivity
    from eventlog.views.columns import TopicColumns
    from eventlog.views.metrics import Metric, Metrics, Sample
    from eventlog.views.servers import ApiActivity, ServerActivity
    from eventlog.views.topic import PartitionOverview, TopicGroup, TopicOverview
    from eventlog.worker.job import Job
    from eventlog.worker.worker import Worker

# Imported when they are used first: the help of a command needs none of them, and few programs need all.
_MODULES = {
    "api": ("EventLog", "open"),
    "bridges.progress": ("BridgeProgress",),
    "catalog.history": ("HistoryEntry", "OffsetChange"),
    "catalog.topics": ("TopicDescription",),
    "consumer.consumer": ("Consumer",),
    "consumer.rebalance": ("RebalanceListener",),
    "groups.group": ("Group", "GroupDescription", "GroupMember"),
    "groups.progress": ("Progress",),
    "admin.backup": ("BackupReport",),
    "admin.doctor": ("Finding", "diagnose"),
    "admin.repair": ("Removal", "RepairPlan"),
    "admin.restore": ("RestoreReport", "restore"),
    "admin.verification": ("verify_backup",),
    "maintenance.report": ("HeldBack", "MaintenanceReport", "PartitionMaintenance"),
    "producer.acks": ("Ack",),
    "producer.idempotent": ("NamedProducer",),
    "producer.producer": ("Producer",),
    "producer.receipt": ("Receipt",),
    "producer.transactional": ("TransactionalProducer",),
    "records.columns": ("BytesColumn", "Columns", "HeadersColumn"),
    "records.record": ("Record", "TopicPartition"),
    "storage.cleaning.compaction": ("Compacted",),
    "storage.mapped.foreign_heads": ("PartitionOffsets", "PartitionSize"),
    "storage.mapped.share_page": ("ShareStates",),
    "storage.segments.inspection": ("Problem", "VerifyReport"),
    "storage.partition.partition": ("Partition",),
    "storage.segments.recovery": ("RecoveryReport",),
    "transactions.description": ("TransactionDescription",),
    "views.activity": ("Activity", "GroupActivity", "TopicActivity"),
    "views.columns": ("TopicColumns",),
    "views.metrics": ("Metric", "Metrics", "Sample"),
    "views.servers": ("ApiActivity", "ServerActivity"),
    "views.topic": ("PartitionOverview", "TopicGroup", "TopicOverview"),
    "worker.job": ("Job",),
    "worker.worker": ("Worker",),
}
_LATER = {name: module for module, names in _MODULES.items() for name in names}
_MODULES_BY_NAME = {"json"}  # for programs that only write `import eventlog`

__version__ = "0.1.0"

__all__ = [
    "Ack",
    "Activity",
    "ApiActivity",
    "BackupError",
    "BackupReport",
    "BridgeError",
    "BridgeProgress",
    "BytesColumn",
    "Columns",
    "Compacted",
    "ConcurrentUseError",
    "ConflictError",
    "ConnectionLostError",
    "Consumer",
    "CoordinatorFencedError",
    "CorruptLogError",
    "DeserializationError",
    "DiskFullError",
    "DuplicateSequenceError",
    "EventLog",
    "EventLogError",
    "Finding",
    "ForkedProcessError",
    "Group",
    "GroupActivity",
    "GroupDescription",
    "GroupMember",
    "GroupNotFoundError",
    "HeadersColumn",
    "HeldBack",
    "HistoryEntry",
    "InvalidArgumentError",
    "InvalidBatchError",
    "InvalidTypeError",
    "Job",
    "LockTimeoutError",
    "MaintenanceReport",
    "Metric",
    "Metrics",
    "NamedProducer",
    "NoCommittedOffsetError",
    "NotSupportedError",
    "OffsetChange",
    "OffsetOutOfRangeError",
    "OutOfOrderSequenceError",
    "Partition",
    "PartitionMaintenance",
    "PartitionNotFoundError",
    "PartitionOffsets",
    "PartitionOverview",
    "PartitionSize",
    "PoisonedError",
    "Problem",
    "Producer",
    "ProducerFencedError",
    "Progress",
    "ReadOnlyStoreError",
    "RebalanceListener",
    "Receipt",
    "Record",
    "RecordTooLargeError",
    "RecoveryReport",
    "Removal",
    "RepairPlan",
    "RestoreReport",
    "Sample",
    "SerializationError",
    "ServerActivity",
    "ShareStates",
    "StaleMemberError",
    "StoreClosedError",
    "StoreOpenError",
    "StoreReplacedError",
    "ThreadStartError",
    "TopicActivity",
    "TopicColumns",
    "TopicDescription",
    "TopicExistsError",
    "TopicGroup",
    "TopicNotFoundError",
    "TopicOverview",
    "TopicPartition",
    "TransactionDescription",
    "TransactionStateError",
    "TransactionalProducer",
    "UnavailableError",
    "UnsupportedCodecError",
    "UnsupportedFormatError",
    "VerifyReport",
    "WakeupError",
    "Worker",
    "diagnose",
    "open",
    "restore",
    "verify_backup",
]


def __getattr__(name: str) -> object:
    """The names that are imported when they are used first, by PEP 562."""
    from importlib import import_module

    if name in _MODULES_BY_NAME:
        return import_module(f"{__name__}.{name}")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The names that were imported, and those that were not yet."""
    return sorted({*globals(), *__all__})
