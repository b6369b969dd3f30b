"""OffsetCommit, OffsetFetch and OffsetDelete: what remote clients commit, and what this library sees of it."""

from __future__ import annotations

from typing import Any

import pytest

import eventlog
from eventlog import EventLog, InvalidArgumentError, Partition, TopicPartition
from eventlog.serve import errors
from eventlog.serve.protocol.messages import kind
from tests.serve.client import RawClient
from tests.serve.conftest import RunningServer, running_server
from tests.serve.group_client import GroupMember, assignment_of, commit, committed, id_of

EVENTS = TopicPartition("events", 0)


@pytest.mark.parametrize("version", range(2, 11))
def test_what_is_committed_is_fetched_in_every_version(client: RawClient, log: EventLog, version: int) -> None:
    log.partition("events", 0).append_many([b"value"] * 10)
    assert commit(client, "billing", 3, version=version, metadata="note", leader_epoch=4) == errors.NONE
    found = committed(client, "billing", version=version)
    assert (found.committed_offset, found.metadata) == (3, "note")
    assert found.committed_leader_epoch == (4 if version >= 6 else -1)
    assert log.group("billing").committed() == {EVENTS: 3}


def test_what_was_never_committed_is_minus_one(client: RawClient, log: EventLog) -> None:
    for group in ("billing", "other"):
        found = committed(client, group)
        assert (found.committed_offset, found.committed_leader_epoch, found.metadata) == (-1, -1, "")
        assert found.error_code == errors.NONE
        commit(client, "billing", 0, topic="missing")
    assert log.groups() == []


def test_all_that_a_group_has_committed(client: RawClient, log: EventLog) -> None:
    log.create_topic("orders", 3)
    commit(client, "billing", 1)
    commit(client, "billing", 2, topic="orders", partition=2)
    wanted = kind("OffsetFetchRequest", "OffsetFetchRequestGroup")(group_id="billing", topics=None)
    answer = client.ask("OffsetFetch", 9, groups=[wanted]).groups[0]
    found = [(topic.name, each.partition_index, each.committed_offset) for topic in answer.topics for each in topic.partitions]
    assert found == [("events", 0, 1), ("orders", 2, 2)]
    of_one = client.ask("OffsetFetch", 7, group_id="billing", topics=None)
    assert [topic.name for topic in of_one.topics] == ["events", "orders"]


def test_commits_name_topics_by_their_ids(client: RawClient, log: EventLog) -> None:
    log.create_topic("orders", 3)
    known, missing = id_of(client, "orders"), bytes(range(16))
    assert commit(client, "billing", 2, version=10, topic_id=known, partition=2) == errors.NONE
    assert commit(client, "billing", 2, version=10, topic_id=known, partition=3) == errors.UNKNOWN_TOPIC_OR_PARTITION
    assert commit(client, "billing", 2, version=10, topic_id=missing) == errors.UNKNOWN_TOPIC_ID
    found = committed(client, "billing", version=10, topic_id=missing)
    assert (found.error_code, found.committed_offset) == (errors.UNKNOWN_TOPIC_ID, -1)
    wanted = kind("OffsetFetchRequest", "OffsetFetchRequestGroup")(group_id="billing", topics=None)
    (topic,) = client.ask("OffsetFetch", 10, groups=[wanted]).groups[0].topics
    assert (topic.topic_id, [each.committed_offset for each in topic.partitions]) == (known, [2])


def test_a_commit_for_a_topic_that_was_made_anew_is_refused(client: RawClient, log: EventLog, partition: Partition) -> None:
    former = id_of(client, "events")
    assert commit(client, "billing", 2, version=10, topic_id=former) == errors.NONE
    log.delete_topic("events")
    log.create_topic("events")
    assert commit(client, "billing", 3, version=10, topic_id=former) == errors.UNKNOWN_TOPIC_ID
    assert committed(client, "billing", version=10).committed_offset == -1


def test_a_producer_hears_of_a_remote_commit(worker: GroupMember, log: EventLog) -> None:
    with log.producer() as producer:
        receipt = producer.send("events", b"awaited")
        assert worker.commit(receipt.offset) == errors.NONE
        assert not receipt.wait_acked("billing", 0)
        assert worker.commit(receipt.offset + 1, leader_epoch=0) == errors.NONE
        assert receipt.wait_acked("billing", 30)
    assert log.group("billing").lag() == {EVENTS: 0}


