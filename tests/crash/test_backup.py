"""Backups while others append, consume, commit and die; and backups and restores that are killed themselves."""

from __future__ import annotations

import json
import os
import random
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

import eventlog
from eventlog import BackupError, Record, StoreOpenError, TopicPartition
from tests.support import keepers, members, stores, tracing, workers
from tests.support.processes import Interpreter, Worker
from tests.support.slow import slowly
from tests.support.stores import TOPIC

PARTITIONS = 4
GROUP = "readers"
BACKUPS = 8
RECORDS_A_WRITER = 20_000

# Each takes seconds: `make test` tries some of them, `make test-slow` the others.
_BACKUP_CALLS = ("linkat", "rename", *slowly("mkdir", "fsync", "write"))
_RESTORE_CALLS = ("rename", "unlink", *slowly("mkdir", "fsync", "write"))
_POINTS = 12

needs_strace = pytest.mark.skipif(tracing.why_not() is not None, reason=tracing.why_not() or "")


def _check_prefix(restored: eventlog.EventLog, records: dict[int, list[Record]]) -> int:
    """Each partition of a restored store is a prefix of what the store has; no committed offset lies behind it."""
    count = 0
    for number, expected in records.items():
        partition = restored.partition(TOPIC, number)
        found = list(partition.records())
        assert found == expected[: len(found)] and partition.end_offset == len(found)
        count += len(found)
    if GROUP in restored.groups():
        for partition, offset in restored.group(GROUP).committed().items():
            assert offset <= restored.partition(*partition).end_offset
    assert not any(report.problems for report in restored.verify())
    return count


def test_every_backup_taken_while_processes_append_consume_and_are_killed_is_whole(tmp_path: Path) -> None:
    seed = int(os.environ.get("EVENTLOG_CRASH_SEED", str(random.randrange(2**32))))
    choices = random.Random(seed)
    print(f"seed {seed}")
    store, directory = tmp_path / "store", tmp_path / "backups"
    stores.create(store, partitions=PARTITIONS, segment_bytes=2**18)
    directory.mkdir()
    backups: list[Path] = []
    with ExitStack() as stack:
        log = stack.enter_context(eventlog.open(store, fsync="never"))

        def start_writer() -> Worker:
            return stack.enter_context(Worker(members.produce, store, 0, RECORDS_A_WRITER, PARTITIONS))

        def start_reader() -> Worker:
            return stack.enter_context(Worker(members.consume, store, GROUP, {}))

        writers, readers = [start_writer() for _ in range(2)], [start_reader() for _ in range(2)]
        keeper = stack.enter_context(Worker(keepers.back_up_forever, store, directory))
        for _ in range(BACKUPS):
            backups.append(keeper.receive())
            for running, start in ((writers, start_writer), (readers, start_reader)):
                if choices.random() < 0.3:
                    running.pop(0).kill()
                    running.append(start())
            for reader in readers:
                while reader.connection.poll():
                    reader.receive()
        keeper.send("enough")
        keeper.drain()
        for writer in writers:
            writer.kill()
        records = {number: list(log.partition(TOPIC, number).records()) for number in range(PARTITIONS)}
    counts = []
    for backup in [backups[0], *choices.sample(backups[1:-1], 1), backups[-1]]:
        eventlog.restore(backup, tmp_path / "restored")
        with eventlog.open(tmp_path / "restored") as restored:
            counts.append(_check_prefix(restored, records))
        shutil.rmtree(tmp_path / "restored")
    assert counts == sorted(counts) and counts[-1] > counts[0]
    print(f"{len(backups)} backups, {counts} records in those that were restored")


