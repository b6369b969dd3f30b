"""What programs do to a store while the power may go. Small on purpose: a few segments of a few kilobytes.

Each takes a journal, a directory for its store and perhaps a backup, and the randomness that makes it another one each time.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import eventlog
from eventlog import Partition, TopicPartition
from tests.support import heads, kafka_format, stores
from torture.campaigns.power.promises import Content, Journal

TOPIC = "events"
GROUP = "billing"
_NEVER_MS = 3_600_000
_PRODUCERS = (7, 8, 9)

Workload = Callable[[Journal, Path, random.Random], None]


def store_in(root: Path) -> Path:
    """Where the store of a workload stands."""
    return root / "store"


def _contents(choice: random.Random, count: int, name: str) -> list[Content]:
    """Records that are told apart by their values, some of them with many zeros, some longer than a sector."""
    contents = []
    for _ in range(count):
        value = b"%s %d " % (name.encode(), choice.randrange(2**32))
        value += bytes(choice.choice((0, 0, 0, 20, 600))) + choice.randbytes(choice.randrange(300))
        contents.append(Content(b"key %d" % choice.randrange(5), value))
    return contents


def _append_some(journal: Journal, partition: Partition, choice: random.Random, units: int) -> None:
    for _ in range(units):
        journal.append(partition, _contents(choice, choice.choice((1, 1, 1, 2, 3)), partition.topic))


def _create(journal: Journal, log: eventlog.EventLog, choice: random.Random, **config: object) -> Partition:
    settings = {"segment.bytes": choice.choice((3000, 4096, 16384)), "index.interval.bytes": 512}
    journal.create_topic(log, TOPIC, 1, settings | {name.replace("_", "."): value for name, value in config.items()})
    return log.partition(TOPIC, 0)


def synced_appends(journal: Journal, root: Path, choice: random.Random) -> None:
    """fsync="always": every append that returned is on disk, over several segments."""
    with eventlog.open(store_in(root), fsync="always") as log:
        _append_some(journal, _create(journal, log, choice), choice, 20)


def appends_and_flushes(journal: Journal, root: Path, choice: random.Random) -> None:
    """fsync="never": what was flushed is on disk. The store is closed and opened again now and then."""
    for turn in range(3):
        with eventlog.open(store_in(root), fsync="never") as log:
            partition = _create(journal, log, choice) if turn == 0 else log.partition(TOPIC, 0)
            _append_some(journal, partition, choice, 8)
            journal.flush(partition)
            _append_some(journal, partition, choice, 8)


def killed_writers(journal: Journal, root: Path, choice: random.Random) -> None:
    """Writers were killed inside an append: what they had written by then is cut off by the next one."""
    store = store_in(root)
    with eventlog.open(store, fsync="never") as log:
        partition = _create(journal, log, choice)
        head = heads.MappedHead(stores.head_file(store)).state
        for turn in range(5):
            _append_some(journal, partition, choice, 3)
            segment = stores.segments(store)[-1]
            with open(segment, "r+b") as file:
                file.seek(head.tail.position)
                file.write(choice.randbytes(choice.randrange(1, 1500)))
            head.writing = 1
            _append_some(journal, partition, choice, 5)
            if turn % 2:
                journal.flush(partition)


def closing(journal: Journal, root: Path, choice: random.Random) -> None:
    """fsync="interval": closing a store brings everything to the disk."""
    for turn in range(3):
        with eventlog.open(store_in(root), fsync_interval_ms=_NEVER_MS) as log:
            partition = _create(journal, log, choice) if turn == 0 else log.partition(TOPIC, 0)
            _append_some(journal, partition, choice, 6)
            end = partition.end_offset
        journal.note("durable", TOPIC, 0, end)


def group_commits(journal: Journal, root: Path, choice: random.Random) -> None:
    """commit(sync=True) is on disk when it returns, and no commit ever points behind the log."""
    place = TopicPartition(TOPIC, 0)
    fsync = choice.choice(("interval", "never"))
    with eventlog.open(store_in(root), fsync=fsync, fsync_interval_ms=_NEVER_MS) as log:
        partition = _create(journal, log, choice)
        with log.consumer(TOPIC, group=GROUP) as consumer:
            for _ in range(6):
                _append_some(journal, partition, choice, 3)
                end = partition.end_offset
                while place not in consumer.assignment() or consumer.position(place) < end:
                    consumer.poll(1.0)
                _commit(journal, consumer, place, end, sync=choice.random() < 0.6)
    if fsync == "interval":  # closing brings every commit to the disk, together with what was committed
        journal.note("committed_durably", GROUP, place, end)
        journal.note("durable", *place, end)


def _commit(journal: Journal, consumer: eventlog.Consumer, place: TopicPartition, end: int, *, sync: bool) -> None:
    journal.note("committing", GROUP, place, end)
    consumer.commit(sync=sync)
    if sync:
        journal.note("committed_durably", GROUP, place, end)
        journal.note("durable", *place, end)


def transactions(journal: Journal, root: Path, choice: random.Random) -> None:
    """Producers with ids append, and end their transactions by markers, over several segments."""
    with eventlog.open(store_in(root), fsync=choice.choice(("always", "never"))) as log:
        partition = _create(journal, log, choice)
        sequences = dict.fromkeys(_PRODUCERS, 0)
        is_open = dict.fromkeys(_PRODUCERS, False)
        for _ in range(30):
            producer = choice.choice(_PRODUCERS)
            if is_open[producer] and choice.random() < 0.5:
                journal.end_transaction(partition, producer, commit=choice.random() < 0.4)
                is_open[producer] = False
            else:
                contents = _contents(choice, choice.choice((1, 2, 3)), TOPIC)
                is_open[producer] = is_open[producer] or choice.random() < 0.8
                journal.append_as(partition, producer, sequences[producer], contents, is_transactional=is_open[producer])
                sequences[producer] += len(contents)


def topics(journal: Journal, root: Path, choice: random.Random) -> None:
    """Topics are created, altered, deleted, and made anew under the same name."""
    with eventlog.open(store_in(root), fsync="always") as log:
        for name in (TOPIC, "others", TOPIC, TOPIC):
            if name in log.topics():
                journal.delete_topic(log, name)
            journal.create_topic(log, name, 1, {"segment.bytes": 3000})
            _append_some(journal, log.partition(name, 0), choice, 4)
            journal.alter_topic(log, name, 2, {"retention.ms": choice.randrange(10**9)})
            _append_some(journal, log.partition(name, 1), choice, 2)
        journal.delete_topic(log, "others")


def deleted_records(journal: Journal, root: Path, choice: random.Random) -> None:
    """Records are deleted from the beginning, segment by segment, while others are appended."""
    with eventlog.open(store_in(root), fsync="never") as log:
        partition = _create(journal, log, choice, segment_bytes=3000)
        for _ in range(5):
            _append_some(journal, partition, choice, 6)
            before = choice.randrange(partition.start_offset, partition.end_offset + 1)
            journal.delete_records(partition, before)


def compaction(journal: Journal, root: Path, choice: random.Random) -> None:
    """Segments are compacted, merged and swapped while others are appended."""
    with eventlog.open(store_in(root), fsync="never") as log:
        partition = _create(journal, log, choice, segment_bytes=3000, cleanup_policy="compact")
        for _ in range(4):
            _append_some(journal, partition, choice, 8)
            journal.flush(partition)
            journal.alter_topic(log, TOPIC, 1, {"segment.bytes": choice.choice((3000, 16384))})  # neighbours are merged
            report = log.maintain(compact_all=True)
            assert not report.failures, report
            journal.alter_topic(log, TOPIC, 1, {"segment.bytes": 3000})


def backup(journal: Journal, root: Path, choice: random.Random) -> None:
    """Backups are taken, with links and with copies; one that was interrupted is none."""
    with eventlog.open(store_in(root), fsync="always") as log:
        partition = _create(journal, log, choice)
        for name, link in (("linked", True), ("copied", False)):
            _append_some(journal, partition, choice, 8)
            journal.note("backing_up", name)
            log.backup(root / name, link=link)
            journal.note("backed_up", name)


def repair(journal: Journal, root: Path, choice: random.Random) -> None:
    """A disk has returned wrong bytes in a sealed segment and in the active one, and what is right is saved."""
    store = store_in(root)
    with eventlog.open(store, fsync="always") as log:
        _append_some(journal, _create(journal, log, choice, segment_bytes=3000), choice, 15)
    candidates = [(path, batches) for path in stores.segments(store) if (batches := _batches_to_damage(path))]
    for segment, batches in (candidates[0], candidates[-1]):
        batch = choice.choice(batches)
        journal.note("damaging", TOPIC, 0, set(range(batch.base_offset, batch.last_offset + 1)))
        damage(segment, batch.position + batch.size_bytes - 1)
    with eventlog.open(store, fsync="always") as log:
        _append_some(journal, _repair(journal, log, TOPIC, 0), choice, 3)


def _batches_to_damage(segment: Path) -> list[kafka_format.ParsedBatch]:
    """Batches with others behind them. A wrong one with a sector of zeros would pass for what a power cut leaves."""
    data = segment.read_bytes()
    batches = kafka_format.parse_batches(data)[:-1]
    return [batch for batch in batches if bytes(512) not in data[batch.position : batch.position + batch.size_bytes]]


def damage(path: Path, position: int) -> None:
    """Change a byte, and bring that to the disk."""
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)
        file.seek(position)
        file.write(bytes([byte[0] ^ 0x55]))
        file.flush()
        os.fsync(file.fileno())


def _repair(journal: Journal, log: eventlog.EventLog, topic: str, number: int) -> Partition:
    plan = log.repair(topic, number, execute=True)
    assert plan.is_needed, plan
    journal.note("repaired", topic, number, plan.end_offset)
    return log.partition(topic, number)


def first_record(journal: Journal, root: Path, choice: random.Random) -> None:
    """A store, a topic and a partition are made for one record."""
    with eventlog.open(store_in(root), fsync="always") as log:
        _append_some(journal, _create(journal, log, choice), choice, 1)


def topic_made_anew(journal: Journal, root: Path, choice: random.Random) -> None:
    """A topic is deleted, and made anew with fewer records."""
    with eventlog.open(store_in(root), fsync="always") as log:
        _append_some(journal, _create(journal, log, choice), choice, 2)
        journal.delete_topic(log, TOPIC)
        _append_some(journal, _create(journal, log, choice), choice, 1)


def recovery(journal: Journal, root: Path, choice: random.Random) -> None:
    """What the first one does who opens a store after a crash: the power may go again."""
    with eventlog.open(store_in(root), fsync="always") as log:
        for topic in log.topics():
            for number in range(log.topic(topic).partitions):
                is_damaged = log.repair(topic, number).is_needed
                partition = _repair(journal, log, topic, number) if is_damaged else log.partition(topic, number)
                journal.note("found", topic, number, partition.end_offset)
                _append_some(journal, partition, choice, 3)


WORKLOADS: Sequence[Workload] = (
    first_record, topic_made_anew, synced_appends, appends_and_flushes, killed_writers, closing, group_commits, transactions,
    topics, deleted_records, compaction, backup, repair,
)  # fmt: skip