def test_a_members_commit_goes_back(worker: GroupMember, client: RawClient, log: EventLog) -> None:
    assert [worker.commit(offset, metadata=f"at {offset}") for offset in (8, 5, 6)] == [errors.NONE] * 3
    assert committed(client, "billing").metadata == "at 6"
    assert worker.commit(8) == errors.NONE
    found = committed(client, "billing")
    assert (found.committed_offset, found.metadata) == (8, "")


def test_the_history_says_which_member_has_committed(worker: GroupMember, log: EventLog) -> None:
    for offset in (5, 3):  # the second goes back, and is stored at once, after the first
        assert worker.commit(offset) == errors.NONE
    assert worker.leave() == errors.NONE
    last = log.group("billing").history()[-1]
    assert (last.kind, last.changes[0].after) == ("commit", 3)


def test_metadata_is_replaced_at_the_same_offset(worker: GroupMember, client: RawClient) -> None:
    for metadata in ("one", "two", ""):
        assert worker.commit(3, metadata=metadata) == errors.NONE
        assert committed(client, "billing").metadata == metadata
    assert worker.commit(3, metadata=None) == errors.NONE


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"offset": -1}, errors.INVALID_REQUEST),
        ({"metadata": "x" * 4097}, errors.OFFSET_METADATA_TOO_LARGE),
        ({"topic": "missing"}, errors.UNKNOWN_TOPIC_OR_PARTITION),
        ({"partition": 1}, errors.UNKNOWN_TOPIC_OR_PARTITION),
        ({"generation_id_or_member_epoch": 0}, errors.ILLEGAL_GENERATION),
        ({"generation_id_or_member_epoch": -1, "member_id": ""}, errors.UNKNOWN_MEMBER_ID),
        ({"member_id": "nobody"}, errors.UNKNOWN_MEMBER_ID),
        ({"group": "other"}, errors.UNKNOWN_MEMBER_ID),
        ({"group": ""}, errors.INVALID_GROUP_ID),
    ],
)
def test_what_cannot_be_committed(
    worker: GroupMember, client: RawClient, log: EventLog, fields: dict[str, Any], code: int
) -> None:
    wanted = {
        "group": "billing",
        "offset": 1,
        "generation_id_or_member_epoch": worker.generation,
        "member_id": worker.id,
        **fields,
    }
    assert commit(client, **wanted) == code
    assert log.group("billing").committed() == {}


def test_nothing_is_committed_between_two_generations(worker: GroupMember) -> None:
    assert worker.join() == errors.NONE
    assert worker.commit(1) == errors.REBALANCE_IN_PROGRESS
    worker.sync({worker.id: assignment_of(0)})
    assert worker.commit(1) == errors.NONE


def test_a_reset_from_outside_can_be_undone(client: RawClient, log: EventLog) -> None:
    log.partition("events", 0).append_many([b"value"] * 10)
    assert [commit(client, "billing", offset) for offset in (9, 2)] == [errors.NONE] * 2
    group = log.group("billing")
    assert (group.committed(), group.history()[-1].kind) == ({EVENTS: 2}, "reset")
    assert group.undo_reset() == {EVENTS: 9}
    assert committed(client, "billing").committed_offset == 9


def test_a_running_group_is_not_moved_from_outside(worker: GroupMember, log: EventLog) -> None:
    assert worker.commit(5) == errors.NONE
    group = log.group("billing")
    for change in (lambda: group.reset({EVENTS: 0}), group.delete):
        with pytest.raises(InvalidArgumentError, match="remote members"):
            change()
    assert group.committed() == {EVENTS: 5}
    assert worker.leave() == errors.NONE
    group.reset({EVENTS: 0})
    assert group.committed() == {EVENTS: 0}


