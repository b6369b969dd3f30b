"""JoinGroup, SyncGroup, Heartbeat and LeaveGroup."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eventlog.errors import EventLogError
from eventlog.serve import errors
from eventlog.serve.broker import Broker, Client
from eventlog.serve.coordinator.members import Joining
from eventlog.serve.coordinator.names import check_group_id
from eventlog.serve.coordinator.registry import Coordinated
from eventlog.serve.errors import RefusedError, code_of
from eventlog.serve.protocol.messages import kind

_JOIN_WITH_REBALANCE_TIMEOUT = 1
_JOIN_WITH_REQUIRED_ID = 4
_JOIN_WITH_NULL_PROTOCOL = 7
_JOIN_WITH_SKIPPED_ASSIGNMENT = 9
_LEAVE_WITH_MEMBERS = 3
_MEMBER_BYTES_MAX = 1024 * 1024  # what a client says of itself
_ASSIGNMENTS_BYTES_MAX = 16 * 1024 * 1024


async def answer_join_group(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Wait until all members have joined the next generation. The answer for the leader names them all."""
    try:
        check_group_id(request.group_id)
        answer = await broker.coordinator.join(request.group_id, _joining(broker, client, version, request))
    except (EventLogError, RefusedError) as error:
        member_id = "" if code_of(error) == errors.GROUP_MAX_SIZE_REACHED else request.member_id
        answer = kind("JoinGroupResponse")(error_code=code_of(error), member_id=member_id)
    if answer.error_code and version >= _JOIN_WITH_NULL_PROTOCOL:
        answer.protocol_name = None
    return answer


def _joining(broker: Broker, client: Client, version: int, request: Any) -> Joining:
    settings = broker.coordinator.settings
    if not settings.session_timeout_ms_min <= request.session_timeout_ms <= settings.session_timeout_ms_max:
        allowed = f"{settings.session_timeout_ms_min} to {settings.session_timeout_ms_max}"
        raise RefusedError(errors.INVALID_SESSION_TIMEOUT, f"a session timeout of {allowed} ms is allowed")
    if not request.protocol_type or not request.protocols:
        raise RefusedError(errors.INCONSISTENT_GROUP_PROTOCOL, "a member needs a protocol type, and at least one protocol")
    # The request's buffer is used again while this member waits.
    protocols = tuple((each.name, bytes(each.metadata)) for each in request.protocols)
    if sum(len(name) + len(metadata) for name, metadata in protocols) > _MEMBER_BYTES_MAX:
        raise RefusedError(errors.MESSAGE_TOO_LARGE, f"the metadata of a member has more than {_MEMBER_BYTES_MAX} bytes")
    has_rebalance_timeout = version >= _JOIN_WITH_REBALANCE_TIMEOUT and request.rebalance_timeout_ms >= 0
    return Joining(
        member_id=request.member_id,
        instance_id=request.group_instance_id,
        client_id=client.client_id,
        host=client.address,
        session_timeout_ms=request.session_timeout_ms,
        rebalance_timeout_ms=request.rebalance_timeout_ms if has_rebalance_timeout else request.session_timeout_ms,
        protocol_type=request.protocol_type,
        protocols=protocols,
        may_get_id=version >= _JOIN_WITH_REQUIRED_ID,
        may_skip=version >= _JOIN_WITH_SKIPPED_ASSIGNMENT,
    )


async def _find(broker: Broker, group_id: str) -> Coordinated:
    check_group_id(group_id)
    found = await broker.coordinator.find(group_id)
    if found is None:
        raise RefusedError(errors.UNKNOWN_MEMBER_ID, f"group {group_id!r} has no members")
    return found


async def answer_sync_group(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Wait for the member's assignment; the leader sends those of all members."""
    try:
        if sum(len(each.assignment) for each in request.assignments) > _ASSIGNMENTS_BYTES_MAX:
            raise RefusedError(errors.MESSAGE_TOO_LARGE, f"the assignments have more than {_ASSIGNMENTS_BYTES_MAX} bytes")
        return await (await _find(broker, request.group_id)).group.sync(request)
    except (EventLogError, RefusedError) as error:
        return kind("SyncGroupResponse")(error_code=code_of(error))


async def answer_heartbeat(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Begin a member's session anew."""
    response = kind("HeartbeatResponse")()
    try:
        group = (await _find(broker, request.group_id)).group
        group.heartbeat(request.member_id, request.group_instance_id, request.generation_id)
    except (EventLogError, RefusedError) as error:
        response.error_code = code_of(error)
    return response


async def answer_leave_group(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Remove members; before version 3 a single one, whose error is that of the answer."""
    identities = [(request.member_id, None)]
    if version >= _LEAVE_WITH_MEMBERS:
        identities = [(each.member_id, each.group_instance_id) for each in request.members]
    response, entry = kind("LeaveGroupResponse")(), kind("LeaveGroupResponse", "MemberResponse")
    try:
        codes: Iterable[int] = await broker.coordinator.leave(await _find(broker, request.group_id), identities)
    except (EventLogError, RefusedError) as error:
        if code_of(error) != errors.UNKNOWN_MEMBER_ID:
            response.error_code = code_of(error)
            return response
        codes = [errors.UNKNOWN_MEMBER_ID] * len(identities)
    if version < _LEAVE_WITH_MEMBERS:
        (response.error_code,) = codes
        return response
    response.members = [
        entry(member_id=member_id, group_instance_id=instance_id, error_code=code)
        for (member_id, instance_id), code in zip(identities, codes, strict=True)
    ]
    return response
