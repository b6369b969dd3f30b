"""Does a store keep what was promised about it, after it was opened again? `examine` opens it, and knows nothing else of it."""

from __future__ import annotations

import functools
from pathlib import Path

import eventlog
from eventlog import EventLog, Partition
from tests.support import heads, kafka_format, stores
from torture.campaigns.power.promises import Content, PromisedLog, Promises, PromisedTopic

_LAST = Content(b"after the crash", b"after the crash")
_parse = functools.lru_cache(maxsize=4096)(kafka_format.parse_batches)

Found = dict[tuple[str, int], dict[int, Content]]


def examine(store: Path, promises: Promises) -> Found:
    """Open the store as the first one does after a reboot, compare it with what was promised, append, and once more reboot.

    Returns the records of each partition. Raises `AssertionError` and whatever the store raises."""
    found: Found = {}
    with eventlog.open(store, fsync="never") as log:
        _check_topics(log, promises)
        for topic in log.topics():
            for number in range(log.topic(topic).partitions):
                partition = log.partition(topic, number)
                found[topic, number] = _check_partition(partition, promises.topics[topic])
        _check_commits(log, promises)
        for (topic, number), contents in found.items():
            contents[_append(log.partition(topic, number))] = _LAST
    for place, contents in found.items():
        _check_files(stores.partition_directory(store, place[1], place[0]), contents)
    for file in (store / "shared").glob("*.head"):
        heads.simulate_reboot(file)
    _check_once_more(store, found)
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


def _check_partition(partition: Partition, topic: PromisedTopic) -> dict[int, Content]:
    promised = topic.log(partition.partition)
    recovery = partition.recovery
    assert recovery.damage is None, f"{partition!r} is taken for damaged: {recovery.damage}"
    start, end = partition.start_offset, partition.end_offset
    assert promised.start_min <= start <= promised.start_max, (
        f"{partition!r} starts at {start}, not from {promised.start_min} to {promised.start_max}"
    )
    assert promised.durable <= end, f"{partition!r} ends at {end}, but {promised.durable} records were on disk ({recovery})"
    assert end in promised.ends, f"{partition!r} ends at {end}, inside a batch: {sorted(promised.ends)}"
    found = {record.offset: Content(record.key, record.value) for record in stores.everything(partition)}
    for offset, content in found.items():
        assert content == promised.contents.get(offset), f"{partition!r} has {content} at {offset}"
    expected = _expected(promised, topic.is_compacted, start, end)
    assert expected <= found.keys(), f"{partition!r} lacks the offsets {sorted(expected - found.keys())}"
    return found


def _expected(promised: PromisedLog, is_compacted: bool, start: int, end: int) -> set[int]:
    """The offsets whose records have to be there."""
    if not is_compacted:
        return set(range(start, end))
    latest = {content.key: offset for offset, content in promised.contents.items() if offset < end}
    return {offset for offset in latest.values() if offset >= start}


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


def _check_once_more(store: Path, found: Found) -> None:
    """What was recovered is clean, whenever the power goes again."""
    with eventlog.open(store, fsync="never") as log:
        for (topic, number), contents in found.items():
            partition = log.partition(topic, number)
            assert partition.recovery.outcome == "clean", f"a second recovery of {partition!r}: {partition.recovery}"
            again = {record.offset: Content(record.key, record.value) for record in stores.everything(partition)}
            assert again == contents, f"{partition!r} has other records after a second recovery"
        problems = [problem for report in log.verify() for problem in report.problems]
        assert not problems, f"after the recovery {problems}"
