"""Rules: consumers of several groups and processes come, read, commit, go and are killed; groups are reset under them."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from eventlog import TopicPartition
from tests.support.machine.foundation import TOPICS, Foundation, groups, hosts, places, topics
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
        instance=st.sampled_from([None, None, None, "one", "two"]),
        commits_itself=st.booleans(), commits_when_revoked=st.booleans(), polls=st.booleans(),
    )  # fmt: skip
    def open_consumer(
        self, host: int, group: str, wanted: tuple[str, ...] | str, reset: str, instance: str | None,
        commits_itself: bool, commits_when_revoked: bool, polls: bool,
    ) -> None:  # fmt: skip
        member = ModelMember(0, host, group, instance, wanted, reset, commits_itself, commits_when_revoked)
        member = self.open_like(member)
        if polls:
            self.poll(member, 5)

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

    @precondition(lambda self: any(member.host != 0 for member in self.model.members.values()))
    @rule(place=places, comes_back=st.booleans())
    def kill_a_process(self, place: int, comes_back: bool) -> None:
        """One with members, which may be started anew."""
        others = sorted({member.host for member in self.model.members.values()} - {0})
        killed = self.kill(others[place % len(others)])
        for member in killed if comes_back else ():
            self.open_like(member)

    @_has_groups
    @rule(place=places)
    def settle_a_group(self, place: int) -> None:
        self.settle(self.group(place))

    # --- reading ---------------------------------------------------------------------------------------------

    @_has_members
    @rule(place=places, records_max=st.sampled_from([1, 3, 10, 500]))
    def poll_once(self, place: int, records_max: int) -> None:
        self.poll(self.member(place), records_max)

    @_has_members
    @rule(place=places, fails=st.booleans())
    def iterate_once(self, place: int, fails: bool) -> None:
        self.iterate(self.member(place), fails)

    @_has_groups
    @rule(place=places, records_max=st.sampled_from([5, 500]))
    def poll_all(self, place: int, records_max: int) -> None:
        for member in list(self.group(place).members.values()):
            self.poll(member, records_max)

    @_has_members
    @_has_partitions
    @rule(
        member=places, place=places, offset=places, timestamp=timestamps,
        to=st.sampled_from(["offset", "time", "beginning", "end", "beyond"]),
    )  # fmt: skip
    def seek(self, member: int, place: int, to: str, offset: int, timestamp: int) -> None:
        chosen, partition = self.member(member), self.model.partition(self.place(place))
        where, lane = partition.place, chosen.lanes.get(partition.place)
        if lane is None:
            self.do(chosen.host, "seek", chosen.number, where, 0, raises="StaleMemberError")
            return
        if not lane.is_owned:
            return  # it is at the former topic of this name, perhaps, and goes by its end
        if to == "beyond":
            wrong = partition.end_offset + 1 + offset
            self.do(chosen.host, "seek", chosen.number, where, wrong, raises="OffsetOutOfRangeError")
            return
        found = partition.offset_for_time(timestamp)
        lane.position = {
            "offset": partition.within(offset % (partition.end_offset + 1)),
            "time": partition.end_offset if found is None else found,
            "beginning": partition.start_offset,
            "end": partition.end_offset,
        }[to]
        lane.was_handed_out = True  # a commit is of positions
        if lane.finished is not None:
            lane.finished = min(lane.finished, lane.position)
        if to == "offset":
            self.do(chosen.host, "seek", chosen.number, where, lane.position)
        elif to == "time":
            self.do(chosen.host, "seek_to_time", chosen.number, where, timestamp)
        else:
            self.do(chosen.host, f"seek_to_{to}", chosen.number, where)

    @_has_members
    @_has_partitions
    @rule(member=places, place=places, resumes=st.booleans())
    def pause(self, member: int, place: int, resumes: bool) -> None:
        """One partition, or go on with everything."""
        chosen, where = self.member(member), self.place(place)
        if resumes:
            paused = {each for each, lane in chosen.lanes.items() if lane.is_paused}
            assert self.do(chosen.host, "resume", chosen.number) == paused
            for lane in chosen.lanes.values():
                lane.is_paused = False
        elif where in chosen.lanes:
            chosen.lanes[where].is_paused = True
            self.do(chosen.host, "pause", chosen.number, where)

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
    @rule(host=hosts, group=places, topic=topics, all_of_it=st.booleans())
    def delete_from_group(self, host: int, group: int, topic: str, all_of_it: bool) -> None:
        """The group, or its offsets of a topic that no member subscribes to."""
        chosen = self.group(group)
        is_used = bool(chosen.members or chosen.away)
        if all_of_it:
            self.do(host, "delete_group", chosen.name, raises="InvalidArgumentError" if is_used else None)
            if not is_used:
                del self.model.groups[chosen.name]
        elif topic not in chosen.topics():
            wanted = self.model.places([topic])
            self.do(host, "delete_offsets", chosen.name, sorted(wanted))
            offsets = {where: None for where in wanted if where in chosen.committed}
            if offsets:
                chosen.set_offsets(offsets)
                self._check_history(chosen, "delete", offsets)
