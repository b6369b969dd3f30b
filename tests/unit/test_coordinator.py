"""Members that are not consumers of a process here: their presence is told by somebody else, and so is where they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import EventLog, GroupMember, StaleMemberError
from eventlog.catalog.groups import Member
from eventlog.groups.coordinator import Coordinator, JoinRequest, Origin
from eventlog.groups.registry import Groups
from eventlog.groups.table import GroupTable
from tests.support import stores

GROUP = "readers"
PARTITIONS = 4


class Sessions:
    """A presence of members that live for as long as somebody says so."""

    def __init__(self) -> None:
        self.epochs: set[int] = set()

    def announce(self, epoch: int) -> None:
        self.epochs.add(epoch)

    def withdraw(self, epoch: int) -> None:
        self.epochs.discard(epoch)

    def is_alive(self, epoch: int) -> bool:
        return epoch in self.epochs


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    with eventlog.open(tmp_path / "store") as opened:
        opened.create_topic(stores.TOPIC, partitions=PARTITIONS)
        yield opened


@pytest.fixture
def table(log: EventLog) -> Iterator[GroupTable]:
    groups = Groups(log.store)
    yield groups.open(GROUP)
    groups.close()


@pytest.fixture
def coordinator(log: EventLog) -> Coordinator:
    return Coordinator(log.store, Sessions())


def join(coordinator: Coordinator, table: GroupTable, client_id: str | None, instance_id: str | None = None) -> Member:
    noted: list[int] = []
    request = JoinRequest((stores.TOPIC,), "range", 60_000, 60_000, instance_id)
    member = coordinator.join(table, request, Origin(1, "far-away", client_id), noted.append)
    assert noted == [member.epoch]
    return member


def shares(table: GroupTable) -> dict[int, list[int]]:
    return {epoch: [each.partition for each in partitions] for epoch, partitions in table.state().assignment.items()}


def test_a_member_whose_session_ends_loses_its_partitions_to_the_others(coordinator: Coordinator, table: GroupTable) -> None:
    first, second = join(coordinator, table, "first"), join(coordinator, table, "second")
    assert shares(table) == {first.epoch: [0, 1], second.epoch: [2, 3]}
    coordinator.expel_the_gone(table)
    assert len(shares(table)) == 2
    coordinator.presence.withdraw(first.epoch)
    assert coordinator.is_gone(table, first)
    coordinator.expel_the_gone(table)
    assert shares(table) == {second.epoch: [0, 1, 2, 3]}
    with pytest.raises(StaleMemberError):
        coordinator.subscribe(table, first, (stores.TOPIC,))


def test_a_member_that_leaves_is_not_present_any_more(coordinator: Coordinator, table: GroupTable) -> None:
    member = join(coordinator, table, "web")
    coordinator.leave(table, member)
    assert shares(table) == {}
    assert not coordinator.presence.is_alive(member.epoch)


def test_a_static_member_keeps_its_partitions_while_its_session_is_over(coordinator: Coordinator, table: GroupTable) -> None:
    away, other = join(coordinator, table, None, "one"), join(coordinator, table, None, "two")
    coordinator.presence.withdraw(away.epoch)
    assert coordinator.is_absent(away)
    assert not coordinator.is_gone(table, away)
    coordinator.expel_the_gone(table)
    assert not coordinator.is_absent(table.state().members[away.epoch]), "it is known since when"
    back = join(coordinator, table, None, "one")
    assert shares(table) == {back.epoch: [0, 1], other.epoch: [2, 3]}


def test_a_member_that_may_not_join_is_not_present(coordinator: Coordinator, table: GroupTable) -> None:
    presence = coordinator.presence
    assert isinstance(presence, Sessions)
    join(coordinator, table, "web")
    others = set(presence.epochs)
    with pytest.raises(eventlog.InvalidArgumentError, match="'range'"):
        request = JoinRequest((stores.TOPIC,), "round-robin", 60_000, 60_000, None)
        coordinator.join(table, request, Origin(1, "far-away"), lambda _: None)
    assert presence.epochs == others


def test_a_group_tells_where_its_members_are(log: EventLog, table: GroupTable) -> None:
    groups = Groups(log.store)
    try:
        member = join(groups.coordinator, table, "web")
        [described] = log.group(GROUP).describe().members
        assert described == GroupMember(
            f"web-{member.epoch}", None, 1, "far-away", (stores.TOPIC,), (), member.joined_ms,
            tuple(eventlog.TopicPartition(stores.TOPIC, number) for number in range(PARTITIONS)), client_id="web",
        )  # fmt: skip
    finally:
        groups.close()


@pytest.mark.parametrize("client_id", [None, "web"])
def test_a_member_without_a_client_id_is_stored_as_earlier_versions_know_it(
    log: EventLog, coordinator: Coordinator, table: GroupTable, client_id: str | None
) -> None:
    member = join(coordinator, table, client_id)
    with log.store.catalog.environment.transaction(b"groups") as transaction:
        [stored] = json.loads(bytes(transaction.get(GROUP.encode()))[:-4])["members"]
    assert ("client_id" in stored) == (client_id is not None)
    assert table.state().members == {member.epoch: member}
