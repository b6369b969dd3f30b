"""What all rules build on: the processes, the model, how the two go together, and what is compared after every step."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

import eventlog
from eventlog import EventLog, Record, TopicPartition
from tests.support import kafka_format, stores
from tests.support.machine.host import Happened, Host, Read, RemoteHost, Reply
from tests.support.machine.model import ModelGroup, ModelMember, ModelStore
from tests.support.model import Event

TOPICS = ("orders", "visits", "prices")
GROUPS = {"billing": "cooperative-sticky", "shipping": "range", "audit": "round-robin"}
HOSTS = 3  # the first is this process
_SETTLE_SECONDS_MAX = 60.0
_FOREVER_MS = 3_600_000  # a static member that is away stays so
_COMMANDS_BETWEEN_RARE_THINGS = 12

hosts = st.integers(0, HOSTS - 1)
topics = st.sampled_from(TOPICS)
groups = st.sampled_from(list(GROUPS))
places = st.integers(0, 2**16)  # of anything that there are some of: taken modulo their number


@dataclass
class Sent:
    """A record that was sent; `offset` is None while it waits in its producer. `is_gone`: its topic was deleted."""

    place: TopicPartition
    event: Event
    offset: int | None
    is_gone: bool = False

    @property
    def is_waiting(self) -> bool:
        return self.offset is None and not self.is_gone


class Foundation(RuleBasedStateMachine):
    """`counts` is the class's: what all runs together have done. `parent` is where stores are made."""

    counts: ClassVar[Counter[str]] = Counter()
    parent: ClassVar[Path | None] = None  # the directory for temporary files

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="eventlog-machine-", dir=self.parent))
        self.store = self.directory / "store"
        self.model = ModelStore()
        self.hosts: dict[int, Host | RemoteHost] = {}
        self.sent: dict[int, list[Sent]] = {host: [] for host in range(HOSTS)}
        self._generations: dict[str, int] = {}
        self._members = 0
        self._commands = 0  # since the last rare one
        self.open_here()
        self.counts["examples"] += 1

    def open_here(self) -> None:
        """Open the store in this process."""
        self.hosts[0] = Host(self.store)

    @property
    def log(self) -> EventLog:
        """The store as this process has it open; all comparisons look through it."""
        here = self.hosts[0]
        assert isinstance(here, Host)
        return here.log

    @property
    def is_time_for_rare_things(self) -> bool:
        """Has enough been done since the last one of what takes long, and finds little twice in a row?"""
        return self._commands >= _COMMANDS_BETWEEN_RARE_THINGS

    def is_rare(self) -> None:
        """One of them is done now."""
        self._commands = 0

    # --- commands --------------------------------------------------------------------------------------------

    def ask(self, host: int, command: str, *arguments: Any) -> Reply:
        """Have one of the processes, which is started if it is not there, do something."""
        if host not in self.hosts:
            self.hosts[host] = RemoteHost(self.store)
            self.counts["processes"] += 1
        self.counts["commands"] += 1
        self._commands += 1
        return self.hosts[host].do(command, *arguments)

    def do(self, host: int, command: str, *arguments: Any, raises: str | None = None) -> Any:
        """The same; the command has to raise this error, or none. What listeners heard is brought into the model."""
        reply = self.ask(host, command, *arguments)
        assert reply.raised == raises, f"{command}{arguments} on {host} raised {reply.raised}, not {raises}: {reply.text}"
        for happened in reply.happened:
            self.hear(happened)
        return reply.value

    def hear(self, happened: Happened) -> None:
        """A listener of a member was called."""
        number, what, partitions = happened
        member = self.model.members[number]
        if what == "assigned":
            self.model.begin(member, partitions)
        getattr(self.model.groups[member.group], what)(member, partitions)
        self.counts[f"partitions {what}"] += len(partitions)

    # --- producers -------------------------------------------------------------------------------------------

    def take_account(self, host: int) -> None:
        """Records that waited in this process may be in the log by now: the oldest of each partition first."""
        for place in {sent.place for sent in self.sent[host] if sent.is_waiting}:
            waiting = [sent for sent in self.sent[host] if sent.place == place and sent.is_waiting]
            partition = self.model.partition(place)
            arrived = self.log.offsets(place.topic)[place.partition].end_offset - partition.end_offset
            assert 0 <= arrived <= len(waiting), f"{arrived} records came into {place}, and {len(waiting)} were waiting"
            for sent in waiting[:arrived]:
                sent.offset = partition.append(sent.event)

    # --- members ---------------------------------------------------------------------------------------------

    def open_like(self, member: ModelMember) -> ModelMember:
        """A new consumer with all the choices of this one."""
        self._members += 1
        opened = replace(member, number=self._members, topics=(), lanes={})
        self.model.members[opened.number] = opened
        options = {
            "group": opened.group,
            "assignor": GROUPS[opened.group],
            "auto_offset_reset": opened.reset,
            "auto_commit": opened.commits_itself,
            # At most polls, or only where a partition is given up and at the end.
            "auto_commit_interval_ms": 1 if opened.number % 2 else _FOREVER_MS,
            "instance_id": opened.instance,
            "session_timeout_ms": _FOREVER_MS,
        }
        self.do(opened.host, "open_consumer", opened.number, opened.wanted, opened.commits_when_revoked, options)
        return opened

    def member(self, place: int) -> ModelMember:
        """One of the consumers."""
        numbers = sorted(self.model.members)
        return self.model.members[numbers[place % len(numbers)]]

    def poll(self, member: ModelMember, records_max: int, timeout: float = 0.0) -> None:
        """Let a member poll, and compare what it says."""
        self._read(member, records_max, "poll", timeout, records_max)

    def iterate(self, member: ModelMember, fails: bool) -> None:
        """Let a member take one record by iteration, and leave the loop with it in hand."""
        for record in self._read(member, 1, "iterate", fails):
            lane = member.lanes[TopicPartition(record.topic, record.partition)]
            lane.finished = lane.in_hand = record.offset
            self.counts["records left in hand"] += 1

    def _read(self, member: ModelMember, records_max: int, command: str, *arguments: Any) -> list[Record]:
        group = self.model.groups.setdefault(member.group, ModelGroup(member.group))
        older = group.join(member) if member.number not in group.members else None
        reply = self.ask(member.host, command, member.number, *arguments)
        assert reply.raised is None, f"a {command} of member {member.number} raised {reply.raised}: {reply.text}"
        if member.commits_itself:
            self._take_account_of_commit(group, member)
        group.ask_for_more(member)
        for happened in reply.happened:
            self.hear(happened)
        read: Read = reply.value
        member.topics = self.model.resolve(member.wanted)
        assert read.topics == member.topics
        self.model.hand_out(member, read.records, records_max)
        self.model.check_positions(member, read.positions)
        self.counts["records handed out"] += len(read.records)
        if older is not None:
            self._see_it_yield(older)
        return read.records

    def _take_account_of_commit(self, group: ModelGroup, member: ModelMember) -> None:
        """A poll of a member that commits by itself begins with that, if enough time has passed: all of it, or nothing.

        With stale work, nothing is committed until the poll has noticed what the member lost; then the rest may be."""
        offered = {place for place, lane in member.lanes.items() if lane.was_handed_out and lane.is_owned}
        found = self.log.group(group.name).committed()
        if any(found.get(place) != group.committed.get(place) for place in offered):
            group.commit_owned(member)

    def _see_it_yield(self, member: ModelMember) -> None:
        """A static member whose place another consumer took is told so, and can do nothing but close."""
        self.do(member.host, "poll", member.number, 0.0, 1, raises="StaleMemberError")
        assert not member.lanes, f"member {member.number} was not told that it lost {sorted(member.lanes)}"
        self.do(member.host, "close_consumer", member.number)
        del self.model.members[member.number]
        self.counts["static members replaced"] += 1

    def leave(self, member: ModelMember) -> None:
        """A member closed its consumer."""
        group = self.model.groups.get(member.group)
        if group is None or member.number not in group.members:
            del self.model.members[member.number]
            self.do(member.host, "close_consumer", member.number)
            return
        if member.commits_itself:
            for lane in member.lanes.values():
                lane.was_handed_out &= lane.is_owned
            group.commit_finished(member, in_peace=True)
        self.do(member.host, "close_consumer", member.number)
        assert not member.lanes, f"member {member.number} was not told that it gives up {sorted(member.lanes)}"
        del self.model.members[member.number]
        group.part(member)
        is_awaited = any(start < self.model.partition(place).end_offset for place, start in group.begun.items())
        if not (group.members or group.away or group.committed or is_awaited):
            del self.model.groups[group.name]  # it goes with its last member

    def end_with_store(self, member: ModelMember) -> None:
        """The store of a member's process is about to be closed, and the member with it: that finishes nothing."""
        del self.model.members[member.number]
        group = self.model.groups.get(member.group)
        if group is None or member.number not in group.members:
            return
        for lane in member.lanes.values():
            lane.was_handed_out &= lane.is_owned
        if member.commits_itself:
            group.commit_finished(member, in_peace=False)
        if member.commits_when_revoked and any(lane.is_owned for lane in member.lanes.values()):
            group.commit_handed_out(member)
        group.part(member)
        if not (group.members or group.away or group.committed):
            del self.model.groups[group.name]
        self.counts["members closed with their store"] += 1

    def settle(self, group: ModelGroup) -> None:
        """Let all members poll until each has what it is to have, and together they have everything."""
        deadline = time.monotonic() + _SETTLE_SECONDS_MAX
        while not self._is_settled(group):
            assert time.monotonic() < deadline, f"{group.name} does not settle: {self.log.group(group.name).describe()}"
            for member in list(group.members.values()):
                self.poll(member, records_max=1, timeout=0.01)
        self.counts["groups settled"] += 1

    def _is_settled(self, group: ModelGroup) -> bool:
        """What is kept for static members that are away is nobody's."""
        described = self.log.group(group.name).describe().members
        owned = [place for member in described for place in member.partitions]
        return bool(
            all(member.topics == self.model.resolve(member.wanted) for member in group.members.values())
            and all(member.partitions == tuple(sorted(member.assigned)) for member in described)
            and len(owned) == len(set(owned))
            and (group.away or set(owned) == self.model.places(group.topics()))
            and all(lane.is_owned for member in group.members.values() for lane in member.lanes.values())
            and sorted(owned) == sorted(place for member in group.members.values() for place in member.lanes)
        )

    # --- comparisons -----------------------------------------------------------------------------------------

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        """Topics, offsets, every record, groups, committed offsets here and on disk, lag and members."""
        self.counts["steps"] += 1
        self.compare(self.log)
        for group in self.model.groups.values():
            description = self.log.group(group.name).describe()
            assert dict(description.lag) == self.model.lag(group)
            assert len(description.members) == len(group.members)
            self.counts["rebalances"] += max(0, description.generation - self._generations.get(group.name, 0))
            self._generations[group.name] = description.generation
            self._see_synced(group)

    def _see_synced(self, group: ModelGroup) -> None:
        """The catalog, which is on disk, has what a power cut must not take."""
        with self.log.store.catalog.groups.read(group.name) as found:
            stored = {place: each.offset for place, each in found.offsets().items()}
        for place, offset in group.synced.items():
            assert stored.get(place, -1) >= offset, f"{group.name} synced {offset} of {place}, and on disk is {stored}"

    def compare(self, log: EventLog) -> None:
        """What a store has, this one or a restored one, is what the model has."""
        assert log.topics() == sorted(self.model.topics)
        for partition in self.model.partitions():
            topic, number = partition.place
            offsets = log.offsets(topic)[number]
            assert (offsets.start_offset, offsets.end_offset) == (partition.start_offset, partition.end_offset), topic
            if partition.end_offset > 0:
                assert list(log.partition(topic, number).records()) == partition.records
        assert log.groups() == sorted(self.model.groups)
        for group in self.model.groups.values():
            assert log.group(group.name).committed() == group.committed

    # --- the end ---------------------------------------------------------------------------------------------

    def close_here(self) -> None:
        """Close the consumers of this process, and its store."""
        for member in [member for member in self.model.members.values() if member.host == 0]:
            self.leave(member)
        self.hosts[0].close()

    def kill(self, host: int) -> list[ModelMember]:
        """Kill a process with its members, which are returned, and with what waits in its producer."""
        remote = self.hosts.pop(host)
        assert isinstance(remote, RemoteHost)
        remote.kill()
        self.sent[host] = []
        self.counts["processes killed"] += 1
        killed = [member for member in self.model.members.values() if member.host == host]
        for member in killed:
            del self.model.members[member.number]
            if member.group in self.model.groups:
                self.counts["members killed"] += self.model.groups[member.group].part(member)
        return killed

    def teardown(self) -> None:
        """At the end, unless something was wrong before, the files hold what the model has, by a reader of their own."""
        was_right = sys.exc_info()[0] is None
        try:
            for host in [host for host in self.hosts if host != 0]:
                self.kill(host)
            if was_right:
                self.do(0, "flush_producers")
                self.take_account(0)
                assert [report.problems for report in self.log.verify() if report.problems] == []
                self.close_here()
                self._check_files()
        finally:
            self.hosts[0].close()
            shutil.rmtree(self.directory)

    def _check_files(self) -> None:
        for partition in self.model.partitions():
            if partition.end_offset > 0 and self.model.topics[partition.place.topic].kind != "compressed":
                found = self._records_in_files(partition.place, partition.start_offset)
                assert found == partition.records, f"the files of {partition.place} hold {found}, not {partition.records}"

    def _records_in_files(self, place: TopicPartition, start_offset: int) -> list[Record]:
        segments = stores.segments(self.store, place.partition, place.topic)
        parsed = [record for path in segments for batch in kafka_format.parse_log(path) for record in batch.records]
        records = [Record(*place, each.offset, each.timestamp, each.key, each.value, each.headers) for each in parsed]
        return [record for record in records if record.offset >= start_offset]


def open_elsewhere(path: Path) -> EventLog:
    """A store that was restored."""
    return eventlog.open(path, create=False)
