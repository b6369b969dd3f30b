"""Members are stopped for longer than their lease: others take over, and who wakes up is fenced.

Members do a step when they are told, so that it is known what each of them has in hand at the moment it is stopped.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import eventlog
from eventlog import EventLog
from tests.support import sleepers, stores
from tests.support.processes import Worker
from torture.campaign import Run

_PARTITIONS = 6
_MEMBERS = 3
_LEASE_MS = 400
_TURNS_SECONDS_MAX = 60.0
_GROUP = "sleepers"


class _Member:
    """A member, what it owns, and the records that it was handed."""

    def __init__(self, store: Path, stack: ExitStack) -> None:
        options = {"max_poll_interval_ms": _LEASE_MS}
        self.worker = stack.enter_context(Worker(sleepers.consume_when_told, store, _GROUP, options))
        self.owned: list[int] = []
        self.handed_out: list[tuple[int, int]] = []

    def begin(self, step: str) -> None:
        self.worker.send(step)

    def end(self) -> str:
        done, spans, self.owned, _ = self.worker.receive()
        self.handed_out.extend((number, offset) for number, first, stop in spans for offset in range(first, stop))
        return str(done)

    def do(self, step: str) -> str:
        self.begin(step)
        return self.end()


class _Round:
    """A group at work on a store."""

    def __init__(self, run: Run, store: Path, log: EventLog, stack: ExitStack) -> None:
        self._run = run
        self._log = log
        self._members = [_Member(store, stack) for _ in range(_MEMBERS)]
        self._ends = [0] * _PARTITIONS
        self._excused: Counter[tuple[int, int]] = Counter()  # handed to somebody who was stopped before it could commit

    def append(self) -> None:
        for number in range(_PARTITIONS):
            offsets = stores.open_partition(self._log, number).append_many([b"%d" % number] * self._run.random.randrange(1, 20))
            self._ends[number] = offsets.stop

    def share(self, awake: list[_Member], *, is_everything_read: bool = False) -> None:
        """Let these members have turns until they own all partitions, and if asked until all is read and committed."""
        deadline = time.monotonic() + _TURNS_SECONDS_MAX
        while True:
            begun = time.monotonic()
            for member in awake:
                member.do("poll")
                if member.do("commit") == "stale":  # it had no processor for longer than its lease
                    self._excuse(member)
            owned = sorted(number for member in awake for number in member.owned)
            if time.monotonic() - begun < _LEASE_MS / 1000:  # else what the first one owned may be another's by now
                assert len(set(owned)) == len(owned), f"a partition has two owners: {[member.owned for member in awake]}"
            committed = self._committed()
            if owned == list(range(_PARTITIONS)) and (not is_everything_read or committed == self._ends):
                return
            assert time.monotonic() < deadline, f"{_TURNS_SECONDS_MAX} s: {owned}, committed {committed} of {self._ends}"

    def _committed(self) -> list[int]:
        committed = {place.partition: offset for place, offset in self._log.group(_GROUP).committed().items()}
        return [committed.get(number) or 0 for number in range(_PARTITIONS)]

    def _excuse(self, member: _Member) -> None:
        committed = self._committed()
        self._excused.update((number, offset) for number, offset in member.handed_out if offset >= committed[number])

    def stop_one(self) -> None:
        """A member is stopped with records in hand that it has not committed; it wakes up when others have its partitions."""
        victim = self._run.random.choice(self._members)
        others = [member for member in self._members if member is not victim]
        victim.do("poll")
        had = list(victim.owned)
        victim.worker.stop()
        self._excuse(victim)
        self.share(others)
        before = self._committed()
        victim.worker.resume()
        if had:
            assert victim.do("commit") == "stale", f"a member that lost {had} while it was stopped could commit"
        assert self._committed() == before, f"a fenced member moved offsets from {before} to {self._committed()}"
        self._run.count("members stopped for longer than their lease")

    def stop_one_at_work(self) -> None:
        """The same for one that is stopped anywhere inside a poll or a commit."""
        victim = self._run.random.choice(self._members)
        victim.do("poll")
        victim.begin(self._run.random.choice(("poll", "commit")))
        if self._run.random.random() < 0.5:
            time.sleep(self._run.random.random() * 0.002)  # not to wait for anything: only to hit different points of its way
        victim.worker.stop()
        self._excuse(victim)
        self.share([member for member in self._members if member is not victim])
        victim.worker.resume()
        victim.end()
        self._excuse(victim)
        self._run.count("members stopped inside a call for longer than their lease")

    def stop_all(self) -> None:
        """The machine is suspended: nobody is there to take over, and all leases are over when they wake up."""
        for member in self._members:
            member.do("poll")
            member.worker.stop()
            self._excuse(member)
        time.sleep(2 * _LEASE_MS / 1000)
        for member in self._members:
            member.worker.resume()
        self._run.count("suspensions of all members at once")

    def check(self) -> None:
        """Every record was handed out; twice only where the first one to have it was stopped before it could commit."""
        handed_out = Counter(place for member in self._members for place in member.handed_out)
        for number, end in enumerate(self._ends):
            for offset in range(end):
                times = handed_out[number, offset]
                assert times, f"nobody was given {number}/{offset}"
                assert times <= 1 + self._excused[number, offset], f"{times} members were given {number}/{offset}"
        self._run.count("records handed out", handed_out.total())


def suspend(run: Run) -> None:
    """Rounds with a store each."""
    for number in range(run.amount(1, 15)):
        store = run.directory / f"suspended-{number}"
        stores.create(store, partitions=_PARTITIONS)
        with eventlog.open(store, fsync="never") as log, ExitStack() as stack:
            log.create_group(_GROUP)
            played = _Round(run, store, log, stack)
            played.append()
            played.share(played._members)
            for _ in range(run.amount(8, 30)):
                played.append()
                run.random.choice((played.stop_one, played.stop_one, played.stop_one_at_work, played.stop_all))()
                played.share(played._members, is_everything_read=True)
            played.check()
