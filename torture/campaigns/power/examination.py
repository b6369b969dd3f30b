"""Does a store keep what was promised about it, after it was opened again? `examine` opens it, and knows nothing else of it."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import eventlog
from eventlog import BackupError, EventLog, Partition
from tests.support import bare_store, heads, kafka_format, stores
from torture.campaigns.power.promises import Backup, Content, PromisedTopic, Promises

_LAST = Content(b"after the crash", b"after the crash")
_parse = functools.lru_cache(maxsize=4096)(kafka_format.parse_batches)

Found = dict[tuple[str, int], dict[int, Content]]


def examine(store: Path, promises: Promises) -> Found:
    """Open the store as the first one does after a reboot, compare it with what was promised, append, and once more reboot.

    Returns the records of each partition; the last one was added. Backups stand beside the store. Raises `AssertionError`
    and whatever the store raises."""
    found: Found = {}
    settled: dict[tuple[str, int], bare_store.Settled] = {}
    with eventlog.open(store, fsync="never") as log:
        _check_topics(log, promises)
        for topic in log.topics():
            for number in range(log.topic(topic).partitions):
                partition = _opened(log, topic, number, promises)
                found[topic, number] = _check_partition(partition, promises.topics[topic])
                settled[topic, number] = _settled(partition)
        _check_commits(log, promises)
        for (topic, number), contents in found.items():
            contents[_append(log.partition(topic, number))] = _LAST
    for place, contents in found.items():
        directory = stores.partition_directory(store, place[1], place[0])
        _check_files(directory, contents)
        _check_transactions(directory, settled[place])
    for file in (store / "shared").glob("*.head"):
        heads.simulate_reboot(file)
    _check_once_more(store, found, settled)
    for name, backup in promises.backups.items():
        _check_backup(store.parent / name, backup, promises)
    return found


def _check_topics(log: EventLog, promises: Promises) -> None:
    found = set(log.topics())
    must = {name for name, topic in promises.topics.items() if topic.must_exist}
    may = {name for name, topic in promises.topics.items() if topic.may_exist}
    assert must <= found <= may, f"topics {sorted(found)} are there; {sorted(must)} have to be, {sorted(may)} may be"
    for name in found:
        topic, promised = log.topic(name), promises.topics[name]
        assert topic.config in promised.configs, f"topic {name!r} has {topic.config}, not one of {promised.configs}"
        assert topic.partitions in promised.partitions, f"topic {name!r} has {topic.partitions} partitions"


def _opened(log: EventLog, topic: str, number: int, promises: Promises) -> Partition:
    """The partition, repaired if it may be damaged."""
    if promises.topics[topic].log(number).may_be_damaged:
        log.repair(topic, number, execute=True)
    partition = log.partition(topic, number)
    assert partition.recovery.damage is None, f"{partition!r} is taken for damaged: {partition.recovery.damage}"
    return partition


def _check_partition(partition: Partition, topic: PromisedTopic) -> dict[int, Content]:
    promised = topic.log(partition.partition)
    start, end = partition.start_offset, partition.end_offset
    assert promised.start_min <= start <= promised.start_max, (
        f"{partition!r} starts at {start}, not from {promised.start_min} to {promised.start_max}"
    )
    assert promised.durable <= end, f"{partition!r} ends at {end}, but {promised.durable} records were on disk"
    assert end in promised.ends or promised.may_be_damaged, f"{partition!r} ends at {end}, inside a batch: {promised.ends}"
    found = _contents(partition)
    for offset, content in found.items():
        assert content == promised.contents.get(offset), f"{partition!r} has {content} at {offset}"
    expected = promised.expected(start, min(end, max(promised.ends)), is_compacted=topic.is_compacted)
    assert expected <= found.keys(), f"{partition!r} lacks the offsets {sorted(expected - found.keys())}"
    return found


def _contents(partition: Partition) -> dict[int, Content]:
    return {record.offset: Content(record.key, record.value) for record in stores.everything(partition)}


def _check_commits(log: EventLog, promises: Promises) -> None:
    names = log.groups()
    for (group, partition), (least, most) in promises.committed.items():
        committed = log.group(group).committed().get(partition, -1) if group in names else -1
        assert least <= committed <= most, f"{group} has committed {committed} of {partition}, not {least} to {most}"
        if committed >= 0:
            end = log.partition(*partition).end_offset
            assert committed <= end, f"{group} has committed {committed} of {partition}, which ends at {end}"


def _append(partition: Partition) -> int:
    end = partition.end_offset
    offset = partition.append(_LAST.value, key=_LAST.key)
    assert offset == end, f"{partition!r} ended at {end}, but gave the next record {offset}"
    return offset


def _check_files(directory: Path, contents: dict[int, Content]) -> None:
    """Read the segments by other code than the library's."""
    found: dict[int, Content] = {}
    for path in sorted(directory.glob("*.log")):
        for batch in _parse(path.read_bytes()):
            found.update((record.offset, Content(record.key, record.value)) for record in batch.records)
    assert {offset: found.get(offset) for offset in contents} == contents, f"{directory} holds something else on disk"


def _settled(partition: Partition) -> bare_store.Settled:
    """Where the first open transaction begins, and (producer, first offset, marker) of the aborted ones."""
    end = partition.end_offset
    stable = partition.log.stable_offset
    aborted = [(each[0], each[1], each[2]) for each in partition.log.aborted(partition.start_offset, end)]
    return bare_store.Settled(None if stable == end else stable, aborted)


def _check_transactions(directory: Path, found: bare_store.Settled) -> None:
    """The batches say the same as the head and the index of aborted transactions."""
    batches = [batch for path in sorted(directory.glob("*.log")) for batch in _parse(path.read_bytes())]
    expected = bare_store.settled(batches)
    assert found == expected, f"{directory}: {found} was recovered, the log says {expected}"


def _check_once_more(store: Path, found: Found, settled: dict[tuple[str, int], bare_store.Settled]) -> None:
    """What was recovered is clean, whenever the power goes again."""
    with eventlog.open(store, fsync="never") as log:
        for (topic, number), contents in found.items():
            partition = log.partition(topic, number)
            assert partition.recovery.outcome == "clean", f"a second recovery of {partition!r}: {partition.recovery}"
            assert _contents(partition) == contents, f"{partition!r} has other records after a second recovery"
            assert _settled(partition) == settled[topic, number], f"{partition!r} has other transactions after a second one"
        problems = [problem for report in log.verify() for problem in report.problems]
        assert not problems, f"after the recovery {problems}"


def _check_backup(path: Path, backup: Backup, promises: Promises) -> None:
    """A backup is whole or none at all; once it is complete it becomes a store with everything that was on disk before it."""
    try:
        problems = [problem for report in eventlog.verify_backup(path) for problem in report.problems]
    except BackupError as error:
        assert not backup.is_complete, f"{path} is complete, but {error}"
        return
    assert not problems, f"{path} is taken for a backup, but {problems}"
    restored = path.with_name("restored")
    eventlog.restore(path, restored)
    with eventlog.open(restored) as log:
        for place, durable in backup.durable.items():
            promised, found = promises.topics[place[0]].log(place[1]), _contents(log.partition(*place))
            assert durable <= len(found), f"{path} has {len(found)} records of {place}, but {durable} were on disk before"
            assert all(promised.contents[offset] == content for offset, content in found.items()), f"{path} has other records"
    shutil.rmtree(restored)
