"""The wall clock jumps back and forth, by seconds to decades, while processes append, consume and keep house.

Retention goes by the wall clock, because timestamps do; everything else must not notice: leases, waits, flushes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import eventlog
from tests.support import sleepers, stores
from tests.support.bare_store import BareStore
from tests.support.processes import Interpreter
from tests.support.stores import TOPIC
from torture.campaign import Run
from torture.campaigns.time.clock import WallClock

_PARTITIONS = 3
_RETENTION_MS = 3_600_000
_SLACK_MS = 60_000  # real time that goes by while a phase lasts
_LEASE_MS = 30_000  # no real time that a phase takes; any jump is longer, or shorter than a second
_SECOND_MS, _YEAR_MS = 1_000, 31_536_000_000
_EARLIEST_MS, _LATEST_MS = _YEAR_MS, 130 * _YEAR_MS
_STEPS_MS = (500, 5 * _SECOND_MS, 120 * _SECOND_MS, 7_200 * _SECOND_MS, 864_000 * _SECOND_MS, _YEAR_MS, 20 * _YEAR_MS)
_GROUP = "by-the-clock"
_MEMBER = {"max_poll_interval_ms": _LEASE_MS, "assignor": "range"}
_STATIC = {**_MEMBER, "instance_id": "fixed", "session_timeout_ms": 20 * _LEASE_MS}


class _Round:
    """The processes of one store, and what is known of it."""

    def __init__(self, run: Run, store: Path, clock: WallClock, stack: ExitStack) -> None:
        self._run = run
        self._store = store
        self._clock = clock
        self._bare = BareStore(store)
        self._stack = stack
        self._seen: list[dict[int, int]] = [{} for _ in range(_PARTITIONS)]  # timestamps by offset
        self._latest_ms = clock.now_ms()  # that was ever shown
        self._writers = [self._start(sleepers.append_by_clock, number) for number in range(_PARTITIONS)]
        self._keeper = self._start(sleepers.maintain_by_clock)
        self._members = [self._start(sleepers.consume_when_told, _GROUP, _MEMBER) for _ in range(_PARTITIONS - 1)]

    def _start(self, role: Callable[..., None], *arguments: Any) -> Interpreter:
        process = Interpreter(role, self._store, *arguments, environment=self._clock.environment)
        self._stack.enter_context(process)
        return process

    def settle(self) -> None:
        """Give each member its partition; then the static one is killed: its partition is kept for it."""
        static = self._start(sleepers.consume_when_told, _GROUP, _STATIC)
        self._owned: list[list[int]] = []
        while sorted(self._owned) != [[number] for number in range(_PARTITIONS)]:
            self._owned = [self._step(member, "poll") for member in (static, *self._members)]
        static.kill()

    def _step(self, member: Interpreter, step: str) -> list[int]:
        member.send(step)
        done, _, assigned, lost = member.receive()
        assert done != "stale" and not lost, f"a lease ended because the wall clock was set: lost {lost}, {done}"
        return list(assigned)

    def jump(self) -> int:
        step = self._run.random.choice(_STEPS_MS) * self._run.random.choice((-1, 1))
        wall_ms = min(max(self._clock.now_ms() + step, _EARLIEST_MS), _LATEST_MS)
        self._clock.set(wall_ms)
        self._latest_ms = max(self._latest_ms, wall_ms)
        self._run.count("clock jumps")
        return wall_ms

    def phase(self) -> None:
        """Everybody does something, at one time of the clock or while it is set again; then all is looked at."""
        shown = [self.jump()]
        for writer in self._writers:
            writer.send(self._run.random.randrange(1, 60))
        if is_restless := self._run.random.random() < 0.5:
            shown.append(self.jump())
        said = [writer.receive() for writer in self._writers]
        if is_restless:
            shown.append(self.jump())
        for offsets, before, after, (in_vain, is_on_disk, has_come) in said:
            assert (in_vain, is_on_disk, has_come) == (False, True, True), (in_vain, is_on_disk, has_come)
            near = [abs(moment - wall) < _SLACK_MS for moment in (before, after) for wall in shown]
            assert any(near), f"the clock showed {shown}, but the process saw {before} and {after}"
            self._run.count("records appended", len(offsets) + 1)
        for member, owned in zip(self._members, self._owned[1:], strict=True):
            for step in ("poll", "commit", "poll"):
                assert self._step(member, step) == owned, f"partitions moved because the wall clock was set to {shown}"
        self._keep_house()

    def _keep_house(self) -> None:
        self._look()
        self._keeper.send("go")
        assert self._keeper.receive() == []
        self._look()

    def _look(self) -> None:
        """What is gone was old by some time that the clock has shown; what is there is found by its time."""
        with eventlog.open(self._store, fsync="never") as log:
            for number, seen in enumerate(self._seen):
                partition = stores.open_partition(log, number)
                records = self._bare.records(TOPIC, number)
                start = records[0].offset if records else partition.end_offset
                assert partition.start_offset == start
                limit = self._latest_ms + _SLACK_MS - _RETENTION_MS
                for offset in [offset for offset in seen if offset < start]:
                    timestamp = seen.pop(offset)
                    assert timestamp < limit, f"{TOPIC}-{number}: {offset} of {timestamp} is gone, younger than {limit}"
                    self._run.count("records expired")
                seen.update((record.offset, record.timestamp) for record in records)
                assert len(seen) == len(records)
                for wanted in self._run.random.sample([record.timestamp for record in records], min(8, len(records))):
                    found = partition.offset_for_time(wanted)
                    expected = next(record.offset for record in records if record.timestamp >= wanted)
                    assert found == expected, f"{TOPIC}-{number}: {wanted} is first at {expected}, not {found}"
                    self._run.count("offsets found by time")

    def finish(self) -> None:
        """The static member finds its partition as it left it; retention goes by the clock as it is now."""
        returned = self._start(sleepers.consume_when_told, _GROUP, _STATIC)
        for member, owned in zip([returned, *self._members], self._owned, strict=True):
            assert self._step(member, "poll") == owned, "a static member lost its partition because the wall clock was set"
        self._latest_ms += 2 * _RETENTION_MS
        self._clock.set(self._latest_ms)
        self._keep_house()
        assert not any(self._seen), "records that are too old by any time that was shown are kept"


def jump_about(run: Run) -> None:
    """Rounds with a store each."""
    clock = WallClock(run.directory)
    for number in range(run.amount(1, 20)):
        store = run.directory / f"jumps-{number}"
        small = {"segment_bytes": 4096, "index_interval_bytes": 256, "retention_ms": _RETENTION_MS}
        stores.create(store, partitions=_PARTITIONS, **small)
        with ExitStack() as stack:
            played = _Round(run, store, clock, stack)
            played.settle()
            for _ in range(run.amount(12, 40)):
                played.phase()
            played.finish()
