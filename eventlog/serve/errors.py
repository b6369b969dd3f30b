"""Kafka's error codes, and the code for each error of the store.

Source of the codes: clients/src/main/java/org/apache/kafka/common/protocol/Errors.java of Apache Kafka.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from types import TracebackType
from typing import Any

from eventlog.errors import (
    CorruptLogError,
    DiskFullError,
    DuplicateSequenceError,
    EventLogError,
    InvalidArgumentError,
    InvalidBatchError,
    LockTimeoutError,
    OffsetOutOfRangeError,
    OutOfOrderSequenceError,
    PoisonedError,
    ProducerFencedError,
    RecordTooLargeError,
    TopicExistsError,
    TopicNotFoundError,
    TransactionStateError,
    UnsupportedCodecError,
)

UNKNOWN_SERVER_ERROR = -1
NONE = 0
OFFSET_OUT_OF_RANGE = 1
CORRUPT_MESSAGE = 2
UNKNOWN_TOPIC_OR_PARTITION = 3
REQUEST_TIMED_OUT = 7
MESSAGE_TOO_LARGE = 10
OFFSET_METADATA_TOO_LARGE = 12
COORDINATOR_LOAD_IN_PROGRESS = 14
COORDINATOR_NOT_AVAILABLE = 15
NOT_COORDINATOR = 16
INVALID_TOPIC_EXCEPTION = 17
INVALID_REQUIRED_ACKS = 21
ILLEGAL_GENERATION = 22
INCONSISTENT_GROUP_PROTOCOL = 23
INVALID_GROUP_ID = 24
UNKNOWN_MEMBER_ID = 25
INVALID_SESSION_TIMEOUT = 26
REBALANCE_IN_PROGRESS = 27
TOPIC_AUTHORIZATION_FAILED = 29
GROUP_AUTHORIZATION_FAILED = 30
CLUSTER_AUTHORIZATION_FAILED = 31
INVALID_TIMESTAMP = 32
UNSUPPORTED_SASL_MECHANISM = 33
ILLEGAL_SASL_STATE = 34
UNSUPPORTED_VERSION = 35
TOPIC_ALREADY_EXISTS = 36
INVALID_PARTITIONS = 37
INVALID_REPLICATION_FACTOR = 38
INVALID_REPLICA_ASSIGNMENT = 39
INVALID_CONFIG = 40
INVALID_REQUEST = 42
UNSUPPORTED_FOR_MESSAGE_FORMAT = 43
POLICY_VIOLATION = 44
OUT_OF_ORDER_SEQUENCE_NUMBER = 45
DUPLICATE_SEQUENCE_NUMBER = 46
INVALID_PRODUCER_EPOCH = 47
INVALID_TXN_STATE = 48
INVALID_PRODUCER_ID_MAPPING = 49
INVALID_TRANSACTION_TIMEOUT = 50
CONCURRENT_TRANSACTIONS = 51
TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53
SECURITY_DISABLED = 54
OPERATION_NOT_ATTEMPTED = 55
KAFKA_STORAGE_ERROR = 56
LOG_DIR_NOT_FOUND = 57
SASL_AUTHENTICATION_FAILED = 58
UNKNOWN_PRODUCER_ID = 59
NON_EMPTY_GROUP = 68
GROUP_ID_NOT_FOUND = 69
FETCH_SESSION_ID_NOT_FOUND = 70
INVALID_FETCH_SESSION_EPOCH = 71
FENCED_LEADER_EPOCH = 74
UNKNOWN_LEADER_EPOCH = 75
UNSUPPORTED_COMPRESSION_TYPE = 76
OFFSET_NOT_AVAILABLE = 78
MEMBER_ID_REQUIRED = 79
GROUP_MAX_SIZE_REACHED = 81
FENCED_INSTANCE_ID = 82
ELIGIBLE_LEADERS_NOT_AVAILABLE = 83
ELECTION_NOT_NEEDED = 84
NO_REASSIGNMENT_IN_PROGRESS = 85
GROUP_SUBSCRIBED_TO_TOPIC = 86
INVALID_RECORD = 87
UNSTABLE_OFFSET_COMMIT = 88
PRODUCER_FENCED = 90
RESOURCE_NOT_FOUND = 91
DUPLICATE_RESOURCE = 92
UNACCEPTABLE_CREDENTIAL = 93
UNKNOWN_TOPIC_ID = 100
TRANSACTIONAL_ID_NOT_FOUND = 105
FETCH_SESSION_TOPIC_ID_ERROR = 106
FENCED_MEMBER_EPOCH = 110
UNRELEASED_INSTANCE_ID = 111
UNSUPPORTED_ASSIGNOR = 112
STALE_MEMBER_EPOCH = 113
MISMATCHED_ENDPOINT_TYPE = 114
UNSUPPORTED_ENDPOINT_TYPE = 115
INVALID_REGULAR_EXPRESSION = 128

_MESSAGE_LENGTH_MAX = 1000  # errors quote what was wrong, which may be as long as a request
_LOG_PAUSE_SECONDS = 10.0

log = logging.getLogger("eventlog.serve")

_CODES: list[tuple[type[EventLogError], int]] = [  # the first one that matches
    (OffsetOutOfRangeError, OFFSET_OUT_OF_RANGE),
    (RecordTooLargeError, MESSAGE_TOO_LARGE),
    (OutOfOrderSequenceError, OUT_OF_ORDER_SEQUENCE_NUMBER),
    (DuplicateSequenceError, DUPLICATE_SEQUENCE_NUMBER),
    (ProducerFencedError, INVALID_PRODUCER_EPOCH),
    (TransactionStateError, INVALID_TXN_STATE),
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


told: Counter[int] = Counter()
"""How often this process has told clients each code."""


def code_of(error: Exception) -> int:
    """Kafka's code for an error, which is going to be told to a client."""
    code = _code_of(error)
    told[code] += 1
    if code == KAFKA_STORAGE_ERROR:
        _storage_errors.write(error)
    return code


