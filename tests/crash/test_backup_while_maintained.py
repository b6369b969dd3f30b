"""Backups are taken while records are appended, compacted and deleted: each of them is whole, and has what was there."""

from __future__ import annotations

import itertools
from pathlib import Path

import eventlog
from tests.support import stores, workers
from tests.support.processes import Worker

BACKUPS = 4


def test_a_backup_beside_compaction_has_the_latest_value_of_each_key(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stores.create(store, cleanup_policy="compact", segment_bytes=8192)
    known: dict[bytes, int] = {}
    with (
        eventlog.open(store) as log,
        Worker(workers.append_keyed, store, 1, 7) as writer,
        Worker(workers.maintain_again_and_again, store) as maintainer,
    ):
        for number in range(BACKUPS):
            for offset, key, _ in itertools.islice(iter(writer.receive, None), 2000):
                if offset is not None:
                    known[key] = offset
            before = dict(known)
            log.backup(tmp_path / f"backup-{number}")
            assert not [failure for failure in maintainer.receive()[1] if failure]
            check(tmp_path, number, before)


def check(tmp_path: Path, number: int, known: dict[bytes, int]) -> None:
    backup = tmp_path / f"backup-{number}"
    assert [problem for report in eventlog.verify_backup(backup) for problem in report.problems] == []
    eventlog.restore(backup, tmp_path / f"restored-{number}")
    with eventlog.open(tmp_path / f"restored-{number}") as log:
        found = {record.key: record.offset for record in stores.open_partition(log).records()}
    assert all(found[key] >= offset for key, offset in known.items())


def test_a_backup_beside_retention_is_a_suffix_without_a_gap(tmp_path: Path) -> None:
    store = tmp_path / "store"
    stores.create(store, segment_bytes=2048, retention_bytes=20_000)
    with eventlog.open(store) as log, Worker(workers.maintain_again_and_again, store) as maintainer:
        partition = stores.open_partition(log)
        for number in range(BACKUPS):
            for _ in range(1500):
                partition.append(b"%d" % partition.end_offset)
            end_offset = partition.end_offset
            log.backup(tmp_path / f"backup-{number}")
            assert not maintainer.receive()[1]
            eventlog.restore(tmp_path / f"backup-{number}", tmp_path / f"restored-{number}")
            with eventlog.open(tmp_path / f"restored-{number}") as restored:
                values = [int(value or b"") for value in stores.open_partition(restored).values()]
            assert values == list(range(values[0], end_offset))