def test_consumers_of_this_library_continue_where_remote_ones_ended(worker: GroupMember, log: EventLog) -> None:
    assert worker.commit(7) == errors.NONE
    assert worker.leave() == errors.NONE
    with log.consumer("events", group="billing") as consumer:
        assert [record.offset for record in consumer.poll(30)] == [7, 8, 9]
        consumer.commit()
        assert worker.commit(8) == errors.UNKNOWN_MEMBER_ID
    assert committed(worker.client, "billing").committed_offset == 10


def test_commits_outlive_the_server_and_the_machine(log: EventLog, tmp_path: Any) -> None:
    log.partition("events", 0).append_many([b"value"] * 10)
    with running_server(log) as server, RawClient(server.address) as client:
        worker = GroupMember(client)
        worker.work_alone()
        assert worker.commit(4, leader_epoch=2) == errors.NONE
        assert worker.commit(5, leader_epoch=3, metadata="note") == errors.NONE
        assert worker.commit(6, leader_epoch=3) == errors.NONE
    log.close()
    path = log.store.path
    for file in (path / "shared").glob("*.acks"):
        file.unlink()  # as after a reboot, when only the catalog counts
    with eventlog.open(path) as again, running_server(again) as server, RawClient(server.address) as client:
        found = committed(client, "billing")
        assert (found.committed_offset, found.committed_leader_epoch, found.metadata) == (6, 3, "")


def delete_offsets(client: RawClient, group: str, topic: str = "events", partition: int = 0) -> tuple[int, int | None]:
    entry = kind("OffsetDeleteRequest", "OffsetDeleteRequestPartition")(partition_index=partition)
    topics = [kind("OffsetDeleteRequest", "OffsetDeleteRequestTopic")(name=topic, partitions=[entry])]
    answer = client.ask("OffsetDelete", 0, group_id=group, topics=topics)
    return answer.error_code, answer.topics[0].partitions[0].error_code if answer.topics else None


def test_offsets_are_deleted_unless_they_are_in_use(worker: GroupMember, client: RawClient, log: EventLog) -> None:
    assert worker.commit(5) == errors.NONE
    assert delete_offsets(client, "missing") == (errors.GROUP_ID_NOT_FOUND, None)
    assert delete_offsets(client, "billing") == (errors.NONE, errors.GROUP_SUBSCRIBED_TO_TOPIC)
    assert delete_offsets(client, "billing", "missing") == (errors.NONE, errors.UNKNOWN_TOPIC_OR_PARTITION)
    assert worker.leave() == errors.NONE
    assert delete_offsets(client, "billing") == (errors.NONE, errors.NONE)
    assert log.group("billing").committed() == {}


def test_a_deleted_topic_takes_its_commits_along(worker: GroupMember, client: RawClient, log: EventLog) -> None:
    assert worker.commit(5) == errors.NONE
    log.delete_topic("events")
    log.create_topic("events")
    assert committed(client, "billing").committed_offset == -1
    assert worker.commit(0) == errors.NONE
    assert committed(client, "billing").committed_offset == 0


def test_groups_have_names_that_no_file_could_have(client: RawClient, log: EventLog) -> None:
    names = ["my group", "a/b", "..", "Grüße", "x" * 249]
    for number, name in enumerate(names):
        assert commit(client, name, number) == errors.NONE
    assert sorted(log.groups()) == sorted(names)
    assert [committed(client, name).committed_offset for name in names] == list(range(5))
    assert log.group("my group").committed() == {EVENTS: 0}


@pytest.mark.parametrize("version", range(7))
def test_the_coordinator_is_found(client: RawClient, server: RunningServer, version: int) -> None:
    if version < 4:
        found = client.ask("FindCoordinator", version, key="billing")
    else:
        answer = client.ask("FindCoordinator", version, coordinator_keys=["billing", ""])
        found, unnamed = answer.coordinators
        assert (found.key, unnamed.error_code) == ("billing", errors.INVALID_GROUP_ID)
    assert (found.error_code, found.node_id, found.host, found.port) == (errors.NONE, 1, *server.address)
    if version >= 6:
        shared = client.ask("FindCoordinator", version, key_type=2, coordinator_keys=["billing"]).coordinators[0]
        assert (shared.error_code, shared.node_id) == (errors.COORDINATOR_NOT_AVAILABLE, -1)
