"""Members of classic groups that speak Kafka's protocol byte by byte, for tests of the coordinator."""

from __future__ import annotations

from typing import Any

from eventlog.groups.consumer_protocol import encode_assignment, encode_subscription
from eventlog.records.record import TopicPartition
from eventlog.serve import errors
from eventlog.serve.protocol.messages import kind
from tests.serve.client import RawClient

SESSION_MS = 30_000

WITH_TOPIC_IDS = 10  # the first version of OffsetCommit and OffsetFetch


class GroupMember:
    """A member with a connection of its own. The fields are what the server told it last."""

    def __init__(self, client: RawClient, group: str = "billing", instance_id: str | None = None) -> None:
        self.client = client
        self.group = group
        self.instance_id = instance_id
        self.id = ""
        self.generation = -1
        self.answer: Any = None
        self._sent: tuple[str, int, int] = ("", 0, 0)

    def send_join(self, *, version: int = 9, protocols: tuple[str, ...] = ("range",), **fields: Any) -> None:
        entry = kind("JoinGroupRequest", "JoinGroupRequestProtocol")
        metadata = fields.pop("metadata", encode_subscription(["events"]))
        wanted = {
            "group_id": self.group,
            "member_id": self.id,
            "group_instance_id": self.instance_id,
            "session_timeout_ms": SESSION_MS,
            "rebalance_timeout_ms": SESSION_MS,
            "protocol_type": "consumer",
            "protocols": [entry(name=name, metadata=metadata) for name in protocols],
            **fields,
        }
        self._sent = self.client.send("JoinGroup", version, **wanted)

    def joined(self) -> int:
        """The error code of the answer to `send_join`."""
        self.answer = self.client.receive(*self._sent)
        if self.answer.member_id:
            self.id = self.answer.member_id
        if not self.answer.error_code:
            self.generation = self.answer.generation_id
        return int(self.answer.error_code)

    def join(self, **fields: Any) -> int:
        """Join; a new member of a recent version first gets its id."""
        self.send_join(**fields)
        code = self.joined()
        if code == errors.MEMBER_ID_REQUIRED:
            self.send_join(**fields)
            code = self.joined()
        return code

    @property
    def is_leader(self) -> bool:
        return bool(self.answer.leader == self.id)

    def send_sync(self, assignments: dict[str, bytes] | None = None, *, version: int = 5, **fields: Any) -> None:
        entry = kind("SyncGroupRequest", "SyncGroupRequestAssignment")
        wanted = {
            "group_id": self.group,
            "member_id": self.id,
            "group_instance_id": self.instance_id,
            "generation_id": self.generation,
            "assignments": [entry(member_id=name, assignment=value) for name, value in (assignments or {}).items()],
            **fields,
        }
        self._sent = self.client.send("SyncGroup", version, **wanted)

    def synced(self) -> Any:
        return self.client.receive(*self._sent)

    def sync(self, assignments: dict[str, bytes] | None = None, **fields: Any) -> Any:
        self.send_sync(assignments, **fields)
        return self.synced()

    def heartbeat(self, *, version: int = 4, **fields: Any) -> int:
        wanted = {
            "group_id": self.group,
            "member_id": self.id,
            "group_instance_id": self.instance_id,
            "generation_id": self.generation,
            **fields,
        }
        return int(self.client.ask("Heartbeat", version, **wanted).error_code)

    def leave(self, version: int = 5) -> int:
        if version < 3:
            return int(self.client.ask("LeaveGroup", version, group_id=self.group, member_id=self.id).error_code)
        entry = kind("LeaveGroupRequest", "MemberIdentity")
        members = [entry(member_id=self.id, group_instance_id=self.instance_id)]
        answer = self.client.ask("LeaveGroup", version, group_id=self.group, members=members)
        return int(answer.error_code or answer.members[0].error_code)

    def commit(self, offset: int, *, metadata: str | None = "", leader_epoch: int = -1, **fields: Any) -> int:
        wanted = {"generation_id_or_member_epoch": self.generation, "member_id": self.id, **fields}
        return commit(
            self.client, self.group, offset, metadata=metadata, leader_epoch=leader_epoch,
            group_instance_id=self.instance_id, **wanted,
        )  # fmt: skip

    def work_alone(self) -> None:
        """Join, and assign the partition of the topic events to oneself."""
        assert self.join() == errors.NONE
        assert self.is_leader
        assert self.sync({self.id: assignment_of(0)}).error_code == errors.NONE


def assignment_of(*partitions: int) -> bytes:
    """An assignment of partitions of the topic events."""
    return encode_assignment(TopicPartition("events", partition) for partition in partitions)


def commit(
    client: RawClient, group: str, offset: int, *, version: int = 9, topic: str = "events", partition: int = 0,
    metadata: str | None = "", leader_epoch: int = -1, topic_id: bytes | None = None, **fields: Any,
) -> int:  # fmt: skip
    """Commit the offset of one partition; returns the error code. From version 10 on the topic is named by its id."""
    entry = kind("OffsetCommitRequest", "OffsetCommitRequestPartition")(
        partition_index=partition, committed_offset=offset, committed_metadata=metadata, committed_leader_epoch=leader_epoch
    )
    topics = [kind("OffsetCommitRequest", "OffsetCommitRequestTopic")(name=topic, partitions=[entry])]
    if version >= WITH_TOPIC_IDS:
        topics[0].topic_id = topic_id or id_of(client, topic)
    answer = client.ask("OffsetCommit", version, group_id=group, topics=topics, **fields)
    return int(answer.topics[0].partitions[0].error_code)


def id_of(client: RawClient, topic: str) -> bytes:
    """The id of a topic; zeros if there is none of this name."""
    return bytes(client.metadata(topic, version=10, allow_auto_topic_creation=False).topics[0].topic_id)


def committed(
    client: RawClient, group: str, *, version: int = 9, topic: str = "events", partition: int = 0, topic_id: bytes | None = None
) -> Any:
    """What a group has committed of one partition."""
    if version >= 8:
        topics = [kind("OffsetFetchRequest", "OffsetFetchRequestTopics")(name=topic, partition_indexes=[partition])]
        if version >= WITH_TOPIC_IDS:
            topics[0].topic_id = topic_id or id_of(client, topic)
        wanted = kind("OffsetFetchRequest", "OffsetFetchRequestGroup")(group_id=group, topics=topics)
        return client.ask("OffsetFetch", version, groups=[wanted]).groups[0].topics[0].partitions[0]
    topics = [kind("OffsetFetchRequest", "OffsetFetchRequestTopic")(name=topic, partition_indexes=[partition])]
    return client.ask("OffsetFetch", version, group_id=group, topics=topics).topics[0].partitions[0]
