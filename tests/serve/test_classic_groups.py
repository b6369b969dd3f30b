"""Classic groups: joining, assignments, heartbeats and leaving, with every error that a member can meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from eventlog import EventLog, InvalidArgumentError
from eventlog.serve import errors
from eventlog.serve.broker import Settings
from eventlog.serve.coordinator.registry import GroupSettings
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server
from tests.serve.group_client import GroupMember, assignment_of

QUICK = Settings(groups=GroupSettings(session_timeout_ms_min=10, members_max=2))
SHORT_MS = 100

Members = Callable[..., GroupMember]


@pytest.fixture
def server(log: EventLog) -> Iterator[RunningServer]:
    with running_server(log, QUICK) as server:
        yield server


@pytest.fixture
def member(server: RunningServer) -> Iterator[Members]:
    with ExitStack() as connections:

        def new(group: str = "billing", instance_id: str | None = None) -> GroupMember:
            return GroupMember(connections.enter_context(RawClient(server.address)), group, instance_id)

        yield new


def pair(member: Members) -> tuple[GroupMember, GroupMember]:
    """A leader with both partitions, and a follower, in a stable group."""
    leader, follower = member(), member()
    leader.work_alone()
    assert follower.client is not leader.client
    follower.send_join()
    assert follower.joined() == errors.MEMBER_ID_REQUIRED
    follower.send_join()
    while leader.heartbeat() != errors.REBALANCE_IN_PROGRESS:
        pass
    assert leader.join() == errors.NONE
    assert follower.joined() == errors.NONE
    follower.send_sync()
    leader.sync({leader.id: assignment_of(0), follower.id: assignment_of(1)})
    assert follower.synced().assignment == assignment_of(1)
    return leader, follower


@pytest.mark.parametrize("version", range(10))
def test_a_member_joins_gets_its_assignment_and_leaves(member: Members, version: int) -> None:
    alone = member()
    assert alone.join(version=version) == errors.NONE
    assert (alone.is_leader, alone.generation, alone.answer.protocol_name) == (True, 1, "range")
    assert [each.member_id for each in alone.answer.members] == [alone.id]
    synced = alone.sync({alone.id: assignment_of(0)}, version=min(version, 5))
    assert (synced.error_code, synced.assignment) == (errors.NONE, assignment_of(0))
    assert alone.heartbeat(version=min(version, 4)) == errors.NONE
    assert alone.leave(version=min(version, 5)) == errors.NONE
    assert alone.heartbeat() == errors.UNKNOWN_MEMBER_ID


def test_members_that_join_together_begin_together(member: Members) -> None:
    def begin(group: str) -> int:
        """How many members the first generation has."""
        first, second = pair = member(group), member(group)
        for each in pair:
            each.send_join()
            assert each.joined() == errors.MEMBER_ID_REQUIRED
        for each in pair:
            each.send_join()
        assert (first.joined(), first.is_leader, first.generation) == (errors.NONE, True, 1)
        if len(first.answer.members) == 1:  # the second one was late, and the first one has to join again
            assert first.leave() == errors.NONE
        assert second.joined() == errors.NONE
        return len(first.answer.members)

    assert any(begin(f"group {number}") == 2 for number in range(20))


def test_a_second_member_causes_a_rebalance_and_nobody_is_expelled(member: Members) -> None:
    leader, follower = pair(member)
    assert (leader.generation, follower.generation) == (2, 2)
    assert {each.member_id for each in leader.answer.members} == {leader.id, follower.id}
    assert list(follower.answer.members) == []
    assert (leader.heartbeat(), follower.heartbeat()) == (errors.NONE, errors.NONE)
    assert follower.sync().assignment == assignment_of(1)  # again, as after a lost answer


def test_those_who_stay_share_the_partitions_of_one_that_leaves(member: Members) -> None:
    leader, follower = pair(member)
    assert leader.leave() == errors.NONE
    assert follower.heartbeat() == errors.REBALANCE_IN_PROGRESS
    assert follower.join() == errors.NONE
    assert (follower.is_leader, follower.generation) == (True, 3)


def test_a_new_member_gets_an_id_first(member: Members) -> None:
    new = member()
    new.send_join(version=4)
    assert new.joined() == errors.MEMBER_ID_REQUIRED
    assert new.id.startswith("test-")
    given = new.id
    assert new.join(version=4) == errors.NONE
    assert new.id == given


def test_an_id_that_is_not_used_in_time_is_void(member: Members) -> None:
    new, other = member(), member()
    new.send_join(session_timeout_ms=20)
    assert new.joined() == errors.MEMBER_ID_REQUIRED
    other.work_alone()
    other.client.socket.settimeout(30)
    while new.heartbeat() != errors.UNKNOWN_MEMBER_ID:
        pass
    assert other.join(session_timeout_ms=SHORT_MS) == errors.NONE  # which would wait for a client that is about to join
    assert new.join() == errors.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"group_id": ""}, errors.INVALID_GROUP_ID),
        ({"group_id": "x" * 250}, errors.INVALID_GROUP_ID),
        ({"session_timeout_ms": 1}, errors.INVALID_SESSION_TIMEOUT),
        ({"session_timeout_ms": 2_000_000}, errors.INVALID_SESSION_TIMEOUT),
        ({"protocol_type": ""}, errors.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocols": ()}, errors.INCONSISTENT_GROUP_PROTOCOL),
        ({"member_id": "nobody"}, errors.UNKNOWN_MEMBER_ID),
        ({"metadata": bytes(2**20)}, errors.MESSAGE_TOO_LARGE),
    ],
)
def test_what_cannot_join_is_told(member: Members, log: EventLog, fields: dict[str, object], code: int) -> None:
    assert member().join(**fields) == code
    assert log.groups() == []


def test_members_need_a_protocol_in_common(member: Members) -> None:
    first, other = member(), member()
    assert first.join(protocols=("range", "sticky")) == errors.NONE
    assert other.join(protocols=("cooperative",)) == errors.INCONSISTENT_GROUP_PROTOCOL
    assert other.join(protocol_type="connect") == errors.INCONSISTENT_GROUP_PROTOCOL
    other.send_join(protocols=("sticky", "cooperative"))
    assert other.joined() == errors.MEMBER_ID_REQUIRED
    other.send_join(protocols=("sticky", "cooperative"))
    while first.heartbeat() != errors.REBALANCE_IN_PROGRESS:
        pass
    assert first.join(protocols=("range", "sticky")) == errors.NONE
    assert other.joined() == errors.NONE
    assert (first.answer.protocol_name, other.answer.protocol_name) == ("sticky", "sticky")
    wrong = first.sync(protocol_name="range")
    assert wrong.error_code == errors.INCONSISTENT_GROUP_PROTOCOL


def test_a_group_has_a_limited_number_of_members(member: Members) -> None:
    pair(member)
    third = member()
    assert third.join() == errors.GROUP_MAX_SIZE_REACHED
    assert third.answer.member_id == ""


def test_a_client_that_asks_for_more_and_more_ids_gets_no_more_than_there_may_be_members(member: Members) -> None:
    hostile, honest = member(), member()
    for _ in range(2):
        hostile.id = ""
        hostile.send_join()
        assert hostile.joined() == errors.MEMBER_ID_REQUIRED
    assert honest.join() == errors.GROUP_MAX_SIZE_REACHED
    assert hostile.leave() == errors.NONE  # which frees one
    assert honest.join() == errors.NONE


def test_only_the_leader_assigns(member: Members) -> None:
    leader, follower = pair(member)
    leader.send_join()
    assert follower.join() == errors.NONE
    assert leader.joined() == errors.NONE
    follower.send_sync({follower.id: assignment_of(0, 1)})
    assert leader.sync({leader.id: assignment_of(0, 1), "nobody": b"x"}).assignment == assignment_of(0, 1)
    assert follower.synced().assignment == b""


def test_a_request_that_is_sent_again_replaces_the_one_that_waits(member: Members) -> None:
    leader, follower = pair(member)
    again = member()
    again.id, again.generation = follower.id, follower.generation
    leader.send_join()
    while follower.heartbeat() != errors.REBALANCE_IN_PROGRESS:
        pass
    assert follower.join() == errors.NONE
    assert leader.joined() == errors.NONE
    follower.send_sync()
    again.generation = follower.generation
    again.send_sync()
    leader.sync({leader.id: assignment_of(0), follower.id: assignment_of(1)})
    answers = sorted([follower.synced().error_code, again.synced().error_code])
    assert answers in ([errors.NONE, errors.NONE], [errors.NONE, errors.REBALANCE_IN_PROGRESS])


def test_only_members_of_the_current_generation_are_heard(member: Members) -> None:
    alone = member()
    assert alone.heartbeat(member_id="nobody", generation_id=1) == errors.UNKNOWN_MEMBER_ID
    assert alone.sync().error_code == errors.UNKNOWN_MEMBER_ID
    assert alone.leave() == errors.UNKNOWN_MEMBER_ID
    alone.work_alone()
    assert alone.heartbeat(generation_id=0) == errors.ILLEGAL_GENERATION
    assert alone.sync(generation_id=2).error_code == errors.ILLEGAL_GENERATION
    assert alone.heartbeat(member_id="nobody") == errors.UNKNOWN_MEMBER_ID
    assert alone.sync(member_id="nobody").error_code == errors.UNKNOWN_MEMBER_ID


def test_followers_hear_of_a_rebalance_wherever_they_are(member: Members) -> None:
    leader, follower = pair(member)
    leader.send_join()  # a leader that joins again wants another assignment
    while follower.heartbeat() != errors.REBALANCE_IN_PROGRESS:
        pass
    assert follower.sync().error_code == errors.REBALANCE_IN_PROGRESS
    assert follower.join() == errors.NONE
    assert leader.joined() == errors.NONE
    assert (leader.generation, follower.generation) == (3, 3)
    follower.send_sync()
    leader.send_join(metadata=b"changed")
    assert follower.synced().error_code == errors.REBALANCE_IN_PROGRESS


def test_a_follower_that_joins_again_unchanged_causes_no_rebalance(member: Members) -> None:
    leader, follower = pair(member)
    assert follower.join() == errors.NONE
    assert (follower.generation, follower.answer.leader) == (2, leader.id)
    assert leader.heartbeat() == errors.NONE


def test_a_member_without_heartbeats_is_expelled(member: Members) -> None:
    leader, follower = pair(member)
    leader.send_join()
    follower.send_join(session_timeout_ms=SHORT_MS)
    assert (leader.joined(), follower.joined()) == (errors.NONE, errors.NONE)
    leader.sync({leader.id: assignment_of(0, 1)})
    assert follower.sync().error_code == errors.NONE
    while leader.heartbeat() != errors.REBALANCE_IN_PROGRESS:
        pass
    assert leader.join() == errors.NONE
    assert [each.member_id for each in leader.answer.members] == [leader.id]
    assert follower.heartbeat() == errors.UNKNOWN_MEMBER_ID


def test_a_rebalance_does_not_wait_longer_than_its_members_allow(member: Members) -> None:
    leader, follower = pair(member)
    leader.send_join(rebalance_timeout_ms=SHORT_MS)
    follower.send_join(rebalance_timeout_ms=SHORT_MS)
    assert (leader.joined(), follower.joined()) == (errors.NONE, errors.NONE)
    leader.sync({leader.id: assignment_of(0, 1)})
    follower.sync()
    assert leader.join(rebalance_timeout_ms=SHORT_MS) == errors.NONE  # the follower does not join
    assert [each.member_id for each in leader.answer.members] == [leader.id]
    assert follower.heartbeat() == errors.UNKNOWN_MEMBER_ID


def test_a_leader_that_assigns_nothing_in_time_is_replaced(member: Members) -> None:
    leader, follower = pair(member)
    leader.send_join(rebalance_timeout_ms=SHORT_MS)
    follower.send_join(rebalance_timeout_ms=SHORT_MS)
    assert (leader.joined(), follower.joined()) == (errors.NONE, errors.NONE)
    assert follower.sync().error_code == errors.REBALANCE_IN_PROGRESS
    assert follower.join(rebalance_timeout_ms=SHORT_MS) == errors.NONE
    assert follower.is_leader
    assert leader.heartbeat() == errors.UNKNOWN_MEMBER_ID


def test_a_static_member_returns_without_a_rebalance_and_fences_its_former_self(member: Members) -> None:
    former, returned = member(instance_id="a"), member(instance_id="a")
    former.work_alone()
    assert returned.join() == errors.NONE
    assert (returned.generation, returned.answer.skip_assignment, returned.is_leader) == (1, True, True)
    assert returned.id != former.id
    assert returned.sync().assignment == assignment_of(0)
    assert former.heartbeat() == errors.FENCED_INSTANCE_ID
    assert former.sync().error_code == errors.FENCED_INSTANCE_ID
    assert former.join() == errors.FENCED_INSTANCE_ID
    assert former.commit(1) == errors.FENCED_INSTANCE_ID
    assert former.leave() == errors.FENCED_INSTANCE_ID
    assert returned.heartbeat() == errors.NONE


def test_a_static_member_of_an_older_version_does_not_think_that_it_leads(member: Members) -> None:
    former, returned = member(instance_id="a"), member(instance_id="a")
    former.work_alone()
    assert returned.join(version=8) == errors.NONE
    assert (returned.answer.leader, list(returned.answer.members)) == (former.id, [])
    assert returned.sync().assignment == assignment_of(0)


def test_a_static_member_is_removed_by_its_instance_id(member: Members, client: RawClient) -> None:
    static = member(instance_id="a")
    static.work_alone()
    operator = GroupMember(client, instance_id="a")
    assert operator.leave() == errors.NONE
    assert static.heartbeat() == errors.UNKNOWN_MEMBER_ID
    assert operator.leave() == errors.UNKNOWN_MEMBER_ID


def test_a_stopping_server_sends_its_members_to_look_for_another(log: EventLog) -> None:
    with running_server(log, QUICK) as server, RawClient(server.address) as one, RawClient(server.address) as two:
        leader, follower = GroupMember(one), GroupMember(two)
        leader.work_alone()
        follower.send_join()
        assert follower.joined() == errors.MEMBER_ID_REQUIRED
        follower.send_join()
        while leader.heartbeat() != errors.REBALANCE_IN_PROGRESS:
            pass
        server.run(server.server.stop())
        assert follower.joined() == errors.NOT_COORDINATOR


def test_the_next_server_continues_with_the_same_generation(log: EventLog) -> None:
    with running_server(log, QUICK) as server, RawClient(server.address) as client:
        worker = GroupMember(client)
        worker.work_alone()
        assert worker.commit(0) == errors.NONE
    with running_server(log, QUICK) as server, RawClient(server.address) as client:
        worker.client = client
        assert worker.heartbeat() == errors.NONE
        assert worker.sync().assignment == assignment_of(0)
        assert worker.commit(0) == errors.NONE
        assert worker.leave() == errors.NONE


def test_members_of_a_server_and_of_this_library_do_not_mix(member: Members, log: EventLog) -> None:
    worker = member()
    worker.work_alone()
    with log.consumer("events", group="billing") as consumer, pytest.raises(InvalidArgumentError, match="remote clients"):
        consumer.poll(0)
    assert worker.heartbeat() == errors.NONE
    assert worker.leave() == errors.NONE
    with log.consumer("events", group="billing") as consumer:
        consumer.poll(0)
        assert member().join() == errors.INCONSISTENT_GROUP_PROTOCOL
    assert member().join() == errors.NONE
