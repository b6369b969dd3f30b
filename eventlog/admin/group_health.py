"""What is wrong with a consumer group: members that hang, offsets out of range, lag that nobody works on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from eventlog.catalog.groups import GroupCatalog, GroupState, Member
from eventlog.groups.coordinator import alive_members
from eventlog.groups.presence import ObservedPresence
from eventlog.groups.snapshot import is_reset_unfinished
from eventlog.storage.mapped.foreign_heads import read_partition_offsets
from eventlog.storage.mapped.offset_slots import read_unseen
from eventlog.storage.partition.snapshot import Ends
from eventlog.storage.segments import names

_LAG_WITHOUT_MEMBERS = 10_000

_Found = tuple[str, str, str | None]


def check_group(store: Path, groups: GroupCatalog, name: str) -> Iterator[_Found]:
    """Each finding as severity, text and command."""
    with groups.read(name) as group:
        state, offsets = group.state, group.offsets()
    if state is None:
        return
    with closing(ObservedPresence(names.members_file(store))) as presence:
        alive = alive_members(store, state, presence)
    if alive:
        yield from _hanging(store, state, alive)
    if is_reset_unfinished(store, state, offsets):
        text = "its offsets were reset by a process that died before its members could go by that"
        yield "warning", text, "eventlog maintain"
    lag, last = 0, Ends(store)
    for partition, stored in sorted(offsets.items()):
        ends = read_partition_offsets(store, *partition)
        position = stored.offset if stored.offset >= 0 else stored.start
        if position < 0 or ends is None:
            continue
        where = f"{partition.topic}/{partition.partition}"
        if stored.offset > ends.end_offset:
            text = (
                f"it has committed {stored.offset} of {where}, which ends at {ends.end_offset}: the log has lost records, "
                "as after an incomplete copy, and the group would skip new ones"
            )
            yield "error", text, f"eventlog groups reset {name} --topic {partition.topic} --to latest --execute"
        elif 0 <= stored.offset < ends.start_offset:
            text = f"it has committed {stored.offset} of {where}, which starts at {ends.start_offset}: the rest is deleted"
            yield "warning", text, None
        lag += last.lag(*partition, position, ends)
    if not alive and lag >= _LAG_WITHOUT_MEMBERS:
        yield "warning", f"it has no members, and {lag} records are waiting", f"eventlog groups describe {name}"


def _hanging(store: Path, state: GroupState, alive: Sequence[Member]) -> Iterator[_Found]:
    """Members whose process lives but that do not poll."""
    seats = [(member.seat, member.epoch) for member in alive]
    unseen = read_unseen(names.acks_file(store, state.name), state.incarnation, seats)
    for member, unseen_ms in zip(alive, unseen, strict=True):
        if unseen_ms > member.lease_ms:
            text = (
                f"member {member.member_id} has not polled for {unseen_ms // 1000} s: its process {member.process_id} "
                "hangs, or is stopped, and loses its partitions to other members"
            )
            yield "warning", text, f"kill -CONT {member.process_id}"
