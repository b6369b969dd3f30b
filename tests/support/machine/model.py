"""A store as anybody would write it first: lists and dictionaries. Slow, obvious, and what the real one is compared with.

The model never looks at the store. What only the store can know, such as which member got a partition, it is told as
events, and it asserts that the event was allowed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from eventlog import Record, TopicPartition
from tests.support.model import Event


def murmur2(data: bytes) -> int:
    """Kafka's hash of a key, unsigned. Source: org.apache.kafka.common.utils.Utils.murmur2."""
    mask, factor = 0xFFFFFFFF, 0x5BD1E995
    value = 0x9747B28C ^ len(data)
    whole = len(data) - len(data) % 4
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * factor & mask
        value = (value * factor & mask) ^ ((word ^ word >> 24) * factor & mask)
    if rest := data[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15


_made = itertools.count()  # in which order partitions and groups are made


class ModelPartition:
    """`records` are those that are there, by rising offset; `end_offset` is what the next one gets. `compacted` are those that
    compaction took away: who has a segment open goes on to read what it opened."""

    def __init__(self, place: TopicPartition) -> None:
        self.place = place
        self.made = next(_made)
        self.records: list[Record] = []
        self.compacted: list[Record] = []
        self.start_offset = 0
        self.end_offset = 0

    def append(self, event: Event) -> int:
        assert event.timestamp is not None
        offset = self.end_offset
        self.records.append(Record(*self.place, offset, event.timestamp, event.key, event.value, event.headers))
        self.end_offset += 1
        return offset

    def following(self, offset: int) -> list[Record]:
        return [record for record in self.records if record.offset >= offset]

    def offset_for_time(self, timestamp: int) -> int | None:
        return next((record.offset for record in self.records if record.timestamp >= timestamp), None)

    def delete_before(self, offset: int) -> None:
        self.start_offset = max(self.start_offset, offset)
        self.records = self.following(self.start_offset)

    def compact(self, kept: list[Record]) -> None:
        """Only these of the records are left."""
        self.compacted += [record for record in self.records if record not in kept]
        self.records = kept

    def within(self, offset: int) -> int:
        """The offset that is nearest to this one and in the partition."""
        return min(max(offset, self.start_offset), self.end_offset)


@dataclass
class Lane:
    """A partition as a member has it. `position` is None where nothing was committed, until the member has chosen where to
    begin; `is_owned` gets false when a reset or the deletion of the topic takes the partition away behind the member's back.
    `finished` is how far the member is known to be done, `in_hand` the record that iteration handed out last."""

    position: int | None
    is_paused: bool = False
    is_owned: bool = True
    was_handed_out: bool = False
    finished: int | None = None
    in_hand: int | None = None

    def may_commit(self, *, in_peace: bool) -> int | None:
        """How far a member that commits by itself may do so when it ends: a record in hand was never said to be finished."""
        if not in_peace or self.position is None:
            return self.finished
        return self.position if self.in_hand is None else min(self.position, self.in_hand)


@dataclass
class ModelMember:
    """A consumer in a group. `wanted` are topics, or a pattern; `topics` is what that amounted to when it polled last. With an
    `instance` it is static."""

    number: int
    host: int
    group: str
    instance: str | None
    wanted: tuple[str, ...] | str
    reset: str
    commits_itself: bool
    commits_when_revoked: bool
    topics: tuple[str, ...] = ()
    lanes: dict[TopicPartition, Lane] = field(default_factory=dict)

    def has_stale_work(self) -> bool:
        """Does what a commit without offsets acknowledges include a partition that is not this member's any more?"""
        return any(lane.was_handed_out and not lane.is_owned for lane in self.lanes.values())


class ModelGroup:
    """`committed` is what everybody sees, `synced` what even a power cut leaves, `begun` where it began to read. `taken` is
    what the last reset or deletion of offsets took away. `members` are those that have joined, by polling; `away` are the
    instances of static members that are gone, and whose partitions are kept for them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.committed: dict[TopicPartition, int] = {}
        self.synced: dict[TopicPartition, int] = {}
        self.made = next(_made)
        self.begun: dict[TopicPartition, int] = {}
        self.taken: dict[TopicPartition, int | None] = {}
        self.members: dict[int, ModelMember] = {}
        self.away: set[str] = set()

    def join(self, member: ModelMember) -> ModelMember | None:
        """A member polls for the first time. Returns the older one that has to yield to it."""
        older = next(
            (each for each in self.members.values() if member.instance is not None and each.instance == member.instance), None
        )
        if older is not None:
            del self.members[older.number]
            for lane in older.lanes.values():
                lane.is_owned = False
        self.members[member.number] = member
        self.away.discard(member.instance or "")
        return older

    def part(self, member: ModelMember) -> bool:
        """A member leaves, or dies; False if it never was one."""
        was_here = self.members.pop(member.number, None) is not None
        if was_here and member.instance is not None:
            self.away.add(member.instance)
        return was_here

    def topics(self) -> set[str]:
        return {topic for member in self.members.values() for topic in member.topics}

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        for place, offset in offsets.items():
            self.committed[place] = max(self.committed.get(place, 0), offset)

    def sync(self) -> None:
        """Everything that is committed is on disk now."""
        self.synced = dict(self.committed)

    def commit_handed_out(self, member: ModelMember) -> bool:
        """What a commit without offsets does: all of it or nothing; False: nothing, because a partition is another's now."""
        if member.has_stale_work():
            return False
        self.commit_owned(member)
        return True

    def commit_owned(self, member: ModelMember) -> None:
        """Commit what the member was handed out of the partitions that it owns."""
        for place, lane in member.lanes.items():
            if lane.was_handed_out and lane.is_owned:
                self.commit({place: lane.position or 0})
                lane.was_handed_out = False

    def ask_for_more(self, member: ModelMember) -> None:
        """A member polls or iterates: what it got before is finished."""
        for lane in member.lanes.values():
            lane.in_hand = None
            if lane.was_handed_out:
                lane.finished = lane.position

    def commit_finished(self, member: ModelMember, *, in_peace: bool) -> None:
        """What a member that commits by itself commits without being asked for more."""
        for place, lane in member.lanes.items():
            offset = lane.may_commit(in_peace=in_peace)
            if lane.was_handed_out and lane.is_owned and offset is not None:
                self.commit({place: offset})
                lane.was_handed_out = offset != lane.position

    def set_offsets(self, offsets: Mapping[TopicPartition, int | None]) -> None:
        """What a reset, an undo or a deletion of offsets does: the owners lose the partitions."""
        self.taken = {place: self.committed.get(place) for place in offsets}
        for place, offset in offsets.items():
            self.begun.pop(place, None)
            for known in (self.committed, self.synced):
                known.pop(place, None)
                if offset is not None:
                    known[place] = offset
            self.fence(place)

    def fence(self, place: TopicPartition) -> None:
        for member in self.members.values():
            if place in member.lanes:
                member.lanes[place].is_owned = False

    def remove_topic_from_groups(self, topic: str) -> None:
        for known in (self.committed, self.synced, self.taken, self.begun):
            for place in [place for place in known if place.topic == topic]:
                del known[place]
        for place in {place for member in self.members.values() for place in member.lanes if place.topic == topic}:
            self.fence(place)

    # --- what members were told ------------------------------------------------------------------------------

    def assigned(self, member: ModelMember, places: Iterable[TopicPartition]) -> None:
        for place in places:
            owners = [other.number for other in self.members.values() if place in other.lanes and other.lanes[place].is_owned]
            assert not owners, f"{place} was given to member {member.number} while member {owners} owned it"
            assert place not in member.lanes, f"member {member.number} was told twice that {place} is its own"
            member.lanes[place] = Lane(self.committed.get(place))

    def revoked(self, member: ModelMember, places: Iterable[TopicPartition]) -> None:
        if member.commits_itself and not member.has_stale_work():
            self.commit_finished(member, in_peace=False)
        for place in places:
            assert member.lanes[place].is_owned, f"{place} was revoked from member {member.number}, which had lost it"
        if member.commits_when_revoked:
            assert self.commit_handed_out(member), f"member {member.number} was not told what it lost before what it gives up"
        for place in places:
            del member.lanes[place]

    def lost(self, member: ModelMember, places: Iterable[TopicPartition]) -> None:
        for place in places:
            assert not member.lanes.pop(place).is_owned, f"member {member.number} was told that {place} is lost, and owned it"


class ModelTopic:
    """`kind` names the settings it was made with."""

    def __init__(self, name: str, kind: str, partitions: int) -> None:
        self.name = name
        self.kind = kind
        self.partitions: list[ModelPartition] = []
        self.grow(partitions)

    def grow(self, partitions: int) -> None:
        for number in range(len(self.partitions), partitions):
            self.partitions.append(ModelPartition(TopicPartition(self.name, number)))

    def partition_of(self, key: bytes) -> int:
        return (murmur2(key) & 0x7FFFFFFF) % len(self.partitions)


class ModelStore:
    def __init__(self) -> None:
        self.topics: dict[str, ModelTopic] = {}
        self.groups: dict[str, ModelGroup] = {}
        self.members: dict[int, ModelMember] = {}

    def partition(self, place: TopicPartition) -> ModelPartition:
        return self.topics[place.topic].partitions[place.partition]

    def partitions(self) -> list[ModelPartition]:
        return [partition for topic in self.topics.values() for partition in topic.partitions]

    def delete_topic(self, name: str) -> None:
        del self.topics[name]
        for group in self.groups.values():
            group.remove_topic_from_groups(name)

    def resolve(self, wanted: tuple[str, ...] | str) -> tuple[str, ...]:
        """The topics that a subscription amounts to now."""
        if isinstance(wanted, str):
            return tuple(name for name in sorted(self.topics) if re.fullmatch(wanted, name))
        return tuple(sorted(set(wanted)))

    def places(self, topics: Iterable[str]) -> set[TopicPartition]:
        """All partitions of those of these topics that exist."""
        return {part.place for name in topics if name in self.topics for part in self.topics[name].partitions}

    def lag(self, group: ModelGroup) -> dict[TopicPartition, int | None]:
        lags: dict[TopicPartition, int | None] = {}
        for place in self.places(group.topics()) | set(group.committed) | set(group.begun):
            position = group.committed.get(place, group.begun.get(place))
            partition = self.partition(place)
            lags[place] = None if position is None else partition.end_offset - max(position, partition.start_offset)
        return lags

    def begin(self, member: ModelMember, places: Iterable[TopicPartition]) -> None:
        """The member was given these: where nobody of its group has ever been, the group begins there by the member's reset."""
        group = self.groups[member.group]
        for place in places:
            if place in group.committed or place in group.begun or member.reset == "error":
                continue
            partition = self.partition(place)
            group.begun[place] = partition.end_offset if self._is_skipped(member, place) else partition.start_offset

    def _is_skipped(self, member: ModelMember, place: TopicPartition) -> bool:
        """Does the member skip what is there? Not where the partition was made when its group was there."""
        return member.reset == "latest" and self.partition(place).made < self.groups[member.group].made

    # --- what members read -----------------------------------------------------------------------------------

    def hand_out(self, member: ModelMember, records: Sequence[Record], records_max: int) -> None:
        """A poll returned these records: each partition goes on where it was, and nothing is held back."""
        assert len(records) <= records_max
        found: dict[TopicPartition, list[Record]] = {}
        for record in records:
            found.setdefault(TopicPartition(record.topic, record.partition), []).append(record)
        for place, lane in member.lanes.items():
            begin = self._begin(member, place, lane)
            expected = [] if lane.is_paused else self.partition(place).following(begin)
            got = found.pop(place, [])
            needed = [record for record in expected if len(records) < records_max or (got and record.offset <= got[-1].offset)]
            read = [record for record in got if record not in self.partition(place).compacted or record.offset < begin]
            assert read == needed, f"member {member.number} read {got} of {place}, and not {needed}"
            assert [record.offset for record in got] == sorted({record.offset for record in got})
            if got:
                lane.position = got[-1].offset + 1
                lane.was_handed_out = True
        assert not found, f"member {member.number} read {sorted(found)}, which are not its own"

    def check_positions(self, member: ModelMember, positions: Mapping[TopicPartition, int]) -> None:
        """What the member says of its positions is so. Where it had none, saying it has chosen one."""
        assert positions.keys() == member.lanes.keys(), f"member {member.number} has {positions}, and not {member.lanes}"
        for place, position in positions.items():
            lane = member.lanes[place]
            begin, known = self._begin(member, place, lane), self._known(member, place, lane)
            is_known = position in (lane.position, begin) or self._is_gap(place, begin, position)
            assert is_known, f"member {member.number} is at {position} of {place}, and not at {lane.position} or {begin}"
            if known is not None and position != known:
                lane.was_handed_out = True  # it went over a gap, or what is gone: a commit is of positions
            if position == begin != known and member.reset == "latest" and lane.is_owned:
                self.groups[member.group].commit({place: position})
            lane.position = position

    def _is_gap(self, place: TopicPartition, start: int, stop: int) -> bool:
        partition = self.partition(place)
        return start <= stop <= partition.end_offset and not [each for each in partition.following(start) if each.offset < stop]

    def _known(self, member: ModelMember, place: TopicPartition, lane: Lane) -> int | None:
        """Where the member is, or begins whatever stands there: in a partition that was made when its group was there."""
        is_chosen = lane.position is not None or member.reset != "latest" or self._is_skipped(member, place)
        return lane.position if is_chosen else self.groups[member.group].begun.get(place)

    def _begin(self, member: ModelMember, place: TopicPartition, lane: Lane) -> int:
        """Where the next record is looked for: retention may have gone past the position."""
        partition, known = self.partition(place), self._known(member, place, lane)
        if known is not None and known >= partition.start_offset:
            return known
        return partition.start_offset if member.reset == "earliest" else partition.end_offset
