"""Members that send heartbeats to a server: alive for as long as their lease, whichever process serves them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, InvalidArgumentError
from eventlog.catalog.groups import GroupState, Member, RemoteMember
from eventlog.groups.coordinator import InstanceInUseError, JoinRequest, Origin
from eventlog.groups.membership import Membership
from tests.support import stores

GROUP = "readers"
PARTITIONS = 4
ORIGIN = Origin(1, "far-away", "client")
LEASE_MS = 60_000


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store") as opened:
        opened.create_topic(stores.TOPIC, partitions=PARTITIONS)
        yield opened


def request(
    name: str, instance_id: str | None = None, *, lease_ms: int = LEASE_MS, assignor: str | None = None
) -> JoinRequest:
    remote = RemoteMember(name, (stores.TOPIC,), assignor=assignor)
    return JoinRequest((stores.TOPIC,), "cooperative-sticky", lease_ms, lease_ms, instance_id, remote)


def join(log: EventLog, wanted: JoinRequest) -> Membership:
    membership = Membership(log.open_groups, log.open_groups.open(GROUP), wanted, ORIGIN)
    membership.join()
    review(membership)
    return membership


def review(membership: Membership) -> None:
    """Do what the group's state requires of a member that agrees to everything."""
    found = membership.review()
    membership.disown(found.lost)
    membership.give_up(found.revoked)
    if not found.is_expelled:
        membership.take(None)


def state(log: EventLog) -> GroupState:
    return log.open_groups.open(GROUP).state()


def members(log: EventLog) -> dict[str, Member]:
    return {member.member_id: member for member in state(log).members.values()}


def test_local_and_remote_members_share_the_partitions(log: EventLog) -> None:
    remote = join(log, request("a"))
    assert len(remote.owned) == PARTITIONS
    with log.consumer(stores.TOPIC, group=GROUP) as consumer:
        consumer.poll(0)
        assert consumer.assignment() == set()
        review(remote)
        consumer.poll(0)
        assert (len(consumer.assignment()), len(remote.owned)) == (2, 2)
        assert not consumer.assignment() & remote.owned.keys()
        described = {member.member_id: member for member in log.group(GROUP).describe().members}
        assert (described["a"].host, described["a"].partitions) == ("far-away", tuple(sorted(remote.owned)))
    review(remote)
    assert len(remote.owned) == PARTITIONS


def test_a_remote_member_outlives_the_process_that_served_it(log: EventLog) -> None:
    first = join(log, request("a"))
    with eventlog.open(log.path) as other:
        second = Membership(other.open_groups, other.open_groups.open(GROUP), request("a"), ORIGIN)
        second.adopt(members(other)["a"])
        assert second.owned.keys() == first.owned.keys()
        first.abandon()
        assert not second.review().is_expelled
        next(iter(second.owned.values())).commit(0)


def test_a_remote_member_whose_lease_has_ended_is_gone(log: EventLog) -> None:
    join(log, request("a", lease_ms=0)).abandon()
    other = join(log, request("b"))
    table = log.open_groups.open(GROUP)
    while log.open_groups.coordinator.expel_the_gone(table).members.keys() != {other.member.epoch}:
        pass
    review(other)
    assert len(other.owned) == PARTITIONS
    assert [member.member_id for member in log.group(GROUP).describe().members] == ["b"]


def test_a_member_that_joins_once_more_replaces_itself(log: EventLog) -> None:
    first = join(log, request("a"))
    second = join(log, request("a"))
    assert first.review().is_expelled
    assert [member.epoch for member in members(log).values()] == [second.member.epoch]
    assert second.owned.keys() == first.owned.keys()


def test_a_static_member_is_replaced_only_after_it_has_left(log: EventLog) -> None:
    first, other = join(log, request("a", "one")), join(log, request("b"))
    review(first)
    review(other)
    owned = set(first.owned)
    with pytest.raises(InstanceInUseError):
        join(log, request("c", "one"))
    first.leave()
    review(other)
    assert not owned & other.owned.keys()
    again = join(log, request("c", "one"))
    assert again.owned.keys() == owned
    again.leave(is_final=True)
    review(other)
    assert len(other.owned) == PARTITIONS


def test_the_id_of_another_member_is_refused(log: EventLog) -> None:
    with log.consumer(stores.TOPIC, group=GROUP) as consumer:
        consumer.poll(0)
        (member,) = members(log)
        with pytest.raises(InvalidArgumentError, match="another member has the id"):
            join(log, request(member))


def test_remote_members_vote_and_local_ones_decide(log: EventLog) -> None:
    join(log, request("a"))
    assert state(log).assignor == "cooperative-sticky"
    b = join(log, request("b", assignor="range"))
    assert state(log).assignor == "range"
    with pytest.raises(InvalidArgumentError, match="join with that one"), log.consumer(stores.TOPIC, group=GROUP) as refused:
        refused.poll(0)
    with log.consumer(stores.TOPIC, group=GROUP, assignor="range") as consumer:
        consumer.poll(0)
        b.leave()
        assert b.member.remote is not None
        join(log, request("c", assignor="cooperative-sticky"))
        assert state(log).assignor == "range"


def test_a_group_with_remote_members_is_in_use(log: EventLog) -> None:
    join(log, request("a"))
    with pytest.raises(InvalidArgumentError, match="has 1 live members, such as 'a' on far-away"):
        log.group(GROUP).delete()
