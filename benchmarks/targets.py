"""What eventlog wants to reach beside others: ratios of medians that were measured in the same rounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from benchmarks.figures import Figure, Subject, Summary, summarize

ALMOST_EMPTY = "almost empty"  # the name of the store that large ones are set beside


class Key(NamedTuple):
    """A figure of a line-up, as a target names it."""

    peer: str
    bench: str
    durability: str = "process"
    statistic: str = "rate"


class Target(NamedTuple):
    """Ours divided by theirs; `goal` is the least wanted of rates, and the most wanted of times. None: it is only looked at.

    Without theirs the goal is for the figure itself, in its unit."""

    ours: Key
    theirs: Key | None
    goal: float | None
    lineup: str = "embedded"
    suite: str = "throughput"


class Answer(NamedTuple):
    """A target with what was found: a ratio, or the figure itself."""

    target: Target
    found: float
    unit: str

    @property
    def is_reached(self) -> bool | None:
        """None where there is no goal."""
        if self.target.goal is None:
            return None
        return self.found >= self.target.goal if self.unit == "/s" else self.found <= self.target.goal

    def cells(self) -> tuple[str, str, str, str]:
        """Ours, theirs, the ratio and the goal, as text."""
        verdict = {None: "", True: ", reached", False: ", MISSED"}[self.is_reached]
        goal = "-" if self.target.goal is None else f"{self.target.goal:g}{verdict}"
        where = "" if self.target.lineup == "embedded" else f"{self.target.lineup}, "
        ours = where + _text(self.target.ours)
        if self.target.theirs is None:
            return ours, "-", f"{self.found:.3g} {self.unit}", goal
        return ours, _text(self.target.theirs), f"{self.found:.2f}", goal


def _text(key: Key) -> str:
    statistic = f" {key.statistic}" if key.statistic.startswith("p") else ""
    return f"{key.peer}: {key.bench}{statistic}" + (" (disk)" if key.durability == "disk" else "")


def _beside(
    bench: str, peer: str, goal: float | None, *, theirs: str = "", lineup: str = "embedded", durability: str = "process"
) -> Target:
    return Target(Key("eventlog", bench, durability), Key(peer, theirs or bench, durability), goal, lineup)


def _of_writers(durability: str, ours: str, peer: str, theirs: str, goal: float) -> Target:
    keys = Key("eventlog", f"append 100 B, {ours}", durability), Key(peer, f"append 100 B, {theirs}", durability)
    return Target(*keys, goal, suite="scaling")


def _woken(bench: str, statistic: str, goal: float | None) -> Target:
    keys = Key("eventlog", bench, statistic=statistic), Key("futex", "futex to wake", statistic=statistic)
    return Target(*keys, goal, suite="wakeups")


def _footprint(bench: str, statistic: str, goal: float) -> Target:
    return Target(Key("eventlog", bench, statistic=statistic), None, goal, suite="footprint")


TARGETS = [
    _beside("append 100 B", "files", 2.0),
    _beside("append 100 B", "lmdb", 10.0),
    _beside("append 100 B", "rocksdb", 5.0),
    _beside("append with key", "lmdb", None),
    _beside("append with key and headers", "eventlog", 0.75, theirs="append 100 B"),  # what its bytes may cost
    _beside("append batches of 1,000 × 100 B", "lmdb", 3.0),
    _beside("append batches of 1,000 × 100 B", "files", 0.6),
    _beside("append batches of 1,000 × 1 KiB", "lmdb", None),
    _beside("append batches of 1,000 × 1 KiB", "files", 0.8),
    _beside("append batches with keys", "lmdb", None),
    _beside("read values", "lmdb", 3.0),
    _beside("read records", "lmdb", 1.0, theirs="read values"),
    _beside("read columns", "eventlog", None, theirs="read values"),
    _beside("consume, commit each", "lmdb", 10.0, theirs="commit"),
    _beside("commit", "lmdb", 10.0),
    _beside("consume, commit every 1,000", "eventlog", 0.9, theirs="consume"),
    _beside("send, many in flight", "kafka", 2.0, lineup="kafka"),
    _beside("send, one at a time", "kafka", 2.0, theirs="send, many in flight", lineup="kafka"),
    _beside("send, one at a time", "kafka", 100.0, theirs="append 100 B", lineup="kafka"),
    _beside("append 100 B", "kafka", None, lineup="kafka"),
    _beside("append 100 B", "files", 0.95, durability="disk"),
    _of_writers("process", "2 processes, a partition each", "eventlog", "1 process, a partition each", 1.8),
    _of_writers("disk", "1 process, one partition", "files", "1 process, one partition", 0.95),
    _of_writers("disk", "16 threads, one partition", "files", "1 process, one partition", 12.0),  # near their number
    _of_writers("disk", "8 processes, one partition", "files", "1 process, one partition", 6.0),
    *(_woken("append to wake", statistic, goal) for statistic, goal in (("p50", 1.3), ("p99", 2.0))),
    *(_woken(bench, statistic, None) for bench in ("append to receive", "send to poll") for statistic in ("p50", "p99")),
    _footprint("import", "time", 60.0),
    _footprint("private memory of a writer", "memory", 40.0),
]

_GROWTH_GOAL = 0.9
_OPENING_GOALS_MS = {"open after kill -9": 20.0}


def _of_large_stores(subjects: Iterable[Subject]) -> Iterator[Target]:
    """A large store beside an almost empty one, whatever makes it large; and how long it may take to open it."""
    for subject in subjects:
        if subject.suite in ("growth", "opening") and subject.peer != ALMOST_EMPTY:
            ours = Key(subject.peer, subject.bench, subject.durability, subject.statistic)
            goal = _GROWTH_GOAL if subject.suite == "growth" else None
            yield Target(ours, ours._replace(peer=ALMOST_EMPTY), goal, subject.lineup, subject.suite)
            if subject.bench in _OPENING_GOALS_MS:
                yield Target(ours, None, _OPENING_GOALS_MS[subject.bench], subject.lineup, subject.suite)


def answers(figures: Iterable[Figure]) -> Iterator[Answer]:
    """The targets that there are figures for."""
    summaries = summarize(figures)

    def summary(target: Target, key: Key) -> Summary | None:
        return summaries.get(Subject(target.suite, target.lineup, key.peer, key.bench, key.durability, key.statistic))

    for target in (*TARGETS, *_of_large_stores(summaries)):
        ours = summary(target, target.ours)
        theirs = None if target.theirs is None else summary(target, target.theirs)
        if ours is not None and target.theirs is None:
            yield Answer(target, ours.median, ours.unit)
        elif ours is not None and theirs is not None:
            yield Answer(target, ours.median / theirs.median, ours.unit)


def table(figures: Iterable[Figure]) -> str:
    """The same as lines for the terminal."""
    rows = [("ours", "theirs", "ratio", "goal"), *(answer.cells() for answer in answers(figures))]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
