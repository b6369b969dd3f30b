"""ConsumerGroupDescribe: groups of the consumer protocol, with their embedded members."""

from __future__ import annotations

from typing import Any

from eventlog.catalog.groups import Member
from eventlog.errors import EventLogError
from eventlog.groups.snapshot import GroupSnapshot, take_snapshot
from eventlog.records.record import TopicPartition
from eventlog.serve import errors, operations
from eventlog.serve.broker import Broker, Client
from eventlog.serve.coordinator.consumer_groups import ASSIGNORS, topic_partitions
from eventlog.serve.errors import RefusedError, code_of
from eventlog.serve.protocol.messages import kind
from eventlog.serve.security.users import Resource

_OF_CONSUMER_PROTOCOL = 1
_NAMES = {ours: kafkas for kafkas, ours in ASSIGNORS.items()}
_RESPONSE = "ConsumerGroupDescribeResponse"


async def answer_consumer_group_describe(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Describe each group once, with the members that are alive."""
    await broker.topics.refresh()
    described = []
    for group_id in dict.fromkeys(request.group_ids):
        try:
            entry = await _describe(broker, group_id)
            if request.include_authorized_operations:
                entry.authorized_operations = operations.allowed(client, Resource.GROUP, group_id)
            described.append(entry)
        except (EventLogError, OSError, RefusedError) as error:
            refused = kind(_RESPONSE, "DescribedGroup")
            described.append(refused(group_id=group_id, error_code=code_of(error), error_message=str(error)))
    return kind(_RESPONSE)(groups=described)


async def _describe(broker: Broker, group_id: str) -> Any:
    group = await broker.in_thread(lambda: take_snapshot(broker.log.open_groups, group_id))
    if group is None or group.state.classic is not None:
        raise RefusedError(errors.GROUP_ID_NOT_FOUND, f"there is no group {group_id!r} of the consumer protocol")
    owned: dict[int, list[TopicPartition]] = {}
    for partition, slot in group.offsets.items():
        owned.setdefault(slot.owner, []).append(partition)
    generation = group.state.generation
    return kind(_RESPONSE, "DescribedGroup")(
        group_id=group_id,
        group_state=state_of(group),
        group_epoch=generation,
        assignment_epoch=generation,
        assignor_name=_NAMES.get(group.state.assignor, group.state.assignor) or next(iter(ASSIGNORS)),
        members=[_member(broker, group, member, owned.get(member.epoch, [])) for member in group.alive],
    )


def state_of(group: GroupSnapshot) -> str:
    """The state of a group as Kafka names it: a group is reconciling while partitions are not yet owned by those to whom they
    are assigned."""
    if not group.alive:
        return "Empty"
    owners = {partition: slot.owner for partition, slot in group.offsets.items()}
    assigned = ((epoch, each) for epoch, partitions in group.state.assignment.items() for each in partitions)
    return "Stable" if all(owners.get(each) == epoch for epoch, each in assigned) else "Reconciling"


def _member(broker: Broker, group: GroupSnapshot, member: Member, owned: list[TopicPartition]) -> Any:
    remote = member.remote
    known = broker.consumer_groups.epoch_of(group.state.name, member.member_id)
    assignment = kind(_RESPONSE, "Assignment")
    target = group.state.assignment.get(member.epoch, ())
    return kind(_RESPONSE, "Member")(
        member_id=member.member_id,
        instance_id=member.instance_id,
        rack_id=None if remote is None else remote.rack,
        member_epoch=group.state.generation if known is None else known,
        client_id=member.client_id or "eventlog",
        client_host=member.host if remote is None else f"/{member.host}",
        subscribed_topic_names=list(member.topics if remote is None else remote.names),
        subscribed_topic_regex=None if remote is None or not remote.pattern else remote.pattern,
        assignment=assignment(topic_partitions=topic_partitions(broker, owned, _RESPONSE)),
        target_assignment=assignment(topic_partitions=topic_partitions(broker, target, _RESPONSE)),
        member_type=_OF_CONSUMER_PROTOCOL,
    )
