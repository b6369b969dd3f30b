"""Opening a store with a flipped bit, reading everything in every way, and judging what comes out: in a process of its own."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import eventlog
from eventlog import CorruptLogError, EventLog, EventLogError, Partition, TopicPartition
from torture.campaigns.rot.filled import GROUP, Filled, fill

REOPENED, REBOOTED, KILLED = "reopened", "rebooted", "killed"
HARMLESS, REPORTED, REFUSED, UNGUARDED = "harmless", "reported", "refused", "unguarded base offsets"
_LOCK_TIMEOUT_MS = 30


@dataclass(frozen=True)
class Case:
    """One bit of one file, and how the store was left before. With `is_thorough` the doctor looks, too."""

    name: str
    bit: int
    moment: str
    is_thorough: bool = False


@dataclass
class Seen:
    """What was told about the store: the files that reports named, and errors that name none."""

    blamed: set[Path] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)


def flip_bits(connection: Connection, directory: Path, seed: int, is_large: bool) -> None:
    """The role of a worker: tell the sizes of the files, and then what came of each case that is sent."""
    logging.getLogger("eventlog").setLevel(logging.ERROR)  # a rotten index is told each time
    store = fill(directory, random.Random(seed), is_large)
    connection.send({name: len(content) for name, content in store.content.items()})
    check(store, Case("store.json", 0, REOPENED), look(store, Case("store.json", 0, REOPENED)))  # nothing is flipped yet
    store.restore()
    while (case := connection.recv()) is not None:
        connection.send(try_case(store, case))


def try_case(store: Filled, case: Case) -> str:
    """Flip the bit, look, judge, and make the store what it was. Raises AssertionError."""
    if case.moment == REBOOTED:
        store.reboot()
    elif case.moment == KILLED:
        store.kill()
    store.flip(case.name, case.bit)
    try:
        return check(store, case, look(store, case))
    except AssertionError:
        if case.bit // 8 in store.unguarded.get(case.name, ()):
            return UNGUARDED
        raise
    finally:
        store.restore()


def look(store: Filled, case: Case) -> Seen:
    """Open the store and read everything; only our own errors may come, and nothing may be wrong."""
    seen = Seen()
    if case.is_thorough:
        for finding in eventlog.diagnose(store.path, deep=True):
            if finding.severity == "error":
                seen.refusals.append(finding.text)
    try:
        log = eventlog.open(store.path, fsync="never", lock_timeout_ms=_LOCK_TIMEOUT_MS)
    except EventLogError as error:
        seen.refusals.append(str(error))
        return seen
    try:
        for place in store.records:
            _look_at_partition(store, log, place, seen)
        _look_at_group(store, log, seen)
        for report in log.verify():
            seen.blamed |= {problem.path for problem in report.problems}
        log.topics(), log.offsets("events"), log.describe_groups()
    except EventLogError as error:
        _note(seen, error)
    finally:
        try:
            log.close()
        except EventLogError as error:
            _note(seen, error)
    return seen


def _note(seen: Seen, error: EventLogError) -> None:
    if isinstance(error, CorruptLogError):
        assert error.position >= 0 and error.reason, f"no place in {error}"
        seen.blamed.add(error.path)
    else:
        seen.refusals.append(str(error))


def _look_at_partition(store: Filled, log: EventLog, place: TopicPartition, seen: Seen) -> None:
    try:
        partition = log.partition(*place)
    except EventLogError as error:
        _note(seen, error)
        return
    if partition.recovery.damage is not None:
        _note(seen, partition.recovery.damage)
    _read_all(store, partition, place, seen)
    records = store.records[place]
    for timestamp in (0, records[len(records) // 2].timestamp, records[-1].timestamp):
        right = next(record.offset for record in records if record.timestamp >= timestamp)
        try:
            found = partition.offset_for_time(timestamp)
        except EventLogError as error:
            _note(seen, error)
        else:
            is_other_log = partition.recovery.damage is not None or partition.start_offset != store.bounds[place][0]
            assert found == right or is_other_log, f"{place}: the first record at {timestamp} is {right}, not {found}"


def _read_all(store: Filled, partition: Partition, place: TopicPartition, seen: Seen) -> None:
    """Every record that is handed out is right; if some are not handed out, an error says so."""
    records = store.records[place]
    start, end = partition.start_offset, partition.end_offset
    if partition.recovery.damage is None:
        assert (start, end) == store.bounds[place] or (start < store.bounds[place][0] and end == store.bounds[place][1]), (
            f"{place} has offsets from {start} to {end}, not {store.bounds[place]}"
        )
    for record in store.sought[place]:
        if start <= record.offset < end:
            try:
                found = partition.read(record.offset, 1)
            except EventLogError as error:
                _note(seen, error)
            else:
                assert found == [record], f"{place}: {found} was read instead of {record}"
    ways = (
        (partition.records, records),
        (partition.values, [record.value for record in records]),
        (lambda: partition.search(b"same"), [record for record in records if b"same" in (record.value or b"")]),
    )
    for way, right in ways:
        got = []
        try:
            for each in way():
                got.append(each)
            is_whole = partition.recovery.damage is None
        except EventLogError as error:
            _note(seen, error)
            is_whole = False
        if start < store.bounds[place][0]:  # records that were deleted are there again
            got = got[-len(right) :] if is_whole else [each for each in got if each in right]
        assert (got == right) if is_whole else (got == right[: len(got)]), _difference(place, got, right)


def _difference(place: TopicPartition, got: list[Any], right: list[Any]) -> str:
    at = next((at for at, (one, other) in enumerate(zip(got, right, strict=False)) if one != other), min(len(got), len(right)))
    return f"{place}: {len(got)} were read, not {len(right)}; number {at} is {got[at:at + 1]} instead of {right[at:at + 1]}"


def _look_at_group(store: Filled, log: EventLog, seen: Seen) -> None:
    try:
        committed = dict(log.group(GROUP).committed())
    except EventLogError as error:
        _note(seen, error)
        return
    assert committed == store.committed, f"the group has committed {committed}, not {store.committed}"


def check(store: Filled, case: Case, seen: Seen) -> str:
    """What became of a case. Raises AssertionError if something is blamed for what another file did, or nothing is."""
    path = store.path / case.name
    if case.name.startswith("logs/"):
        strangers = {found for found in seen.blamed if found.parent != path.parent and found != path.parent}
        assert not strangers, f"{strangers} are blamed"
    if path.suffix == ".log" and case.bit // 8 not in store.epochs[case.name]:
        assert path in seen.blamed, f"the damage was not reported; {seen}"
        assert not case.is_thorough or seen.refusals, f"the doctor did not report the damage; {seen}"
    if path.suffix == ".txnindex" and case.moment == REOPENED:  # recovery rebuilds it
        assert path in seen.blamed, f"the damage was not reported; {seen}"
    return REPORTED if seen.blamed else REFUSED if seen.refusals else HARMLESS
