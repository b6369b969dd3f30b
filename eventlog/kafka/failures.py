"""What the errors of librdkafka and of brokers become."""

from __future__ import annotations

from typing import Any

from eventlog.errors import (
    EventLogError,
    GroupNotFoundError,
    InvalidArgumentError,
    NotSupportedError,
    PartitionNotFoundError,
    RecordTooLargeError,
    StaleMemberError,
    TopicExistsError,
    TopicNotFoundError,
    TransactionStateError,
    UnavailableError,
    UnsupportedCodecError,
)

# By the names that librdkafka gives them; those with an underscore come from librdkafka itself.
_KINDS: dict[type[EventLogError], str] = {
    TopicNotFoundError: "UNKNOWN_TOPIC_OR_PART _UNKNOWN_TOPIC UNKNOWN_TOPIC_ID",
    PartitionNotFoundError: "_UNKNOWN_PARTITION",
    TopicExistsError: "TOPIC_ALREADY_EXISTS",
    GroupNotFoundError: "GROUP_ID_NOT_FOUND",
    RecordTooLargeError: "MSG_SIZE_TOO_LARGE RECORD_LIST_TOO_LARGE",
    UnsupportedCodecError: "UNSUPPORTED_COMPRESSION_TYPE _BAD_COMPRESSION",
    NotSupportedError: "UNSUPPORTED_VERSION _UNSUPPORTED_FEATURE UNSUPPORTED_FOR_MESSAGE_FORMAT",
    InvalidArgumentError: (
        "TOPIC_EXCEPTION INVALID_PARTITIONS INVALID_CONFIG INVALID_REQUEST INVALID_REPLICATION_FACTOR POLICY_VIOLATION "
        "INVALID_REPLICA_ASSIGNMENT INVALID_TIMESTAMP INVALID_SESSION_TIMEOUT INVALID_GROUP_ID NON_EMPTY_GROUP "
        "INCONSISTENT_GROUP_PROTOCOL INVALID_RECORD INVALID_TRANSACTION_TIMEOUT _INVALID_ARG"
    ),
    StaleMemberError: (
        "UNKNOWN_MEMBER_ID ILLEGAL_GENERATION REBALANCE_IN_PROGRESS FENCED_INSTANCE_ID STALE_MEMBER_EPOCH "
        "FENCED_MEMBER_EPOCH UNRELEASED_INSTANCE_ID _ASSIGNMENT_LOST _FENCED"
    ),
    TransactionStateError: "_PURGE_QUEUE _PURGE_INFLIGHT",
    UnavailableError: (
        "_TIMED_OUT _TIMED_OUT_QUEUE _MSG_TIMED_OUT _TRANSPORT _ALL_BROKERS_DOWN _RESOLVE _WAIT_COORD _DESTROY "
        "REQUEST_TIMED_OUT COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE NOT_COORDINATOR NOT_ENOUGH_REPLICAS "
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND BROKER_NOT_AVAILABLE LEADER_NOT_AVAILABLE NOT_LEADER_FOR_PARTITION "
        "NETWORK_EXCEPTION NOT_CONTROLLER _NOENT"
    ),
}
_BY_NAME = {name: kind for kind, names in _KINDS.items() for name in names.split()}

_HELP: dict[type[EventLogError], str] = {
    UnavailableError: "see that the brokers run and can be reached, and call again",
    StaleMemberError: "nothing was committed; the next poll joins the group again, if it is a member",
    TransactionStateError: "the transaction of this record was aborted",
    RecordTooLargeError: "the topic's max.message.bytes, or the broker's message.max.bytes, allows no more",
}
ACCESS = ("_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "_SSL", "ILLEGAL_SASL_STATE", "UNSUPPORTED_SASL_MECHANISM")
ACCESS_HELP = "check security.protocol, the sasl.… and the ssl.… settings of the URL"


def of_kafka(what: str, error: Any) -> EventLogError:
    """The error of ours for a `KafkaError`, or for the `KafkaException` that has one, with `what` failed."""
    reason = error.args[0] if isinstance(error, Exception) and error.args else error
    if not hasattr(reason, "code"):
        return InvalidArgumentError(f"{what}: {reason}")
    name = reason.name()
    kind = _BY_NAME.get(name, EventLogError)
    remedy = _HELP.get(kind)
    if name in ACCESS:
        remedy = ACCESS_HELP
    elif name.endswith("AUTHORIZATION_FAILED"):
        remedy = "give this user the right to do so (kafka-acls)"
    return kind(f"{what}: {reason.str()}{f'; {remedy}' if remedy else ''}")


def is_named(error: Any, *names: str) -> bool:
    """Is this exception of librdkafka one of those names?"""
    reason: Any = error.args[0] if error.args else None
    return hasattr(reason, "name") and reason.name() in names
