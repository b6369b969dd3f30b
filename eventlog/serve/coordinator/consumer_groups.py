"""ConsumerGroupHeartbeat: the members of groups of the consumer protocol (KIP-848).

Any server of the store may answer a member at any time: the group is in the store, where embedded consumers share it.
Sources: KIP-848; GroupCoordinatorService and GroupMetadataManager of Apache Kafka.
"""

from __future__ import annotations

import base64
import os
import uuid
from functools import partial
from typing import Any

from eventlog.errors import EventLogError, GroupNotFoundError, InvalidArgumentError, StaleMemberError
from eventlog.groups.coordinator import GroupFullError, InstanceInUseError, Origin
from eventlog.records.record import TopicPartition
from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.coordinator.consumer_group_members import Heartbeat
from eventlog.serve.coordinator.names import check_group_id
from eventlog.serve.errors import RefusedError
from eventlog.serve.protocol.messages import kind

ASSIGNORS = {"uniform": "cooperative-sticky", "range": "range"}  # by Kafka's names, the usual one first
_JOIN, _LEAVE, _LEAVE_FOR_NOW = 0, -1, -2
_WITH_MEMBER_ID = 1  # from this version on, the member chooses its id
_TEXT_MAX = 249
_NAMES_LENGTH_MAX = 256 * 1024  # of all names together: each change of the group is stored with those of all members
_UNSTATED = -1