def test_what_was_acknowledged_and_committed_before_a_backup_is_in_it(store: Path, tmp_path: Path) -> None:
    """Nothing of it had been flushed, and its writer was killed."""
    with eventlog.open(store, fsync="never") as log:
        units = [(0, [(number, b"key", b"%d" % number)]) for number in range(50)]
        with Worker(workers.append_then_hold, store, units, {"fsync": "never"}) as writer:
            while writer.receive() != "done":
                pass
            with log.consumer(group=GROUP) as consumer:
                consumer.assign([TopicPartition(TOPIC, 0)])
                consumer.commit({TopicPartition(TOPIC, 0): 50})
            writer.kill()
        log.backup(tmp_path / "backup")
    eventlog.restore(tmp_path / "backup", tmp_path / "restored")
    with eventlog.open(tmp_path / "restored") as restored:
        assert list(restored.partition(TOPIC, 0).values()) == [b"%d" % number for number in range(50)]
        assert restored.group(GROUP).committed() == {TopicPartition(TOPIC, 0): 50}


@pytest.fixture
def several_segments(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    stores.create(store, segment_bytes=2048)
    with eventlog.open(store) as log:
        for number in range(60):
            stores.open_partition(log).append(b"%d" % number * 30)
    assert len(stores.segments(store)) > 2
    return store


def _is_complete(backup: Path) -> bool:
    manifest = backup / "backup.json"
    return manifest.exists() and json.loads(manifest.read_bytes())["complete"]


@needs_strace
@pytest.mark.parametrize("system_call", _BACKUP_CALLS)
def test_a_backup_killed_at_a_system_call_is_incomplete_or_whole_and_the_store_goes_on(
    several_segments: Path, tmp_path: Path, system_call: str
) -> None:
    kills = 0
    for point in range(1, _POINTS):
        backup = tmp_path / f"backup-{point}"
        prefix = tracing.killing(system_call, point)
        with Interpreter(keepers.back_up, several_segments, backup, True, prefix=prefix) as keeper:
            messages = keeper.drain()
            kills += keeper.exit_status != 0
        if messages or _is_complete(backup):
            assert not any(report.problems for report in eventlog.verify_backup(backup))
        elif backup.exists():
            for use in (eventlog.verify_backup, lambda backup: eventlog.restore(backup, tmp_path / "restored")):
                with pytest.raises(BackupError, match=r"incomplete|is not a backup"):
                    use(backup)
            assert not (tmp_path / "restored").exists()
        if keeper.exit_status == 0:
            break  # it makes fewer calls: at every later point it would not be killed either
    assert kills, f"a backup never calls {system_call}"
    with eventlog.open(several_segments, lock_timeout_ms=5000) as log:
        log.backup(tmp_path / "backup")
        assert stores.open_partition(log).append(b"it goes on") == 60
        assert not any(report.problems for report in log.verify())
    assert not any(report.problems for report in eventlog.verify_backup(tmp_path / "backup"))


@needs_strace
@pytest.mark.parametrize("system_call", _RESTORE_CALLS)
def test_a_restore_killed_at_a_system_call_leaves_no_store_that_opens_or_a_whole_one(
    several_segments: Path, tmp_path: Path, system_call: str
) -> None:
    backup = tmp_path / "backup"
    with eventlog.open(several_segments) as log:
        log.backup(backup)
        expected = list(stores.open_partition(log).values())
    kills = 0
    for point in range(1, _POINTS):
        restored = tmp_path / f"restored-{point}"
        with Interpreter(keepers.restore, backup, restored, prefix=tracing.killing(system_call, point)) as keeper:
            is_done = bool(keeper.drain())
            kills += keeper.exit_status != 0
        if is_done:
            with eventlog.open(restored, create=False) as log:
                assert list(stores.open_partition(log).values()) == expected
        elif restored.exists() and any(restored.iterdir()):
            with pytest.raises(StoreOpenError, match=r"restored|not a store"):
                eventlog.open(restored)
        if keeper.exit_status == 0:
            break  # it makes fewer calls: at every later point it would not be killed either
    assert kills, f"a restore never calls {system_call}"
    assert not any(report.problems for report in eventlog.verify_backup(backup))
