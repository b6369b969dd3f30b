"""ListGroups, DescribeGroups and DeleteGroups, and what this library shows of remote members."""

from __future__ import annotations

import json
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, StaleMemberError, TopicPartition
from eventlog.groups.classic import begin_term
from eventlog.groups.consumer_protocol import assigned_partitions, subscribed_topics
from eventlog.groups.remote_commits import RemoteCommit, commit_at_once, commit_in_term
from eventlog.serve import errors
from eventlog.serve.broker import Settings
from eventlog.serve.coordinator.registry import GroupSettings
from eventlog.serve.nodes import Node, node_of_key
from tests.cli.command_line import CommandLine
from tests.serve.client import RawClient
from tests.serve.conftest import running_server
from tests.serve.group_client import GroupMember, assignment_of, commit, committed

EVENTS = TopicPartition("events", 0)


def listed(client: RawClient, **filters: Any) -> list[tuple[str, str, str, str]]:
    answer = client.ask("ListGroups", 5, **filters)
    assert answer.error_code == errors.NONE
    return [(each.group_id, each.protocol_type, each.group_state, each.group_type) for each in answer.groups]


def described(client: RawClient, name: str, version: int = 6) -> Any:
    return client.ask("DescribeGroups", version, groups=[name]).groups[0]


def delete(client: RawClient, name: str, version: int = 2) -> int:
    return int(client.ask("DeleteGroups", version, groups_names=[name]).results[0].error_code)


@pytest.mark.parametrize("version", range(6))
def test_groups_are_listed_in_every_version(client: RawClient, worker: GroupMember, version: int) -> None:
    (found,) = client.ask("ListGroups", version).groups
    assert (found.group_id, found.protocol_type) == ("billing", "consumer")
    if version >= 4:
        assert found.group_state == "Stable"


def test_groups_are_listed_by_state_and_type(client: RawClient, worker: GroupMember, log: EventLog) -> None:
    commit(client, "simple", 1)
    with log.consumer("events", group="native") as consumer:
        consumer.poll(0)
        billing, native, simple = (
            ("billing", "consumer", "Stable", "Classic"),
            ("native", "consumer", "Stable", "Consumer"),
            ("simple", "", "Empty", "Classic"),
        )
        assert listed(client) == [billing, native, simple]
        assert listed(client, types_filter=["consumer"]) == [native]
        assert listed(client, states_filter=["empty", "Dead"]) == [simple]
        assert worker.join() == errors.NONE
        assert [name for name, *_ in listed(client, states_filter=["CompletingRebalance"])] == ["billing"]


@pytest.mark.parametrize("version", range(7))
def test_a_classic_group_is_described(client: RawClient, worker: GroupMember, version: int) -> None:
    found = described(client, "billing", version)
    assert (found.error_code, found.group_state, found.protocol_type, found.protocol_data) == (0, "Stable", "consumer", "range")
    (member,) = found.members
    assert (member.member_id, member.client_id, member.client_host) == (worker.id, "test", "/127.0.0.1")
    assert subscribed_topics(member.member_metadata) == ("events",)
    assert member.member_assignment == assignment_of(0)


def test_a_group_of_this_library_is_described_like_one_of_clients(client: RawClient, log: EventLog) -> None:
    with log.consumer("events", group="native") as consumer:
        consumer.poll(0)
        found = described(client, "native")
        (member,) = found.members
        assert (found.group_state, found.protocol_type) == ("Stable", "consumer")
        assert subscribed_topics(member.member_metadata) == ("events",)
        assert assigned_partitions(member.member_assignment) == (EVENTS,)
        assert delete(client, "native") == errors.NON_EMPTY_GROUP
        consumer.commit({EVENTS: 0})
    assert (described(client, "native").group_state, list(described(client, "native").members)) == ("Empty", [])


def test_a_missing_group_is_dead(client: RawClient) -> None:
    old, new = described(client, "missing", 5), described(client, "missing", 6)
    assert (old.error_code, old.group_state) == (errors.NONE, "Dead")
    assert (new.error_code, new.group_state) == (errors.GROUP_ID_NOT_FOUND, "Dead")
    assert described(client, "", 6).error_code == errors.INVALID_GROUP_ID