class SparseLog:
    """Logs an error at most every ten seconds: while a disk is full, each request of each client fails."""

    def __init__(self) -> None:
        self._next_at = 0.0
        self._left_out = 0

    def write(self, error: Exception) -> None:
        """Log an error, unless one was logged just now."""
        now = time.monotonic()
        if now < self._next_at:
            self._left_out += 1
            return
        left_out = f" ({self._left_out} more since the last report)" if self._left_out else ""
        self._next_at, self._left_out = now + _LOG_PAUSE_SECONDS, 0
        log.error("clients are told of a storage error: %s%s", error, left_out)


_storage_errors = SparseLog()


def name_of(code: int) -> str:
    """Kafka's name of a code."""
    return next((name for name, value in globals().items() if name.isupper() and value == code), str(code))


def _code_of(error: Exception) -> int:
    if isinstance(error, RefusedError):
        return error.code
    if isinstance(error, InvalidBatchError):
        return CORRUPT_MESSAGE if error.is_altered else INVALID_RECORD
    is_of_system = isinstance(error, OSError) or isinstance(error.__cause__, OSError)
    otherwise = KAFKA_STORAGE_ERROR if is_of_system else UNKNOWN_SERVER_ERROR  # clients try again after the first
    return next((code for kind, code in _CODES if isinstance(error, kind)), otherwise)


class noted_in:
    """A block for one entry of an answer: an error ends the block, and stands in the entry's `error_code` and `error_message`
    instead of being raised."""

    def __init__(self, entry: Any) -> None:
        self._entry = entry

    def __enter__(self) -> None:
        """Nothing is wrong yet."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if not isinstance(error, (EventLogError, RefusedError, OSError)):
            return False
        self._entry.error_code = code_of(error)
        if "error_message" in self._entry.field_names:
            self._entry.error_message = str(error)[:_MESSAGE_LENGTH_MAX]
        return True
