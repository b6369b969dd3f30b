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
    """Ours divided by theirs; `goal` is the least wanted of rates, and the most wanted of times. None: it is only looked at."""

    ours: Key
    theirs: Key
    goal: float | None
    lineup: str = "embedded"
    suite: str = "throughput"


class Answer(NamedTuple):
    """A target with the figures for it."""

    target: Target
    ours: Summary
    theirs: Summary
    ratio: float

    @property
    def is_reached(self) -> bool | None:
        """None where there is no goal."""
        if self.target.goal is None:
            return None
        return self.ratio >= self.target.goal if self.ours.unit == "/s" else self.ratio <= self.target.goal

    def cells(self) -> tuple[str, str, str, str]:
        """Ours, theirs, the ratio and the goal, as text."""
        verdict = {None: "", True: ", reached", False: ", MISSED"}[self.is_reached]
        goal = "-" if self.target.goal is None else f"{self.target.goal:g}{verdict}"
        where = "" if self.target.lineup == "embedded" else f"{self.target.lineup}, "
        return where + _text(self.target.ours), _text(self.target.theirs), f"{self.ratio:.2f}", goal


def _text(key: Key) -> str:
    statistic = f" {key.statistic}" if key.statistic.startswith("p") else ""
    return f"{key.peer}: {key.bench}{statistic}" + (" (disk)" if key.durability == "disk" else "")


def _beside(
    bench: str, peer: str, goal: float | None, *, theirs: str = "", lineup: str = "embedded", durability: str = "process"
) -> Target:
    return Target(Key("eventlog", bench, durability), Key(peer, theirs or bench, durability), goal, lineup)


def _of_writers(durability: str, ours: str, peer: str, theirs: str) -> Target:
    keys = Key("eventlog", f"append 100 B, {ours}", durability), Key(peer, f"append 100 B, {theirs}", durability)
    return Target(*keys, None, suite="scaling")


TARGETS = [
    _beside("append 100 B", "files", 2.0),
    _beside("append 100 B", "lmdb", 10.0),
    _beside("append 100 B", "rocksdb", None),
    _beside("append with key", "lmdb", None),
    _beside("append with key and headers", "eventlog", None, theirs="append 100 B"),
    _beside("append batches of 1,000 × 100 B", "lmdb", 3.0),
    _beside("append batches of 1,000 × 100 B", "files", 0.6),
    _beside("append batches of 1,000 × 1 KiB", "lmdb", None),
    _beside("append batches of 1,000 × 1 KiB", "files", 0.8),
    _beside("append batches with keys", "lmdb", None),
    _beside("read values", "lmdb", 3.0),
    _beside("read records", "lmdb", 1.0, theirs="read values"),
    _beside("consume, commit each", "lmdb", 5.0, theirs="commit"),
    _beside("commit", "lmdb", 5.0),
    _beside("consume, commit every 1,000", "eventlog", 0.9, theirs="consume"),
    _beside("send, many in flight", "kafka", None, lineup="kafka"),
    _beside("append 100 B", "kafka", None, lineup="kafka"),
    Target(Key("eventlog", "send, many in flight"), Key("kafka", "append 100 B"), None, "kafka"),
    _beside("append 100 B", "files", None, durability="disk"),
    *(_of_writers("process", "2 processes, a partition each", "eventlog", "1 process, a partition each"),
      _of_writers("disk", "1 process, one partition", "files", "1 process, one partition"),
      _of_writers("disk", "16 threads, one partition", "files", "1 process, one partition"),
      _of_writers("disk", "8 processes, one partition", "files", "1 process, one partition")),
    *(Target(Key("eventlog", bench, statistic=statistic), Key("futex", "append to receive", statistic=statistic), None,
             suite="wakeups") for bench in ("append to receive", "send to poll") for statistic in ("p50", "p99")),
    Target(Key("eventlog", "start and import", statistic="time"), Key("sqlite", "start and import", statistic="time"), None,
           suite="footprint"),
    Target(Key("eventlog", "private memory of a writer", statistic="memory"),
           Key("lmdb", "private memory of a writer", statistic="memory"), None, suite="footprint"),
]  # fmt: skip


def _beside_almost_empty(subjects: Iterable[Subject]) -> Iterator[Target]:
    """A large store beside an almost empty one, whatever makes it large."""
    for subject in subjects:
        if subject.suite in ("growth", "opening") and subject.peer != ALMOST_EMPTY:
            ours = Key(subject.peer, subject.bench, subject.durability, subject.statistic)
            yield Target(ours, ours._replace(peer=ALMOST_EMPTY), None, subject.lineup, subject.suite)


def answers(figures: Iterable[Figure]) -> Iterator[Answer]:
    """The targets that there are figures for."""
    summaries = summarize(figures)
    for target in (*TARGETS, *_beside_almost_empty(summaries)):
        ours, theirs = (
            summaries.get(Subject(target.suite, target.lineup, key.peer, key.bench, key.durability, key.statistic))
            for key in (target.ours, target.theirs)
        )
        if ours is not None and theirs is not None:
            yield Answer(target, ours, theirs, ours.median / theirs.median)


def table(figures: Iterable[Figure]) -> str:
    """The same as lines for the terminal."""
    rows = [("ours", "theirs", "ratio", "goal"), *(answer.cells() for answer in answers(figures))]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