@pytest.mark.parametrize("version", range(3))
def test_groups_without_members_are_deleted(client: RawClient, worker: GroupMember, log: EventLog, version: int) -> None:
    assert worker.commit(3) == errors.NONE
    assert delete(client, "billing", version) == errors.NON_EMPTY_GROUP
    assert worker.leave() == errors.NONE
    assert delete(client, "billing", version) == errors.NONE
    assert delete(client, "billing", version) == errors.GROUP_ID_NOT_FOUND
    assert delete(client, "", version) == errors.INVALID_GROUP_ID
    assert log.groups() == []
    assert committed(client, "billing").committed_offset == -1


def test_a_deleted_group_is_made_anew(client: RawClient, worker: GroupMember) -> None:
    assert worker.commit(3) == errors.NONE
    assert worker.leave() == errors.NONE
    assert delete(client, "billing") == errors.NONE
    worker.id = ""
    worker.work_alone()
    assert worker.commit(1) == errors.NONE
    assert committed(client, "billing").committed_offset == 1


def test_the_command_line_shows_remote_members(worker: GroupMember, log: EventLog) -> None:
    assert worker.commit(4) == errors.NONE
    command_line = CommandLine(log.store.path)
    (row,) = map(json.loads, command_line.output("groups", "describe", "billing", "--json").splitlines())
    assert (row["member"], row["client"], row["host"], row["committed"]) == (worker.id, "test", "127.0.0.1", 4)
    (group,) = map(json.loads, command_line.output("groups", "list", "--json").splitlines())
    assert (group["group"], group["members"], group["lag"]) == ("billing", 1, 6)
    assert f"{worker.id} (test, 127.0.0.1)" in command_line.output("groups", "describe", "billing")


def test_groups_without_members_expire(worker: GroupMember, log: EventLog) -> None:
    assert worker.commit(4) == errors.NONE
    assert log.maintain(group_retention_ms=0).expired_groups == []
    assert worker.leave() == errors.NONE
    while not log.maintain(group_retention_ms=0).expired_groups:
        pass  # within the millisecond of the commit
    assert log.groups() == []


def test_records_that_a_remote_group_still_needs_are_kept(worker: GroupMember, log: EventLog) -> None:
    with log.consumer("events", group="other") as consumer:
        consumer.poll(0)
        consumer.commit({EVENTS: 10})
    log.alter_topic("events", config={"retention.acked": True})
    log.partition("events", 0).flush()
    log.maintain()
    assert log.partition("events", 0).start_offset == 0
    assert worker.commit(10) == errors.NONE


def test_a_group_moves_to_the_server_that_clients_find(log: EventLog) -> None:
    nodes = [Node(number, "", 0) for number in (1, 2)]
    name = next(name for name in map(str, range(100)) if node_of_key(nodes, name).id == 2)
    settings = Settings(groups=GroupSettings(watch_seconds=0.01))
    with running_server(log, settings) as first, RawClient(first.address) as client, eventlog.open(log.store.path) as other:
        worker = GroupMember(client, name)
        worker.work_alone()
        assert worker.commit(0) == errors.NONE
        with running_server(other, settings) as second, RawClient(second.address) as another:
            found = client.ask("FindCoordinator", 4, coordinator_keys=[name]).coordinators[0]
            assert (found.node_id, found.port) == (2, second.address[1])
            while worker.heartbeat() != errors.NOT_COORDINATOR:
                pass
            assert worker.commit(1) == errors.NOT_COORDINATOR
            worker.client = another
            assert (worker.heartbeat(), worker.commit(0)) == (errors.NONE, errors.NONE)
            assert worker.sync().assignment == assignment_of(0)
        worker.client = client  # the second server has stopped
        assert worker.heartbeat() == errors.NONE


def test_a_replaced_coordinator_can_neither_commit_nor_store(log: EventLog) -> None:
    groups = log.open_groups
    former, state = begin_term(groups, "billing")
    commit_in_term(groups, former, {EVENTS: RemoteCommit(0)})
    groups.coordinator.presence.withdraw(former.number)  # as when its process is killed
    later, _ = begin_term(groups, "billing")
    assert not commit_at_once(former, EVENTS, RemoteCommit(1))
    with pytest.raises(StaleMemberError, match="another process"):
        commit_in_term(groups, former, {EVENTS: RemoteCommit(1)})
    with pytest.raises(StaleMemberError, match="another process"):
        former.store(state)
    commit_in_term(groups, later, {EVENTS: RemoteCommit(2)})
    assert log.group("billing").committed() == {EVENTS: 2}
    later.end()
