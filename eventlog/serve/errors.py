"""Kafka's error codes, and the code for each error of the store.

Source of the codes: clients/src/main/java/org/apache/kafka/common/protocol/Errors.java of Apache Kafka.
"""

from __future__ import annotations

from eventlog.errors import (
    CorruptLogError,
    DiskFullError,
    EventLogError,
    InvalidArgumentError,
    InvalidBatchError,
    LockTimeoutError,
    OffsetOutOfRangeError,
    PoisonedError,
    RecordTooLargeError,
    TopicExistsError,
    TopicNotFoundError,
    UnsupportedCodecError,
)

UNKNOWN_SERVER_ERROR = -1
NONE = 0
OFFSET_OUT_OF_RANGE = 1
CORRUPT_MESSAGE = 2
UNKNOWN_TOPIC_OR_PARTITION = 3
REQUEST_TIMED_OUT = 7
MESSAGE_TOO_LARGE = 10
INVALID_TOPIC_EXCEPTION = 17
INVALID_REQUIRED_ACKS = 21
UNSUPPORTED_VERSION = 35
TOPIC_ALREADY_EXISTS = 36
INVALID_PARTITIONS = 37
INVALID_REPLICATION_FACTOR = 38
INVALID_REPLICA_ASSIGNMENT = 39
INVALID_CONFIG = 40
INVALID_REQUEST = 42
UNSUPPORTED_FOR_MESSAGE_FORMAT = 43
OUT_OF_ORDER_SEQUENCE_NUMBER = 45
INVALID_PRODUCER_EPOCH = 47
INVALID_TXN_STATE = 48
KAFKA_STORAGE_ERROR = 56
FETCH_SESSION_ID_NOT_FOUND = 70
UNSUPPORTED_COMPRESSION_TYPE = 76
INVALID_RECORD = 87
UNKNOWN_TOPIC_ID = 100

_CODES: list[tuple[type[EventLogError], int]] = [  # the first one that matches
    (OffsetOutOfRangeError, OFFSET_OUT_OF_RANGE),
    (RecordTooLargeError, MESSAGE_TOO_LARGE),
    (TopicExistsError, TOPIC_ALREADY_EXISTS),
    (TopicNotFoundError, UNKNOWN_TOPIC_OR_PARTITION),
    (UnsupportedCodecError, UNSUPPORTED_COMPRESSION_TYPE),
    (LockTimeoutError, REQUEST_TIMED_OUT),
    (CorruptLogError, KAFKA_STORAGE_ERROR),
    (PoisonedError, KAFKA_STORAGE_ERROR),
    (DiskFullError, KAFKA_STORAGE_ERROR),
    (InvalidArgumentError, INVALID_REQUEST),
]


class RefusedError(Exception):
    """A request, or its part for one topic or partition, has to be answered with an error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class DisconnectError(Exception):
    """A client has to be disconnected, because its request cannot be answered."""


def code_of(error: Exception) -> int:
    """Kafka's code for an error."""
    if isinstance(error, RefusedError):
        return error.code
    if isinstance(error, InvalidBatchError):
        return CORRUPT_MESSAGE if error.is_altered else INVALID_RECORD
    is_of_system = isinstance(error, OSError) or isinstance(error.__cause__, OSError)
    otherwise = KAFKA_STORAGE_ERROR if is_of_system else UNKNOWN_SERVER_ERROR  # clients try again after the first
    return next((code for kind, code in _CODES if isinstance(error, kind)), otherwise)
