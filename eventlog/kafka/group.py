"""A consumer group of a cluster, seen from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from eventlog.errors import (
    GroupNotFoundError,
    InvalidArgumentError,
    InvalidTypeError,
    NotSupportedError,
    OffsetOutOfRangeError,
    StaleMemberError,
)
from eventlog.kafka.cluster import Cluster
from eventlog.options import check_offset
from eventlog.records.record import TopicPartition, as_topic_partition, as_topic_partitions

if TYPE_CHECKING:
    from eventlog.catalog.history import OffsetChange
    from eventlog.groups.group import GroupDescription
    from eventlog.groups.progress import Progress


def group_names(cluster: Cluster) -> list[str]:
    """The names of all groups, sorted."""
    cluster.check_usable()
    answer = cluster.result("the groups cannot be listed", cluster.admin.list_consumer_groups(request_timeout=cluster.seconds))
    if answer.errors and not answer.valid:
        raise cluster.failed("the groups cannot be listed", answer.errors[0])
    return sorted(each.group_id for each in answer.valid)


class KafkaGroup:
    """As `contract.Group`. Created by `KafkaLog.group`."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self.name = name
        self.coordinators_view()

    def __repr__(self) -> str:
        return f"<group {self.name} of {self._cluster}>"

    def coordinators_view(self) -> Any:
        """The group as confluent-kafka describes it. Raises `GroupNotFoundError`."""
        self._cluster.check_usable()
        futures = self._cluster.admin.describe_consumer_groups([self.name], request_timeout=self._cluster.seconds)
        try:
            (found,) = self._cluster.results(f"group {self.name} cannot be described", futures).values()
        except GroupNotFoundError:
            self._raise_missing()
        if found.state == self._cluster.library.ConsumerGroupState.DEAD:
            self._raise_missing()
        return found

    def _raise_missing(self) -> NoReturn:
        raise GroupNotFoundError(f"no group {self.name!r} in {self._cluster}")

    @property
    def is_stable(self) -> bool:
        """Has the group shared the partitions out, to the members that it has now?"""
        states = self._cluster.library.ConsumerGroupState
        return self.coordinators_view().state in (states.STABLE, states.EMPTY)

    def describe(self) -> GroupDescription:
        """The group with its members; its generation is -1, because brokers do not tell it."""
        from eventlog.kafka.views import describe_group

        return describe_group(self)

    def progress(self) -> dict[TopicPartition, Progress]:
        """How far the group is in each partition; bytes, ages and rates are not known."""
        from eventlog.groups.progress import Progress

        lag, committed = self.lag(), self._cluster.committed(self.name)
        starts, ends = self._cluster.starts(lag), self._cluster.ends(lag)
        return {each: Progress(starts[each], ends[each], committed.get(each), None, lag[each]) for each in lag}

    def committed(self) -> dict[TopicPartition, int]:
        """As `contract.Group.committed`."""
        found = self._cluster.committed(self.name)
        if not found:
            self.coordinators_view()
        return dict(sorted(found.items()))

    def lag(self) -> dict[TopicPartition, int | None]:
        """As `contract.Group.lag`, with the topics of which live members have partitions; None where nothing was committed."""
        members = self.coordinators_view().members
        committed = self._cluster.committed(self.name)
        assigned = {each.topic for member in members for each in member.assignment.topic_partitions}
        counts = self._cluster.partition_counts(assigned | {each.topic for each in committed})
        of_members = {TopicPartition(topic, number) for topic in assigned for number in range(counts.get(topic, 0))}
        partitions = sorted(of_members | {each for each in committed if each.partition < counts.get(each.topic, 0)})
        ends = self._cluster.ends(partitions)
        return {each: max(ends[each] - committed[each], 0) if each in committed else None for each in partitions}

    def plan_reset(self, offsets: Mapping[TopicPartition, int]) -> list[OffsetChange]:
        """What `reset` with these offsets would change, sorted by partition. Changes nothing; raises what `reset` does."""
        from eventlog.catalog.history import OffsetChange

        checked, committed = self._checked(offsets), self.committed()
        return [OffsetChange(each, committed.get(each), checked[each]) for each in sorted(checked)]

    def reset(self, offsets: Mapping[TopicPartition, int]) -> None:
        """As `contract.Group.reset`. Raises `InvalidArgumentError` while the group has live members."""
        checked = self._checked(offsets)
        self.coordinators_view()
        library = self._cluster.library
        targets = [library.TopicPartition(*partition, offset) for partition, offset in checked.items()]
        request = library.ConsumerGroupTopicPartitions(self.name, targets)
        what = f"the offsets of group {self.name} cannot be set"
        futures = self._cluster.admin.alter_consumer_group_offsets([request], request_timeout=self._cluster.seconds)
        try:
            (answer,) = self._cluster.results(what, futures).values()
            for each in answer.topic_partitions:
                if each.error is not None:
                    raise self._cluster.failed(f"{what} in {each.topic}/{each.partition}", library.KafkaException(each.error))
        except (StaleMemberError, InvalidArgumentError) as error:
            raise InvalidArgumentError(f"{what}: it has live members; end them, and call again") from error

    def _checked(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        if not isinstance(offsets, Mapping):
            raise InvalidTypeError(f"offsets must be a mapping of TopicPartition to offset, not {type(offsets).__name__}")
        checked = {as_topic_partition(partition): check_offset(offset) for partition, offset in offsets.items()}
        if not checked:
            raise InvalidArgumentError("offsets is empty: name at least one partition")
        for partition in checked:
            self._cluster.check_partition(*partition)
        starts, ends = self._cluster.starts(checked), self._cluster.ends(checked)
        for partition, offset in checked.items():
            if not starts[partition] <= offset <= ends[partition]:
                raise OffsetOutOfRangeError(str(partition), offset, starts[partition], ends[partition])
        return checked

    def delete_offsets(self, partitions: Iterable[TopicPartition]) -> None:
        """Raises `NotSupportedError`: confluent-kafka has no such request."""
        as_topic_partitions(partitions)
        self.coordinators_view()
        raise NotSupportedError(
            f"the offsets of group {self.name} cannot be deleted: confluent-kafka has no such request; "
            f"'kafka-consumer-groups --delete-offsets --group {self.name} --topic TOPIC' does it"
        )

    def delete(self) -> None:
        """As `contract.Group.delete`."""
        self.coordinators_view()
        what = f"group {self.name} cannot be deleted"
        futures = self._cluster.admin.delete_consumer_groups([self.name], request_timeout=self._cluster.seconds)
        try:
            self._cluster.results(what, futures)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"{what}: it has live members; end them, and call again") from error
        except GroupNotFoundError:
            self._raise_missing()
