"""Members of groups of the consumer protocol, by the raw protocol: each does what it is told, when a test lets it."""

from __future__ import annotations

from typing import Any

from eventlog.serve.protocol.messages import kind
from tests.serve.client import RawClient

Partitions = set[tuple[str, int]]


def topic_ids(client: RawClient) -> dict[bytes, str]:
    """The names of all topics by their ids."""
    return {topic.topic_id: topic.name for topic in client.metadata(version=12).topics}


class RemoteConsumer:
    """A member. `assigned` is what it was told last, `owned` what it has."""

    def __init__(self, client: RawClient, member_id: str, group: str = "readers", *, instance_id: str | None = None) -> None:
        self.client = client
        self.id = member_id
        self.group = group
        self.instance_id = instance_id
        self.epoch = 0
        self.assigned: Partitions = set()
        self.owned: Partitions = set()

    def beat(self, *, version: int = 1, epoch: int | None = None, **fields: Any) -> Any:
        """Send a heartbeat with these fields besides the member's own, and take what the answer says."""
        answer = self.client.ask(
            "ConsumerGroupHeartbeat",
            version,
            group_id=self.group,
            member_id=self.id,
            member_epoch=self.epoch if epoch is None else epoch,
            instance_id=self.instance_id,
            **fields,
        )
        if not answer.error_code:
            self.id, self.epoch = answer.member_id, answer.member_epoch
            if answer.assignment is not None:
                names = topic_ids(self.client)
                told = answer.assignment.topic_partitions
                self.assigned = {(names[each.topic_id], number) for each in told for number in each.partitions}
        return answer

    def join(self, *topics: str, version: int = 1, **fields: Any) -> Any:
        """Join the group, and own what is assigned."""
        names = None if "subscribed_topic_regex" in fields else list(topics or ("events",))
        wanted = {"rebalance_timeout_ms": 60_000, "subscribed_topic_names": names, "topic_partitions": [], **fields}
        answer = self.beat(version=version, epoch=0, **wanted)
        self.owned = set(self.assigned)
        return answer

    def report(self) -> Any:
        """Do what was told last, and say so."""
        self.owned = set(self.assigned)
        return self.beat(topic_partitions=self.topic_partitions(self.owned))

    def topic_partitions(self, partitions: Partitions) -> list[Any]:
        """Partitions as a heartbeat names them."""
        entry = kind("ConsumerGroupHeartbeatRequest", "TopicPartitions")
        by_name = {name: topic_id for topic_id, name in topic_ids(self.client).items()}
        topics = {topic for topic, _ in partitions}
        return [
            entry(topic_id=by_name[topic], partitions=sorted(number for name, number in partitions if name == topic))
            for topic in sorted(topics)
        ]

    def leave(self, epoch: int = -1) -> Any:
        """Leave the group; with epoch -2 for now."""
        answer = self.beat(epoch=epoch)
        self.assigned, self.owned, self.epoch = set(), set(), 0
        return answer

    def commit(self, offset: int, partition: tuple[str, int] = ("events", 0), *, version: int = 9, **fields: Any) -> int:
        """Commit one offset; returns the error code."""
        entry = kind("OffsetCommitRequest", "OffsetCommitRequestPartition")
        topic = kind("OffsetCommitRequest", "OffsetCommitRequestTopic")
        wanted = [entry(partition_index=partition[1], committed_offset=offset, committed_metadata=fields.pop("metadata", ""))]
        epoch = fields.pop("epoch", self.epoch)
        answer = self.client.ask(
            "OffsetCommit",
            version,
            group_id=self.group,
            member_id=self.id,
            generation_id_or_member_epoch=epoch,
            group_instance_id=self.instance_id,
            topics=[topic(name=partition[0], partitions=wanted)],
        )
        return int(answer.topics[0].partitions[0].error_code)

    def fetch_committed(self, partition: tuple[str, int] = ("events", 0), **fields: Any) -> tuple[int, int]:
        """The committed offset of a partition, and the error code."""
        topic = kind("OffsetFetchRequest", "OffsetFetchRequestTopics")(name=partition[0], partition_indexes=[partition[1]])
        group = {"group_id": self.group, "member_id": self.id, "member_epoch": self.epoch, "topics": [topic], **fields}
        answer = self.client.ask("OffsetFetch", 9, groups=[kind("OffsetFetchRequest", "OffsetFetchRequestGroup")(**group)])
        (found,) = answer.groups
        return found.topics[0].partitions[0].committed_offset, found.error_code
