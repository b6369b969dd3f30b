"""Rules: consumers of several groups and processes come, read, commit, go and are killed; groups are reset under them."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from eventlog import TopicPartition
from tests.support.machine.foundation import GROUPS, HOSTS, TOPICS, Foundation, groups, hosts, places, topics
from tests.support.machine.model import ModelGroup, ModelMember
from tests.support.machine.producing import timestamps

_MEMBERS_MAX = 7

_subscriptions = st.lists(st.sampled_from(TOPICS), min_size=1, unique=True).map(tuple) | st.sampled_from(
    ["orders|prices", ".*s", "v.*", "none"]
)
_has_members = precondition(lambda self: self.model.members)
_has_groups = precondition(lambda self: self.model.groups)
_has_partitions = precondition(lambda self: self.model.topics)


class Consuming(Foundation):
    """Records are read by groups."""

    def __init__(self) -> None:
        super().__init__()
        self._members = 0

    def group(self, place: int) -> ModelGroup:
        """One of the groups that exist."""
        return self.model.groups[sorted(self.model.groups)[place % len(self.model.groups)]]

    def place(self, place: int) -> TopicPartition:
        """One of the partitions that exist."""
        partitions = self.model.partitions()
        return partitions[place % len(partitions)].place

    # --- members ---------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.model.members) < _MEMBERS_MAX)
    @rule(
        host=hosts, group=groups, wanted=_subscriptions, reset=st.sampled_from(["earliest", "latest"]),
        commits_itself=st.booleans(), commits_when_revoked=st.booleans(), polls=st.booleans(),
    )  # fmt: skip
    def open_consumer(
        self, host: int, group: str, wanted: tuple[str, ...] | str, reset: str, commits_itself: bool,
        commits_when_revoked: bool, polls: bool,
    ) -> None:  # fmt: skip
        self._members += 1
        member = ModelMember(self._members, host, group, wanted, reset, commits_itself, commits_when_revoked)
        self.model.members[member.number] = member
        options = {
            "group": group,
            "assignor": GROUPS[group],
            "auto_offset_reset": reset,
            "auto_commit": commits_itself,
            "auto_commit_interval_ms": 1,
        }
        self.do(host, "open_consumer", member.number, wanted, commits_when_revoked, options)
        if polls:
            self.poll(member, 1)

    @_has_members
    @rule(place=places, wanted=_subscriptions)
    def subscribe_anew(self, place: int, wanted: tuple[str, ...] | str) -> None:
        member = self.member(place)
        self.do(member.host, "subscribe", member.number, wanted)
        member.wanted = wanted

    @_has_members
    @rule(place=places)
    def close_consumer(self, place: int) -> None:
        self.leave(self.member(place))

    @precondition(lambda self: len(self.hosts) > 1)
    @rule(host=st.integers(1, HOSTS - 1))
    def kill_a_process(self, host: int) -> None:
        if host in self.hosts:
            self.kill(host)

    @_has_groups
    @rule(place=places)
    def settle_a_group(self, place: int) -> None:
        self.settle(self.group(place))

    # --- reading ---------------------------------------------------------------------------------------------

    @_has_members
    @rule(place=places, records_max=st.sampled_from([1, 3, 10, 500]))
    def poll_once(self, place: int, records_max: int) -> None:
        self.poll(self.member(place), records_max)

    @_has_groups
    @rule(place=places, records_max=st.sampled_from([5, 500]))
    def poll_all(self, place: int, records_max: int) -> None:
        for member in list(self.group(place).members.values()):
            self.poll(member, records_max)

    @_has_members
    @_has_partitions
    @rule(member=places, place=places, offset=st.integers(0, 60), beyond=st.booleans())
    def seek(self, member: int, place: int, offset: int, beyond: bool) -> None:
        self._seek(self.member(member), self.place(place), offset, beyond)

    def _seek(self, member: ModelMember, place: TopicPartition, offset: int, beyond: bool) -> None:
        partition = self.model.partition(place)
        lane = member.lanes.get(place)
        if lane is None:
            self.do(member.host, "seek", member.number, place, offset, raises="StaleMemberError")
        elif beyond:
            wrong = partition.end_offset + 1 + offset
            if lane.is_owned:
                self.do(member.host, "seek", member.number, place, wrong, raises="OffsetOutOfRangeError")
        elif lane.is_owned:
            lane.position = partition.within(offset)
            lane.was_handed_out = False
            self.do(member.host, "seek", member.number, place, lane.position)

    @_has_members
    @_has_partitions
    @rule(member=places, place=places, timestamp=timestamps)
    def seek_to_time(self, member: int, place: int, timestamp: int) -> None:
        chosen, partition = self.member(member), self.model.partition(self.place(place))
        lane = chosen.lanes.get(partition.place)
        if lane is not None and lane.is_owned:
            found = partition.offset_for_time(timestamp)
            lane.position = partition.end_offset if found is None else found
            lane.was_handed_out = False
            self.do(chosen.host, "seek_to_time", chosen.number, partition.place, timestamp)

    @_has_members
    @rule(place=places, to_end=st.booleans())
    def seek_everywhere(self, place: int, to_end: bool) -> None:
        member = self.member(place)
        if all(lane.is_owned for lane in member.lanes.values()):
            for partition in map(self.model.partition, member.lanes):
                lane = member.lanes[partition.place]
                lane.position = partition.end_offset if to_end else partition.start_offset
                lane.was_handed_out = False
            self.do(member.host, "seek_to_end" if to_end else "seek_to_beginning", member.number)

    @_has_members
    @_has_partitions
    @rule(member=places, place=places)
    def pause(self, member: int, place: int) -> None:
        chosen, where = self.member(member), self.place(place)
        if where in chosen.lanes:
            chosen.lanes[where].is_paused = True
            self.do(chosen.host, "pause", chosen.number, where)

    @_has_members
    @rule(place=places)
    def resume(self, place: int) -> None:
        member = self.member(place)
        paused = {where for where, lane in member.lanes.items() if lane.is_paused}
        assert self.do(member.host, "resume", member.number) == paused
        for lane in member.lanes.values():
            lane.is_paused = False

    # --- committing ------------------------------------------------------------------------------------------

    @_has_members
    @rule(place=places, sync=st.booleans())
    def commit(self, place: int, sync: bool) -> None:
        member = self.member(place)
        if member.commits_itself:
            return  # only the store knows what it has committed already
        group = self.model.groups.get(member.group)
        is_stale = member.has_stale_work()
        self.do(member.host, "commit", member.number, None, sync, raises="StaleMemberError" if is_stale else None)
        if group is not None and not is_stale and member.number in group.members:
            group.commit_handed_out(member)
            if sync:
                group.sync()
        self.counts["commits"] += 1

    @_has_members
    @_has_partitions
    @rule(member=places, place=places, offset=places, sync=st.booleans())
    def commit_an_offset(self, member: int, place: int, offset: int, sync: bool) -> None:
        """Any offset of the partition, and the first one behind it."""
        chosen, partition = self.member(member), self.model.partition(self.place(place))
        wanted = offset % (partition.end_offset + 2)
        lane = chosen.lanes.get(partition.place)
        raises = None
        if lane is None:
            raises = "StaleMemberError"
        elif not lane.is_owned:
            return  # it has the partition of the former topic of this name, perhaps, and goes by its end
        elif wanted > partition.end_offset:
            raises = "InvalidArgumentError"
        self.do(chosen.host, "commit", chosen.number, {partition.place: wanted}, sync, raises=raises)
        if raises is None:
            group = self.model.groups[chosen.group]
            group.commit({partition.place: wanted})
            if sync:
                group.sync()

    # --- groups from outside ---------------------------------------------------------------------------------

    @_has_groups
    @_has_partitions
    @rule(
        host=hosts, group=places, topic=topics, timestamp=timestamps, offset=places,
        to=st.sampled_from(["earliest", "latest", "time", "offset", "beyond"]),
    )  # fmt: skip
    def reset(self, host: int, group: int, topic: str, to: str, timestamp: int, offset: int) -> None:
        """All partitions of a topic, under the members that own them."""
        if topic not in self.model.topics:
            return
        offsets = {}
        for partition in self.model.topics[topic].partitions:
            found = partition.offset_for_time(timestamp)
            offsets[partition.place] = {
                "earliest": partition.start_offset,
                "latest": partition.end_offset,
                "time": partition.end_offset if found is None else found,
                "offset": partition.within(offset % (partition.end_offset + 1)),
                "beyond": partition.end_offset + 1,
            }[to]
        chosen = self.group(group)
        self.do(host, "reset", chosen.name, offsets, raises="OffsetOutOfRangeError" if to == "beyond" else None)
        if to != "beyond":
            chosen.set_offsets(offsets)
            self.counts["resets"] += 1

    @_has_groups
    @rule(host=hosts, place=places)
    def undo_reset(self, host: int, place: int) -> None:
        group = self.group(place)
        if not group.taken:
            self.do(host, "undo_reset", group.name, raises="InvalidArgumentError")
            return
        offsets = {
            where: None if before is None else self.model.partition(where).within(before)
            for where, before in group.taken.items()
        }
        assert self.do(host, "undo_reset", group.name) == offsets
        group.set_offsets(offsets)
        self._check_history(group, "undo", offsets)

    def _check_history(
        self, group: ModelGroup, kind: str, after: Mapping[TopicPartition, int | None]
    ) -> None:
        entry = next(entry for entry in reversed(self.log.group(group.name).history()) if entry.kind != "commit")
        assert entry.kind == kind
        assert {change.partition: change.before for change in entry.changes} == group.taken
        assert {change.partition: change.after for change in entry.changes} == after

    @_has_groups
    @rule(host=hosts, group=places, topic=topics)
    def delete_offsets(self, host: int, group: int, topic: str) -> None:
        """Of a topic that no member subscribes to."""
        chosen = self.group(group)
        if topic in chosen.topics() or topic not in self.model.topics:
            return
        wanted = self.model.places([topic])
        self.do(host, "delete_offsets", chosen.name, sorted(wanted))
        offsets = {where: None for where in wanted if where in chosen.committed}
        if offsets:
            chosen.set_offsets(offsets)
            self._check_history(chosen, "delete", offsets)

    @_has_groups
    @rule(host=hosts, place=places)
    def delete_group(self, host: int, place: int) -> None:
        group = self.group(place)
        self.do(host, "delete_group", group.name, raises="InvalidArgumentError" if group.members else None)
        if not group.members:
            del self.model.groups[group.name]
