"""A full disk is a clear error: what was acknowledged is there, and writing goes on once there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import eventlog
from eventlog import DiskFullError
from tests.support import heads, payloads, stores

DISK_BYTES = 8 * 2**20
FILLER_BYTES = 4 * 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB, half of which a file takes up."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", directory], capture_output=True, text=True
    )
    if mount.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.strip()}")
    (directory / "filler").write_bytes(bytes(FILLER_BYTES))
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


@pytest.mark.root
@pytest.mark.parametrize("size", [1, 30])
@pytest.mark.parametrize("segment_bytes", [2**18, 2**30], ids=["many segments", "one segment"])
def test_a_full_disk_loses_nothing_and_goes_on_when_there_is_room(disk: Path, size: int, segment_bytes: int) -> None:
    store = disk / "store"
    stores.create(store, segment_bytes=segment_bytes)
    sequence = 0

    def append_group(partition: eventlog.Partition) -> None:
        nonlocal sequence
        values = [payloads.value(1, sequence + place, sequence, place, size, 2000) for place in range(size)]
        first = partition.append(values[0]) if size == 1 else partition.append_many(values)[0]
        assert first == sequence
        sequence += size

    with eventlog.open(store, fsync="never") as log:
        partition = stores.open_partition(log)
        with pytest.raises(DiskFullError):
            while True:
                append_group(partition)
        assert partition.end_offset == sequence > 100
        with pytest.raises(DiskFullError):
            partition.append(bytes(200_000))
        check_everything(partition, sequence)
        (disk / "filler").unlink()
        for _ in range(20):
            append_group(partition)
        check_everything(partition, sequence)
    heads.simulate_reboot(stores.head_file(store))
    with eventlog.open(store) as log:
        check_everything(stores.open_partition(log), sequence)
        assert not log.verify()[0].problems


def check_everything(partition: eventlog.Partition, count: int) -> None:
    checker = payloads.Checker()
    for offset, value in enumerate(partition.values()):
        checker.check(offset, value)
    assert checker.next_offset == count