async def answer_consumer_group_heartbeat(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Let a member join, go on, or leave; tell it what is assigned to it, if that has changed or the member says everything."""
    answer = kind("ConsumerGroupHeartbeatResponse")()
    try:
        _check(version, request)
        if request.member_epoch < _JOIN:
            heartbeat = _heartbeat(broker, request, catalog_version=-1)
            await broker.consumer_groups.leave(request.group_id, heartbeat, is_final=request.member_epoch == _LEAVE)
            answer.member_id, answer.member_epoch = request.member_id, request.member_epoch
        else:
            await _go_on(broker, client, request, answer)
    except (EventLogError, OSError, RefusedError) as error:
        answer.error_code, answer.error_message = _code_of(error, request), str(error)
    return answer


def _check(version: int, request: Any) -> None:
    """Raise `RefusedError` for what the protocol does not allow."""
    epoch = request.member_epoch
    _refuse_if(not request.member_id and (version >= _WITH_MEMBER_ID or epoch != _JOIN), "the member id is empty")
    _refuse_if("" in (request.group_id, request.instance_id, request.rack_id), "a group, instance or rack id is empty")
    texts = (request.member_id, request.instance_id, request.rack_id)
    _refuse_if(any(len(text or "") > _TEXT_MAX for text in texts), f"an id has more than {_TEXT_MAX} characters")
    length = sum(map(len, request.subscribed_topic_names or ()))
    _refuse_if(length > _NAMES_LENGTH_MAX, f"the names of topics have more than {_NAMES_LENGTH_MAX} characters")
    if epoch == _JOIN:
        _refuse_if(request.rebalance_timeout_ms == _UNSTATED, "the first heartbeat lacks the rebalance timeout")
        _refuse_if(request.topic_partitions is None or len(request.topic_partitions) > 0, "who joins must own no partitions")
        is_subscribed = request.subscribed_topic_names is not None or request.subscribed_topic_regex is not None
        _refuse_if(not is_subscribed, "the first heartbeat lacks the topics")
    _refuse_if(epoch == _LEAVE_FOR_NOW and request.instance_id is None, "only a member with an instance id leaves for now")
    _refuse_if(epoch < _LEAVE_FOR_NOW, f"{epoch} is not the epoch of a member")
    check_group_id(request.group_id)
    if request.server_assignor is not None and request.server_assignor not in ASSIGNORS:
        reason = f"{request.server_assignor!r} is not one of the assignors {', '.join(ASSIGNORS)}"
        raise RefusedError(errors.UNSUPPORTED_ASSIGNOR, reason)


def _refuse_if(is_wrong: bool, reason: str) -> None:
    if is_wrong:
        raise RefusedError(errors.INVALID_REQUEST, reason)


async def _go_on(broker: Broker, client: Client, request: Any, answer: Any) -> None:
    catalog_version = broker.log.store.signals.catalog_version  # before the topics are read: a later change is noticed
    await broker.topics.refresh()
    heartbeat = _heartbeat(broker, request, catalog_version)
    origin = Origin(os.getpid(), client.address, client.client_id[:_TEXT_MAX])
    reply = await broker.consumer_groups.heartbeat(request.group_id, heartbeat, origin)
    answer.member_id, answer.member_epoch = heartbeat.member_id, reply.member.epoch
    answer.heartbeat_interval_ms = reply.member.next_ms(broker.consumer_groups.settings.heartbeat_interval_ms)
    is_subscribed = request.subscribed_topic_names is not None or request.subscribed_topic_regex is not None
    is_full = request.rebalance_timeout_ms != _UNSTATED and is_subscribed and request.topic_partitions is not None
    if is_full or reply.has_news:
        answer.assignment = kind("ConsumerGroupHeartbeatResponse", "Assignment")(
            topic_partitions=topic_partitions(broker, reply.member.assigned, "ConsumerGroupHeartbeatResponse")
        )


def _heartbeat(broker: Broker, request: Any, catalog_version: int) -> Heartbeat:
    owned = request.topic_partitions
    return Heartbeat(
        request.member_id or base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="),
        request.instance_id,
        request.member_epoch,
        None if owned is None else _named(broker, owned),
        _stated(request),
        catalog_version,
        partial(broker.consumer_groups.topics_of, names=broker.topics.by_name, catalog_version=catalog_version),
    )


def _stated(request: Any) -> dict[str, Any]:
    """Those fields of `RemoteMember` that the request names."""
    names, pattern, assignor = request.subscribed_topic_names, request.subscribed_topic_regex, request.server_assignor
    stated = {
        "names": None if names is None else tuple(sorted(set(names))),
        "pattern": pattern,
        "assignor": None if assignor is None else ASSIGNORS[assignor],
        "rack": request.rack_id,
        "rebalance_timeout_ms": None if request.rebalance_timeout_ms == _UNSTATED else request.rebalance_timeout_ms,
    }
    return {name: value for name, value in stated.items() if value is not None}


def _named(broker: Broker, owned: Any) -> frozenset[TopicPartition]:
    """Partitions that a request names by the ids of topics, without those of topics that do not exist any more."""
    by_id = broker.topics.by_id
    return frozenset(
        TopicPartition(by_id[each.topic_id].name, partition)
        for each in owned
        if each.topic_id in by_id
        for partition in each.partitions
    )


def topic_partitions(broker: Broker, partitions: Any, message: str) -> list[Any]:
    """Partitions as a message names them, by the ids of their topics; without those of topics that do not exist any more."""
    entry = kind(message, "TopicPartitions")
    found: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        found.setdefault(topic, []).append(partition)
    topics = broker.topics.by_name
    named = [(topics[name], numbers) for name, numbers in found.items() if name in topics]
    if "topic_name" in entry.field_names:
        return [entry(topic_id=topic.id, topic_name=topic.name, partitions=numbers) for topic, numbers in named]
    return [entry(topic_id=topic.id, partitions=numbers) for topic, numbers in named]


def _code_of(error: Exception, request: Any) -> int:
    """The code for an error. What may be better next time makes a client ask for the coordinator once more."""
    if isinstance(error, RefusedError):
        return error.code
    if isinstance(error, GroupFullError):
        return errors.GROUP_MAX_SIZE_REACHED
    if isinstance(error, InstanceInUseError):
        return errors.UNRELEASED_INSTANCE_ID
    if isinstance(error, StaleMemberError) and request.instance_id is not None:
        return errors.FENCED_INSTANCE_ID
    if isinstance(error, (StaleMemberError, GroupNotFoundError)):
        return errors.UNKNOWN_MEMBER_ID
    return errors.INCONSISTENT_GROUP_PROTOCOL if isinstance(error, InvalidArgumentError) else errors.COORDINATOR_NOT_AVAILABLE
