"""File systems that copy what is written over, or share it with a copy of the file, are full in the middle of a file, too."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import eventlog
from eventlog import DiskFullError
from tests.support import stores
from tests.support.processes import Worker

_IMAGE_BYTES = 320 * 2**20
_KINDS = {
    "btrfs": ["mkfs.btrfs", "-q"],
    "xfs": ["mkfs.xfs", "-q", "-m", "reflink=1"],
}


@pytest.fixture(params=_KINDS.values(), ids=_KINDS)
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of its own, of a few hundred MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    if shutil.which(request.param[0]) is None:
        pytest.skip(f"{request.param[0]} is not installed: apt-get install btrfs-progs xfsprogs")
    image, directory = tmp_path / "image", tmp_path / "disk"
    directory.mkdir()
    with open(image, "wb") as file:
        file.truncate(_IMAGE_BYTES)
    made = subprocess.run([*request.param, image], capture_output=True, text=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, directory], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()} {mounted.stderr.strip()}")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


def append_while_told(connection: Connection, store: Path) -> None:
    """Fill part of a step of the preallocation, and when told append until the disk is full; report each end offset."""
    with eventlog.open(store, fsync="interval", fsync_interval_ms=10) as log:
        partition = stores.open_partition(log)
        for _ in range(900):
            partition.append(bytes(10_000))
        partition.flush()
        connection.send(partition.end_offset)
        while connection.recv():
            try:
                while True:
                    partition.append(b"x" * 10_000)
            except DiskFullError:
                connection.send(partition.end_offset)


def _fill(directory: Path) -> None:
    number = 0
    for size in (2**20, 2**14, 4096):
        try:
            while True:
                (directory / f"filler-{number}").write_bytes(bytes(size))
                number += 1
        except OSError:
            os.sync()


@pytest.mark.root
def test_a_full_disk_is_an_error_after_the_store_was_copied_while_it_was_open(disk: Path) -> None:
    store = disk / "store"
    stores.create(store)
    with Worker(append_while_told, store) as writer:
        assert writer.receive() == 900
        subprocess.run(["cp", "-a", "--reflink=auto", store, disk / "copy"], check=True)
        os.sync()
        _fill(disk)
        writer.send(True)
        full_at = writer.receive()
        assert full_at >= 900
        for path in disk.glob("filler-*"):
            path.unlink()
        os.sync()
        writer.send(False)
    with eventlog.open(store) as log:
        partition = stores.open_partition(log)
        assert partition.end_offset == full_at
        assert sum(1 for _ in partition.values()) == full_at and not log.verify()[0].problems
        assert partition.append(b"goes on") == full_at
