"""ListGroups, DescribeGroups and DeleteGroups: groups of remote clients, and of consumers of this library."""

from __future__ import annotations

from typing import Any, NamedTuple

from eventlog.catalog.groups import GroupState, Member
from eventlog.errors import EventLogError
from eventlog.groups.consumer_protocol import PROTOCOL_TYPE, encode_assignment, encode_subscription
from eventlog.groups.deletion import delete_group
from eventlog.groups.snapshot import take_snapshot
from eventlog.serve import errors, operations
from eventlog.serve.broker import Broker, Client
from eventlog.serve.coordinator.classic import State
from eventlog.serve.coordinator.names import check_group_id
from eventlog.serve.errors import RefusedError, code_of
from eventlog.serve.protocol.messages import kind
from eventlog.serve.security.users import Resource

_CLASSIC, _CONSUMER = "Classic", "Consumer"  # types of groups
_WITH_NOT_FOUND = 6
_STABLE, _EMPTY, _DEAD = State.STABLE.value, State.EMPTY.value, State.DEAD.value


class _Listed(NamedTuple):
    name: str
    type: str
    protocol_type: str
    state: str


# --- ListGroups ------------------------------------------------------------------------------------------


async def answer_list_groups(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """All groups; only those of some states or types, if the request names any."""
    try:
        groups = await broker.in_thread(lambda: _list(broker))
    except EventLogError as error:
        return kind("ListGroupsResponse")(error_code=code_of(error))
    states = {state.lower() for state in request.states_filter}
    types = {name.lower() for name in request.types_filter}
    entry = kind("ListGroupsResponse", "ListedGroup")
    return kind("ListGroupsResponse")(
        groups=[
            entry(group_id=each.name, protocol_type=each.protocol_type, group_state=each.state, group_type=each.type)
            for each in (_with_state(broker, each) for each in groups)
            if (not states or each.state.lower() in states) and (not types or each.type.lower() in types)
        ]
    )


def _with_state(broker: Broker, listed: _Listed) -> _Listed:
    """The group with the state that its coordinator knows, if that is this server."""
    found = broker.coordinator.find_loaded(listed.name)
    if found is None:
        return listed
    return _Listed(listed.name, _CLASSIC, found.group.protocol_type, found.group.state.value)


def _list(broker: Broker) -> list[_Listed]:
    with broker.log.store.catalog.groups.read_all() as found:
        states = [each.state for each in found if each.state is not None]
    return [_Listed(state.name, *_type_of(state), _state_of(broker, state)) for state in states]


def _type_of(state: GroupState) -> tuple[str, str]:
    """The type of a group, and the type of its protocol."""
    if state.classic is not None:
        return _CLASSIC, state.classic.protocol_type
    if state.emptied_ms == 0 and not state.members:  # nobody has ever joined it: something was committed from outside
        return _CLASSIC, ""
    return _CONSUMER, PROTOCOL_TYPE


def _state_of(broker: Broker, state: GroupState) -> str:
    coordinator = broker.coordinator.groups.coordinator
    return _STABLE if coordinator.has_live_classic_members(state) or coordinator.alive(state) else _EMPTY


# --- DescribeGroups --------------------------------------------------------------------------------------


async def answer_describe_groups(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Groups with their members. Those of this library's consumers look like consumers of the clients."""
    described = []
    for name in dict.fromkeys(request.groups):
        entry = kind("DescribeGroupsResponse", "DescribedGroup")(group_id=name)
        try:
            check_group_id(name)
            found = await broker.coordinator.find(name)
            if found is not None:
                _describe_loaded(entry, found.group)
            else:
                await broker.in_thread(lambda name=name, entry=entry: _describe_other(broker, name, entry))  # type: ignore[misc]
            if request.include_authorized_operations:
                entry.authorized_operations = operations.allowed(client, Resource.GROUP, name)
        except (EventLogError, RefusedError) as error:
            entry.error_code, entry.group_state = code_of(error), _DEAD
            if version < _WITH_NOT_FOUND and entry.error_code == errors.GROUP_ID_NOT_FOUND:
                entry.error_code = errors.NONE  # older clients know a missing group by its state
            if version >= _WITH_NOT_FOUND:
                entry.error_message = str(error)
        described.append(entry)
    return kind("DescribeGroupsResponse")(groups=described)


def _describe_loaded(entry: Any, group: Any) -> None:
    """Describe a classic group that this server coordinates."""
    member_entry = kind("DescribeGroupsResponse", "DescribedGroupMember")
    entry.group_state, entry.protocol_type = group.state.value, group.protocol_type
    is_stable = group.state is State.STABLE
    entry.protocol_data = group.protocol if is_stable else ""
    entry.members = [
        member_entry(
            member_id=member.id,
            group_instance_id=member.instance_id,
            client_id=member.client_id,
            client_host=f"/{member.host}",
            member_metadata=member.metadata(group.protocol) if is_stable else b"",
            member_assignment=member.assignment if is_stable else b"",
        )
        for member in group.members.values()
    ]


def _describe_other(broker: Broker, name: str, entry: Any) -> None:
    """Describe a group that this server does not coordinate, as the catalog has it."""
    snapshot = take_snapshot(broker.coordinator.groups, name)
    if snapshot is None:
        raise RefusedError(errors.GROUP_ID_NOT_FOUND, f"there is no group {name!r}")
    state = snapshot.state
    entry.group_state = _STABLE if snapshot.alive else _EMPTY
    entry.protocol_type = _type_of(state)[1]
    entry.protocol_data = state.assignor if snapshot.alive else ""
    member_entry = kind("DescribeGroupsResponse", "DescribedGroupMember")
    entry.members = [
        member_entry(
            member_id=member.member_id,
            group_instance_id=member.instance_id,
            client_id=_client_id(member),
            client_host=f"/{member.host}",
            member_metadata=encode_subscription(member.topics),
            member_assignment=encode_assignment(state.assignment.get(member.epoch, ())),
        )
        for member in snapshot.alive
    ]


def _client_id(member: Member) -> str:
    return member.client_id if member.client_id is not None else f"process-{member.process_id}"


# --- DeleteGroups ----------------------------------------------------------------------------------------


async def answer_delete_groups(broker: Broker, client: Client, version: int, request: Any) -> Any:
    """Delete groups without members, with their committed offsets."""
    entry = kind("DeleteGroupsResponse", "DeletableGroupResult")
    results = []
    for name in request.groups_names:
        result = entry(group_id=name)
        try:
            check_group_id(name)
            await broker.coordinator.find(name)
            if not await broker.coordinator.empty(name):
                raise RefusedError(errors.NON_EMPTY_GROUP, f"group {name!r} has members")
            await broker.in_thread(lambda name=name: _delete(broker, name))  # type: ignore[misc]
        except (EventLogError, RefusedError) as error:
            result.error_code = code_of(error)
        results.append(result)
    return kind("DeleteGroupsResponse")(results=results)


def _delete(broker: Broker, name: str) -> None:
    groups = broker.coordinator.groups
    table, coordinator = groups.find(name), groups.coordinator
    if table is None:
        raise RefusedError(errors.GROUP_ID_NOT_FOUND, f"there is no group {name!r}")

    def may_go(state: GroupState) -> bool:
        if coordinator.has_members(table, state):
            raise RefusedError(errors.NON_EMPTY_GROUP, f"group {name!r} has members")
        return True

    if not delete_group(groups.store, table, may_go):
        raise RefusedError(errors.GROUP_ID_NOT_FOUND, f"there is no group {name!r}")
    groups.store.announcer.announce()
