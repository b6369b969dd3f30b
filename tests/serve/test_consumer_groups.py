"""Groups of the consumer protocol (KIP-848): members of clients, which share a group with embedded consumers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import eventlog
from eventlog import EventLog, InvalidArgumentError, TopicPartition
from eventlog.serve import errors
from eventlog.serve.broker import Settings
from eventlog.serve.coordinator.consumer_group_registry import ConsumerGroupSettings
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server
from tests.serve.consumer_group import RemoteConsumer
from tests.serve.group_client import GroupMember
from tests.serve.test_transactions import Producer

PARTITIONS = 4
ALL = {("events", number) for number in range(PARTITIONS)}


@pytest.fixture
def wide(log: EventLog) -> EventLog:
    """The store, whose topic has several partitions."""
    log.alter_topic("events", partitions=PARTITIONS)
    return log


@pytest.fixture
def client(wide: EventLog, server: RunningServer) -> Iterator[RawClient]:
    with RawClient(server.address) as client:
        yield client


@pytest.fixture
def a(client: RawClient) -> RemoteConsumer:
    return RemoteConsumer(client, "a")


@pytest.fixture
def b(client: RawClient) -> RemoteConsumer:
    return RemoteConsumer(client, "b")


@pytest.mark.parametrize("version", [0, 1])
def test_a_member_gets_everything_and_leaves(client: RawClient, version: int, wide: EventLog) -> None:
    member = RemoteConsumer(client, "" if version == 0 else "a")
    answer = member.join(version=version)
    assert (answer.error_code, answer.heartbeat_interval_ms, member.owned) == (0, 5000, ALL)
    assert member.epoch > 0
    assert member.id
    member.beat(version=version)  # the group is new in the catalog
    assert member.beat(version=version).assignment is None
    assert [each.member_id for each in wide.group("readers").describe().members] == [member.id]
    assert member.leave().error_code == 0
    assert wide.groups() == []


def test_partitions_are_given_up_before_another_member_gets_them(a: RemoteConsumer, b: RemoteConsumer) -> None:
    a.join()
    assert b.join().error_code == 0
    assert b.owned == set()
    waiting = b.beat()
    assert waiting.heartbeat_interval_ms < 5000
    epoch = a.epoch
    assert a.beat().error_code == 0
    assert (len(a.assigned), a.epoch) == (2, epoch), "it stays at its epoch until it has given them up"
    b.beat()
    assert b.assigned == set()
    a.report()
    assert a.epoch > epoch
    b.beat()
    assert a.owned | b.assigned == ALL
    assert not a.owned & b.assigned
    b.report()
    b.leave()
    a.beat()
    assert a.assigned == ALL


def test_a_full_heartbeat_is_answered_with_the_assignment(a: RemoteConsumer) -> None:
    a.join()
    answer = a.beat(
        rebalance_timeout_ms=60_000, subscribed_topic_names=["events"], topic_partitions=a.topic_partitions(a.owned)
    )
    assert answer.assignment is not None


def test_embedded_consumers_share_the_group(a: RemoteConsumer, wide: EventLog) -> None:
    a.join()
    with wide.consumer("events", group="readers", auto_offset_reset="earliest") as consumer:
        consumer.poll(0)
        assert consumer.assignment() == set()
        a.beat()
        a.report()
        consumer.poll(0)
        assert {*consumer.assignment()} | a.owned == ALL
        assert len(a.owned) == 2
        assert a.beat().heartbeat_interval_ms == 1000, "embedded consumers do not wait for long"
    a.beat()
    assert a.assigned == ALL


def test_a_member_with_a_wrong_epoch_is_fenced(a: RemoteConsumer, b: RemoteConsumer) -> None:
    a.join()
    assert a.beat(epoch=a.epoch + 1).error_code == errors.FENCED_MEMBER_EPOCH
    former = a.epoch
    b.join()
    a.beat()
    a.report()
    assert a.beat(epoch=former).error_code == errors.FENCED_MEMBER_EPOCH, "it does not say what it owns"
    a.epoch = former
    assert a.beat(topic_partitions=a.topic_partitions(a.owned)).error_code == 0, "the last answer may have been lost"
    assert a.epoch > former


def test_who_is_fenced_joins_again(a: RemoteConsumer, b: RemoteConsumer) -> None:
    a.join()
    a.join()
    assert a.owned == ALL
    assert b.beat(epoch=3).error_code == errors.UNKNOWN_MEMBER_ID
    assert b.leave().error_code == errors.UNKNOWN_MEMBER_ID
    b.group = "others"
    assert b.beat(epoch=3).error_code == errors.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"rebalance_timeout_ms": -1}, errors.INVALID_REQUEST),
        ({"topic_partitions": None}, errors.INVALID_REQUEST),
        ({"subscribed_topic_names": None}, errors.INVALID_REQUEST),
        ({"rack_id": ""}, errors.INVALID_REQUEST),
        ({"rack_id": "r" * 250}, errors.INVALID_REQUEST),
        ({"subscribed_topic_names": ["t" * 200] * 2000}, errors.INVALID_REQUEST),
        ({"server_assignor": "other"}, errors.UNSUPPORTED_ASSIGNOR),
        ({"subscribed_topic_regex": "("}, errors.INVALID_REGULAR_EXPRESSION),
        ({"subscribed_topic_regex": "(?!a)b"}, errors.INVALID_REGULAR_EXPRESSION),
    ],
)
def test_what_cannot_join_is_refused(a: RemoteConsumer, wide: EventLog, fields: dict[str, Any], code: int) -> None:
    answer = a.join(**fields)
    assert answer.error_code == code
    assert answer.error_message
    assert wide.groups() == []


@pytest.mark.parametrize(
    ("attributes", "epoch"), [({"id": ""}, 0), ({"group": ""}, 0), ({"instance_id": ""}, 0), ({}, -2), ({}, -3)]
)
def test_what_says_too_little_is_refused(a: RemoteConsumer, attributes: dict[str, str], epoch: int) -> None:
    vars(a).update(attributes)
    answer = a.join() if epoch == 0 else a.beat(epoch=epoch)
    assert answer.error_code == errors.INVALID_REQUEST


def test_a_group_name_that_cannot_be_a_file_is_refused(a: RemoteConsumer, wide: EventLog) -> None:
    a.group = "../escaped"
    assert a.join().error_code in (0, errors.INVALID_GROUP_ID)
    assert not (wide.path / "shared" / "../escaped.acks").exists()


def test_a_pattern_follows_the_topics(a: RemoteConsumer, wide: EventLog) -> None:
    wide.create_topic("orders.eu")
    a.join(subscribed_topic_regex="orders[.].*")
    assert a.owned == {("orders.eu", 0)}
    wide.create_topic("orders.us")
    a.beat()
    assert a.assigned == {("orders.eu", 0), ("orders.us", 0)}
    a.report()
    answer = a.beat(subscribed_topic_regex="(")
    assert answer.error_code == errors.INVALID_REGULAR_EXPRESSION
    a.beat(subscribed_topic_names=["events"], subscribed_topic_regex="")
    assert a.assigned == set()
    a.report()
    assert a.assigned == ALL
    wide.delete_topic("events")
    a.beat()
    assert a.assigned == set()


def test_topics_and_partitions_that_are_added_are_assigned(a: RemoteConsumer, wide: EventLog) -> None:
    a.join("events", "later")
    assert a.owned == ALL
    wide.create_topic("later")
    wide.alter_topic("events", partitions=PARTITIONS + 1)
    a.beat()
    assert a.assigned == {*ALL, ("events", PARTITIONS), ("later", 0)}


def test_a_static_member_returns_to_its_partitions(client: RawClient, a: RemoteConsumer) -> None:
    static = RemoteConsumer(client, "s1", instance_id="one")
    static.join()
    a.join()
    static.beat()
    static.report()
    a.beat()
    owned, left = set(static.owned), ALL - static.owned
    other = RemoteConsumer(client, "s2", instance_id="one")
    assert other.join().error_code == errors.UNRELEASED_INSTANCE_ID
    assert other.beat(epoch=static.epoch).error_code == errors.FENCED_INSTANCE_ID
    epoch = static.epoch
    assert static.leave(-2).member_epoch == -2
    assert static.beat(epoch=epoch).error_code == errors.FENCED_MEMBER_EPOCH
    a.beat()
    assert a.assigned == left
    assert other.join().error_code == 0
    assert other.owned == owned
    assert static.beat(epoch=epoch).error_code == errors.FENCED_INSTANCE_ID
    other.leave(-1)
    a.beat()
    assert a.assigned == ALL


def test_a_member_that_gives_nothing_up_in_time_is_fenced(a: RemoteConsumer, b: RemoteConsumer) -> None:
    a.join(rebalance_timeout_ms=0)
    b.join()
    a.beat()
    while not (code := a.beat().error_code):
        pass
    assert code == errors.FENCED_MEMBER_EPOCH
    b.beat()
    assert b.assigned == ALL
    assert a.beat().error_code == errors.UNKNOWN_MEMBER_ID


def test_a_silent_member_loses_its_partitions(wide: EventLog) -> None:
    settings = Settings(consumer_groups=ConsumerGroupSettings(session_timeout_ms=1, heartbeat_interval_ms=1))
    with running_server(wide, settings) as server, RawClient(server.address) as client:
        a, b = RemoteConsumer(client, "a"), RemoteConsumer(client, "b")
        a.join()
        with wide.consumer("events", group="readers") as consumer:
            while consumer.assignment() != ALL:
                consumer.poll(0.05)
        assert a.beat().error_code == errors.UNKNOWN_MEMBER_ID
        assert b.beat(epoch=1).error_code == errors.UNKNOWN_MEMBER_ID


def test_another_server_continues_with_the_members(wide: EventLog, a: RemoteConsumer, b: RemoteConsumer) -> None:
    a.join()
    b.join()
    a.beat()
    a.report()
    with eventlog.open(wide.path) as other, running_server(other) as second, RawClient(second.address) as client:
        a.client, b.client = client, client
        epoch = a.epoch
        assert a.beat().error_code == 0
        assert (a.epoch, a.assigned) == (epoch, a.owned)
        b.beat()
        assert a.owned | b.assigned == ALL
        assert b.beat(epoch=b.epoch + 5).error_code == errors.FENCED_MEMBER_EPOCH


def test_the_next_server_continues_with_the_members(wide: EventLog) -> None:
    with running_server(wide) as server, RawClient(server.address) as client:
        member = RemoteConsumer(client, "a")
        member.join()
        generation = wide.group("readers").describe().generation
    with running_server(wide) as server, RawClient(server.address) as client:
        member.client = client
        assert member.beat().error_code == 0
        assert (member.assigned, wide.group("readers").describe().generation) == (ALL, generation)


def test_a_reset_is_noticed_by_the_members(wide: EventLog, a: RemoteConsumer) -> None:
    a.join()
    wide.partition("events", 0).append(b"x")
    wide.group("readers").reset({("events", 0): 1})  # type: ignore[dict-item]
    a.beat()
    assert a.assigned == ALL - {("events", 0)}, "it reads the committed offset when it gets the partition again"
    a.report()
    assert a.assigned == ALL
    assert wide.group("readers").describe().members[0].partitions == tuple(sorted(ALL))


def test_members_vote_for_an_assignor(a: RemoteConsumer, b: RemoteConsumer, wide: EventLog) -> None:
    a.join(server_assignor="range")
    assert wide.group("readers").describe().assignor == "range"
    with pytest.raises(InvalidArgumentError), wide.consumer("events", group="readers") as consumer:
        consumer.poll(0)
    b.join(server_assignor="uniform")
    a.beat(server_assignor="uniform")
    assert wide.group("readers").describe().assignor == "cooperative-sticky"


def test_commits_are_those_of_the_group(a: RemoteConsumer, wide: EventLog) -> None:
    wide.partition("events", 0).append_many([b"x"] * 9)
    a.join()
    receipt = wide.producer().send("events", b"y", partition=1)
    assert a.commit(5) == 0
    assert a.commit(3) == 0, "Kafka's clients may go back"
    assert a.commit(3, metadata="note") == 0
    assert a.commit(1, ("events", 1)) == 0
    assert receipt.wait_acked("readers", 0)
    assert a.beat().error_code == 0
    assert a.assigned == ALL
    assert wide.group("readers").committed() == {TopicPartition("events", 0): 3, TopicPartition("events", 1): 1}
    assert a.fetch_committed() == (3, 0)
    a.leave()
    with wide.consumer("events", group="readers") as consumer:
        assert len(consumer.poll(0)) == 6
        consumer.commit()
    assert a.fetch_committed(member_id=None, member_epoch=-1) == (9, 0)


def test_only_members_commit_and_only_what_they_own(a: RemoteConsumer, b: RemoteConsumer, wide: EventLog) -> None:
    for number in range(PARTITIONS):
        wide.partition("events", number).append(b"x")
    a.join()
    assert b.commit(1, epoch=1) == errors.UNKNOWN_MEMBER_ID
    assert b.commit(1, epoch=-1) == errors.UNKNOWN_MEMBER_ID, "the group has members"
    assert b.fetch_committed(member_epoch=1)[1] == errors.UNKNOWN_MEMBER_ID
    b.join()
    a.beat()
    a.report()
    b.beat()
    (first, *_) = sorted(b.assigned)
    assert a.commit(1, first) == errors.STALE_MEMBER_EPOCH
    assert a.commit(1, first, epoch=a.epoch + 9) == errors.STALE_MEMBER_EPOCH
    assert a.fetch_committed(member_epoch=a.epoch + 9)[1] == errors.STALE_MEMBER_EPOCH
    assert a.commit(1, min(a.owned), version=8) == errors.UNSUPPORTED_VERSION
    assert b.commit(1, first) == 0
    for member in (a, b):
        member.leave()
        assert member.commit(1, epoch=5) == errors.UNKNOWN_MEMBER_ID
    assert a.commit(1, epoch=-1) == 0, "nobody is a member"


def test_a_transaction_commits_only_what_its_consumer_owns(a: RemoteConsumer, b: RemoteConsumer, client: RawClient) -> None:
    a.join()
    b.join()
    a.beat()
    a.report()
    b.beat()
    owner, other = (a, b) if ("events", 0) in a.owned else (b, a)
    producer = Producer(client)
    assert producer.add_offsets("readers") == 0
    ids = {"generation_id": owner.epoch, "member_id": other.id}
    assert producer.commit_offset("readers", 0, **ids) == errors.ILLEGAL_GENERATION
    assert producer.commit_offset("readers", 0, **{**ids, "member_id": "nobody"}) == errors.UNKNOWN_MEMBER_ID
    assert producer.commit_offset("readers", 0, **{**ids, "member_id": owner.id}) == 0
    assert producer.end() == 0
    assert owner.fetch_committed() == (0, 0)


def test_a_classic_group_and_a_consumer_group_exclude_each_other(a: RemoteConsumer, client: RawClient) -> None:
    a.join()
    classic = GroupMember(client, a.group)
    assert classic.join() == errors.INCONSISTENT_GROUP_PROTOCOL
    a.leave()
    classic.work_alone()
    assert a.join().error_code == errors.INCONSISTENT_GROUP_PROTOCOL
    assert [each.error_code for each in describe(client, a.group)] == [errors.GROUP_ID_NOT_FOUND]
    assert classic.leave() == 0
    a.join()
    assert a.owned == ALL


def describe(client: RawClient, *groups: str, version: int = 1) -> list[Any]:
    return list(client.ask("ConsumerGroupDescribe", version, group_ids=list(groups)).groups)


@pytest.mark.parametrize("version", [0, 1])
def test_groups_are_described(client: RawClient, a: RemoteConsumer, wide: EventLog, version: int) -> None:
    a.join(rack_id="r1", subscribed_topic_regex="ev.*", subscribed_topic_names=["missing"])
    found, missing = describe(client, "readers", "missing", version=version)
    assert missing.error_code == errors.GROUP_ID_NOT_FOUND
    assert (found.error_code, found.group_state, found.group_epoch, found.assignor_name) == (0, "Stable", a.epoch, "uniform")
    (member,) = found.members
    assert (member.member_id, member.member_epoch, member.client_id, member.client_host) == ("a", a.epoch, "test", "/127.0.0.1")
    assert (member.rack_id, member.subscribed_topic_names, member.subscribed_topic_regex) == ("r1", ["missing"], "ev.*")
    for assignment in (member.assignment, member.target_assignment):
        (topic,) = assignment.topic_partitions
        assert (topic.topic_name, topic.partitions) == ("events", list(range(PARTITIONS)))
    with wide.consumer("events", group="readers") as consumer:
        consumer.poll(0)
        (found,) = describe(client, "readers")
        assert (found.group_state, len(found.members)) == ("Reconciling", 2)
    a.leave()


def test_the_feature_is_told(client: RawClient) -> None:
    answer = client.ask("ApiVersions", 4, client_software_name="test", client_software_version="1")
    assert [(each.name, each.max_version_level) for each in answer.finalized_features] == [("group.version", 1)]
    assert answer.finalized_features_epoch >= 0
    assert [each.name for each in answer.supported_features] == ["group.version"]
