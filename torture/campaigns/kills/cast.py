"""The processes of a round, and how each of them ends: somewhere, inside a critical section, or at a system call."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Callable
from itertools import zip_longest
from multiprocessing.connection import wait
from pathlib import Path

from tests.support import fault_points, mortals, movers, tracing
from tests.support.fault_points import Fault, Report
from tests.support.processes import REPLY_SECONDS_MAX, Worker, WorkerFailed
from torture.campaign import Run
from torture.campaigns.kills.account import Account

# How many messages a process of this role sends at most.
_ROLES: dict[Callable[..., None], int] = {
    mortals.append: 60,
    mortals.produce: 120,
    mortals.consume: 50,
    mortals.follow: 75,
    mortals.write_keys: 2400,
    mortals.maintain: 8,
    mortals.operate: 8,
    mortals.be_shaken: 8,
    mortals.shake: 8,
    mortals.stumble: 150,
    mortals.look: 25,
    movers.move: 30,
    movers.witness: 40,
    movers.send_numbered: 240,
}
_SYSTEM_CALLS = ("fallocate", "ftruncate", "fsync", "fdatasync", "pwrite64", "rename", "unlink", "flock")
_AT_FAULT_POINTS, _AT_SYSTEM_CALLS = 0.7, 0.2  # how many of the processes, and how many of the rest
_CALLS = 60
_HALF_PUBLISHED = ("publish.complete", "publish.torn_tail", "publish.tail", "publish.end", "publish.written")
_HALF_COMMITTED = ("take.locked", "commit.locked", "commit.one_locked", "commit.timed", "commit.stored")
_HALF_ABORTED = ("aborted.begun", "aborted.written")
_SUCCEEDED = {"inherit.slot": (3, _HALF_COMMITTED), "discard.aborted": (5, _HALF_ABORTED)}  # after how many roles, and where
_SUCCESSIONS = 0.25  # in how many of the rounds
_DEATHS_WEIGH = 10  # a point where nobody has died yet is tried so much more often
_PASSES = (1, 1, 1, 2, 3, 8, 30)


class Deaths:
    """At which points processes were seen to pass and to die, and which of them is to be tried next."""

    def __init__(self, choices: random.Random) -> None:
        self._choices = choices
        self._passed: dict[Callable[..., None], set[str]] = {role: set() for role in _ROLES}
        self._tried: Counter[str] = Counter()
        self.at: Counter[str] = Counter()

    def next_fault(self, role: Callable[..., None]) -> Fault | None:
        """A point that such processes pass, the one where the least was tried and done; None while none is known."""
        if not self._passed[role]:
            return None
        points = sorted(self._passed[role])
        self._choices.shuffle(points)
        point = min(points, key=lambda name: self._tried[name] + _DEATHS_WEIGH * self.at[name])
        self._tried[point] += 1
        return Fault(point, self._choices.choice(_PASSES if self.at[point] else (1,)))

    def next_succession(self) -> list[Fault | None]:
        """Faults of two writers, the first of a round, or of two members, which come behind the producer, or of two movers
        behind those: one dies in the middle of a publication or a commit, the other one where it inherits what that began."""
        heirs = [name for name in fault_points.points() if name.startswith(("complete.", "inherit.", "discard.aborted"))]
        heir = min(heirs, key=lambda name: (self.at[name], self._choices.random()))
        before, deaths = _SUCCEEDED.get(heir, (0, _HALF_PUBLISHED))
        return [*([None] * before), Fault(self._choices.choice(deaths), self._choices.choice(_PASSES)), Fault(heir)]

    def note(self, role: Callable[..., None], report: Report) -> None:
        self._passed[role] |= report.passed()
        if (point := report.hit()) is not None:
            self.at[point] += 1

    def never(self) -> list[str]:
        """The points at which nobody has died."""
        return [name for name in fault_points.points() if not self.at[name]]


class Mortal:
    """One process, with the number of messages after which it is killed if it is still there."""

    def __init__(
        self, run: Run, deaths: Deaths, store: Path, role: Callable[..., None], report: Path, fault: Fault | None
    ) -> None:
        choices = run.random
        self.role = role
        self._report = Report(report)
        if fault is None and choices.random() < _AT_FAULT_POINTS:
            fault = deaths.next_fault(role)
        self._is_traced = fault is None and choices.random() < _AT_SYSTEM_CALLS and tracing.why_not() is None
        messages_max = _ROLES[role] + 1
        self._messages_left = messages_max if fault is not None or self._is_traced else choices.randrange(messages_max)
        arguments = (role, store, choices.randrange(2**31))
        self.process: Worker
        if self._is_traced:
            prefix = tracing.killing(choices.choice(_SYSTEM_CALLS), choices.randrange(1, _CALLS))
            self.process = fault_points.interpreter(*arguments, report=report, prefix=prefix)
        else:
            self.process = fault_points.worker(*arguments, report=report, fault=fault)

    def listen(self, account: Account) -> bool:
        """Take one message; False when the process is gone, or was killed for having said enough."""
        try:
            account.note(*self.process.receive())
        except (EOFError, OSError):  # OSError: it was killed in the middle of a message
            return False
        self._messages_left -= 1
        if self._messages_left <= 0 and not self._is_traced:
            self.process.kill()
            for message in self.process.drain():
                account.note(*message)
            return False
        return True

    def bury(self, run: Run, deaths: Deaths) -> None:
        """Count how it ended. Raises `AssertionError` if it neither died as it should nor came to its end."""
        status = self.process.exit_status
        deaths.note(self.role, self._report)
        if status == 0:
            run.count("processes that came to their end")
        elif self._report.hit() is not None:
            run.count("kills at fault points")
        else:
            assert status == -signal.SIGKILL, f"{self.role.__name__} ended with status {status}"
            run.count("kills at system calls" if self._is_traced else "kills anywhere")
        self.process.connection.close()


def play(run: Run, deaths: Deaths, store: Path, account: Account, number: int) -> None:
    """Let processes work on the store, all at once, until each has died or come to its end."""
    others = [
        mortals.maintain, mortals.operate, mortals.write_keys, mortals.follow, mortals.be_shaken, mortals.shake,
        mortals.stumble, mortals.look, movers.witness, movers.send_numbered,
    ]  # fmt: skip
    roles = [
        mortals.append, mortals.append, mortals.produce, mortals.consume, mortals.consume, movers.move, movers.move,
        *run.random.sample(others, 2),
    ]  # fmt: skip
    chosen = deaths.next_succession() if run.random.random() < _SUCCESSIONS else []
    running: list[Mortal] = []
    try:
        for place, (role, fault) in enumerate(zip_longest(roles, chosen)):
            running.append(Mortal(run, deaths, store, role, run.directory / f"report-{number}-{place}", fault))
        while running:
            ready = wait([mortal.process.connection for mortal in running], REPLY_SECONDS_MAX)
            assert ready, f"nobody said anything for {REPLY_SECONDS_MAX} s: {[each.role.__name__ for each in running]}"
            for mortal in [each for each in running if each.process.connection in ready]:
                if not mortal.listen(account):
                    running.remove(mortal)
                    mortal.bury(run, deaths)
    except WorkerFailed as error:
        raise AssertionError(f"a process was stopped by the death of others: {error}") from error
    finally:
        for mortal in running:
            mortal.process.kill()
    for report in run.directory.glob("report-*"):
        report.unlink()
